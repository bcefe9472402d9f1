"""The sets that heads are trained and judged on, by name: which corpora, and which split."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from classpulse.core.errors import InputError
from classpulse.core.labels import RELABELS, TEXT_5, TEXT_7, LabelSpace, relabel_by_name
from classpulse.core.registry import Registry
from classpulse.lab.data.corpora import AnyTexts
from classpulse.lab.data.splits import Parts as SplitRows
from classpulse.lab.data.text_gaps import find_gaps
from classpulse.lab.data.text_sets import (
    compose_five,
    compose_seven,
    compose_seven_from_three,
    split_composed,
    thesis_parts,
)
from classpulse.lab.data.texts import MultiTextSet, TextSet, relabel_texts

Corpora = Mapping[str, AnyTexts]
Parts = dict[str, TextSet]
"""train, valid and test -> texts; test has no rows where the files lack them."""

SEVEN_TO_FIVE = relabel_by_name(
    "text-7-to-text-5",
    TEXT_7,
    TEXT_5,
    {"neutral": None, "surprise": None},
    "the thesis' five classes are those of the seven that ISEAR has",
)


@dataclass(frozen=True, slots=True)
class Composed:
    """One set: what it is, which corpora it needs, and how it is made and split."""

    summary: str
    corpora: tuple[str, ...]
    split: Callable[[Corpora, LabelSpace, int], Parts]


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


def _seven_from_three(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    isear, meld, iemocap = (single(corpora, name) for name in ("isear", "meld", "iemocap"))
    composed = compose_seven_from_three(isear, meld, iemocap, gaps=find_gaps(isear, meld))
    return _named(composed.texts, split_composed(composed, seed=seed))


def _own(corpora: Corpora, space: LabelSpace, seed: int) -> Parts:
    given = single(corpora, "texts")
    by_name = relabel_by_name("own", given.space, space, {}, "labels of your file, by name")
    texts = relabel_texts(given, by_name)
    return _named(texts, thesis_parts(texts.labels, seed=seed))


def _named(texts: TextSet, parts: SplitRows) -> Parts:
    return {role: texts.take(rows, name=f"{texts.name}, {role}") for role, rows in parts.items()}


COMPOSITIONS.register("five")(Composed("thesis, 5 emotions of ISEAR, 70/20/10", ("isear",), _five))
COMPOSITIONS.register("seven")(
    Composed("thesis, the 5 and neutral and surprise of MELD", ("isear", "meld"), _seven)
)
COMPOSITIONS.register("seven-from-three")(
    Composed("thesis, 7 emotions of three corpora", ("isear", "meld", "iemocap"), _seven_from_three)
)
COMPOSITIONS.register("own")(
    Composed("a file of yours with text and label, 70/20/10 stratified", ("texts",), _own)
)
