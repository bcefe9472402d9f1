"""Still pictures as a source: one image, a folder, or the matches of a glob pattern.

Every picture becomes (h, w, 3) uint8 RGB, upright by its EXIF orientation. Transparent parts of
PNG and WebP show white. Deeper than 8 bits is scaled down to 8; CMYK is converted by the decoder.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Frame
from classpulse.vision import header
from classpulse.vision.quiet import quiet_opencv

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
FULL_PIXELS = 50_000_000  # up to here a picture is kept as it is
REDUCED_PIXELS = 25_000_000  # larger ones are halved until they fit here
MAX_PIXELS = 400_000_000  # refused: PNG, WebP and TIFF decoders need 3 to 4 bytes for each
MAX_FILE_BYTES = 1 << 30

_JPEG_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

logger = logging.getLogger(__name__)


def natural_key(path: Path) -> tuple[list[str | int], str]:
    """Sort key under which ``img2`` comes before ``img10``."""
    parts = re.split(r"(\d+)", path.name.casefold())  # text and digits alternate
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], str(path)


def decode_still(data: bytes, *, name: str) -> NDArray[np.uint8]:
    """An encoded picture -> (h, w, 3) uint8 RGB, upright.

    Pictures above `FULL_PIXELS` come back halved until they have at most `REDUCED_PIXELS`.

    Args:
        data: the whole file.
        name: the file, for messages.

    Raises:
        InputError: empty, not a picture, damaged, or above `MAX_PIXELS`.
    """
    kind = header.sniff(data[: header.HEAD_BYTES])
    if kind not in header.STILL_KINDS:
        raise InputError(_refusal(data, name=name, kind=kind))
    try:
        width, height = header.read_size(data, kind)
    except ValueError as error:
        raise InputError(f"'{name}' is damaged: {error}; copy the file again") from error
    if width * height > MAX_PIXELS:
        raise InputError(
            f"'{name}' has {width} x {height} pixels, the limit is {MAX_PIXELS // 1_000_000} "
            "megapixels: save it smaller"
        )
    factor = _reduction(width * height)
    with quiet_opencv():
        image = _decode(np.frombuffer(data, np.uint8), data, kind=kind, factor=factor)
    if image is None:
        raise InputError(
            f"'{name}' starts like a {kind} image but cannot be decoded: it is damaged or uses "
            "a rare variant; save it again as 8-bit JPEG or PNG"
        )
    return image


def read_still(path: Path) -> NDArray[np.uint8]:
    """An image file -> (h, w, 3) uint8 RGB; see `decode_still`.

    Raises:
        InputError: also when the file cannot be opened or is larger than `MAX_FILE_BYTES`.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(
                f"'{path}' has {size} bytes, the limit for an image is {MAX_FILE_BYTES}: save it "
                "smaller"
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"'{path}' cannot be read: {error.strerror}") from error
    return decode_still(data, name=str(path))


