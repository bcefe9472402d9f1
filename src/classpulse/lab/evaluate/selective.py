"""The confidence from which on answers are right nine times in ten, and how many are left.

Selective classification (El-Yaniv and Wiener 2010): a model that may abstain is judged by its
accuracy on what it answers and by the share of that, its coverage.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Metric
from classpulse.core.records import Interval
from classpulse.lab.evaluate.resample import bootstrap_counts

AIM = 0.9
FEWEST = 20  # answers whose accuracy is believed
STEP = 0.01  # thresholds are whole steps, which a user can type


@dataclass(frozen=True, slots=True)
class Selective:
    """What a threshold of confidence gives.

    Args:
        threshold: fitted to all rows, in [0, 1].
        accuracy, coverage: of rows under the threshold fitted to the other half of them.
        kept, n: rows that are answered, and all.
    """

    threshold: float
    accuracy: Interval
    coverage: Interval
    kept: int
    n: int

    def metrics(self, head: str, data: str) -> list[Metric]:
        """Two entries of a card."""
        where = f"{data}, confidence from {self.threshold:.2f}, cross-fitted halves"
        rows = ("selective accuracy", self.accuracy, self.kept), ("coverage", self.coverage, self.n)
        return [
            Metric(name, head, round(x.value, 4), round(x.low, 4), round(x.high, 4), n, where)
            for name, x, n in rows
        ]


def find_threshold(
    confidence: NDArray[np.float32], right: NDArray[np.bool_], *, aim: float = AIM
) -> float | None:
    """Least confidence, in whole steps, from which on a share `aim` of the answers is right.

    Args:
        confidence: (n,) in [0, 1]; right: (n,).

    Returns:
        None where no threshold with at least `FEWEST` answers reaches the aim.
    """
    order = np.argsort(-confidence, kind="stable")
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    for place in np.flatnonzero(shares >= aim)[::-1]:
        threshold = math.ceil(float(confidence[order[place]]) / STEP - 1e-6) * STEP
        kept = confidence >= threshold
        if kept.sum() >= FEWEST and right[kept].mean() >= aim:
            return round(threshold, 2)
    return None


def cross_fitted_selective(
    probs: NDArray[np.float32], truth: NDArray[np.int64], *, seed: int, aim: float = AIM
) -> Selective | None:
    """Threshold of all rows, judged by thresholds that each half gives the other.

    Args:
        probs: (n, k) calibrated; truth: (n,) labels, none missing.

    Returns:
        None where a half has no threshold that reaches the aim.
    """
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == truth
    order = np.random.default_rng(seed).permutation(len(truth))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    kept = np.zeros(len(truth), dtype=np.bool_)
    for fit_on, used_on in (halves, halves[::-1]):
        threshold = find_threshold(confidence[fit_on], right[fit_on], aim=aim)
        if threshold is None:
            return None
        kept[used_on] = confidence[used_on] >= threshold
    whole = find_threshold(confidence, right, aim=aim)
    if whole is None or not kept.any():
        return None

    def statistic(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        answered = counts @ kept
        with np.errstate(invalid="ignore"):  # a resample without an answer has no accuracy
            accuracy = (counts @ (kept & right)) / answered
        return np.stack([accuracy, answered / len(truth)], axis=1)

    accuracy, coverage = bootstrap_counts(statistic, len(truth), seed=seed)
    assert accuracy is not None and coverage is not None  # something is kept
    return Selective(whole, accuracy, coverage, int(kept.sum()), len(truth))
