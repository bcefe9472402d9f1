"""Engagement: the paper's example, presets, smoothing, windows and columns."""

import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from builders import build_abstained, build_reading, sure
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from classpulse.core.errors import InputError, LabelError, PrivacyError, ShapeError
from classpulse.core.labels import FER2013_7, FERPLUS_8, LEARNING_STATE_4, LabelSpace
from classpulse.core.records import Interval, Reading, Scores
from classpulse.engage.columns import read_columns
from classpulse.engage.score import DEFAULT, PAPER, PRESETS, get_preset, interval_of
from classpulse.engage.smooth import Smoother
from classpulse.engage.windows import (
    MIN_GROUP,
    WindowAggregator,
    find_window,
    suggest_window,
    t95,
)

EXAMPLE = {  # the paper's worked example
    "happiness": [0.8, 0.4, 0.5, 0.9],
    "sadness": [0.3, 0.6, 0.2, 0.4],
    "anger": [0.6, 0.2, 0.7, 0.8],
}


# --- presets -------------------------------------------------------------------------------------


def test_the_papers_worked_example() -> None:
    assert PAPER.score_columns(EXAMPLE).round(12).tolist() == [1.49, 1.04, 1.31, 1.77]


def test_the_mean_of_the_papers_worked_example() -> None:
    assert PAPER.score_columns(EXAMPLE).mean().round(12) == 1.4025


@pytest.mark.parametrize(
    ("label", "weight"), [("happiness", 0.7), ("sadness", 0.5), ("anger", 0.8)]
)
def test_the_papers_weights(label: str, weight: float) -> None:
    columns = {name: [float(name == label)] for name in EXAMPLE}
    assert PAPER.score_columns(columns).item() == pytest.approx(0.3 + weight)


def test_columns_that_carry_no_weight_do_not_matter() -> None:
    columns = EXAMPLE | {"surprise": [9.0] * 4}
    assert np.array_equal(PAPER.score_columns(columns), PAPER.score_columns(EXAMPLE))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match=r"needs the columns happiness, .*missing: anger, sadness"):
        PAPER.score_columns({"happiness": [0.5]})


@pytest.mark.parametrize(
    "bad", [[0.1, 0.2], [[0.1], [0.2], [0.3], [0.4]], [0.1, 0.2, 0.3, np.nan], [np.inf] * 4]
)
def test_bad_columns_are_refused(bad: list[float]) -> None:
    with pytest.raises(ShapeError, match="engagement columns"):
        PAPER.score_columns(EXAMPLE | {"anger": bad})


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown preset 'best'; known: default, paper"):
        get_preset("best")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_knows_its_name(name: str) -> None:
    assert get_preset(name).name == name


def distributions(k: int, n: int = 1) -> st.SearchStrategy[NDArray[np.float64]]:
    raw = hnp.arrays(np.float64, (n, k), elements=st.floats(0.0, 1.0)).map(lambda a: a + 1e-6)
    return raw.map(lambda a: a / a.sum(axis=1, keepdims=True))


def both(state: NDArray[np.float64], emotion: NDArray[np.float64]) -> dict[str, Scores]:
    return {"state": Scores(state, LEARNING_STATE_4), "emotion": Scores(emotion, FER2013_7)}


@given(distributions(4, 3), distributions(7, 3))
def test_the_default_stays_in_zero_to_one_by_itself(
    state: NDArray[np.float64], emotion: NDArray[np.float64]
) -> None:
    value, variance = replace(DEFAULT, clip=False).score(both(state, emotion))
    assert (value >= -1e-6).all() and (value <= 1 + 1e-6).all() and (variance >= 0).all()


@given(distributions(4), distributions(7), st.integers(0, 3), st.floats(0, 1))
def test_a_more_focused_face_is_never_less_engaged(
    state: NDArray[np.float64], emotion: NDArray[np.float64], other: int, share: float
) -> None:
    more = state.copy()
    moved = more[0, other] * share
    more[0, other] -= moved
    more[0, LEARNING_STATE_4.index("focused")] += moved
    before, after = (DEFAULT.score(both(s, emotion))[0].item() for s in (state, more))
    assert after >= before - 1e-6


