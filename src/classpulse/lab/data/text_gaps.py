"""Which rows of ISEAR and MELD are held back, worked out from counts alone.

The files that developers get lack the test rows of the thesis' sets of 5 and 7 emotions. A
stratified split depends on the class sizes only, and those are known (seed-thesis D.1), so the
places of the missing rows follow without seeing any of them. The result is checked: with these
gaps filled, the label order of ISEAR gives all sixteen check values of seed-thesis D.3.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import TEXT_5, TEXT_7
from classpulse.lab.data.text_sets import COMPLETE, PER_CLASS, Gaps, sample_rows, thesis_parts
from classpulse.lab.data.texts import TextSet

ISEAR_COUNTS: dict[str, int] = {
    "joy": 1094, "fear": 1095, "anger": 1096, "sadness": 1096, "disgust": 1096, "shame": 1096,
    "guilt": 1093,
}  # fmt: skip
MELD_COUNTS: dict[str, int] = {
    "neutral": 4710, "surprise": 1205, "fear": 268, "sadness": 683, "joy": 1743, "disgust": 271,
    "anger": 1109,
}  # fmt: skip
"""Rows per label of the complete files (seed-thesis D.1)."""

_ORIGINAL_NAME = {"angry": "anger", "happy": "joy", "sad": "sadness"}


def thesis_gaps() -> Gaps:
    """Places of all rows that are in a test part of the thesis' sets of 5 or of 7 emotions."""
    five = _test_places({label: _isear_count(label) for label in TEXT_5.names})
    sizes = {
        label: _isear_count(label) if label in TEXT_5.names else PER_CLASS for label in TEXT_7.names
    }
    seven = _test_places(sizes)
    meld = {
        label: np.sort(sample_rows(MELD_COUNTS[label], PER_CLASS)[seven[label]])
        for label in ("neutral", "surprise")
    }
    isear = {label: np.union1d(five[label], seven[label]) for label in TEXT_5.names}
    return {"isear": isear, "meld": meld}


def find_gaps(isear: TextSet, meld: TextSet | None = None) -> Gaps:
    """The gaps of the files as read: none if they are complete, `thesis_gaps` where rows lack.

    Args:
        meld: for the sets of 7 emotions; the set of 5 does without.

    Raises:
        InputError: a file has other counts than the complete one and the one without test rows.
    """
    known = thesis_gaps()
    found = {"isear": _match(isear, ISEAR_COUNTS, known["isear"])}
    if meld is not None:
        found["meld"] = _match(meld, MELD_COUNTS, known["meld"])
    return {corpus: gaps for corpus, gaps in found.items() if gaps} or COMPLETE


def _match(
    texts: TextSet, complete: Mapping[str, int], gaps: Mapping[str, NDArray[np.int64]]
) -> Mapping[str, NDArray[np.int64]]:
    counts = texts.counts()
    if counts == complete:
        return {}
    lacking = {_ORIGINAL_NAME.get(label, label): len(rows) for label, rows in gaps.items()}
    expected = {label: n - lacking.get(label, 0) for label, n in complete.items()}
    if counts == expected:
        return gaps
    raise InputError(
        f"{texts.name} has {counts}; the complete file has {complete}, the one without the "
        f"thesis' test rows {expected}. Compose other files without gaps"
    )


def _isear_count(label: str) -> int:
    return ISEAR_COUNTS[_ORIGINAL_NAME.get(label, label)]


def _test_places(sizes: Mapping[str, int]) -> dict[str, NDArray[np.int64]]:
    """Places within each class that the thesis' split puts into the test part."""
    labels = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    test = thesis_parts(labels)["test"]
    firsts = np.cumsum([0, *sizes.values()])
    return {name: np.sort(test[labels[test] == i]) - firsts[i] for i, name in enumerate(sizes)}
