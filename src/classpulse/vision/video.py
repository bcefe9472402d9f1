"""Video files, animated GIF and piped video through PyAV.

Frames come upright (the display matrix of the file is applied) and with the decoder's own time.
Only frames that are asked for are converted to RGB. Memory does not depend on the length.
"""

import logging
from collections.abc import Generator, Iterator
from itertools import chain, islice
from typing import BinaryIO, Self

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Frame
from classpulse.vision.clock import Clock, Sampler

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".ts", ".gif")
DECODER_THREADS = 2
FALLBACK_RATE = 25.0  # frames per second, for a stream that tells neither times nor rate
SHORT_SECONDS = 1.0  # pictures may end this much before the announced end (longer sound)

# A playlist (HLS, concat) named .mp4 must not make the demuxer fetch other files or addresses.
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif",
    "protocol_whitelist": "file",
}

logger = logging.getLogger(__name__)


class VideoSource:
    """The pictures of one video; read once.

    `index` counts decoded frames. Damaged parts are left out and reported with one warning at the
    end, as long as at least one frame was decoded. `duration` is what the file announces (None
    where it does not tell), corrected after the last frame when the pictures end much earlier.

    Args:
        file: a path, or a binary stream that is read from its position and stays open.
        name: of the source, for messages.
        every: seconds between yielded frames, see `Sampler`; None for all.

    Raises:
        InputError: on entering: not a video, damaged, without pictures; nothing decodes.
    """

    live = False

    def __init__(self, file: str | BinaryIO, *, name: str, every: float | None = None) -> None:
        self.name = name
        self.duration: float | None = None
        self.sequence = True
        self._file = file
        self._sampler = Sampler(every)
        self._container: InputContainer | None = None
        self._frames: Generator[VideoFrame, None, None] | None = None
        self._head: tuple[VideoFrame, ...] = ()
        self._broken = 0
        self._begun = False

    def __enter__(self) -> Self:
        container, reason = open_container(self._file)
        if container is None:
            raise InputError(
                f"'{self.name}' is not a readable video: {reason}; it may be cut off, damaged or "
                f"of another type: copy or export the file again{self._pipe_hint()}"
            )
        self._container = container
        try:
            self._stream = find_pictures(container, name=self.name)
            self._start(container)
        except BaseException:  # __exit__ is not called for a failed __enter__
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        # first the frames: an iterator that outlives the source would decode a freed container,
        # which ends the process (PyAV 18)
        if self._frames is not None:
            self._frames.close()
        if self._container is not None:
            self._container.close()
        self._container, self._frames, self._head = None, None, ()

    def __iter__(self) -> Iterator[Frame]:
        if self._frames is None or self._begun:
            raise InputError(f"'{self.name}' is read once, inside 'with': open it again")
        frames, self._begun = self._frames, True
        clock = Clock(start=_start_time(self._stream), step=1.0 / _rate(self._stream))
        reformatter = VideoReformatter()
        t = 0.0
        for index, frame in enumerate(chain(self._head, frames)):
            t = clock.tick(frame.time if frame.pts is not None else None)
            if self._sampler.keeps(t):
                yield Frame(read_rgb(frame, reformatter), t, index, self.name)
        if self._container is not None:
            self._report(t)

    def _start(self, container: InputContainer) -> None:
        """Decode two frames: a file without any must fail early, one frame is a still picture."""
        self._stream.codec_context.thread_count = DECODER_THREADS
        self._stream.codec_context.thread_type = "AUTO"
        self.duration = _duration(container, self._stream)
        self._frames = self._decode(container)
        self._head = tuple(islice(self._frames, 2))
        self.sequence = len(self._head) > 1
        if not self._head:
            raise InputError(
                f"'{self.name}' has a video stream, but no frame of it can be decoded "
                f"({self._broken} damaged parts): copy or export the file again{self._pipe_hint()}"
            )

    def _pipe_hint(self) -> str:
        """Piping an mp4 with its index at the end is the usual reason why only the pipe fails."""
        if isinstance(self._file, str):
            return ""
        return "; a piped mp4 needs its index in front (ffmpeg -movflags faststart)"

    def _decode(self, container: InputContainer) -> Generator[VideoFrame, None, None]:
        packets = container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError):
                self._broken += 1
                yield from decode_packet(None, self._stream) or ()
                return
            frames = decode_packet(packet, self._stream)
            self._broken += frames is None or packet.is_corrupt
            for frame in frames or ():
                if frame.is_corrupt:
                    self._broken += 1
                else:
                    yield frame

    def _report(self, end: float) -> None:
        if self._broken:
            logger.warning("'%s': %d damaged parts were left out", self.name, self._broken)
        seen = end + 1 / _rate(self._stream)
        if self.duration is None or seen >= self.duration - SHORT_SECONDS:
            return
        # Matroska counts from 0 also where the pictures start later
        if seen + (_start_time(self._stream) or 0.0) < self.duration - SHORT_SECONDS:
            logger.warning(
                "'%s': pictures end at %.1f s of the %.1f s announced; the file may be cut off",
                self.name,
                end,
                self.duration,
            )
        self.duration = seen


