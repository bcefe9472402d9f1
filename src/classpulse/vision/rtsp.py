"""Network cameras over RTSP, through PyAV and over TCP. Passwords never reach a message."""

import re
from functools import partial

import av
from av.container import InputContainer
from av.video.reformatter import VideoReformatter

from classpulse.core.errors import InputError
from classpulse.vision.live import Feed, LiveSource, LostError
from classpulse.vision.video import decode_packet, describe, find_pictures, read_rgb

OPEN_SECONDS = 5.0
READ_SECONDS = 5.0
ADVICE = (
    "check that the camera is on and in this network, the port and path of the address, "
    "user and password"
)
_PARAMETER = re.compile(r"[/?;&#][^/?;&#=]*=")
_PUBLIC = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[\w.-]+)(:\d+)?(/[^?#&=;]*)?")


def open_rtsp(url: str, *, every: float | None = None, reconnect: float = 30.0) -> LiveSource:
    """Stream at an ``rtsp://`` or ``rtsps://`` address as a live source; see `LiveSource`."""
    return LiveSource(
        partial(read_rtsp, url),
        name=redact(url),
        advice=ADVICE,
        every=every,
        reconnect=reconnect,
    )


def redact(url: str) -> str:
    """`url` without user, password, and anything that looks like a parameter (some cameras take
    the password in the path or query)."""
    scheme, _, rest = url.partition("://")
    secret, _, rest = rest.rpartition("@")
    # an @ behind a parameter may belong to its value: then what follows is of a password
    public = None if _PARAMETER.search(secret) else _PUBLIC.match(rest)
    return f"{scheme}://{public.group() if public else '...'}"


def read_rtsp(url: str) -> Feed:
    """Feed of an RTSP stream; damaged packets are passed over.

    Raises:
        LostError: no connection, no pictures in it, or nothing for `READ_SECONDS`.
    """
    container, reason = _connect(url)
    if container is None:
        raise LostError(reason)
    with container:
        yield from _read(container)


def _connect(url: str) -> tuple[InputContainer | None, str]:
    # returns the reason instead of raising: FFmpeg's errors carry the address with its password,
    # also as the context of another exception
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}
    try:
        return av.open(url, "r", options=options, timeout=(OPEN_SECONDS, READ_SECONDS)), ""
    except (av.FFmpegError, OSError) as error:
        return None, describe(error)


def _read(container: InputContainer) -> Feed:
    reason = "the stream ended"
    try:
        stream = find_pictures(container, name="the stream")
        stream.codec_context.thread_type = "SLICE"  # frame threads would delay every picture
        reformatter = VideoReformatter()
        for packet in container.demux(stream):
            for frame in decode_packet(packet, stream) or ():
                if not frame.is_corrupt:
                    yield partial(read_rgb, frame, reformatter)
    except InputError as error:
        reason = str(error)
    except (av.FFmpegError, OSError) as error:
        reason = describe(error)
    raise LostError(reason)
