"""Viola-Jones detection over workers, with the boxes of one serial run.

The unit of work is a tile: some rows of window positions of one level of the pyramid. Tiles do not
know of each other until their windows are grouped, which is done here once, at the end, over the
windows of all levels in their serial order.

A tile is cut from the level after the whole frame was resized to it, as OpenCV does, since a level
is the frame resized by a number that is not whole. Levels from factor 2 on are searched whole:
OpenCV moves their windows by 1 pixel instead of 2, what it looks at depends on where a row began,
and a tile that is cut out has factor 1. They have a quarter of the frame's pixels or fewer.
"""

import threading
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Frame
from classpulse.lab.parallel.workers import Load, Workers
from classpulse.vision.detect import load_cascade

GROUP_EPS = 0.2  # of detectMultiScale, not to be set there
TILE = 96  # rows of window positions, an even number: OpenCV looks at every other row
CUT_TO = 2.0  # from this factor on OpenCV moves its windows by 1 pixel


class Tile(NamedTuple):
    """A task: rows `top` to `bottom` of window positions of the level with this window side.

    `bottom` 0 is the whole level. `step` is the factor between levels, `factor` that of this one.
    A window of 0 pixels stands for all sides from `least` on.
    """

    step: float
    factor: float
    window: int
    least: int
    top: int = 0
    bottom: int = 0


_own = threading.local()  # a cascade keeps state while it looks: one for each thread


def detect_tiles(
    frame: Frame,
    *,
    pool: Workers,
    scale_factor: float = 1.1,
    neighbors: int = 5,
    min_side: int = 20,
) -> tuple[NDArray[np.float32], Load]:
    """Faces as the detector `haar` finds them, smallest windows first.

    The order is the same for any workers; that of OpenCV depends on its threads.

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
    tiles = _cut_tiles(grey.shape[:2], scale_factor, min_side)
    with pool.share(grey) as shared:
        found, load = pool.run(_search_tile, tiles, shared)
    windows = [tuple(row) for part in found for row in part.tolist()]
    if not windows:
        return np.zeros((0, 4), np.float32), load
    grouped, _ = cv2.groupRectangles(windows, neighbors, GROUP_EPS)
    corner, extent = np.split(np.asarray(grouped, np.float32).reshape(-1, 4), 2, axis=1)
    size = np.asarray(grey.shape[::-1], np.float32)  # OpenCV cuts at the border what it has grouped
    return np.concatenate([corner, np.minimum(corner + extent, size)], axis=1), load


def _cut_tiles(shape: tuple[int, int], step: float, min_side: int) -> list[Tile]:
    """The tiles of each window size that OpenCV would search, smallest first, from the top."""
    side = _cascade().getOriginalWindowSize()[0]
    factors: dict[int, float] = {}
    factor = 1.0
    while (window := round(side * factor)) <= min(shape):
        factors.setdefault(window, factor)
        factor *= step
    tiles = [
        tile
        for window, factor in factors.items()
        if window >= min_side
        for tile in _cut_level(Tile(step, factor, window, window), shape[0], side)
    ]
    if factors and not tiles:  # then OpenCV takes the nearest size instead
        return [Tile(step, 1.0, 0, min_side)]
    return tiles


def _cut_level(level: Tile, height: int, side: int) -> list[Tile]:
    positions = round(height / level.factor) - side + 1
    if level.factor >= CUT_TO or positions <= TILE:
        return [level]
    return [
        level._replace(top=top, bottom=min(top + TILE, positions))
        for top in range(0, positions, TILE)
    ]


def _search_tile(grey: NDArray[np.uint8], tile: Tile) -> NDArray[np.int32]:
    """(m, 4) x, y, width, height of the windows that pass all stages, in pixels of the frame."""
    if not tile.bottom:
        windows = _search(grey, tile.step, tile.least, tile.window)
    else:
        side = _cascade().getOriginalWindowSize()[0]
        high, wide = (round(extent / tile.factor) for extent in grey.shape)
        level = cv2.resize(grey, (wide, high), interpolation=cv2.INTER_LINEAR_EXACT)
        windows = _search(level[tile.top : tile.bottom + side - 1], tile.step, side, side)  # type: ignore[arg-type]
        windows[:, 1] += tile.top
        windows[:, :2] = np.rint(windows[:, :2] * tile.factor)
    if tile.window:  # ungrouped ones are cut at the border, those that are grouped are not
        windows[:, 2:] = tile.window
    return windows


def _cascade() -> cv2.CascadeClassifier:
    """Of this thread, read once: reading takes as long as a small level."""
    if not hasattr(_own, "cascade"):
        _own.cascade = load_cascade()
    cascade: cv2.CascadeClassifier = _own.cascade
    return cascade


def _search(grey: NDArray[np.uint8], step: float, low: int, high: int) -> NDArray[np.int32]:
    found = _cascade().detectMultiScale(
        grey, scaleFactor=step, minNeighbors=0, minSize=(low, low), maxSize=(high, high)
    )
    return np.array(found, np.int32).reshape(-1, 4)
