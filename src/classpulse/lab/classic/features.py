"""Classical features of grey pictures: arrays (n, h, w) in, (n, d) float32 out, row by row.

Hypothesis 2 of the parallel engagement paper asks for LBP and Haar-like features, issue 7 for HOG
and Gabor besides. A row depends on its own picture alone, so pictures may be split over workers.
Pictures of every size from 1 x 1 are taken: a grid or a cell shrinks to what fits.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from skimage.feature import haar_like_feature_coord, local_binary_pattern
from skimage.feature import hog as skimage_hog
from skimage.filters import gabor_kernel

from classpulse.core.errors import ShapeError
from classpulse.lab.train.kinds import check_ranges

Pictures = NDArray[np.generic]  # (n, h, w) of numbers
Rows = NDArray[np.float32]  # (n, d)
Rectangle = list[tuple[int, int]]  # first and last cell (row, column), both inside

LEVELS = 65535  # steps between the darkest and the brightest pixel for LBP
SLICE = 64  # pictures whose integral images fit into the processor's cache
FLAT = 1e-12  # spread below which a picture has no contrast

RANGES: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "lbp": {"radius": (0.5, 64), "grid": (1, 16)},
    "hog": {"orientations": (2, 36), "cell": (2, 512), "block": (1, 8)},
    "gabor": {"wavelengths": (2, 64), "orientations": (1, 24), "grid": (1, 16)},
    "haar": {"grid": (2, 16)},  # 32,384 features of 16
}
"""Kind of features -> setting -> smallest and largest; of wavelengths, each of them."""
MOST_WAVELENGTHS = 8  # with all angles, on pictures of 48 x 48, filters of 110 MB


def check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse settings that give no features, or more than there is memory for.

    Raises:
        InputError: one is out of its range in `RANGES`, or there are no wavelengths or too many.
    """
    ranges = RANGES.get(kind, {})
    for name, value in settings.items():
        if name in ranges:
            for one in value if isinstance(value, tuple) else (value,):
                check_ranges(**{name: (one, *ranges[name])})
        if name == "wavelengths":
            check_ranges(**{"number of wavelengths": (len(value), 1, MOST_WAVELENGTHS)})


def lbp(pictures: Pictures, *, radius: float = 1.0, grid: int = 6) -> Rows:
    """Histograms of uniform local binary patterns over a grid (Ojala et al. 2002).

    Eight neighbors on a circle; 58 patterns with at most two changes around it have a bin each, the
    others share one. An increasing linear change of grey changes nothing.

    Args:
        pictures: (n, h, w).
        radius: of the circle, pixels.
        grid: cells along each side.

    Returns:
        (n, cells * 59) float32; the bins of a cell sum to 1.

    Raises:
        InputError: as all features do, a setting out of its range in `RANGES`.
        ShapeError: as all features do, an array that is no stack of pictures.
    """
    check_settings("lbp", {"radius": radius, "grid": grid})
    pictures = _need_pictures(pictures)
    bins = 59
    cells = _cell_numbers(*pictures.shape[1:], grid)
    count = int(cells.max()) + 1
    area = np.bincount(cells.ravel(), minlength=count)[:, None]
    rows = np.empty((len(pictures), count * bins), dtype=np.float32)
    for i, picture in enumerate(pictures):
        codes = local_binary_pattern(_to_levels(picture), 8, radius, method="nri_uniform")
        places = cells * bins + codes.astype(np.int64)
        counts = np.bincount(places.ravel(), minlength=count * bins)
        rows[i] = (counts.reshape(count, bins) / area).ravel()
    return rows


