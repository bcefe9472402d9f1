"""Calibration of heads whose labels do not exclude each other: one temperature of all sigmoids.

Every label of every text is a case with two outcomes, so a sigmoid at temperature T is the softmax
of two logits at T: what holds of exclusive labels (Guo et al. 2017) holds here, with the binary
cross-entropy for the log-likelihood.
"""

import numpy as np
from numpy.typing import NDArray

from classpulse.core.records import Interval
from classpulse.lab.evaluate.metrics import ECE_BINS, fit_temperature, heat
from classpulse.lab.evaluate.resample import RESAMPLES, interval_of
from classpulse.lab.text.multi import Probs, Truth


def heat_multi(probs: Probs, temperature: float) -> Probs:
    """(n, k) probabilities of the same logits at another temperature: sigmoid(logit p / T)."""
    return heat(_outcomes(probs), temperature)[:, 1].reshape(probs.shape)


def fit_multi_temperature(probs: Probs, truth: Truth) -> float:
    """The temperature that minimizes the mean binary cross-entropy over texts and labels.

    Args:
        probs, truth: (n, k) at temperature 1, of rows on which nothing was learned.
    """
    return fit_temperature(_outcomes(probs), truth.astype(np.int64).ravel())


def heat_crosswise(probs: Probs, truth: Truth, *, seed: int = 0) -> Probs:
    """(n, k) probabilities, each half of the rows at the temperature of the other half."""
    order = np.random.default_rng(seed).permutation(len(truth))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    heated = np.empty_like(probs)
    for fit_on, used_on in (halves, halves[::-1]):
        found = fit_multi_temperature(probs[fit_on], truth[fit_on])
        heated[used_on] = heat_multi(probs[used_on], found)
    return heated


def multi_ece(probs: Probs, truth: Truth, *, seed: int = 0) -> Interval:
    """Expected calibration error of the probabilities of all labels, with a 95 % interval.

    Of n * k probabilities in `ECE_BINS` bins of equal width: how far their mean is from the share
    of labels that hold, weighted by their number. Most labels do not hold of most texts and are
    easily said not to: compare it with the share that holds. The interval is of resampled rows and
    leans to high values, as that of `cross_fitted_ece`.
    """
    n, k = probs.shape
    place = np.minimum((probs * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    gaps = np.zeros((n, ECE_BINS))  # of each row, by bin: sum of probability less truth
    np.add.at(gaps, (np.arange(n)[:, None], place), probs - truth.astype(np.float64))
    random = np.random.default_rng(seed)
    draws = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        counts = np.bincount(random.integers(0, n, n), minlength=n)
        draws[i] = np.abs(counts @ gaps).sum() / (n * k)
    return interval_of(float(np.abs(gaps.sum(axis=0)).sum() / (n * k)), draws)


def _outcomes(probs: Probs) -> NDArray[np.float32]:
    """(n, k) -> (n * k, 2): that a label does not hold, and that it does."""
    flat = probs.ravel()
    return np.stack([1.0 - flat, flat], axis=1)
