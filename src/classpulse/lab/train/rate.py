"""The learning rate of one run: what every schedule is, and the one that listens to a metric."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classpulse.core.errors import InputError
from classpulse.lab.train.kinds import check_ranges
from classpulse.lab.train.stopping import WORST, check_monitor, is_better, read_metric

TINY_FACTOR = 1e-12


class LearningRate(ABC):
    """Settings of a learning rate; subclasses are frozen dataclasses."""

    __slots__ = ()

    @abstractmethod
    def lr_at(self, done: float, epochs: int) -> float:
        """Learning rate after `done` of `epochs` epochs, without regard to any metric."""

    def check(self, epochs: int) -> None:
        """Raise `InputError` unless the settings fit a run of so many epochs."""
        if epochs < 1:
            raise InputError(f"a schedule of {epochs} epochs: needs 1 or more")

    def start(self, epochs: int) -> "Rate":
        """The learning rate of one run; `InputError` as in `check`."""
        self.check(epochs)
        return Rate(self, epochs)


class Rate:
    """The learning rate of one run; this one has no state but its settings."""

    def __init__(self, settings: LearningRate, epochs: int) -> None:
        self.settings = settings
        self.epochs = epochs

    def lr_at(self, done: float) -> float:
        """Learning rate after `done` epochs."""
        return self.settings.lr_at(done, self.epochs)

    def update(self, metrics: Mapping[str, float]) -> None:
        """Take note of the metrics of an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""


@dataclass(frozen=True, slots=True)
class Plateau(LearningRate):
    """A learning rate lowered when a metric stalls (`keras.callbacks.ReduceLROnPlateau`).

    The thesis (seed-thesis.md B.1) has lr 1e-4, factor 0.2, patience 5, min_lr 1e-6.

    Args:
        lr: at the start.
        monitor, mode, min_delta: metric, and what an improvement of it is, as in `Stopping`.
        factor: of each lowering.
        patience: epochs in a row without improvement after which the rate is lowered.
        cooldown: epochs after a lowering that do not count.
        min_lr: never below this.
    """

    lr: float = 1e-4
    monitor: str = "val_loss"
    mode: str = "min"
    factor: float = 0.2
    patience: int = 5
    min_delta: float = 1e-4
    cooldown: int = 0
    min_lr: float = 1e-6

    def __post_init__(self) -> None:
        check_lr(lr=self.lr)
        check_monitor(self.mode, min_delta=self.min_delta)
        check_ranges(
            factor=(self.factor, TINY_FACTOR, math.nextafter(1.0, 0.0)),
            patience=(self.patience, 1, math.inf),
            cooldown=(self.cooldown, 0, math.inf),
            min_lr=(self.min_lr, 0, self.lr),
        )

    def lr_at(self, done: float, epochs: int) -> float:
        return self.lr

    def start(self, epochs: int) -> Rate:
        self.check(epochs)
        return PlateauRate(self, epochs)


class PlateauRate(Rate):
    """The learning rate of one run under `Plateau`, with Keras' counting.

    Attributes:
        lr: now.
        best, wait, cooling: best value of the metric, epochs since then, epochs of cooldown left.
    """

    settings: Plateau

    def __init__(self, settings: Plateau, epochs: int) -> None:
        super().__init__(settings, epochs)
        self.lr = settings.lr
        self.best = WORST[settings.mode]
        self.wait = self.cooling = 0

    def lr_at(self, done: float) -> float:
        return self.lr

    def update(self, metrics: Mapping[str, float]) -> None:
        how = self.settings
        value = read_metric(metrics, how.monitor)
        if self.cooling > 0:
            self.cooling -= 1
            self.wait = 0
        if is_better(value, self.best, mode=how.mode, min_delta=how.min_delta):
            self.best, self.wait = value, 0
        elif self.cooling == 0:
            self.wait += 1
            if self.wait >= how.patience and self.lr > how.min_lr:
                self.lr = max(self.lr * how.factor, how.min_lr)
                self.cooling, self.wait = how.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("lr", "best", "wait", "cooling")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.lr, self.best = float(state["lr"]), float(state["best"])
        self.wait, self.cooling = int(state["wait"]), int(state["cooling"])


def check_lr(**rates: float) -> None:
    """Learning rates are above 0; `InputError` names the first that is not."""
    for name, rate in rates.items():
        if not 0 < rate < math.inf:
            raise InputError(f"{name} = {rate}: needs a learning rate above 0")
