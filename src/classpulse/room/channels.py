"""The two channels of a session, faces and writing: how each is read, and what was counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from classpulse.core.card import Head, ModelCard
from classpulse.core.records import Reading
from classpulse.engage.windows import WindowAggregator
from classpulse.room.writing.posts import Posts
from classpulse.room.writing.reader import TextModel


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


@dataclass(slots=True)
class Collected:
    """Counts and sums of one channel while the session runs."""

    windows: WindowAggregator
    tally: Tally = field(default_factory=Tally)

    def add(self, t: float, readings: tuple[Reading, ...], *, sightings: int = 0) -> None:
        """Count a frame or a text at `t` seconds with its readings."""
        self.tally.add(sightings, readings)
        self.windows.add(t, readings)


@dataclass(frozen=True, slots=True)
class FaceChannel:
    """How faces are read: the network's card, None if it is not allowed, and two names."""

    card: ModelCard | None
    detector: str
    preset: str

    @property
    def heads(self) -> tuple[Head, ...]:
        """Outputs of the network."""
        return self.card.heads if self.card else ()


@dataclass(frozen=True, slots=True)
class TextChannel:
    """What writing is read and by which model.

    Args:
        source: name of the file, for reports.
        keep: also write every text.
    """

    source: str
    posts: Posts
    model: TextModel
    keep: bool
