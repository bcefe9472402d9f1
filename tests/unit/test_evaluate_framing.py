"""Pictures cut out again as the room does it, and what that costs."""

import numpy as np
import pytest
from builders import SPEC

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7, LEARNING_STATE_4
from classpulse.core.records import Faces, Frame, Scores
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate.framing import BORDER, ENLARGE, measure_framing, reframe
from classpulse.vision.image import FRAMINGS

SIDE = 48
PAD = BORDER * ENLARGE * SIDE


def found_at(shift: float) -> Faces:
    """The face where the picture has it, moved by some of the picture's pixels."""
    marks = (FRAMINGS["fer2013"][None] * SIDE + shift) * ENLARGE + PAD
    low = np.full((1, 2), PAD, np.float32)
    box = np.concatenate([low, low + SIDE * ENLARGE], axis=1).astype(np.float32)
    return Faces(box, np.ones(1, np.float32), marks.astype(np.float32))


def smooth(n: int) -> np.ndarray:
    """Pictures that survive enlarging and shrinking: slopes to the right, steeper each."""
    slope = np.linspace(0, 255, SIDE)[None, None] * np.linspace(0.2, 1, n)[:, None, None]
    return np.broadcast_to(slope, (n, SIDE, SIDE)).astype(np.uint8)


def test_a_face_found_where_it_is_comes_back_as_it_was() -> None:
    images = smooth(3)
    again = reframe(images, lambda frame: found_at(0.0), SPEC)
    assert again.rows.tolist() == [0, 1, 2]
    assert again.images.shape == images.shape
    inner = np.s_[:, 2:-2, 2:-2]
    assert np.abs(again.images[inner].astype(int) - images[inner]).max() <= 4


def test_a_face_found_elsewhere_is_cut_elsewhere() -> None:
    images = smooth(1)
    again = reframe(images, lambda frame: found_at(6.0), SPEC)
    per_pixel = 255 / (SIDE - 1) * 0.2
    moved = again.images[:, 8:-8, 8:-8].astype(float) - images[:, 8:-8, 8:-8]
    assert moved.mean() == pytest.approx(6 * per_pixel, abs=1.0)


def test_colors_stay_colors() -> None:
    images = np.repeat(smooth(2)[..., None], 3, axis=3)
    images[..., 2] = 0
    again = reframe(images, lambda frame: found_at(0.0), SPEC)
    assert again.images.shape == images.shape and again.images[..., 2].max() <= 2


class BySide:
    """Says happy where the left half is darker than 60 and angry elsewhere."""

    name, source, temperatures = "by side", "a test", {}

    def predict(self, images: np.ndarray) -> tuple[Scores, ...]:
        probs = np.zeros((len(images), 7), np.float32)
        happy = images[:, :, : SIDE // 2].mean(axis=(1, 2)) < 60
        probs[happy, FER2013_7.index("happy")] = 1
        probs[~happy, FER2013_7.index("angry")] = 1
        return (Scores(probs, FER2013_7),)


def faces_of(images: np.ndarray, name: str) -> FaceSet:
    labels = np.full(len(images), FER2013_7.index(name), dtype=np.int64)
    return FaceSet(images, labels, FER2013_7, "slopes")


def test_the_cost_is_paired_and_leaves_out_what_is_not_found() -> None:
    faces = faces_of(np.concatenate([smooth(4)[:1]] * 10), "happy")

    def every_other(frame: Frame) -> Faces:
        return found_at(0.0) if frame.index % 2 else Faces.none()

    cost = measure_framing(BySide(), faces, FER2013_7, find=every_other, spec=SPEC)
    assert (cost.n, cost.found) == (10, 5)
    assert cost.given.value == cost.reframed.value == 1.0 and cost.drop.value == 0.0


def test_cutting_beside_the_face_costs() -> None:
    faces = faces_of(np.concatenate([smooth(2)[1:]] * 8), "angry")  # 65 on the left as it is
    cost = measure_framing(
        BySide(), faces, FER2013_7, find=lambda frame: found_at(-20.0), spec=SPEC
    )
    assert cost.given.value == 1.0 and cost.reframed.value == 0.0 and cost.drop.value == 1.0


def test_nothing_found_and_a_head_that_is_missing_are_said() -> None:
    faces = faces_of(smooth(2), "angry")
    with pytest.raises(InputError, match="the detector finds no face in 2 pictures"):
        measure_framing(BySide(), faces, FER2013_7, find=lambda f: Faces.none(), spec=SPEC)
    faces = FaceSet(smooth(2), np.zeros(2, np.int64), LEARNING_STATE_4, "states")
    with pytest.raises(InputError, match="by side has no scores of learning-state-4"):
        measure_framing(BySide(), faces, LEARNING_STATE_4, find=lambda f: found_at(0.0), spec=SPEC)
