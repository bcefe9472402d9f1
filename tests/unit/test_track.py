"""Subject numbers: who is who from frame to frame."""

from typing import Any

import numpy as np
import pytest
from builders import build_faces, pick
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.records import Faces
from classpulse.vision.track import UNCONFIRMED, Tracker, pseudonym

STEP = 0.5  # seconds


def numbers(faces: Faces) -> list[int]:
    assert faces.track is not None
    return faces.track.tolist()


def follow(tracker: Tracker, *frames: Faces, start: float = 0.0) -> list[list[int]]:
    """Numbers of every frame, one each `STEP`."""
    return [numbers(tracker.update(f, start + i * STEP)) for i, f in enumerate(frames)]


def test_a_face_gets_its_number_when_seen_twice() -> None:
    face = build_faces((100, 100))
    assert follow(Tracker(), face, face, face) == [[UNCONFIRMED], [1], [1]]


def test_other_arrays_are_passed_through() -> None:
    faces = build_faces((100, 100), (300, 100))
    tracked = Tracker().update(faces, 0.0)
    assert np.array_equal(tracked.box, faces.box) and np.array_equal(tracked.score, faces.score)
    assert np.array_equal(tracked.landmarks, faces.landmarks)  # type: ignore[arg-type]


def test_no_faces_are_fine() -> None:
    assert follow(Tracker(), Faces.none(), build_faces((9, 9)), Faces.none()) == [
        [], [UNCONFIRMED], []
    ]  # fmt: skip


def test_a_false_single_box_never_becomes_a_subject() -> None:
    tracker = Tracker()
    follow(tracker, build_faces((100, 100)), Faces.none(), Faces.none(), Faces.none())
    follow(tracker, build_faces((500, 100)), Faces.none(), start=2.0)
    assert tracker.subjects == 0


def test_boxes_far_apart_in_successive_frames_are_no_subject() -> None:
    tracker = Tracker()
    follow(tracker, *(build_faces((300.0 * i, 100)) for i in range(5)))
    assert tracker.subjects == 0


def test_an_unconfirmed_face_that_is_missed_once_is_forgotten() -> None:
    tracker, face = Tracker(), build_faces((100, 100))
    assert follow(tracker, face, Faces.none(), face)[-1] == [UNCONFIRMED]


@pytest.mark.parametrize("every", [0.04, 0.5, 1.0, 2.0, 10.0])
def test_sampling_does_not_change_who_is_followed(every: float) -> None:
    tracker, face = Tracker(), build_faces((100, 100))
    seen = [numbers(tracker.update(face, i * every)) for i in range(4)]
    assert seen == [[UNCONFIRMED], [1], [1], [1]]


def test_a_gap_is_bridged() -> None:
    face = build_faces((100, 100))
    gap = [Faces.none()] * 4  # seen at 0.5 s, again at 3.0 s
    assert follow(Tracker(), face, face, *gap, face)[-1] == [1]


def test_after_too_long_a_gap_there_is_a_new_subject() -> None:
    tracker, face = Tracker(), build_faces((100, 100))
    follow(tracker, face, face, Faces.none())
    assert follow(tracker, face, face, start=0.5 + 3.1) == [[UNCONFIRMED], [2]]


def test_a_gap_does_not_give_the_number_to_another_place() -> None:
    tracker, here, there = Tracker(), build_faces((100, 100)), build_faces((500, 100))
    follow(tracker, here, here)
    assert follow(tracker, there, there, start=1.0)[-1] == [2]


def test_a_weak_box_never_starts_a_subject() -> None:
    tracker = Tracker()
    follow(tracker, *[build_faces((100, 100), score=0.85)] * 6)
    assert tracker.subjects == 0


def test_a_weak_box_continues_a_subject() -> None:
    strong, weak = build_faces((100, 100)), build_faces((102, 101), score=0.65)
    assert follow(Tracker(), strong, strong, weak, weak, strong)[1:] == [[1]] * 4


def test_a_weak_box_may_confirm_a_subject() -> None:
    strong, weak = build_faces((100, 100)), build_faces((102, 101), score=0.65)
    assert follow(Tracker(), strong, weak) == [[UNCONFIRMED], [1]]


def test_a_strong_box_goes_before_a_weak_one() -> None:
    tracker, face = Tracker(), build_faces((100, 100))
    follow(tracker, face, face)
    both = pick(build_faces((101, 100), (115, 100)), score=[0.7, 0.95])  # the weak one fits better
    assert numbers(tracker.update(both, 1.0)) == [UNCONFIRMED, 1]


