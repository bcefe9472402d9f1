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

from classpulse.core.errors import InputError
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
        InputError: a label of the space has fewer than ten pictures, or more components are asked
            for than there are dimensions or rows.
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
    machine, held = _hold_out(recipe, labels)
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
        InputError: a label of the space has fewer than `FEWEST` pictures.
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
    return _split(recipe, rows, labels, train_size=recipe.rows)[0]


def _hold_out(recipe: ClassicRecipe, labels: Labels) -> tuple[Labels, Labels]:
    """Rows for the machine and rows for the temperature, every label with its share in both."""
    rows = np.arange(len(labels))
    return _split(recipe, rows, labels, train_size=1 - recipe.calibration)


def _split(
    recipe: ClassicRecipe, rows: Labels, labels: Labels, *, train_size: float
) -> tuple[Labels, Labels]:
    try:
        chosen, rest = train_test_split(
            rows, train_size=train_size, stratify=labels[rows], random_state=recipe.seed
        )
    except ValueError as error:  # scikit-learn's word for too few rows of a class
        raise InputError(
            f"recipe {recipe.name}: {len(rows)} training pictures are too few ({error}); "
            "give more data, or more rows"
        ) from None
    return chosen, rest


def _fit_back(
    recipe: ClassicRecipe, rows: Rows, labels: Labels, pool: Workers | None
) -> tuple[Pipeline, Mapping[str, float]]:
    """The fitted steps, all of scikit-learn, and what the search chose."""
    back = _build_back(recipe)
    components = _components(recipe)
    if components > min(rows.shape):
        raise InputError(
            f"recipe {recipe.name}: {components:g} components of {rows.shape[1]} features and "
            f"{rows.shape[0]} rows: ask for fewer"
        )
    how = recipe.search
    if how.kind == "none":
        return _settle(_fit_quietly(back, back, rows, labels, pool)), {}
    grid = {recipe.parameters[name]: list(values) for name, values in how.values.items()}
    if "reduce__n_components" in grid:
        grid["reduce__n_components"] = [v if v < 1 else int(v) for v in how.components]
    folds = StratifiedKFold(how.folds, shuffle=True, random_state=recipe.seed)
    search: Any
    if how.kind == "grid":
        search = GridSearchCV(back, grid, cv=folds)
    elif how.kind == "random":
        draws = min(how.draws, math.prod(map(len, grid.values())))
        search = RandomizedSearchCV(back, grid, n_iter=draws, cv=folds, random_state=recipe.seed)
    else:
        search = HalvingGridSearchCV(back, grid, cv=folds, random_state=recipe.seed)
    _fit_quietly(search, back, rows, labels, pool)
    best = {name: search.best_params_[recipe.parameters[name]] for name in how.values}
    best["accuracy in folds"] = round(search.best_score_, 4)
    return _settle(search.best_estimator_), best


def _components(recipe: ClassicRecipe) -> float:
    """Most components that are asked for, 0 if it is a share of the variance."""
    own = getattr(recipe.reduction.settings, "components", 0)
    return max((v for v in (own, *recipe.search.components) if v >= 1), default=0)


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
