"""What a path holds: faces, texts, FER+ votes or a clip. Content decides, not the name."""

import os
import re
import zipfile
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.lab.data.clip_layouts import CLIP_LAYOUTS, find_clip_layout
from classpulse.lab.data.corpora import CORPORA, find_corpus, goemotions_files
from classpulse.lab.data.fer2013 import COLUMNS
from classpulse.lab.data.layouts import LAYOUTS, find_layout
from classpulse.text.heads import DELIMITERS, head_text, header_fields, read_head
from classpulse.text.tables import load_excel_header
from classpulse.vision.header import sniff

VOTES = "ferplus-votes"
CLIP = "clip"


def reader_names() -> tuple[str, ...]:
    """Every name that `find_reader` may give: layouts of faces and of clips, corpora, others."""
    return (*LAYOUTS, *CLIP_LAYOUTS, *CORPORA, VOTES, CLIP)


def find_reader(path: Path, *, name: str | None = None) -> str:
    """Name of the reader for a file or folder; `name` if that is given and known.

    Raises:
        InputError: nothing there, an unknown name, an empty or unreadable file or folder, or
            content that no reader knows (what was seen is told).
    """
    if not os.path.exists(path):  # unlike Path.exists, no error for names that cannot be
        raise InputError(f"{path} does not exist: give a file or folder of data")
    if name is not None:
        if name not in reader_names():
            raise InputError(f"unknown reader '{name}'; known: {', '.join(reader_names())}")
        return name
    return _find_in_folder(path) if path.is_dir() else _find_in_file(path)


def _find_in_folder(path: Path) -> str:
    try:
        empty = not any(path.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check its rights") from None
    if empty:
        raise InputError(f"{path} is an empty folder: it needs pictures or texts with labels")
    if goemotions_files(path):
        return "goemotions"
    try:
        return find_clip_layout(path) or find_layout(path)
    except InputError as error:
        files = sorted(f.name for f in path.iterdir() if f.is_file() and f.name[0] != ".")[:3]
        hint = f"; or give one of its files ({', '.join(files)})" if files else ""
        raise InputError(f"{error}{hint}") from None


def _find_in_file(path: Path) -> str:
    head = read_head(path)
    if not head:
        raise InputError(f"{path} is empty (0 bytes): copy the file again")
    kind = sniff(head)
    if kind in ("gif", "video"):
        return CLIP
    if kind is not None:
        raise InputError(f"{path} is one picture, not a data set: classpulse analyze reads it")
    if head.startswith(b"PK\x03\x04"):
        return _find_in_zip(path)
    return _find_in_text(head_text(head), path)


def _find_in_zip(path: Path) -> str:
    """An .xlsx workbook is a zip archive too."""
    try:
        with zipfile.ZipFile(path) as archive:
            workbook = "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{path} is cut off or damaged ({error}): get it again") from None
    if not workbook:
        return find_layout(path)
    columns = load_excel_header(path)
    found = find_corpus(columns)
    if found is None:
        raise _unknown(path, columns)
    return found


def _find_in_text(text: str, path: Path) -> str:
    if text.startswith("{"):
        return "texts"
    columns = header_fields(text, DELIMITERS[0])
    if {"Usage", "NF", "unknown"} <= set(columns):
        return VOTES
    if set(COLUMNS) <= set(columns):
        return find_layout(path)
    for delimiter in DELIMITERS:
        found = find_corpus(header_fields(text, delimiter))
        if found is not None:
            return found
    cells = text.split("\n", 1)[0].rstrip("\r").split("\t")
    if len(cells) == 3 and re.fullmatch(r"\d{1,2}(,\d{1,2})*", cells[1]):
        return "goemotions"
    raise _unknown(path, columns)


def _unknown(path: Path, columns: list[str]) -> InputError:
    forms = [f"{', '.join(COLUMNS)} (FER2013)", "Usage, ..., unknown, NF (FER+ votes)"]
    forms += [f"{', '.join(c.columns)} ({n})" for n in CORPORA if (c := CORPORA.get(n)).columns]
    seen = ", ".join(columns)[:120]
    return InputError(
        f"{path} is no data that we know: its first line has the columns '{seen}'; known columns "
        f"are {'; '.join(forms)}. --as NAME forces a reader, classpulse data ls lists them"
    )
