"""Small pictures, videos and an RTSP camera for tests, made on the spot."""

import io
import socket
import threading
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
CODECS = {
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
    ".avi": "mpeg4",
    ".mpg": "mpeg1video",
    ".ts": "mpeg2video",
}


def quarters(height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    """Red, green / blue, yellow quarters: every rotation and mirror image looks different."""
    image = np.zeros((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    image[:h, :w], image[:h, w:], image[h:, :w], image[h:, w:] = RED, GREEN, BLUE, YELLOW
    return image


def corners(image: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Colors in the middle of the four quarters, rounded to 0 or 255: row by row."""
    h, w = image.shape[:2]
    points = [
        (h // 4, w // 4),
        (h // 4, 3 * w // 4),
        (3 * h // 4, w // 4),
        (3 * h // 4, 3 * w // 4),
    ]
    return [tuple(255 * int(c > 127) for c in image[p]) for p in points]


def shade(index: int) -> int:
    """Grey level of frame `index` of `write_video`."""
    return 20 + 2 * (index % 100)


def write_video(
    path: Path,
    *,
    frames: int = 25,
    rate: Fraction | int = 25,
    ticks: Sequence[int] | None = None,
    images: Iterable[NDArray[np.uint8]] | None = None,
    rotation: tuple[int, bool, bool] | None = None,
    gop: int = 12,
    options: dict[str, str] | None = None,
    audio: bool = False,
) -> Path:
    """A 64 x 48 video: flat frames of growing grey, or `images`; `ticks` are pts in 1 / 1000 s."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream: Any = container.add_stream(CODECS[path.suffix], rate=rate)
        pictures = (
            list(images)
            if images is not None
            else [np.full((48, 64, 3), shade(i), np.uint8) for i in range(frames)]
        )
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.codec_context.gop_size = "yuv420p", gop
        if ticks is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(*rotation)
        if audio:
            _write_silence(container)
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            if ticks is not None:
                frame.pts, frame.time_base = ticks[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        _write_silence(container)
    return path


def _write_silence(container: Any) -> None:
    stream = container.add_stream("aac", rate=8000, layout="mono")
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts = 8000, 0
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def h264_frames(count: int) -> list[list[bytes]]:
    """NAL units of each of `count` flat frames, all key frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="h264") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 1
        stream.options = {"tune": "zerolatency", "preset": "ultrafast"}
        packets: list[bytes] = []
        for index in range(count):
            image = np.full((48, 64, 3), shade(index), np.uint8)
            packets += map(bytes, stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        packets += map(bytes, stream.encode(None))
    split = [p.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:] for p in packets]
    return [[nal.rstrip(b"\0") for nal in nals] for nals in split]


class RtspCamera:
    """A camera on 127.0.0.1 that serves one client at a time over TCP.

    Each connection gets `frames` pictures, then is closed (or held silent with `stall`).
    """

    SDP = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
    )

    def __init__(self, *, frames: int, refuse: bool = False, stall: bool = False) -> None:
        self._frames = h264_frames(frames) if frames else []
        self._refuse, self._stall = refuse, stall
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port: int = self._server.getsockname()[1]
        self.connections = 0

    def __enter__(self) -> "RtspCamera":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)
        self._server.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            client.settimeout(5)
            try:
                with client, client.makefile("rb") as lines:
                    self._talk(client, lines)
            except OSError:
                continue

    def _talk(self, client: socket.socket, lines: Any) -> None:
        while request := lines.readline().decode():
            headers = {}
            while line := lines.readline().decode().strip():
                key, _, value = line.partition(":")
                headers[key.lower()] = value.strip()
            method, body, extra = request.split()[0], "", ""
            status = "401 Unauthorized" if self._refuse else "200 OK"
            if method == "DESCRIBE":
                body, extra = self.SDP, "Content-Type: application/sdp\r\n"
            elif method == "SETUP":
                extra = "Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            elif method == "PLAY":
                extra = "Session: 1\r\n"
            client.sendall(
                f"RTSP/1.0 {status}\r\nCSeq: {headers['cseq']}\r\n{extra}"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            if method == "PLAY":
                self._send(client)
                return

    def _send(self, client: socket.socket) -> None:
        sequence = 0
        for index, nals in enumerate(self._frames):
            for nal in nals:
                last = nal is nals[-1]
                stamp = (3600 * index).to_bytes(4, "big")
                rtp = bytes([0x80, 96 | (128 * last)]) + sequence.to_bytes(2, "big") + stamp
                rtp += b"test" + nal
                client.sendall(b"$\0" + len(rtp).to_bytes(2, "big") + rtp)
                sequence += 1
            if self._stop.wait(0.02):
                return
        if self._stall:
            self._stop.wait(30)
