"""A memory-mapped cache of parsed data, keyed by the content of its source.

Parsing 300 MB of pixel numbers takes long, reading the same arrays from disk takes none. An entry
is a folder of `.npy` files under the hash of the source, written aside and moved into place, so a
half-written one is never read; deleting the folder is always safe. Faces are people: an entry says
of which source it is and where that was, is readable for its owner alone, and `clear_cache` deletes
it.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from classpulse.core.errors import InputError, OutputError
from classpulse.core.files import scratch_folder

FORMAT = "1"  # part of every key: raise it when a reader gives other arrays for the same bytes
ENVIRONMENT = "CLASSPULSE_CACHE"
ENTRY = re.compile(r"\.?[a-z0-9-]+-[0-9a-f]{24}(-\w+)?")  # with what stands aside
SOURCE = "source.txt"  # in every entry: hash of its source, then paths it was read from, as JSON
CHUNK = 1 << 20  # bytes hashed at a time

Arrays = dict[str, NDArray[Any]]
OnProgress = Callable[[int, int], None]
"""Called with what is done and the whole: bytes of a file, or files of a folder."""


def ignore_progress(done: int, whole: int) -> None:
    """An `OnProgress` that shows nothing."""


def cache_folder() -> Path:
    """``$CLASSPULSE_CACHE``, else the user's cache folder of this system."""
    named = os.environ.get(ENVIRONMENT)
    return Path(named) if named else Path(platformdirs.user_cache_dir("classpulse", False))


def hash_source(path: Path, *, files: Iterable[Path] | None = None) -> str:
    """SHA-256 of a file's bytes; of a folder, over the relative names and bytes of its files.

    Args:
        files: of a folder, those that count; all of them by default.

    Raises:
        InputError: something cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            chosen = files if files is not None else (f for f in path.rglob("*") if f.is_file())
            for file in sorted(chosen):
                digest.update(file.relative_to(path).as_posix().encode() + b"\0")
                digest.update(_hash_file(file).digest())
        else:
            digest = _hash_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None
    return digest.hexdigest()


def load_cached(
    source: str, reader: str, build: Callable[[], Arrays], *, path: Path, settings: str = ""
) -> Arrays:
    """The arrays that `build` gives, memory-mapped from the cache; built where they are not there.

    A damaged entry is built anew. Where the cache folder cannot be written, the arrays come from
    memory: a read-only disk costs time, not the result.

    Args:
        source: hash of the source, as `hash_source` gives it.
        reader: name of the format, part of the key.
        path: of the source, which the entry notes: by it `clear_cache` finds what was made of the
            source before that changed.
        settings: whatever else the arrays depend on (a picture size), part of the key.
    """
    key = hashlib.sha256("\0".join((FORMAT, reader, settings, source)).encode()).hexdigest()
    entry = cache_folder() / "data" / f"{reader}-{key[:24]}"
    found = _load_entry(entry)
    if found is not None:
        _note_path(entry, path)
        return found
    arrays = build()
    try:
        _save_entry(entry, source, path, arrays)
    except (OSError, OutputError):
        return arrays
    return _load_entry(entry) or arrays


def is_cached(path: Path) -> bool:
    """Was an entry made of this path, or of one in it, whatever it holds now?"""
    return any(_was_in(path, _note_of(entry)[1]) for entry in _entries())


def clear_cache(path: Path | None = None, *, source: str | None = None) -> tuple[int, int]:
    """Delete entries, and nothing else that is there: their number, and the bytes that were freed.

    Args:
        path: of a source, to delete what was made of it, or of what was in it, alone, whatever it
            holds now. Entries of which nobody knows the path, from a killed process or an older
            version, are deleted in any case.
        source: its hash, to delete what was made of the same content at another path, too.

    Raises:
        OutputError: a file cannot be deleted.
    """
    number = freed = 0
    try:
        for entry in _entries():
            noted, paths = _note_of(entry)
            if path is None or not paths or noted == source or _was_in(path, paths):
                files = [file for file in entry.rglob("*") if file.is_file()]
                freed += sum(file.stat().st_size for file in files)
                number += 1
                shutil.rmtree(entry)
    except OSError as error:
        folder = cache_folder() / "data"
        raise OutputError(f"cannot delete {folder}: {error.strerror}; delete it yourself") from None
    return number, freed


def _entries() -> list[Path]:
    return [one for one in (cache_folder() / "data").glob("*") if ENTRY.fullmatch(one.name)]


def _note_of(entry: Path) -> tuple[str | None, list[str]]:
    """Hash of the source and its paths; none of either where the note is not there or damaged."""
    try:
        source, *paths = (entry / SOURCE).read_text(encoding="utf-8").splitlines()
        return source, [str(json.loads(path)) for path in paths]
    except (OSError, ValueError):
        return None, []


def _note_path(entry: Path, path: Path) -> None:
    """Add the place of a copy of the source. Who else read what notes no path, nobody knows."""
    _, paths = _note_of(entry)
    if paths and os.path.realpath(path) not in paths:
        with suppress(OSError), (entry / SOURCE).open("a", encoding="utf-8") as stream:
            stream.write(_path_line(path))


def _path_line(path: Path) -> str:
    return json.dumps(os.path.realpath(path)) + "\n"  # JSON: a name may hold a line break


def _was_in(path: Path, paths: Iterable[str]) -> bool:
    place = os.path.realpath(path)
    return any(Path(one).is_relative_to(place) for one in paths)


def _hash_file(path: Path) -> "hashlib._Hash":
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256")


def _load_entry(entry: Path) -> Arrays | None:
    try:
        names = json.loads((entry / "arrays.json").read_text(encoding="utf-8"))
        return {name: np.load(entry / f"{i}.npy", mmap_mode="r") for i, name in enumerate(names)}
    except (OSError, ValueError, EOFError):
        return None


def _save_entry(entry: Path, source: str, path: Path, arrays: Arrays) -> None:
    """Write aside and rename; another process that was faster keeps its entry."""
    entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with scratch_folder(entry, parent=entry.parent) as aside:
        (aside / SOURCE).write_text(f"{source}\n{_path_line(path)}", encoding="utf-8")
        for i, array in enumerate(arrays.values()):
            np.save(aside / f"{i}.npy", array)
        (aside / "arrays.json").write_text(json.dumps(list(arrays)), encoding="utf-8")
        if entry.exists() and _load_entry(entry) is None:
            shutil.rmtree(entry)  # damaged
        if entry.exists():
            _note_path(entry, path)
        else:
            aside.rename(entry)
