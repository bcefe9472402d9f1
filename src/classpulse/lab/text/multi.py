"""Heads whose labels do not exclude each other: from which probability a label holds, and F1."""

import numpy as np
from numpy.typing import NDArray

from classpulse.core.records import Interval
from classpulse.lab.evaluate.resample import RESAMPLES, interval_of

PLAIN_THRESHOLD = 0.3  # of every label before any is fitted (the code of Demszky et al. 2020)
GRID = np.round(np.arange(0.05, 0.96, 0.025), 3)

Probs = NDArray[np.float32]
Truth = NDArray[np.uint8]
Groups = NDArray[np.float32]


def fit_thresholds(probs: Probs, truth: Truth, *, beta: float = 1.0) -> tuple[float, ...]:
    """For each of k labels the value of `GRID` with the highest F-beta on (n, k) probs and truth.

    A label that never occurs, or that no threshold finds, keeps `PLAIN_THRESHOLD`.

    Args:
        beta: how many times as much recall counts as precision (van Rijsbergen 1979, chapter 7).
    """
    found = []
    for j in range(truth.shape[1]):
        scores = [_f_score(probs[:, j] >= t, truth[:, j] > 0, beta=beta) for t in GRID]
        best = int(np.argmax(scores))
        found.append(float(GRID[best]) if scores[best] > 0 else PLAIN_THRESHOLD)
    return tuple(found)


def macro_f1(probs: Probs, truth: Truth, thresholds: tuple[float, ...]) -> float:
    """Mean F1 over the k labels; one that neither occurs nor is found counts as 0."""
    said = probs >= np.asarray(thresholds, dtype=np.float32)
    return float(np.mean([_f_score(said[:, j], truth[:, j] > 0) for j in range(truth.shape[1])]))


def macro_f1_interval(
    probs: Probs,
    truth: Truth,
    thresholds: tuple[float, ...],
    *,
    groups: Groups | None = None,
    seed: int = 0,
) -> Interval:
    """`macro_f1` with a 95 % bootstrap interval over rows.

    Args:
        groups: (k, m) of 0 and 1: F1 is the mean over these m groups of labels instead; a group
            holds where one of its labels does, in the truth as in the answer.
    """
    said = probs >= np.asarray(thresholds, dtype=np.float32)
    return _interval(said, truth, groups=groups, seed=seed)


def cross_fitted_f1(
    probs: Probs, truth: Truth, *, groups: Groups | None = None, seed: int = 0
) -> Interval:
    """`macro_f1_interval` when each half of the rows is cut at the thresholds of the other half."""
    said = cut_crosswise(probs, truth, seed=seed)
    return _interval(said, truth, groups=groups, seed=seed)


def cut_crosswise(
    probs: Probs, truth: Truth, *, beta: float = 1.0, seed: int = 0
) -> NDArray[np.bool_]:
    """(n, k) answers, each half of the rows cut at the `fit_thresholds` of the other half."""
    order = np.random.default_rng(seed).permutation(len(truth))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    said = np.zeros(probs.shape, dtype=np.bool_)
    for fit_on, used_on in (halves, halves[::-1]):
        cut = np.asarray(fit_thresholds(probs[fit_on], truth[fit_on], beta=beta), dtype=np.float32)
        said[used_on] = probs[used_on] >= cut
    return said


def _interval(
    said: NDArray[np.bool_], truth: Truth, *, groups: Groups | None, seed: int
) -> Interval:
    """Bootstrap of rows by how often each is drawn, (resamples, n) counts times (n, k) facts."""
    answer, actual = said.astype(np.float64), truth.astype(np.float64)
    if groups is not None:
        answer, actual = ((rows @ groups > 0).astype(np.float64) for rows in (answer, actual))
    hits, total = answer * actual, answer + actual
    random = np.random.default_rng(seed)
    draws = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        counts = np.bincount(random.integers(0, len(truth), len(truth)), minlength=len(truth))
        draws[i] = _mean_f1(counts @ hits, counts @ total)
    return interval_of(_mean_f1(hits.sum(axis=0), total.sum(axis=0)), draws)


def _mean_f1(hits: NDArray[np.float64], total: NDArray[np.float64]) -> float:
    return float(np.mean(2 * hits / np.maximum(total, 1)))


def _f_score(said: NDArray[np.bool_], truth: NDArray[np.bool_], *, beta: float = 1.0) -> float:
    total = int(said.sum()) + beta**2 * int(truth.sum())
    return (1 + beta**2) * int((said & truth).sum()) / total if total else 0.0
