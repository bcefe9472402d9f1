"""Fitting and asking a classical pipeline, with probabilities."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  makes the next import work
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    train_test_split,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from classpulse.core.errors import ClassPulseError, InputError
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Scores
from classpulse.lab.classic.front import Images, Rows, build_front, make_features
from classpulse.lab.classic.kinds import Steps
from classpulse.lab.classic.recipe import ClassicRecipe
from classpulse.lab.evaluate.metrics import fit_temperature
from classpulse.lab.parallel.svm import ParallelClassifier
from classpulse.lab.parallel.workers import Workers, read_clocks

HEAD = "emotion"
FEWEST = 10  # pictures of every label

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A pipeline that answers.

    Args:
        recipe: what it was made by.
        back: from features to decision values (n, k).
        temperature: probabilities are softmax(decision values / temperature).
        space: the labels.
        features, reduced: dimensions d before and after the reduction.
        rows: training rows the machine was fitted on, without those of the temperature.
        seconds: of processor time, the workers' too: "features" if it made them, "fit" (the search
            included).
        clock: the same by the clock.
        best: settings that the search chose.
    """

    recipe: ClassicRecipe
    back: Pipeline
    temperature: float
    space: LabelSpace
    features: int
    reduced: int
    rows: int
    seconds: Mapping[str, float]
    clock: Mapping[str, float]
    best: Mapping[str, float]

    @property
    def pipeline(self) -> Pipeline:
        """From pixels (n, side * side) in [0, 1] to labels, as scikit-learn has it."""
        return Pipeline([*build_front(self.recipe).steps, *self.back.steps])

    def predict(self, images: Images, *, pool: Workers | None = None) -> Mapping[str, Scores]:
        """Scores of pictures (n, h, w) or (n, h, w, 3) uint8, by the name of the head."""
        return {HEAD: self.predict_rows(make_features(self.recipe, images, pool=pool))}

    def predict_rows(self, rows: Rows) -> Scores:
        """Scores of features (n, d)."""
        return Scores(_soften(self.back.decision_function(rows), self.temperature), self.space)


def fit_pipeline(
    recipe: ClassicRecipe,
    images: Images,
    labels: Labels,
    space: LabelSpace,
    *,
    pool: Workers | None = None,
) -> Fitted:
    """Fit a recipe to pictures, by a pool to the same bits as without.

    Args:
        images: (n, h, w) or (n, h, w, 3) uint8.
        labels: (n,) columns of `space`; -1 has none and is left out.

    Raises:
        InputError: a label of the space has fewer than ten pictures; the pictures are too few to
            be drawn, held back or dealt into folds with every label; or more components or
            landmarks are asked for than there are dimensions or rows.
    """
    chosen = draw_rows(recipe, labels, space)
    start = read_clocks(pool)
    rows = make_features(recipe, images[chosen], pool=pool)
    clock, seconds = (now - then for now, then in zip(read_clocks(pool), start, strict=True))
    fitted = fit_rows(recipe, rows, labels[chosen], space, pool=pool)
    return replace(
        fitted,
        seconds={"features": seconds, **fitted.seconds},
        clock={"features": clock, **fitted.clock},
    )


def fit_rows(
    recipe: ClassicRecipe,
    rows: Rows,
    labels: Labels,
    space: LabelSpace,
    *,
    pool: Workers | None = None,
) -> Fitted:
    """Fit what comes after the features, and the temperature on a share of the rows.

    Args:
        rows: (n, d) of `make_features`.
        labels: (n,) columns of `space`, none missing.

    Raises:
        InputError: as `fit_pipeline`.
    """
    machine, held = _hold_out(recipe, labels, space)
    start = read_clocks(pool)
    back, best = _fit_back(recipe, rows[machine], labels[machine], pool)
    clock, seconds = (now - then for now, then in zip(read_clocks(pool), start, strict=True))
    temperature = fit_temperature(_soften(back.decision_function(rows[held]), 1.0), labels[held])
    reduced = back[:-1].transform(rows[:1]).shape[1] if len(back) > 1 else rows.shape[1]
    return Fitted(
        recipe, back, round(temperature, 4), space, rows.shape[1], reduced, len(machine),
        {"fit": seconds}, {"fit": clock}, best,
    )  # fmt: skip


