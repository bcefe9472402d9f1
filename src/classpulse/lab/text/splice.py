"""The beginning of one training text and the end of another: texts for teachers to label.

A pupil that is asked about texts whose labels it learns by heart sees little of what its teacher
knows; TinyBERT (Jiao et al. 2020, section 3.2) asks about twenty changed copies of each, whose
words a language model exchanges. Here whole clauses are exchanged: each is as somebody wrote it,
their company is new, and what the whole says is for the teacher to tell.
"""

import re
from collections.abc import Sequence

import numpy as np

LEAST = 3  # words of either part
_ENDS = re.compile(r"[.,;:!?]$")
_BEGINS = frozenset(
    "although and as because before but if since so that then though until when where which while "
    "who whom".split()
)


def splice_texts(texts: Sequence[str], *, each: int, seed: int) -> list[str]:
    """`each` new texts for every text of 2 `LEAST` words or more: its beginning, another's end.

    Both are cut where a clause ends if there is such a place, else in the middle. The other is
    drawn from all texts.
    """
    words = [text.split() for text in texts]
    long = [place for place, some in enumerate(words) if len(some) >= 2 * LEAST]
    made: list[str] = []
    for place in long if len(long) > 1 else ():
        draw = np.random.default_rng((seed, place))
        for _ in range(each):
            first, second = words[place], words[long[int(draw.integers(len(long)))]]
            made.append(" ".join([*first[: _cut(first, draw)], *second[_cut(second, draw) :]]))
    return made


def _cut(words: Sequence[str], draw: np.random.Generator) -> int:
    """A place between two words, before which a clause ends or after which one begins."""
    places = [
        i
        for i in range(LEAST, len(words) - LEAST + 1)
        if _ENDS.search(words[i - 1]) or words[i].lower() in _BEGINS
    ]
    return int(draw.choice(places)) if places else len(words) // 2
