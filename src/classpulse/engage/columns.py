"""Reading plain columns of numbers from a CSV file, for `classpulse engage apply`."""

import csv
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError


def read_columns(path: Path) -> dict[str, NDArray[np.float64]]:
    """Header -> (n,) numbers of a CSV file; columns that hold any text are left out.

    Raises:
        InputError: the file cannot be read or decoded, is empty, has no rows or a repeated
            header; or a row has another number of cells than the header (the line is named).
    """
    rows = _read_rows(path)
    if len(rows) < 2:
        raise InputError(f"{path} has no data rows: it needs a header line and at least one row")
    header = [name.strip() for name in rows[0]]
    if len(set(header)) != len(header):
        raise InputError(f"{path} repeats a column name: {', '.join(header)}")
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} cells, the header has {len(header)}")
    columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}
    numbers = {name: _as_numbers(cells) for name, cells in columns.items()}
    return {name: values for name, values in numbers.items() if values is not None}


def _read_rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a UTF-8 CSV file: {error}") from None


def _as_numbers(cells: list[str]) -> NDArray[np.float64] | None:
    try:
        return np.array([float(c) if c.strip() else math.nan for c in cells])
    except ValueError:
        return None
