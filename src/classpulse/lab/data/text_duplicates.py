"""Texts that occur more than once, with one label or with several.

Two texts are the same here if they have the same letters and digits in the same words: case,
punctuation and spacing do not count (seed-thesis E.2).
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.lab.data.rows import as_rows
from classpulse.lab.data.texts import TextSet


@dataclass(frozen=True, slots=True)
class Repeat:
    """One text and all the places where it stands.

    Args:
        key: the text as it is compared.
        rows: (m,) int64 positions in the set, at least two.
        labels: its distinct labels, in the order of the space.
    """

    key: str
    rows: NDArray[np.int64]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextRepeats:
    """Every text of a set that occurs more than once, the most frequent first."""

    n: int
    repeats: tuple[Repeat, ...]

    @property
    def repeated_rows(self) -> int:
        """Rows whose text occurs more than once."""
        return sum(len(one.rows) for one in self.repeats)

    @property
    def contradictory(self) -> tuple[Repeat, ...]:
        """Those with more than one label: no model can get all of their rows right."""
        return tuple(one for one in self.repeats if len(one.labels) > 1)

    @property
    def contradictory_rows(self) -> int:
        """Rows whose text has more than one label."""
        return sum(len(one.rows) for one in self.contradictory)


@dataclass(frozen=True, slots=True)
class SharedTexts:
    """How many held-out texts stand in training too.

    Args:
        n: rows held out; shared: of these, with a text that training has; same_label: and has with
            the same label; only_that_label: and with no other.
    """

    n: int
    shared: int
    same_label: int
    only_that_label: int


def text_duplicates(texts: TextSet) -> TextRepeats:
    """Texts that occur more than once, with the labels they have."""
    places: dict[str, list[int]] = {}
    for i, text in enumerate(texts.texts):
        places.setdefault(compare_key(text), []).append(i)
    found = [
        Repeat(key, np.array(rows, dtype=np.int64), _label_names(texts, rows))
        for key, rows in places.items()
        if len(rows) > 1
    ]
    return TextRepeats(len(texts), tuple(sorted(found, key=lambda one: -len(one.rows))))


def shared_texts(
    texts: TextSet,
    *,
    train: NDArray[np.bool_] | NDArray[np.int64],
    held_out: NDArray[np.bool_] | NDArray[np.int64],
) -> SharedTexts:
    """Texts of `held_out` that stand in `train` too, counted by row of `held_out`.

    Args:
        train, held_out: masks (n,) or positions (m,), as `TextSet.take` takes them.

    Raises:
        ShapeError: as `TextSet.take`.
    """
    known: dict[str, set[int]] = {}
    for i in as_rows(train, len(texts)):
        known.setdefault(compare_key(texts.texts[i]), set()).add(int(texts.labels[i]))
    rows = as_rows(held_out, len(texts))
    found = [(int(texts.labels[i]), known.get(compare_key(texts.texts[i]), set())) for i in rows]
    return SharedTexts(
        n=len(rows),
        shared=sum(bool(labels) for _, labels in found),
        same_label=sum(label in labels for label, labels in found),
        only_that_label=sum(labels == {label} for label, labels in found),
    )


def compare_key(text: str) -> str:
    """The words of a text in lower case, single spaces between; a text without words is itself."""
    words = re.findall(r"[^\W_]+", text.lower())
    return " ".join(words) or text.strip()


def _label_names(texts: TextSet, rows: list[int]) -> tuple[str, ...]:
    return tuple(texts.space.names[i] for i in np.unique(texts.labels[rows]))
