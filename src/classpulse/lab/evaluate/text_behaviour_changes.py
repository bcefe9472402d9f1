"""Changes of a sentence that leave its meaning: typos, spelling, signs, markup around it.

Each takes the sentence and a seeded generator; one that does not fit gives None or the same text.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Random = np.random.Generator
Change = Callable[[str, Random], str | None]


def pick(choices: Sequence[str], random: Random) -> str:
    """One of them, drawn."""
    return choices[int(random.integers(len(choices)))]


def swap_letters(text: str, random: Random) -> str | None:
    """Two neighbors inside one word change places."""
    return _mistype(
        text, random, lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    )


def lose_letter(text: str, random: Random) -> str | None:
    """One word lacks a letter."""
    return _mistype(text, random, lambda word, at: word[:at] + word[at + 1 :])


def double_letter(text: str, random: Random) -> str | None:
    """One word has a letter twice."""
    return _mistype(text, random, lambda word, at: word[:at] + word[at] * 2 + word[at + 1 :])


def _mistype(text: str, random: Random, change: Callable[[str, int], str]) -> str | None:
    """`change` of one word of four letters or more, at a letter that is not at its ends."""
    words = list(re.finditer(r"[A-Za-z]{4,}", text))
    if not words:
        return None
    word = words[int(random.integers(len(words)))]
    at = int(random.integers(1, len(word[0]) - 2))
    return text[: word.start()] + change(word[0], at) + text[word.end() :]


def wrap_in(wrappers: Sequence[str]) -> Callable[[str, Random], str]:
    """The text in the place of ``{}`` in one of the wrappers, drawn."""
    return lambda text, random: pick(wrappers, random).replace("{}", text)


def hide(text: str, random: Random) -> str:
    """A character that is not seen, inside a word or in place of a space."""
    hidden = pick(("\u200b", "\u200d", "\u2060", "\u00ad", "\ufeff", "\u00a0"), random)
    if hidden == "\u00a0":
        return text.replace(" ", hidden)
    at = int(random.integers(1, len(text)))
    return text[:at] + hidden + text[at:]


def punctuate(text: str, random: Random) -> str:
    """Other signs of the same tone: a question stays one, and nobody begins to shout."""
    bare = text.rstrip(".!? ")
    signs = text[len(bare) :].strip()
    ends: tuple[str, ...]
    if "?" in signs or "!" in signs:
        ends = (signs * 2, f" {signs}", signs[:1])
    else:
        ends = ("", ".", " .", " ...")
    return text.replace(" ", "  ") if random.random() < 0.2 else bare + pick(ends, random)


def respell(table: Mapping[str, str]) -> Callable[[str, Random], str]:
    """Every word of the table by its other form; a capital first letter stays one."""
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, table))})\b", re.IGNORECASE)
    lower = {word.lower(): other for word, other in table.items()}

    def replace(found: re.Match[str]) -> str:
        other = lower[found[0].lower()]
        return other[0].upper() + other[1:] if found[0][0].isupper() else other

    return lambda text, random: pattern.sub(replace, text)
