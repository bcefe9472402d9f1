"""Choosing rows of a data set by mask or by position, and sharing out how many."""

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import ShapeError


def as_rows(rows: NDArray[np.bool_] | NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Positions (m,) int64 for a mask (n,) or positions; `ShapeError` for anything else."""
    if rows.dtype == np.bool_ and rows.shape == (n,):
        return np.flatnonzero(rows)
    if rows.dtype.kind not in "iu" or rows.ndim != 1:
        raise ShapeError(
            f"rows are a mask ({n},) bool or positions (m,) int64, not {rows.shape} {rows.dtype}"
        )
    if rows.size and not 0 <= rows.min() <= rows.max() < n:
        raise ShapeError(f"positions {rows.min()}..{rows.max()}, there are 0..{n - 1}")
    return rows.astype(np.int64)


def apportion(n: int, counts: NDArray[np.int64]) -> list[int]:
    """`n` rows in proportion to (k,) counts, by largest remainder: no part is off by 1 or more."""
    exact = n * counts / counts.sum()
    parts = np.floor(exact).astype(np.int64)
    rest = np.argsort(parts - exact, kind="stable")[: n - int(parts.sum())]
    parts[rest] += 1
    return [int(part) for part in parts]
