"""The confidence from which on answers are right nine times in ten, and how many are left.

Selective classification (El-Yaniv and Wiener 2010): a model that may abstain is judged by its
accuracy on what it answers and by the share of that, its coverage. A threshold that just reaches
the aim on the rows it was fitted to misses it on others: here the lower end of an interval of the
accuracy reaches it (Geifman and El-Yaniv 2017, section 3).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Metric
from classpulse.core.records import Interval
from classpulse.lab.evaluate.resample import bootstrap_counts

AIM = 0.9
MARGIN = 0.05  # chance that the accuracy is below the lower end of its one-sided interval
FOLDS = 10
STEP = 0.01  # thresholds are whole steps, which a user can type


@dataclass(frozen=True, slots=True)
class Selective:
    """What a threshold of confidence gives.

    Args:
        threshold: fitted to all rows, in [0, 1].
        accuracy, coverage: of rows under the threshold fitted to the other `FOLDS` - 1 parts.
        kept, n: rows that are answered, and all.
    """

    threshold: float
    accuracy: Interval
    coverage: Interval
    kept: int
    n: int

    def metrics(self, head: str, data: str) -> list[Metric]:
        """Two entries of a card."""
        where = f"{data}, confidence from {self.threshold:.2f}, cross-fitted"
        rows = ("selective accuracy", self.accuracy, self.kept), ("coverage", self.coverage, self.n)
        return [
            Metric(name, head, round(x.value, 4), round(x.low, 4), round(x.high, 4), n, where)
            for name, x, n in rows
        ]


def find_threshold(
    confidence: NDArray[np.float32], right: NDArray[np.bool_], *, aim: float = AIM
) -> float | None:
    """Least confidence, in whole steps, from which on a share `aim` of the answers is surely right.

    Surely: the lower end of the exact one-sided interval (Clopper and Pearson 1934) reaches it.

    Args:
        confidence: (n,) in [0, 1]; right: (n,).

    Returns:
        None where no threshold reaches the aim; for nine in ten it takes 29 answers.
    """
    from scipy.stats import beta

    steps = (np.arange(round(1 / STEP) + 1) * STEP).astype(np.float32)
    answered = confidence >= steps[:, None]  # (steps, n)
    kept, hits = answered.sum(axis=1), (answered & right).sum(axis=1)
    least = np.zeros(len(steps))  # without a right answer the lower end is 0
    least[hits > 0] = beta.ppf(MARGIN, hits[hits > 0], (kept - hits)[hits > 0] + 1)
    reached = np.flatnonzero(least >= aim)
    return round(float(steps[reached[0]]), 2) if len(reached) else None


def cross_fitted_selective(
    probs: NDArray[np.float32],
    truth: NDArray[np.int64],
    *,
    seed: int,
    unseen: NDArray[np.float32] | None = None,
    aim: float = AIM,
) -> Selective | None:
    """Threshold of all rows, judged on each tenth by the threshold of the others.

    Args:
        probs: (n, k) calibrated; truth: (n,) labels, none missing.
        unseen: (n, k) the same, each row calibrated without itself, to be judged; `probs` if None.

    Returns:
        None where the rows or nine tenths of them have no threshold that reaches the aim.
    """
    judged = probs if unseen is None else unseen
    confidence, right = judged.max(axis=1), judged.argmax(axis=1) == truth
    order = np.random.default_rng(seed).permutation(len(truth))
    kept = np.zeros(len(truth), dtype=np.bool_)
    for fold in np.array_split(order, FOLDS):
        others = np.setdiff1d(order, fold)
        threshold = find_threshold(confidence[others], right[others], aim=aim)
        if threshold is None:
            return None
        kept[fold] = confidence[fold] >= threshold
    whole = find_threshold(probs.max(axis=1), probs.argmax(axis=1) == truth, aim=aim)
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
