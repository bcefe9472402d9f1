"""Learning rates: pure functions of the epochs done, and one that listens to a metric.

rate = OneCycle(peak_lr=1.5e-3).start(epochs=25)
rate.lr_at(3.5)  # in the middle of the fourth epoch
rate.update({"val_loss": 1.1})  # after an epoch; only a plateau listens

`done` counts epochs from 0 to `epochs` with fractions within an epoch.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.train.kinds import check_ranges
from classpulse.lab.train.rate import TINY_FACTOR, LearningRate, Plateau, check_lr


@dataclass(frozen=True, slots=True)
class Constant(LearningRate):
    """One learning rate for the whole run."""

    lr: float = 1e-3

    def __post_init__(self) -> None:
        check_lr(lr=self.lr)

    def lr_at(self, done: float, epochs: int) -> float:
        return self.lr


@dataclass(frozen=True, slots=True)
class OneCycle(LearningRate):
    """A rise to the peak and a fall to nearly nothing, both along a cosine (Smith and Topin 2018).

    Each restart begins a further cycle from the weights reached (Loshchilov and Hutter 2017).

    Args:
        peak_lr: of the first cycle.
        restarts: (epoch after which a further cycle begins, its peak learning rate), in order.
        warmup_share: share of a cycle in which the learning rate rises.
    """

    peak_lr: float = 1.5e-3
    restarts: tuple[tuple[int, float], ...] = ()
    warmup_share: float = 0.2

    def __post_init__(self) -> None:
        check_lr(peak_lr=self.peak_lr)
        for _, peak in self.restarts:
            check_lr(restarts=peak)
        check_ranges(warmup_share=(self.warmup_share, 0, math.nextafter(1.0, 0.0)))

    def check(self, epochs: int) -> None:
        LearningRate.check(self, epochs)
        _check_order("restarts", [epoch for epoch, _ in self.restarts], epochs)

    def lr_at(self, done: float, epochs: int) -> float:
        begin, peak, end = 0, self.peak_lr, epochs
        for epoch, next_peak in self.restarts:
            if done < epoch:
                end = epoch
                break
            begin, peak = epoch, next_peak
        share = (done - begin) / (end - begin)
        return _one_cycle(share, peak=peak, warmup=self.warmup_share)


@dataclass(frozen=True, slots=True)
class Cosine(LearningRate):
    """A straight warm-up (Goyal et al. 2017), then half a cosine (Loshchilov and Hutter 2017).

    Args:
        peak_lr: at the end of the warm-up.
        warmup_epochs: length of the warm-up, fractions allowed; 0 for none.
        start_lr, final_lr: at the very beginning of a warm-up, and at the very end.
    """

    peak_lr: float = 1e-3
    warmup_epochs: float = 0.0
    start_lr: float = 0.0
    final_lr: float = 0.0

    def __post_init__(self) -> None:
        check_lr(peak_lr=self.peak_lr)
        check_ranges(
            warmup_epochs=(self.warmup_epochs, 0, math.inf),
            start_lr=(self.start_lr, 0, self.peak_lr),
            final_lr=(self.final_lr, 0, self.peak_lr),
        )

    def check(self, epochs: int) -> None:
        LearningRate.check(self, epochs)
        if self.warmup_epochs >= epochs:
            raise InputError(
                f"warmup_epochs = {self.warmup_epochs:g}: needs fewer than the {epochs} epochs"
            )

    def lr_at(self, done: float, epochs: int) -> float:
        if done < self.warmup_epochs:
            return self.start_lr + (self.peak_lr - self.start_lr) * done / self.warmup_epochs
        share = (done - self.warmup_epochs) / (epochs - self.warmup_epochs)
        return _cosine(self.peak_lr, self.final_lr, share)


@dataclass(frozen=True, slots=True)
class Step(LearningRate):
    """A learning rate multiplied by `factor` after each of the epochs `milestones`, in order."""

    lr: float = 0.1
    milestones: tuple[int, ...] = ()
    factor: float = 0.1

    def __post_init__(self) -> None:
        check_lr(lr=self.lr)
        check_ranges(factor=(self.factor, TINY_FACTOR, 1))

    def check(self, epochs: int) -> None:
        LearningRate.check(self, epochs)
        _check_order("milestones", self.milestones, epochs)

    def lr_at(self, done: float, epochs: int) -> float:
        return float(self.lr * self.factor ** bisect_right(self.milestones, done))


SCHEDULES: Registry[type[LearningRate]] = Registry("schedule")
SCHEDULES.register("constant")(Constant)
SCHEDULES.register("one-cycle")(OneCycle)
SCHEDULES.register("cosine")(Cosine)
SCHEDULES.register("step")(Step)
SCHEDULES.register("plateau")(Plateau)


def _one_cycle(share: float, *, peak: float, warmup: float) -> float:
    """From peak / 25 to `peak` in the first `warmup` of the cycle, then down to peak / 25e4.

    The two floors are those of `torch.optim.lr_scheduler.OneCycleLR`.
    """
    if share < warmup:
        return _cosine(peak / 25, peak, share / warmup)
    return _cosine(peak, peak / 25e4, (share - warmup) / (1 - warmup))


def _cosine(begin: float, end: float, way: float) -> float:
    """Half a cosine from `begin` to `end` as `way` goes from 0 to 1."""
    return end + (begin - end) * (1 + math.cos(math.pi * way)) / 2


def _check_order(name: str, given: Sequence[int], epochs: int) -> None:
    if any(later <= earlier for earlier, later in pairwise([0, *given, epochs])):
        raise InputError(
            f"{name} come after epochs {list(given)}, needs rising numbers between 0 and the "
            f"{epochs} epochs of the schedule"
        )
