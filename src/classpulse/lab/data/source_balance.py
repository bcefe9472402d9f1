"""Sets in which the corpus of a text says nothing of its class.

In the thesis' set of seven emotions neutral and surprise come from one corpus and the other five
from another, so whoever tells the corpora apart has told the classes apart (seed-thesis E.2, 4).
The corpus is uninformative if every class has the same share of every corpus. A corpus that lacks a
class, as ISEAR does neutral and surprise, would need a share of zero of all the others: it cannot
be part of such a set.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classpulse.lab.data.splits import SEED
from classpulse.lab.data.text_duplicates import text_duplicates
from classpulse.lab.data.texts import TextSet, concat_texts

PART = "-"
"""Between a corpus and its part in a source: "goemotions-dev" has rows of its own."""


def corpora_of(texts: TextSet) -> NDArray[np.str_]:
    """(n,) corpus of every text; the parts of a corpus are one."""
    return np.array([source.partition(PART)[0] for source in texts.source], dtype=np.str_)


def count_corpora(texts: TextSet) -> dict[str, NDArray[np.int64]]:
    """Corpus -> (k,) int64 texts of each class, the corpora by name."""
    corpora, k = corpora_of(texts), len(texts.space)
    return {
        str(corpus): np.bincount(texts.labels[corpora == corpus], minlength=k)
        for corpus in np.unique(corpora)
    }


def distinct_texts(sets: Sequence[TextSet]) -> list[TextSet]:
    """Every text once, in the first set that has it; texts with several labels are left out."""
    whole = concat_texts(sets, name="all")
    kept = np.ones(len(whole), dtype=np.bool_)
    for one in text_duplicates(whole).repeats:
        kept[one.rows[len(one.labels) == 1 :]] = False
    masks = np.split(kept, np.cumsum([len(one) for one in sets])[:-1])
    return [one.take(mask, name=one.name) for one, mask in zip(sets, masks, strict=True)]


def draw_classes(texts: TextSet, *, seed: int = SEED) -> NDArray[np.int64]:
    """(k, m) positions of as many texts of each class as the rarest has, at random."""
    random = np.random.default_rng(seed)
    of_class = [
        random.permutation(np.flatnonzero(texts.labels == label))
        for label in range(len(texts.space))
    ]
    least = min(map(len, of_class))
    return np.stack([rows[:least] for rows in of_class])


def balance_sources(texts: TextSet, *, name: str, seed: int = SEED) -> TextSet:
    """Equally many texts of each class of every corpus that has them all; of the others none."""
    corpora = corpora_of(texts)
    rows = [np.empty(0, dtype=np.int64)]
    for corpus in np.unique(corpora):
        mine = np.flatnonzero(corpora == corpus)
        rows.append(mine[draw_classes(texts.take(mine, name=name), seed=seed).ravel()])
    return texts.take(np.concatenate(rows), name=name)
