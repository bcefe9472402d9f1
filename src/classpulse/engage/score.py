"""Engagement as a linear model of probabilities: score = intercept + sum(w_label * p_label).

The form is equation 26 of the parallel engagement paper (seed system 3): a multiple linear
regression on expression scores. Two presets: `paper` repeats its weights (with them anger raises
engagement, and scores leave [0, 1]); `default` is ours. Neither is fitted to labelled engagement.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.records import Interval, Scores

ONE_SD = 1.0  # half-width of a reading's interval in standard deviations, about 68 %


@dataclass(frozen=True, slots=True)
class LinearEngagement:
    """Weights of the linear model.

    Args:
        name: of the preset.
        intercept: alpha_0.
        weights: head name -> label -> weight; labels not named weigh 0.
        clip: keep the score in [0, 1].
        origin: where the weights come from and what they are not.
    """

    name: str
    intercept: float
    weights: Mapping[str, Mapping[str, float]]
    clip: bool
    origin: str

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels with a weight, in order."""
        return tuple(label for by_label in self.weights.values() for label in by_label)

    def score(
        self,
        scores: Mapping[str, Scores],
        *,
        share: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Engagement of n items and its variance.

        The variance is that of the weight of one label drawn from the probabilities, so it is 0
        when the network is sure and large when it wavers between labels of different weight;
        heads count as independent.

        Args:
            scores: head name -> `Scores` with n rows; every head of the model must be there.
            share: head name -> (n,) chance in [0, 1] that the head applies at all; what is left
                counts as a label of weight 0. Heads that are not named always apply.

        Returns:
            score (n,) and variance (n,).

        Raises:
            InputError: a head that the model needs is missing.
        """
        missing = self.weights.keys() - scores.keys()
        if missing:
            raise InputError(
                f"engagement '{self.name}' needs the heads {sorted(missing)}; "
                f"the model gives {sorted(scores)}"
            )
        n = len(next(iter(scores.values())))
        value, variance = np.full(n, self.intercept), np.zeros(n)
        for head, by_label in self.weights.items():
            weight = _weight_vector(by_label, scores[head])
            probs = scores[head].probs.astype(np.float64)
            if share and head in share:
                probs = probs * share[head][:, None]
            mean = probs @ weight
            value += mean
            variance += np.maximum(probs @ weight**2 - mean**2, 0.0)
        return (np.clip(value, 0.0, 1.0) if self.clip else value), variance

    def score_columns(self, columns: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Engagement of n rows of plain expression scores, one array (n,) per label.

        Args:
            columns: label -> (n,) scores; every label with a weight must be there.

        Raises:
            InputError: a column is missing (the needed ones are listed).
            ShapeError: lengths differ or a value is not finite.
        """
        weights = {label: w for by_label in self.weights.values() for label, w in by_label.items()}
        missing = weights.keys() - columns.keys()
        if missing:
            raise InputError(
                f"engagement '{self.name}' needs the columns {', '.join(weights)}; missing: "
                f"{', '.join(sorted(missing))}. Add them or choose another preset"
            )
        arrays = {label: np.asarray(columns[label], dtype=np.float64) for label in weights}
        if len({a.shape for a in arrays.values()}) != 1 or next(iter(arrays.values())).ndim != 1:
            raise ShapeError("engagement columns must be one-dimensional and of equal length")
        if not all(np.isfinite(a).all() for a in arrays.values()):
            raise ShapeError("engagement columns must be finite numbers, one is NaN or infinite")
        value = self.intercept + sum(weights[label] * a for label, a in arrays.items())
        return np.asarray(np.clip(value, 0.0, 1.0) if self.clip else value)


def _weight_vector(by_label: Mapping[str, float], scores: Scores) -> NDArray[np.float64]:
    weight = np.zeros(len(scores.space))
    for label, w in by_label.items():
        weight[scores.space.index(label)] = w
    return weight


def interval_of(value: float, variance: float) -> Interval:
    """Score with +- one standard deviation, all kept in [0, 1]."""
    half = ONE_SD * float(np.sqrt(variance))
    clipped = min(max(value, 0.0), 1.0)
    return Interval(clipped, max(clipped - half, 0.0), min(clipped + half, 1.0))


PAPER = LinearEngagement(
    name="paper",
    intercept=0.3,
    weights={"expression": {"happiness": 0.7, "sadness": 0.5, "anger": 0.8}},
    clip=False,
    origin="worked example of the parallel engagement paper (IIETA 2025, eq. 26); anger raises "
    "the score and it may pass 1, so it is for comparison with the paper only",
)

DEFAULT = LinearEngagement(
    name="default",
    intercept=0.35,
    weights={
        "state": {"focused": 0.45, "neutral": 0.2, "bored": -0.3, "angry": -0.15},
        "emotion": {"happy": 0.2},
    },
    clip=True,
    origin="our own choice, not fitted: a focused face counts most, a neutral and a happy one "
    "some, a bored or angry one against; 0.35 is a face of which nothing is known",
)

PRESETS: dict[str, LinearEngagement] = {preset.name: preset for preset in (DEFAULT, PAPER)}


def get_preset(name: str) -> LinearEngagement:
    """The preset called `name`; `InputError` lists the known ones otherwise."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"unknown preset '{name}'; known: {', '.join(PRESETS)}") from None
