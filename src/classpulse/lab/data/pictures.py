"""The pictures of a data set, in a folder or inside a zip file, which is read without unpacking."""

import math
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, OutputError
from classpulse.lab.data.cache import OnProgress, cache_folder, hash_source, ignore_progress
from classpulse.vision.image import resize, to_grey, to_rgb
from classpulse.vision.stills import IMAGE_SUFFIXES, decode_still

MAX_BYTES = 64 << 20  # of one picture; a face crop has some kilobytes
IN_MEMORY = 512 << 20  # bytes; larger arrays are built in a temporary file


@dataclass(frozen=True, slots=True)
class Tree:
    """An open folder or zip file.

    Args:
        path: of the folder or zip file.
        pictures: names of its pictures, sorted, ``/`` between folders; hidden files and the
            leftovers of macOS do not count.
        read: name -> bytes of a file; raises `InputError` where it cannot be read.
    """

    path: Path
    pictures: tuple[str, ...]
    read: Callable[[str], bytes]

    def hash_pictures(self) -> str:
        """SHA-256 over the pictures of a folder, or of the zip file."""
        return hash_source(self.path, files=[self.path / name for name in self.pictures])


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The pictures below a folder or in a zip file.

    Raises:
        InputError: it cannot be opened, is no zip file, or holds no pictures.
    """
    if path.is_dir():
        yield Tree(path, _need_pictures(_names_below(path), path), lambda n: _read(path / n))
        return
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} is not a whole zip file ({error}); get it again, or give a folder"
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None
    with archive:
        names = _need_pictures(archive.namelist(), path)
        yield Tree(path, names, lambda name: _read_zipped(archive, name, path))


def hash_pictures(path: Path) -> str:
    """As `Tree.hash_pictures`, of a folder or zip file that is not open.

    Raises:
        InputError: as `open_tree`, or a picture cannot be read.
    """
    with open_tree(path) as tree:
        return tree.hash_pictures()


def load_pictures(
    tree: Tree,
    names: Sequence[str],
    *,
    side: int,
    color: bool | None,
    scaled: bool,
    on_progress: OnProgress = ignore_progress,
) -> NDArray[np.uint8]:
    """Square pictures as one array: (n, side, side) grey or (n, side, side, 3) RGB, uint8.

    Args:
        side: of the result in pixels.
        color: keep it; None keeps it if any picture has some (red, green and blue differ).
        scaled: stretch a picture of any size to the square; else another size is refused.
        on_progress: called with pictures read and pictures in all.

    Raises:
        InputError: a picture is missing, damaged or of another size; it is named.
    """
    colored = bool(color)
    images = _allocate((len(names), side, side) + (3,) * colored)
    for i, name in enumerate(names):
        image = decode_still(tree.read(name), name=str(tree.path / name))
        if not scaled and image.shape[:2] != (side, side):
            raise InputError(
                f"{tree.path / name} has {image.shape[1]} x {image.shape[0]} pixels, this set has "
                f"{side} x {side}; to scale pictures, read them as layout 'face-folders'"
            )
        if color is None and not colored and bool((image != image[:, :, :1]).any()):
            images, colored = _to_color(images), True
        image = to_rgb(image) if colored else to_grey(image)
        images[i] = resize(image, width=side, height=side)
        on_progress(i + 1, len(names))
    return images


def list_pictures(folder: Path) -> Iterator[Path]:
    """Pictures directly in a folder, in any order, one at a time."""
    return (file for file in folder.iterdir() if _is_picture(file.name) and file.is_file())


def list_folders(folder: Path) -> list[Path]:
    """Folders directly in a folder, sorted, hidden ones left out."""
    return sorted(f for f in folder.iterdir() if f.is_dir() and not _is_leftover(f.name))


def check_side(side: int) -> None:
    """`InputError` unless a picture can have this side: 8 .. 512 pixels."""
    if not 8 <= side <= 512:
        raise InputError(f"pictures of {side} x {side} pixels: give a side of 8 to 512")


def _allocate(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeros; where they are many, in a nameless file beside the cache, not in memory."""
    if math.prod(shape) <= IN_MEMORY:
        return np.zeros(shape, dtype=np.uint8)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"{folder} has no room for {math.prod(shape) >> 20} MB of pictures ({error.strerror}): "
            "name another folder in CLASSPULSE_CACHE, or a smaller side"
        ) from None


def _to_color(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colored = _allocate((*images.shape, 3))
    colored[:] = images[..., None]  # (n, side, side) -> (n, side, side, 3)
    return colored


def _need_pictures(names: Sequence[str], path: Path) -> tuple[str, ...]:
    pictures = tuple(sorted(name for name in names if _is_picture(name)))
    if not pictures:
        raise InputError(f"{path} holds no pictures: needs {', '.join(IMAGE_SUFFIXES)}")
    return pictures


def _is_picture(name: str) -> bool:
    known = name.lower().endswith(IMAGE_SUFFIXES)
    return known and not any(map(_is_leftover, PurePosixPath(name).parts))


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _names_below(path: Path) -> list[str]:
    try:
        files = [file for file in path.rglob("*") if file.is_file()]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None
    return [file.relative_to(path).as_posix() for file in files]


def _read(file: Path) -> bytes:
    try:
        _check_size(file.stat().st_size, file)
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; check path and rights") from None


def _read_zipped(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        _check_size(archive.getinfo(name).file_size, path / name)
        return archive.read(name)
    except KeyError:
        raise InputError(f"{path} does not hold {name}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{path / name} is damaged ({error}): get the zip file again") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or a rare compression
        raise InputError(f"{path / name} cannot be read ({error}): unpack it yourself") from None


def _check_size(size: int, file: Path) -> None:
    if size > MAX_BYTES:
        raise InputError(f"{file} has {size} bytes, a face crop has at most {MAX_BYTES}")
