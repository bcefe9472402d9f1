"""Every label order, and every rule that turns one set of labels into another.

A label order lives here or nowhere: a silent permutation is the worst bug of this field.
A `LabelSpace` names the columns of a probability array; a `Relabel` maps one to another by a
matrix; a `DecisionList` maps vote counts to a label by the first rule that holds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import LabelError, ShapeError


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """An ordered set of label names; equal by value.

    Args:
        name: identifier, for example ``"fer2013-7"``.
        names: the k labels in column order, at least two, unique, not empty.

    Raises:
        LabelError: fewer than two labels, a repeated or an empty one.
    """

    name: str
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name:
            raise LabelError("a label space needs a name")
        if len(self.names) < 2:
            raise LabelError(f"label space '{self.name}' needs two labels or more: {self.names}")
        if any(not isinstance(n, str) or not n.strip() for n in self.names):
            raise LabelError(f"label space '{self.name}' has an empty label: {self.names}")
        if len(set(self.names)) != len(self.names):
            raise LabelError(f"label space '{self.name}' repeats a label: {self.names}")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, label: str) -> int:
        """Column of `label`.

        Raises:
            LabelError: the label is not in this space (the message lists those that are).
        """
        try:
            return self.names.index(label)
        except ValueError:
            allowed = ", ".join(self.names)
            raise LabelError(f"'{label}' is not in {self.name}; it has: {allowed}") from None


FER2013_7 = LabelSpace(
    "fer2013-7", ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
)
FERPLUS_8 = LabelSpace(
    "ferplus-8",
    ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
)
CKPLUS_7 = LabelSpace(
    "ckplus-7", ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
)
RAFDB_7 = LabelSpace(
    "rafdb-7", ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
)  # the codes 1..7 of its label list
AFFECTNET_8 = LabelSpace(
    "affectnet-8",
    ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"),
)  # the codes 0..7 of its annotations
DAISEE_4 = LabelSpace("daisee-4", ("boredom", "engagement", "confusion", "frustration"))
EMOREACT_8 = LabelSpace(
    "emoreact-8",
    tuple("curiosity uncertainty excitement happiness surprise disgust fear frustration".split()),
)
LEARNING_STATE_4 = LabelSpace("learning-state-4", ("angry", "bored", "focused", "neutral"))
VALENCE_3 = LabelSpace("valence-3", ("negative", "neutral", "positive"))
TEXT_5 = LabelSpace("text-5", ("angry", "disgust", "fear", "happy", "sad"))
TEXT_7 = LabelSpace("text-7", ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"))
ISEAR_7 = LabelSpace(
    "isear-7", ("joy", "fear", "anger", "sadness", "disgust", "shame", "guilt")
)  # the codes 1..7 of its column EMOT
MELD_7 = LabelSpace("meld-7", ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"))
GOEMOTIONS_28 = LabelSpace(
    "goemotions-28",
    tuple(
        "admiration amusement anger annoyance approval caring confusion curiosity desire "
        "disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love "
        "nervousness optimism pride realization relief remorse sadness surprise neutral".split()
    ),
)
TEXT_STATE_3 = LabelSpace("text-state-3", ("confused", "curious", "frustrated"))

SPACES: dict[str, LabelSpace] = {
    space.name: space
    for space in (
        FER2013_7,
        FERPLUS_8,
        CKPLUS_7,
        RAFDB_7,
        AFFECTNET_8,
        DAISEE_4,
        EMOREACT_8,
        LEARNING_STATE_4,
        VALENCE_3,
        TEXT_5,
        TEXT_7,
        ISEAR_7,
        MELD_7,
        GOEMOTIONS_28,
        TEXT_STATE_3,
    )
}


def get_space(name: str) -> LabelSpace:
    """The label space called `name`; `LabelError` lists the known ones otherwise."""
    try:
        return SPACES[name]
    except KeyError:
        raise LabelError(f"unknown label space '{name}'; known: {', '.join(SPACES)}") from None


@dataclass(frozen=True, slots=True)
class Relabel:
    """A linear map from one label space to another, with its source.

    Args:
        name: identifier of the rule.
        source, target: spaces with k and m labels.
        matrix: (k, m) float32, rows sum to 1 (the label moves, or is shared out) or to 0 (the
            label is dropped).
        origin: where the rule comes from (paper, data set, our own choice).

    Raises:
        ShapeError: the matrix has another shape, negative entries or row sums not 0 or 1.
    """

    name: str
    source: LabelSpace
    target: LabelSpace
    matrix: NDArray[np.float32]
    origin: str

    def __post_init__(self) -> None:
        shape = (len(self.source), len(self.target))
        if self.matrix.shape != shape:
            raise ShapeError(f"relabel '{self.name}': matrix {self.matrix.shape}, needs {shape}")
        sums = self.matrix.sum(axis=1)
        rows_ok = np.isclose(sums, 0) | np.isclose(sums, 1)
        if not np.all(self.matrix >= 0) or not np.all(rows_ok):
            raise ShapeError(f"relabel '{self.name}': rows must be >= 0 and sum to 0 or 1: {sums}")
        self.matrix.flags.writeable = False

    def apply(self, probs: ArrayLike) -> NDArray[np.float32]:
        """Map (n, k) probabilities or votes to (n, m), renormalised over what is kept.

        A row of which nothing is kept becomes NaN: it has no label in the target space.
        """
        mapped = np.atleast_2d(np.asarray(probs, dtype=np.float32)) @ self.matrix
        total = mapped.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, mapped / total, np.nan).astype(np.float32)


def relabel_by_name(
    name: str, source: LabelSpace, target: LabelSpace, renames: dict[str, str | None], origin: str
) -> Relabel:
    """A `Relabel` that moves each label to its new name; None drops it; equal names stay."""
    matrix = np.zeros((len(source), len(target)), dtype=np.float32)
    for row, label in enumerate(source.names):
        new = renames.get(label, label)
        if new is not None:
            matrix[row, target.index(new)] = 1.0
    return Relabel(name, source, target, matrix, origin)


_THESIS_TEXT: dict[str, str | None] = {
    "anger": "angry",
    "joy": "happy",
    "sadness": "sad",
    "shame": None,
    "guilt": None,
}
_JOY_WORDS: dict[str, str | None] = {
    **dict.fromkeys(GOEMOTIONS_28.names, "happy"),
    "anger": "angry",
    "annoyance": "angry",
    "disapproval": "angry",
    "disgust": "disgust",
    "fear": "fear",
    "nervousness": "fear",
    "sadness": "sad",
    "disappointment": "sad",
    "embarrassment": "sad",
    "grief": "sad",
    "remorse": "sad",
    "surprise": "surprise",
    "realization": "surprise",
    "confusion": "surprise",
    "curiosity": "surprise",
    "neutral": "neutral",
}

FACE_SPACES = (FER2013_7, FERPLUS_8, CKPLUS_7, RAFDB_7, AFFECTNET_8)
"""The basic emotions of faces as five data sets write them."""

_FACE_ORIGINS = {
    "ferplus-to-fer2013": "names of FER2013, without contempt (Barsoum et al. 2016)",
    "ckplus-to-fer2013": "the thesis' merge of CK+48 into FER2013: renames, contempt discarded",
}
_NOUNS = {"angry": "anger", "happy": "happiness", "sad": "sadness"}


def find_label(space: LabelSpace, label: str) -> str | None:
    """The name that a space has for an emotion, as a noun or an adjective; None without one."""
    return {_NOUNS.get(n, n): n for n in space.names}.get(_NOUNS.get(label, label))


def _face_rules() -> Iterator[Relabel]:
    """Every pair of `FACE_SPACES`: the same emotion under its other name, without one dropped."""
    for source, target in permutations(FACE_SPACES, 2):
        renames = {label: find_label(target, label) for label in source.names}
        name = f"{source.name[:-2]}-to-{target.name[:-2]}"
        origin = _FACE_ORIGINS.get(name, "the same emotions by name, our choice; others dropped")
        yield relabel_by_name(name, source, target, renames, origin)


RELABELS: dict[str, Relabel] = {
    rule.name: rule
    for rule in (
        *_face_rules(),
        relabel_by_name(
            "fer2013-to-text-7",
            FER2013_7,
            TEXT_7,
            {},
            "the thesis codes face and text with the same seven classes, in alphabetical order",
        ),
        relabel_by_name(
            "isear-to-text-5",
            ISEAR_7,
            TEXT_5,
            _THESIS_TEXT,
            "the thesis' five-class text set: renames, shame and guilt discarded",
        ),
        relabel_by_name(
            "isear-to-text-7",
            ISEAR_7,
            TEXT_7,
            _THESIS_TEXT,
            "the thesis' seven-class text sets: as isear-to-text-5, into the wider space",
        ),
        relabel_by_name(
            "meld-to-text-7", MELD_7, TEXT_7, _THESIS_TEXT, "the thesis' renames of MELD"
        ),
        relabel_by_name(
            "goemotions-to-text-7",
            GOEMOTIONS_28,
            TEXT_7,
            _JOY_WORDS,
            "Ekman grouping of GoEmotions (Demszky et al. 2020, appendix), joy named happy",
        ),
    )
}


_NEGATIVE: dict[str, str | None] = dict.fromkeys(FERPLUS_8.names, "negative")
VALENCE_RULE = relabel_by_name(
    "ferplus-to-valence",
    FERPLUS_8,
    VALENCE_3,
    {**_NEGATIVE, "neutral": "neutral", "happiness": "positive", "surprise": None},
    "sign of valence (Russell 1980); surprise has either, a class of its own in See et al. 2019",
)

# --- decision lists over FER+ votes ------------------------------------------------------------

FERPLUS_VOTES: tuple[str, ...] = (*FERPLUS_8.names, "unknown", "NF")
"""Columns of a FER+ vote array (n, 10): the eight emotions, 'unknown' and 'not a face'."""

UNLABELED = -1
"""Label of a row that no rule keeps."""

VoteColumns = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class DecisionList:
    """An ordered list of rules over vote counts: the first rule that holds names the label.

    Args:
        name: identifier of the rule.
        target: label space of the result.
        rules: pairs of (label, predicate over named vote columns giving a boolean array).
        keep: predicate for rows that may have a label at all.
        origin: where the rule comes from.
    """

    name: str
    target: LabelSpace
    rules: tuple[tuple[str, Callable[[VoteColumns], NDArray[np.bool_]]], ...]
    keep: Callable[[VoteColumns], NDArray[np.bool_]]
    origin: str

    def apply(self, votes: ArrayLike) -> NDArray[np.int64]:
        """Labels (n,) int64 for FER+ votes (n, 10); `UNLABELED` where no rule holds.

        Raises:
            ShapeError: the votes do not have ten columns, or one is negative.
        """
        columns = vote_columns(votes)
        rows = len(columns["NF"])
        labels = np.full(rows, UNLABELED, dtype=np.int64)
        free = self.keep(columns)
        for label, holds in self.rules:
            hit = free & holds(columns)
            labels[hit] = self.target.index(label)
            free = free & ~hit
        return labels


def vote_columns(votes: ArrayLike) -> VoteColumns:
    """Named views of a (n, 10) FER+ vote array, in the order of `FERPLUS_VOTES`."""
    array = np.asarray(votes, dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != len(FERPLUS_VOTES):
        raise ShapeError(f"FER+ votes have shape (n, {len(FERPLUS_VOTES)}), not {array.shape}")
    if array.size and array.min() < 0:
        raise ShapeError(f"FER+ votes cannot be negative: {array.min()}")
    return {name: array[:, i] for i, name in enumerate(FERPLUS_VOTES)}


_STATE_SCORES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")


def _tops_all(columns: VoteColumns, winner: str) -> NDArray[np.bool_]:
    others = np.stack([columns[name] for name in _STATE_SCORES if name != winner])
    return np.asarray(columns[winner] > others.max(axis=0))


LEARNING_STATE_RULE = DecisionList(
    name="learning-state",
    target=LEARNING_STATE_4,
    rules=(
        ("angry", lambda c: _tops_all(c, "anger") | (c["anger"] > 2)),
        ("focused", lambda c: _tops_all(c, "neutral") & (c["sadness"] == 0) & (c["anger"] == 0)),
        ("neutral", lambda c: _tops_all(c, "neutral") & (c["neutral"] > 6)),
        (
            "bored",
            lambda c: (
                (c["happiness"] == 0)
                & (c["fear"] == 0)
                & (c["sadness"] > 0)
                & (c["neutral"] > 0)
                & (c["anger"] + 2 < c["sadness"])
            ),
        ),
    ),
    keep=lambda c: (c["NF"] == 0) & (c["unknown"] < 5),
    origin="A.I.ducation Analytics: four states from FER+ votes; contempt is not looked at",
)


def ferplus_distribution(votes: ArrayLike) -> NDArray[np.float32]:
    """Soft FER+ labels (n, 8): emotions with one vote only are dropped as outliers, the rest
    normalised (Barsoum et al. 2016). Rows with nothing left are all zero."""
    columns = vote_columns(votes)
    counts = np.stack([columns[name] for name in FERPLUS_8.names], axis=1).astype(np.float32)
    counts[counts == 1] = 0
    total = counts.sum(axis=1, keepdims=True)
    shares: NDArray[np.float32] = counts / np.maximum(total, 1.0)  # a total is 0 or at least 2
    return shares


def ferplus_majority(votes: ArrayLike) -> NDArray[np.int64]:
    """Hard FER+ labels (n,) int64: the emotion with more votes than any other choice.

    `UNLABELED` where 'unknown' or 'not a face' has as many votes or the first place is shared.
    """
    array = np.stack(list(vote_columns(votes).values()), axis=1)
    order = np.sort(array, axis=1)
    winner = array.argmax(axis=1)
    clear = (order[:, -1] > order[:, -2]) & (winner < len(FERPLUS_8))
    return np.where(clear, winner, UNLABELED).astype(np.int64)


def ferplus_draw(votes: ArrayLike, random: np.random.Generator) -> NDArray[np.int64]:
    """Hard FER+ labels (n,) int64 drawn from `ferplus_distribution`: the probabilistic labels of
    Barsoum et al. 2016, who draw anew in every epoch. `UNLABELED` where the distribution is empty.
    """
    shares = ferplus_distribution(votes).astype(np.float64)
    drawn = (random.random((len(shares), 1)) >= shares.cumsum(axis=1)).sum(axis=1)
    last = shares.shape[1] - 1 - (shares[:, ::-1] > 0).argmax(axis=1)  # rounding ends below 1
    labels = np.minimum(drawn, last)
    return np.where(shares.sum(axis=1) > 0, labels, UNLABELED).astype(np.int64)