@pytest.mark.parametrize(
    ("state", "emotion", "value"),
    [
        ("focused", "happy", 1.0),
        ("focused", "neutral", 0.8),
        ("neutral", "neutral", 0.55),
        ("bored", "sad", 0.05),
        ("angry", "angry", 0.2),
    ],
)
def test_the_default_by_hand(state: str, emotion: str, value: float) -> None:
    scores = {"state": sure(LEARNING_STATE_4, state), "emotion": sure(FER2013_7, emotion)}
    assert DEFAULT.score(scores)[0].item() == pytest.approx(value)


@pytest.mark.parametrize("state", LEARNING_STATE_4.names)
@pytest.mark.parametrize("emotion", FER2013_7.names)
def test_a_sure_network_has_no_variance(state: str, emotion: str) -> None:
    scores = {"state": sure(LEARNING_STATE_4, state), "emotion": sure(FER2013_7, emotion)}
    assert DEFAULT.score(scores)[1].item() == pytest.approx(0.0, abs=1e-12)


def test_the_variance_by_hand() -> None:
    state = np.array([[0.0, 0.5, 0.5, 0.0]])  # bored -0.3 or focused 0.45
    _, variance = DEFAULT.score(both(state, sure(FER2013_7, "sad").probs.astype(float)))
    assert variance.item() == pytest.approx((0.75 / 2) ** 2)


@pytest.mark.parametrize(("share", "value"), [(1.0, 0.8), (0.5, 0.35 + 0.5 * 0.45), (0.0, 0.35)])
def test_a_head_counts_by_the_chance_that_it_applies(share: float, value: float) -> None:
    scores = {"state": sure(LEARNING_STATE_4, "focused"), "emotion": sure(FER2013_7, "sad")}
    chance = {"state": np.array([share], np.float32)}
    assert DEFAULT.score(scores, share=chance)[0].item() == pytest.approx(value)


def test_doubt_whether_a_head_applies_is_variance() -> None:
    scores = {"state": sure(LEARNING_STATE_4, "focused"), "emotion": sure(FER2013_7, "sad")}
    _, variance = DEFAULT.score(scores, share={"state": np.array([0.5], np.float32)})
    assert variance.item() == pytest.approx((0.45 / 2) ** 2)


HEADS = {"emotion": FER2013_7, "votes": FERPLUS_8, "state": LEARNING_STATE_4}


@pytest.mark.parametrize(
    ("heads", "head", "labels"),
    [
        (HEADS, "votes", ("happiness", "sadness", "anger")),  # the same names before the same sense
        ({"emotion": FER2013_7}, "emotion", ("happy", "sad", "angry")),
        ({"expression": FERPLUS_8, "votes": FERPLUS_8}, "expression", PAPER.labels),
    ],
)
def test_the_papers_expressions_are_those_of_a_head(
    heads: dict[str, LabelSpace], head: str, labels: tuple[str, ...]
) -> None:
    bound = PAPER.bound_to(heads)
    assert dict(bound.weights) == {head: dict(zip(labels, (0.7, 0.5, 0.8), strict=True))}
    assert bound.intercept == PAPER.intercept and DEFAULT.bound_to(HEADS) == DEFAULT


def test_a_model_without_these_expressions_is_refused() -> None:
    with pytest.raises(InputError, match="needs a head with happiness, sadness, anger, the model"):
        PAPER.bound_to({"state": LEARNING_STATE_4})
    with pytest.raises(InputError, match=r"needs the heads \['state'\], the model's heads are emo"):
        DEFAULT.bound_to({"emotion": FER2013_7})


def test_a_missing_head_is_named() -> None:
    with pytest.raises(InputError, match=r"needs the heads \['state'\]; the model gives"):
        DEFAULT.score({"emotion": sure(FER2013_7, "happy")})


def test_a_label_that_the_space_does_not_have_is_named() -> None:
    with pytest.raises(LabelError, match="'focused' is not in fer2013-7"):
        DEFAULT.score({"state": sure(FER2013_7, "sad"), "emotion": sure(FER2013_7, "sad")})


