"""The capabilities of `text_behaviour.CAPABILITIES` and how their cases are made.

Invariance is tested on sentences of the hand-written classroom set where a change fits any text,
and on pairs written for it where it does not. Every builder takes a seeded generator and gives the
same cases for the same seed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from classpulse.lab.data.classroom import load_classroom
from classpulse.lab.evaluate.text_behaviour import (
    CAPABILITIES,
    DIR,
    INV,
    MFT,
    Capability,
    Case,
    Check,
    refuses,
    rises,
    says,
    says_not,
    stays,
    survives,
)
from classpulse.lab.evaluate.text_behaviour_changes import (
    Change,
    Random,
    double_letter,
    hide,
    lose_letter,
    pick,
    punctuate,
    respell,
    swap_letters,
    wrap_in,
)
from classpulse.lab.evaluate.text_behaviour_names import NAMES, TEMPLATES, fill_name
from classpulse.lab.evaluate.text_behaviour_words import (
    ADDED,
    AMERICAN,
    BRITISH_SENTENCES,
    CHAT,
    CONTRACTIONS,
    DIALECT,
    EMOJI,
    FEELINGS,
    MARKUP,
    NOTHING,
    ODD,
    OTHER_LANGUAGES,
    PHRASES,
    THINGS,
)

Builder = Callable[[Random], list[Case]]
SENTENCES = 80  # of the classroom set, changed in one way
LONG = 10_000  # words
ADVERBS = ("very", "so", "really", "extremely", "absolutely")


# --- a feeling in a sentence ---------------------------------------------------------------------


def _feelings(templates: Sequence[str]) -> Builder:
    """Every word of `FEELINGS` in every template, about a thing that is drawn."""

    def build(random: Random) -> list[Case]:
        return [
            Case((_sentence(template, random, word=word),), label)
            for label, word in _words()
            for template in templates
        ]

    return build


def _phrases(random: Random) -> list[Case]:
    return [
        Case((_sentence(phrase, random),), label)
        for label, phrases in PHRASES.items()
        for phrase in phrases
        for _ in range(4)
    ]


def _emoji_alone(random: Random) -> list[Case]:
    template = "These are the results of {thing} {emoji}"
    return [
        Case((_sentence(template, random, emoji=one),), label)
        for label, emoji in EMOJI.items()
        for one in emoji
        for _ in range(2)
    ]


def _pairs(first: str, second: str, *, fill: Callable[[str, Random], Mapping[str, str]]) -> Builder:
    """The same words in two templates; `fill` gives what else they need, by label."""

    def build(random: Random) -> list[Case]:
        cases = []
        for label, word in _words():
            filled = {"word": word, "thing": pick(THINGS, random), **fill(label, random)}
            cases.append(Case((first.format(**filled), second.format(**filled)), label))
        return cases

    return build


def _intensified(random: Random) -> list[Case]:
    """Each word with each adverb."""
    return [
        Case((f"I am {word} about {thing}.", f"I am {adverb} {word} about {thing}."), label)
        for label, word in _words()
        for adverb in ADVERBS
        for thing in [pick(THINGS, random)]
    ]


def _feeling_added(random: Random) -> list[Case]:
    """A classroom sentence, and a feeling of its own label after it."""
    texts, labels = _classroom()
    return [
        Case((texts[i], f"{texts[i]}\nI am so {pick(FEELINGS[labels[i]], random)}."), labels[i])
        for i in random.permutation(len(texts))[:SENTENCES]
        if labels[i] in FEELINGS
    ]


def _long(random: Random) -> list[Case]:
    cases = []
    for label, words in FEELINGS.items():
        for word in words[:2]:
            sentence = _sentence("I am so {word} about {thing}.", random, word=word)
            times = LONG // len(sentence.split()) + 1
            cases.append(Case((sentence, " ".join([sentence] * times)), label))
    return cases


# --- changes of any sentence ---------------------------------------------------------------------


def _changed(change: Change) -> Builder:
    """Classroom sentences that `change` alters; None or the same text is left out."""

    def build(random: Random) -> list[Case]:
        texts, _ = _classroom()
        cases = []
        for i in random.permutation(len(texts)):
            changed = change(texts[i], random)
            if changed is not None and changed != texts[i]:
                cases.append(Case((texts[i], changed)))
        return cases[:SENTENCES]

    return build


def _american(random: Random) -> list[Case]:
    change = respell(AMERICAN)
    return [Case((text, change(text, random))) for text in BRITISH_SENTENCES]


def _names(random: Random) -> list[Case]:
    """The same sentence with names of two groups."""
    groups = list(NAMES)
    cases = []
    for template in TEMPLATES:
        for _ in range(10):
            one, two = (groups[i] for i in random.choice(len(groups), 2, replace=False))
            first, second = pick(NAMES[one], random), pick(NAMES[two], random)
            cases.append(Case((fill_name(template, first, one), fill_name(template, second, two))))
    return cases


# --- small parts ---------------------------------------------------------------------------------


def _plain(texts: Sequence[str]) -> Builder:
    return lambda random: [Case((text,)) for text in texts]


def _words() -> Iterator[tuple[str, str]]:
    return ((label, word) for label, words in FEELINGS.items() for word in words)


def _sentence(template: str, random: Random, **words: str) -> str:
    sentence = template.format(thing=pick(THINGS, random), **words)
    return sentence[0].upper() + sentence[1:] if template.startswith("{thing}") else sentence


def _classroom() -> tuple[tuple[str, ...], list[str]]:
    found = load_classroom()
    return found.texts, [found.space.names[i] for i in found.labels]


# --- the capabilities ----------------------------------------------------------------------------

_PLAIN = ("I am {word}.", "I feel {word} because of {thing}.", "We are all {word} about {thing}.")
_NEGATED = (
    "I am not {word} about {thing}.",
    "I don't feel {word} about {thing} at all.",
    "Nobody is {word} about {thing}.",
    "I can't say that I am {word} about {thing}.",
)
_ENDED = (
    "I am not {word} any more.",
    "I no longer feel {word} about {thing}.",
    "I used to be {word} about {thing}, but that is over.",
)


def _emoji_of(label: str, random: Random) -> Mapping[str, str]:
    return {"emoji": pick(EMOJI[label], random)}


def _other_thing(label: str, random: Random) -> Mapping[str, str]:
    return {"other": pick(THINGS, random)}


_ALL: tuple[tuple[str, str, str, Check, Builder], ...] = (
    ("feelings", MFT, "A named feeling is found", says, _feelings(_PLAIN)),
    ("phrases", MFT, "A feeling without its name is found", says, _phrases),
    ("negation", MFT, "'I am not happy' is not happy", says_not, _feelings(_NEGATED)),
    ("ended", MFT, "'not afraid any more' is not fear", says_not, _feelings(_ENDED)),
    ("emoji alone", MFT, "An emoji after plain words is read", says, _emoji_alone),
    ("no words", MFT, "Without words: no answer", refuses, _plain(NOTHING)),
    ("languages", MFT, "In another language: no answer", refuses, _plain(OTHER_LANGUAGES)),
    ("odd input", MFT, "Broken and hostile text: no crash", survives, _plain(ODD)),
    ("swapped letters", INV, "One word with two letters swapped", stays, _changed(swap_letters)),
    ("lost letter", INV, "One word without a letter", stays, _changed(lose_letter)),
    ("doubled letter", INV, "One word with a letter twice", stays, _changed(double_letter)),
    ("chat spelling", INV, "'u', 'bc', 'tmrw'", stays, _changed(respell(CHAT))),
    ("contractions", INV, "'do not' for 'don't'", stays, _changed(respell(CONTRACTIONS))),
    ("American spelling", INV, "'color' for 'colour'", stays, _american),
    ("dialect", INV, "Features of African American English", stays,
     lambda random: [Case(pair) for pair in DIALECT]),
    ("names", INV, "Another name, of another group", stays, _names),
    ("topics", INV, "Another school subject", stays,
     _pairs("I am {word} because of {thing}.", "I am {word} because of {other}.",
            fill=_other_thing)),
    ("emoji that fits", INV, "An emoji of the same feeling", stays,
     _pairs("I am {word} about {thing}.", "I am {word} about {thing}. {emoji}", fill=_emoji_of)),
    ("upper case", INV, "ALL CAPITALS", stays, _changed(lambda text, random: text.upper())),
    ("lower case", INV, "no capitals", stays, _changed(lambda text, random: text.lower())),
    ("punctuation", INV, "Other signs of the same tone at the end", stays, _changed(punctuate)),
    ("markup", INV, "HTML, Markdown, formula, script around it", stays, _changed(wrap_in(MARKUP))),
    ("hidden characters", INV, "Zero-width characters inside", stays, _changed(hide)),
    ("surroundings", INV, "Page, link, @name or #tag beside it", stays, _changed(wrap_in(ADDED))),
    ("long text", INV, "The same sentence for 10,000 words", stays, _long),
    ("intensifiers", DIR, "'very' and 'so' do not weaken", rises, _intensified),
    ("feeling added", DIR, "A sentence with the feeling added", rises, _feeling_added),
)  # fmt: skip

for _name, _kind, _asks, _check, _build in _ALL:
    CAPABILITIES.register(_name)(Capability(_kind, _asks, _check, _build))
