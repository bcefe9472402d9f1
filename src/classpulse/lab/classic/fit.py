"""Fitting and asking a classical pipeline, with probabilities."""

import math
import time
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
from classpulse.lab.classic.kinds import Steps, build_features
from classpulse.lab.classic.recipe import ClassicRecipe
from classpulse.lab.classic.transformers import GaussianDenoise, MinMaxPicture
from classpulse.lab.evaluate.metrics import fit_temperature
from classpulse.vision.image import prepare

HEAD = "emotion"
FEWEST = 10  # pictures of every label
CHUNK = 2048  # pictures whose features are made at once

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Rows = NDArray[np.float32]


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
        seconds: of processor time: "features" if it made them, "fit" (the search included).
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
    best: Mapping[str, float]

    @property
    def pipeline(self) -> Pipeline:
        """From pixels (n, side * side) in [0, 1] to labels, as scikit-learn has it."""
        blank = np.zeros((1, self.recipe.side**2), dtype=np.float32)
        front = build_front(self.recipe).fit(blank)  # it looks at the size alone
        return Pipeline([*front.steps, *self.back.steps])

    def predict(self, images: Images) -> Mapping[str, Scores]:
        """Scores of pictures (n, h, w) or (n, h, w, 3) uint8, by the name of the head."""
        return {HEAD: self.predict_rows(make_features(self.recipe, images))}

    def predict_rows(self, rows: Rows) -> Scores:
        """Scores of features (n, d)."""
        return Scores(_soften(self.back.decision_function(rows), self.temperature), self.space)


def fit_pipeline(
    recipe: ClassicRecipe, images: Images, labels: Labels, space: LabelSpace
) -> Fitted:
    """Fit a recipe to pictures.

    Args:
        images: (n, h, w) or (n, h, w, 3) uint8.
        labels: (n,) columns of `space`; -1 has none and is left out.

    Raises:
        InputError: a label of the space has fewer than ten pictures, or more components are asked
            for than there are dimensions or rows.
    """
    chosen = draw_rows(recipe, labels, space)
    start = time.process_time()
    rows = make_features(recipe, images[chosen])
    seconds = time.process_time() - start
    fitted = fit_rows(recipe, rows, labels[chosen], space)
    return replace(fitted, seconds={"features": seconds, **fitted.seconds})


def fit_rows(recipe: ClassicRecipe, rows: Rows, labels: Labels, space: LabelSpace) -> Fitted:
    """Fit what comes after the features, and the temperature on a share of the rows.

    Args:
        rows: (n, d) of `make_features`.
        labels: (n,) columns of `space`, none missing.

    Raises:
        InputError: as `fit_pipeline`.
    """
    machine, held = _hold_out(recipe, labels)
    start = time.process_time()
    back, best = _fit_back(recipe, rows[machine], labels[machine])
    seconds = {"fit": time.process_time() - start}
    temperature = fit_temperature(_soften(back.decision_function(rows[held]), 1.0), labels[held])
    reduced = back[:-1].transform(rows[:1]).shape[1] if len(back) > 1 else rows.shape[1]
    return Fitted(
        recipe, back, round(temperature, 4), space, rows.shape[1], reduced, len(machine),
        seconds, best,
    )  # fmt: skip


def build_front(recipe: ClassicRecipe) -> Pipeline:
    """The steps before the features and the features: nothing in them is learned from data."""
    steps: Steps = [("minmax", MinMaxPicture())] if recipe.minmax else []
    steps += [("denoise", GaussianDenoise(sigma=recipe.sigma))] if recipe.sigma else []
    steps += build_features(recipe.features.kind, recipe.features.settings)
    return Pipeline(steps or [("pixels", "passthrough")])


def make_features(recipe: ClassicRecipe, images: Images) -> Rows:
    """(n, d) features of pictures (n, h, w) or (n, h, w, 3) uint8, in chunks."""
    front, spec = build_front(recipe), recipe.input
    rows = []
    for start in range(0, len(images), CHUNK):
        pixels = [prepare(image, spec).ravel() for image in images[start : start + CHUNK]]
        rows.append(front.fit_transform(np.stack(pixels)))  # fitting looks at the size alone
    return np.concatenate(rows).astype(np.float32, copy=False)


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
    recipe: ClassicRecipe, rows: Rows, labels: Labels
) -> tuple[Pipeline, Mapping[str, float]]:
    back = _build_back(recipe)
    components = _components(recipe)
    if components > min(rows.shape):
        raise InputError(
            f"recipe {recipe.name}: {components:g} components of {rows.shape[1]} features and "
            f"{rows.shape[0]} rows: ask for fewer"
        )
    how = recipe.search
    if how.kind == "none":
        return _fit_quietly(back, rows, labels), {}
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
    _fit_quietly(search, rows, labels)
    best = {name: search.best_params_[recipe.parameters[name]] for name in how.values}
    return search.best_estimator_, {**best, "accuracy in folds": round(search.best_score_, 4)}


def _components(recipe: ClassicRecipe) -> float:
    """Most components that are asked for, 0 if it is a share of the variance."""
    own = getattr(recipe.reduction.settings, "components", 0)
    return max((v for v in (own, *recipe.search.components) if v >= 1), default=0)


def _fit_quietly(estimator: Any, rows: Rows, labels: Labels) -> Any:
    """Fit; a factorization that is cut off after its steps is what the recipe asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(rows, labels)


def _soften(decisions: NDArray[np.float64], temperature: float) -> NDArray[np.float32]:
    """(n, k) probabilities: softmax(decisions / temperature)."""
    scaled = (decisions - decisions.max(axis=1, keepdims=True)) / temperature
    raised = np.exp(scaled)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)
