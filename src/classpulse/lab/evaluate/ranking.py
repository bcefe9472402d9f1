"""What the order of the probabilities is worth: AUROC and the risk-coverage curve.

Undefined numbers are None, never NaN. Rows with the label -1 have none and are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.records import Interval
from classpulse.lab.evaluate.classification import labeled_probs
from classpulse.lab.evaluate.resample import Counts, Labels, Values, bootstrap_counts

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)


@dataclass(frozen=True, slots=True)
class Auroc:
    """Area under the ROC curve, one class against the rest (Fawcett 2006).

    Args:
        macro: unweighted mean over the classes that have one; None without any.
        per_class: label -> area; None for a class with no rows or with all of them.
    """

    macro: Interval | None
    per_class: dict[str, Interval | None]


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """Error of the answers kept when the least confident are refused (Geifman and El-Yaniv 2017).

    Args:
        threshold: (m,) distinct confidences, falling: an answer is kept at or above it.
        coverage: (m,) share kept, rising to 1.
        risk: (m,) share of wrong answers among those kept.
        aurc: mean risk over all n coverages, in expectation over the order of equal confidences.
        excess: `aurc` minus that of an oracle that refuses wrong answers first (Geifman 2019).
        accuracy_at: accuracy of the most confident share, for each of `COVERAGES`.
    """

    threshold: Values
    coverage: Values
    risk: Values
    aurc: Interval
    excess: float
    accuracy_at: dict[float, float]


def score_auroc(
    probs: NDArray[np.float32], truth: Labels, names: Sequence[str], *, seed: int = 0
) -> Auroc:
    """One-against-rest areas by the rank-sum statistic; ties count one half.

    Args:
        probs: (n, k).
        truth: (n,) columns of `names`, -1 for no label.
    """
    probs, truth = labeled_probs(probs, truth, len(names))
    intervals = bootstrap_counts(lambda counts: _areas(counts, probs, truth), len(truth), seed=seed)
    return Auroc(intervals[-1], dict(zip(names, intervals, strict=False)))


def _areas(counts: Counts, probs: NDArray[np.float32], truth: Labels) -> Values:
    """(b, k + 1) area of every class, then their mean, with rows counted (b, n) times."""
    areas = np.stack([_area(counts, p, truth == c) for c, p in enumerate(probs.T)], axis=1)
    defined = np.isfinite(areas)
    total = np.where(defined, areas, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.column_stack([areas, total / defined.sum(axis=1)])


def _area(counts: Counts, score: NDArray[np.float32], is_class: NDArray[np.bool_]) -> Values:
    """(b,) share of pairs, one row inside and one outside the class, in the right order."""
    inside = _by_level(counts * is_class, score)
    outside = _by_level(counts * ~is_class, score)
    below = outside.cumsum(axis=1) - outside / 2  # ties count one half
    with np.errstate(invalid="ignore"):
        area = (inside * below).sum(axis=1) / (inside.sum(axis=1) * outside.sum(axis=1))
    return np.asarray(area, dtype=np.float64)


def _by_level(counts: Counts, score: NDArray[np.generic]) -> Counts:
    """Counts (b, n) summed over rows of equal score, (b, levels) in rising order of score."""
    order = np.argsort(score, kind="stable")
    rising = score[order]
    starts = np.flatnonzero(np.append(True, rising[1:] != rising[:-1]))
    return np.asarray(np.add.reduceat(counts[:, order], starts, axis=1))


def risk_coverage(probs: NDArray[np.float32], truth: Labels, *, seed: int = 0) -> RiskCoverage:
    """Risk at every coverage, with confidence = the highest probability."""
    probs, truth = labeled_probs(probs, truth, probs.shape[1])
    confidence, wrong = probs.max(axis=1), probs.argmax(axis=1) != truth
    threshold, kept, errors = _by_threshold(confidence, wrong)
    n = len(truth)
    [aurc] = bootstrap_counts(
        lambda counts: _aurc(counts, confidence, wrong)[:, None], n, seed=seed
    )
    assert aurc is not None  # every resample has answers
    oracle = _aurc(np.ones((1, n), dtype=np.int64), ~wrong, wrong)
    at = [max(1, round(share * n)) for share in COVERAGES]
    accuracy = 1 - _errors_at(np.asarray(at), kept, errors) / at
    return RiskCoverage(
        threshold=threshold.astype(np.float64),
        coverage=kept / n,
        risk=errors / kept,
        aurc=aurc,
        excess=aurc.value - float(oracle[0]),
        accuracy_at=dict(zip(COVERAGES, accuracy.tolist(), strict=True)),
    )


def _by_threshold(
    confidence: NDArray[np.float32], wrong: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], Values, Values]:
    """Distinct confidences falling, with answers and errors at or above each."""
    levels, place = np.unique(-confidence, return_inverse=True)
    kept = np.cumsum(np.bincount(place)).astype(np.float64)
    errors = np.cumsum(np.bincount(place, weights=wrong.astype(np.float64)))
    return -levels, kept, np.asarray(errors, dtype=np.float64)


def _errors_at(count: NDArray[np.int64], kept: Values, errors: Values) -> Values:
    """Expected errors among the `count` most confident; ties come in random order."""
    return np.interp(count, np.append(0.0, kept), np.append(0.0, errors))


def _aurc(counts: Counts, confidence: NDArray[np.generic], wrong: NDArray[np.bool_]) -> Values:
    """(b,) mean over j = 1..n of (expected errors among the j most confident) / j.

    Within a run of m equal confidences after j0 answers with e0 errors, the j-th brings r errors,
    so its sum is m r + (e0 - r j0) (H(j0 + m) - H(j0)) with the harmonic numbers H.
    """
    run = _by_level(counts, confidence)[:, ::-1]
    errors = _by_level(counts * wrong, confidence)[:, ::-1]
    before, errors_before = run.cumsum(axis=1) - run, errors.cumsum(axis=1) - errors
    n = int(counts[0].sum())
    harmonic = np.append(0.0, (1 / np.arange(1, n + 1)).cumsum())
    rate = errors / np.maximum(run, 1)
    steps = harmonic[before + run] - harmonic[before]
    total = (errors + (errors_before - rate * before) * steps).sum(axis=1)
    return np.asarray(total / n, dtype=np.float64)
