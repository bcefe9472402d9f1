"""Repeated pictures: found when they are the same, not when they are only alike."""

import cv2
import numpy as np
import pytest

from classpulse.core.errors import ShapeError
from classpulse.lab.data.dedup import (
    count_groups,
    difference_hash,
    find_repeats,
    group_repeats,
)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures (n, 48, 48): as different from each other as pictures are."""
    noise = np.random.default_rng(seed).random((n, 48, 48)).astype(np.float32)
    smooth = [cv2.GaussianBlur(image, (0, 0), 4) for image in noise]
    return np.stack(
        [cv2.normalize(s, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8) for s in smooth]
    )


def test_identical_pictures_are_found_with_their_rows() -> None:
    left, right = pictures(20), pictures(30, seed=1)
    right[[3, 17]] = left[5]
    found = find_repeats(left, right)
    assert list(zip(found.left, found.right, found.kind, strict=True)) == [
        (5, 3, "identical"),
        (5, 17, "identical"),
    ]


def test_brighter_noisier_and_compressed_copies_are_similar() -> None:
    left = pictures(12)
    noise = np.random.default_rng(3).normal(0, 3, left[1].shape)
    copies = [
        np.clip(left[0] * 0.8 + 20, 0, 255).astype(np.uint8),
        np.clip(left[1] + noise, 0, 255).astype(np.uint8),
        cv2.imdecode(cv2.imencode(".jpg", left[2], [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 0),
    ]
    found = find_repeats(left, np.stack(copies))
    assert list(zip(found.left, found.right, found.kind, strict=True)) == [
        (i, i, "similar") for i in range(3)
    ]


def test_a_mirrored_copy_is_told_apart() -> None:
    left = pictures(6)
    found = find_repeats(left, left[2:3, :, ::-1].copy())
    assert list(zip(found.left, found.right, found.kind, strict=True)) == [(2, 0, "mirrored")]


def test_different_pictures_are_no_repeats() -> None:
    assert len(find_repeats(pictures(200), pictures(200, seed=9))) == 0


def test_flat_pictures_match_by_their_bytes_only() -> None:
    flat = np.stack([np.full((48, 48), v, np.uint8) for v in (0, 90, 255)])
    found = find_repeats(flat, flat[:2])
    assert list(zip(found.left, found.right, found.kind, strict=True)) == [
        (0, 0, "identical"),
        (1, 1, "identical"),
    ]


def test_the_hash_has_one_bit_per_cell() -> None:
    rising = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (48, 1))
    assert difference_hash(np.stack([rising, rising[:, ::-1]])).tolist() == [0, 2**64 - 1]


def test_color_pictures_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(n, h, w\)"):
        find_repeats(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8))


def test_groups_join_copies_of_copies() -> None:
    images = pictures(9)
    images[4], images[7], images[8] = images[1], images[1][:, ::-1], images[2]
    assert group_repeats(images).tolist() == [0, 1, 2, 3, 1, 5, 6, 1, 2]
    colored = np.repeat(images[..., None], 3, axis=3)
    assert group_repeats(colored).tolist() == group_repeats(images).tolist()


def test_groups_are_counted_and_those_that_contradict() -> None:
    groups = np.array([0, 1, 2, 0, 1, 1, 6, 2])
    labels = np.array([3, 4, -1, 3, 5, 4, 6, 2])
    assert count_groups(groups, labels) == {
        "groups": 3,
        "pictures": 7,
        "contradictory": 1,
        "contradictory_pictures": 3,
    }