@given(st.floats(-1, 3), st.floats(0, 4))
def test_the_interval_of_a_score_is_in_zero_to_one(value: float, variance: float) -> None:
    gauge = interval_of(value, variance)
    assert 0 <= gauge.low <= gauge.value <= gauge.high <= 1


def test_the_interval_is_one_standard_deviation() -> None:
    gauge = interval_of(0.5, 0.04)
    assert (gauge.low, gauge.value, gauge.high) == pytest.approx((0.3, 0.5, 0.7))


# --- smoothing -----------------------------------------------------------------------------------


def test_the_first_value_is_taken_as_it_is() -> None:
    assert Smoother(seconds=2.0).update(0.0, 0.7, 0.1) == (0.7, 0.1)


def test_after_its_time_a_step_has_gone_63_percent() -> None:
    smoother = Smoother(seconds=2.0)
    smoother.update(0.0, 0.0, 0.0)
    assert smoother.update(2.0, 1.0, 1.0)[0] == pytest.approx(1 - math.exp(-1))


def test_zero_seconds_turn_smoothing_off() -> None:
    smoother = Smoother(seconds=0.0)
    smoother.update(0.0, 0.0, 0.0)
    assert smoother.update(0.1, 1.0, 0.5) == (1.0, 0.5)


def test_the_past_is_forgotten_after_a_long_absence() -> None:
    smoother = Smoother(seconds=100.0, forget=30.0)
    smoother.update(0.0, 0.0, 0.0)
    assert smoother.update(30.5, 1.0, 0.2) == (1.0, 0.2)


@pytest.mark.parametrize("rate", [2, 5, 25, 100])
def test_a_step_gives_the_same_curve_at_any_rate(rate: int) -> None:
    smoother = Smoother(seconds=2.0)
    smoother.update(0.0, 0.0, 0.0)
    for i in range(1, 3 * rate + 1):
        value, _ = smoother.update(i / rate, 1.0, 0.0)
    assert value == pytest.approx(1 - math.exp(-1.5))


def test_a_moving_value_is_independent_of_the_rate_in_the_limit() -> None:
    def end(rate: int) -> float:
        smoother = Smoother(seconds=2.0)
        for i in range(10 * rate + 1):
            value, _ = smoother.update(i / rate, 0.5 + 0.4 * math.sin(i / rate), 0.0)
        return value

    errors = [abs(end(rate) - end(2000)) for rate in (5, 20, 80, 320)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-3


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.01, 10))
def test_a_smoothed_value_stays_among_those_seen(values: list[float], seconds: float) -> None:
    smoother = Smoother(seconds=seconds)
    for i, value in enumerate(values):
        smoothed, _ = smoother.update(i * 0.5, value, 0.0)
        assert min(values) - 1e-9 <= smoothed <= max(values) + 1e-9


@pytest.mark.parametrize(
    ("seconds", "forget"), [(-1.0, 30.0), (2.0, 0.0), (float("nan"), 30.0), (2.0, float("nan"))]
)
def test_bad_times_are_refused(seconds: float, forget: float) -> None:
    with pytest.raises(ShapeError, match="seconds >= 0"):
        Smoother(seconds=seconds, forget=forget)


# --- windows -------------------------------------------------------------------------------------


def filled(
    values: Iterable[tuple[float, str, float]], *, seconds: float = 10.0, k: int = 1
) -> WindowAggregator:
    """An aggregator that has seen (t, subject, engagement); those of one time share a frame."""
    aggregator = WindowAggregator(seconds=seconds, k=k)
    for t, seen in groupby(values, key=lambda one: one[0]):
        aggregator.add(t, [build_reading(who, t, value=value) for _, who, value in seen])
    return aggregator


def engagement(aggregator: WindowAggregator, *, end: float = 10.0) -> Interval | None:
    by_name = {a.name: a.value for a in aggregator.overall(end=end).aggregates}
    return by_name["engagement"]