def count_learned(back: Pipeline) -> int:
    """Numbers that a fitted pipeline has learned from data, those of all its steps."""
    learned = (
        value
        for _, step in back.steps
        for name, value in vars(step).items()
        if name.endswith("_") and not name.startswith("_") and isinstance(value, np.ndarray)
    )
    return sum(value.size for value in learned)


def _build_back(recipe: ClassicRecipe) -> Pipeline:
    steps: Steps = [("standardize", StandardScaler())] if recipe.standardize else []
    steps += recipe.reduction.settings.build(recipe.seed)
    return Pipeline(steps + recipe.classifier.settings.build(recipe.seed))


def draw_rows(recipe: ClassicRecipe, labels: Labels, space: LabelSpace) -> Labels:
    """Row numbers of the labelled pictures that the recipe learns from, by class.

    Raises:
        InputError: a label of the space has fewer than `FEWEST` pictures, or so many rows cannot
            be drawn with every label.
    """
    rows = np.flatnonzero(labels >= 0)
    counts = np.bincount(labels[rows], minlength=len(space))
    if counts.min() < FEWEST:
        few = ", ".join(f"{space.names[i]} {counts[i]}" for i in np.flatnonzero(counts < FEWEST))
        raise InputError(
            f"recipe {recipe.name}: too few training pictures of {few}; needs {FEWEST} or more of "
            "each"
        )
    if not 0 < recipe.rows < len(rows):
        return rows
    most = len(rows) - len(space)  # every label has its share of those that are left, too
    if not len(space) <= recipe.rows <= most:
        raise InputError(
            f"recipe {recipe.name}: rows = {recipe.rows} of {len(rows)} training pictures: needs "
            f"{len(space)} to {most} to draw every label, or 0 for all of them"
        )
    return _split(recipe, rows, labels, recipe.rows)[0]


def _hold_out(recipe: ClassicRecipe, labels: Labels, space: LabelSpace) -> tuple[Labels, Labels]:
    """Rows for the machine and rows for the temperature, every label with its share in both."""
    n, k = len(labels), len(space)
    kept = math.floor((1 - recipe.calibration) * n)
    counts = np.bincount(labels, minlength=k)
    if counts.min() < 2 or min(kept, n - kept) < k:
        raise InputError(
            f"recipe {recipe.name}: {n} training pictures, {counts.min()} of them "
            f"{space.names[counts.argmin()]}, are too few: the temperature needs 2 or more of each "
            f"label, and {k} or more held back (calibration = {recipe.calibration} gives "
            f"{n - kept}); give more data, more rows or another calibration"
        )
    return _split(recipe, np.arange(n), labels, kept)


def _split(
    recipe: ClassicRecipe, rows: Labels, labels: Labels, count: int
) -> tuple[Labels, Labels]:
    """So many of the rows, and the others, every label with its share in both."""
    chosen, rest = train_test_split(
        rows, train_size=count, stratify=labels[rows], random_state=recipe.seed
    )
    return chosen, rest


