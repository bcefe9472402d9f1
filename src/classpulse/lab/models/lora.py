"""Low-rank additions to frozen layers (Hu et al. 2021, "LoRA", section 4.1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

ALPHA = 16.0  # the paper's scale is alpha / rank


class LoraLinear(nn.Module):
    """W x + b + (alpha / rank) B A x with W and b frozen; B starts at zero, so nothing changes.

    Args:
        base: the layer (in -> out) that is added to.
        rank: of A (rank, in) and B (out, rank).
    """

    def __init__(self, base: nn.Linear, *, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = ALPHA / rank
        self.a = nn.Parameter(torch.empty(rank, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.scale * functional.linear(functional.linear(x, self.a), self.b)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One plain layer that answers the same."""
        self.base.weight += self.scale * self.b @ self.a
        return self.base


def add_lora(network: nn.Module, *, rank: int) -> None:
    """Replace every linear layer of a network by one with an addition, in place."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear):
            _replace(network, name, LoraLinear(layer, rank=rank))


def merge_lora(network: nn.Module) -> None:
    """Put all additions into the layers they belong to, in place; the answers stay."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, LoraLinear):
            _replace(network, name, layer.merged())


def additions(network: nn.Module) -> set[str]:
    """Names of the weights that the additions of a network are made of."""
    return {
        f"{name}.{part}"
        for name, layer in network.named_modules()
        if isinstance(layer, LoraLinear)
        for part in ("a", "b")
    }


def under_lora(name: str) -> str:
    """Name of a layer's weights (``layer.weight``) once the layer is one that is added to."""
    layer, _, weights = name.rpartition(".")
    return f"{layer}.base.{weights}"


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, layer)