@given(n=st.integers(0, 9), k=st.integers(1, 9), often=st.integers(1, 4))
def test_no_value_for_fewer_than_k(n: int, k: int, often: int) -> None:
    seen = [(float(i), f"S{s:02d}", 0.5) for i in range(often) for s in range(n)]
    aggregator = filled(seen, k=k)
    for part in (aggregator.overall(end=10.0), *aggregator.windows(end=10.0)):
        assert all((a.value is not None) == (n >= k) and a.n == n for a in part.aggregates)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(1, 7))
def test_people_are_those_that_one_frame_shows_together(crowds: list[int], k: int) -> None:
    """In every frame everybody is a new track, as one person is who leaves and returns."""
    names = (f"S{i:03d}" for i in range(100))
    seen = [(4.0 * t, next(names), 0.5) for t, crowd in enumerate(crowds) for _ in range(crowd)]
    aggregator = filled(seen, k=k)
    whole = aggregator.overall(end=60.0)
    assert whole.n == sum(crowds) and whole.people == max(crowds)
    for part in (whole, *aggregator.windows(end=60.0)):
        together = [n for t, n in enumerate(crowds) if part.t0 <= 4.0 * t < part.t1]
        assert part.people == max(together)
        for one in part.aggregates:
            assert one.people == part.people and (one.value is not None) == (part.people >= k)


def test_one_person_who_returns_five_times_has_no_number() -> None:
    aggregator = filled([(float(i), f"S{i}", 0.5) for i in range(5)], k=5)
    for part in (aggregator.overall(end=10.0), *aggregator.windows(end=10.0)):
        assert part.n == 5 and part.people == 1
        assert all(one.value is None for one in part.aggregates)


def test_people_are_counted_by_quantity() -> None:
    """Five in one frame, but the state of three: it must not borrow the others' presence."""
    aggregator = WindowAggregator(seconds=10.0, k=5)
    readings = [build_reading(f"S{i}") for i in range(5)]
    stateless = [replace(r, scores={"emotion": r.scores["emotion"]}) for r in readings[3:]]
    aggregator.add(0.0, [*readings[:3], *stateless])
    aggregator.add(1.0, [build_reading(f"S{i}", 1.0) for i in (3, 4)])
    found = {a.name: a for a in aggregator.overall(end=10.0).aggregates}
    state, emotion = found["state:focused"], found["emotion:happy"]
    assert (state.n, state.people, state.value) == (5, 3, None)
    assert (emotion.n, emotion.people) == (5, 5) and emotion.value is not None


def test_who_knows_the_subjects_says_how_many_people_they_are() -> None:
    known = WindowAggregator(seconds=10.0, k=2, people_among=lambda who: len(set(who) - {"S3"}))
    for i in range(4):
        known.add(float(i), [build_reading(f"S{i}", float(i))])
    assert known.overall(end=10.0).people == 3 and engagement(known) is not None
    alone = WindowAggregator(seconds=10.0, k=2, people_among=lambda who: 99)
    alone.add(0.0, [build_reading("S1")])
    assert alone.overall(end=10.0).people == 1 and engagement(alone) is None


def test_only_subjects_with_a_value_count_towards_k() -> None:
    aggregator = WindowAggregator(seconds=10.0, k=5)
    scored = [build_reading(f"S{i:02d}") for i in range(5)]
    aggregator.add(0.0, [scored[0], *(replace(r, engagement=None) for r in scored[1:])])
    shown = {a.name: a for a in aggregator.overall(end=10.0).aggregates}
    assert shown["engagement"].value is None and shown["engagement"].n == 1
    assert shown["state:focused"].value is not None


def test_a_reading_without_engagement_does_not_pull_its_mean_down() -> None:
    aggregator = filled([(0.0, "S01", 0.8)])
    aggregator.add(1.0, [replace(build_reading("S01", 1.0), engagement=None)])
    gauge = engagement(aggregator)
    assert gauge is not None and gauge.value == pytest.approx(0.8)


