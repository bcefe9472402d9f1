"""Which words of a text spoke for its label: what changes when each is left out."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from classpulse.core.errors import InputError
from classpulse.core.records import Scores

MOST_WORDS = 200  # of a text that is explained: each costs a run of the network
FLOOR = 1e-6

_WORD = re.compile(r"\S+")


class Predicts(Protocol):
    """What reads texts, for example `runtime.text.OnnxTextModel`."""

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """One word of a text.

    Args:
        word: as it was written; start: its first character in the text.
        weight: log odds of the label with the word minus those without it: above 0 it speaks for
            the label, below against.
    """

    word: str
    start: int
    weight: float


def explain(model: Predicts, text: str, *, head: str, label: str) -> list[Evidence]:
    """The words of a text by how much they change the odds of `label`, the most telling first.

    Leave-one-out occlusion (Zeiler & Fergus 2014, for pictures; Li et al. 2016, for words). It says
    what the network used, not why somebody wrote it; two words that say the same hide each other.

    Args:
        text: words are runs of anything but white space, the first `MOST_WORDS` are asked about.

    Raises:
        InputError: the model has no such head.
        LabelError: the head has no such label.
    """
    words = [*_WORD.finditer(text)][:MOST_WORDS]
    variants = [text[: word.start()] + text[word.end() :] for word in words]
    scores = model.predict([text, *variants])
    if head not in scores:
        raise InputError(f"no head '{head}'; the model has: {', '.join(scores)}")
    column = scores[head].probs[:, scores[head].space.index(label)]
    odds = [_log_odds(float(p)) for p in column]
    found = [
        Evidence(word[0], word.start(), odds[0] - without)
        for word, without in zip(words, odds[1:], strict=True)
    ]
    return sorted(found, key=lambda one: (-one.weight, one.start))


def _log_odds(p: float) -> float:
    safe = min(max(p, FLOOR), 1 - FLOOR)
    return math.log(safe) - math.log1p(-safe)
