"""Numbers for engagement as a quantity, and for speed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from classpulse.core.errors import ShapeError
from classpulse.core.records import Interval
from classpulse.lab.evaluate.resample import Counts, Values, bootstrap_counts


@dataclass(frozen=True, slots=True)
class Regression:
    """Errors of a predicted quantity, with 95 % bootstrap intervals.

    Args:
        n: pairs with a true value.
        missing: pairs without one, left out.
        mse: mean squared error, in the square of the quantity's unit.
        mae: mean absolute error, in its unit.
        r2: 1 - residual / total sum of squares; None where the truth does not vary.
    """

    n: int
    missing: int
    mse: Interval
    mae: Interval
    r2: Interval | None


@dataclass(frozen=True, slots=True)
class Throughput:
    """Speed of repeated runs over the same number of items.

    Args:
        value: items per second, S = 1 / T.
        per_second: S with the 95 % bootstrap interval over runs; None for a single run.
        seconds_per_item: T, mean over all runs.
        runs: number of runs.
    """

    value: float
    per_second: Interval | None
    seconds_per_item: float
    runs: int


def score_regression(truth: ArrayLike, predicted: ArrayLike, *, seed: int = 0) -> Regression:
    """MSE, MAE and R2 of predicted (n,) against true (n,) values; a NaN truth is missing.

    Raises:
        ShapeError: the lengths differ, no true value is left, or a prediction is not finite.
    """
    wanted, got = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if wanted.ndim != 1 or wanted.shape != got.shape:
        raise ShapeError(f"truth {wanted.shape} and prediction {got.shape} need one shape (n,)")
    known = np.isfinite(wanted)
    wanted, got = wanted[known], got[known]
    if not len(wanted) or not np.isfinite(got).all():
        raise ShapeError("regression needs a true value at least, and finite predictions")
    mse, mae, r2 = bootstrap_counts(
        lambda counts: _errors(counts, wanted, got), len(wanted), seed=seed
    )
    assert mse is not None and mae is not None  # finite for finite pairs
    return Regression(len(wanted), int((~known).sum()), mse, mae, r2)


def _errors(counts: Counts, truth: Values, predicted: Values) -> Values:
    """(b, 3) MSE, MAE and R2 with rows counted (b, n) times."""
    residual = truth - predicted
    n = len(truth)
    centered = truth - truth.mean()
    squares = counts @ residual**2
    spread = counts @ centered**2 - (counts @ centered) ** 2 / n
    # rounding leaves a trace of variance where a resample has one value only
    varies = (spread > 1e-12 * n * np.ptp(truth) ** 2) & (np.ptp(truth) > 0)
    r2 = np.where(varies, 1 - squares / np.where(varies, spread, 1.0), np.nan)
    return np.column_stack([squares / n, counts @ np.abs(residual) / n, r2])


def score_throughput(seconds: ArrayLike, items: int, *, seed: int = 0) -> Throughput:
    """Items per second from measured runs.

    Args:
        seconds: (m,) duration of each run, after a warm-up that is not among them.
        items: number of items in each run.

    Raises:
        ShapeError: no run, a duration that is not positive, or no items.
    """
    runs = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
    if runs.ndim != 1 or not runs.size or not (runs > 0).all() or items < 1:
        raise ShapeError("throughput needs runs (m,) of more than 0 seconds and items >= 1")
    value = items / float(runs.mean())
    interval = None
    if len(runs) > 1:
        [interval] = bootstrap_counts(
            lambda counts: items * len(runs) / (counts @ runs)[:, None], len(runs), seed=seed
        )
    return Throughput(value, interval, 1 / value, len(runs))