def test_forget_makes_everybody_new() -> None:
    tracker, face = Tracker(start_score=0.0, confirm=1), build_faces((100, 100), (300, 100))
    first = numbers(tracker.update(face, 0.0))
    tracker.forget()
    assert (first, numbers(tracker.update(face, 1.0))) == ([1, 2], [3, 4])


def test_stills_count_weak_faces_at_once() -> None:
    tracker = Tracker(start_score=0.0, confirm=1)
    assert numbers(tracker.update(build_faces((10, 10), score=0.61), 0.0)) == [1]


def test_people_who_cross_keep_their_numbers() -> None:
    frames = [build_faces((50 + 25.0 * i, 100), (450 - 25.0 * i, 140)) for i in range(17)]
    seen = follow(Tracker(), *frames)
    assert seen[1:] == [seen[1]] * 16 and sorted(seen[1]) == [1, 2]


def test_a_face_that_moves_on_during_a_gap_is_found_again() -> None:
    frames = [build_faces((50 + 20.0 * i, 100)) for i in range(8)]
    frames[5] = Faces.none()
    seen = follow(Tracker(), *frames)
    assert seen[6] == [1] and seen[7] == [1]


def test_time_counts_and_not_frames() -> None:
    tracker, face = Tracker(max_gap=3.0), build_faces((100, 100))
    times = [0.0, 0.5, *(0.5 + 0.01 * i for i in range(1, 100))]  # many empty frames, one second
    for t in times[:2]:
        tracker.update(face, t)
    for t in times[2:]:
        tracker.update(Faces.none(), t)
    assert numbers(tracker.update(face, 1.6)) == [1]


def test_two_frames_at_one_time_do_not_fail() -> None:
    tracker, face = Tracker(), build_faces((100, 100))
    tracker.update(face, 1.0)
    assert numbers(tracker.update(face, 1.0)) == [1]


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_the_order_of_boxes_does_not_matter(first: list[int], second: list[int]) -> None:
    tracker = Tracker()
    people = build_faces(*[(150.0 * i, 50) for i in range(5)])
    moved = pick(people, box=people.box + np.float32(7))
    one = tracker.update(people[first], 0.0)
    two = tracker.update(moved[second], 0.5)
    three = tracker.update(people[first], 1.0)
    by_person = dict(zip(second, numbers(two), strict=True))
    assert len(one) == 5 and numbers(three) == [by_person[p] for p in first]


@given(data=st.data(), n=st.integers(0, 8), steps=st.integers(1, 6))
def test_a_number_appears_once_in_a_frame(data: st.DataObject, n: int, steps: int) -> None:
    tracker = Tracker()
    place = st.tuples(st.floats(0, 200), st.floats(0, 200))
    for step in range(steps):
        corners = data.draw(st.lists(place, min_size=n, max_size=n))
        score = data.draw(st.lists(st.floats(0.6, 1), min_size=n, max_size=n))
        given_numbers: list[Any] = numbers(
            tracker.update(pick(build_faces(*corners), score=score), step * STEP)
        )
        confirmed = [number for number in given_numbers if number != UNCONFIRMED]
        assert len(set(confirmed)) == len(confirmed)
        assert all(1 <= number <= tracker.subjects for number in confirmed)


@given(data=st.data(), n=st.integers(1, 12))
def test_faces_that_move_smoothly_keep_their_numbers(data: st.DataObject, n: int) -> None:
    speed = st.tuples(st.floats(-12, 12), st.floats(-12, 12))
    speeds = np.array(data.draw(st.lists(speed, min_size=n, max_size=n)))
    places = np.array([(400.0 * (i % 4), 400.0 * (i // 4)) for i in range(n)])
    frames = [build_faces(*map(tuple, places + i * speeds)) for i in range(12)]
    seen = follow(Tracker(), *frames)
    assert seen[1:] == [list(seen[1])] * 11 and sorted(seen[1]) == list(range(1, n + 1))


@pytest.mark.parametrize(("number", "name"), [(1, "S01"), (42, "S42"), (123, "S123")])
def test_pseudonym(number: int, name: str) -> None:
    assert pseudonym(number) == name


def test_sparse_frames_still_follow_people() -> None:
    tracker, face = Tracker(max_gap=3.0), build_faces((100, 100))
    seen = [numbers(tracker.update(face, t)) for t in (0.0, 10.0, 20.0, 60.0)]
    assert seen == [[UNCONFIRMED], [1], [1], [1]]


def test_an_unconfirmed_face_that_misses_one_frame_is_forgotten() -> None:
    face = build_faces((100, 100))
    seen = follow(Tracker(), face, Faces.none(), face)
    assert seen == [[UNCONFIRMED], [], [UNCONFIRMED]]
