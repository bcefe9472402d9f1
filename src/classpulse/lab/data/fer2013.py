"""FER2013 as Kaggle published it (``emotion,pixels,Usage``), and the votes of FER+.

Goodfellow et al. 2013; Barsoum et al. 2016. Both files keep the original order of rows, by which
they are joined.
"""

import csv
import gzip
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7, FERPLUS_VOTES
from classpulse.lab.data.cache import Arrays, OnProgress, hash_source, ignore_progress, load_cached
from classpulse.lab.data.faces import FaceSet
from classpulse.text.tables import load_table

if TYPE_CHECKING:
    from _csv import Reader

SIDE = 48  # pixels
USAGES = ("Training", "PublicTest", "PrivateTest")
COLUMNS = ("emotion", "pixels", "Usage")
HEADER_BYTES = 4096  # of the first line, looked at to tell what a file is


def load_fer2013(
    path: Path,
    *,
    part: str | None = None,
    votes_path: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> FaceSet:
    """FER2013 from its CSV file, with FER+ votes if given; parsed once, then memory-mapped.

    Args:
        path: ``fer2013.csv`` or ``icml_face_data.csv``, plain, ``.gz`` or alone in a ``.zip``.
        part: Training, PublicTest or PrivateTest; None is the whole file.
        votes_path: ``fer2013new.csv``; joined by row position within each part, so the pictures
            may hold fewer parts than the votes.
        on_progress: called with bytes read and bytes in all while the file is parsed.

    Raises:
        InputError: a file is missing or damaged, a row is malformed (the line is named), the part
            is not in the file, or the votes have another number of rows in a part.
    """
    if part is not None and part not in USAGES:
        raise InputError(f"FER2013 has the parts {', '.join(USAGES)}, not '{part}'")
    sha256 = hash_source(path)
    arrays = load_cached(sha256, "fer2013", lambda: _parse(path, on_progress), path=path)
    faces = FaceSet(
        images=arrays["images"],
        labels=arrays["labels"],
        space=FER2013_7,
        name="FER2013",
        part=arrays["part"],
        sha256=sha256,
    )
    if part is not None and part not in arrays["part"]:
        raise InputError(f"{path} has no rows with Usage = {part}")
    if votes_path is not None:
        faces = join_votes(faces, votes_path, only=part)
    return faces if part is None else faces.take_part(part)


def matches_fer2013(path: Path) -> bool:
    """Does the header have two of the three columns? A damaged file counts by its name.

    Two, so that a header with one name missing still gets an error that says so.
    """
    if not path.is_file() or not path.name.lower().endswith((".csv", ".csv.gz", ".zip")):
        return False
    try:
        with path.open("rb") as raw:
            if path.suffix.lower() == ".zip" and not _holds_csv(raw):
                return False
            with _unpacked(raw, path) as data:
                header = data.readline(HEADER_BYTES).decode("utf-8-sig", "replace")
    except (InputError, EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile):
        return True  # reading it will say what is wrong
    except OSError:
        return False
    return len({name.strip(' "\r\n') for name in header.split(",")} & set(COLUMNS)) >= 2


def _holds_csv(raw: IO[bytes]) -> bool:
    with zipfile.ZipFile(raw) as archive:
        return any(_is_csv(name) for name in archive.namelist())


def join_votes(faces: FaceSet, path: Path, *, only: str | None = None) -> FaceSet:
    """FER2013 with its FER+ votes, joined by row position within each part.

    Args:
        path: ``fer2013new.csv``.
        only: look at this part alone; the votes of the others are zero.

    Raises:
        InputError: the votes cannot be read, or a part has another number of rows in them.
    """
    usage, table = load_votes(path)
    votes = np.zeros((len(faces), len(FERPLUS_VOTES)), dtype=np.int64)
    assert faces.part is not None  # every reader of FER2013 sets it
    for part in USAGES if only is None else (only,):
        mine, theirs = faces.part == part, usage == part
        if not mine.any():
            continue
        if mine.sum() != theirs.sum():
            raise InputError(
                f"{path} has {theirs.sum()} rows of {part} but the pictures have {mine.sum()}: the "
                "two files are joined by row position and must hold the same rows"
            )
        votes[mine] = table[theirs]
    return replace(faces, votes=votes)


def load_votes(path: Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Usage (n,) and votes (n, 10) of a FER+ file, columns in the order of `FERPLUS_VOTES`.

    Raises:
        InputError: the file cannot be read, lacks a column, or a row is malformed (the line is
            named).
    """
    table = load_table(path, columns=("Usage", *FERPLUS_VOTES))
    usage = np.array(table.columns["Usage"])
    for i in np.flatnonzero(~np.isin(usage, USAGES)):
        raise InputError(
            f"{path}, line {table.line[i]}: Usage '{usage[i]}', needs one of {', '.join(USAGES)}"
        )
    rows = zip(*(table.columns[name] for name in FERPLUS_VOTES), strict=True)
    votes = [_vote_row(cells, path, line) for cells, line in zip(rows, table.line, strict=True)]
    return usage, np.array(votes, dtype=np.int64)


def _vote_row(cells: tuple[str, ...], path: Path, line: int) -> list[int]:
    if not all(cell.isdecimal() and len(cell) < 10 for cell in cells):
        raise InputError(f"{path}, line {line}: votes must be whole numbers: {', '.join(cells)}")
    return [int(cell) for cell in cells]


def _parse(path: Path, on_progress: OnProgress) -> Arrays:
    pixels = bytearray()
    labels: list[int] = []
    part: list[str] = []
    with _open_rows(path, on_progress) as (reader, place):
        emotion_at, pixels_at, usage_at = place
        for row in reader:
            if not row:
                continue
            line = reader.line_num
            if len(row) != len(place):
                raise InputError(
                    f"{path}, line {line}: {len(row)} fields, needs {len(place)}: "
                    f"{', '.join(COLUMNS)}"
                )
            labels.append(_emotion(row[emotion_at], path, line))
            pixels += _pixels(row[pixels_at], path, line).tobytes()
            part.append(_usage(row[usage_at], path, line))
    if not labels:
        raise InputError(f"{path} has no rows below its header")
    images = np.frombuffer(pixels, dtype=np.uint8).reshape(-1, SIDE, SIDE)
    return {"images": images, "labels": np.array(labels, np.int64), "part": np.array(part)}


@contextmanager
def _open_rows(
    path: Path, on_progress: OnProgress
) -> Iterator[tuple["Reader", tuple[int, int, int]]]:
    """Rows of the file and the places of its three columns; whatever breaks is one InputError."""
    try:
        with path.open("rb") as raw, _unpacked(raw, path) as data:
            counted = _Counted(data, raw, path.stat().st_size, on_progress)
            # a byte that is not UTF-8 becomes U+FFFD, which no column allows: the line is named
            text = io.TextIOWrapper(
                io.BufferedReader(counted, 1 << 20), "utf-8-sig", "replace", newline=""
            )
            reader = csv.reader(text)
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # np.fromstring warns where text is no number
                yield reader, _places(next(reader, []), path)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, csv.Error) as error:
        raise InputError(f"{path} is damaged or not a CSV file ({error}): get it again") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None


class _Counted(io.RawIOBase):
    """A byte stream that reports how far the packed file below it has been read."""

    def __init__(self, data: IO[bytes], raw: IO[bytes], size: int, report: OnProgress) -> None:
        self._data, self._raw, self._size, self._report = data, raw, size, report

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got = self._data.read(len(buffer))
        buffer[: len(got)] = got
        self._report(min(self._raw.tell(), self._size), self._size)
        return len(got)


@contextmanager
def _unpacked(raw: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    """The CSV inside: by the first bytes, not by the name."""
    magic = raw.read(4)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=raw) as data:
            yield data  # type: ignore[misc]  # GzipFile reads bytes
    elif magic == b"PK\x03\x04":
        with zipfile.ZipFile(raw) as archive, archive.open(_only_csv(archive, path)) as data:
            yield data
    else:
        yield raw


def _only_csv(archive: zipfile.ZipFile, path: Path) -> str:
    names = [name for name in archive.namelist() if _is_csv(name)]
    faces = [n for n in names if Path(n).name in ("fer2013.csv", "icml_face_data.csv")]
    chosen = faces or names
    if len(chosen) != 1:
        raise InputError(f"{path} holds {len(chosen)} CSV files, needs one: {', '.join(chosen)}")
    return chosen[0]


def _is_csv(name: str) -> bool:
    return name.lower().endswith(".csv") and "__MACOSX" not in name


def _places(header: list[str], path: Path) -> tuple[int, int, int]:
    """Positions of emotion, pixels and Usage; the header of icml_face_data.csv has spaces."""
    names = [name.strip() for name in header]
    if "\ufffd" in "".join(names):
        raise InputError(f"{path} is not UTF-8 text: save it as CSV UTF-8")
    for column in COLUMNS:
        if names.count(column) != 1:
            raise InputError(
                f"{path} has the column '{column}' {names.count(column)} times, needs it once; "
                f"its header is: {', '.join(names)[:200] or 'empty'}"
            )
    emotion, pixels, usage = (names.index(column) for column in COLUMNS)
    return emotion, pixels, usage


def _pixels(text: str, path: Path, line: int) -> NDArray[np.uint8]:
    try:
        values = np.fromstring(text, dtype=np.int64, sep=" ")
    except (ValueError, OverflowError, DeprecationWarning):
        shown = next((cell for cell in text.split() if not cell.isdecimal()), text[:20])
        raise InputError(
            f"{path}, line {line}: pixels must be whole numbers, not '{shown[:20]}'"
        ) from None
    if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise InputError(
            f"{path}, line {line}: {values.size} pixel values, needs {SIDE * SIDE} in 0..255"
        )
    return values.astype(np.uint8)


def _emotion(text: str, path: Path, line: int) -> int:
    label = text.strip()
    if label not in _LABELS:
        raise InputError(f"{path}, line {line}: emotion '{label}', needs 0..{len(FER2013_7) - 1}")
    return int(label)


_LABELS = frozenset(map(str, range(len(FER2013_7))))


def _usage(text: str, path: Path, line: int) -> str:
    part = text.strip()
    if part not in USAGES:
        raise InputError(f"{path}, line {line}: Usage '{part}', needs one of {', '.join(USAGES)}")
    return part
