"""Averages of weights over a run, and batch-norm statistics that fit them.

average = WeightAverage(Averaging(decay=0.999), model)
average.update(model)  # after every step or every epoch
smooth = average.apply(model)  # a copy with the mean weights
update_norms(smooth, batches)  # its statistics, from training faces without augmentation
"""

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from classpulse.core.errors import InputError
from classpulse.lab.train.kinds import check_ranges

M = TypeVar("M", bound=nn.Module)

EACH = ("step", "epoch")
NORMS = ("estimate", "copy")


@dataclass(frozen=True, slots=True)
class Averaging:
    """Which mean of the weights a run keeps.

    Args:
        decay: 0 is no mean, only the last weights; between, their exponential moving average;
            1 the plain mean (stochastic weight averaging, Izmailov et al. 2018).
        each: the mean is updated after every "step" or every "epoch".
        last: only the last so many epochs count; 0 for all.
        norms: batch-norm statistics of the mean: "estimate" them on training data, or "copy" those
            of the last weights. Copied ones do not fit: in one run the moving average of 0.999
            scored .689 with them where the raw weights had .697 (training-notes.md).
        seeds: of further runs of the recipe, whose best weights are averaged with this run's when
            all are done; see `lab.train.soup` and `classpulse average`.
        runs: of other recipes for the same network of texts, as "runs/NAME", averaged with it too.

    Raises:
        InputError: a value out of range, or another word.
    """

    decay: float = 0.0
    each: str = "step"
    last: int = 0
    norms: str = "estimate"
    seeds: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_ranges(decay=(self.decay, 0, 1), last=(self.last, 0, math.inf))
        for name, given, known in (("each", self.each, EACH), ("norms", self.norms, NORMS)):
            if given not in known:
                raise InputError(f"{name} = '{given}': needs {' or '.join(known)}")

    def begins(self, epochs: int) -> int:
        """First epoch, from 1, that counts in a run of so many epochs."""
        return max(epochs - self.last + 1, 1) if self.last else 1


class WeightAverage:
    """The running mean of a network's trained parameters.

    With decay d the weights of update i have, after t updates, the share (1 - d) d^(t - i) /
    (1 - d^t): Adam's correction of the bias towards the start, so no warm-up is needed. As d goes
    to 1 all shares become 1 / t.

    Attributes:
        updates: so far.
    """

    def __init__(self, how: Averaging, model: nn.Module) -> None:
        self.how = how
        self.updates = 0
        self._mean = {name: p.detach().clone() for name, p in _trained(model)}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights as they are now."""
        self.updates += 1
        share = self._share()
        for name, p in _trained(model):
            self._mean[name].lerp_(p, share)

    def _share(self) -> float:
        """Of the newest weights in the mean."""
        decay = self.how.decay
        return 1 / self.updates if decay == 1 else (1 - decay) / (1 - decay**self.updates)

    def apply(self, model: M) -> M:
        """A copy of `model` with the mean weights; everything else, statistics too, is copied.

        Raises:
            InputError: nothing was averaged yet.
        """
        if self.updates == 0:
            raise InputError("no weights were averaged yet: call update first")
        smooth = copy.deepcopy(model)
        with torch.no_grad():
            for name, p in _trained(smooth):
                p.copy_(self._mean[name])
                p.grad = None
        return smooth

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"updates": self.updates, "mean": self._mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.updates = int(state["updates"])
        for name, mean in self._mean.items():
            mean.copy_(state["mean"][name])


@torch.no_grad()
def update_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Estimate the batch-norm statistics of a network anew, as the mean over these batches.

    Layers in evaluation mode for ever (`FaceModel.frozen`) keep theirs, and the batches are not
    read when there are no others. Dropout is off, as it is when the statistics are used (Li et al.
    2019), and so no random number is drawn. The network is left in the mode it was in.

    Args:
        batches: (b, c, s, s) of like size, b of 2 or more.

    Raises:
        InputError: there are no batches.
    """
    training = model.training
    norms = _moving_norms(model)
    momenta = [norm.momentum for norm in norms]
    try:
        if norms:
            rest = iter(batches)
            first = next(rest, None)
            if first is None:
                raise InputError("no batches to estimate batch-norm statistics from")
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # torch's word for the plain mean over batches
                norm.train()
            for batch in chain([first], rest):
                model(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(training)


def _moving_norms(model: nn.Module) -> list[_BatchNorm]:
    """Layers whose statistics move in training; leaves the model in evaluation mode."""
    model.train()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
    model.eval()
    return [m for m in norms if m.track_running_stats]


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
