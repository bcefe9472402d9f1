"""Early stopping on a named metric, as Keras does it.

stop = EarlyStopping(Stopping(monitor="val_loss", patience=10))
for epoch in epochs:
    if stop.update(metrics):
        break
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from classpulse.core.errors import InputError

WORST = {"min": math.inf, "max": -math.inf}  # mode -> a value that any other is better than


@dataclass(frozen=True, slots=True)
class Stopping:
    """When to stop.

    The thesis (seed-thesis.md B.1) has monitor "val_loss" and patience 10. It goes back to the
    weights of the best epoch; a run keeps those with the best validation accuracy in any case.

    Args:
        monitor: name of the metric.
        mode: "min" or "max", whichever is better.
        patience: epochs in a row without improvement after which to stop; 0 never stops.
        min_delta: an improvement is larger than this.

    Raises:
        InputError: another mode, or a negative patience or min_delta.
    """

    monitor: str = "val_loss"
    mode: str = "min"
    patience: int = 0
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        check_monitor(self.mode, min_delta=self.min_delta)
        if self.patience < 0:
            raise InputError(f"patience = {self.patience}: needs a number of epochs, 0 for never")


class EarlyStopping:
    """Counts the epochs since the best one (`keras.callbacks.EarlyStopping`, Keras 2.10).

    As there the first epoch never stops a run, and NaN is no improvement.

    Attributes:
        best, best_epoch: best value so far and its epoch from 1; 0 when there is none.
        epoch, wait: epochs seen, and those since the best.
        stopped: training should end.
    """

    def __init__(self, how: Stopping) -> None:
        self.how = how
        self.best = WORST[how.mode]
        self.best_epoch = self.epoch = self.wait = 0
        self.stopped = False

    def update(self, metrics: Mapping[str, float]) -> bool:
        """Take note of one epoch; True when training should stop.

        Raises:
            InputError: there is no such metric; the known ones are listed.
        """
        value = read_metric(metrics, self.how.monitor)
        self.epoch += 1
        self.wait += 1
        if is_better(value, self.best, mode=self.how.mode, min_delta=self.how.min_delta):
            self.best, self.best_epoch, self.wait = value, self.epoch, 0
        self.stopped = 0 < self.how.patience <= self.wait and self.epoch > 1
        return self.stopped

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        names = ("best", "best_epoch", "epoch", "wait", "stopped")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`, also of a version that kept weights here."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self.epoch, self.wait = int(state["epoch"]), int(state["wait"])
        self.stopped = bool(state["stopped"])


def check_monitor(mode: str, *, min_delta: float) -> None:
    """Raise `InputError` unless the mode is known and `min_delta` is 0 or more."""
    if mode not in WORST:
        raise InputError(f"mode = '{mode}': needs {' or '.join(WORST)}")
    if not min_delta >= 0:
        raise InputError(f"min_delta = {min_delta}: needs 0 or more")


def read_metric(metrics: Mapping[str, float], monitor: str) -> float:
    """The metric called `monitor`; `InputError` lists the known names otherwise."""
    try:
        return metrics[monitor]
    except KeyError:
        known = ", ".join(sorted(metrics))
        raise InputError(f"unknown metric '{monitor}'; known: {known}") from None


def is_better(value: float, best: float, *, mode: str, min_delta: float) -> bool:
    """Whether `value` improves on `best` by more than `min_delta`; NaN never does."""
    return value < best - min_delta if mode == "min" else value > best + min_delta
