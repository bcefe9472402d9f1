"""The texts that a recipe trains, validates and tests on, out of the user's corpora."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.lab.data.corpora import AnyTexts, load_parts
from classpulse.lab.data.text_duplicates import compare_key
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.lab.text.compose import (
    BESIDE,
    COMPOSITIONS,
    DEV,
    Corpora,
    Parts,
    single,
    source_balanced,
    to_space,
)
from classpulse.lab.text.heads import AUXILIARY, HEAD_SPACES, Probs, one_hot
from classpulse.lab.text.recipe import TextData, TextRecipe

GOEMOTIONS = "goemotions"
Place = tuple[str, int]
"""A text's corpus and its row there: the same text in two compositions is one training text."""


@dataclass(frozen=True, slots=True)
class TextRows:
    """Training texts with targets for every head.

    Args:
        texts: n texts, not cleaned.
        targets: head -> (n, k) float32, zeros where a row has no label of that head.
        own: (n,) bool, rows of the composed sets, which stand in every epoch.
    """

    texts: tuple[str, ...]
    targets: Mapping[str, Probs]
    own: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class TextParts:
    """What a network learns from, and for each head what chooses its epoch and what judges it.

    Args:
        test: the heads whose files have test rows.
        beside: head -> what it is judged on too: of its set in `BESIDE` the part that none of the
            heads has learned from.
    """

    train: TextRows
    valid: Mapping[str, AnyTexts]
    test: Mapping[str, AnyTexts]
    described: str
    beside: Mapping[str, TextSet] = field(default_factory=dict)


def load_text_parts(recipe: TextRecipe, paths: Mapping[str, Path]) -> TextParts:
    """The parts of a recipe.

    Args:
        paths: name in ``[data] sets`` -> file or folder.

    Raises:
        InputError: a set of the recipe has no path or a path no set, the data are malformed, or a
            part is empty.
    """
    how = recipe.data
    if set(paths) != set(how.sets):
        needs = " ".join(f"--data {one}=PATH" for one in how.sets)
        raise InputError(f"recipe {recipe.name} needs {needs}, not {', '.join(paths) or 'nothing'}")
    loaded = {name: load_parts(path, name) for name, path in paths.items()}
    whole = name_corpora(loaded)
    composed = _compose(how.compose, whole, seed=recipe.schedule.seed)
    beside = _compose(_beside(recipe, whole), whole, seed=recipe.schedule.seed)
    valid: dict[str, AnyTexts] = {head: parts["valid"] for head, parts in composed.items()}
    test: dict[str, AnyTexts] = {
        head: parts["test"] for head, parts in composed.items() if len(parts["test"])
    }
    if GOEMOTIONS in recipe.heads:
        valid[GOEMOTIONS] = _goemotions(loaded[GOEMOTIONS], "dev")
        if "test" in loaded[GOEMOTIONS]:
            test[GOEMOTIONS] = _goemotions(loaded[GOEMOTIONS], "test")
    valid = {head: texts for head, texts in valid.items() if head in recipe.heads}
    test = {head: texts for head, texts in test.items() if head in recipe.heads}
    judged = [*valid.values(), *test.values()]
    apart = list(beside.values()) if how.hold_beside else []
    judged += [parts["valid"] for parts in apart]
    train = _train_rows(recipe, whole, composed, _held_out([*composed.values(), *apart], judged))
    unknown = {head: source_balanced(parts["valid"], train.texts) for head, parts in beside.items()}
    return TextParts(
        train,
        valid,
        test,
        _describe(how, train),
        {head: texts for head, texts in unknown.items() if len(texts)},
    )


def name_corpora(loaded: Mapping[str, Mapping[str, AnyTexts]]) -> Corpora:
    """What is learned from under the name of its corpus, other parts under one of their own."""
    found: dict[str, AnyTexts] = {}
    for name, parts in loaded.items():
        for part, texts in parts.items():
            named = name if part in ("", "train") else f"{name}-{part}"
            found[named] = texts if named == name else replace(texts, name=named)
    return found


def _compose(sets: Mapping[str, str], corpora: Corpora, *, seed: int) -> dict[str, Parts]:
    return {
        head: COMPOSITIONS.get(name).split(corpora, HEAD_SPACES[head], seed)
        for head, name in sets.items()
    }


