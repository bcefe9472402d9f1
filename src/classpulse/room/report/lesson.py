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
from classpulse.room.report.charts import SAME_MOMENT

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
        nobody: what is said of a window without any reading.
    """

    rows: Sequence[Row]
    overall: Row
    k: int
    nobody: str = "nobody seen"

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
        if is_empty(row):
            return self.nobody
        if shown(row, head, self.k) is None:
            return words.few(self.k)
        return words.count(row["counted"][head]["people"])

    def why_hidden(self, rows: Sequence[Row]) -> str:
        """Why values of `rows` are not shown."""
        told = [row for row in rows if not is_empty(row)]
        if not told:
            return self.nobody
        small = [row["people"] < self.k for row in told]
        if all(small):
            return words.few(self.k)
        return f"{words.few(self.k)} or {UNCLEAR}" if any(small) else UNCLEAR


def is_empty(row: Row) -> bool:
    """Whether there was nothing to read in the window, so that nothing is withheld of it."""
    return not row["readings"]


def fill_gaps(rows: Sequence[Row], end: float) -> list[Row]:
    """The windows, and between them, from 0 to `end` seconds, empty ones where there are none."""
    edges = [0.0, *(row["t1"] for row in rows)]
    starts = [*(row["t0"] for row in rows), end]
    filled: list[Row] = []
    for t0, t1, row in zip(edges, starts, [*rows, None], strict=True):
        if t1 - t0 > SAME_MOMENT:
            filled.append(_empty_row(t0, t1))
        filled += [row] if row is not None else []
    return filled


def _empty_row(t0: float, t1: float) -> Row:
    zero = dict.fromkeys(("n", "people", "present", "readings", "abstained"), 0)
    return {"t0": t0, "t1": t1, "counted": {}, **zero}


def shown(row: Row, head: str, k: int) -> Mapping[str, Any] | None:
    """The estimate `head` of a window, or None if it has none or too few people count in it."""
    counted = row["counted"].get(head)
    if counted is None or counted["people"] < k:
        return None
    estimate: Mapping[str, Any] | None = row[head]
    return estimate
