"""The beginning of a file: enough to know what it is, unpacked if it is gzip."""

import csv
import gzip
import unicodedata
import zlib
from pathlib import Path

from classpulse.core.errors import InputError

DELIMITERS = (",", ";", "\t")
HEAD = 1 << 16  # bytes, unpacked: more than any header line


def read_head(path: Path) -> bytes:
    """The first bytes, unpacked if they are gzip."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=stream) as data:
                    return data.read(HEAD)
            return stream.read(HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is cut off or damaged ({error}): get it again") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None


def head_text(head: bytes) -> str:
    """Text of a `read_head`, without a byte order mark; what is not UTF-8 or UTF-16 is replaced."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return head.decode(encoding, errors="replace").removeprefix("\ufeff")


def header_fields(text: str, delimiter: str) -> list[str]:
    """Column names of the first line that has any; a file of one line without end counts too."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        cells = next(csv.reader([first], delimiter=delimiter), [])
    except csv.Error:
        return []
    return [unicodedata.normalize("NFC", cell).strip() for cell in cells]
