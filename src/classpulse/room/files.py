"""`core.files` as the room uses it: what was written so far is kept, and --out is the place."""

from contextlib import AbstractContextManager
from pathlib import Path

from classpulse.core import files
from classpulse.core.files import partial_path

__all__ = ["make_folder", "partial_path", "replace_with", "write_text", "writing"]

OPTION = "--out"


def writing(path: Path) -> AbstractContextManager[None]:
    """Turn the operating system's errors into one `OutputError` that names the file."""
    return files.writing(path, keep=True, other=OPTION)


def replace_with(partial: Path, path: Path) -> None:
    """Give the finished file its name in one step."""
    files.replace_with(partial, path, keep=True, other=OPTION)


def write_text(text: str, path: Path) -> None:
    """Write a text file atomically."""
    files.save_text(text, path, keep=True, other=OPTION)


def make_folder(path: Path) -> None:
    """Create the output folder and make sure it can be written to.

    Raises:
        OutputError: it is a file, or may not be created or written to.
    """
    files.make_folder(path, keep=True, other=OPTION)
