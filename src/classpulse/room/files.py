"""Writing results: atomically, and with one clear error when it does not work."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classpulse.core.errors import OutputError


def partial_path(path: Path) -> Path:
    """Where a file stands while it is written."""
    return path.with_name(path.name + ".partial")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into one `OutputError` that names the file."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "free some space" if full else "check the rights there"
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; {advice} or choose another --out. "
            "What was written so far is kept"
        ) from None


def replace_with(partial: Path, path: Path) -> None:
    """Give the finished file its name in one step."""
    with writing(path):
        os.replace(partial, path)


def write_text(text: str, path: Path) -> None:
    """Write a text file atomically."""
    partial = partial_path(path)
    with writing(path):
        partial.write_text(text, encoding="utf-8")
    replace_with(partial, path)


def make_folder(path: Path) -> None:
    """Create the output folder and make sure it can be written to.

    Raises:
        OutputError: it is a file, or may not be created or written to.
    """
    for part in (path, *path.parents):
        if os.path.exists(part) and not os.path.isdir(part):
            raise OutputError(f"'{part}' is a file, not a folder: choose another --out")
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".classpulse-probe"
        probe.touch()
        probe.unlink()
