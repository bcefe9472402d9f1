"""Open anything that gives pictures: files, folders, patterns, pipes, webcams and network cameras.

Content decides over the file extension; the extension decides only where content is unclear.
"""

import glob
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, cast

from classpulse.core.errors import FileTypeError, InputError
from classpulse.core.records import Source
from classpulse.vision import header
from classpulse.vision.camera import open_camera
from classpulse.vision.rtsp import open_rtsp, redact
from classpulse.vision.stills import IMAGE_SUFFIXES, MAX_FILE_BYTES, StillSource, natural_key
from classpulse.vision.video import VIDEO_SUFFIXES, VideoSource

KINDS = (
    "an image, a video, a folder of images, a pattern such as 'lesson/*.jpg', camera:N, "
    "an rtsp:// address, or - for standard input"
)


def open_source(
    spec: str | Path,
    *,
    every: float | None = None,
    reconnect: float = 30.0,
    still_seconds: float = 1.0,
) -> Source:
    """Source of frames for what `spec` names; use it in a ``with`` statement and iterate once.

    Args:
        spec: image, video or animated GIF file; folder (its images in natural order, other and
            hidden files ignored); glob pattern; ``camera:N``; ``rtsp://`` or ``rtsps://`` address;
            ``-`` for a video or image on standard input.
        every: seconds between frames of a video or live source: the first frame, then the first
            at or after each next multiple. None for all. Stills are all yielded, always.
        reconnect: seconds a live source may be lost before it is given up.
        still_seconds: time from one still to the next.

    Raises:
        InputError: nothing there, not readable, of an unknown type, or an option out of range;
            here where it is cheap to know, otherwise on entering or while iterating.
    """
    text = str(spec)
    _check_seconds(every=every, reconnect=reconnect, still_seconds=still_seconds)
    if text == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed: pipe a video or an image into it")
        return _open_pipe(sys.stdin.buffer, every=every, still_seconds=still_seconds)
    if text.startswith("camera:"):
        return open_camera(_camera_number(text), every=every, reconnect=reconnect)
    if text.lower().startswith(("rtsp://", "rtsps://")):
        return open_rtsp(text, every=every, reconnect=reconnect)
    if "://" in text:
        raise InputError(f"'{redact(text)}' is not supported: give {KINDS}")
    return _open_path(text, every=every, still_seconds=still_seconds)


def _check_seconds(*, every: float | None, reconnect: float, still_seconds: float) -> None:
    for name, value, low in (
        ("every", every, "> 0, or None for every frame"),
        ("reconnect", reconnect, ">= 0"),
        ("still_seconds", still_seconds, "> 0"),
    ):
        good = value is None or 0 < value < float("inf") or (name == "reconnect" and value == 0)
        if not good:
            raise InputError(f"{name} = {value} is not possible: give seconds {low}")


def _camera_number(text: str) -> int:
    match = re.fullmatch(r"camera:(\d{1,3})", text, re.ASCII)
    if match is None:
        raise InputError(f"'{text}' is not a camera: give camera:N with N = 0, 1, 2 ...")
    return int(match[1])


def _open_path(text: str, *, every: float | None, still_seconds: float) -> Source:
    path = Path(text)
    try:
        if text.strip() == "" or not path.exists():
            return _open_pattern(text, every=every, still_seconds=still_seconds)
        if path.is_dir():
            stills = _images(path.iterdir())
            if not stills:
                raise InputError(
                    f"the folder '{text}' has no images: allowed are {', '.join(IMAGE_SUFFIXES)}"
                )
            return StillSource(stills, name=text, still_seconds=still_seconds)
        if not path.is_file():
            raise InputError(f"'{text}' is a device or pipe, not a file: give {KINDS}")
        with path.open("rb") as file:
            head = file.read(header.HEAD_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        if isinstance(error, InputError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"'{text}' cannot be opened: {reason}; check its rights") from error
    return _open_file(path, head, every=every, still_seconds=still_seconds)


def _open_pattern(text: str, *, every: float | None, still_seconds: float) -> Source:
    if not glob.has_magic(text):
        raise InputError(f"'{text}' does not exist: give {KINDS}")
    matches = [Path(match) for match in glob.glob(text, recursive=True)]
    if len(matches) == 1:
        return _open_path(str(matches[0]), every=every, still_seconds=still_seconds)
    stills = _images(matches)
    if not stills:
        raise InputError(
            f"the pattern '{text}' matches {len(matches)} files, none of them an image: allowed "
            f"are {', '.join(IMAGE_SUFFIXES)}; a video is given by its own name"
        )
    return StillSource(stills, name=text, still_seconds=still_seconds)


def _images(paths: Iterable[Path]) -> list[Path]:
    """The visible image files among `paths`, img2 before img10."""
    found = [
        path
        for path in paths
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    ]
    return sorted(found, key=natural_key)


def _open_file(path: Path, head: bytes, *, every: float | None, still_seconds: float) -> Source:
    kind = header.sniff(head)
    suffix = path.suffix.lower()
    if not head:
        raise InputError(f"'{path}' is empty (0 bytes): copy the file again")
    if kind in ("gif", "video") or (kind is None and suffix in VIDEO_SUFFIXES):
        return VideoSource(str(path), name=str(path), every=every)
    if kind is not None or suffix in IMAGE_SUFFIXES:
        return StillSource([path], name=str(path), still_seconds=still_seconds)
    raise FileTypeError(
        f"'{path}' is of an unsupported type: allowed are "
        f"{', '.join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)}"
    )


class _Pipe:
    """Bytes already taken from a stream that cannot go back, then the rest of it."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int) -> bytes:
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        return self._rest.read(size)


def _open_pipe(stream: BinaryIO, *, every: float | None, still_seconds: float) -> Source:
    """The video or image in `stream`, which stays open; waits for the first bytes."""
    name = "standard input"
    head = stream.read(header.HEAD_BYTES)
    kind = header.sniff(head)
    if not head:
        raise InputError(f"'{name}' is empty: pipe a video or an image into it")
    if kind in header.STILL_KINDS or kind == "heif":
        data = head + stream.read(MAX_FILE_BYTES - len(head))
        return StillSource([data], name=name, still_seconds=still_seconds)
    if stream.seekable():  # redirected from a file: an index at the end can be reached
        stream.seek(-len(head), 1)
        return VideoSource(stream, name=name, every=every)
    return VideoSource(cast("BinaryIO", _Pipe(head, stream)), name=name, every=every)
