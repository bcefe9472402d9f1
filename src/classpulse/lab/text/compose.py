"""The sets that heads are trained and judged on, by name: which corpora, and which split."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import RELABELS, TEXT_5, TEXT_7, LabelSpace, relabel_by_name
from classpulse.core.registry import Registry
from classpulse.lab.data.corpora import AnyTexts
from classpulse.lab.data.source_balance import (
    balance_sources,
    count_corpora,
    distinct_texts,
    draw_classes,
)
from classpulse.lab.data.splits import SEED
from classpulse.lab.data.splits import Parts as SplitRows
from classpulse.lab.data.text_answers import drop_unclear
from classpulse.lab.data.text_duplicates import compare_key
from classpulse.lab.data.text_gaps import find_gaps
from classpulse.lab.data.text_sets import (
    compose_five,
    compose_seven,
    compose_seven_from_three,
    split_composed,
    thesis_parts,
)
from classpulse.lab.data.texts import MultiTextSet, TextSet, concat_texts, relabel_texts

Corpora = Mapping[str, AnyTexts]
"""Corpus -> its texts; of one in parts those to learn from, and "corpus-part" -> the others."""
Parts = dict[str, TextSet]
"""train, valid and test -> texts; test has no rows where the files lack them."""

DEV = "goemotions-dev"
HELD_SHARE = 0.3  # of MELD in the source-balanced set: as much as the others hold out, 20 + 10 %

SEVEN_TO_FIVE = relabel_by_name(
    "text-7-to-text-5",
    TEXT_7,
    TEXT_5,
    {"neutral": None, "surprise": None},
    "the thesis' five classes are those of the seven that ISEAR has",
)


@dataclass(frozen=True, slots=True)
class Composed:
    """One set: what it is, which corpora it needs, and how it is made and split.

    Args:
        parts_of: set whose parts it has, if not its own: both hold out the same texts.
    """

    summary: str
    corpora: tuple[str, ...]
    split: Callable[[Corpora, LabelSpace, int], Parts]
    parts_of: str = ""


COMPOSITIONS: Registry[Composed] = Registry("composed text set")


def single(corpora: Corpora, name: str) -> TextSet:
    """A corpus with one label a text; of GoEmotions the texts that have one."""
    texts = corpora[name]
    return texts.single() if isinstance(texts, MultiTextSet) else texts


def to_space(texts: TextSet, space: LabelSpace) -> TextSet:
    """A corpus in the labels of a head, without the texts that have none of them.

    Raises:
        InputError: no rule leads there.
    """
    if texts.space == space:
        return texts
    rule = RELABELS.get(f"{texts.space.name.rpartition('-')[0]}-to-{space.name}")
    if rule is not None and rule.source == texts.space:
        return relabel_texts(texts, rule)
    if space == TEXT_5:
        return relabel_texts(to_space(texts, TEXT_7), SEVEN_TO_FIVE)
    raise InputError(f"no rule leads from the labels of {texts.name} to {space.name}")


def _five(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    isear = single(corpora, "isear")
    composed = compose_five(isear, gaps=find_gaps(isear))
    return _named(composed.texts, split_composed(composed, seed=seed))


def _seven(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    isear, meld = single(corpora, "isear"), single(corpora, "meld")
    composed = compose_seven(isear, meld, gaps=find_gaps(isear, meld))
    return _named(composed.texts, split_composed(composed, seed=seed))


def _five_of_seven(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    """The rows of `five` in the parts of `seven`.

    The thesis splits its two sets apart, so that a network with a head for each may learn from
    neither validation part: 24 % of the training texts of `five` would be lost.
    """
    return {
        role: replace(
            relabel_texts(texts, SEVEN_TO_FIVE),
            name=f"thesis text, 5 emotions in the parts of the 7, {role}",
        )
        for role, texts in _seven(corpora, TEXT_7, seed).items()
    }


def _isear_of_seven(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    """All of ISEAR, in its own labels: what `seven` holds out is held out."""
    isear = single(corpora, "isear")
    of_seven = {
        role: texts.row[np.array(texts.source) == isear.name]
        for role, texts in _seven(corpora, TEXT_7, seed).items()
    }
    held = {role: np.isin(isear.row, of_seven[role]) for role in ("valid", "test")}
    chosen = {"train": ~(held["valid"] | held["test"]), **held}
    return {
        role: isear.take(keep, name=f"ISEAR, 7 emotions in the parts of the 7, {role}")
        for role, keep in chosen.items()
    }


def _seven_clean(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    return _clean(_seven(corpora, space, seed))


def _five_of_seven_clean(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    return _clean(_five_of_seven(corpora, space, seed))


def _clean(parts: Parts) -> Parts:
    """What is learned from without non-answers and contradictory repeats; the rest stays."""
    return parts | {"train": drop_unclear(parts["train"]).texts}


def _seven_from_three(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    isear, meld, iemocap = (single(corpora, name) for name in ("isear", "meld", "iemocap"))
    composed = compose_seven_from_three(isear, meld, iemocap, gaps=find_gaps(isear, meld))
    return _named(composed.texts, split_composed(composed, seed=seed))


def _seven_source_balanced(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    """In every class the same shares of MELD and of GoEmotions, every text once.

    ISEAR has five of the classes only, IEMOCAP two texts of disgust. What GoEmotions' authors hold
    out stays held out, so that a recipe which learns from the rest of GoEmotions has learned from
    no validation text of it. There is no test part: theirs is not used.
    """
    if DEV not in corpora:
        raise InputError("goemotions: give the folder of train.tsv and dev.tsv")
    names, title = (DEV, "meld", "goemotions"), "source-balanced text, 7 emotions"
    dev, meld, train = distinct_texts([to_space(single(corpora, n), TEXT_7) for n in names])
    lines = draw_classes(meld, seed=seed)
    held = math.ceil(HELD_SHARE * lines.shape[1])
    pieces = {
        "train": ((meld, lines[:, held:]), (train, draw_classes(train, seed=seed))),
        "valid": ((meld, lines[:, :held]), (dev, draw_classes(dev, seed=seed))),
        "test": ((dev, np.empty(0, dtype=np.int64)),),
    }
    return {
        role: concat_texts(
            [texts.take(rows.ravel(), name=title) for texts, rows in some], name=f"{title}, {role}"
        )
        for role, some in pieces.items()
    }


def source_balanced(texts: TextSet, learned: Collection[str], *, seed: int = SEED) -> TextSet:
    """What is left of a source-balanced set for a network that has learned from some of it.

    Args:
        learned: texts of training; those with the same words are left out, and then of every other
            class as many, so that the set stays balanced. A corpus of which the network knows a
            whole class is left out.

    Returns:
        The set, without rows if no corpus is left; its name says which are.
    """
    known = {compare_key(text) for text in learned}
    fresh = np.array([compare_key(text) not in known for text in texts.texts], dtype=np.bool_)
    left = balance_sources(texts.take(fresh, name=texts.name), name=texts.name, seed=seed)
    return replace(left, name=f"{texts.name} ({' and '.join(count_corpora(left))})")


def _own(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    given = single(corpora, "texts")
    by_name = relabel_by_name("own", given.space, space, {}, "labels of your file, by name")
    texts = relabel_texts(given, by_name)
    return _named(texts, thesis_parts(texts.labels, seed=seed))


def _named(texts: TextSet, parts: SplitRows) -> Parts:
    return {role: texts.take(rows, name=f"{texts.name}, {role}") for role, rows in parts.items()}


COMPOSITIONS.register("five")(Composed("thesis, 5 emotions of ISEAR, 70/20/10", ("isear",), _five))
COMPOSITIONS.register("five-of-seven")(
    Composed("the 5 in the parts of `seven`", ("isear", "meld"), _five_of_seven, "seven")
)
COMPOSITIONS.register("isear-of-seven")(
    Composed(
        "ISEAR with shame and guilt, in the parts of `seven`",
        ("isear", "meld"),
        _isear_of_seven,
        "seven",
    )
)
COMPOSITIONS.register("seven")(
    Composed("thesis, the 5 and neutral and surprise of MELD", ("isear", "meld"), _seven)
)
COMPOSITIONS.register("five-of-seven-clean")(
    Composed(
        "`five-of-seven`, trained without non-answers and contradictory repeats",
        ("isear", "meld"),
        _five_of_seven_clean,
        "seven",
    )
)
COMPOSITIONS.register("seven-clean")(
    Composed(
        "`seven`, trained without non-answers and contradictory repeats",
        ("isear", "meld"),
        _seven_clean,
        "seven",
    )
)
COMPOSITIONS.register("seven-from-three")(
    Composed("thesis, 7 emotions of three corpora", ("isear", "meld", "iemocap"), _seven_from_three)
)
COMPOSITIONS.register("seven-source-balanced")(
    Composed(
        "7 emotions, each with the same shares of MELD and of GoEmotions",
        ("meld", "goemotions"),
        _seven_source_balanced,
    )
)
COMPOSITIONS.register("own")(
    Composed("a file of yours with text and label, 70/20/10 stratified", ("texts",), _own)
)


def held_parts(compose: Mapping[str, str]) -> dict[str, str]:
    """Head -> the set whose parts its own has: recipes of equal ones hold out the same texts."""
    return {head: COMPOSITIONS.get(name).parts_of or name for head, name in compose.items()}


BESIDE = {"text-7": "seven-source-balanced"}
"""Head -> set in `COMPOSITIONS` that it is judged on too, where its corpora are given."""
