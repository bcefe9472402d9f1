"""Blurring hides a face for good; drawing stays where it belongs."""

import cv2
import numpy as np
import pytest
from builders import load_portrait, noise
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classpulse.vision.draw import BLUR_BLOCKS, draw_blur, draw_face

BOX = np.array([60, 60, 120, 120], np.float32)
INSIDE = (slice(40, 140), slice(40, 140))  # the box and a third more on every side


def blurred(image: NDArray[np.uint8], box: NDArray[np.float32] = BOX) -> NDArray[np.uint8]:
    """A copy with one face blurred."""
    copy = image.copy()
    draw_blur(copy, box)
    return copy


def high_frequencies(patch: NDArray[np.uint8]) -> float:
    """Energy of the spectrum above the frequencies of the blocks."""
    spectrum = np.fft.fft2(patch[:, :, 0].astype(float) - patch[:, :, 0].mean())
    y, x = (np.abs(np.fft.fftfreq(n) * n) for n in spectrum.shape)
    return float((np.abs(spectrum) ** 2)[np.maximum(y[:, None], x) > BLUR_BLOCKS].sum())


@pytest.mark.parametrize("picture", ["noise", "face"])
def test_blur_removes_the_high_frequencies(picture: str) -> None:
    image = noise(200, 200) if picture == "noise" else load_portrait("astronaut")[20:220, 130:330]
    before, after = high_frequencies(image[INSIDE]), high_frequencies(blurred(image)[INSIDE])
    assert after < 0.01 * before if picture == "noise" else after < 0.2 * before


def test_two_faces_with_the_same_blocks_cannot_be_told_apart() -> None:
    image, other = noise(200, 200, seed=1), noise(200, 200, seed=1)
    h = 90  # of the patch, a multiple of the blocks
    box = np.array([48, 48, 102, 102], np.float32)  # with its margin: 30 to 120
    patch = other[30:120, 30:120]
    cells = patch.reshape(BLUR_BLOCKS, h // BLUR_BLOCKS, BLUR_BLOCKS, h // BLUR_BLOCKS, 3)
    patch[:] = cells[:, ::-1, :, ::-1].reshape(h, h, 3)  # every block upside down
    assert not np.array_equal(image, other)
    assert np.array_equal(blurred(image, box), blurred(other, box))


def test_sharpening_does_not_bring_the_face_back() -> None:
    image = noise(200, 200)
    hidden = blurred(image)[INSIDE].astype(float)
    sharpened = hidden + 5 * (hidden - cv2.GaussianBlur(hidden, (0, 0), 3))
    truth = image[INSIDE].astype(float)
    assert abs(np.corrcoef(sharpened.ravel(), truth.ravel())[0, 1]) < 0.15


def test_blur_changes_the_whole_box_and_a_third_more() -> None:
    image = noise(200, 200)
    changed = (blurred(image) != image).any(axis=2)
    assert changed[INSIDE].mean() > 0.99


def test_blur_changes_nothing_outside() -> None:
    image = noise(200, 200)
    after = blurred(image)
    after[INSIDE] = image[INSIDE]
    assert np.array_equal(after, image)


@given(x=st.floats(-300, 300), y=st.floats(-300, 300), w=st.floats(0.5, 400), h=st.floats(0.5, 400))
def test_blur_stays_in_its_box_anywhere(x: float, y: float, w: float, h: float) -> None:
    image = noise(90, 120)
    box = np.array([x, y, x + w, y + h], np.float32)
    changed = (blurred(image, box) != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    margin = np.array([w, h]) / 3 + 1.01
    assert (columns >= x - margin[0]).all() and (columns <= x + w + margin[0]).all()
    assert (rows >= y - margin[1]).all() and (rows <= y + h + margin[1]).all()


@pytest.mark.parametrize(
    "box",
    [[-60, -60, 20, 20], [180, 180, 260, 260], [-50, 50, 250, 100], [-100, -100, 300, 300]],
    ids=str,
)
def test_the_visible_part_of_a_face_is_blurred(box: list[float]) -> None:
    image = noise(200, 200)
    x0, y0, x1, y1 = np.clip(box, 0, 200).astype(int)
    changed = (blurred(image, np.array(box, np.float32)) != image).any(axis=2)
    assert changed[y0:y1, x0:x1].mean() > 0.9


def test_a_box_outside_changes_nothing() -> None:
    image = noise(50, 50)
    assert np.array_equal(blurred(image, np.array([500, 500, 600, 600], np.float32)), image)


def test_a_drawn_face_has_a_green_box_when_sure() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    draw_face(image, np.array([20, 40, 60, 80], np.float32), "S01", sure=True)
    assert image[80, 40].tolist() == [40, 150, 90]


def test_a_drawn_face_has_a_grey_box_when_not() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    draw_face(image, np.array([20, 40, 60, 80], np.float32), "S01", sure=False)
    assert image[80, 40].tolist() == [160, 160, 160]


def test_the_middle_of_a_drawn_box_is_left_alone() -> None:
    image = noise(100, 100)
    before = image.copy()
    draw_face(image, np.array([20, 40, 60, 80], np.float32), "S01", sure=True)
    assert np.array_equal(image[45:75, 25:55], before[45:75, 25:55])


@pytest.mark.parametrize("box", [[-30, -30, 10, 10], [90, 90, 150, 150], [-50, -50, 200, 200]])
def test_a_box_past_the_border_can_be_drawn(box: list[float]) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    draw_face(image, np.array(box, np.float32), "S01 neutral", sure=True)
    assert image.shape == (100, 100, 3) and image.any()


@pytest.mark.parametrize("side", [3, 6, 9, 15])
def test_a_small_face_keeps_next_to_nothing(side: int) -> None:
    image = noise(60, 60)
    draw_blur(image, np.array([20, 20, 20 + side, 20 + side], np.float32))
    patch = image[20 : 20 + side, 20 : 20 + side].astype(float)
    assert patch.std() < 0.5 * noise(60, 60).astype(float).std()