def _fit_back(
    recipe: ClassicRecipe, rows: Rows, labels: Labels, pool: Workers | None
) -> tuple[Pipeline, Mapping[str, float]]:
    """The fitted steps, all of scikit-learn, and what the search chose."""
    back = _build_back(recipe)
    how = recipe.search
    folds = StratifiedKFold(how.folds, shuffle=True, random_state=recipe.seed)
    _need_enough(recipe, rows, labels, folds)
    if how.kind == "none":
        return _settle(_fit_quietly(back, back, rows, labels, pool)), {}
    grid = {recipe.parameters[name]: list(values) for name, values in how.values.items()}
    if "reduce__n_components" in grid:
        grid["reduce__n_components"] = [v if v < 1 else int(v) for v in how.components]
    common: dict[str, Any] = {"cv": folds, "error_score": "raise"}
    search: Any
    if how.kind == "grid":
        search = GridSearchCV(back, grid, **common)
    elif how.kind == "random":
        draws = min(how.draws, math.prod(map(len, grid.values())))
        search = RandomizedSearchCV(back, grid, n_iter=draws, random_state=recipe.seed, **common)
    else:
        search = HalvingGridSearchCV(back, grid, random_state=recipe.seed, **common)
    try:
        _fit_quietly(search, back, rows, labels, pool)
    except ClassPulseError:
        raise
    except ValueError as error:  # of a round of few rows
        raise InputError(
            f"recipe {recipe.name}: {recipe.reduction.kind} and {recipe.classifier.kind} cannot be "
            f"fitted to every round of the search of kind '{how.kind}', which tries some settings "
            f"on fewer than the {len(rows)} rows: search fewer components, by a grid, or give more "
            "rows"
        ) from error
    best = {name: search.best_params_[recipe.parameters[name]] for name in how.values}
    best["accuracy in folds"] = round(search.best_score_, 4)
    return _settle(search.best_estimator_), best


def _need_enough(recipe: ClassicRecipe, rows: Rows, labels: Labels, folds: StratifiedKFold) -> None:
    """Refuse what the rows (n, d) are too few for, with all folds of a search but one, too."""
    searched = recipe.search.kind != "none"
    rarest = np.bincount(labels).min()
    fewest, given = len(rows), f"{len(rows)} rows"
    if searched and folds.n_splits > rarest:
        raise InputError(
            f"recipe {recipe.name}: {folds.n_splits} folds, and {rarest} training pictures of the "
            "rarest label: needs one or more for each fold, ask for fewer folds"
        )
    if recipe.search.kind == "halving":  # its first round has so many
        needed = 2 * folds.n_splits * len(np.unique(labels))
        if needed > len(rows):
            raise InputError(
                f"recipe {recipe.name}: successive halving in {folds.n_splits} folds begins with "
                f"{needed} rows, and there are {len(rows)}: ask for fewer folds, or search by grid"
            )
    if searched:
        fewest = min(len(seen) for seen, _ in folds.split(rows, labels))
        given = f"{fewest} rows ({folds.n_splits} folds of {len(rows)}, without one)"
    components = _components(recipe)
    if components > min(fewest, rows.shape[1]):
        raise InputError(
            f"recipe {recipe.name}: {components:g} components of {rows.shape[1]} features and "
            f"{given}: ask for fewer"
        )
    landmarks = getattr(recipe.classifier.settings, "landmarks", 0)
    if landmarks > fewest:
        raise InputError(
            f"recipe {recipe.name}: {landmarks} landmarks of {given}: ask for fewer landmarks"
        )


def _components(recipe: ClassicRecipe) -> float:
    """Most components that are asked for, 0 if it is a share of the variance."""
    own = getattr(recipe.reduction.settings, "components", 0)
    return max((v for v in recipe.search.components or (own,) if v >= 1), default=0)


def _fit_quietly(
    estimator: Any, back: Pipeline, rows: Rows, labels: Labels, pool: Workers | None
) -> Any:
    """Fit the steps, or a search for them, its machine by the pool if it knows how.

    A factorization that is cut off after its steps is what the recipe asks for.
    """
    name, machine = back.steps[-1]
    how = {f"{name}__pool": pool} if isinstance(machine, ParallelClassifier) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(rows, labels, **how)


def _settle(back: Pipeline) -> Pipeline:
    """The same with the SVC that a parallel training ends in."""
    name, machine = back.steps[-1]
    if not isinstance(machine, ParallelClassifier):
        return back
    return Pipeline([*back.steps[:-1], (name, machine.svc_)])


def _soften(decisions: NDArray[np.float64], temperature: float) -> NDArray[np.float32]:
    """(n, k) probabilities: softmax(decisions / temperature)."""
    scaled = (decisions - decisions.max(axis=1, keepdims=True)) / temperature
    raised = np.exp(scaled)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)
