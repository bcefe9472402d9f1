"""Exponential smoothing in seconds, not in frames: the same curve at any sampling rate."""

import math

from classpulse.core.errors import ShapeError


class Smoother:
    """Exponential moving average of one subject's values with time constant `seconds`.

    Args:
        seconds: after this long a step has gone 63 % of its way; 0 turns smoothing off.
        forget: seconds without a value after which the past does not count any more.
    """

    def __init__(self, *, seconds: float, forget: float = 30.0) -> None:
        if not (seconds >= 0 and forget > 0):  # true for NaN too
            raise ShapeError(f"smoothing needs seconds >= 0 and forget > 0: {seconds}, {forget}")
        self.seconds = seconds
        self.forget = forget
        self._last: tuple[float, float, float] | None = None  # t, value, variance

    def update(self, t: float, value: float, variance: float) -> tuple[float, float]:
        """Smoothed value and variance at time t, which must not decrease.

        Successive errors of one face are alike, so the variance is averaged, not divided by n.
        """
        if self._last is None or t - self._last[0] > self.forget or self.seconds == 0:
            smoothed = (value, variance)
        else:
            t0, value0, variance0 = self._last
            keep = math.exp(-(t - t0) / self.seconds)
            smoothed = (
                keep * value0 + (1 - keep) * value,
                keep * variance0 + (1 - keep) * variance,
            )
        self._last = (t, *smoothed)
        return smoothed
