"""What every facial network is: an embedding, a dropout, and one linear layer per head.

Shapes: b batch, c channels, s side in pixels, d width of the embedding, k labels of a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from classpulse.core.errors import InputError

RANDOM = "random"


class FaceModel(nn.Module, ABC):
    """A network (b, c, s, s) float32 -> {head: logits (b, k)}; subclasses give the embedding.

    Attributes:
        dropout, heads: on the embedding, and head name -> its linear layer.
        origin: where the weights came from when it was built, for the card: ``"random"``, or the
            name and the hash of a file.
        l2: parameter name -> coefficient of its penalty, see `l2_groups`.
        frozen: submodules that stay in evaluation mode when the rest trains, as Keras does with
            layers that are not trainable: their batch statistics do not move.
    """

    dropout: nn.Module
    heads: nn.ModuleDict

    def __init__(self) -> None:
        super().__init__()
        self.origin = RANDOM
        self.l2: dict[str, float] = {}
        self.frozen: tuple[str, ...] = ()

    @abstractmethod
    def embed(self, x: Tensor) -> Tensor:
        """(b, c, s, s) -> (b, d), what the last linear layers read, before their dropout."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        z = self.dropout(self.embed(x))
        return {name: head(z) for name, head in self.heads.items()}

    def train(self, mode: bool = True) -> "FaceModel":
        super().train(mode)
        for name in self.frozen:
            self.get_submodule(name).eval()
        return self


class BodyAndHeads(FaceModel):
    """Any body (b, c, s, s) -> (b, width), with dropout and heads on top."""

    def __init__(
        self, body: nn.Module, heads: Mapping[str, int], *, width: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(width, k) for name, k in heads.items()})

    def embed(self, x: Tensor) -> Tensor:
        return self.body(x)


class ToRgb(nn.Module):
    """(b, 1 or 3, s, s) -> (b, 3, s, s): grey is repeated, for networks that were fed RGB."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[1] == 3 else x.expand(-1, 3, -1, -1)


def freeze(model: FaceModel, names: Iterable[str]) -> None:
    """Keep these submodules as they are: no gradients, evaluation mode for ever."""
    model.frozen = tuple(names)
    for name in model.frozen:
        model.get_submodule(name).requires_grad_(False)
    model.train(model.training)


def l2_groups(model: nn.Module) -> list[tuple[nn.Parameter, float]]:
    """The (parameter, coefficient) pairs that a model's source penalizes; often none.

    Keras adds coefficient * sum(w**2) to the loss, so the gradient is 2 * coefficient * w: as the
    weight decay of a torch optimizer that is twice the coefficient.
    """
    if not isinstance(model, FaceModel):
        return []
    return [(model.get_parameter(name), factor) for name, factor in model.l2.items()]


def l2_penalty(model: nn.Module) -> Tensor:
    """Sum of coefficient * sum(w**2) over `l2_groups`, a scalar to add to the loss."""
    terms = [factor * w.square().sum() for w, factor in l2_groups(model)]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def count_parameters(
    model: nn.Module, *, as_keras: bool = True, trainable_only: bool = False
) -> int:
    """Number of weights.

    Args:
        as_keras: the moving means and variances of batch normalization count too, as in
            `keras.Model.summary`; torch calls them buffers and leaves them out.
        trainable_only: neither frozen weights nor moving statistics.
    """
    total = sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)
    if as_keras and not trainable_only:
        moving = ("running_mean", "running_var")
        total += sum(b.numel() for name, b in model.named_buffers() if name.endswith(moving))
    return total


def check_rates(**rates: float) -> None:
    """Dropout rates are in [0, 1); `InputError` names the first that is not."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise InputError(f"{name} = {rate}: needs a number from 0 to below 1")


def check_sizes(**sizes: int) -> None:
    """Widths and counts are 1 or more; `InputError` names the first that is not."""
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name} = {size}: needs a whole number of 1 or more")
