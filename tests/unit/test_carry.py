"""Faces carried from frame to frame, and how often the main path looks for them anew."""

from typing import Any

import cv2
import numpy as np
import pytest
from builders import FakeModel, FakeSource, build_faces, build_frame, noise, pick
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Faces, Frame
from classpulse.room.pipeline import watch
from classpulse.vision.carry import carry_faces

SCENE = np.asarray(cv2.GaussianBlur(noise(900, 1600), (0, 0), 4), np.uint8)
SCENE = np.asarray(cv2.normalize(SCENE, None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]


def scene(dx: int = 0, dy: int = 0, *, h: int = 240, w: int = 320) -> Frame:
    """A textured picture whose content moved by (dx, dy) pixels."""
    part: NDArray[np.uint8] = SCENE[60 - dy : 60 - dy + h, 60 - dx : 60 - dx + w]
    return build_frame(image=np.ascontiguousarray(part))


FACES = build_faces((40, 50), (180, 100))


def shifted(faces: Faces, dx: float, dy: float) -> NDArray[np.float32]:
    return faces.box + np.array([dx, dy, dx, dy], dtype=np.float32)


@given(dx=st.integers(-25, 25), dy=st.integers(-25, 25))
@settings(max_examples=20, deadline=None)
def test_faces_move_with_the_picture(dx: int, dy: int) -> None:
    moved = carry_faces(scene(), FACES, scene(dx, dy))
    assert moved.landmarks is not None and FACES.landmarks is not None
    assert moved.box == pytest.approx(shifted(FACES, dx, dy), abs=0.5)
    assert moved.landmarks == pytest.approx(FACES.landmarks + np.array([dx, dy]), abs=0.5)


def test_in_a_large_picture_too() -> None:
    moved = carry_faces(scene(h=720, w=1280), FACES, scene(14, -6, h=720, w=1280))
    assert moved.box == pytest.approx(shifted(FACES, 14, -6), abs=1.0)


def test_each_face_moves_by_itself() -> None:
    after = scene().image.copy()
    after[90:180, 170:260] = scene(5, 0).image[90:180, 170:260]  # around the second face
    moved = carry_faces(scene(), FACES, build_frame(image=after))
    assert moved.box - FACES.box == pytest.approx(np.array([[0] * 4, [5, 0, 5, 0]]), abs=0.5)


def test_scores_and_numbers_stay() -> None:
    faces = pick(FACES, track=np.array([7, -1]))
    moved = carry_faces(scene(), faces, scene(3, 3))
    assert moved.track is not None and moved.track.tolist() == [7, -1]
    assert moved.score.tolist() == faces.score.tolist()


def test_faces_without_landmarks_are_carried_by_their_boxes() -> None:
    moved = carry_faces(scene(), pick(FACES, landmarks=None), scene(8, 4))
    assert moved.landmarks is None
    assert moved.box == pytest.approx(shifted(FACES, 8, 4), abs=0.5)


def test_two_lost_points_do_not_matter() -> None:
    faces = build_faces((60, 50), side=150)
    after = scene(6, 0).image.copy()
    for x, y in faces.landmarks[0, :2].astype(int):  # type: ignore[index]
        after[y - 14 : y + 14, x - 14 : x + 14] = 128  # a hand over each eye
    moved = carry_faces(scene(), faces, build_frame(image=after))
    assert moved.box == pytest.approx(shifted(faces, 6, 0), abs=0.5)


@pytest.mark.parametrize("kind", ["other scene", "flat", "outside"])
def test_a_face_that_is_lost_stays_near_its_place(kind: str) -> None:
    faces = build_faces((5000, 5000)) if kind == "outside" else FACES
    flat = build_frame(image=np.full((240, 320, 3), 90, np.uint8))
    after = {"other scene": build_frame(image=noise(seed=9)), "flat": flat, "outside": scene(2, 2)}
    moved = carry_faces(scene(), faces, after[kind])
    assert np.abs(moved.box - faces.box).max() <= faces.side.max()


def test_nothing_is_carried_into_a_picture_of_another_size() -> None:
    assert carry_faces(scene(), FACES, scene(h=200)) is FACES


def test_no_faces_stay_no_faces() -> None:
    assert len(carry_faces(scene(), Faces.none(), scene(1, 1))) == 0


# --- the main path -------------------------------------------------------------------------------


def searched(times: list[float], **options: Any) -> list[float]:
    """When the detector was asked."""
    asked: list[float] = []

    def find(frame: Frame) -> Faces:
        asked.append(frame.t)
        return build_faces((20, 20))

    sequence = options.pop("sequence", True)
    source: Any = FakeSource([build_frame(t) for t in times], sequence=sequence)
    model: Any = FakeModel()
    assert len(list(watch(source, detector=find, model=model, **options))) == len(times)
    return asked


TIMES = [i / 25 for i in range(10)]


def test_faces_are_searched_at_their_own_rate() -> None:
    assert searched(TIMES, detect_every=0.1) == [0.0, 0.12, 0.2, 0.32]


def test_with_0_they_are_searched_always() -> None:
    assert searched(TIMES, detect_every=0.0) == TIMES


def test_by_default_half_seconds_are_all_searched() -> None:
    assert searched([0.0, 0.5, 1.0]) == [0.0, 0.5, 1.0]


def test_pictures_are_all_searched() -> None:
    assert searched(TIMES, detect_every=10.0, sequence=False) == TIMES


@pytest.mark.parametrize("seconds", [-0.1, float("nan"), float("inf")])
def test_impossible_rates_are_refused(seconds: float) -> None:
    with pytest.raises(InputError, match="detect_every"):
        searched(TIMES, detect_every=seconds)


def test_between_searches_faces_are_followed_and_read() -> None:
    frames = [Frame(scene(2 * i, i).image, i * 0.1, i, "test") for i in range(6)]

    def find(frame: Frame) -> Faces:
        return build_faces((40 + 2 * frame.index, 50 + frame.index))

    source: Any = FakeSource(frames)
    model: Any = FakeModel()
    seen = list(watch(source, detector=find, model=model, detect_every=0.3))
    boxes = np.concatenate([one.faces.box for one in seen])
    assert boxes[:, 0] == pytest.approx([40, 42, 44, 46, 48, 50], abs=0.5)
    assert [[r.subject for r in one.readings] for one in seen] == [[]] * 3 + [["S01"]] * 3


def test_a_face_seen_once_is_not_confirmed_by_following_it() -> None:
    def find(frame: Frame) -> Faces:
        return build_faces((40, 50)) if frame.index == 0 else Faces.none()

    source: Any = FakeSource([build_frame(i * 0.1, scene().image) for i in range(6)])
    model: Any = FakeModel()
    seen = list(watch(source, detector=find, model=model, detect_every=0.3))
    assert sum(len(one.readings) for one in seen) == 0
