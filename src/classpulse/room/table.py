"""Readings as a table: one row a reading, every probability a column, written as it grows."""

import csv
import io
import math
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Head
from classpulse.core.errors import MissingExtraError, OutputError
from classpulse.core.records import Reading
from classpulse.room.files import partial_path, replace_with, writing
from classpulse.room.heads import told_heads

FACE, TEXT = "face", "text"
QUALITY = {FACE: ("face_px", "sharpness", "light", "turn"), TEXT: ("line", "words", "known")}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table: name, kind ("number" or "text"), and its line in the codebook."""

    name: str
    kind: str
    meaning: str


def reading_columns(
    heads: Sequence[Head], *, channels: Collection[str] = (FACE,)
) -> tuple[Column, ...]:
    """The columns for models with these heads; without heads, those of presence only.

    Args:
        channels: what is read in the session, `FACE` or `TEXT` or both.
    """
    fixed = (
        Column("t", "number", "seconds from the start of the source"),
        Column("subject", "text", "pseudonym within this session; says nothing across sessions. A "
               "face that leaves and returns is a new one" if FACE in channels else "pseudonym "
               "within this session; says nothing across sessions"),
        Column("channel", "text", "face or text"),
        *(Column(h.name, "text", f"most probable label of {h.space}; empty if abstained"
                 f"{' or where the head does not apply' if h.given else ''}")
          for h in _labeled(heads)),
        *(_FACE_GAUGE if FACE in channels else ()),
        Column("abstained", "text", "why no statement is made; empty if one is"),
        *(_FACE_QUALITY if FACE in channels else ()),
        *(_TEXT_QUALITY if TEXT in channels else ()),
        Column("confidence", "number", "probability of the most probable label of the first head "
               "of the channel" if heads else "empty: nothing is predicted"),
    )  # fmt: skip
    probs = (
        Column(f"{h.name}_{label}", "number", f"calibrated probability of {label} ({h.space})")
        for h in heads
        for label in h.label_space.names
    )
    return (*fixed, *probs)


_FACE_GAUGE = (
    Column("engagement", "number", "0 to 1, smoothed per subject; empty if abstained"),
    Column("engagement_low", "number", "engagement minus one standard deviation, >= 0"),
    Column("engagement_high", "number", "engagement plus one standard deviation, <= 1"),
)
_FACE_QUALITY = (
    Column("face_px", "number", "shorter side of the face box, pixels"),
    Column("sharpness", "number", "variance of the Laplacian over variance, at 48 pixels"),
    Column("light", "number", "0 black, around 0.4 well lit, 1 blown out"),
    Column("turn", "number", "0 frontal to 1 profile; empty without landmarks"),
)
_TEXT_QUALITY = (
    Column("line", "number", "line of the file of writing on which the text starts, from 1"),
    Column("words", "number", "words of the text"),
    Column("known", "number", "share of its words that the model knows, 0 to 1"),
)


def reading_row(
    reading: Reading, heads: Sequence[Head], *, channels: Collection[str] = (FACE,)
) -> dict[str, float | str]:
    """One reading as column -> value; NaN and "" where there is no statement."""
    gauge = reading.engagement
    row: dict[str, float | str] = {
        "t": reading.t,
        "subject": reading.subject,
        "channel": reading.channel,
        "abstained": reading.abstained or "",
    }
    if FACE in channels:
        row["engagement"] = math.nan if gauge is None else gauge.value
        row["engagement_low"] = math.nan if gauge is None else gauge.low
        row["engagement_high"] = math.nan if gauge is None else gauge.high
    measures = [name for channel in channels for name in QUALITY[channel]]
    row |= {name: reading.quality.get(name, math.nan) for name in (*measures, "confidence")}
    row |= {head.name: reading.label(head.name) or "" for head in _labeled(heads)}
    for head in heads:
        scores = reading.scores.get(head.name)
        for i, label in enumerate(head.label_space.names):
            row[f"{head.name}_{label}"] = math.nan if scores is None else float(scores.probs[0, i])
    return row


def _labeled(heads: Sequence[Head]) -> list[Head]:
    """Those whose most probable label has a column of its own."""
    told = told_heads(head.name for head in heads)
    return [head for head in heads if head.exclusive and head.name in told]


class ReadingTable:
    """Readings in memory, struct of arrays: about 120 bytes a row.

    Args:
        heads: of the models that make the readings; empty when nothing is predicted.
        channels: as for `reading_columns`.
    """

    def __init__(self, heads: Sequence[Head], *, channels: Collection[str] = (FACE,)) -> None:
        self.heads = tuple(heads)
        self.channels = tuple(channels)
        self.columns = reading_columns(heads, channels=channels)
        self._numbers = {c.name: array("d" if c.name == "t" else "f")
                         for c in self.columns if c.kind == "number"}  # fmt: skip
        self._texts: dict[str, list[str]] = {c.name: [] for c in self.columns if c.kind == "text"}

    def __len__(self) -> int:
        return len(self._numbers["t"])

    def append(self, reading: Reading) -> dict[str, float | str]:
        """Add one reading; returns its `reading_row`."""
        row = reading_row(reading, self.heads, channels=self.channels)
        for name, numbers in self._numbers.items():
            numbers.append(float(row[name]))
        for name, texts in self._texts.items():
            texts.append(str(row[name]))
        return row

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column as an array (n,): float32 (t: float64), or str."""
        if name in self._numbers:
            numbers = self._numbers[name]
            return np.array(numbers, dtype=np.float64 if name == "t" else np.float32)
        return np.array(self._texts[name], dtype=np.str_)

    def to_dict(self) -> dict[str, NDArray[Any]]:
        """All columns by name, in order."""
        return {column.name: self[column.name] for column in self.columns}

    def to_pandas(self) -> Any:
        """A pandas DataFrame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtraError("to_pandas()", "pandas") from None
        return pandas.DataFrame(self.to_dict())

    def to_arrow(self) -> Any:
        """An Arrow table (arro3; any Arrow library takes it through the PyCapsule interface)."""
        from arro3.core import Array, DataType, Table

        arrays = {
            name: Array(self._texts[name], DataType.utf8()) if name in self._texts
            else Array(np.ascontiguousarray(self[name]))
            for name in (c.name for c in self.columns)
        }  # fmt: skip
        return Table.from_pydict(arrays)


class CsvSink:
    """Writes rows to a CSV file one by one; the file gets its name when it is whole.

    Until then the rows stand in `<name>.partial`, so a killed run loses nothing it had written.

    Args:
        path: of the finished file.
        columns: names, in order.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(columns)

    def __enter__(self) -> Self:
        with writing(self.path):
            # line by line: a process that is killed cannot empty its buffers
            self._file = partial_path(self.path).open("w", 1, encoding="utf-8", newline="")
            self._writer = csv.writer(self._file)
        try:
            self._write(self.columns)
        except OutputError:  # __exit__ is not called for a failed __enter__
            self.__exit__(OutputError)
            raise
        return self

    def write_row(self, row: Mapping[str, float | str]) -> None:
        """Write a row with a value for each column."""
        self._write([_cell(row[name]) for name in self.columns])

    def _write(self, cells: Sequence[str]) -> None:
        with writing(self.path):
            self._writer.writerow(cells)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            with writing(self.path):
                self._file.close()
        except OutputError:
            if kind is None:  # the first error tells more than that the file cannot be closed
                raise
        if kind is None:
            replace_with(partial_path(self.path), self.path)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else f"{value:.4f}".rstrip("0").rstrip(".")


def write_parquet(table: ReadingTable, path: Path) -> None:
    """Write the table as zstd Parquet, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    from arro3.io import write_parquet as write

    partial = partial_path(path)
    content = io.BytesIO()  # arro3 panics on a full disk, which no `except Exception` catches
    write(table.to_arrow(), content, compression="zstd(3)")
    try:
        with writing(path):
            partial.write_bytes(content.getbuffer())
    except OutputError:
        partial.unlink(missing_ok=True)  # half a Parquet file cannot be read
        raise
    replace_with(partial, path)


def write_codebook(columns: Sequence[Column], path: Path) -> None:
    """Write the meaning of every column as CSV: column, kind, meaning."""
    lines = [("column", "kind", "meaning"), *((c.name, c.kind, c.meaning) for c in columns)]
    partial = partial_path(path)
    with writing(path), partial.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(lines)
    replace_with(partial, path)
