"""The table of readings: in memory, as CSV, as Parquet, and its codebook."""

import csv
import errno
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import HEADS, build_abstained, build_reading

from classpulse.core.card import Head
from classpulse.core.errors import MissingExtraError, OutputError
from classpulse.core.records import Reading
from classpulse.room.files import partial_path
from classpulse.room.table import (
    CsvSink,
    ReadingTable,
    reading_columns,
    reading_row,
    write_codebook,
    write_parquet,
)

READINGS = (
    build_reading("S01", 0.0, value=0.75),
    build_abstained("S02", 0.0),
    build_reading("S01", 1.5, value=0.3125, state="bored"),
    build_abstained("S03", 2.0, why='turned, "away"\nfrom us'),
)

COLUMNS = [column.name for column in reading_columns(HEADS)]


def build_table(*readings: Reading, heads: tuple[Head, ...] = HEADS) -> ReadingTable:
    table = ReadingTable(heads)
    for reading in readings:
        table.append(reading)
    return table


def write_csv(path: Path, *readings: Reading) -> Path:
    with CsvSink(path, COLUMNS) as sink:
        for reading in readings:
            sink.write_row(reading_row(reading, HEADS))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# --- columns -------------------------------------------------------------------------------------


def test_the_columns_start_with_what_matters() -> None:
    names = [column.name for column in reading_columns(HEADS)]
    assert names[:6] == ["t", "subject", "channel", "emotion", "state", "engagement"]


def test_every_probability_has_a_column() -> None:
    names = [column.name for column in reading_columns(HEADS)]
    assert names[-11:] == [f"{h.name}_{label}" for h in HEADS for label in h.label_space.names]


def test_without_heads_there_is_presence_only() -> None:
    names = [column.name for column in reading_columns(())]
    assert names[:4] == ["t", "subject", "channel", "engagement"]
    assert not any("_" in n and n.split("_")[0] in ("emotion", "state") for n in names)


