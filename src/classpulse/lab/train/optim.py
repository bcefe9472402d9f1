"""Optimizers by name, and which weights they decay.

A settings class says what a recipe can set; the learning rate is the schedule's and is given to
the optimizer before every step:

optimizer = build_optimizer(Adam(eps=1e-7), model)
set_lr(optimizer, rate.lr_at(done))
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.train.kinds import check_ranges

BELOW_ONE = math.nextafter(1.0, 0.0)
TINY, BIG = 1e-16, 1.0  # of an epsilon
FUSED = True  # one pass over the weights: .06 s instead of .50 for 109 M on two threads

Groups = list[dict[str, Any]]


class OptimizerSettings(Protocol):
    """What every settings class has."""

    @property
    def weight_decay(self) -> float:
        """Of the weights that are decayed, see `parameter_groups`."""

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """The optimizer of these parameter groups, at torch's default learning rate."""


@dataclass(frozen=True, slots=True)
class Sgd:
    """Stochastic gradient descent with Nesterov momentum (Sutskever et al. 2013).

    The paper's plain step (eq. 9) is `Sgd(momentum=0, nesterov=False)`.

    Raises:
        InputError: Nesterov's step without momentum, or a value out of range.
    """

    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(momentum=(self.momentum, 0, BELOW_ONE))
        check_ranges(weight_decay=(self.weight_decay, 0, math.inf))
        if self.nesterov and self.momentum == 0:
            raise InputError("nesterov = true: needs a momentum above 0")

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov)


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma and Ba 2015), the decay added to the gradient.

    A step: m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
    w -= lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps). Keras, which the thesis used, has
    eps = 1e-7 and adds it to the uncorrected sqrt(v).
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for beta in self.betas:
            check_ranges(betas=(beta, 0, BELOW_ONE))
        check_ranges(eps=(self.eps, TINY, BIG), weight_decay=(self.weight_decay, 0, math.inf))

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, betas=self.betas, eps=self.eps, fused=FUSED)


@dataclass(frozen=True, slots=True)
class AdamW(Adam):
    """Adam with the decay apart from the gradient (Loshchilov and Hutter 2019)."""

    weight_decay: float = 0.01

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups, betas=self.betas, eps=self.eps, fused=FUSED)


@dataclass(frozen=True, slots=True)
class Adamax(Adam):
    """Adam by the infinity norm of past gradients (Kingma and Ba 2015, section 7.1)."""

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.Adamax(groups, betas=self.betas, eps=self.eps)


@dataclass(frozen=True, slots=True)
class RmsProp:
    """torch's RMSprop (Hinton 2012): epsilon is added to the root, `rho` is torch's alpha."""

    rho: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(rho=(self.rho, 0, BELOW_ONE), momentum=(self.momentum, 0, BELOW_ONE))
        check_ranges(eps=(self.eps, TINY, BIG), weight_decay=(self.weight_decay, 0, math.inf))

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            groups, alpha=self.rho, eps=self.eps, momentum=self.momentum, centered=self.centered
        )


@dataclass(frozen=True, slots=True)
class RmsPropPaper:
    """RMSprop as the parallel paper writes it, see `PaperRmsprop`."""

    rho: float = 0.9
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(rho=(self.rho, 0, BELOW_ONE), eps=(self.eps, TINY, BIG))
        check_ranges(weight_decay=(self.weight_decay, 0, math.inf))

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        return PaperRmsprop(groups, rho=self.rho, eps=self.eps)


class PaperRmsprop(torch.optim.Optimizer):
    """RMSprop with epsilon inside the root (parallel paper, eq. 10-15): with a gradient g,
    v = rho v + (1 - rho) g^2 and w -= lr * g / sqrt(v + eps).

    Near a gradient of zero the step is lr * g / sqrt(eps), where torch's is lr * g / eps: with
    eps = 1e-8 ten thousand times shorter.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Groups,
        *,
        lr: float = 0.01,
        rho: float = 0.9,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every parameter with a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    self._step_one(w, w.grad, group)
        return loss

    def _step_one(self, w: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        if group["weight_decay"] != 0:
            gradient = gradient + group["weight_decay"] * w
        state = self.state[w]
        if not state:
            state["square_avg"] = torch.zeros_like(w, memory_format=torch.preserve_format)
        v = state["square_avg"]
        v.mul_(group["rho"]).addcmul_(gradient, gradient, value=1 - group["rho"])
        w.addcdiv_(gradient, (v + group["eps"]).sqrt_(), value=-group["lr"])


OPTIMIZERS: Registry[type[OptimizerSettings]] = Registry("optimizer")
OPTIMIZERS.register("sgd")(Sgd)
OPTIMIZERS.register("adam")(Adam)
OPTIMIZERS.register("adamw")(AdamW)
OPTIMIZERS.register("adamax")(Adamax)
OPTIMIZERS.register("rmsprop")(RmsProp)
OPTIMIZERS.register("rmsprop-paper")(RmsPropPaper)


def build_optimizer(settings: OptimizerSettings, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of a model's trained parameters; its learning rate is set by `set_lr`.

    Raises:
        InputError: every parameter is frozen.
    """
    return settings.build(parameter_groups(model, weight_decay=settings.weight_decay))


def parameter_groups(model: nn.Module, *, weight_decay: float) -> Groups:
    """Decayed kernels and matrices, then scales and biases (one axis or none), not decayed.

    Frozen parameters are in neither group.

    Raises:
        InputError: every parameter is frozen.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if not trained:
        raise InputError("nothing to train: every parameter of the network is frozen")
    decayed = [p for p in trained if p.ndim > 1]
    free = [p for p in trained if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every parameter group this learning rate, or the share of it that its "scale" says."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
