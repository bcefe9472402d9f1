"""Reading plain columns from a CSV file, for `classpulse engage apply`, `fit` and `fuse`."""

import csv
import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError


def read_columns(
    path: Path, names: Collection[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Header -> (n,) finite numbers, for those columns of a CSV file that are among `names`.

    Args:
        names: None is all columns.

    Raises:
        InputError: as `read_cells`, or a cell is no finite number (line and column are named).
    """
    header, rows = read_cells(path)
    return {
        name: np.array([read_number(cells[i], name, path, line) for line, cells in rows])
        for i, name in enumerate(header)
        if names is None or name in names
    }


def read_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a CSV file, and (line, cells) of every row below it that is not empty.

    Raises:
        InputError: the file cannot be read or decoded, is empty, has no rows or a repeated
            header; or a row has another number of cells than the header.
    """
    rows = _read_rows(path)
    if len(rows) < 2:
        raise InputError(f"{path} has no data rows: it needs a header line and at least one row")
    header = [name.strip() for name in rows[0][1]]
    if len(set(header)) != len(header):
        raise InputError(
            f"{path} repeats a column name: {', '.join(header)}; give each column its own"
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: {len(cells)} cells, the header has {len(header)}: "
                "correct that line; cells are separated by commas"
            )
    return header, rows[1:]


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line, cells) of every row that is not empty."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} is not a UTF-8 CSV file: {error}; save the table as CSV (UTF-8)"
        ) from None


def read_number(cell: str, name: str, path: Path, line: int) -> float:
    """The finite number in a cell; `InputError` names line and column otherwise."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{path}, line {line}, column '{name}': '{cell.strip()[:40]}' is not a finite number; "
            "correct the cell or remove the row"
        )
    return value
