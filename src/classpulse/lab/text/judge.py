"""The numbers of a text artefact's card, measured on every held-out part."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Metric
from classpulse.core.labels import RELABELS
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.corpora import AnyTexts
from classpulse.lab.data.source_balance import corpora_of
from classpulse.lab.data.text_duplicates import compare_key
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.lab.evaluate.resample import (
    accuracy_of,
    count_confusion,
    draw_confusions,
    interval_of,
    macro_f1_of,
)
from classpulse.lab.text.heads import AUXILIARY
from classpulse.lab.text.multi import Groups, cross_fitted_f1, macro_f1_interval
from classpulse.lab.text.sources import TextParts
from classpulse.runtime.text import OnnxTextModel

EKMAN: Groups = RELABELS["goemotions-to-text-7"].matrix
CROSS_FITTED = ", cross-fitted thresholds"


@dataclass(frozen=True, slots=True)
class Judged:
    """Texts that a head is measured on.

    Args:
        fitted: the thresholds of the card were fitted on this very set: F1 is cross-fitted then.
    """

    head: str
    texts: AnyTexts
    fitted: bool


def judge_texts(model: OnnxTextModel, parts: TextParts) -> list[Metric]:
    """The numbers of every head that artefacts have on its `judged_sets`."""
    return [
        metric
        for one in judged_sets(parts)
        if one.head not in AUXILIARY
        for metric in judge_set(model, one.head, one.texts, fitted=one.fitted)
    ]


def judged_sets(parts: TextParts) -> list[Judged]:
    """The test parts if any, then the validation parts, then the sets beside them.

    Of a validation part whose texts training repeats, the others follow: MELD has "What?" 91 times.
    """
    found = [Judged(head, texts, fitted=False) for head, texts in parts.test.items()]
    found += [Judged(head, texts, fitted=True) for head, texts in parts.valid.items()]
    learned = {compare_key(text) for text in parts.train.texts}
    for head, texts in parts.valid.items():
        fresh = np.array([compare_key(text) not in learned for text in texts.texts], dtype=np.bool_)
        if isinstance(texts, TextSet) and fresh.any() and not fresh.all():
            rest = texts.take(np.flatnonzero(fresh), name=f"{texts.name}, without repeats")
            found.append(Judged(head, rest, fitted=False))
    found += [Judged(head, texts, fitted=False) for head, texts in parts.beside.items()]
    return found


def judge_set(model: OnnxTextModel, head: str, texts: AnyTexts, *, fitted: bool) -> list[Metric]:
    """The numbers of one head on one set, as `Judged` describes it; the whole set comes first."""
    scores: Mapping[str, Scores] = model.predict(texts.texts)
    if not isinstance(texts, MultiTextSet):
        return judge_labels(head, texts, scores[head].top)
    probs, cut = scores[head].probs, model.card.head(head).thresholds
    suffix, found = CROSS_FITTED if fitted else "", []
    for name, groups in (("macro_f1", None), ("macro_f1, 7 groups", EKMAN)):
        f1 = (
            cross_fitted_f1(probs, texts.targets, groups=groups)
            if fitted
            else macro_f1_interval(probs, texts.targets, cut, groups=groups)
        )
        found.append(_metric(f"{name}{suffix}", head, f1, len(texts), texts.name))
    return found


def judge_labels(head: str, texts: TextSet, predicted: NDArray[np.int64]) -> list[Metric]:
    """Accuracy and macro F1 of answers (n,), then the accuracy on each corpus if there are more.

    A model may tell the corpora apart instead of the emotions (seed-thesis E.2, 4).
    """
    found = _judge(head, texts, predicted)
    corpora = corpora_of(texts)
    several = np.unique(corpora)
    for corpus in several if len(several) > 1 else ():
        rows = np.flatnonzero(corpora == corpus)
        part = texts.take(rows, name=f"{texts.name}, {corpus} alone")
        found += _judge(head, part, predicted[rows])[:1]
    return found


def _judge(head: str, texts: TextSet, predicted: NDArray[np.int64]) -> list[Metric]:
    confusion = count_confusion(texts.labels, predicted, len(texts.space))
    draws = draw_confusions(confusion, seed=0)
    return [
        _metric(name, head, interval_of(float(of(confusion)), of(draws)), len(texts), texts.name)
        for name, of in (("accuracy", accuracy_of), ("macro_f1", macro_f1_of))
    ]


def _metric(name: str, head: str, value: Interval, n: int, data: str) -> Metric:
    low, high = round(value.low, 4), round(value.high, 4)
    return Metric(name, head, round(value.value, 4), low, high, n, data)