def test_the_t_interval_by_hand() -> None:
    values = [0.2, 0.4, 0.5, 0.6, 0.8]  # mean 0.5, s = sqrt(0.05), t = 2.776, n = 5
    gauge = engagement(filled([(0.0, f"S{i}", v) for i, v in enumerate(values)], k=5))
    half = 2.776 * math.sqrt(0.05) / math.sqrt(5)
    assert gauge is not None
    assert (gauge.value, gauge.low, gauge.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def test_every_subject_counts_once() -> None:
    often = [(0.1 * i, "S01", 1.0) for i in range(90)]
    gauge = engagement(filled([*often, (0.0, "S02", 0.0)]))
    assert gauge is not None and gauge.value == pytest.approx(0.5)


@pytest.mark.parametrize("times", [1, 5, 500])
def test_more_readings_of_one_subject_make_nothing_surer(times: int) -> None:
    gauge = engagement(filled([(float(i) / times, "S01", 0.5) for i in range(times)]))
    half = 1.96 * 0.1  # the builder's readings state +- 0.1
    assert gauge is not None
    assert (gauge.value, gauge.low, gauge.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def test_shares_of_a_head_sum_to_one() -> None:
    parts = filled([(0.0, f"S{i}", 0.5) for i in range(5)], k=5).overall(end=10.0).aggregates
    shares = [a.value.value for a in parts if a.name.startswith("state:") and a.value]
    assert len(shares) == 4 and sum(shares) == pytest.approx(1.0)


def test_abstained_readings_are_counted_but_make_no_statement() -> None:
    aggregator = WindowAggregator(seconds=10.0, k=1)
    aggregator.add(0.0, [build_abstained("S01"), build_reading("S02")])
    whole = aggregator.overall(end=10.0)
    assert (whole.n, whole.readings, whole.abstained, whole.present) == (1, 2, 1, 2.0)


def test_empty_frames_lower_the_mean_number_of_faces() -> None:
    aggregator = WindowAggregator(seconds=10.0, k=1)
    aggregator.add(0.0, [build_reading("S01")])
    aggregator.add(1.0, [])
    assert aggregator.overall(end=10.0).present == 0.5


def test_nobody_gives_no_numbers() -> None:
    whole = WindowAggregator(seconds=10.0).overall(end=10.0)
    assert (whole.n, whole.present, whole.aggregates) == (0, 0.0, ())


def test_windows_are_half_open_and_in_order() -> None:
    aggregator = filled([(10.0, "S01", 0.5), (9.999, "S01", 0.5), (35.0, "S01", 0.5)])
    assert [(w.t0, w.t1) for w in aggregator.windows(end=36.0)] == [(0, 10), (10, 20), (30, 36)]


def test_a_source_without_length_has_a_window() -> None:
    moment = filled([(0.0, "S01", 0.5)])
    [window] = moment.windows(end=0.0)
    assert (window.t0, window.t1) == (0.0, 0.001) == (0.0, moment.overall(end=0.0).t1)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=9), st.floats(0.5, 20.0))
def test_no_reading_is_lost_to_the_windows(times: list[int], seconds: float) -> None:
    values = [(float(t), "S01", 0.5) for t in sorted(times)]
    parts = filled(values, seconds=seconds).windows(end=float(max(times)))
    assert sum(part.readings for part in parts) == len(times)
    assert all(a.t1 <= b.t0 + 1e-9 for a, b in pairwise(parts))
    assert all(part.t0 < part.t1 for part in parts)


def test_a_reading_on_the_end_has_a_whole_window() -> None:
    parts = filled([(0.0, "S01", 0.5), (120.0, "S01", 0.5)], seconds=60.0).windows(end=120.0)
    assert [(w.t0, w.t1, w.readings) for w in parts] == [(0, 60, 1), (120, 180, 1)]


def test_the_whole_counts_a_subject_of_two_windows_once() -> None:
    assert filled([(0.0, "S01", 0.5), (15.0, "S01", 0.7)]).overall(end=20.0).n == 1


def test_memory_grows_with_windows_and_subjects_only() -> None:
    def size(frames: int) -> int:
        aggregator = filled((20.0 * i / frames, f"S{i % 3}", (i % 7) / 7) for i in range(frames))
        return sum(
            sys.getsizeof(sums.n) + sys.getsizeof(sums.total) + sys.getsizeof(sums.doubt)
            for window in aggregator._windows.values()
            for sums in window.subjects.values()
        )

    assert size(3000) == size(60)


