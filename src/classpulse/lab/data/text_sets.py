"""The thesis' text sets, row for row (seed-thesis D.1 and D.3).

A set is a list of draws from the corpora. A split into parts depends on nothing but which class a
row has and the how-manieth of its class it is, so a set that lacks some rows of the original can
still be split as the original was: `Composition` keeps that place of every row, and `text_gaps`
knows which rows the published files lack.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from classpulse.core.errors import InputError
from classpulse.core.labels import RELABELS, TEXT_5, TEXT_7, LabelSpace
from classpulse.lab.data.splits import PROTOCOLS, SEED, Parts, Rows
from classpulse.lab.data.texts import TextSet, concat_texts, relabel_texts

PER_CLASS = 1096  # ISEAR's largest class; MELD's neutral and surprise are drawn to the same size
TEST_SHARE = 0.1
VALID_SHARE = 0.2222  # of the rest: 70/20/10 in all

Gaps = Mapping[str, Mapping[str, NDArray[np.int64]]]
"""corpus -> class -> sorted places among the original rows of that class that the file lacks."""

COMPLETE: Gaps = {}


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows of one class of one corpus: all in file order, or `size` of them at random."""

    corpus: str
    label: str
    size: int | None = None


Block = tuple[Draw, ...]  # drawn, then put in file order: all of one corpus
Recipe = tuple[Block, ...]

_ISEAR: Block = tuple(Draw("isear", label) for label in TEXT_5.names)
FIVE: Recipe = (_ISEAR,)
SEVEN: Recipe = (
    _ISEAR,
    (Draw("meld", "neutral", PER_CLASS),),
    (Draw("meld", "surprise", PER_CLASS),),
)


def _isear_and_meld(label: str) -> Recipe:
    return (Draw("isear", label),), (Draw("meld", label, 216),)


SEVEN_FROM_THREE: Recipe = (
    (Draw("meld", "neutral", 1310),),
    *_isear_and_meld("angry"),
    *_isear_and_meld("sad"),
    *_isear_and_meld("happy"),
    (Draw("meld", "surprise"),),
    (Draw("iemocap", "surprise", 106),),
    *_isear_and_meld("fear"),
    *_isear_and_meld("disgust"),
)


@dataclass(frozen=True, slots=True)
class Composition:
    """A composed set and where each row stood in the original.

    Args:
        texts: the n rows that the files have, in the order of the original.
        ordinal: (n,) int64, place of the row among the original rows of its class, from 0.
        sizes: (k,) int64, rows of each class in the original, present or not.
    """

    texts: TextSet
    ordinal: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


def compose_five(isear: TextSet, *, gaps: Gaps = COMPLETE) -> Composition:
    """Five emotions: ISEAR without shame and guilt, 5,477 rows."""
    corpora = {"isear": relabel_texts(isear, RELABELS["isear-to-text-5"])}
    return _compose(FIVE, corpora, TEXT_5, gaps, "thesis text, 5 emotions")


def compose_seven(isear: TextSet, meld: TextSet, *, gaps: Gaps = COMPLETE) -> Composition:
    """Seven emotions: the five of ISEAR, then neutral and surprise from MELD, 7,669 rows.

    Raises:
        InputError: MELD has fewer than 1,096 rows of a class that is drawn from.
    """
    corpora = {
        "isear": relabel_texts(isear, RELABELS["isear-to-text-7"]),
        "meld": relabel_texts(meld, RELABELS["meld-to-text-7"]),
    }
    return _compose(SEVEN, corpora, TEXT_7, gaps, "thesis text, 7 emotions")


def compose_seven_from_three(
    isear: TextSet, meld: TextSet, iemocap: TextSet, *, gaps: Gaps = COMPLETE
) -> Composition:
    """Seven emotions from three corpora, class by class, 9,178 rows.

    Raises:
        InputError: a class has fewer rows than are drawn from it.
    """
    corpora = {
        "isear": relabel_texts(isear, RELABELS["isear-to-text-7"]),
        "meld": relabel_texts(meld, RELABELS["meld-to-text-7"]),
        "iemocap": iemocap,
    }
    name = "thesis text, 7 emotions, 3 corpora"
    return _compose(SEVEN_FROM_THREE, corpora, TEXT_7, gaps, name)


