"""Stages that work at the same time: same results, same errors, and nothing left running."""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pytest
from builders import FakeModel, FakeSource, answer_with, build_faces, build_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from classpulse.core.errors import InputError, ModelError, PrivacyError
from classpulse.core.records import Faces, Frame
from classpulse.room import analyze as analyze_module
from classpulse.room import pipeline
from classpulse.room.overlap import AHEAD, overlapped
from classpulse.room.pipeline import Observation, watch
from classpulse.room.privacy import Privacy
from classpulse.vision.detect import DETECTORS

STAGES = ("find", "ask")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith((*STAGES, "stage"))]


def stage(function: Callable[[int], Any], items: Any, **options: Any) -> Any:
    return overlapped(function, items, name="stage", **options)


def fail_at(bad: int, error: BaseException) -> Callable[[int], int]:
    def function(item: int) -> int:
        if item == bad:
            raise error
        return item

    return function


def broken(good: int, error: BaseException) -> Iterator[int]:
    yield from range(good)
    raise error


# --- one stage -----------------------------------------------------------------------------------


@given(items=st.lists(st.integers()), ahead=st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_a_stage_is_a_map(items: list[int], ahead: int) -> None:
    assert list(stage(lambda i: 3 * i, items, ahead=ahead)) == [3 * i for i in items]


def outcome(results: Iterable[int]) -> tuple[list[int], InputError | None]:
    got: list[int] = []
    try:
        for value in results:
            got.append(value)
    except InputError as error:
        return got, error
    return got, None


@given(n=st.integers(0, 8), bad=st.integers(0, 8), at_source=st.booleans(), ahead=st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_an_error_comes_where_map_has_it(n: int, bad: int, at_source: bool, ahead: int) -> None:
    error = InputError("here")
    function = int if at_source else fail_at(bad, error)
    items = [broken(n, error) if at_source else iter(range(n)) for _ in range(2)]
    found = outcome(stage(function, items[0], ahead=ahead))
    assert found == outcome(map(function, items[1])) and threads() == []
    assert found[1] is (error if at_source or bad < n else None)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_interrupt_of_the_source_loses_nothing_that_was_read(
    kind: type[BaseException],
) -> None:
    got = []
    with pytest.raises(kind):
        for value in stage(int, broken(5, kind())):
            got.append(value)
    assert got == list(range(5)) and threads() == []


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads")
def test_ctrl_c_while_waiting_for_a_stage_ends_it() -> None:
    calls: list[int] = []

    def function(item: int) -> int:
        calls.append(item)
        if item == 2:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            time.sleep(0.1)  # the consumer is waiting for this call
        return item

    with pytest.raises(KeyboardInterrupt):
        list(stage(function, range(1000)))
    assert calls == [0, 1, 2] and threads() == []


def test_no_more_than_asked_is_under_way() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    with closing(stage(int, items(), ahead=4)) as results:
        assert taken == []
        assert list(islice(results, 3)) == [0, 1, 2] and len(taken) == 3 + 4 - 1


def test_calls_of_a_stage_never_meet_and_are_in_order() -> None:
    inside, calls = threading.Lock(), []

    def function(item: int) -> int:
        assert inside.acquire(blocking=False)
        calls.append(item)
        time.sleep(0.001)
        inside.release()
        return item

    assert list(stage(function, range(20))) == calls == list(range(20))


def test_items_are_taken_by_the_consumer() -> None:
    def items() -> Iterator[str]:
        for _ in range(5):
            yield threading.current_thread().name

    results = list(stage(lambda item: (item, threading.current_thread().name), items()))
    assert {name for name, _ in results} == {threading.current_thread().name}
    assert all(name.startswith("stage") for _, name in results)


def test_two_stages_work_at_the_same_time() -> None:
    """Each waits for the other's thread: one after the other, they would wait forever."""
    both = threading.Barrier(2, timeout=20)

    def meet(item: int) -> int:
        if item in (1, 2):
            both.wait()
        return item

    # the first stage meets with item 2 while the second meets with item 1
    first = stage(lambda i: meet(i) if i == 2 else i, range(5))
    second = stage(lambda i: meet(i) if i == 1 else i, first)
    assert list(second) == list(range(5))


def test_closing_drops_what_waits_and_ends_the_thread() -> None:
    calls: list[int] = []
    go = threading.Event()

    def function(item: int) -> int:
        calls.append(item)
        if item:
            go.wait(20)
        return item

    results = stage(function, range(10), ahead=5)
    next(results)
    threading.Timer(0.05, go.set).start()
    results.close()
    assert calls in ([0], [0, 1]) and threads() == []


# --- the main path -------------------------------------------------------------------------------


def find_in(faces: list[Faces]) -> Callable[[Frame], Faces]:
    return lambda frame: faces[frame.index]


def run(source: Any, find: Any, **options: Any) -> list[Observation]:
    model: Any = FakeModel(speak)
    return list(watch(source, detector=find, model=model, **options))


def speak(batch: np.ndarray[Any, Any]) -> Any:
    """An answer that depends on the pixels, so that a mixed-up face is noticed."""
    certain = 0.3 + 0.6 * float(np.abs(np.sin(batch.sum())))
    return answer_with(emotion=("happy", certain), state=("focused", certain))(batch)


def plain(seen: Observation) -> Any:
    """An observation as values that `==` compares."""
    told = [
        (r.t, r.subject, dict(r.quality), r.abstained, r.engagement,
         {h: s.probs.tolist() for h, s in r.scores.items()})
        for r in seen.readings
    ]  # fmt: skip
    boxes = None if seen.faces.track is None else seen.faces.track.tolist()
    return seen.frame.index, seen.faces.box.tolist(), boxes, told


people = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=4, unique=True)


@given(
    lessons=st.lists(people, min_size=1, max_size=8),
    detect_every=st.sampled_from([0.0, 0.1, 0.25]),
    sequence=st.booleans(),
    privacy=st.sampled_from([None, Privacy("eu-school")]),
)
@settings(max_examples=25, deadline=None)
def test_overlapped_and_serial_tell_the_same(
    lessons: list[list[tuple[int, int]]],
    detect_every: float,
    sequence: bool,
    privacy: Privacy | None,
) -> None:
    faces = [build_faces(*[(10 + 75.0 * x, 10 + 75.0 * y) for x, y in seats]) for seats in lessons]
    frames = [Frame(build_frame().image, i * 0.05, i, "test") for i in range(len(faces))]
    both = [
        run(FakeSource(frames, sequence=sequence), find_in(faces), overlap=overlap,
            detect_every=detect_every, privacy=privacy)
        for overlap in (True, False)
    ]  # fmt: skip
    assert [plain(seen) for seen in both[0]] == [plain(seen) for seen in both[1]]


def numbered(n: int) -> list[Frame]:
    image = build_frame().image
    return [Frame(image, i * 0.5, i, "test") for i in range(n)]


def always(frame: Frame) -> Faces:
    return build_faces((20, 20))


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("place", ["source", "detector", "network"])
def test_an_error_of_any_stage_reaches_the_consumer(place: str, overlap: bool) -> None:
    error = ModelError("broken")

    def find(frame: Frame) -> Faces:
        if place == "detector" and frame.index == 4:
            raise error
        return always(frame)

    asked: list[int] = []

    def answer(batch: np.ndarray[Any, Any]) -> Any:
        asked.append(len(batch))
        if place == "network" and len(asked) == 5:
            raise error
        return speak(batch)

    frames: list[Any] = numbered(8)
    if place == "source":
        frames[4:] = [error]
    model: Any = FakeModel(answer)
    source: Any = FakeSource(frames)
    seen = []
    with pytest.raises(ModelError) as raised:
        for one in watch(source, detector=find, model=model, overlap=overlap):
            seen.append(one.frame.index)
    assert raised.value is error and seen == [0, 1, 2, 3] and threads() == []


def test_an_interrupt_ends_the_threads() -> None:
    source: Any = FakeSource([*numbered(4), KeyboardInterrupt()])
    seen = []
    with pytest.raises(KeyboardInterrupt):
        for one in watch(source, detector=always, model=FakeModel()):  # type: ignore[arg-type]
            seen.append(one.frame.index)
    assert seen == [0, 1, 2, 3] and threads() == []


def test_a_second_person_is_found_out_in_its_own_frame() -> None:
    def find(frame: Frame) -> Faces:
        return build_faces((20, 20), (150, 20)) if frame.index > 2 else always(frame)

    seen = []
    rules = Privacy(single_subject=True, consent="form 12")
    model: Any = FakeModel()
    source: Any = FakeSource(numbered(9))
    with pytest.raises(PrivacyError, match=r"at 2\.0 s"):
        for one in watch(source, detector=find, model=model, privacy=rules):
            seen.append(one.frame.index)
    assert seen == [0, 1, 2, 3] and threads() == []


class Recorded(FakeSource):
    """A source that knows whether threads ran when it was closed, and how far it was read."""

    read = 0
    left: tuple[str, ...] | None = None

    def __exit__(self, *exc: object) -> None:
        self.left = tuple(threads())
        super().__exit__(*exc)

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            self.read += 1
            yield frame


def test_a_consumer_that_stops_ends_the_threads_before_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Recorded(numbered(50))
    monkeypatch.setattr(pipeline, "open_source", lambda name, every: source)
    model: Any = FakeModel()
    with closing(watch("lesson.mp4", detector=always, model=model)) as stream:
        next(stream)
        assert sorted(name.split("_")[0] for name in threads()) == sorted(STAGES)
    assert source.closed and source.left == () and threads() == []


def test_a_video_is_read_a_few_frames_ahead() -> None:
    source: Any = Recorded(numbered(50))
    model: Any = FakeModel()
    with closing(watch(source, detector=always, model=model)) as stream:
        next(stream)
        assert 2 <= source.read <= 2 * AHEAD


def test_a_stopped_analysis_ends_the_threads_before_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Recorded(numbered(50))
    monkeypatch.setattr(analyze_module, "open_source", lambda name, every: source)
    monkeypatch.setattr(pipeline, "OnnxModel", lambda name, threads: FakeModel())
    monkeypatch.setitem(DETECTORS._things, "fake", lambda: always)

    def stop(progress: Any) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        analyze_module.analyze("lesson.mp4", detector="fake", on_progress=stop)
    assert source.left == ()


@pytest.mark.parametrize(("cores", "threads"), [(None, 1), (1, 1), (2, 2), (64, 4)])
def test_a_named_network_runs_on_the_cores_there_are(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, threads: int
) -> None:
    monkeypatch.setattr(pipeline, "OnnxModel", lambda name, threads: threads)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    found: Any = pipeline.open_network("face-base")
    assert found == threads


def test_a_loaded_network_stays_as_it_is() -> None:
    model: Any = FakeModel()
    assert pipeline.open_network(model) is model
