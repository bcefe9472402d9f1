"""One lesson as the report sees it: windows, the group-size rule, and the parts of a section.

Nothing of a group smaller than k leaves this module: `shown` is the only way to a value, and it
checks the group size again even though the summary should already carry null there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from classpulse.page import Table
from classpulse.room.report import words

Row = Mapping[str, Any]  # one window of the summary, or `overall`
UNCLEAR = "too few clear readings"


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing, with a label and the mean over the lesson (both may be empty).

    `blank` drawings are hatched all over and need less room.
    """

    label: str
    value: str
    svg: Markup
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One chart section; `legend` pairs a CSS swatch class with its words."""

    key: str
    heading: str
    message: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, str], ...]
    table: Table
    extra: Table | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """What every section needs: the windows in order and how to speak of them.

    Args:
        rows: windows of the summary, at least one.
        overall: the same shape over the whole lesson.
        k: smallest group that is shown.
    """

    rows: Sequence[Row]
    overall: Row
    k: int

    @property
    def start(self) -> float:
        """Seconds at the left edge of every chart."""
        return float(self.rows[0]["t0"])

    @property
    def end(self) -> float:
        """Seconds at the right edge of every chart."""
        return float(self.rows[-1]["t1"])

    def clock(self, t: float) -> str:
        """A time on the axes."""
        return words.clock(t, hours=self.end >= words.HOUR)

    def span(self, row: Row) -> str:
        """The time of a window."""
        return words.clock_span(row["t0"], row["t1"], hours=self.end >= words.HOUR)

    @property
    def time_unit(self) -> str:
        """How to read `clock`."""
        return "h:min" if self.end >= words.HOUR else "min:s"

    def people(self, row: Row, head: str) -> str:
        """How many different people count in `head`; small groups are not counted out loud."""
        if shown(row, head, self.k) is None:
            return words.few(self.k)
        return words.count(row["counted"][head]["people"])

    def why_hidden(self, rows: Sequence[Row]) -> str:
        """Why values of `rows` are not shown."""
        small = [row["people"] < self.k for row in rows]
        if all(small):
            return words.few(self.k)
        return f"{words.few(self.k)} or {UNCLEAR}" if any(small) else UNCLEAR


def shown(row: Row, head: str, k: int) -> Mapping[str, Any] | None:
    """The estimate `head` of a window, or None if it has none or too few people count in it."""
    counted = row["counted"].get(head)
    if counted is None or min(counted["n"], counted["people"]) < k:
        return None
    estimate: Mapping[str, Any] | None = row[head]
    return estimate
