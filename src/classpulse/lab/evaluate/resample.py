"""Bootstrap draws: of rows for any statistic, of confusion matrices for everything that is counted.

Accuracy, precision, recall and F1 see a resample of n rows only through its confusion matrix, and
that matrix is a multinomial draw over the cells. Drawing it directly has the same distribution as
drawing rows (Efron 1979) and takes milliseconds for a thousand resamples.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from classpulse.core.records import Interval

RESAMPLES = 1000
PAIRED_RESAMPLES = 10_000  # the smallest p-value of a paired bootstrap is 2 / 10,001
CHUNK = 50  # resamples at a time: (50, n) counts stay small for any data set here

Labels = NDArray[np.int64]
Counts = NDArray[np.int64]
Values = NDArray[np.float64]
Clusters = NDArray[np.str_] | NDArray[np.int64]


def interval_of(value: float, draws: Values) -> Interval:
    """`value` with the 95 % percentile interval of its draws.

    Args:
        value: the statistic on all rows, finite.
        draws: (m,) the statistic on resamples; NaN draws are left out.
    """
    low, high = np.percentile(draws[np.isfinite(draws)], [2.5, 97.5])
    return Interval(value, min(float(low), value), max(float(high), value))


def interval_if_defined(value: float, draws: Values) -> Interval | None:
    """The same, or None where the statistic is not defined on all rows."""
    if not np.isfinite(value) or not np.isfinite(draws).any():
        return None
    return interval_of(value, draws)


def bootstrap_counts(
    statistic: Callable[[Counts], Values], n: int, *, seed: int
) -> list[Interval | None]:
    """95 % intervals of m statistics that share their resamples.

    Args:
        statistic: how often each row was drawn, (b, n) -> (b, m) values, NaN where undefined.
        n: number of rows.
    """
    random = np.random.default_rng(seed)
    values = statistic(np.ones((1, n), dtype=np.int64))[0]
    draws = np.concatenate(
        [
            statistic(
                np.stack([np.bincount(random.integers(0, n, n), minlength=n) for _ in range(CHUNK)])
            )
            for _ in range(RESAMPLES // CHUNK)
        ]
    )
    return [interval_if_defined(float(v), d) for v, d in zip(values, draws.T, strict=True)]


def count_confusion(truth: Labels, predicted: Labels, k: int) -> Counts:
    """(k, k) counts, rows are the truth."""
    return np.asarray(confusion_matrix(truth, predicted, labels=np.arange(k)), dtype=np.int64)


def draw_confusions(confusion: Counts, *, seed: int, resamples: int = RESAMPLES) -> Counts:
    """(resamples, k, k) confusion matrices of bootstrap resamples of the counted rows."""
    n = int(confusion.sum())
    random = np.random.default_rng(seed)
    flat = random.multinomial(n, confusion.ravel() / n, size=resamples)
    return flat.reshape(resamples, *confusion.shape)


def draw_clustered(
    truth: Labels, predicted: Labels, clusters: Clusters, k: int, *, seed: int
) -> Counts:
    """(RESAMPLES, k, k) confusion matrices of resamples of whole clusters.

    Rows of one person are alike, so that resamples of rows would make intervals too narrow (Davison
    and Hinkley 1997, section 3.8).

    Args:
        truth, predicted: (n,) labels in 0..k-1.
        clusters: (n,) what each row belongs to, as people.
    """
    cells, places = np.unique(truth * k + predicted, return_inverse=True)
    draws = _draw_cells(places, len(cells), clusters, seed=seed, resamples=RESAMPLES)
    whole = np.zeros((RESAMPLES, k * k), dtype=np.int64)
    whole[:, cells] = draws
    return whole.reshape(-1, k, k)


def _draw_cells(
    places: Labels, count: int, clusters: Clusters | None, *, seed: int, resamples: int
) -> Values:
    """(resamples, count) how many rows of each cell a resample of rows, or of clusters, has."""
    random = np.random.default_rng(seed)
    if clusters is None:
        n = len(places)
        shares = np.bincount(places, minlength=count) / n
        return random.multinomial(n, shares, size=resamples).astype(np.float64)
    names, members = np.unique(clusters, return_inverse=True)
    table = np.zeros((len(names), count))
    np.add.at(table, (members, places), 1)
    even = np.full(len(names), 1 / len(names))
    parts = [
        random.multinomial(len(names), even, size=min(RESAMPLES, resamples - start)) @ table
        for start in range(0, resamples, RESAMPLES)
    ]
    return np.concatenate(parts)


def draw_paired(
    truth: Labels,
    first: Labels,
    second: Labels,
    k: int,
    *,
    seed: int,
    resamples: int = PAIRED_RESAMPLES,
    clusters: Clusters | None = None,
) -> tuple[Counts, Counts]:
    """Confusion matrices of two predictors on the same resamples of rows.

    Args:
        truth, first, second: (n,) labels in 0..k-1 of the same rows.
        clusters: (n,) to be drawn whole, as in `draw_clustered`; None draws rows.

    Returns:
        Two (resamples, k, k) arrays.
    """
    code = (truth * k + first) * k + second
    cells, places = np.unique(code, return_inverse=True)
    draws = _draw_cells(places, len(cells), clusters, seed=seed, resamples=resamples)
    both = []
    for predicted in (cells // k % k, cells % k):
        place = np.zeros((len(cells), k * k))  # float: integers have no fast matrix product
        place[np.arange(len(cells)), cells // k**2 * k + predicted] = 1
        both.append((draws @ place).astype(np.int64).reshape(-1, k, k))
    return both[0], both[1]


def rates(confusion: Counts) -> Values:
    """(..., 3, k) precision, recall and F1 from counts (..., k, k); NaN where it is 0 / 0."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    predicted, actual = confusion.sum(axis=-2), confusion.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        parts = hits / predicted, hits / actual, 2 * hits / (predicted + actual)
    return np.stack(parts, axis=-2)


def accuracy_of(confusion: Counts) -> Values:
    """(...) share of rows on the diagonal of counts (..., k, k); NaN without rows."""
    hits = np.trace(confusion, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(hits / confusion.sum(axis=(-2, -1)), dtype=np.float64)


def macro_f1_of(confusion: Counts, *, skip_absent: bool = False) -> Values:
    """(...) mean F1 over the k classes of counts (..., k, k).

    Args:
        skip_absent: leave out classes that neither the truth nor the prediction has; otherwise
            they count as 0, as in `metrics.evaluate_scores` (`zero_division` of scikit-learn).
    """
    f1 = rates(confusion)[..., 2, :]
    defined = np.isfinite(f1)
    k = defined.sum(axis=-1) if skip_absent else f1.shape[-1]
    return np.asarray(np.where(defined, f1, 0.0).sum(axis=-1) / np.maximum(k, 1), dtype=np.float64)
