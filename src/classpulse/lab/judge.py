"""The numbers of a card: an artefact measured on every held-out part of its split."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Metric
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.faces import FaceSet, repeated_in
from classpulse.lab.evaluate.metrics import (
    cross_fitted_ece,
    evaluate_scores,
    heat,
)
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.evaluate.selective import cross_fitted_selective
from classpulse.lab.train.sources import FaceParts
from classpulse.lab.train.targets import hard_labels
from classpulse.runtime.model import OnnxModel

Answers = Callable[[NDArray[np.uint8]], Mapping[str, Scores]]
"""From pictures (n, h, w) or (n, h, w, 3) to the scores of every head."""


def judge_parts(model: OnnxModel, parts: FaceParts) -> list[Metric]:
    """`judge_answers` of an artefact on the test part, if any, then on the validation part."""
    judged = [part for part in (parts.test, parts.valid) if part is not None]
    return judge_answers(lambda images: predict_heads(model, images), judged, train=parts.train)


def judge_answers(
    answers_of: Answers, judged: Sequence[FaceSet], *, train: FaceSet
) -> list[Metric]:
    """Accuracy and macro F1 of every head on every judged part.

    A part of which pictures also stand in training is measured a second time without them.
    """
    pairs = [(part, answers_of(part.images)) for part in judged]
    found = [metric for part, heads in pairs for metric in _judge(part, heads)]
    for part, heads in pairs:
        fresh = ~repeated_in(part, train)
        if fresh.any() and not fresh.all():
            kept = {head: Scores(one.probs[fresh], one.space) for head, one in heads.items()}
            found += _judge(part.take(fresh, name=f"{part.name} without repeats"), kept)
    return found


def ece_metric(head: str, ece: Interval, n: int, data: str) -> Metric:
    """The entry of a card for `cross_fitted_ece`."""
    value, low, high = (round(v, 4) for v in (ece.value, ece.low, ece.high))
    return Metric("ece, cross-fitted halves", head, value, low, high, n, data)


def calibration_metrics(
    head: str,
    probs: NDArray[np.float32],
    truth: NDArray[np.int64],
    data: str,
    *,
    temperature: float,
) -> list[Metric]:
    """ECE, and selective accuracy with its coverage where the aim of nine in ten is reached.

    Args:
        probs: (n, k) at temperature 1; truth: (n,) labels, none missing.
        data: its name.
        temperature: that the artefact has.
    """
    ece = ece_metric(head, cross_fitted_ece(probs, truth, seed=0), len(truth), data)
    found = cross_fitted_selective(heat(probs, temperature), truth, seed=0)
    return [ece, *(found.metrics(head, data) if found else ())]


def _judge(faces: FaceSet, heads: Mapping[str, Scores]) -> list[Metric]:
    found: list[Metric] = []
    for head, scores in heads.items():
        result = evaluate_scores(scores, hard_labels(faces, head))
        for name, value in (("accuracy", result.accuracy), ("macro_f1", result.macro_f1)):
            low, high = round(value.low, 4), round(value.high, 4)
            found.append(Metric(name, head, round(value.value, 4), low, high, result.n, faces.name))
    return found
