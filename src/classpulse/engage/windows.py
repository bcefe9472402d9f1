"""Class-level numbers per window of time: means over subjects with an interval, from k people on.

Readings come in one by one and only sums per window and subject are kept, so memory grows with
the number of people and windows, not with the number of frames.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from classpulse.core.defaults import MIN_GROUP
from classpulse.core.errors import PrivacyError, ShapeError
from classpulse.core.records import Aggregate, Interval, Reading

MOST_WINDOWS = 60  # that a chart shows well
MOMENT = 1e-3  # seconds: what a session of one moment lasts
MINUTES = (60.0, 120.0, 300.0, 600.0, 900.0)  # seconds, for writing
Z95 = 1.96  # two-sided 95 % quantile of the normal distribution

# Student's t, two-sided 95 %, by degrees of freedom 1..30; beyond, 1.96 + 2.42 / df is within 0.3 %
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(slots=True)
class _Sums:
    """Of one subject in one window, per quantity: count, sum, sum of standard deviations."""

    n: dict[str, int] = field(default_factory=dict)
    total: dict[str, float] = field(default_factory=dict)
    doubt: dict[str, float] = field(default_factory=dict)

    def add(self, values: Mapping[str, tuple[float, float]]) -> None:
        for name, (value, deviation) in values.items():
            self.n[name] = self.n.get(name, 0) + 1
            self.total[name] = self.total.get(name, 0.0) + value
            self.doubt[name] = self.doubt.get(name, 0.0) + deviation


@dataclass(slots=True)
class _Window:
    """Of one window: counts, sums by subject, and how many subjects stood in one frame at most."""

    frames: int = 0
    present: int = 0
    readings: int = 0
    abstained: int = 0
    subjects: dict[str, _Sums] = field(default_factory=dict)
    at_once: dict[str, int] = field(default_factory=dict)  # by quantity; STATED is any of them


STATED = ""
PeopleAmong = Callable[[Collection[str]], int]


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """What may be told of one window.

    Args:
        t0, t1: seconds.
        n: subjects with at least one statement.
        people: how many of them are different people for certain.
        present: mean number of faces per analyzed frame.
        readings, abstained: counts.
        aggregates: one `Aggregate` per quantity (``engagement``, ``emotion:happy``, ...); values
            are None when its people are fewer than the minimum group size.
    """

    t0: float
    t1: float
    n: int
    people: int
    present: float
    readings: int
    abstained: int
    aggregates: tuple[Aggregate, ...]


class WindowAggregator:
    """Collects readings frame by frame and tells class-level numbers per window.

    Args:
        seconds: length of a window.
        k: minimum group size, at least 1. Who may go below `MIN_GROUP` is decided in
            `room.privacy`; here the number is only obeyed.
        people_among: how many different people a group of subjects is for certain. None where a
            subject is a track, which ends when its face leaves: then it is the most of them that
            one frame shows together.
    """

    def __init__(
        self, *, seconds: float, k: int = MIN_GROUP, people_among: PeopleAmong | None = None
    ) -> None:
        if not seconds > 0 or not math.isfinite(seconds):
            raise ShapeError(f"window = {seconds} is not possible: give seconds > 0")
        if k < 1:
            raise PrivacyError(f"the minimum group size k is at least 1, not {k}")
        self.seconds = seconds
        self.k = k
        self._people_among = people_among
        self._windows: dict[int, _Window] = {}

    def add(self, t: float, readings: Iterable[Reading]) -> None:
        """Count one analyzed frame at `t` seconds with its readings (none: nobody was seen)."""
        window = self._windows.setdefault(int(t // self.seconds), _Window())
        window.frames += 1
        together: dict[str, set[str]] = {}
        for reading in readings:
            window.present += 1
            window.readings += 1
            if reading.abstained is not None:
                window.abstained += 1
                continue
            values = _values(reading)
            window.subjects.setdefault(reading.subject, _Sums()).add(values)
            for name in (STATED, *values):
                together.setdefault(name, set()).add(reading.subject)
        for name, subjects in together.items():
            window.at_once[name] = max(window.at_once.get(name, 0), len(subjects))

    def windows(self, *, end: float) -> list[WindowSummary]:
        """All windows in order, the last one cut at `end` seconds; those without frames are left
        out. A reading at `end` itself has its window, which then lasts longer; where the session
        is one moment, it lasts that moment."""
        end = max(end, MOMENT)
        spans = ((i * self.seconds, w) for i, w in sorted(self._windows.items()))
        return [
            self._summary([w], t0, min(t0 + self.seconds, end) if end > t0 else t0 + self.seconds)
            for t0, w in spans
        ]

    def overall(self, *, end: float) -> WindowSummary:
        """The same over the whole session."""
        return self._summary(list(self._windows.values()), 0.0, max(end, MOMENT))

    def _summary(self, windows: Sequence[_Window], t0: float, t1: float) -> WindowSummary:
        subjects = _merge(windows)
        names = sorted({name for sums in subjects.values() for name in sums.total})
        frames = sum(w.frames for w in windows)
        aggregates = []
        for name in names:  # whoever has no value of this name does not count in it
            seen = {who: sums for who, sums in subjects.items() if name in sums.total}
            people = self._count_people(windows, name, seen)
            value = _mean_interval(list(seen.values()), name) if people >= self.k else None
            aggregates.append(Aggregate(t0, t1, name, len(seen), people, value))
        return WindowSummary(
            t0=t0,
            t1=t1,
            n=len(subjects),
            people=self._count_people(windows, STATED, subjects),
            present=sum(w.present for w in windows) / frames if frames else 0.0,
            readings=sum(w.readings for w in windows),
            abstained=sum(w.abstained for w in windows),
            aggregates=tuple(aggregates),
        )

    def _count_people(
        self, windows: Sequence[_Window], name: str, subjects: Collection[str]
    ) -> int:
        """How many of the `subjects` with a value of `name` are different people for certain."""
        if self._people_among is None:
            return max((window.at_once.get(name, 0) for window in windows), default=0)
        return min(self._people_among(subjects), len(subjects))


def _values(reading: Reading) -> dict[str, tuple[float, float]]:
    """Every quantity of a reading with the standard deviation that the reading itself states."""
    values = {
        f"{head}:{label}": (float(p), math.sqrt(max(float(p) * (1.0 - float(p)), 0.0)))
        for head, scores in reading.scores.items()
        for label, p in zip(scores.space.names, scores.probs[0], strict=True)
    }
    gauge = reading.engagement
    if gauge is not None:
        values["engagement"] = (gauge.value, max(gauge.high - gauge.value, gauge.value - gauge.low))
    return values


def _merge(windows: Sequence[_Window]) -> dict[str, _Sums]:
    merged: dict[str, _Sums] = {}
    for window in windows:
        for subject, sums in window.subjects.items():
            into = merged.setdefault(subject, _Sums())
            for name, value in sums.total.items():
                into.n[name] = into.n.get(name, 0) + sums.n[name]
                into.total[name] = into.total.get(name, 0.0) + value
                into.doubt[name] = into.doubt.get(name, 0.0) + sums.doubt[name]
    return merged


def _mean_interval(seen: Sequence[_Sums], name: str) -> Interval:
    """Mean over subjects with a 95 % interval, kept in [0, 1].

    Every subject counts once, however often it was seen, and the interval is Student's over
    subjects. With one subject (only possible with consent) there is nothing to compare with, and
    successive readings of one face err alike: the interval is that of its mean reading.
    """
    means = np.array([s.total[name] / s.n[name] for s in seen])
    if len(seen) == 1:
        half = Z95 * seen[0].doubt[name] / seen[0].n[name]
    else:
        half = t95(len(seen) - 1) * float(means.std(ddof=1)) / math.sqrt(len(seen))
    mean = min(max(float(means.mean()), 0.0), 1.0)
    return Interval(mean, max(mean - half, 0.0), min(mean + half, 1.0))


def t95(df: int) -> float:
    """Two-sided 95 % quantile of Student's t for `df` >= 1 degrees of freedom."""
    return _T95[df - 1] if df <= len(_T95) else 1.96 + 2.42 / df


def suggest_window(duration: float | None) -> float:
    """Window length in seconds that gives at most 60 windows; 60 s when the length is unknown."""
    if duration is None:
        return 60.0
    for seconds in (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0):
        if duration / seconds <= MOST_WINDOWS:
            return seconds
    return 600.0 * max(math.ceil(duration / 36_000), 1)


def find_window(
    said: Sequence[tuple[float, str]],
    *,
    end: float,
    k: int,
    people_among: PeopleAmong,
    among: Sequence[float] = MINUTES,
) -> float | None:
    """The shortest window in which enough people say something.

    Args:
        said: seconds and speaker of every statement.
        end: of the session, seconds.
        k, people_among: see `WindowAggregator`.
        among: lengths to choose from, seconds, the shortest first.

    Returns:
        The first length with at most 60 windows, half of which or more have k people; None where
        there is none.
    """
    for seconds in among:
        count = max(math.ceil(end / seconds), 1)
        speakers: dict[int, set[str]] = {}
        for t, who in said:
            speakers.setdefault(int(t // seconds), set()).add(who)
        full = sum(min(people_among(group), len(group)) >= k for group in speakers.values())
        if count <= MOST_WINDOWS and 2 * full >= count:
            return seconds
    return None
