"""Texts from which nothing can be learned: non-answers, and the same words under two labels.

ISEAR asked for a situation; who had none wrote "[ No response.]", "Never experienced." or "The same
as in anger.", and the row kept the emotion that was asked for. MELD has "What?" as neutral and as
surprise. The thesis learned from both kinds; validation parts keep them, so that results compare.
"""

import re
from dataclasses import dataclass

import numpy as np

from classpulse.lab.data.text_duplicates import compare_key, text_duplicates
from classpulse.lab.data.texts import TextSet

MOST_WORDS = 10  # of a non-answer that begins with words a report may begin with too
_WHOLE = re.compile(
    r"no (response|description|answer)|blank|none|never|n a"
    r"|not applicable( to myself)?|(does not|doesn t) apply"
    r"|(i have )?never (experienced|felt)( (this|the|that|any) (emotion|feeling))?"
    r"|i (have not|haven t) felt this (emotion|feeling)( yet| in my life)?"
    r"|the same as in \w+|the same for \w+ would apply|the previous incident holds good here also"
)
_BEGINNING = re.compile(
    r"(i )?(can not|cannot|can t|do not|don t) (remember|recall|think of|describe)\b"
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A set without what teaches nothing, and how many rows that was.

    Args:
        non_answers: rows that do not say what happened.
        contradictory: further rows whose words stand under another label too.
    """

    texts: TextSet
    non_answers: int
    contradictory: int


def is_non_answer(text: str) -> bool:
    """Whether a text says that there is nothing to tell, or refers to another answer.

    Case and punctuation do not count. It knows the English phrases of ISEAR, and misses others.
    """
    key = compare_key(text)
    if _WHOLE.fullmatch(key):
        return True
    return len(key.split()) <= MOST_WORDS and _BEGINNING.match(key) is not None


def drop_unclear(texts: TextSet) -> Cleaned:
    """The set without non-answers, then without all rows of a text that has several labels."""
    said = np.array([not is_non_answer(text) for text in texts.texts], dtype=np.bool_)
    kept = texts.take(said, name=texts.name)
    clear = np.ones(len(kept), dtype=np.bool_)
    for repeat in text_duplicates(kept).contradictory:
        clear[repeat.rows] = False
    return Cleaned(
        kept.take(clear, name=f"{texts.name}, cleaned"),
        non_answers=int((~said).sum()),
        contradictory=int((~clear).sum()),
    )