def hog(pictures: Pictures, *, orientations: int = 9, cell: int = 8, block: int = 2) -> Rows:
    """Histograms of oriented gradients (Dalal & Triggs 2005), blocks normalized by L2-Hys.

    Args:
        pictures: (n, h, w).
        orientations: bins over 180 degrees.
        cell: side of a cell, pixels.
        block: cells along the side of a block.

    Returns:
        (n, blocks * block ** 2 * orientations) float32.
    """
    check_settings("hog", {"orientations": orientations, "cell": cell, "block": block})
    pictures = _need_pictures(pictures)
    high, wide = (min(cell, side) for side in pictures.shape[1:])
    blocks = min(block, pictures.shape[1] // high), min(block, pictures.shape[2] // wide)
    return np.stack(
        [
            skimage_hog(
                picture.astype(np.float64),
                orientations=orientations,
                pixels_per_cell=(high, wide),
                cells_per_block=blocks,
            )
            for picture in pictures
        ]
    ).astype(np.float32)


def gabor(
    pictures: Pictures,
    *,
    wavelengths: tuple[float, ...] = (4.0, 6.0, 9.0),
    orientations: int = 6,
    grid: int = 6,
) -> Rows:
    """Mean magnitude of a bank of complex Gabor filters over a grid (Daugman 1985).

    Args:
        pictures: (n, h, w).
        wavelengths: of the filters, pixels.
        orientations: angles over 180 degrees.
        grid: cells along each side.

    Returns:
        (n, wavelengths * orientations * cells) float32, in the unit of the pixels.
    """
    wavelengths = tuple(wavelengths)
    how = {"wavelengths": wavelengths, "orientations": orientations, "grid": grid}
    check_settings("gabor", how)
    pictures = _need_pictures(pictures)
    height, width = pictures.shape[1:]
    cells = _cell_numbers(height, width, grid)
    shares = np.eye(int(cells.max()) + 1, dtype=np.float32)[cells.ravel()]  # (h * w, cells)
    shares /= shares.sum(axis=0)
    bank, reach = _gabor_bank(wavelengths, orientations, height, width)
    inner = (slice(None), slice(reach, reach + height), slice(reach, reach + width))
    rows = np.empty((len(pictures), len(bank), shares.shape[1]), dtype=np.float32)
    # written anew for each picture: memory fresh from the system costs a quarter of the time
    answers, inside = np.empty_like(bank), np.empty((len(bank), height, width), dtype=np.float32)
    for row, picture in zip(rows, pictures.astype(np.float32), strict=True):
        wide = np.pad(picture, reach, mode="symmetric")  # what wraps around stays outside
        np.multiply(fft.fft2(wide), bank, out=answers)
        np.abs(fft.ifft2(answers, overwrite_x=True)[inner], out=inside)
        row[:] = inside.reshape(len(bank), -1) @ shares
    return rows.reshape(len(pictures), -1)


def haar(pictures: Pictures, *, grid: int = 8) -> Rows:
    """Haar-like features of two, three and four rectangles on a grid (Viola & Jones 2001).

    A feature is the mean grey of its bright rectangles minus that of its dark ones, in standard
    deviations of the picture, so light and contrast do not count. All features whose rectangles lie
    on the grid are taken; each is a sum over corners of the integral image.

    Args:
        pictures: (n, h, w).
        grid: cells along each side.

    Returns:
        (n, d) float32; d = 2,056 for a grid of 8.

    Raises:
        ShapeError: as all features do, and pictures of one pixel, which has no rectangles.
    """
    check_settings("haar", {"grid": grid})
    pictures = _need_pictures(pictures)
    down, across = (_edges(side, grid) for side in pictures.shape[1:])
    weights = _haar_weights(down, across)
    rows = np.empty((len(pictures), weights.shape[1]), dtype=np.float32)
    for start in range(0, len(pictures), SLICE):
        part = slice(start, start + SLICE)
        corners = _integrate(pictures[part])[:, np.array(down)[:, None], np.array(across)]
        # one product per row: a product of a stack may round otherwise for another number of rows
        for row, corner in zip(rows[part], corners.reshape(len(corners), -1), strict=True):
            row[:] = corner @ weights
    return rows


FEATURES: dict[str, Callable[[Pictures], Rows]] = {
    "lbp": lbp,
    "hog": hog,
    "gabor": gabor,
    "haar": haar,
}
"""The features with their own settings, by name."""


def _need_pictures(pictures: Pictures) -> Pictures:
    pictures = np.asarray(pictures)
    numeric = np.issubdtype(pictures.dtype, np.integer) or np.issubdtype(
        pictures.dtype, np.floating
    )
    if pictures.ndim != 3 or 0 in pictures.shape or not numeric:
        raise ShapeError(
            f"features take grey pictures (n, h, w) of numbers, one or more, not "
            f"{pictures.shape} {pictures.dtype}"
        )
    return pictures


def _edges(side: int, grid: int) -> tuple[int, ...]:
    """Borders of at most `grid` cells of nearly equal size, 0 and `side` included."""
    cells = min(grid, side)
    return tuple(round(i * side / cells) for i in range(cells + 1))


@functools.lru_cache(maxsize=16)
def _cell_numbers(height: int, width: int, grid: int) -> NDArray[np.int64]:
    """(h, w) number of the cell of each pixel, in rows of cells."""
    down, across = (
        np.searchsorted(_edges(side, grid)[1:], np.arange(side), side="right")
        for side in (height, width)
    )
    return np.asarray(down[:, None] * (across.max() + 1) + across, dtype=np.int64)


def _to_levels(picture: Pictures) -> NDArray[np.uint16]:
    """(h, w) whole numbers from darkest to brightest: LBP compares neighbors for equality."""
    values = picture.astype(np.float64)
    values -= values.min()
    top = values.max()
    return np.asarray(np.round(values * (LEVELS / top if top > FLAT else 0.0)), dtype=np.uint16)


@functools.lru_cache(maxsize=16)
def _gabor_bank(
    wavelengths: tuple[float, ...], orientations: int, height: int, width: int
) -> tuple[NDArray[np.complex64], int]:
    """Fourier transforms (k, h + 2r, w + 2r) of the filters, and their reach r in pixels.

    A filter does not answer to a flat picture: its constant part is zero.
    """
    kernels = [
        gabor_kernel(1 / wavelength, theta=np.pi * turn / orientations)
        for wavelength in wavelengths
        for turn in range(orientations)
    ]
    reach = max(max(kernel.shape) // 2 for kernel in kernels)
    bank = np.zeros((len(kernels), height + 2 * reach, width + 2 * reach), dtype=np.complex64)
    for kernel, plane in zip(kernels, bank, strict=True):
        high, wide = kernel.shape  # odd: the middle goes to the corner
        plane[:high, :wide] = kernel
        plane[:] = np.roll(plane, (-(high // 2), -(wide // 2)), axis=(0, 1))
    spectra = fft.fft2(bank)
    spectra[:, 0, 0] = 0
    return spectra, reach


@functools.lru_cache(maxsize=16)
def _haar_weights(down: tuple[int, ...], across: tuple[int, ...]) -> NDArray[np.float64]:
    """(corners, d): what each corner of the integral image adds to each feature."""
    coordinates, _ = haar_like_feature_coord(len(across) - 1, len(down) - 1)
    if not len(coordinates):
        raise ShapeError("n_features = 1: a picture of one pixel has no Haar-like features")
    weights = np.zeros((len(down), len(across), len(coordinates)))
    for i, rectangles in enumerate(coordinates):  # in order around the feature
        for group, sign in ((rectangles[::2], 1.0), (rectangles[1::2], -1.0)):
            share = sign / sum(_area(one, down, across) for one in group)
            for (top, left), (bottom, right) in group:
                weights[top, left, i] += share
                weights[bottom + 1, right + 1, i] += share
                weights[top, right + 1, i] -= share
                weights[bottom + 1, left, i] -= share
    return weights.reshape(-1, len(coordinates))


def _integrate(pictures: Pictures) -> NDArray[np.float64]:
    """(n, h, w) -> (n, h + 1, w + 1) integral images of pictures with mean 0 and spread 1."""
    values = pictures.astype(np.float64)
    spread = values.std(axis=(1, 2), keepdims=True)
    values -= values.mean(axis=(1, 2), keepdims=True)
    values /= np.where(spread > FLAT, spread, 1.0)
    integral = np.zeros((len(values), values.shape[1] + 1, values.shape[2] + 1))
    integral[:, 1:, 1:] = values.cumsum(axis=1).cumsum(axis=2)
    return integral


def _area(rectangle: Rectangle, down: tuple[int, ...], across: tuple[int, ...]) -> int:
    (top, left), (bottom, right) = rectangle
    return (down[bottom + 1] - down[top]) * (across[right + 1] - across[left])
