"""How much a face crop can be trusted."""

import cv2
import numpy as np
import pytest
from builders import TEMPLATE, load_portrait, noise
from hypothesis import given
from hypothesis import strategies as st

from classpulse.vision.features import light, sharpness, turn

FACE = (slice(54, 178), slice(165, 289))  # of the astronaut


@pytest.mark.parametrize("portrait", ["astronaut", "hopper"])
def test_sharpness_falls_with_blur(portrait: str) -> None:
    image = load_portrait(portrait)
    face = image[FACE] if portrait == "astronaut" else image[110:340, 155:385]
    values = [sharpness(face)]
    values += [sharpness(cv2.GaussianBlur(face, (0, 0), s)) for s in (1, 2, 4, 8)]
    assert values == sorted(values, reverse=True) and len(set(values)) == len(values)


def test_a_flat_crop_has_no_sharpness() -> None:
    assert sharpness(np.full((60, 60, 3), 128, np.uint8)) == 0.0


def test_noise_is_sharper_than_a_face() -> None:
    assert sharpness(noise(48, 48)) > sharpness(load_portrait("astronaut")[FACE])


def test_sharpness_does_not_depend_on_contrast() -> None:
    face = load_portrait("astronaut")[FACE]
    faint = (face // 2 + 60).astype(np.uint8)
    assert sharpness(faint) == pytest.approx(sharpness(face), rel=0.1)


def test_an_enlarged_small_face_is_less_sharp() -> None:
    face = load_portrait("astronaut")[FACE]
    small = cv2.resize(face, (14, 14), interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(small, (124, 124), interpolation=cv2.INTER_CUBIC)
    assert sharpness(enlarged) < 0.5 * sharpness(face)


def test_grey_and_color_give_the_same_sharpness() -> None:
    grey = noise(60, 60)[:, :, 0]
    assert sharpness(grey) == sharpness(np.repeat(grey[:, :, None], 3, axis=2))


# --- light ---------------------------------------------------------------------------------------


def exposed(image: np.ndarray, gain: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.clip(image * gain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("level", "expected"), [(0, 0.0), (102, 0.2), (249, 0.488), (255, 1.0)])
def test_light_runs_from_black_to_white(level: int, expected: float) -> None:
    assert light(np.full((48, 48), level, np.uint8)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("color", [False, True])
def test_light_rises_with_exposure(color: bool) -> None:
    face = load_portrait("astronaut")[FACE]
    image = face if color else face[:, :, 0]
    values = [light(exposed(image, gain)) for gain in (0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0)]
    assert values == sorted(values) and len(set(values)) == len(values)
    assert values[1] < 0.15 and 0.4 < values[3] < 0.6 and values[-1] > 0.75


def test_a_dark_background_does_not_make_a_face_dark() -> None:
    face = load_portrait("astronaut")[FACE]
    framed = face.copy()
    framed[:40] = framed[-40:] = 0  # two thirds of the picture
    assert light(framed) > 0.8 * light(face) and framed.mean() < 0.5 * face.mean()


@given(level=st.integers(0, 255), spread=st.integers(0, 255), gain=st.floats(0, 20))
def test_light_is_between_0_and_1(level: int, spread: int, gain: float) -> None:
    picture = np.linspace(level, min(level + spread, 255), 144).astype(np.uint8).reshape(12, 12)
    assert 0 <= light(exposed(picture, gain)) <= 1


# --- turn ----------------------------------------------------------------------------------------


def looking(place: float) -> np.ndarray:  # type: ignore[type-arg]
    """Landmarks with the nose at `place` between the right eye (0) and the left one (1)."""
    marks = np.zeros((5, 2), np.float32)
    marks[1] = (100, 0)
    marks[2] = (100 * place, 60)
    return marks


def test_a_frontal_face_is_not_turned() -> None:
    assert turn(TEMPLATE.astype(np.float32)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("place", [0.0, 1.0, -0.3, 1.4])
def test_a_profile_is_fully_turned(place: float) -> None:
    assert turn(looking(place)) == pytest.approx(1.0)


@pytest.mark.parametrize(("place", "expected"), [(0.25, 0.5), (0.75, 0.5), (0.4, 0.2)])
def test_half_way_is_half_turned(place: float, expected: float) -> None:
    assert turn(looking(place)) == pytest.approx(expected)


def test_eyes_on_one_point_count_as_a_profile() -> None:
    assert turn(np.full((5, 2), 10, np.float32)) == 1.0


@given(
    place=st.floats(0.05, 0.95),
    degrees=st.floats(-180, 180),
    scale=st.floats(0.2, 5),
    shift=st.floats(-300, 300),
)
def test_turn_does_not_depend_on_where_the_face_is(
    place: float, degrees: float, scale: float, shift: float
) -> None:
    turned = np.radians(degrees)
    matrix = scale * np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    moved = (looking(place) @ matrix.T + shift).astype(np.float32)
    assert turn(moved) == pytest.approx(turn(looking(place)), abs=1e-3)


@given(st.floats(-1, 2))
def test_left_and_right_are_alike(place: float) -> None:
    assert turn(looking(place)) == pytest.approx(turn(looking(1 - place)), abs=1e-5)
