"""Face data in memory, and the FER2013 + FER+ reader."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7, FERPLUS_VOTES

SIDE = 48  # pixels, FER2013
USAGES = ("Training", "PublicTest", "PrivateTest")


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Labelled face crops, struct of arrays.

    Args:
        images: (n, 48, 48) uint8 grey.
        emotion: (n,) int64, columns of `FER2013_7`.
        votes: (n, 10) int64 FER+ votes in the order of `FERPLUS_VOTES`, or None.
        name: what it is, for cards and messages.
    """

    images: NDArray[np.uint8]
    emotion: NDArray[np.int64]
    votes: NDArray[np.int64] | None
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def take(self, mask: NDArray[np.bool_], *, name: str) -> "FaceSet":
        """The rows where `mask` holds, under a new name."""
        votes = None if self.votes is None else self.votes[mask]
        return FaceSet(self.images[mask], self.emotion[mask], votes, name)


def load_fer2013(path: Path, *, part: str, votes_path: Path | None = None) -> FaceSet:
    """One Usage part of FER2013 in the Kaggle format, with FER+ votes if given.

    Args:
        path: `fer2013.csv` or `.csv.gz` with columns emotion, pixels, Usage.
        part: Training, PublicTest or PrivateTest.
        votes_path: `fer2013new.csv`; joined by row position within the part.

    Raises:
        InputError: a file is missing, a row is malformed (the line number is named), the part is
            not in the file, or the votes have another number of rows in that part.
    """
    if part not in USAGES:
        raise InputError(f"FER2013 has the parts {', '.join(USAGES)}, not '{part}'")
    images: list[NDArray[np.uint8]] = []
    emotion: list[int] = []
    with _reading(path) as reader:
        for row in reader:
            if row.get("Usage") == part:
                images.append(_pixels(row, path, reader.line_num))
                emotion.append(_emotion(row, path, reader.line_num))
    if not images:
        raise InputError(f"{path} has no rows with Usage = {part}")
    votes = None if votes_path is None else _votes(votes_path, part, len(images))
    return FaceSet(np.stack(images), np.asarray(emotion), votes, f"FER2013 {part}")


def without_blank(faces: FaceSet) -> FaceSet:
    """Drop pictures of one flat colour: they carry a label but no face."""
    flat = faces.images.reshape(len(faces), -1)
    return faces.take(flat.max(axis=1) > flat.min(axis=1), name=faces.name)


def repeated_in(faces: FaceSet, other: FaceSet) -> NDArray[np.bool_]:
    """(n,) True where a picture of `faces` is byte-identical to one of `other`."""
    known = {image.tobytes() for image in other.images}
    return np.fromiter((image.tobytes() in known for image in faces.images), dtype=np.bool_)


@contextmanager
def _reading(path: Path) -> Iterator["csv.DictReader[str]"]:
    """Rows of a CSV file, packed or not; whatever breaks on the way is one `InputError`."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield csv.DictReader(stream)
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is damaged or not a CSV file ({error}): get it again") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None


def _pixels(row: dict[str, str], path: Path, line: int) -> NDArray[np.uint8]:
    try:
        values = np.array((row.get("pixels") or "").split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}, line {line}: pixels must be whole numbers: {error}") from None
    if values.size != SIDE * SIDE or values.min() < 0 or values.max() > 255:
        raise InputError(
            f"{path}, line {line}: {values.size} pixel values, needs {SIDE * SIDE} in 0..255"
        )
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def _emotion(row: dict[str, str], path: Path, line: int) -> int:
    text = row.get("emotion") or ""
    if not text.isdecimal() or int(text) >= len(FER2013_7):
        raise InputError(f"{path}, line {line}: emotion '{text}', needs 0..{len(FER2013_7) - 1}")
    return int(text)


def _votes(path: Path, part: str, rows: int) -> NDArray[np.int64]:
    with _reading(path) as reader:
        absent = set(FERPLUS_VOTES) - set(reader.fieldnames or ())
        if absent:
            raise InputError(f"{path} lacks the FER+ columns {sorted(absent)}")
        votes = [
            _vote_row(row, path, reader.line_num) for row in reader if row.get("Usage") == part
        ]
    if len(votes) != rows:
        raise InputError(
            f"{path} has {len(votes)} rows of {part} but the pictures have {rows}: the two files "
            "are joined by row position and must hold the same rows"
        )
    return np.asarray(votes, dtype=np.int64)


def _vote_row(row: dict[str, str], path: Path, line: int) -> list[int]:
    cells = [row[column] or "" for column in FERPLUS_VOTES]
    if not all(cell.isdecimal() for cell in cells):
        raise InputError(f"{path}, line {line}: votes must be whole numbers: {', '.join(cells)}")
    return [int(cell) for cell in cells]