class StillSource:
    """Pictures one after the other, each shown for the same time.

    Picture i of the list has t = i * still_seconds. A picture that cannot be read is skipped with a
    warning and keeps its place in time; `skipped` counts them. With a single picture, or when all
    are unreadable, entering raises instead.

    Args:
        stills: files, or encoded pictures as bytes, in order; not empty.
        name: of the source, for messages.
        still_seconds: time each picture stands for.

    Raises:
        InputError: on entering, when no picture can be read.
    """

    live = False
    sequence = False

    def __init__(
        self, stills: Sequence[Path | bytes], *, name: str, still_seconds: float = 1.0
    ) -> None:
        if not 0 < still_seconds < float("inf"):
            raise InputError(f"still_seconds = {still_seconds} is not possible: give seconds > 0")
        self.name = name
        self.duration: float | None = len(stills) * still_seconds
        self._stills = stills
        self._seconds = still_seconds
        self._broken: dict[int, InputError] = {}
        self._ahead: tuple[int, NDArray[np.uint8]] | None = None

    @property
    def skipped(self) -> int:
        """Pictures that could not be read so far."""
        return len(self._broken)

    def __enter__(self) -> Self:
        self._ahead = next(self._pictures(0), None)
        if self._ahead is None:
            first = self._broken[0]
            if len(self._stills) == 1:
                raise first
            raise InputError(
                f"none of the {len(self._stills)} images of '{self.name}' can be read; the first: "
                f"{first}"
            )
        return self

    def __exit__(self, *exc: object) -> None:
        self._ahead = None

    def __iter__(self) -> Iterator[Frame]:
        start = 0
        if self._ahead is not None:  # decoded on entering; kept no longer than until used
            (index, image), self._ahead = self._ahead, None
            yield Frame(image, index * self._seconds, index, self.name)
            start = index + 1
        for index, image in self._pictures(start):
            yield Frame(image, index * self._seconds, index, self.name)

    def _pictures(self, start: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(index, image) of each readable picture from `start` on."""
        for index in range(start, len(self._stills)):
            still = self._stills[index]
            try:
                image = (
                    decode_still(still, name=self.name)
                    if isinstance(still, bytes)
                    else read_still(still)
                )
            except InputError as error:
                if index not in self._broken and len(self._stills) > 1:
                    logger.warning("skipped: %s", error)
                self._broken[index] = error
                continue
            yield index, image


def _reduction(pixels: int) -> int:
    """1, 2, 4 or 8: the smallest factor on both sides that respects the limits."""
    if pixels <= FULL_PIXELS:
        return 1
    return next(factor for factor in (2, 4, 8) if pixels <= REDUCED_PIXELS * factor**2)


def _refusal(data: bytes, *, name: str, kind: header.Kind | None) -> str:
    if not data:
        return f"'{name}' is empty (0 bytes): copy the file again"
    if kind == "heif":
        return f"'{name}' is a HEIC or AVIF image, which is not supported: save it as JPEG or PNG"
    found = f"its content is a {kind}" if kind else "its content is something else"
    return (
        f"'{name}' is not an image: {found}; allowed are JPEG, PNG, BMP, WebP and TIFF: give the "
        "original file"
    )


def _decode(
    buffer: NDArray[np.uint8], data: bytes, *, kind: header.Kind, factor: int
) -> NDArray[np.uint8] | None:
    """RGB at 1 / `factor` of the size, or None when OpenCV gives up."""
    try:
        if factor > 1 and kind == "jpeg":  # the only decoder here that reduces while it reads
            image = cv2.imdecode(buffer, _JPEG_REDUCED[factor])  # has no RGB twin
            if image is None:
                return None
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        if header.has_alpha(data, kind):
            image = _decode_on_white(buffer)
        else:
            image = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None
    if image is None:
        return None
    if factor > 1:
        height, width = image.shape[:2]
        size = (max(width // factor, 1), max(height // factor, 1))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(image, dtype=np.uint8)


def _decode_on_white(buffer: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """A picture with alpha over a white ground: hidden colors must not become visible."""
    # IMREAD_UNCHANGED is the only mode that keeps alpha, and it ignores the orientation
    image, kinds, blocks = cv2.imdecodeWithMetadata(buffer, flags=cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    if image.dtype == np.uint16:
        image = np.right_shift(np.asarray(image, dtype=np.uint16), 8).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    elif image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    else:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
        alpha = image[..., 3:].astype(np.uint16)
        mixed = (image[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        image = mixed.astype(np.uint8)
    exif = [b for kind, b in zip(kinds, blocks, strict=True) if kind == cv2.IMAGE_METADATA_EXIF]
    orientation = header.read_orientation(np.asarray(exif[0]).tobytes()) if exif else 1
    return _upright(np.asarray(image, dtype=np.uint8), orientation)


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(h, w, 3) turned and mirrored as EXIF `orientation` 1 to 8 asks."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)  # (h, w, 3) -> (w, h, 3)
    down = -1 if orientation in (3, 4, 7, 8) else 1
    across = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(image[::down, ::across])
