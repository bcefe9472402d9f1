"""Labelled writing in memory: one label a text, or several."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, LabelError, ShapeError
from classpulse.core.labels import LabelSpace, Relabel
from classpulse.lab.data.rows import as_rows
from classpulse.text.clean import PRE_STEPS, Cleaner, clean_1


@dataclass(frozen=True, slots=True)
class TextSet:
    """Texts with one label each, struct of arrays.

    Args:
        texts: n texts, as they stand in the file until `clean_texts` is called.
        labels: (n,) int64, columns of `space`.
        space: what the labels mean.
        source: n names of the corpus that each text comes from.
        row: (n,) int64, its row in that corpus' file, from 0, the header not counted.
        name: what it is, for cards and messages.

    Raises:
        ShapeError: columns of different length, or labels that are not int64.
        LabelError: a label outside 0 .. k-1.
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]
    space: LabelSpace
    source: tuple[str, ...]
    row: NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        n = len(self.texts)
        if self.labels.shape != (n,) or self.row.shape != (n,) or len(self.source) != n:
            raise ShapeError(
                f"{self.name}: {n} texts need labels and rows of shape ({n},) and {n} sources, "
                f"not {self.labels.shape}, {self.row.shape} and {len(self.source)}"
            )
        if self.labels.dtype != np.int64 or self.row.dtype != np.int64:
            raise ShapeError(f"{self.name}: labels and rows are int64, not {self.labels.dtype}")
        if n and not 0 <= self.labels.min() <= self.labels.max() < len(self.space):
            raise LabelError(
                f"{self.name}: labels {self.labels.min()}..{self.labels.max()}, "
                f"{self.space.name} has 0..{len(self.space) - 1}"
            )

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64], *, name: str) -> "TextSet":
        """Some rows under a new name, by mask (n,) bool or by position (m,) int64, in that order.

        Raises:
            ShapeError: a mask of another length, a position that is not there, or another dtype.
        """
        rows = as_rows(rows, len(self))
        return TextSet(
            texts=tuple(self.texts[i] for i in rows),
            labels=self.labels[rows],
            space=self.space,
            source=tuple(self.source[i] for i in rows),
            row=self.row[rows],
            name=name,
        )

    def counts(self) -> dict[str, int]:
        """Texts per label, in the order of the space."""
        found = np.bincount(self.labels, minlength=len(self.space)).tolist()
        return dict(zip(self.space.names, found, strict=True))


@dataclass(frozen=True, slots=True)
class MultiTextSet:
    """Texts with any number of labels each.

    Args:
        texts: n texts.
        targets: (n, k) uint8, 1 where the label holds.
        space: the k labels.
        row: (n,) int64 row in the file, from 0.
        name: corpus name.

    Raises:
        ShapeError: the columns do not fit each other.
    """

    texts: tuple[str, ...]
    targets: NDArray[np.uint8]
    space: LabelSpace
    row: NDArray[np.int64]
    name: str

    def __post_init__(self) -> None:
        n, k = len(self.texts), len(self.space)
        if self.targets.shape != (n, k) or self.row.shape != (n,):
            raise ShapeError(
                f"{self.name}: {n} texts with {k} labels need targets ({n}, {k}) and rows ({n},), "
                f"not {self.targets.shape} and {self.row.shape}"
            )

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.int64], *, name: str) -> "MultiTextSet":
        """Some texts under a new name, by position (m,) int64, in that order.

        Raises:
            ShapeError: a position that is not there, or another dtype.
        """
        rows = as_rows(rows, len(self))
        texts = tuple(self.texts[i] for i in rows)
        return MultiTextSet(texts, self.targets[rows], self.space, self.row[rows], name)

    def single(self) -> TextSet:
        """The texts that have exactly one label, as a `TextSet`; the others are left out.

        Of GoEmotions' 43,410 training texts 36,308 stay (Demszky et al. 2020, table 1: 83 %).
        """
        rows = np.flatnonzero(self.targets.sum(axis=1, dtype=np.int64) == 1)
        return TextSet(
            texts=tuple(self.texts[i] for i in rows),
            labels=self.targets[rows].argmax(axis=1).astype(np.int64),
            space=self.space,
            source=(self.name,) * len(rows),
            row=self.row[rows],
            name=f"{self.name}, one label",
        )


def relabel_texts(texts: TextSet, rule: Relabel) -> TextSet:
    """The texts under another label space; those whose label the rule drops are left out.

    Raises:
        LabelError: the rule starts from another space, or shares one label out over several.
    """
    if rule.source != texts.space:
        raise LabelError(
            f"'{rule.name}' relabels {rule.source.name}, '{texts.name}' has {texts.space.name}"
        )
    if not np.isin(rule.matrix, (0, 1)).all():
        raise LabelError(f"'{rule.name}' shares a label out; a text has one label")
    kept = texts.take(rule.matrix.sum(axis=1)[texts.labels] > 0, name=texts.name)
    labels = rule.matrix.argmax(axis=1)[kept.labels].astype(np.int64)
    return TextSet(kept.texts, labels, rule.target, kept.source, kept.row, kept.name)


def concat_texts(sets: Sequence[TextSet], *, name: str) -> TextSet:
    """Several sets of one label space, one after the other.

    Raises:
        InputError: no sets. LabelError: their spaces differ.
    """
    if not sets:
        raise InputError(f"'{name}' is made of no text sets; give one or more")
    spaces = {one.space for one in sets}
    if len(spaces) > 1:
        raise LabelError(f"'{name}' would mix {', '.join(sorted(s.name for s in spaces))}")
    return TextSet(
        texts=tuple(text for one in sets for text in one.texts),
        labels=np.concatenate([one.labels for one in sets]),
        space=sets[0].space,
        source=tuple(name for one in sets for name in one.source),
        row=np.concatenate([one.row for one in sets]),
        name=name,
    )


def clean_texts(texts: TextSet, *, clean: Cleaner = clean_1) -> TextSet:
    """Every text through its corpus' step (`PRE_STEPS`, by source) and then through `clean`."""
    cleaned = tuple(
        clean(PRE_STEPS[source](text) if source in PRE_STEPS else text)
        for text, source in zip(texts.texts, texts.source, strict=True)
    )
    return TextSet(cleaned, texts.labels, texts.space, texts.source, texts.row, texts.name)
