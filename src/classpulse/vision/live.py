"""Cameras and streams in real time: a thread reads, the consumer always gets the newest frame.

A slow consumer never makes a live source lag or grow: one frame waits at most, and a newer one
replaces it. What goes wrong in the thread is raised in the consumer.
"""

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from time import monotonic
from typing import Self

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Frame
from classpulse.vision.clock import Sampler

FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 8.0
JOIN_SECONDS = 15.0  # longer than any read timeout of the feeds (5 s RTSP, 10 s V4L2)

Picture = Callable[[], NDArray[np.uint8]]
Feed = Generator[Picture, None, None]

logger = logging.getLogger(__name__)


class LostError(Exception):
    """A feed has no connection or lost it; the message says why. It never leaves this package."""


class LiveSource:
    """A live feed as a source: real time, bounded memory, reconnecting.

    Frames carry the wall-clock seconds (monotonic) since the first frame; `index` also counts those
    that were not wanted or were replaced (`dropped`) before the consumer came. A source is read by
    one consumer.

    Args:
        connect: makes a feed: a generator that connects at its first step, yields a function per
            picture that returns (h, w, 3) uint8 RGB, raises `LostError` when the connection fails
            and releases everything when closed. Its steps must end by themselves (time-outs).
        name: of the source, without credentials.
        advice: what the user should check when it fails.
        every: seconds between frames, or None for all.
        reconnect: seconds without a frame after which a lost feed is given up.

    Raises:
        InputError: on entering when the first connection fails (at once, without retries); on
            iterating when no frame came for `reconnect` seconds.
    """

    live = True
    sequence = True

    def __init__(
        self,
        connect: Callable[[], Feed],
        *,
        name: str,
        advice: str,
        every: float | None = None,
        reconnect: float = 30.0,
    ) -> None:
        if not 0 <= reconnect < float("inf"):
            raise InputError(f"reconnect = {reconnect} is not possible: give seconds >= 0")
        self.name = name
        self.duration: float | None = None
        self.dropped = 0
        self._connect = connect
        self._advice = advice
        self._reconnect = reconnect
        self._sampler = Sampler(every)
        self._count = 0
        self._first = self._seen = 0.0
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._latest: Frame | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"read {name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            with self._news:
                self._news.wait_for(lambda: self._latest or self._failure)
            if self._failure is not None and self._latest is None:
                raise self._failure
        except BaseException:  # __exit__ is not called for a failed __enter__
            self._close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._latest or self._failure or self._stop.is_set())
                frame, self._latest = self._latest, None
            if self._stop.is_set():
                return
            if frame is not None:
                yield frame
            elif self._failure is not None:
                raise self._failure

    def _close(self) -> None:
        self._stop.set()
        with self._news:
            self._latest = None
            self._news.notify_all()
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            logger.warning("%s: the reader does not stop; left behind as a daemon", self.name)

    def _run(self) -> None:
        try:
            self._read_all()
        except BaseException as error:  # whatever it is, the consumer must not wait forever
            with self._news:
                self._failure = error
                self._news.notify_all()

    def _read_all(self) -> None:
        """Read, reconnect with growing pauses, give up by raising."""
        pause = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            before = self._count
            reason = self._read_feed()
            if self._stop.is_set():
                return
            if self._count > before:
                pause = FIRST_PAUSE_SECONDS
            if self._count == 0:
                raise InputError(f"'{self.name}' cannot be opened: {reason}; {self._advice}")
            left = self._seen + self._reconnect - monotonic()
            if left <= 0:
                raise InputError(
                    f"'{self.name}' was lost and gave no frame for {self._reconnect:g} s: "
                    f"{reason}; {self._advice}"
                )
            logger.warning("%s: %s; trying again in %.1f s", self.name, reason, pause)
            self._stop.wait(min(pause, left))
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def _read_feed(self) -> str:
        """Read one connection until it ends; why it did."""
        try:
            with closing(self._connect()) as feed:
                for picture in feed:
                    self._offer(picture)
                    if self._stop.is_set():
                        break
        except LostError as lost:
            return str(lost)
        return "the stream ended"

    def _offer(self, picture: Picture) -> None:
        now = monotonic()
        if self._count == 0:
            self._first = now
        t, index = now - self._first, self._count
        image = picture() if self._sampler.keeps(t) else None
        # only now: a feed whose pictures all fail to decode must count as giving no frame
        self._seen = now
        self._count += 1
        if image is None:
            return
        with self._news:
            self.dropped += self._latest is not None
            self._latest = Frame(image, t, index, self.name)
            self._news.notify_all()
