"""The summary of a session: what `summary.json` holds and the report shows."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import classpulse
from classpulse.core.card import ModelCard
from classpulse.core.records import Aggregate, Interval, Reading, Report
from classpulse.engage.windows import WindowAggregator, WindowSummary
from classpulse.room.privacy import Privacy

FORMAT = 1

CAVEATS = (
    "An expression is what a face shows, not what a person feels: the same face can mean many "
    "things, and people differ.",
    "Engagement here is a weighted sum of expression probabilities that was chosen, not fitted to "
    "learning; it must not be used to grade, rank or discipline anyone.",
    "Learning states are named only for faces that look neutral, sad or angry: the votes they were "
    "learned from say nothing about a smiling or surprised face.",
    "A subject is a face followed through the picture. Someone who leaves and comes back may be "
    "counted twice.",
    "The network was trained on web pictures of mostly adult faces; how well it reads children, "
    "or any group of your class, has not been measured.",
)


@dataclass(slots=True)
class Tally:
    """Counts of a session while it runs."""

    frames: int = 0
    sightings: int = 0
    readings: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    subjects: set[str] = field(default_factory=set)

    def add(self, sightings: int, readings: Iterable[Reading]) -> None:
        """Count one analyzed frame: all detections, and the readings of confirmed faces."""
        self.frames += 1
        self.sightings += sightings
        for reading in readings:
            self.readings += 1
            self.subjects.add(reading.subject)
            if reading.abstained is not None:
                self.reasons[reading.abstained] += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for the summary."""
        return {
            "frames": self.frames,
            "sightings": self.sightings,
            "readings": self.readings,
            "abstained": self.reasons.total(),
            "subjects": len(self.subjects),
            "reasons": dict(self.reasons.most_common()),
        }


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Facts of one session.

    Args:
        id: identifier; source: name of the source without folders or credentials.
        created: ISO time of the analysis; duration: seconds analyzed.
        every: seconds between analyzed frames; window: seconds per window.
        complete: False when the run was interrupted.
    """

    id: str
    source: str
    created: str
    duration: float
    every: float
    window: float
    complete: bool


def build_summary(
    info: SessionInfo,
    *,
    tally: Tally,
    windows: WindowAggregator,
    card: ModelCard | None,
    detector: str,
    preset: str,
    privacy: Privacy,
) -> dict[str, Any]:
    """The content of `summary.json`, group sizes enforced.

    Raises:
        ShapeError: an aggregate would show fewer subjects than the rules allow.
    """
    overall = windows.overall(end=info.duration)
    parts = windows.windows(end=info.duration)
    shown = tuple(a for part in (overall, *parts) for a in part.aggregates)
    report = Report(info.id, 0.0, info.duration, privacy.group, shown, CAVEATS)
    return {
        "format": FORMAT,
        "classpulse": classpulse.__version__,
        "session": {
            **asdict(info),
            "frames": tally.frames,
            "profile": privacy.profile,
            "profile_text": privacy.rules.text,
            "k": privacy.group,
            "single_subject": privacy.single_subject,
            "consent": privacy.consent,
        },
        "model": None if card is None else _model(card),
        "detector": detector,
        "preset": preset,
        "spaces": {h.name: list(h.label_space.names) for h in card.heads} if card else {},
        "counts": tally.to_dict(),
        "overall": _window(overall),
        "windows": [_window(part) for part in parts],
        "caveats": list(report.caveats),
    }


def _model(card: ModelCard) -> dict[str, Any]:
    full = asdict(card)
    return {
        **{key: full[key] for key in ("name", "sha256", "summary", "gate")},
        **{key: list(full[key]) for key in ("metrics", "limits")},
    }


def _window(part: WindowSummary) -> dict[str, Any]:
    by_name = {a.name: a for a in part.aggregates}
    heads = sorted({name.split(":")[0] for name in by_name if ":" in name})
    groups = {
        head: _shares({n: a for n, a in by_name.items() if n.startswith(f"{head}:")})
        for head in heads
    }
    gauge = by_name.get("engagement")
    return {
        "t0": part.t0,
        "t1": part.t1,
        "n": part.n,
        "present": round(part.present, 3),
        "readings": part.readings,
        "abstained": part.abstained,
        "engagement": _interval(gauge.value) if gauge and gauge.value else None,
        "emotion": groups.get("emotion"),
        "state": groups.get("state"),
        "votes": groups.get("votes"),
    }


def _shares(aggregates: Mapping[str, Aggregate]) -> dict[str, Any] | None:
    shares = {name.split(":")[1]: _interval(a.value) for name, a in aggregates.items() if a.value}
    return shares or None


def _interval(value: Interval) -> dict[str, float]:
    return {key: round(number, 4) for key, number in asdict(value).items()}
