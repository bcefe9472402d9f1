"""The only preprocessing: values by hand, framing by landmarks, and parity with training."""

import math

import cv2
import numpy as np
import pytest
from builders import SPEC, TEMPLATE, noise
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from classpulse.core.card import InputSpec
from classpulse.core.errors import ShapeError
from classpulse.vision.image import MAX_OVERSAMPLE, crop_face, prepare, resize, to_grey, to_rgb

COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255]], np.uint8)


def spec(width: int, height: int, channels: int = 1) -> InputSpec:
    """An input that leaves values as pixel / 255."""
    return InputSpec(width, height, channels, (0.0,) * channels, (1.0,) * channels, "fer2013")


# --- prepare -------------------------------------------------------------------------------------


def test_grey_values_by_hand() -> None:
    face = np.array([[0, 51], [102, 255]], np.uint8)
    ready = prepare(face, InputSpec(2, 2, 1, (0.5,), (0.25,), "fer2013"))
    assert ready[0].ravel().tolist() == pytest.approx([-2.0, -1.2, -0.4, 2.0])


@pytest.mark.parametrize(
    ("color", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)]
)
def test_color_becomes_grey_by_bt601(color: tuple[int, int, int], luma: int) -> None:
    face = np.full((2, 2, 3), color, np.uint8)
    assert prepare(face, spec(2, 2))[0, 0, 0] == pytest.approx(luma / 255)


def test_every_channel_has_its_own_mean_and_std() -> None:
    face = np.full((2, 2, 3), (255, 0, 51), np.uint8)
    ready = prepare(face, InputSpec(2, 2, 3, (0.5, 0.25, 0.0), (0.5, 0.25, 0.1), "fer2013"))
    assert ready[:, 0, 0].tolist() == pytest.approx([1.0, -1.0, 2.0])


def test_the_channels_are_red_green_blue() -> None:
    face = noise(4, 4)
    assert np.allclose(prepare(face, spec(4, 4, 3)), face.transpose(2, 0, 1) / 255)


def test_shrinking_averages_areas() -> None:
    face = np.array([[0, 4, 8, 8], [4, 8, 8, 8], [100, 100, 0, 0], [100, 100, 0, 40]], np.uint8)
    ready = prepare(face, spec(2, 2)) * 255
    assert ready[0].tolist() == [pytest.approx([4, 8]), pytest.approx([100, 10])]


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (96, 48))
    assert np.allclose(prepare(stripes, spec(48, 48)) * 255, 128, atol=1)


def test_enlarging_keeps_a_flat_picture_flat() -> None:
    assert np.allclose(prepare(np.full((5, 7), 77, np.uint8), SPEC), (77 / 255 - 0.5) / 0.25)


def test_width_and_height_are_not_mixed_up() -> None:
    assert prepare(noise(10, 10), spec(6, 4)).shape == (1, 4, 6)


def test_equal_size_changes_nothing() -> None:
    face = noise(48, 48)[:, :, 0]
    assert np.array_equal(resize(face, width=48, height=48), face)


def test_grey_and_the_same_in_color_give_the_same() -> None:
    face = noise(60, 50)[:, :, 0]
    assert np.array_equal(prepare(face, SPEC), prepare(to_rgb(face), SPEC))


def test_a_grey_face_fills_three_channels() -> None:
    ready = prepare(noise(4, 4)[:, :, 0], spec(4, 4, 3))
    assert np.array_equal(ready[0], ready[1]) and np.array_equal(ready[0], ready[2])


def test_to_grey_leaves_grey_alone() -> None:
    face = noise(4, 4)[:, :, 0]
    assert to_grey(face) is face


@pytest.mark.parametrize("channels", [1, 3])
def test_the_result_is_contiguous_float32(channels: int) -> None:
    ready = prepare(noise(30, 30), spec(48, 48, channels))
    assert ready.dtype == np.float32 and ready.flags.c_contiguous


def test_the_given_face_is_not_changed() -> None:
    face = noise(48, 48)
    before = face.copy()
    prepare(face, SPEC)
    assert np.array_equal(face, before)


@pytest.mark.parametrize(
    "face",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), np.int16),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
    ids=lambda face: f"{face.shape} {face.dtype}",
)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_no_face_is_refused(face: NDArray[np.uint8], channels: int) -> None:
    with pytest.raises(ShapeError, match="a face is"):
        prepare(face, spec(4, 4, channels))


@given(st.integers(1, 80), st.integers(1, 80), st.booleans())
def test_values_stay_in_the_range_of_pixels(h: int, w: int, color: bool) -> None:
    face = noise(h, w, seed=h * 100 + w)
    ready = prepare(face if color else face[:, :, 0], spec(48, 48))
    assert ready.shape == (1, 48, 48) and ready.min() >= 0 and ready.max() <= 1


@given(hnp.arrays(np.uint8, (3, 48, 48)))
def test_training_and_inference_prepare_alike(images: NDArray[np.uint8]) -> None:
    pytest.importorskip("torch")
    from classpulse.core.labels import FER2013_7
    from classpulse.lab.data.faces import FaceSet
    from classpulse.lab.train.run import prepare_all

    faces = FaceSet(images, np.zeros(3, np.int64), FER2013_7, "test")
    inference = np.stack([prepare(to_rgb(image), SPEC) for image in images])
    assert np.array_equal(prepare_all(faces, SPEC).numpy(), inference)