def test_the_default_minimum_is_five() -> None:
    assert WindowAggregator(seconds=1.0).k == MIN_GROUP == 5


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_window_without_length_is_refused(seconds: float) -> None:
    with pytest.raises(ShapeError, match=f"{seconds}"):
        WindowAggregator(seconds=seconds)


def test_a_group_of_nobody_is_refused() -> None:
    with pytest.raises(PrivacyError, match="at least 1"):
        WindowAggregator(seconds=1.0, k=0)


@pytest.mark.parametrize(("df", "t"), [(1, 12.706), (4, 2.776), (10, 2.228), (30, 2.042)])
def test_students_t_from_the_table(df: int, t: float) -> None:
    assert t95(df) == t


@pytest.mark.parametrize(("df", "t"), [(31, 2.0395), (40, 2.0211), (60, 2.0003), (120, 1.9799)])
def test_students_t_beyond_the_table(df: int, t: float) -> None:
    assert t95(df) == pytest.approx(t, rel=0.003)


@given(st.floats(0, 1e6))
def test_a_suggested_window_gives_at_most_60(duration: float) -> None:
    assert duration / suggest_window(duration) <= 60


@pytest.mark.parametrize(
    ("duration", "seconds"), [(None, 60), (0, 1), (60, 1), (61, 2), (2700, 60), (18_000, 300)]
)
def test_suggested_windows(duration: float | None, seconds: float) -> None:
    assert suggest_window(duration) == seconds


def test_a_value_of_an_unclipped_preset_cannot_enter_a_reading() -> None:
    with pytest.raises(ShapeError, match=r"engagement lies in \[0, 1\]"):
        Reading(0.0, "S01", "face", engagement=Interval(1.4, 1.3, 1.5))


# --- columns of a CSV file -----------------------------------------------------------------------


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "scores.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    columns = read_columns(written(tmp_path, "name,a, b \nAda,1,2\nBob,3,4.5\n"), ("a", "b"))
    assert {name: values.tolist() for name, values in columns.items()} == {
        "a": [1, 3], "b": [2, 4.5]
    }  # fmt: skip


def test_a_byte_order_mark_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfa,b\r\n\r\n1,2\r\n\r\n")
    assert read_columns(path, ("a",))["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no data rows"),
        ("a,b\n", "no data rows"),
        ("a,a\n1,2\n", "repeats a column name: a, a"),
        ("a,b\n1,2\n1\n", "line 3: 1 cells, the header has 2"),
        ("a,b\n1,2,3\n", "line 2: 3 cells, the header has 2"),
        ("a,b\n\n\n1,2,3\n", "line 4: 3 cells"),
        ("a,b\nx,2\n", "line 2, column 'a': 'x' is not a finite number"),
        ("a,b\n1,2\n,2\n", "line 3, column 'a': '' is not"),
        ("a,b\nnan,2\n", "'nan' is not"),
        ("a,b\n-inf,2\n", "'-inf' is not"),
        (b"a,b\n\xff,2\n", "not a UTF-8 CSV file"),
    ],
)
def test_a_bad_table_is_explained(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_columns(written(tmp_path, content), ("a",))


@pytest.mark.parametrize("name", ["nothing.csv", "."])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_columns(tmp_path / name, ("a",))


@pytest.mark.parametrize(
    ("writers", "every", "seconds"),
    [(24, 10.0, 60.0), (9, 30.0, 300.0), (9, 170.0, 900.0), (4, 10.0, None), (24, 600.0, None)],
)
def test_the_window_in_which_enough_people_write(
    writers: int, every: float, seconds: float | None
) -> None:
    said = [(every * i, f"W{i % writers}") for i in range(int(2640 / every) + 1)]
    found = find_window(said, end=2640.0, k=5, people_among=len)
    assert found == seconds


def test_a_window_that_would_be_one_of_too_many_is_not_found() -> None:
    said = [(float(i), f"W{i % 5}") for i in range(7200)]
    assert find_window(said, end=7200.0, k=5, people_among=len) == 120.0
    assert find_window(said, end=7200.0, k=5, people_among=lambda group: 1) is None
    assert find_window([], end=0.0, k=5, people_among=len) is None
