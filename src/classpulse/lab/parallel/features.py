"""Classical features in parallel (paper eq. 23): batches of pictures, or blocks of a large picture.

A row of `classic.features` depends on its own picture alone, so any cut gives the same bits as one
call. A large picture is cut into overlapping windows, each with a row of features; a worker gets a
strip of whole windows, that is with the rows below its last step that the next strip has too.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.classic.features import FEATURES
from classpulse.lab.parallel.workers import PARTS, Load, Workers, use_pool

Array = NDArray[Any]
Rows = NDArray[np.float32]


def extract_batch(
    pictures: Array, feature: str, *, pool: Workers, batch: int | None = None
) -> tuple[Rows, Load]:
    """A row of features of each picture, equal to ``FEATURES[feature](pictures)``.

    Args:
        pictures: (n, h, w) of numbers.
        feature: a name in `classic.features.FEATURES`.
        batch: pictures of one task; a sixteenth of a worker's share by default.

    Returns:
        (n, d) float32, and who did how much.

    Raises:
        InputError: an unknown feature, or `batch` below one.
        ShapeError: as the feature does.
    """
    _need_known(feature)
    return extract_rows(pictures, FEATURES[feature], pool=pool, batch=batch)


def extract_rows(
    pictures: Array,
    make: Callable[[Array], Rows],
    *,
    pool: Workers,
    batch: int | None = None,
    block: int = 1,
) -> tuple[Rows, Load]:
    """A row of each picture, equal to ``make(pictures)`` if its rows depend on a block alone.

    Args:
        pictures: (n, h, w) or (n, h, w, 3) of numbers.
        make: (m, ...) -> (m, d) float32; it travels by pickle, if workers are processes.
        batch: pictures of one task; a sixteenth of a worker's share by default.
        block: tasks begin at multiples of it only.

    Returns:
        (n, d) float32, and who did how much.

    Raises:
        InputError: `batch` below one.
        ClassPulseError: as `make` raises it.
    """
    width = make(pictures[:1] if pictures.ndim > 2 else pictures).shape[1]
    size = -(-_part("batch", batch, len(pictures), pool) // block) * block
    tasks = [(make, start, start + size) for start in range(0, len(pictures), size)]
    with pool.share(pictures) as source, pool.allocate((len(pictures), width), "f4") as target:
        _, load = pool.run(_fill_batch, tasks, source, target)
        return target.take(), load


def extract_windows(
    picture: Array,
    feature: str,
    *,
    pool: Workers | None = None,
    window: int = 48,
    step: int = 24,
    strip: int | None = None,
) -> tuple[Rows, Load]:
    """Features of every window of a large picture.

    Args:
        picture: (h, w) of numbers.
        feature: a name in `classic.features.FEATURES`.
        pool: None is this process, one strip after the other.
        window: side, pixels.
        step: between two windows, down and across, pixels.
        strip: rows of windows of one task; a sixteenth of a worker's share by default.

    Returns:
        (rows, columns, d) float32, and who did how much.

    Raises:
        InputError: an unknown feature, or a number below one.
        ShapeError: the picture is smaller than a window, or no picture.
    """
    if min(window, step) < 1:
        raise InputError(f"window and step are one pixel or more, not {window} and {step}")
    if picture.ndim != 2 or min(picture.shape) < window:
        raise ShapeError(
            f"windows of {window} x {window} need a grey picture (h, w) at least as large, not "
            f"{picture.shape}"
        )
    rows, columns = ((side - window) // step + 1 for side in picture.shape)
    _need_known(feature)
    width = FEATURES[feature](picture[None, :window, :window]).shape[1]
    with (
        use_pool(pool) as workers,
        workers.share(picture) as source,
        workers.allocate((rows, columns, width), "f4") as target,
    ):
        size = _part("strip", strip, rows, workers)
        tasks = [
            (feature, window, step, top, min(top + size, rows)) for top in range(0, rows, size)
        ]
        _, load = workers.run(_fill_strip, tasks, source, target)
        return target.take(), load


def _fill_strip(picture: Array, out: Rows, task: tuple[str, int, int, int, int]) -> None:
    """Rows of windows `first` to `last`: (h, w) -> their part of (rows, columns, d)."""
    feature, window, step, first, last = task
    strip = picture[first * step : (last - 1) * step + window]  # with the halo below
    # (last - first, columns, window, window), a view
    cut = sliding_window_view(strip, (window, window))[::step, ::step]
    for row, pictures in zip(range(first, last), cut, strict=True):
        # copied, because sums over a view with gaps may round in another order
        out[row] = FEATURES[feature](np.ascontiguousarray(pictures))


def _fill_batch(pictures: Array, out: Rows, task: tuple[Callable[[Array], Rows], int, int]) -> None:
    make, start, stop = task
    out[start:stop] = make(pictures[start:stop])


def _need_known(feature: str) -> None:
    if feature not in FEATURES:
        raise InputError(f"unknown feature '{feature}'; known: {', '.join(FEATURES)}")


def _part(name: str, given: int | None, whole: int, pool: Workers) -> int:
    if given is not None and given < 1:
        raise InputError(f"{name} is one or more, not {given}")
    return given or max(1, -(-whole // (PARTS * pool.count)))
