"""Convolution in tiles over workers (paper eq. 7): im2col and one matrix product for each tile.

A tile of the output needs a tile of the input that is larger by the kernel's reach, the halo. Tiles
read the shared input, put zeros around it where they lie at its border, and write parts of the
output that do not overlap: no two workers write to one place, and there is nothing to add up.
"""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.parallel.workers import Load, Workers, use_pool

Array = NDArray[Any]
Pair = tuple[int, int]

COLUMNS = 1 << 20  # numbers in the matrix of a tile by default: 4 MB of float32 stay in the cache
WIDE = 128  # columns of output of a tile by default, at most

# of each worker: new pages cost more than filling them, and giving them back halts other threads
_scratch = threading.local()


@dataclass(frozen=True, slots=True)
class Split:
    """How a convolution was cut.

    Args:
        tile: rows and columns of output of one tile; those at the end may be smaller.
        tiles: of all pictures together.
        halo: input that is read again because tiles overlap, over the whole input.
        load: who did how much.
    """

    tile: Pair
    tiles: int
    halo: float
    load: Load


@dataclass(frozen=True, slots=True)
class _Geometry:
    """What a worker needs besides the arrays; every pair is (down, across)."""

    stride: Pair
    dilation: Pair
    padding: Pair
    groups: int
    tile: Pair
    kernel: Pair

    @property
    def reach(self) -> Pair:
        """Rows and columns of input under the kernel."""
        down, across = (d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        return down, across

    def outputs(self, padded: Pair) -> Pair:
        """Rows and columns of output of a padded input."""
        down, across = (
            (side - reach) // step + 1
            for side, reach, step in zip(padded, self.reach, self.stride, strict=True)
        )
        return down, across


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    pool: Workers | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    tile: Pair | None = None,
) -> tuple[Array, Split]:
    """The cross-correlation that torch calls conv2d, with zeros around the input.

    Args:
        x: (n, c, h, w) float32 or float64.
        weight: (m, c / groups, kh, kw) of the same dtype.
        bias: (m,).
        pool: who computes the tiles; None is this process, one after the other.
        stride, padding, dilation: one number or (down, across).
        groups: parts of the channels that do not see each other.
        tile: rows and columns of output of a tile; by default what fits the cache, at most
            `WIDE` columns.

    Returns:
        (n, m, h', w') of the dtype of `x`, and how it was cut.

    Raises:
        ShapeError: arrays that do not fit each other, or a kernel larger than the padded input.
        InputError: an option out of range.
    """
    pads = _pair("padding", padding, low=0)
    _check(x, weight, bias, groups)
    padded = x.shape[2] + 2 * pads[0], x.shape[3] + 2 * pads[1]
    strides, dilations = _pair("stride", stride), _pair("dilation", dilation)
    how = _Geometry(strides, dilations, pads, groups, (1, 1), _sides(weight))
    out = how.outputs(padded)
    if min(out) < 1:
        raise ShapeError(
            f"a kernel that reaches over {how.reach[0]} x {how.reach[1]} pixels does not fit an "
            f"input of {padded[0]} x {padded[1]} with its padding"
        )
    cut = _pair("tile", tile) if tile else _default_tile(out, weight)
    how = replace(how, tile=cut)
    tiles = list(_tiles(len(x), out, cut))
    tasks = [(how, *one) for one in tiles]
    with (
        use_pool(pool) as workers,
        workers.share(x) as source,
        workers.share(weight) as kernel,
        workers.allocate((len(x), len(weight), *out), x.dtype) as target,
    ):
        _, load = workers.run(convolve_tile, tasks, source, kernel, target)
        result = target.take()
    if bias is not None:
        result += bias[:, None, None]
    return result, Split(cut, len(tiles), _halo(how, out, tiles), load)


def convolve_tile(
    x: Array, weight: Array, out: Array, task: tuple[_Geometry, int, int, int]
) -> None:
    """Fill one tile of `out`: (n, c, h, w), (m, c / g, kh, kw) -> (n, m, h', w')."""
    how, picture, top, left = task
    rows = min(how.tile[0], out.shape[2] - top)
    columns = min(how.tile[1], out.shape[3] - left)
    first = top * how.stride[0] - how.padding[0], left * how.stride[1] - how.padding[1]
    size = (
        (rows - 1) * how.stride[0] + how.reach[0],
        (columns - 1) * how.stride[1] + how.reach[1],
    )
    source = _surround(x[picture], first, size)
    # (c, rows, columns, kh, kw): a view, nothing is copied before the reshape below
    windows = sliding_window_view(source, how.reach, axis=(1, 2))[
        :, :: how.stride[0], :: how.stride[1], :: how.dilation[0], :: how.dilation[1]
    ]
    inner, outer = weight.shape[1], len(weight) // how.groups
    for group in range(how.groups):
        mine = windows[group * inner : (group + 1) * inner]
        # (c / g * kh * kw, rows * columns), the columns of im2col
        matrix = _borrow("matrix", (inner, *how.kernel, rows, columns), x.dtype)
        matrix[...] = mine.transpose(0, 3, 4, 1, 2)
        kernels = weight[group * outer : (group + 1) * outer].reshape(outer, -1)
        answer = _borrow("answer", (outer, rows * columns), x.dtype)
        np.matmul(kernels, matrix.reshape(-1, rows * columns), out=answer)
        target = slice(group * outer, (group + 1) * outer)
        part = out[picture, target, top : top + rows, left : left + columns]
        part[...] = answer.reshape(part.shape)