def open_container(file: str | BinaryIO) -> tuple[InputContainer | None, str]:
    """(container, "") or (None, why it cannot be opened)."""
    try:
        if isinstance(file, str):  # the prefix keeps a colon in a name from being a protocol
            return av.open(f"file:{file}", "r", options=_OPTIONS), ""
        return av.open(file, "r", options={"format_whitelist": _OPTIONS["format_whitelist"]}), ""
    except (av.FFmpegError, OSError) as error:
        return None, describe(error)


def describe(error: Exception) -> str:
    """FFmpeg's reason without the address it concerns, which may hold a password."""
    if isinstance(error, av.error.ExitError | TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or type(error).__name__)


def find_pictures(container: InputContainer, *, name: str) -> VideoStream:
    """First video stream that is not a cover picture.

    Raises:
        InputError: there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
    raise InputError(f"'{name}' has no pictures, its streams are: {kinds}; give a video")


def decode_packet(
    packet: "Packet[VideoStream] | None", stream: VideoStream
) -> list[VideoFrame] | None:
    """Frames that `packet` completes (None: those left in the decoder), or None if it is broken."""
    try:
        return stream.decode(packet)
    except (av.FFmpegError, OSError):
        return None


def read_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """Decoded frame -> (h, w, 3) uint8 RGB, upright; transparent parts as stored."""
    # keeping the reformatter keeps its conversion tables from frame to frame
    image = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    side = frame.side_data.get("DISPLAYMATRIX")
    upright = np.asarray(image, dtype=np.uint8)
    if isinstance(side, SideData):
        upright = orient(upright, np.frombuffer(bytes(side)[:36], dtype="=i4"))
    return np.ascontiguousarray(upright)


def orient(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Turn and mirror by a display matrix, to the nearest quarter turn.

    Args:
        image: (h, w, 3).
        matrix: (9,) a, b, u, c, d, v, x, y, w; a point moves to x' = a x + c y, y' = b x + d y
            (ISO/IEC 14496-12, 8.2.2).
    """
    a, b, _, c, d = (int(value) for value in matrix[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        image = image.transpose(1, 0, 2)  # (h, w, 3) -> (w, h, 3)
        across, down = c < 0, b < 0
    else:
        across, down = a < 0, d < 0
    return image[:: -1 if down else 1, :: -1 if across else 1]


def _rate(stream: VideoStream) -> float:
    """Average frames per second, > 0."""
    return float(stream.average_rate or stream.guessed_rate or FALLBACK_RATE)


def _start_time(stream: VideoStream) -> float | None:
    if stream.start_time is None or stream.time_base is None:
        return None
    return float(stream.start_time * stream.time_base)


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
