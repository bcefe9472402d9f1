"""Viola-Jones detection over workers, with the boxes of one serial run.

The unit of work is a level of the pyramid: all positions of one window size. Levels do not know of
each other in OpenCV until their windows are grouped, which is done here once, at the end, over the
windows of all levels in their serial order.

Tiles of a frame are *not* cut, because they cannot give the same boxes: a level is the frame
resized by a number that is not whole, so a tile's pixels would be resized from another origin; the
step between windows is 2 pixels up to factor 2 and 1 above; and a window that fails at the first
stage makes OpenCV skip the next one, so what is looked at depends on where the row began.
"""

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Frame
from classpulse.lab.parallel.workers import Load, Workers
from classpulse.vision.detect import load_cascade

GROUP_EPS = 0.2  # of detectMultiScale, not to be set there
Level = tuple[float, int, int]
"""Scale factor, and the smallest and largest window side of a task."""

_own = threading.local()  # a cascade keeps state while it looks: one for each thread


def detect_levels(
    frame: Frame,
    *,
    pool: Workers,
    scale_factor: float = 1.1,
    neighbors: int = 5,
    min_side: int = 20,
) -> tuple[NDArray[np.float32], Load]:
    """Faces as the detector `haar` finds them, in its order.

    Args:
        scale_factor: step of the pyramid, above 1.
        neighbors: windows that must agree on a face, one or more.
        min_side: smallest face, pixels.

    Returns:
        (n, 4) float32 xyxy in pixels, and who did how much.

    Raises:
        InputError: an option out of range.
    """
    if not (scale_factor > 1 and neighbors >= 1 and min_side >= 1):
        raise InputError(
            "Viola-Jones takes a scale factor above 1, one neighbor and one pixel or more, not "
            f"{scale_factor}, {neighbors} and {min_side}"
        )
    grey = cv2.equalizeHist(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY))
    levels = _levels(grey.shape[:2], scale_factor, min_side)
    with pool.share(grey) as shared:
        found, load = pool.run(_search_level, levels, shared)
    windows = [tuple(row) for part in found for row in part.tolist()]
    if not windows:
        return np.zeros((0, 4), np.float32), load
    grouped, _ = cv2.groupRectangles(windows, neighbors, GROUP_EPS)
    corner, extent = np.split(np.asarray(grouped, np.float32).reshape(-1, 4), 2, axis=1)
    size = np.asarray(grey.shape[::-1], np.float32)  # OpenCV cuts at the border what it has grouped
    return np.concatenate([corner, np.minimum(corner + extent, size)], axis=1), load


def _levels(shape: tuple[int, int], factor: float, min_side: int) -> list[Level]:
    """One task for each window size that OpenCV would search, smallest first."""
    side = load_cascade().getOriginalWindowSize()[0]
    sides, scale = [], 1.0
    while (window := round(side * scale)) <= min(shape):
        sides.append(window)
        scale *= factor
    wanted = dict.fromkeys(window for window in sides if window >= min_side)
    if sides and not wanted:  # then OpenCV takes the nearest size instead
        return [(factor, min_side, 0)]
    return [(factor, window, window) for window in wanted]


def _search_level(grey: NDArray[np.uint8], level: Level) -> NDArray[np.int32]:
    """(m, 4) x, y, width, height of the windows that pass all stages."""
    if not hasattr(_own, "cascade"):
        _own.cascade = load_cascade()
    factor, low, high = level
    found = _own.cascade.detectMultiScale(
        grey, scaleFactor=factor, minNeighbors=0, minSize=(low, low), maxSize=(high, high)
    )
    windows = np.array(found, np.int32).reshape(-1, 4)
    if high:  # ungrouped ones are cut at the border, those that are grouped are not
        windows[:, 2:] = high
    return windows