def _beside(recipe: TextRecipe, corpora: Corpora) -> dict[str, str]:
    """What of `BESIDE` the heads can be judged on, or are to be, other than their own set."""
    return {
        head: name
        for head, name in BESIDE.items()
        if head in recipe.heads
        and recipe.data.compose.get(head) != name
        and (recipe.data.hold_beside or corpora.keys() >= {*COMPOSITIONS.get(name).corpora, DEV})
    }


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What may not be trained on: rows of the compositions, and texts of any held-out part."""

    places: frozenset[Place]
    keys: frozenset[str]


def _held_out(composed: Iterable[Parts], judged: Iterable[AnyTexts]) -> HeldOut:
    places = {
        place for parts in composed for role in ("valid", "test") for place in _places(parts[role])
    }
    keys = {compare_key(text) for texts in judged for text in texts.texts}
    return HeldOut(frozenset(places), frozenset(keys))


def _train_rows(
    recipe: TextRecipe,
    corpora: Mapping[str, AnyTexts],
    composed: Mapping[str, Parts],
    held: HeldOut,
) -> TextRows:
    how, smoothing = recipe.data, recipe.schedule.label_smoothing
    table = _Table(recipe.heads)
    for head, parts in composed.items():
        kept = _fresh(parts["train"], held, by_text=how.dedup)
        table.add(kept, head, smoothing=smoothing, weight=1.0, own=True)
    for name, weight in how.extra.items():
        for head in (one for one in how.compose if one not in AUXILIARY):  # in their order
            more = _fresh(to_space(single(corpora, name), HEAD_SPACES[head]), held, by_text=True)
            table.add(more, head, smoothing=smoothing, weight=weight, own=False)
    for name in how.unlabelled:
        table.add_texts(_fresh(single(corpora, name), held, by_text=True))
    if GOEMOTIONS in recipe.heads:
        table.add_multi(corpora[GOEMOTIONS], held)
    if not len(table):
        raise InputError(f"recipe {recipe.name}: no text is left to learn from")
    return table.rows()


def _fresh(texts: TextSet, held: HeldOut, *, by_text: bool) -> TextSet:
    """The texts that are not held out, by their row and if asked by their words too."""
    keep = [
        place not in held.places and not (by_text and compare_key(text) in held.keys)
        for place, text in zip(_places(texts), texts.texts, strict=True)
    ]
    return texts.take(np.array(keep, dtype=np.bool_), name=texts.name)


def _places(texts: TextSet) -> list[Place]:
    return list(zip(texts.source, texts.row.tolist(), strict=True))


class _Table:
    """Training rows as they come together: one for each text, with a target for each head."""

    def __init__(self, heads: Mapping[str, float]) -> None:
        self._widths = {head: len(HEAD_SPACES[head]) for head in heads}
        self._at: dict[Place, int] = {}
        self._texts: list[str] = []
        self._own: list[bool] = []
        self._targets: dict[str, dict[int, Probs]] = {head: {} for head in heads}

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, texts: TextSet, head: str, *, smoothing: float, weight: float, own: bool) -> None:
        """Targets of `head`; those that a row has already stay."""
        if head not in self._targets:
            return
        targets = weight * one_hot(texts.labels, self._widths[head], smoothing=smoothing)
        for place, text, target in zip(_places(texts), texts.texts, targets, strict=True):
            self._targets[head].setdefault(self._row(place, text, own=own), target)

    def add_texts(self, texts: TextSet) -> None:
        """Texts for every epoch, without a target of theirs where they have none yet."""
        for place, text in zip(_places(texts), texts.texts, strict=True):
            self._row(place, text, own=True)

    def add_multi(self, texts: AnyTexts, held: HeldOut) -> None:
        """All of GoEmotions with all its labels, for its own head."""
        assert isinstance(texts, MultiTextSet)
        for row, text, target in zip(texts.row.tolist(), texts.texts, texts.targets, strict=True):
            if compare_key(text) not in held.keys:
                at = self._row((texts.name, row), text, own=False)
                self._targets[texts.name][at] = target.astype(np.float32)

    def _row(self, place: Place, text: str, *, own: bool) -> int:
        if place not in self._at:
            self._at[place] = len(self._texts)
            self._texts.append(text)
            self._own.append(own)
        return self._at[place]

    def rows(self) -> TextRows:
        n = len(self._texts)
        targets = {head: np.zeros((n, k), dtype=np.float32) for head, k in self._widths.items()}
        for head, found in self._targets.items():
            for at, target in found.items():
                targets[head][at] = target
        return TextRows(tuple(self._texts), targets, np.array(self._own, dtype=np.bool_))


def _goemotions(parts: Mapping[str, AnyTexts], part: str) -> AnyTexts:
    if part not in parts:
        raise InputError(f"goemotions: give the folder of train.tsv and {part}.tsv")
    return parts[part]


def _describe(how: TextData, train: TextRows) -> str:
    """For the card: what the weights have seen."""
    sets = ", ".join(f"{head} of '{name}'" for head, name in how.compose.items())
    more = len(train) - int(train.own.sum())
    further = f", {more:,} further ones of {', '.join(how.sets)}" if more else ""
    return f"{int(train.own.sum()):,} texts of the composed sets ({sets}){further}"
