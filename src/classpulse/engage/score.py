"""Engagement as a linear model of probabilities: score = intercept + sum(w_label * p_label).

The form is equation 26 of the parallel engagement paper (seed system 3): a multiple linear
regression on expression scores. Two presets: `paper` repeats its weights (with them anger raises
engagement, and scores leave [0, 1]); `default` is ours. Neither is fitted to labelled engagement;
`classpulse engage fit` fits one and writes a file, which is taken wherever a preset is.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.labels import LabelSpace, find_label
from classpulse.core.records import Interval, Scores
from classpulse.engage.fitted import read_fitted

EXPRESSION = "expression"  # stands for any head whose labels have the names
SUFFIX = ".json"  # of a preset's file
PRESET_FORMAT = 1
ONE_SD = 1.0  # half-width of a reading's interval in standard deviations, about 68 %


@dataclass(frozen=True, slots=True)
class LinearEngagement:
    """Weights of the linear model.

    Args:
        name: of the preset.
        intercept: alpha_0.
        weights: head name -> label -> weight; labels not named weigh 0. The head `EXPRESSION`
            is any that has the labels, see `bound_to`.
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

    def bound_to(self, heads: Mapping[str, LabelSpace]) -> "LinearEngagement":
        """The same weights under the names of a model: `EXPRESSION` becomes its first head with all
        of the labels, if need be as nouns or adjectives (happiness, happy).

        Args:
            heads: name of a head of the model -> its labels.

        Raises:
            InputError: the model lacks a head, or every head lacks one of the expressions.
        """
        weights = dict(self.weights)
        if EXPRESSION in weights and EXPRESSION not in heads:
            meant = weights.pop(EXPRESSION)
            found = next(_under_names_of(heads, meant), None)
            if found is None:
                raise InputError(
                    f"engagement '{self.name}' needs a head with {', '.join(meant)}, the model's "
                    f"heads are {', '.join(heads)}: choose another preset or model"
                )
            head, named = found
            weights[head] = named | dict(weights.get(head, {}))
        missing = weights.keys() - heads.keys()
        if missing:
            raise InputError(
                f"engagement '{self.name}' needs the heads {sorted(missing)}, the model's heads "
                f"are {', '.join(heads)}: choose another preset or model"
            )
        return replace(self, weights=weights)

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


def _under_names_of(
    heads: Mapping[str, LabelSpace], weights: Mapping[str, float]
) -> Iterator[tuple[str, dict[str, float]]]:
    """Heads with all of the labels, and the weights under their names; equal names first."""
    for head, space in heads.items():
        if set(weights) <= set(space.names):
            yield head, dict(weights)
    for head, space in heads.items():
        named = {find_label(space, label): weight for label, weight in weights.items()}
        if None not in named:
            yield head, {label: weight for label, weight in named.items() if label}


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
    weights={EXPRESSION: {"happiness": 0.7, "sadness": 0.5, "anger": 0.8}},
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


def get_preset(name_or_path: str) -> LinearEngagement:
    """A preset by its name, or one from a ``.json`` file as `classpulse engage fit` writes it.

    Raises:
        InputError: an unknown name (the known ones are listed), or the file cannot be used.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    if name_or_path.endswith(SUFFIX):
        return load_preset(Path(name_or_path))
    raise InputError(
        f"unknown preset '{name_or_path}'; known: {', '.join(PRESETS)}, or a {SUFFIX} file of "
        "classpulse engage fit"
    )


@dataclass(frozen=True, slots=True)
class _PresetFile:
    """What a file of a preset holds, see `LinearEngagement`."""

    format: int
    name: str
    intercept: float
    weights: dict[str, dict[str, float]]
    clip: bool
    origin: str


def load_preset(path: Path) -> LinearEngagement:
    """Read a preset from a file.

    Raises:
        InputError: the file is missing, is not JSON, or a field is missing, unknown, of the wrong
            type or not finite; the message names the field.
    """
    found: _PresetFile = read_fitted(
        path, _PresetFile, what="preset", version=PRESET_FORMAT, again="fit it again"
    )
    numbers = [
        found.intercept,
        *(w for by_label in found.weights.values() for w in by_label.values()),
    ]
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        raise InputError(f"preset {path}: needs one weight or more, and finite numbers alone")
    return LinearEngagement(found.name, found.intercept, found.weights, found.clip, found.origin)


def preset_text(preset: LinearEngagement) -> str:
    """The content of a file that `load_preset` reads."""
    return json.dumps({"format": PRESET_FORMAT} | asdict(preset), indent=2) + "\n"
