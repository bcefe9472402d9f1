"""Is one model better than another on the same rows, or is it chance?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, binomtest, chi2

from classpulse.core.errors import ShapeError
from classpulse.core.records import Interval
from classpulse.lab.evaluate.classification import labeled_confusion, labeled_rows
from classpulse.lab.evaluate.resample import (
    Clusters,
    Labels,
    Values,
    accuracy_of,
    draw_paired,
    interval_of,
    macro_f1_of,
)

Method = Literal["exact", "mid-p", "chi2"]


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test (1947) of two classifiers on the same rows.

    Args:
        both, first_only, second_only, neither: rows by who is right.
        p: two-sided p-value; 1 where they never disagree about being right.
        method: "exact" binomial; "mid-p", less conservative (Fagerland et al. 2013); "chi2" with
            continuity correction (Edwards 1948), for 25 disagreements or more.
    """

    both: int
    first_only: int
    second_only: int
    neither: int
    p: float
    method: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two models on the same rows.

    Args:
        metric: its name.
        first, second: values of the two models.
        difference: first - second, with the 95 % interval of the paired bootstrap.
        p: two-sided bootstrap p-value, never below 2 / (PAIRED_RESAMPLES + 1).
    """

    metric: str
    first: float
    second: float
    difference: Interval
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same n rows."""

    n: int
    accuracy: Difference
    macro_f1: Difference
    mcnemar: McNemar


def score_mcnemar(
    first_right: NDArray[np.bool_], second_right: NDArray[np.bool_], *, method: Method = "mid-p"
) -> McNemar:
    """Test whether two classifiers are right equally often.

    Args:
        first_right, second_right: (n,) whether each is right about a row.

    Raises:
        ShapeError: the lengths differ or there are no rows.
    """
    a, b = np.asarray(first_right, dtype=np.bool_), np.asarray(second_right, dtype=np.bool_)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ShapeError(f"McNemar needs two columns (n,) of the same rows: {a.shape}, {b.shape}")
    first_only, second_only = int((a & ~b).sum()), int((~a & b).sum())
    p = _mcnemar_p(first_only, second_only, method)
    return McNemar(int((a & b).sum()), first_only, second_only, int((~a & ~b).sum()), p, method)


def _mcnemar_p(first_only: int, second_only: int, method: Method) -> float:
    apart = first_only + second_only
    fewer = min(first_only, second_only)
    if apart == 0:
        return 1.0
    if method == "exact":
        return float(binomtest(fewer, apart).pvalue)
    if method == "mid-p":
        return float(2 * binom.cdf(fewer, apart, 0.5) - binom.pmf(fewer, apart, 0.5))
    distance = max(abs(first_only - second_only) - 1, 0)
    return float(chi2.sf(distance**2 / apart, 1))


def compare_models(
    truth: Labels,
    first: Labels,
    second: Labels,
    k: int,
    *,
    method: Method = "mid-p",
    clusters: Clusters | None = None,
    seed: int = 0,
) -> Comparison:
    """Differences of accuracy and macro F1 by a paired bootstrap, and McNemar's test.

    Args:
        truth: (n,) labels in 0..k-1, -1 for no label.
        first, second: (n,) predictions in 0..k-1 for the same rows.
        method: of McNemar's test, which takes rows for independent.
        clusters: (n,) that the bootstrap draws whole, as people.
        seed: of the bootstrap.
    """
    known = labeled_rows(truth, k, first, second)
    truth, first, second = truth[known], first[known], second[known]
    counts = [labeled_confusion(truth, predicted, k) for predicted in (first, second)]
    whole = None if clusters is None else clusters[known]
    drawn = draw_paired(truth, first, second, k, seed=seed, clusters=whole)
    metrics = {"accuracy": accuracy_of, "macro_f1": macro_f1_of}
    accuracy, macro_f1 = (
        difference_of(name, float(of(counts[0])), float(of(counts[1])), of(drawn[0]) - of(drawn[1]))
        for name, of in metrics.items()
    )
    mcnemar = score_mcnemar(first == truth, second == truth, method=method)
    return Comparison(len(truth), accuracy, macro_f1, mcnemar)


def difference_of(metric: str, first: float, second: float, draws: Values) -> Difference:
    """Two values and (m,) paired bootstrap draws of first - second."""
    interval = interval_of(first - second, draws)
    below, above = (draws <= 0).sum() + 1, (draws >= 0).sum() + 1
    p = min(1.0, 2 * min(below, above) / (len(draws) + 1))
    return Difference(metric, first, second, interval, float(p))
