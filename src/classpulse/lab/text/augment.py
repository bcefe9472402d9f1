"""Variants of training texts: EDA (Wei and Zou 2019), as the thesis used it (seed-thesis D.4).

Each operation gives one variant of each text and touches a share of its words, at least one; words
that carry grammar alone are left as they are. Synonyms come from a local WordNet database
(Princeton University), the files `data.noun`, `data.verb`, `data.adj` and `data.adv`; Debian's
package `wordnet-base` puts them into /usr/share/wordnet.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classpulse.core.errors import InputError
from classpulse.lab.train.kinds import check_ranges
from classpulse.text.clean import clean_twice

WORDNET_FILES = ("data.noun", "data.verb", "data.adj", "data.adv")
GRAMMAR = frozenset(
    "a about after again all am an and any are as at be because been before being but by can could "
    "did do does doing don down for from had has have having he her here hers him his how i if in "
    "into is it its just me more most my no nor not now of off on once only or other our out over "
    "own same she should so some such than that the their them then there these they this those to "
    "too under until up very was we were what when where which while who whom why will with would "
    "you your".split()
)
"""Function words of English: no synonym of theirs keeps a sentence whole."""

Synonyms = Mapping[str, Sequence[str]]
Draw = np.random.Generator


@dataclass(frozen=True, slots=True)
class TextAugment:
    """Which variants are added to the training texts.

    Args:
        operations: of `OPERATIONS`, one variant each; none adds nothing.
        keep: the text itself stays among its variants; the thesis dropped it.
        share: of the words that an operation touches.
        clean_twice: the thesis' second cleaning of the variants, `text.clean.clean_twice`, with the
            words of WordNet where it had NLTK's list.
        wordnet: folder of the WordNet database, for "synonym", "insert" and `clean_twice`.
        denials: other words for each clause that names a feeling, said and denied with each
            (`deny.find_clauses`): rows of every epoch, with targets in heads that have neutral;
            0 adds none.
        splices: new texts for each, its beginning and another's end (`splice.splice_texts`), that
            have the teachers' labels alone; None adds none.

    Raises:
        InputError: an unknown operation, one that needs WordNet and no folder, or a number out of
            range.
    """

    operations: tuple[str, ...] = ()
    keep: bool = True
    share: float = 0.1
    clean_twice: bool = False
    wordnet: str = ""
    denials: int = 0
    splices: int | None = None  # not 0: a run from before there were any goes on

    def __post_init__(self) -> None:
        unknown = set(self.operations) - OPERATIONS.keys()
        if unknown:
            raise InputError(
                f"augment: unknown {', '.join(sorted(unknown))}; known: {', '.join(OPERATIONS)}"
            )
        check_ranges(
            share=(self.share, 0, 1),
            denials=(self.denials, 0, 30),
            splices=(self.splices or 0, 0, 30),
        )
        if not self.keep and not self.operations:
            raise InputError("augment: keep = false without operations leaves no text")

    @property
    def needs_wordnet(self) -> bool:
        """Whether anything asks WordNet."""
        return self.clean_twice or bool({"synonym", "insert"} & set(self.operations))


def augment_texts(
    texts: Sequence[str], how: TextAugment, *, seed: int
) -> tuple[list[str], list[int]]:
    """The variants of all texts, and for each the place of the text it comes from.

    Raises:
        InputError: WordNet is needed and is not there.
    """
    if not how.operations:
        return list(texts), list(range(len(texts)))
    synonyms = load_synonyms(Path(how.wordnet)) if how.needs_wordnet else {}
    made: list[str] = []
    places: list[int] = []
    for place, text in enumerate(texts):
        draw = np.random.default_rng((seed, place))  # no text's variants depend on another text
        words = text.split()
        variants = [text] if how.keep else []
        for name in how.operations:
            changed = list(words)
            for _ in range(max(1, round(how.share * len(words)))):
                changed = OPERATIONS[name](changed, synonyms, draw)
            made_of = " ".join(changed)
            variants.append(clean_twice(made_of, words=synonyms) if how.clean_twice else made_of)
        found = list(dict.fromkeys(variants))  # what changed nothing is there once
        made += found
        places += [place] * len(found)
    return made, places


def load_synonyms(folder: Path) -> dict[str, list[str]]:
    """Every word -> the other words of its synsets, in lower case, in the order of the files.

    Raises:
        InputError: the folder lacks a file of the database.
    """
    found: dict[str, dict[str, None]] = {}
    for name in WORDNET_FILES:
        try:
            text = (folder / name).read_text(encoding="latin-1")
        except OSError as error:
            raise InputError(
                f"cannot read WordNet's {folder / name} ({error.strerror}): install Debian's "
                "wordnet-base and give --set augment.wordnet=/usr/share/wordnet"
            ) from None
        for line in text.splitlines():
            if line.startswith(" "):
                continue  # the licence at the head of the file
            words = _synset_words(line)
            for word in words:
                found.setdefault(word, {}).update(dict.fromkeys(w for w in words if w != word))
    return {word: list(others) for word, others in found.items()}


def _synset_words(line: str) -> list[str]:
    """``offset file type count word id word id ...`` (wndb(5WN)), the count in hexadecimal."""
    fields = line.split(" ")
    count = int(fields[3], 16)
    words = (fields[4 + 2 * i] for i in range(count))
    return [re.sub(r"\(.*\)$", "", word).replace("_", " ").lower() for word in words]


def _free(words: Sequence[str]) -> list[int]:
    """Places of the words that may be changed."""
    return [i for i, word in enumerate(words) if _bare(word) and _bare(word) not in GRAMMAR]


def _bare(word: str) -> str:
    return word.strip(".!?,;:\"'()").lower()


def _synonym_of(words: Sequence[str], synonyms: Synonyms, draw: Draw) -> tuple[int, str] | None:
    known = [i for i in _free(words) if synonyms.get(_bare(words[i]))]
    if not known:
        return None
    place = known[int(draw.integers(len(known)))]
    others = synonyms[_bare(words[place])]
    return place, others[int(draw.integers(len(others)))]


def _replace(words: list[str], synonyms: Synonyms, draw: Draw) -> list[str]:
    found = _synonym_of(words, synonyms, draw)
    if found is None:
        return words
    place, other = found
    return [*words[:place], other, *words[place + 1 :]]


def _insert(words: list[str], synonyms: Synonyms, draw: Draw) -> list[str]:
    found = _synonym_of(words, synonyms, draw)
    if found is None:
        return words
    at = int(draw.integers(len(words) + 1))
    return [*words[:at], found[1], *words[at:]]


def _swap(words: list[str], synonyms: Synonyms, draw: Draw) -> list[str]:
    if len(words) < 2:
        return words
    i, j = draw.choice(len(words), size=2, replace=False)
    changed = list(words)
    changed[i], changed[j] = changed[j], changed[i]
    return changed


def _delete(words: list[str], synonyms: Synonyms, draw: Draw) -> list[str]:
    free = _free(words)
    if len(words) < 2 or not free:
        return words
    gone = free[int(draw.integers(len(free)))]
    return [*words[:gone], *words[gone + 1 :]]


OPERATIONS: dict[str, Callable[[list[str], Synonyms, Draw], list[str]]] = {
    "synonym": _replace,
    "insert": _insert,
    "swap": _swap,
    "delete": _delete,
}
"""Name -> one change of a list of words."""