def test_column_names_are_unique() -> None:
    names = [column.name for column in reading_columns(HEADS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("heads", [HEADS, HEADS[:1], ()], ids=len)
def test_a_row_fills_exactly_the_columns(heads: tuple[Head, ...]) -> None:
    row = reading_row(READINGS[0] if heads else READINGS[1], heads)
    assert row.keys() == {column.name for column in reading_columns(heads)}


# --- rows ----------------------------------------------------------------------------------------


def test_a_row_says_what_the_reading_says() -> None:
    row = reading_row(READINGS[0], HEADS)
    assert (row["subject"], row["emotion"], row["state"]) == ("S01", "happy", "focused")
    assert (row["engagement"], row["engagement_low"]) == (0.75, 0.65)
    assert row["state_focused"] == pytest.approx(0.7)


def test_an_abstained_row_makes_no_statement() -> None:
    row = reading_row(READINGS[1], HEADS)
    assert row["abstained"] == "face too small" and row["emotion"] == row["state"] == ""
    statements = [n for n in row if n.startswith(("engagement", "emotion_", "state_"))]
    assert all(math.isnan(row[n]) for n in statements)  # type: ignore[arg-type]


def test_an_abstained_line_has_empty_cells(tmp_path: Path) -> None:
    line = read_csv(write_csv(tmp_path / "r.csv", READINGS[1]))[0]
    filled = {name for name, cell in line.items() if cell}
    assert filled == {"t", "subject", "channel", "abstained", "face_px"}


# --- in memory -----------------------------------------------------------------------------------


def test_a_column_is_an_array() -> None:
    table = build_table(*READINGS)
    assert table["t"].tolist() == [0.0, 0.0, 1.5, 2.0]
    assert table["subject"].tolist() == ["S01", "S02", "S01", "S03"]


def test_time_is_kept_to_the_microsecond() -> None:
    table = build_table(build_reading(t=36_000.000_001))
    assert table["t"][0] == 36_000.000_001


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(KeyError, match="mood"):
        build_table()["mood"]


def test_to_dict_is_in_the_order_of_the_columns() -> None:
    table = build_table(*READINGS)
    assert list(table.to_dict()) == [column.name for column in table.columns]


def test_to_pandas_has_all_rows_and_columns() -> None:
    frame = build_table(*READINGS).to_pandas()
    assert frame.shape == (4, len(reading_columns(HEADS)))
    assert frame["state"].tolist() == ["focused", "", "bored", ""]


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"classpulse\[pandas\]"):
        build_table().to_pandas()


@pytest.mark.parametrize("readings", [READINGS, ()], ids=len)
def test_arrow_has_all_rows_and_columns(readings: tuple[Reading, ...]) -> None:
    table = build_table(*readings)
    arrow = table.to_arrow()
    assert arrow.num_rows == len(readings)
    assert arrow.column_names == [column.name for column in table.columns]


# --- on disk -------------------------------------------------------------------------------------


def test_the_header_of_the_csv_is_the_columns(tmp_path: Path) -> None:
    header = write_csv(tmp_path / "r.csv").read_text().splitlines()[0].split(",")
    assert header == [column.name for column in reading_columns(HEADS)]


def read_parquet(path: Path) -> dict[str, list[Any]]:
    from arro3.io import read_parquet as read

    table = read(str(path)).read_all()
    return {name: table[name].to_pylist() for name in table.column_names}


def test_parquet_is_the_arrays(tmp_path: Path) -> None:
    table = build_table(*READINGS)
    write_parquet(table, tmp_path / "r.parquet")
    stored = read_parquet(tmp_path / "r.parquet")
    assert list(stored) == [column.name for column in table.columns]
    for column in table.columns:
        if column.kind == "text":
            assert stored[column.name] == table[column.name].tolist()
        else:
            assert np.array_equal(stored[column.name], table[column.name], equal_nan=True)


def test_csv_is_the_arrays_to_four_digits(tmp_path: Path) -> None:
    table = build_table(*READINGS)
    lines = read_csv(write_csv(tmp_path / "r.csv", *READINGS))
    for column in table.columns:
        cells = [line[column.name] for line in lines]
        if column.kind == "text":
            assert cells == table[column.name].tolist()
        else:
            numbers = [float(cell) if cell else math.nan for cell in cells]
            assert np.allclose(numbers, table[column.name], atol=5.1e-5, equal_nan=True)


def test_the_codebook_explains_every_column(tmp_path: Path) -> None:
    columns = reading_columns(HEADS)
    write_codebook(columns, tmp_path / "codebook.csv")
    lines = read_csv(tmp_path / "codebook.csv")
    assert [line["column"] for line in lines] == [column.name for column in columns]
    assert all(len(line["meaning"]) > 10 and line["kind"] in ("number", "text") for line in lines)


def test_a_finished_file_leaves_no_partial(tmp_path: Path) -> None:
    write_csv(tmp_path / "r.csv", *READINGS)
    write_parquet(build_table(), tmp_path / "r.parquet")
    write_codebook(reading_columns(()), tmp_path / "c.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.csv", "r.csv", "r.parquet"]


def test_a_failed_run_leaves_its_rows_in_the_partial(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with pytest.raises(ZeroDivisionError), CsvSink(path, COLUMNS) as sink:
        sink.write_row(reading_row(READINGS[0], HEADS))
        raise ZeroDivisionError
    assert not path.exists() and read_csv(partial_path(path))[0]["subject"] == "S01"


def test_rows_are_on_disk_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with CsvSink(path, COLUMNS) as sink:
        sink.write_row(reading_row(READINGS[0], HEADS))
        assert len(read_csv(partial_path(path))) == 1  # nothing is lost if we are killed here


def test_an_earlier_result_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), CsvSink(path, COLUMNS):
        raise ZeroDivisionError
    assert path.read_text() == "earlier"


def fill_disk(path: Path) -> None:
    """Let everything that is written to the partial of `path` meet a full disk."""
    partial_path(path).symlink_to("/dev/full")


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@needs_full
def test_a_full_disk_is_an_output_error_of_the_csv(tmp_path: Path) -> None:
    fill_disk(tmp_path / "r.csv")
    with pytest.raises(OutputError, match=r"cannot write .*r\.csv: No space left"):
        write_csv(tmp_path / "r.csv", *READINGS)


@needs_full
def test_a_full_disk_is_an_output_error_of_the_codebook(tmp_path: Path) -> None:
    fill_disk(tmp_path / "c.csv")
    with pytest.raises(OutputError, match=r"cannot write .*c\.csv: No space left"):
        write_codebook(reading_columns(HEADS), tmp_path / "c.csv")


@needs_full
def test_a_full_disk_is_an_output_error_of_the_parquet(tmp_path: Path) -> None:
    fill_disk(tmp_path / "r.parquet")
    with pytest.raises(OutputError, match=r"cannot write .*r\.parquet"):
        write_parquet(build_table(*READINGS), tmp_path / "r.parquet")
    assert not (tmp_path / "r.parquet").exists()


def test_a_disk_that_fills_up_later_is_an_output_error(tmp_path: Path) -> None:
    class Full:
        def writerow(self, cells: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "r.csv"
    with pytest.raises(OutputError, match="free some space"), CsvSink(path, COLUMNS) as sink:
        sink.write_row(reading_row(READINGS[0], HEADS))
        sink._writer = Full()  # type: ignore[assignment]
        sink.write_row(reading_row(READINGS[1], HEADS))
    assert len(read_csv(partial_path(path))) == 1 and not path.exists()


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_csv(tmp_path / "missing" / "r.csv")
