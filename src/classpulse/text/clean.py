"""Cleaning of English writing as the thesis does it, the same for training and for serving.

A model that was trained on cleaned text must be served cleaned text: `clean_1` is what every
split gets, and so what the room calls. `clean_twice` is the second pass that the thesis gives to
its augmented training texts only; serving never calls it.
Source: seed-thesis D.2 (notebook cells T:10, 18, 219, 234 and T:310). Points that the source
leaves open are marked with what we chose.
"""

import re
import unicodedata
from collections.abc import Callable, Collection

_LEFTOVERS = ("á", "\n")  # ISEAR's line breaks: an a-acute and a newline

_MODIFIERS = frozenset("\u200d\ufe0e\ufe0f") | frozenset(map(chr, range(0x1F3FB, 0x1F400)))
# joiner, variation selectors, skin tones

Cleaner = Callable[[str], str]


def pre_isear(text: str) -> str:
    """ISEAR's step before `clean_1`: a-acute and newlines go, nothing in their place."""
    for leftover in _LEFTOVERS:
        text = text.replace(leftover, "")
    return text


def pre_meld(text: str) -> str:
    """MELD's step before `clean_1`: ``[]`` and U+0092 stand for an apostrophe."""
    return text.replace("[]", "'").replace("\x92", "'")


PRE_STEPS: dict[str, Cleaner] = {"isear": pre_isear, "meld": pre_meld}
"""Corpus name -> its step before `clean_1`; a corpus that is not here has none."""


def clean_1(text: str) -> str:
    """ "Clean 1" of the thesis: lower case, English letters and ``. ' ! ?`` only.

    Nothing is stripped: a leading or trailing space stays, as in the source. Letters are a-z: an
    accented letter becomes a space. `@name` is an at sign with word characters, a URL runs to the
    next white space; neither occurs in ISEAR, MELD or IEMOCAP.

    Running it again changes the result in one case only, an apostrophe that two or more spaces
    follow (``"' 1 b"`` gives ``"' b"``, then ``"'b"``); the second result is final. It never
    raises and never returns a character outside ``a-z . ' ! ?`` and space.
    """
    return _closing_steps(_opening_steps(text))


def clean_plain(text: str) -> str:
    """White space and ISEAR's and MELD's leftovers put right, everything else as it was written.

    For encoders that know capitals, digits, hyphens and emoji: they see what the writer wrote.
    An a-acute goes only before a line break, where ISEAR has it; elsewhere it is a letter.
    """
    return " ".join(pre_meld(re.sub(r"á\r?\n", "", text)).split())


def clean_worded(text: str) -> str:
    """`clean_plain`, with the name of every emoji in its place: encoders of words know none.

    Names are Unicode's in lower case: thumbs up sign, face with tears of joy. Skin tones, joiners
    and variation selectors go.
    """
    return clean_plain("".join(map(_worded, text)) if not text.isascii() else text)


def _worded(sign: str) -> str:
    if sign in _MODIFIERS:
        return ""
    if unicodedata.category(sign) != "So":
        return sign
    return f" {unicodedata.name(sign, '').lower()} "


CLEANERS: dict[str, Cleaner] = {
    "clean-1": clean_1, "plain": clean_plain, "worded": clean_worded
}  # fmt: skip
"""Rules by the name that recipes and cards use."""


def clean_twice(text: str, *, words: Collection[str]) -> str:
    """ "Doble clean": the second pass of `clean_1`, for augmented training texts only.

    It adds two things: a ``?`` or ``.`` that stands alone is deleted, and in a word with ``ii``
    that `words` does not have, ``ii`` becomes ``i`` if `words` has the result (the synonym step
    of the augmentation writes ``i`` as ``ii``). The result has single spaces and none at its ends.

    Args:
        text: a training text after `clean_1` and augmentation; the augmentation brings capitals,
            digits and hyphens back.
        words: known words in lower case; the thesis used NLTK's ``words``. A set: it is asked
            once or twice for each word.
    """
    opened = re.sub(r"(?<!\S)[?.](?!\S)", "", _opening_steps(text))
    return " ".join(_single_i(word, words) for word in _closing_steps(opened).split())


def _opening_steps(text: str) -> str:
    """Steps 1 to 9, in the order of the source: each one sees what the one before left."""
    if len(text) >= 2 and text[0] == "[" and text[-1] == "]":
        text = text[1:-1]
    text = pre_meld(pre_isear(text.lower()))
    text = re.sub(r"@\w+", " ", text)
    text = re.sub(r"https?://\S+", " ", text)
    return re.sub(r"[^a-z.'!?]", " ", text)


def _closing_steps(text: str) -> str:
    """Steps 11 to 13; step 10, ``#`` to a space, has nothing left to do after step 9."""
    text = re.sub(r"\s+'", "'", text)
    text = text.replace("' ", "'")
    return re.sub(r" +", " ", text)


def _single_i(word: str, words: Collection[str]) -> str:
    if "ii" not in word or word in words:
        return word
    shorter = word.replace("ii", "i")
    return shorter if shorter in words else word