def sample_rows(n: int, size: int, *, seed: int = SEED) -> NDArray[np.int64]:
    """`size` of the positions 0..n-1, the same and in the same order as pandas' `.sample`.

    pandas draws with `RandomState(seed).choice`, without replacement; the test compares the two.

    Raises:
        InputError: fewer rows than are asked for.
    """
    if not 0 <= size <= n:
        raise InputError(f"cannot draw {size} of {n} rows without drawing one twice")
    return np.random.RandomState(seed).choice(n, size=size, replace=False).astype(np.int64)


def thesis_parts(labels: NDArray[np.int64], *, seed: int = SEED) -> Parts:
    """70/20/10 by scikit-learn's stratified `train_test_split`, twice (seed-thesis D.3).

    Args:
        labels: (n,) int64 of a complete set.

    Returns:
        Positions of train, valid and test, in the order in which the thesis feeds them.

    Raises:
        InputError: a class is too small to be in every part.
    """
    rows = np.arange(len(labels), dtype=np.int64)
    try:
        rest, test = train_test_split(
            rows, test_size=TEST_SHARE, stratify=labels, random_state=seed
        )
        train, valid = train_test_split(
            rest, test_size=VALID_SHARE, stratify=labels[rest], random_state=seed
        )
    except ValueError as error:
        counts = np.unique(labels, return_counts=True)[1].tolist()
        raise InputError(
            f"cannot split classes of {counts} rows into 70/20/10: {error}; add texts or drop "
            "the class"
        ) from None
    return {"train": train, "valid": valid, "test": test}


@PROTOCOLS.register("thesis-text")
def split_thesis_text(rows: Rows, *, seed: int = SEED) -> Parts:
    """The thesis' text sets, complete: 70/20/10 stratified. With gaps: `split_composed`."""
    return thesis_parts(rows.labels, seed=seed)


def split_composed(composed: Composition, *, seed: int = SEED) -> Parts:
    """`thesis_parts` of the original set, less the rows that are not here.

    The draws go through one class after the other and see only places within a class; so the set
    can be lined up class by class here, whatever its order: the parts are the original's.
    """
    firsts = np.concatenate([[0], np.cumsum(composed.sizes)])
    here = np.full(firsts[-1], -1, dtype=np.int64)  # original row, class by class -> our row
    here[firsts[composed.texts.labels] + composed.ordinal] = np.arange(len(composed))
    labels = np.repeat(np.arange(len(composed.sizes)), composed.sizes)
    parts = {name: here[part] for name, part in thesis_parts(labels, seed=seed).items()}
    return {name: part[part >= 0] for name, part in parts.items()}


def _compose(
    recipe: Recipe, corpora: Mapping[str, TextSet], space: LabelSpace, gaps: Gaps, name: str
) -> Composition:
    sizes = np.zeros(len(space), dtype=np.int64)
    blocks: list[TextSet] = []
    ordinals: list[NDArray[np.int64]] = []
    for block in recipe:
        corpus = corpora[block[0].corpus]
        rows, ordinal = [], []
        for draw in block:
            label = space.index(draw.label)
            drawn = _drawn(draw, corpus, gaps)
            here = np.flatnonzero(drawn >= 0)
            rows.append(drawn[here])
            ordinal.append(sizes[label] + here)
            sizes[label] += len(drawn)
        chosen = np.concatenate(rows)
        # a block of several classes keeps the order of the file, a single draw its own
        order = np.argsort(chosen) if len(block) > 1 else np.arange(len(chosen))
        blocks.append(corpus.take(chosen[order], name=name))
        ordinals.append(np.concatenate(ordinal)[order])
    return Composition(concat_texts(blocks, name=name), np.concatenate(ordinals), sizes)


def _drawn(draw: Draw, corpus: TextSet, gaps: Gaps) -> NDArray[np.int64]:
    """Rows of the corpus in the order of the draw; -1 where the file lacks the row."""
    mine = np.flatnonzero(corpus.labels == corpus.space.index(draw.label))
    absent = gaps.get(draw.corpus, {}).get(draw.label, np.empty(0, dtype=np.int64))
    original = np.full(len(mine) + len(absent), -1, dtype=np.int64)
    original[np.setdiff1d(np.arange(len(original)), absent)] = mine
    if draw.size is None:
        return original
    try:
        return original[sample_rows(len(original), draw.size)]
    except InputError as error:
        raise InputError(f"{corpus.name}, {draw.label}: {error}") from None
