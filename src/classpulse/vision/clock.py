"""Time of frames: a clock that never runs backward and the choice of frames to keep.

All times are seconds.
"""

from math import floor

from classpulse.core.errors import InputError

TIME_SLACK = 1e-6  # 3 * 0.1 > 0.3 in floats; a frame on a multiple of `every` must count as on it
JUMP_SECONDS = 1.0  # a step back larger than this is a restarted clock, not a reordered frame


class Clock:
    """Turns presentation times into seconds since the start of the stream, never decreasing.

    Args:
        start: presentation time of the stream's start, or None to take the first frame's.
        step: average frame duration, used where a frame has no time.
    """

    def __init__(self, *, start: float | None, step: float) -> None:
        self._start = start
        self._step = step
        self._last: float | None = None

    def tick(self, time: float | None) -> float:
        """Seconds since the start for the next frame, whose own time may be missing."""
        if self._last is None:
            if self._start is None or (time is not None and time < self._start):
                self._start = time
            self._last = 0.0 if time is None or self._start is None else time - self._start
            return self._last
        follow = self._last + self._step
        if time is None or self._start is None:
            self._last = follow
            return self._last
        t = time - self._start
        if t < self._last - JUMP_SECONDS:  # joined recordings: carry on where the first ended
            self._start, t = time - follow, follow
        self._last = max(t, self._last)
        return self._last


class Sampler:
    """Keeps the first frame, then the first at or after each next multiple of `every` seconds.

    Args:
        every: seconds between kept frames, or None to keep all.

    Raises:
        InputError: `every` is not a positive finite number.
    """

    def __init__(self, every: float | None) -> None:
        if every is not None and not 0 < every < float("inf"):
            raise InputError(f"every = {every} is not possible: give seconds > 0, or None for all")
        self._every = every
        self._next = 0

    def keeps(self, t: float) -> bool:
        """Whether the frame at `t` seconds is kept; call it once per frame, in order."""
        if self._every is None:
            return True
        slot = floor((t + TIME_SLACK) / self._every)
        if slot < self._next:
            return False
        self._next = slot + 1
        return True