# --- crop_face -----------------------------------------------------------------------------------


def place(*, side: float, degrees: float, center: tuple[float, float]) -> NDArray[np.float32]:
    """Landmarks of a face of `side` pixels, turned about the middle of its frame."""
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    return ((TEMPLATE - 0.5) * side @ matrix.T + center).astype(np.float32)


def paint(marks: NDArray[np.float32], *, size: int = 700, radius: int = 4) -> NDArray[np.uint8]:
    """Black with a colored dot at each landmark."""
    image = np.zeros((size, size, 3), np.uint8)
    for point, color in zip(marks, COLORS, strict=True):
        x, y = (round(float(v)) for v in point)
        cv2.circle(image, (x, y), radius, tuple(int(v) for v in color), -1)
    return image


def dots(crop: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(5, 2) middle of each colored dot in a crop, as fractions of its side."""
    found = []
    for color in COLORS.astype(int):
        y, x = np.nonzero(np.abs(crop.astype(int) - color).sum(axis=2) < 120)
        found.append([x.mean(), y.mean()] if len(x) else [np.nan, np.nan])
    return np.array(found) / crop.shape[0]


def box_of(marks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([marks.min(axis=0) - 20, marks.max(axis=0) + 20])


@given(
    side=st.floats(60, 350),
    degrees=st.floats(-180, 180),
    x=st.floats(250, 450),
    y=st.floats(250, 450),
)
def test_landmarks_end_up_on_the_template(side: float, degrees: float, x: float, y: float) -> None:
    marks = place(side=side, degrees=degrees, center=(x, y))
    crop = crop_face(paint(marks), box_of(marks), marks, SPEC)
    assert np.abs(dots(crop) - TEMPLATE).max() * crop.shape[0] < 1.5  # pixels; dots are rounded


@given(side=st.floats(10, 900), degrees=st.floats(-180, 180))
def test_a_crop_is_square_and_of_the_pictures_resolution(side: float, degrees: float) -> None:
    marks = place(side=side, degrees=degrees, center=(350, 350))
    crop = crop_face(np.zeros((700, 700, 3), np.uint8), box_of(marks), marks, SPEC)
    wanted = min(max(side, 48), 48 * MAX_OVERSAMPLE)
    assert crop.shape[0] == crop.shape[1] and abs(crop.shape[0] - wanted) <= 1.01


def test_a_huge_face_is_cut_at_the_largest_crop() -> None:
    marks = place(side=2000, degrees=10, center=(350, 350))
    assert crop_face(noise(700, 700), box_of(marks), marks, SPEC).shape == (384, 384, 3)


def test_a_small_face_is_enlarged_to_the_input() -> None:
    marks = place(side=20, degrees=0, center=(350, 350))
    crop = crop_face(paint(marks, radius=1), box_of(marks), marks, SPEC)
    assert crop.shape == (48, 48, 3)


def test_past_the_border_its_pixels_are_repeated() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 0] = (10, 200, 30)
    marks = place(side=80, degrees=0, center=(-60, 50))  # wholly left of the picture
    crop = crop_face(image, box_of(marks), marks, SPEC)
    assert (crop == (10, 200, 30)).all()


def test_a_face_at_the_border_still_has_its_landmarks_in_place() -> None:
    marks = place(side=120, degrees=0, center=(40, 350))
    crop = crop_face(paint(marks), box_of(marks), marks, SPEC)
    assert np.abs(dots(crop) - TEMPLATE).max() * crop.shape[0] < 1.5


def test_without_landmarks_the_box_becomes_a_square() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    image[50:150, 80:120] = 255  # the box: 40 wide, 100 tall
    crop = crop_face(image, np.array([80, 50, 120, 150], np.float32), None, SPEC)
    bright = crop[:, :, 0] > 127
    assert crop.shape == (100, 100, 3) and bright.any(axis=1).all()
    assert bright.any(axis=0).mean() == pytest.approx(0.4, abs=0.02)


def test_landmarks_on_one_point_do_not_fail() -> None:
    marks = np.full((5, 2), 50, np.float32)
    image = noise(100, 100)
    assert (crop_face(image, np.array([40, 40, 60, 60], np.float32), marks, SPEC)
            == image[50, 50]).all()  # fmt: skip


def test_an_unknown_framing_lists_the_known_ones() -> None:
    other = InputSpec(48, 48, 1, (0.5,), (0.25,), "passport")
    with pytest.raises(ShapeError, match="unknown framing 'passport'; known: fer2013"):
        crop_face(noise(), np.array([0, 0, 9, 9], np.float32), None, other)


def test_the_picture_is_not_changed() -> None:
    image = noise(100, 100)
    before = image.copy()
    crop_face(image, np.array([10, 10, 90, 90], np.float32), None, SPEC)
    assert np.array_equal(image, before)
