"""When a text gets no answer: too short to mean anything, or not in the language that was learned.

The language is told by known words: those that the training texts have often. English text is made
of them; in another language hardly a word is one. Measured in docs/text.md.
"""

import re
from collections.abc import Collection

from classpulse.core.text_card import TextGate

TOO_SHORT = "too short"
OTHER_LANGUAGE = "not in the language of the model"
UNSURE = "not sure enough"

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")  # letters of any script, don't


def split_words(text: str) -> list[str]:
    """Words in lower case: runs of letters, apostrophes inside; no digits, signs or emoji."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.lower())]


def known_share(text: str, words: Collection[str]) -> float:
    """Share of a text's words that are among `words`, in [0, 1]; 0 of a text without words."""
    found = split_words(text)
    return sum(word in words for word in found) / len(found) if found else 0.0


def why_silent(text: str, gate: TextGate, words: Collection[str]) -> str | None:
    """Why a text gets no answer, or None where it does.

    Args:
        words: known ones in lower case; a set, it is asked once for each word.
    """
    if len(split_words(text)) < gate.min_words:
        return TOO_SHORT
    return OTHER_LANGUAGE if known_share(text, words) < gate.min_known else None
