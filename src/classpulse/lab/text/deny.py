"""Clauses of training texts that name a feeling, said with other words for it and denied.

Reports of emotions say what was felt and hardly ever what was not, and none of EDA's operations
puts in a "not": a model trained on them answers that "I am not worried" is fear. These are contrast
sets for training, made by rule (Gardner et al. 2020 make them by hand, for tests).

The clause stays as somebody wrote it; only the word of the feeling is exchanged, so that a few
hundred clauses say every feeling. Of the words here none is among those that
`lab.evaluate.text_behaviour_words` asks about: the behaviour tests judge words never trained on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.labels import LabelSpace

Probs = NDArray[np.float32]

WORDS: dict[str, tuple[str, ...]] = {
    "angry": ("enraged", "livid", "infuriated", "resentful", "fuming", "offended", "jealous"),
    "disgust": ("nauseated", "appalled", "repelled"),
    "fear": (
        "worried", "fearful", "panicked", "petrified", "alarmed", "horrified", "uneasy",
        "apprehensive",
    ),
    "happy": (
        "pleased", "proud", "relieved", "grateful", "cheerful", "elated", "overjoyed", "satisfied",
        "ecstatic", "hopeful", "thankful",
    ),
    "sad": ("disappointed", "lonely", "hurt", "gloomy", "hopeless", "devastated"),
    "surprise": ("shocked", "startled", "astounded", "speechless", "dumbfounded", "baffled"),
}  # fmt: skip
"""Feeling of `TEXT_7` -> words that follow "I am"; neutral has none."""

NEUTRAL = "neutral"
CALM = 0.6  # of a denied clause's target; the rest is any feeling but the denied one
LONGEST = 8  # words after that of the feeling

_ADVERBS = (
    "so very really quite extremely too just pretty super truly deeply incredibly absolutely "
    "rather totally"
).split()
_FEELING = {word: label for label, words in WORDS.items() for word in words}
_CLAUSE = re.compile(
    r"\b(?P<who>I|we|he|she|they|you)(?P<verb>'m|'re|'s|\s+(?:am|is|are|was|were|feels?|felt))\s+"
    rf"(?P<how>(?:{'|'.join(_ADVERBS)}|a (?:little|bit))\s+)?(?P<word>{'|'.join(_FEELING)})\b"
    rf"(?P<rest>(?:\s+[^\s.,;:!?]+){{0,{LONGEST}}})",
    re.IGNORECASE,
)
_DENIED = {
    "'m": ("'m not",),
    "'re": ("'re not",),
    "'s": ("'s not",),
    "am": (" am not", " am no longer"),
    "is": (" is not", " isn't", " is no longer", " is never"),
    "are": (" are not", " aren't", " are no longer", " are never"),
    "was": (" was not", " wasn't", " was no longer", " was never"),
    "were": (" were not", " weren't", " were no longer", " were never"),
    "feel": (" do not feel", " don't feel", " no longer feel", " never feel"),
    "feels": (" does not feel", " doesn't feel", " no longer feels", " never feels"),
    "felt": (" did not feel", " didn't feel", " no longer felt", " never felt"),
}


@dataclass(frozen=True, slots=True)
class Clauses:
    """Clauses that say a feeling or deny it.

    Args:
        texts: n clauses.
        feelings: the feeling that each names, a label of `WORDS`.
        denied: (n,) bool.
    """

    texts: tuple[str, ...]
    feelings: tuple[str, ...]
    denied: NDArray[np.bool_]

    def targets(self, space: LabelSpace) -> Probs:
        """(n, k): a feeling that is said is its label, one that is denied most likely neutral.

        All zero, no label, in a space without neutral or without one of the feelings: of what else
        was felt nothing is known.
        """
        names = space.names
        if not {NEUTRAL, *WORDS} <= set(names):
            return np.zeros((len(self.texts), len(names)), dtype=np.float32)
        column = np.array([names.index(one) for one in self.feelings], dtype=np.intp)
        said = np.eye(len(names), dtype=np.float32)[column]
        other = (1 - said) * (1 - CALM) / (len(names) - 2)
        other[:, names.index(NEUTRAL)] = CALM
        return np.where(self.denied[:, None], other, said).astype(np.float32)


def find_clauses(texts: Sequence[str], *, words: int, seed: int) -> Clauses:
    """Every clause of `texts` that says a feeling of `WORDS`, with its word and with others.

    Args:
        words: other words of each clause, drawn from all feelings. Each is said once and denied
            once, and so is the word that was there.
    """
    made: list[tuple[str, str, bool]] = []
    for place, text in enumerate(texts):
        draw = np.random.default_rng((seed, place))  # no text's clauses depend on another text
        for found in _CLAUSE.finditer(text):
            others = draw.choice(list(_FEELING), size=words, replace=False)
            for word in dict.fromkeys([found["word"].lower(), *map(str, others)]):
                what = f"{found['how'] or ''}{word}{found['rest']}"
                denial = str(draw.choice(_DENIED[found["verb"].strip().lower()]))
                made.append((f"{found['who']}{found['verb']} {what}", _FEELING[word], False))
                made.append((f"{found['who']}{denial} {what}", _FEELING[word], True))
    return Clauses(
        tuple(text for text, _, _ in made),
        tuple(feeling for _, feeling, _ in made),
        np.array([denied for _, _, denied in made], dtype=np.bool_),
    )
