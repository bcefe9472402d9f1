"""Tables of text from files that people made: CSV, TSV, Excel, JSON lines, also gzipped.

Every value is a string and keeps the line it stands on, so that whoever reads it on can say where
a wrong one is. Nothing is guessed: a file that is not clean UTF-8 or lacks a column is refused with
what to do about it.
"""

import csv
import gzip
import importlib
import io
import json
import math
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from classpulse.core.errors import InputError, MissingExtraError

MAX_FIELD = 1 << 20  # characters; a longer one is a quote that was never closed
EXCEL_ROWS = 1 << 20  # that a sheet can have; a file may claim more
EXCEL_CELLS = 20_000_000  # empty ones too: one in the last column makes 16,384 of every row
EXCEL_BYTES = 512 << 20  # unpacked; zipfile gives no more than a member claims


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of strings.

    Args:
        path: where it comes from, for messages.
        line: line in the file on which each of the n rows starts, from 1.
        columns: name -> n strings.
    """

    path: Path
    line: tuple[int, ...]
    columns: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.line)


Row = tuple[int, Sequence[str]]  # line, fields
_NOT_EXCEL = (
    zipfile.BadZipFile, zlib.error, EOFError, KeyError, IndexError, ValueError, ParseError
)  # fmt: skip


def load_table(
    path: Path,
    *,
    columns: Sequence[str],
    delimiter: str = ",",
    quoted: bool = True,
    header: bool = True,
    encoding: str | None = None,
) -> Table:
    """The asked columns of a table, found by name.

    Args:
        path: ``.xlsx`` is read as Excel (first sheet), anything else as delimited text; ``.gz``
            is unpacked.
        columns: names in the header, compared after trimming and Unicode composition; without a
            header, names for the first fields.
        delimiter, quoted: of delimited text; unquoted fields may hold quotation marks.
        encoding: of delimited text; None is UTF-8 with or without a byte order mark.

    Raises:
        InputError: the file cannot be read or decoded, the header lacks or repeats a column, a row
            has another number of fields (the line is named), or there are no rows.
        MissingExtraError: Excel files need the extra `lab`.
    """
    if path.suffix.lower() == ".xlsx":
        rows = _excel_rows(path)
    else:
        text = load_text(path, encoding=encoding)
        rows = _delimited_rows(text, path, delimiter=delimiter, quoted=quoted)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} is empty: it needs a row for each text")
    if header:
        names = _header(first[1], path, columns)
        body: Iterable[Row] = rows
    else:
        names, body = [*columns, *[""] * (len(first[1]) - len(columns))], _chain(first, rows)
    return _collect(body, path, names, columns)


def load_json_lines(path: Path, *, columns: Sequence[str], encoding: str | None = None) -> Table:
    """The asked keys of a file with one JSON object a line; values are strings or numbers.

    Raises:
        InputError: as `load_table`; a line is not a JSON object, repeats or lacks a key, or a value
            is neither string nor finite number.
    """
    lines: list[int] = []
    values: list[list[str]] = []
    for line, text in enumerate(load_text(path, encoding=encoding).split("\n"), start=1):
        if text.strip():
            item = _json_object(text, path, line)
            values.append([_json_value(item, key, path, line) for key in columns])
            lines.append(line)
    if not lines:
        raise InputError(f"{path} has no rows: it needs one JSON object a line")
    return Table(path, tuple(lines), _by_column(columns, values))


def load_text(path: Path, *, encoding: str | None = None) -> str:
    """A whole text file, unpacked and decoded, without a byte order mark.

    Raises:
        InputError: it cannot be read, the gzip stream is damaged or cut off, or a byte does not
            fit the encoding (the line and the byte are named).
    """
    data = _load_bytes(path)
    if encoding is None and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"  # Excel's "Unicode text"; the mark says which byte order
    try:
        return data.decode(encoding or "utf-8").removeprefix("\ufeff")
    except LookupError:
        raise InputError(f"unknown encoding '{encoding}'; for example utf-8 or cp1252") from None
    except UnicodeDecodeError as error:
        raise InputError(_undecodable(path, data, error)) from None


def _load_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut off or damaged ({error}); fetch it again") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _undecodable(path: Path, data: bytes, error: UnicodeDecodeError) -> str:
    before = data[: error.start]
    where = f"{path}, line {before.count(bytes([10])) + 1}: byte 0x{data[error.start]:02x}"
    if error.encoding == "utf-8" and any(byte > 127 for byte in before):
        return (
            f"{where} is not UTF-8, but characters before it are: the file mixes encodings; "
            "save it once more as UTF-8"
        )
    return (
        f"{where} is not {error.encoding.upper()}; save the file as UTF-8 (in an editor with "
        "Save As; in Excel as CSV UTF-8)"
    )


def _delimited_rows(text: str, path: Path, *, delimiter: str, quoted: bool) -> Iterator[Row]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, line {line}: {error}; look for a quotation mark that is not closed"
            ) from None
        if max(map(len, fields), default=0) > MAX_FIELD:
            raise InputError(f"{path}, line {line}: a field has more than {MAX_FIELD} characters")
        if fields:  # a blank line has none
            yield line, fields
        line = reader.line_num + 1


def load_excel_header(path: Path) -> list[str]:
    """The first row of the first sheet of an .xlsx workbook, trimmed.

    Raises:
        InputError: it is not a whole workbook, or empty.
        MissingExtraError: Excel files need the extra `lab`.
    """
    first = next(_excel_rows(path, last=1), None)
    if first is None:
        raise InputError(f"{path} is empty: it needs a row for each text")
    return [_plain(name) for name in first[1]]


def _excel_rows(path: Path, *, last: int | None = None) -> Iterator[Row]:
    try:
        openpyxl: Any = importlib.import_module("openpyxl")
    except ImportError:
        raise MissingExtraError("reading Excel files", "lab") from None
    try:
        _check_unpacked(path)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # what the file claims may be wrong, or a million empty rows
            rows = _cells(path, sheet.iter_rows(max_row=last or EXCEL_ROWS, values_only=True))
        finally:
            book.close()
    except _NOT_EXCEL as error:
        raise InputError(
            f"{path} is not a whole .xlsx workbook ({error}); save it again, or as CSV"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    yield from rows


def _check_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > EXCEL_BYTES:
        raise InputError(
            f"{path} unpacks to {size >> 20} MB; up to {EXCEL_BYTES >> 20} MB are read: save it as "
            "CSV"
        )


def _cells(path: Path, sheet: Iterable[Sequence[Any]]) -> list[Row]:
    """Rows with a value in them, as strings, all as wide as the widest."""
    rows: list[tuple[int, list[str]]] = []
    width = 0
    for line, cells in enumerate(sheet, start=1):
        if all(cell is None for cell in cells):
            continue
        rows.append((line, ["" if cell is None else str(cell) for cell in cells]))
        width = max(width, len(cells))
        if width * len(rows) > EXCEL_CELLS:
            raise InputError(
                f"{path}, line {line}: more than {EXCEL_CELLS:,} cells; remove columns that are "
                "not needed, or save it as CSV"
            )
    return [(line, [*cells, *[""] * (width - len(cells))]) for line, cells in rows]


def _header(fields: Sequence[str], path: Path, columns: Sequence[str]) -> list[str]:
    names = [_plain(name) for name in fields]
    wanted = [_plain(name) for name in columns]
    absent = [name for name in wanted if name not in names]
    if absent:
        raise InputError(
            f"{path}, line 1: no column {', '.join(absent)}; its columns are: {', '.join(names)} "
            "(one long name is a sign of another delimiter)"
        )
    repeated = [name for name in wanted if names.count(name) > 1]
    if repeated:
        raise InputError(f"{path}, line 1: column {', '.join(repeated)} is there more than once")
    return names


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _chain(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _collect(
    rows: Iterable[Row], path: Path, names: Sequence[str], columns: Sequence[str]
) -> Table:
    places = [names.index(_plain(name)) for name in columns]
    header = [names[place] for place in places]
    lines: list[int] = []
    values: list[list[str]] = []
    for line, fields in rows:
        if len(fields) != len(names):
            raise InputError(f"{path}, line {line}: {len(fields)} fields, needs {len(names)}")
        if [_plain(fields[place]) for place in places] == header:
            raise InputError(
                f"{path}, line {line}: the header again ({', '.join(header)}); two files put "
                "together? Remove the line"
            )
        values.append([fields[place] for place in places])
        lines.append(line)
    if not lines:
        raise InputError(f"{path} has a header but no rows: it needs a row for each text")
    return Table(path, tuple(lines), _by_column(columns, values))


def _by_column(columns: Sequence[str], values: list[list[str]]) -> dict[str, tuple[str, ...]]:
    return dict(zip(columns, map(tuple, zip(*values, strict=True)), strict=True))


def _json_object(text: str, path: Path, line: int) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            raise ValueError(f"a key is there more than once: {', '.join(keys)}")
        return dict(pairs)

    try:
        item = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}, line {line}: not JSON ({error})") from None
    if not isinstance(item, dict):
        raise InputError(f"{path}, line {line}: a {type(item).__name__}, needs a JSON object")
    return item


def _json_value(item: dict[str, Any], key: str, path: Path, line: int) -> str:
    if key not in item:
        raise InputError(f"{path}, line {line}: no key '{key}'; it has: {', '.join(item)}")
    value = item[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{path}, line {line}: '{key}' is {value!r}, needs a string or a number")
    if isinstance(value, float) and not math.isfinite(value):  # json reads NaN and Infinity
        raise InputError(f"{path}, line {line}: '{key}' is {value!r}, needs a finite number")
    return str(value)
