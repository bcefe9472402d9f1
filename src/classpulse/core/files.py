"""Writing files and folders whole or not at all, with one clear error when it does not work.

A file stands as ``<name>.partial`` beside its place until it is whole.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from classpulse.core.errors import OutputError

PLACE = "place"  # what another one is to be chosen of, where no option of a command is known
_FULL = "free some space"
_ADVICE = {
    errno.ENOENT: "check that the folder exists",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
}


def partial_path(path: Path) -> Path:
    """Where a file stands while it is written."""
    return path.with_name(path.name + ".partial")


@contextmanager
def writing(
    path: Path, *, keep: bool = False, other: str = PLACE, aside: Path | None = None
) -> Iterator[None]:
    """Turn the operating system's errors into one `OutputError` that names the file.

    Args:
        keep: the message says that what was written so far is kept.
        other: what to choose another one of, for example ``--out``.
        aside: where `path` stands until it is whole, for a block that is the caller's: it may read
            too, and an error about a file that lies in neither of them stays what it is.
    """
    try:
        yield
    except OSError as error:
        if aside is not None and _is_elsewhere(error.filename, (path, aside)):
            raise
        advice = _ADVICE.get(error.errno or 0, "check the rights there")
        kept = ". What was written so far is kept" if keep else ""
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; {advice} or choose another "
            f"{other}{kept}"
        ) from None


def replace_with(partial: Path, path: Path, *, keep: bool = False, other: str = PLACE) -> None:
    """Give the finished file its name in one step.

    Raises:
        OutputError: it cannot have that name.
    """
    with writing(path, keep=keep, other=other):
        os.replace(partial, path)


@contextmanager
def new_file(path: Path, *, keep: bool = False, other: str = PLACE) -> Iterator[Path]:
    """A path to write to, which becomes `path` if the block ends well.

    Args:
        keep: what was written stays if the block fails; by default it is deleted.

    Raises:
        OutputError: the folder is not there, or nothing may be written in it.
    """
    if os.path.isdir(path):
        raise OutputError(f"{path} is a folder: give the name of a file")
    aside = partial_path(path)
    try:
        with writing(path, keep=keep, other=other, aside=aside):
            yield aside
            os.replace(aside, path)
    finally:
        if not keep:
            with suppress(OSError):
                aside.unlink()


def save_text(text: str, path: Path, *, keep: bool = False, other: str = PLACE) -> None:
    """Write a text file in one step, as UTF-8 with the line ends that `text` has.

    Raises:
        OutputError: as `new_file`.
    """
    with new_file(path, keep=keep, other=other) as aside:
        aside.write_text(text, encoding="utf-8", newline="")


def save_texts(texts: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Write text files, each in one step, into a folder that is made if need be: name -> path.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    make_folder(folder)
    for name, text in texts.items():
        save_text(text, folder / name)
    return {name: folder / name for name in texts}


def make_folder(path: Path, *, keep: bool = False, other: str = PLACE) -> None:
    """Make a folder, with those above it, and be sure that files can be written to it.

    Raises:
        OutputError: it is a file, or may not be made or written to.
    """
    for part in (path, *path.parents):
        if os.path.exists(part) and not os.path.isdir(part):
            raise OutputError(f"'{part}' is a file, not a folder: choose another {other}")
    with writing(path, keep=keep, other=other):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".classpulse-probe"
        probe.touch()
        probe.unlink()


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `path` if the block ends well and is deleted if not.

    Raises:
        OutputError: `path` is a file or holds something already, or nothing may be written there.
    """
    if os.path.exists(path) and not os.path.isdir(path):
        raise OutputError(f"{path} is a file: give a folder that is new or empty")
    with writing(path):
        if path.is_dir() and any(path.iterdir()):
            raise OutputError(f"{path} is not empty, and nothing is overwritten: give a new folder")
        path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path, parent=path.parent) as scratch:
        aside = scratch / "new"  # with the rights that the umask leaves, unlike `scratch` itself
        with writing(path, aside=aside):
            aside.mkdir()
            yield aside
            if path.is_dir():
                path.rmdir()
            aside.rename(path)


@contextmanager
def new_files(folder: Path, *, last: str) -> Iterator[Path]:
    """A folder to fill, whose files replace those of `folder` when the block has ended well.

    Until then `folder` stays as it was, also when the block fails or is interrupted; files that
    are only there stay in any case. One that is made for this and stays empty is removed again.

    Args:
        last: the file that is moved after all others. Give the one that vouches for them, so that
            not even an end between two moves leaves what passes for whole.

    Raises:
        OutputError: nothing may be written to `folder`.
    """
    made = not os.path.exists(folder)
    make_folder(folder)
    try:
        with scratch_folder(folder, parent=folder) as aside:
            yield aside
            files = sorted(aside.iterdir(), key=lambda file: (file.name == last, file.name))
            for file in files:
                replace_with(file, folder / file.name)
    finally:
        if made:
            with suppress(OSError):  # of a folder that holds something
                folder.rmdir()


@contextmanager
def scratch_folder(path: Path, *, parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` for what `path` will hold, deleted with all that stays in it.

    It is for its owner alone.

    Raises:
        OutputError: nothing may be written to `parent`.
    """
    with writing(path):
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=parent))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_elsewhere(name: object, places: Iterable[Path]) -> bool:
    """Is it the name of a file, as `OSError` has it, that is and lies in none of the places?"""
    if not isinstance(name, str | bytes | os.PathLike):
        return False
    file = Path(os.path.abspath(os.fsdecode(name)))
    return not any(file.is_relative_to(os.path.abspath(place)) for place in places)
