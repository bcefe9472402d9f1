"""What a run tells of itself: a finished epoch, and what a checkpoint held."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

Numbers = dict[str, Any]
"""One finished epoch in plain values, `Epoch.numbers`."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What the training of one epoch came to.

    Args:
        loss: mean over the steps.
        costs: of the parallel training, `parallel.costs.Costs` as plain values; none otherwise.
        kept: what its workers go on with, as tensors and plain values; goes into the checkpoint.
    """

    loss: float
    costs: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch.

    Args:
        number: from 1.
        side: of the faces, in pixels; of texts, tokens at most.
        loss: mean over the steps.
        lr: learning rate at its end.
        seconds: with validation; the checkpoint, which holds this number, is not in it.
        metrics: of `validate`.
        model: what was validated: the network in training, or the average of its weights.
        costs: as in `Trained`.
    """

    number: int
    side: int
    loss: float
    lr: float
    seconds: float
    metrics: dict[str, float]
    model: nn.Module
    costs: dict[str, Any] = field(default_factory=dict)

    def numbers(self) -> Numbers:
        """Everything but the network, as plain values; without costs where there are none."""
        names = ("number", "side", "loss", "lr", "seconds")
        metrics = {name: float(value) for name, value in self.metrics.items()}
        costs = {"costs": self.costs} if self.costs else {}
        return {name: getattr(self, name) for name in names} | {"metrics": metrics} | costs


@dataclass(frozen=True, slots=True)
class EpochResult:
    """An `Epoch` with validation accuracy and macro F1 by head, and whether it is the best yet."""

    epoch: Epoch
    accuracy: dict[str, float]
    best: bool
    macro_f1: dict[str, float]

    def describe(self, epochs: int, *, unit: str = "px") -> str:
        """A line of text: number of so many epochs, side, loss, accuracies; a star if best."""
        shares = "  ".join(f"{head} {share:.4f}" for head, share in self.accuracy.items())
        one, star = self.epoch, " *" if self.best else ""
        return (
            f"{one.number:3d}/{epochs}  {one.side} {unit}  loss {one.loss:.3f}  {shares}  "
            f"{one.seconds:.0f} s{star}"
        )


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a checkpoint held.

    Args:
        number: the last finished epoch.
        history: the finished epochs, as `Epoch.numbers`; those of a run begun by a version that
            did not keep them are missing.
        network: makes what was validated after the last of them: the network, or the average.
    """

    number: int
    history: tuple[Numbers, ...]
    network: Callable[[], nn.Module]
