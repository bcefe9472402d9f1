"""Averages, per-class rates and reliability: what `metrics` does not have.

Undefined numbers are None, never NaN. Rows with the label -1 have none and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from classpulse.core.errors import ShapeError
from classpulse.core.records import Interval
from classpulse.lab.evaluate.metrics import ECE_BINS
from classpulse.lab.evaluate.resample import (
    Counts,
    Labels,
    Values,
    count_confusion,
    draw_confusions,
    interval_if_defined,
    interval_of,
    rates,
)

RATES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class ClassReport:
    """Rates of one classifier with 95 % bootstrap intervals.

    Args:
        n: rows with a label.
        averages: "macro", "micro", "weighted" -> "precision", "recall", "f1" -> interval. A class
            with 0 / 0 counts as 0, as in scikit-learn.
        per_class: label -> rate -> interval, None where it is 0 / 0 (precision of a label that is
            never predicted, recall of one that is not in the truth).
        support: label -> rows with that truth.
    """

    n: int
    averages: dict[str, dict[str, Interval]]
    per_class: dict[str, dict[str, Interval | None]]
    support: dict[str, int]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows whose confidence lies in [low, high): mean confidence and accuracy (95 % Wilson)."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: Interval


def labeled_rows(truth: Labels, k: int, *columns: NDArray[np.generic]) -> NDArray[np.bool_]:
    """(n,) True where there is a label.

    Raises:
        ShapeError: a column has another length, a label is not in -1..k-1, or none is given.
    """
    truth = np.asarray(truth)
    lengths = {len(column) for column in columns} - {len(truth)}
    if truth.ndim != 1 or lengths:
        raise ShapeError(f"{len(truth)} labels (n,) but columns of {sorted(lengths)} rows")
    if truth.size and (truth.min() < -1 or truth.max() >= k):
        raise ShapeError(f"labels are in -1..{k - 1}, not {truth.min()}..{truth.max()}")
    known = np.asarray(truth >= 0)
    if not known.any():
        raise ShapeError("no row has a label")
    return known


def labeled_confusion(truth: Labels, predicted: Labels, k: int) -> Counts:
    """(k, k) counts of the rows with a label, rows are the truth.

    Raises:
        ShapeError: lengths differ, no row has a label, or a prediction is not in 0..k-1.
    """
    known = labeled_rows(truth, k, predicted)
    answers = predicted[known]
    if answers.min() < 0 or answers.max() >= k:
        raise ShapeError(f"predictions are in 0..{k - 1}, not {answers.min()}..{answers.max()}")
    return count_confusion(truth[known], answers, k)


def score_classes(
    truth: Labels, predicted: Labels, names: Sequence[str], *, seed: int = 0
) -> ClassReport:
    """Macro, micro, weighted and per-class precision, recall and F1.

    Args:
        truth: (n,) columns of `names`, -1 for no label.
        predicted: (n,) columns of `names`.
        seed: of the bootstrap.
    """
    confusion = labeled_confusion(truth, predicted, len(names))
    draws = draw_confusions(confusion, seed=seed)
    each, each_drawn = rates(confusion), rates(draws)  # (3, k), (resamples, 3, k)
    value, drawn = _averages(confusion), _averages(draws)
    averages = {
        average: {
            rate: interval_of(float(value[a, r]), drawn[:, a, r]) for r, rate in enumerate(RATES)
        }
        for a, average in enumerate(("macro", "micro", "weighted"))
    }
    per_class = {
        name: {
            rate: interval_if_defined(float(each[r, c]), each_drawn[:, r, c])
            for r, rate in enumerate(RATES)
        }
        for c, name in enumerate(names)
    }
    support = dict(zip(names, confusion.sum(axis=1).tolist(), strict=True))
    return ClassReport(int(confusion.sum()), averages, per_class, support)


def _averages(confusion: Counts) -> Values:
    """(..., 3, 3): macro, micro, weighted by precision, recall, F1, with 0 / 0 as 0."""
    each = np.nan_to_num(rates(confusion), nan=0.0)
    actual = confusion.sum(axis=-1)
    weights = (actual / actual.sum(axis=-1, keepdims=True))[..., None, :]
    hits = np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))
    micro = np.repeat(np.asarray(hits)[..., None], len(RATES), axis=-1)
    return np.stack([each.mean(axis=-1), micro, (each * weights).sum(axis=-1)], axis=-2)


def reliability_curve(
    probs: NDArray[np.float32], truth: Labels, *, bins: int = ECE_BINS
) -> list[ReliabilityBin]:
    """Accuracy against confidence in equal-width bins; empty bins are left out.

    With the default bins, sum(n * |accuracy - confidence|) / n is the ECE of `metrics`.
    """
    probs, truth = labeled_probs(probs, truth, probs.shape[1])
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == truth
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for b in np.unique(place):
        inside = place == b
        hits, n = int(right[inside].sum()), int(inside.sum())
        accuracy = share_of(hits, n)
        mean = float(confidence[inside].mean())
        rows.append(ReliabilityBin(int(b) / bins, (int(b) + 1) / bins, n, mean, accuracy))
    return rows


def share_of(hits: int, n: int) -> Interval:
    """`hits` of `n` > 0 as a share with its 95 % Wilson interval, rows taken as independent."""
    ends = binomtest(hits, n).proportion_ci(method="wilson")
    share = hits / n
    return Interval(share, min(float(ends.low), share), max(float(ends.high), share))


def labeled_probs(
    probs: NDArray[np.float32], truth: Labels, k: int
) -> tuple[NDArray[np.float32], Labels]:
    """The rows of (n, k) probabilities and (n,) labels that have a label.

    Raises:
        ShapeError: another shape, NaN, or as `labeled_rows`.
    """
    if probs.ndim != 2 or probs.shape[1] != k or not np.isfinite(probs).all():
        raise ShapeError(f"probs have shape (n, {k}) and are finite, not {probs.shape}")
    known = labeled_rows(truth, k, probs)
    return probs[known], truth[known]
