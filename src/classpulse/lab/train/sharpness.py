"""Sharpness-aware minimization: steps by the gradient at the worst place nearby.

Foret et al. 2021: the weights climb by rho g / |g|, the gradient there is taken, and the step is
made from where they were. It costs a second pass; `every` takes it in each so-manieth step only (as
Liu et al. 2022 found to lose little).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from classpulse.lab.train.kinds import check_ranges

TINY = 1e-12  # of a gradient that vanishes


@dataclass(frozen=True, slots=True)
class Sharpness:
    """How far and how often the weights climb.

    Args:
        rho: length of the climb, in the norm of all weights together.
        every: 1 is every step, 2 each second one.

    Raises:
        InputError: a value out of range.
    """

    rho: float = 0.05
    every: int = 1

    def __post_init__(self) -> None:
        check_ranges(rho=(self.rho, 0, math.inf), every=(self.every, 1, math.inf))

    def climbs(self, step: int) -> bool:
        """Whether the weights climb in this step of an epoch, from 0."""
        return self.rho > 0 and step % self.every == 0


@contextmanager
def climbed(model: nn.Module, rho: float) -> Iterator[None]:
    """Inside the block the weights stand `rho` up along their gradients, which are cleared.

    Afterwards they are back to the bit; batch-norm statistics do not learn from up there.
    """
    moved = [p for p in model.parameters() if p.grad is not None]
    before = [p.detach().clone() for p in moved]
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [m.momentum for m in norms]
    with torch.no_grad():
        gradients = [p.grad for p in moved if p.grad is not None]
        length = torch.stack([g.norm() for g in gradients]).norm()
        for p, g in zip(moved, gradients, strict=True):
            p.add_(g, alpha=float(rho / (length + TINY)))
    for norm in norms:
        norm.momentum = 0.0
    model.zero_grad(set_to_none=True)
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        with torch.no_grad():
            for p, old in zip(moved, before, strict=True):
                p.copy_(old)
