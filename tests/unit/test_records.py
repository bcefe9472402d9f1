"""The frozen types: what they accept, what they refuse, and that they do not change."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from builders import build_abstained, build_faces, build_reading, noise, pick, sure
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.labels import FER2013_7, LEARNING_STATE_4
from classpulse.core.records import (
    Aggregate,
    Faces,
    Frame,
    Interval,
    Reading,
    Report,
    Scores,
    Utterance,
)

BOX = [[0.0, 0.0, 10.0, 20.0]]
unit = st.floats(0, 1, width=32)


# --- frames --------------------------------------------------------------------------------------


def test_a_frame_keeps_its_picture() -> None:
    image = noise(4, 6)
    assert np.array_equal(Frame(image, 1.5, 3, "x").image, image)


def test_a_picture_that_is_not_contiguous_becomes_so() -> None:
    image = noise(4, 6)[:, :, ::-1]
    frame = Frame(image, 0.0, 0, "x")
    assert frame.image.flags.c_contiguous and np.array_equal(frame.image, image)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 6), np.uint8), "shape"),
        (np.zeros((4, 6, 4), np.uint8), "shape"),
        (np.zeros((1, 4, 6, 3), np.uint8), "shape"),
        (np.zeros((4, 6, 3), np.float32), "uint8 RGB"),
        (np.zeros((0, 6, 3), np.uint8), "empty"),
        (np.zeros((4, 0, 3), np.uint8), "empty"),
    ],
)
def test_a_bad_picture_is_refused(image: NDArray[Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Frame(image, 0.0, 0, "x")


@pytest.mark.parametrize(
    ("t", "index"), [(-0.1, 0), (0.0, -1), (float("nan"), 0), (float("inf"), 0)]
)
def test_a_frame_before_the_start_is_refused(t: float, index: int) -> None:
    with pytest.raises(ShapeError, match="t >= 0"):
        Frame(noise(2, 2), t, index, "x")


def test_the_picture_of_a_frame_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Frame(noise(2, 2), 0.0, 0, "x").image[0, 0] = 0


def test_making_a_frame_leaves_the_given_array_writable() -> None:
    image = noise(2, 2)
    Frame(image, 0.0, 0, "x")
    assert image.flags.writeable


# --- faces ---------------------------------------------------------------------------------------


def test_no_faces() -> None:
    none = Faces.none()
    assert len(none) == 0 and none.landmarks is not None and none.landmarks.shape == (0, 5, 2)


def test_lists_become_float_arrays() -> None:
    faces = Faces([[0, 0, 1, 1]], [1])  # type: ignore[arg-type]
    assert faces.box.dtype == np.float32 and faces.score.dtype == np.float32


def test_a_box_may_reach_past_the_frame() -> None:
    assert Faces(np.array([[-5.0, -5, 5, 5]]), np.ones(1)).box[0, 0] == -5


def test_side_is_the_shorter_side() -> None:
    assert Faces(np.array([[0, 0, 10, 20], [5, 5, 35, 12]]), np.ones(2)).side.tolist() == [10, 7]


@pytest.mark.parametrize(
    "changes",
    [
        {"box": [[10, 0, 10, 20]]},
        {"box": [[0, 20, 10, 20]]},
        {"box": [[11, 0, 10, 20]]},
        {"box": [[0, 0, 10, np.nan]]},
        {"box": [[0, 0, np.inf, 10]]},
        {"box": [[0, 0, 10]]},
        {"box": [[0, 0, 10, 20, 5]]},
        {"box": [[0, 0, 1, 1, 0, 0]] * 2},
        {"box": [0, 0, 10, 20]},
        {"score": [1.1]},
        {"score": [-0.1]},
        {"score": [np.nan]},
        {"score": [0.5, 0.5]},
        {"score": [[0.5]]},
        {"landmarks": np.zeros((1, 5, 3))},
        {"landmarks": np.zeros((2, 5, 2))},
        {"landmarks": np.full((1, 5, 2), np.nan)},
        {"track": [1, 2]},
        {"track": [[1]]},
    ],
    ids=str,
)
def test_bad_faces_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ShapeError):
        Faces(**({"box": BOX, "score": [0.9]} | changes))


@pytest.mark.parametrize("name", ["box", "score", "landmarks", "track"])
def test_arrays_of_faces_are_read_only(name: str) -> None:
    faces = pick(build_faces((0, 0)), track=[1])
    with pytest.raises(ValueError, match="read-only"):
        getattr(faces, name)[0] = 0


def three() -> Faces:
    return pick(build_faces((0, 0), (100, 0), (200, 0)), track=[4, 5, 6])


@pytest.mark.parametrize(
    ("rows", "tracks"),
    [
        (np.array([True, False, True]), [4, 6]),
        (np.array([2, 0]), [6, 4]),
        (slice(1, None), [5, 6]),
        ([1], [5]),
        (np.zeros(3, bool), []),
        (np.zeros(0, np.int64), []),
    ],
)
def test_faces_are_indexed_by_rows(rows: Any, tracks: list[int]) -> None:
    some = three()[rows]
    assert some.track is not None and some.track.tolist() == tracks


def test_all_arrays_are_indexed_alike() -> None:
    whole, some = three(), three()[np.array([False, True, True])]
    for name in ("box", "score", "landmarks", "track"):
        assert np.array_equal(getattr(some, name), getattr(whole, name)[1:]), name


def test_missing_landmarks_stay_missing() -> None:
    some = pick(three(), landmarks=None)[[0]]
    assert some.landmarks is None


@given(data=st.data(), n=st.integers(0, 6))
def test_a_mask_and_its_opposite_hold_every_face(data: st.DataObject, n: int) -> None:
    faces = pick(build_faces(*[(100.0 * i, 0) for i in range(n)]), track=np.arange(n))
    mask = data.draw(hnp.arrays(np.bool_, n))
    both = [*faces[mask].track, *faces[~mask].track]  # type: ignore[misc]
    assert sorted(both) == list(range(n))


# --- utterances, intervals -----------------------------------------------------------------------


def test_an_utterance_may_be_instant() -> None:
    assert Utterance("yes", 2.0, 2.0, "S01").t1 == 2.0


@pytest.mark.parametrize(
    ("t0", "t1"), [(-1.0, 0.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))]
)
def test_an_utterance_out_of_time_is_refused(t0: float, t1: float) -> None:
    with pytest.raises(ShapeError, match="0 <= t0 <= t1"):
        Utterance("yes", t0, t1, "S01")


@given(st.tuples(*[st.floats(allow_nan=False)] * 3))
def test_an_interval_holds_its_value_or_is_refused(
    numbers: tuple[float, float, float],
) -> None:
    value, low, high = numbers
    if low <= value <= high:
        assert Interval(value, low, high).value == value
    else:
        with pytest.raises(ShapeError, match="low <= value <= high"):
            Interval(value, low, high)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_interval_without_a_number_is_refused(place: int) -> None:
    numbers = [0.5, 0.5, 0.5]
    numbers[place] = float("nan")
    with pytest.raises(ShapeError):
        Interval(*numbers)


# --- scores --------------------------------------------------------------------------------------


def test_top_and_confidence() -> None:
    scores = Scores(np.array([[0.1, 0.2, 0.6, 0.1], [1, 0, 0, 0]]), LEARNING_STATE_4)
    assert scores.top.tolist() == [2, 0]
    assert scores.confidence.tolist() == pytest.approx([0.6, 1.0])


@pytest.mark.parametrize(
    "probs",
    [
        [[0.5, 0.5]],
        [0.25, 0.25, 0.25, 0.25],
        [[0.5, 0.6, -0.1, 0.0]],
        [[0.25, 0.25, 0.25, 0.26]],
        [[0.0, 0.0, 0.0, 0.0]],
        [[np.nan, 0.5, 0.5, 0.0]],
        [[np.inf, 0.0, 0.0, 0.0]],
        [[1.0, 0, 0, 0], [0.5, 0, 0, 0]],
        [[[1.0, 0, 0, 0]]],
    ],
    ids=str,
)
def test_what_is_no_distribution_is_refused(probs: Any) -> None:
    with pytest.raises(ShapeError, match="learning-state-4 probs"):
        Scores(probs, LEARNING_STATE_4)


def test_scores_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        sure(FER2013_7, "happy").probs[0, 0] = 1


def test_no_rows_are_fine() -> None:
    assert len(Scores(np.zeros((0, 4)), LEARNING_STATE_4)) == 0


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(0.001, 1)))
def test_every_distribution_is_accepted(raw: NDArray[np.float64]) -> None:
    probs = raw / raw.sum(axis=1, keepdims=True)
    scores = Scores(probs, LEARNING_STATE_4)
    assert np.allclose(scores.confidence, probs.max(axis=1))


@given(hnp.arrays(np.float64, (1, 4), elements=st.floats(0.001, 1)), st.floats(1.01, 10))
def test_no_other_sum_is_accepted(raw: NDArray[np.float64], factor: float) -> None:
    with pytest.raises(ShapeError, match="sum to 1"):
        Scores(raw / raw.sum() * factor, LEARNING_STATE_4)


# --- readings ------------------------------------------------------------------------------------


def test_the_label_of_a_reading() -> None:
    assert build_reading(state="bored").label("state") == "bored"


def test_a_head_that_is_not_there_has_no_label() -> None:
    assert build_reading().label("votes") is None


def test_an_abstained_reading_has_no_label() -> None:
    assert build_abstained().label("emotion") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t": -1.0}, "t >= 0"),
        ({"t": float("nan")}, "t >= 0"),
        ({"subject": ""}, "a subject"),
        ({"channel": ""}, "a channel"),
        ({"scores": {"state": Scores(np.eye(4)[:2], LEARNING_STATE_4)}}, "exactly one row"),
        ({"scores": {"state": Scores(np.zeros((0, 4)), LEARNING_STATE_4)}}, "exactly one row"),
        ({"abstained": "x", "engagement": Interval(0.5, 0.5, 0.5)}, "makes no statement"),
        ({"abstained": "x", "scores": {"e": sure(FER2013_7, "sad")}}, "makes no statement"),
        ({"engagement": Interval(0.5, -0.1, 0.6)}, r"in \[0, 1\]"),
        ({"engagement": Interval(0.5, 0.4, 1.1)}, r"in \[0, 1\]"),
    ],
    ids=str,
)
def test_a_bad_reading_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Reading(**({"t": 0.0, "subject": "S01", "channel": "face"} | changes))


@pytest.mark.parametrize("name", ["scores", "quality"])
def test_the_mappings_of_a_reading_do_not_change(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(build_reading(), name)["new"] = 1.0


def test_a_reading_does_not_follow_the_dictionary_it_was_given() -> None:
    quality = {"face_px": 30.0}
    reading = Reading(0.0, "S01", "face", quality=quality)
    quality["face_px"] = 99.0
    assert reading.quality["face_px"] == 30.0


def test_a_reading_has_no_place_for_pixels_or_embeddings() -> None:
    names = {field.name for field in dataclasses.fields(Reading)}
    assert names == {
        "t", "subject", "channel", "scores", "engagement", "quality", "abstained"
    }  # fmt: skip


# --- aggregates and reports ----------------------------------------------------------------------

HALF = Interval(0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("t0", "t1", "n", "people", "value"),
    [
        (1.0, 1.0, 5, 5, HALF),
        (2.0, 1.0, 5, 5, HALF),
        (-1.0, 1.0, 5, 5, HALF),
        (float("nan"), 1.0, 5, 5, None),
        (0.0, 1.0, -1, -1, None),
        (0.0, 1.0, 5, 6, HALF),
        (0.0, 1.0, 5, -1, None),
        (0.0, 1.0, 5, 0, HALF),
        (0.0, 1.0, 0, 0, HALF),
    ],
)
def test_a_bad_aggregate_is_refused(
    t0: float, t1: float, n: int, people: int, value: Interval | None
) -> None:
    with pytest.raises(ShapeError, match="'engagement' needs"):
        Aggregate(t0, t1, "engagement", n, people, value)


def test_an_aggregate_of_nobody_is_not_shown() -> None:
    assert Aggregate(0.0, 1.0, "engagement", 0, 0, None).value is None


@given(people=st.integers(1, 30), more=st.integers(0, 30), k=st.integers(1, 30))
def test_a_report_shows_no_group_below_its_minimum(people: int, more: int, k: int) -> None:
    aggregates = (Aggregate(0.0, 1.0, "engagement", people + more, people, HALF),)
    if people >= k:
        assert Report("s", 0.0, 1.0, k, aggregates, ()).aggregates == aggregates
    else:
        with pytest.raises(ShapeError, match=f"shows {people} people, the minimum is {k}"):
            Report("s", 0.0, 1.0, k, aggregates, ())


def test_a_report_may_name_a_small_group_without_a_value() -> None:
    aggregates = (Aggregate(0.0, 1.0, "engagement", 2, 2, None),)
    assert Report("s", 0.0, 1.0, 5, aggregates, ()).aggregates[0].n == 2


@pytest.mark.parametrize(("t0", "t1", "k"), [(-1.0, 1.0, 5), (2.0, 1.0, 5), (0.0, 1.0, 0)])
def test_a_bad_report_is_refused(t0: float, t1: float, k: int) -> None:
    with pytest.raises(ShapeError, match="report needs"):
        Report("s", t0, t1, k, (), ())


@pytest.mark.parametrize(
    "thing",
    [
        Frame(noise(2, 2), 0.0, 0, "x"),
        Faces.none(),
        Utterance("yes", 0.0, 1.0, "S01"),
        sure(FER2013_7, "sad"),
        HALF,
        build_reading(),
        Aggregate(0.0, 1.0, "engagement", 0, 0, None),
        Report("s", 0.0, 1.0, 5, (), ()),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_a_record_cannot_be_changed(thing: Any) -> None:
    name = dataclasses.fields(thing)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, name, None)


def test_a_wrong_shape_is_an_input_error_and_a_value_error() -> None:
    assert issubclass(ShapeError, InputError) and issubclass(ShapeError, ValueError)
