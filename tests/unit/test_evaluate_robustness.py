"""Degradations of pictures, and the curves over them."""

import builders  # noqa: F401  (the hypothesis profile)
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.evaluate.robustness import (
    DEGRADATIONS,
    blur,
    change_contrast,
    change_light,
    degrade,
    enlargement_curve,
    occlude,
    robustness_curves,
    rotate,
    shrink_face,
)

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
COLOR = np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", list(DEGRADATIONS))
@pytest.mark.parametrize("image", [PICTURE, COLOR], ids=["gray", "color"])
def test_shape_stays_and_the_clean_level_changes_nothing(name: str, image: np.ndarray) -> None:
    kind, before = DEGRADATIONS.get(name), image.copy()
    clean = kind.change(image, kind.clean, np.random.default_rng(0))
    np.testing.assert_array_equal(clean, image)
    for level in kind.levels:
        spoiled = kind.change(image, level, np.random.default_rng(0))
        assert spoiled.shape == image.shape and spoiled.dtype == np.uint8
    np.testing.assert_array_equal(image, before)  # the original is left alone


@pytest.mark.parametrize("name", list(DEGRADATIONS))
def test_a_set_is_spoiled_alike_every_time(name: str) -> None:
    level = DEGRADATIONS.get(name).levels[-1]
    images = np.stack([PICTURE, PICTURE])
    once, again = (degrade(images, name, level, seed=3) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once[0], PICTURE)


def test_random_degradations_differ_between_pictures() -> None:
    noisy = degrade(np.stack([PICTURE, PICTURE]), "noise", 20.0)
    assert not np.array_equal(noisy[0], noisy[1])


def test_the_gate_and_the_curves_mean_the_same_by_blur_and_size() -> None:
    np.testing.assert_array_equal(blur(PICTURE, 1.5), cv2.GaussianBlur(PICTURE, (0, 0), 1.5))
    small = cv2.resize(PICTURE, (10, 10), interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, (24, 24), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(shrink_face(PICTURE, 10), back)
    np.testing.assert_array_equal(shrink_face(PICTURE, 99), PICTURE)


def test_light_and_contrast_by_hand() -> None:
    image = np.uint8([[0, 100], [200, 100]])
    assert change_light(image, 2.0).tolist() == [[0, 200], [255, 200]]
    assert change_contrast(image, 0.5).tolist() == [[50, 100], [150, 100]]
    assert change_contrast(image, 0.0).tolist() == [[100, 100], [100, 100]]


def test_a_quarter_turn_is_exact() -> None:
    np.testing.assert_array_equal(rotate(PICTURE, 90), np.rot90(PICTURE))


@given(st.floats(0.01, 1.0), st.integers(0, 1000))
def test_an_occlusion_is_a_rectangle_of_its_share(share: float, seed: int) -> None:
    white = np.full((100, 100), 255, dtype=np.uint8)
    white[0] = 0  # so that the mean is not white
    covered = occlude(white, share, random=np.random.default_rng(seed))
    changed = covered == round(white.mean())
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert changed.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert changed.mean() == pytest.approx(share, abs=0.011)


def brightness(images: np.ndarray) -> np.ndarray:
    """A model that calls a picture bright (1) or dark (0)."""
    bright = images.reshape(len(images), -1).mean(axis=1) / 255
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def dark_and_bright(n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    truth = np.arange(n) % 2
    images = np.where(truth == 1, 180, 60)[:, None, None] * np.ones((1, 12, 12))
    return images.astype(np.uint8), truth


def test_curves_start_clean_and_fall() -> None:
    images, truth = dark_and_bright()
    rows = list(robustness_curves(brightness, images, truth, names=["light", "size"]))
    assert [r.level for r in rows[:7]] == [1.0, *DEGRADATIONS.get("light").levels]
    assert rows[0].accuracy.value == 1.0 and rows[0].drop.low == rows[0].drop.high == 0.0
    dark = next(r for r in rows if r.degradation == "light" and r.level == 0.2)
    assert dark.accuracy.value == 0.5 and dark.drop.value == 0.5  # everything is dark now
    assert 0.3 < dark.drop.low < 0.5 < dark.drop.high < 0.7
    assert dark.macro_f1.value == pytest.approx(1 / 3)
    sizes = [r for r in rows if r.degradation == "size"]
    assert sizes[0].level == 12.0 and all(r.accuracy.value == 1.0 for r in sizes)


def test_curves_take_levels_and_leave_unlabeled_pictures_out() -> None:
    images, truth = dark_and_bright()
    truth[:4] = -1
    seen: list[int] = []

    def predict(some: np.ndarray) -> np.ndarray:
        seen.append(len(some))
        return brightness(some)

    rows = list(robustness_curves(predict, images, truth, names=["blur"], levels={"blur": [2.0]}))
    assert [row.level for row in rows] == [0.0, 2.0] and {row.n for row in rows} == {36}
    assert seen == [36, 36]  # once clean, once for each level


def test_an_unknown_degradation_is_refused_before_the_work_starts() -> None:
    images, truth = dark_and_bright()
    with pytest.raises(InputError, match="known: blur, noise"):
        next(robustness_curves(brightness, images, truth, names=["fog"]))
    with pytest.raises(ShapeError):
        next(robustness_curves(brightness, images[:3], truth))


def test_enlarged_pictures_are_shown_to_the_model_at_their_size() -> None:
    images, truth = dark_and_bright()
    seen: list[tuple[int, ...]] = []

    def predict(some: np.ndarray) -> np.ndarray:
        seen.append(some.shape[1:])
        return brightness(255 - some if some.shape[1] == 96 else some)

    rows = list(enlargement_curve(predict, images, truth))
    assert seen == [(12, 12), (64, 64), (96, 96), (192, 192)]
    assert [row.level for row in rows] == [64, 96, 192] and {row.n for row in rows} == {40}
    assert [row.accuracy.value for row in rows] == [1.0, 0.0, 1.0]
    assert [row.drop.value for row in rows] == [0.0, 1.0, 0.0]
    assert {(row.degradation, row.title) for row in rows} == {("size", "Size of the picture")}
