"""The numbers of a text artefact's card, measured on every held-out part."""

from collections.abc import Mapping

import numpy as np

from classpulse.core.card import Metric
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.corpora import AnyTexts
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.lab.evaluate.metrics import evaluate_scores
from classpulse.lab.text.multi import cross_fitted_f1, macro_f1_interval
from classpulse.lab.text.sources import TextParts
from classpulse.runtime.text import OnnxTextModel


def judge_texts(model: OnnxTextModel, parts: TextParts) -> list[Metric]:
    """Accuracy and macro F1 of every head, on the test parts if any, then on the validation parts.

    A part that comes from several corpora is measured for each of them too, since a network may
    tell the corpora apart instead of the emotions (seed-thesis E.2, 4).
    """
    found: list[Metric] = []
    for held, fitted in ((parts.test, False), (parts.valid, True)):
        for head, texts in held.items():
            found += judge_set(model, head, texts, fitted=fitted)
    return found


def judge_set(model: OnnxTextModel, head: str, texts: AnyTexts, *, fitted: bool) -> list[Metric]:
    """The numbers of one head on one set.

    Args:
        fitted: the thresholds of the card were fitted on this very set: F1 is cross-fitted then.
    """
    scores: Mapping[str, Scores] = model.predict(texts.texts)
    if isinstance(texts, MultiTextSet):
        probs, cut = scores[head].probs, model.card.head(head).thresholds
        f1 = (
            cross_fitted_f1(probs, texts.targets)
            if fitted
            else macro_f1_interval(probs, texts.targets, cut)
        )
        name = "macro_f1, cross-fitted thresholds" if fitted else "macro_f1"
        return [_metric(name, head, f1, len(texts), texts.name)]
    found = _judge(head, texts, scores[head])
    corpora = sorted(set(texts.source))
    for corpus in corpora if len(corpora) > 1 else ():
        rows = np.flatnonzero([one == corpus for one in texts.source])
        part = texts.take(rows, name=f"{texts.name}, {corpus} alone")
        found += _judge(head, part, Scores(scores[head].probs[rows], scores[head].space))[:1]
    return found


def _judge(head: str, texts: TextSet, scores: Scores) -> list[Metric]:
    result = evaluate_scores(scores, texts.labels)
    numbers = (("accuracy", result.accuracy), ("macro_f1", result.macro_f1))
    return [_metric(name, head, value, result.n, texts.name) for name, value in numbers]


def _metric(name: str, head: str, value: Interval, n: int, data: str) -> Metric:
    low, high = round(value.low, 4), round(value.high, 4)
    return Metric(name, head, round(value.value, 4), low, high, n, data)
