"""The numbers of a card: an artefact measured on every held-out part of its split."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Metric
from classpulse.core.errors import InputError
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.faces import FaceSet, repeated_in
from classpulse.lab.evaluate.calibration import Fitted
from classpulse.lab.evaluate.metrics import ece_interval, evaluate_scores, floor_of_ece
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.evaluate.resample import RESAMPLES, bootstrap_counts, interval_of
from classpulse.lab.evaluate.selective import cross_fitted_selective
from classpulse.lab.train.sources import FaceParts
from classpulse.lab.train.targets import hard_labels
from classpulse.runtime.model import OnnxModel

MOST_LOST = 0.005  # of the accuracy, to integers

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
    return _metric("ece, cross-fitted halves", head, ece, n, data)


def calibration_metrics(
    head: str,
    probs: NDArray[np.float32],
    truth: NDArray[np.int64],
    data: str,
    *,
    fitted: Fitted,
) -> list[Metric]:
    """ECE, its floor and the accuracy of cross-fitted answers; selective accuracy and coverage.

    The latter where nine in ten are reached.

    Args:
        probs: (n, k) at temperature 1; truth: (n,) labels, none missing.
        data: its name.
        fitted: on them; the artefact has its calibration.
    """
    n, unseen = len(truth), fitted.unseen
    found = [
        _metric("ece, cross-fitted", head, ece_interval(unseen, truth, seed=0), n, data),
        _metric("ece if perfectly calibrated", head, floor_of_ece(unseen, seed=0), n, data),
    ]
    if not fitted.calibration.is_plain:  # biases move labels: the accuracy on these rows is theirs
        accuracy = _share(unseen.argmax(axis=1) == truth)
        found.append(_metric("accuracy, cross-fitted calibration", head, accuracy, n, data))
    shipped = fitted.calibration.apply(probs)
    selective = cross_fitted_selective(shipped, truth, seed=0, unseen=unseen)
    return [*found, *(selective.metrics(head, data) if selective else ())]


def judge_rounding(model: OnnxModel, exact: NDArray[np.float32], valid: FaceSet) -> list[Metric]:
    """What integers cost: accuracy of the first head in float32, and what of it is lost.

    Args:
        model: the network in integers.
        exact: (n, k) calibrated answers of the first head in float32 to the pictures of `valid`.

    Raises:
        InputError: `MOST_LOST` or more is lost.
    """
    head = model.card.heads[0].name
    truth = hard_labels(valid, head)
    known = truth >= 0
    rounded = predict_heads(model, valid.images)[head].top[known] == truth[known]
    before = exact.argmax(axis=1)[known] == truth[known]
    gain, n = before.astype(np.int64) - rounded, int(known.sum())
    lost = gain.sum() / n
    if lost >= MOST_LOST:
        raise InputError(
            f"{model.card.name} in int8 loses {100 * lost:.1f} points of {head} accuracy on "
            f"{valid.name}: {rounded.mean():.4f} instead of {before.mean():.4f} in float32, and "
            f"{100 * MOST_LOST} are too many: publish it with --set precision='\"float16\"'"
        )
    ends = bootstrap_counts(lambda drawn: (drawn @ gain)[:, None] / n, n, seed=0)
    [difference] = [one for one in ends if one is not None]
    return [
        _metric("accuracy, float32", head, _share(before), n, valid.name),
        _metric("accuracy lost in int8", head, difference, n, valid.name),
    ]


def _share(right: NDArray[np.bool_]) -> Interval:
    """Mean with its 95 % bootstrap interval; a resample of rows is a binomial draw."""
    draws = np.random.default_rng(0).binomial(len(right), right.mean(), RESAMPLES) / len(right)
    return interval_of(float(right.mean()), draws)


def _metric(name: str, head: str, found: Interval, n: int, data: str) -> Metric:
    value, low, high = (round(v, 4) for v in (found.value, found.low, found.high))
    return Metric(name, head, value, low, high, n, data)


def _judge(faces: FaceSet, heads: Mapping[str, Scores]) -> list[Metric]:
    found: list[Metric] = []
    for head, scores in heads.items():
        result = evaluate_scores(scores, hard_labels(faces, head))
        for name, value in (("accuracy", result.accuracy), ("macro_f1", result.macro_f1)):
            found.append(_metric(name, head, value, result.n, faces.name))
    return found
