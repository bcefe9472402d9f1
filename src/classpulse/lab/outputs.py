"""Writing files and folders whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from classpulse.core.errors import OutputError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` if the block ends well and is deleted if not.

    Raises:
        OutputError: the folder is not there, or nothing may be written in it.
    """
    if os.path.isdir(path):
        raise OutputError(f"{path} is a folder: give the name of a file")
    aside = path.with_name(f".{path.name}.partial")
    try:
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise OutputError(_advice(path, error)) from None
    finally:
        if os.path.exists(aside):
            aside.unlink()


def save_text(text: str, path: Path) -> None:
    """Write a text file in one step, as UTF-8 with the line ends that `text` has.

    Raises:
        OutputError: as `new_file`.
    """
    with new_file(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="")


def save_texts(texts: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Write text files, each in one step, into a folder that is made if need be: name -> path.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    for name, text in texts.items():
        save_text(text, folder / name)
    return {name: folder / name for name in texts}


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` if the block ends well and is deleted if not.

    Raises:
        OutputError: `path` is a file or holds something already, or nothing may be written there.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise OutputError(f"{path} is a file: give a folder that is new or empty")
    aside: Path | None = None
    try:
        if path.is_dir() and any(path.iterdir()):
            raise OutputError(f"{path} is not empty, and nothing is overwritten: give a new folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        aside.chmod(0o755)  # mkdtemp's folder is for its owner alone
        yield aside
        if path.is_dir():
            path.rmdir()
        aside.rename(path)
    except OSError as error:
        raise OutputError(_advice(path, error)) from None
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _advice(path: Path, error: OSError) -> str:
    return (
        f"cannot write {path}: {error.strerror or error}; check that the folder exists and may be "
        "written to, or choose another place"
    )
