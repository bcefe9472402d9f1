"""What a file is and how large its picture is, from its first bytes and without decoding.

A wrong extension must not decide how a file is read, and a picture of a gigapixel must be refused
before a decoder allocates it.
"""

import struct
from collections.abc import Callable
from typing import Literal

Kind = Literal["jpeg", "png", "bmp", "webp", "tiff", "gif", "heif", "video"]

HEAD_BYTES = 400  # two MPEG-TS packets of 188 bytes, and more than any other signature
STILL_KINDS = ("jpeg", "png", "bmp", "webp", "tiff")

_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x1a\x45\xdf\xa3", "video"),  # Matroska, WebM
    (b"\x00\x00\x01\xba", "video"),  # MPEG program stream
    (b"\x00\x00\x01\xb3", "video"),  # MPEG video
)
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TIFF_TYPES = {1: "B", 3: "H", 4: "I"}  # byte, short, long


def sniff(head: bytes) -> Kind | None:
    """Kind of a file from its first `HEAD_BYTES` bytes; None when nothing is recognized."""
    if head[:4] == b"RIFF":
        kinds: dict[bytes, Kind] = {b"WEBP": "webp", b"AVI ": "video"}
        return kinds.get(head[8:12])
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "heif"
    if head[4:8] in _MP4_BOXES or (head[:1] == b"G" and head[188:189] == b"G"):
        return "video"
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)


def read_size(data: bytes, kind: Kind) -> tuple[int, int]:
    """(width, height) in pixels as stored, before any EXIF rotation.

    Args:
        data: the whole file; JPEG and TIFF may keep the size anywhere in it.
        kind: one of `STILL_KINDS`.

    Raises:
        ValueError: the header is cut short or gives no positive size.
    """
    try:
        width, height = _SIZES[kind](data)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"the {kind} header is incomplete") from error
    if width < 1 or height < 1:
        raise ValueError(f"the {kind} header says {width} x {height} pixels")
    return width, height


def has_alpha(data: bytes, kind: Kind) -> bool:
    """Whether a PNG or WebP file declares transparency; False for all other kinds."""
    if kind == "png":
        return data[25] in (4, 6) or b"tRNS" in data[: max(data.find(b"IDAT"), 0)]
    if kind == "webp":
        if data[12:16] == b"VP8X":
            return bool(data[20] & 0x10)
        return data[12:16] == b"VP8L" and bool(data[24] & 0x10)
    return False


def read_orientation(exif: bytes) -> int:
    """EXIF orientation 1 to 8 of a TIFF-framed EXIF block; 1 when it is absent or unreadable."""
    try:
        value = _tiff_tags(exif.removeprefix(b"Exif\x00\x00")).get(274, 1)
    except (struct.error, IndexError):
        return 1
    return value if 1 <= value <= 8 else 1


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # the OS/2 header has 16-bit sizes
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)  # a negative height means rows from top to bottom


def _webp_size(data: bytes) -> tuple[int, int]:
    form = data[12:16]
    if form == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
    elif form == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("the jpeg header is damaged")
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]


def _tiff_size(data: bytes) -> tuple[int, int]:
    tags = _tiff_tags(data)
    return tags[256], tags[257]


def _tiff_tags(data: bytes) -> dict[int, int]:
    """First value of the integer tags in the first directory: tag -> value."""
    order = "<" if data[:2] == b"II" else ">"
    start = struct.unpack_from(order + "I", data, 4)[0]
    tags = {}
    for row in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + 12 * row
        tag, code, count = struct.unpack_from(order + "HHI", data, at)
        if code in _TIFF_TYPES and count == 1:
            tags[tag] = struct.unpack_from(order + _TIFF_TYPES[code], data, at + 8)[0]
    return tags


_SIZES: dict[Kind, Callable[[bytes], tuple[int, int]]] = {
    "jpeg": _jpeg_size,
    "png": _png_size,
    "bmp": _bmp_size,
    "webp": _webp_size,
    "tiff": _tiff_size,
}
