"""The text of a Word file (``.docx``), read with the standard library alone.

Such a file comes from somebody else. One that lists too many files, or says that they are too
large, is refused before any is opened. The one with the text is unpacked in pieces up to `MOST`,
whatever size it claims, nothing of it is written anywhere, and a document type is refused: without
one there are no entities to expand. Pictures, tables of contents, comments and the like are not
looked at.
"""

import zipfile
import zlib
from pathlib import Path
from xml.parsers import expat

from classpulse.core.errors import InputError

MAIN = "word/document.xml"
MOST = 32 << 20  # bytes of XML; a day of meetings has half of this
ENTRIES = 10_000  # files in a Word file; one of Teams has some 20, and a picture of each speaker
CLAIMED = 1 << 30  # bytes that all of them say they have; pictures are most of it
DEEPEST = 200  # elements inside each other; Word nests some 20
PIECE = 1 << 20
KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SPACE = "wordprocessingml"  # in the name space of text; pictures have another one

_DAMAGED = (
    zipfile.BadZipFile, zlib.error, expat.ExpatError, EOFError, LookupError, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip

Paragraph = tuple[str, ...]
"""Its lines, trimmed, without empty ones."""


def read_paragraphs(path: Path) -> list[Paragraph]:
    """The paragraphs that have text, in order.

    Raises:
        InputError: the file cannot be read, is no whole Word file, has a document type, more than
            `MOST` bytes of text or `ENTRIES` files, or says to unpack to more than `CLAIMED`.
    """
    reader = _Reader()
    size = 0
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(path, archive.infolist())
            if archive.getinfo(MAIN).compress_type not in KNOWN:
                raise ValueError("packed as Word does not")
            with archive.open(MAIN) as stream:
                while (piece := stream.read(PIECE)) and size <= MOST:
                    size += len(piece)
                    reader.feed(piece)
        if size <= MOST:
            reader.feed(b"", last=True)
    except _DAMAGED as error:
        raise InputError(
            f"{path} is not a whole Word file ({error}): save it once more as .docx, or as .txt"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None
    if size > MOST:
        raise InputError(
            f"{path} unpacks to more than {MOST >> 20} MB of text: split it, or save it as .txt"
        )
    return reader.found


def _check_size(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    claimed = sum(entry.file_size for entry in entries)
    if len(entries) > ENTRIES or claimed > CLAIMED:
        raise InputError(
            f"{path} lists {len(entries)} files of {claimed >> 20} MB unpacked; up to {ENTRIES} of "
            f"{CLAIMED >> 20} MB are read: save it as .txt"
        )


class _Reader:
    """Collects what stands in ``w:t`` by lines (``w:br``) and paragraphs (``w:p``)."""

    def __init__(self) -> None:
        self.found: list[Paragraph] = []
        self._pieces: list[str] = []
        self._depth = 0
        self._texts = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._parser = parser

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        self._parser.Parse(piece, last)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("elements too deep inside each other")
        self._texts += _is(name, "t")
        if _is(name, "br", "cr"):
            self._pieces.append("\n")
        elif _is(name, "tab"):
            self._pieces.append("\t")

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._texts -= _is(name, "t")
        if _is(name, "p"):
            lines = (line.strip() for line in "".join(self._pieces).splitlines())
            paragraph = tuple(line for line in lines if line)
            self._pieces.clear()
            if paragraph:
                self.found.append(paragraph)

    def _text(self, text: str) -> None:
        if self._texts:
            self._pieces.append(text)


def _is(name: str, *wanted: str) -> bool:
    space, _, local = name.rpartition(" ")
    return local in wanted and SPACE in space


def _refuse(*declared: object) -> None:
    raise ValueError("it has a document type, which Word files have not")