def _borrow(name: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory of this worker for an array, until it borrows by that name again; new if huge."""
    size = math.prod(shape)
    if size > COLUMNS:
        return np.empty(shape, dtype)
    memory = getattr(_scratch, name, None)
    if memory is None or memory.dtype != dtype:
        memory = np.empty(COLUMNS, dtype)
        setattr(_scratch, name, memory)
    part: Array = memory[:size].reshape(shape)
    return part


def _tiles(pictures: int, out: Pair, tile: Pair) -> Iterator[tuple[int, int, int]]:
    return product(range(pictures), range(0, out[0], tile[0]), range(0, out[1], tile[1]))


def _default_tile(out: Pair, weight: Array) -> Pair:
    """What fits the cache, in even columns: as wide as the output it would be low, all halo."""
    pixels = max(COLUMNS // max(math.prod(weight.shape[1:]), 1), 1)
    strips = -(-out[1] // min(WIDE, pixels))
    columns = -(-out[1] // strips)
    return min(max(pixels // columns, 1), out[0]), columns


def _halo(how: _Geometry, out: Pair, tiles: list[tuple[int, int, int]]) -> float:
    """Input that is read over and over: numbers read by all tiles over those of one whole tile."""

    def extent(count: int, axis: int) -> int:
        return (count - 1) * how.stride[axis] + how.reach[axis]

    read = sum(
        extent(min(how.tile[0], out[0] - top), 0) * extent(min(how.tile[1], out[1] - left), 1)
        for _, top, left in tiles
    )
    pictures = len({picture for picture, *_ in tiles})
    whole = pictures * extent(out[0], 0) * extent(out[1], 1)
    return max(read / whole - 1, 0.0) if whole else 0.0  # a wide stride reads less than the whole


def _surround(picture: Array, first: Pair, size: Pair) -> Array:
    """(c, h, w) -> (c, *size) from row and column `first`, with zeros where there is no picture."""
    inside, place = [slice(None)], [slice(None)]
    for start, length, side in zip(first, size, picture.shape[1:], strict=True):
        low, high = np.clip((start, start + length), 0, side).tolist()
        inside.append(slice(low, high))
        place.append(slice(low - start, high - start) if low < high else slice(0, 0))
    part = picture[tuple(inside)]
    if part.shape[1:] == size:
        return part
    whole = _borrow("input", (len(picture), *size), picture.dtype)
    whole.fill(0)  # np.pad holds the interpreter's lock for longer
    whole[tuple(place)] = part
    return whole


def _sides(array: Array) -> Pair:
    return array.shape[2], array.shape[3]


def _pair(name: str, value: int | Pair, *, low: int = 1) -> Pair:
    down, across = (value, value) if isinstance(value, int) else value
    if min(down, across) < low:
        raise InputError(f"{name} is {low} or more in both directions, not {value}")
    return down, across


def _check(x: Array, weight: Array, bias: Array | None, groups: int) -> None:
    if x.ndim != 4 or weight.ndim != 4 or 0 in weight.shape:
        raise ShapeError(
            "a convolution takes x (n, c, h, w) and weight (m, c / groups, kh, kw), not "
            f"{x.shape} and {weight.shape}"
        )
    if x.dtype not in (np.float32, np.float64) or weight.dtype != x.dtype:
        raise ShapeError(f"x and weight are both float32 or float64, not {x.dtype}, {weight.dtype}")
    if groups < 1 or x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise ShapeError(
            f"{groups} groups do not divide {x.shape[1]} channels into the weight's "
            f"{weight.shape[1]}, or its {len(weight)} outputs into equal parts"
        )
    if bias is not None and bias.shape != (len(weight),):
        raise ShapeError(f"a bias has one number for each of {len(weight)} outputs: {bias.shape}")
