"""Pictures that occur twice: byte-identical, or the same to the eye.

A picture that stands in training and in a held-out part makes every number on that part too good.
FER2013 and its folder copies are full of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import ShapeError
from classpulse.lab.data.cache import OnProgress, ignore_progress

HASH_SIDE = 8  # dHash of 8 x 8 = 64 bits
MAX_BITS = 6  # candidates: hashes that differ in at most this many of 64 bits
MIN_CORRELATION = 0.97  # confirmed: correlation of the pictures at 24 x 24 pixels
COMPARE_SIDE = 24
CHUNK = 512  # rows of the pairwise comparison at a time: 512 x 30,000 hashes are 120 MB


@dataclass(frozen=True, slots=True)
class Repeats:
    """Pairs of pictures that are the same.

    Args:
        left, right: (m,) rows in the first and the second set.
        kind: (m,) ``"identical"`` (bytes), ``"similar"`` (to the eye) or ``"mirrored"``.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    kind: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.left)


def find_repeats(
    left: NDArray[np.uint8],
    right: NDArray[np.uint8],
    *,
    on_progress: OnProgress = ignore_progress,
) -> Repeats:
    """Every picture of `left` that stands in `right`, with the rows where it does.

    Candidates share a difference hash (Krawetz 2013) up to `MAX_BITS` bits; they are confirmed by
    the correlation of the shrunken pictures, so faces that are merely alike do not count. Flat
    pictures have no content to compare and only match by their bytes.

    Args:
        left: (n, h, w) uint8 grey; right: (m, h, w) uint8 grey.
        on_progress: called with pictures compared and 2 n, as they are, then mirrored.

    Raises:
        ShapeError: not grey pictures in uint8.
    """
    for images in (left, right):
        if images.ndim != 3 or images.dtype != np.uint8:
            raise ShapeError(f"pictures are (n, h, w) uint8, not {images.shape} {images.dtype}")
    found: dict[tuple[int, int], str] = dict.fromkeys(_identical(left, right), "identical")
    views = {"similar": left, "mirrored": left[:, :, ::-1]}
    for i, (kind, images) in enumerate(views.items()):
        for start, pairs_here in _alike(images, right):
            on_progress(i * len(left) + start, 2 * len(left))
            found.update(dict.fromkeys(pairs_here - found.keys(), kind))
    pairs = np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
    kinds = np.array([found[a, b] for a, b in pairs.tolist()], dtype=np.str_)
    return Repeats(pairs[:, 0], pairs[:, 1], kinds)


def group_repeats(
    images: NDArray[np.uint8], *, on_progress: OnProgress = ignore_progress
) -> NDArray[np.int64]:
    """(n,) the first row of the same picture as each one, which is itself where it occurs once.

    Pairs of `find_repeats` are joined: a copy of a copy is in the group.

    Args:
        images: (n, h, w) grey or (n, h, w, 3) RGB uint8; on_progress: as in `find_repeats`.
    """
    grey = to_grey(images)
    pairs = find_repeats(grey, grey, on_progress=on_progress)
    first = list(range(len(grey)))
    for a, b in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        a, b = sorted((_root(first, a), _root(first, b)))
        first[b] = a
    return np.array([_root(first, row) for row in first], dtype=np.int64)


def _root(first: list[int], row: int) -> int:
    while first[row] != row:
        first[row] = row = first[first[row]]
    return row


def count_groups(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, int]:
    """How many pictures occur more than once, and how many of them under more than one label.

    Args:
        groups: (n,) of `group_repeats`; labels: (n,), -1 for none, which contradicts nothing.

    Returns:
        ``groups``, ``pictures`` in them, ``contradictory`` groups, and ``pictures`` in those as
        ``contradictory_pictures``.
    """
    sizes = np.bincount(groups, minlength=len(groups))
    known = labels >= 0
    cells = np.unique(np.stack([groups[known], labels[known]]), axis=1)  # (2, m) row and label
    several = np.bincount(cells[0], minlength=len(groups)) > 1
    return {
        "groups": int((sizes > 1).sum()),
        "pictures": int(sizes[sizes > 1].sum()),
        "contradictory": int(several.sum()),
        "contradictory_pictures": int(sizes[several].sum()),
    }


def to_grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, h, w, 3) RGB or (n, h, w) -> (n, h, w) uint8."""
    if images.ndim == 3:
        return images
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    return np.asarray(np.stack(grey), dtype=np.uint8)


def _identical(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> list[tuple[int, int]]:
    places: dict[bytes, list[int]] = {}
    for row, image in enumerate(right):
        places.setdefault(image.tobytes(), []).append(row)
    return [(i, j) for i, image in enumerate(left) for j in places.get(image.tobytes(), ())]


def _alike(
    left: NDArray[np.uint8], right: NDArray[np.uint8]
) -> Iterator[tuple[int, set[tuple[int, int]]]]:
    """Rows of `left` done, and the pairs among them, chunk by chunk."""
    hashes, others = difference_hash(left), difference_hash(right)
    small, small_others = _normalized(left), _normalized(right)
    for start in range(0, len(hashes), CHUNK):
        distance = np.bitwise_count(hashes[start : start + CHUNK, None] ^ others[None, :])
        near, other = np.nonzero(distance <= MAX_BITS)
        near += start
        alike = _row_products(small, small_others, near, other) >= MIN_CORRELATION
        pairs = set(zip(near[alike].tolist(), other[alike].tolist(), strict=True))
        yield min(start + CHUNK, len(hashes)), pairs


def _row_products(
    a: NDArray[np.float32], b: NDArray[np.float32], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(m,) dot products of row i of `a` and row j of `b`, some at a time to bound the memory."""
    step = 1 << 14  # pairs of 576 float32: 75 MB
    products = [
        np.einsum("ij,ij->i", a[i[k : k + step]], b[j[k : k + step]])
        for k in range(0, len(i), step)
    ]
    return np.concatenate(products) if products else np.empty(0, dtype=np.float32)


def difference_hash(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, h, w) uint8 -> (n,) 64-bit hashes: is each of 8 x 8 cells brighter than its right one?"""
    size = (HASH_SIDE + 1, HASH_SIDE)
    small = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    bits = (small[:, :, :-1] > small[:, :, 1:]).reshape(len(images), -1)  # (n, 64)
    packed = np.packbits(bits, axis=1)  # (n, 8) uint8
    return np.ascontiguousarray(packed).view(np.uint64).ravel()


def _normalized(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 576) float32 rows of zero mean and length 1; rows of flat pictures are zero."""
    size = (COMPARE_SIDE, COMPARE_SIDE)
    small = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
    rows = small.reshape(len(images), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, np.inf), dtype=np.float32)
