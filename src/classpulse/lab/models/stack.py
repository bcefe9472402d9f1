"""Stacks of convolutions described as data, built the way Keras builds them.

The thesis' networks (seed-thesis.md B.1) differ only in this description. Keras' conventions, kept
here: Glorot-uniform kernels and zero biases, batch normalization with epsilon 1e-3 that moves its
statistics by 0.01 a step, convolution then ReLU then normalization, and a 2x2 maximum that drops
an odd last row. Two differences are left: Keras flattens (h, w, c) where torch flattens
(c, h, w), which only reorders the inputs of the first dense layer, and the moving variance of its
normalization after dense layers is the biased one, torch's the unbiased.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from classpulse.core.errors import InputError
from classpulse.lab.models.base import BodyAndHeads, check_rates, check_sizes

KERAS_EPS = 1e-3
KERAS_MOMENTUM = 0.01  # torch counts the share of the new value, Keras (0.99) that of the old


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution of stride 1 with ReLU.

    Args:
        width, kernel: filters and their side, odd.
        valid: without padding; else "same".
        l2: coefficient of the penalty on the kernel.
        norm: batch normalization after the ReLU.
    """

    width: int
    kernel: int = 3
    valid: bool = False
    l2: float = 0.0
    norm: bool = False

    def __post_init__(self) -> None:
        check_sizes(width=self.width, kernel=self.kernel)
        if self.kernel % 2 == 0:
            raise InputError(f"kernel = {self.kernel}: needs an odd side, or padding is lopsided")
        _check_l2(self.l2)


@dataclass(frozen=True, slots=True)
class Block:
    """Convolutions, then a 2x2 maximum where the map is larger than 1x1, then dropout."""

    convs: tuple[Conv, ...]
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(convs=len(self.convs))
        check_rates(dropout=self.dropout)


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer with ReLU, then normalization if `norm`, then dropout."""

    width: int
    l2: float = 0.0
    norm: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(width=self.width)
        check_rates(dropout=self.dropout)
        _check_l2(self.l2)


@dataclass(frozen=True, slots=True)
class Stack:
    """Settings of a whole network: blocks, flatten, hidden layers; the heads come on top."""

    blocks: tuple[Block, ...]
    dense: tuple[Dense, ...]

    def __post_init__(self) -> None:
        check_sizes(blocks=len(self.blocks), dense=len(self.dense))


class Layers:
    """Named layers under construction, with the shape (width, side, side) they have reached.

    `l2` maps a layer's name to its coefficient. Layers are named block1_conv1, block1_norm1,
    block1_pool, dense1 and so on.
    """

    def __init__(self, *, width: int, side: int) -> None:
        self.width, self.side = width, side
        self.named: dict[str, nn.Module] = {}
        self.l2: dict[str, float] = {}

    def add_block(self, number: int, block: Block) -> None:
        name = f"block{number}"
        for i, conv in enumerate(block.convs, start=1):
            padding = 0 if conv.valid else conv.kernel // 2
            layer = nn.Conv2d(self.width, conv.width, conv.kernel, padding=padding)
            self._add(f"{name}_conv{i}", layer, l2=conv.l2)
            self.named[f"{name}_relu{i}"] = nn.ReLU()
            if conv.norm:
                self.named[f"{name}_norm{i}"] = keras_norm(conv.width, flat=False)
            self.width, self.side = conv.width, self.side + 2 * padding - conv.kernel + 1
            if self.side < 1:
                raise InputError(f"faces are too small for this network: nothing left at {name}")
        if self.side > 1:
            self.named[f"{name}_pool"] = nn.MaxPool2d(2)
            self.side //= 2
        self._add_dropout(f"{name}_dropout", block.dropout)

    def add_dense(self, number: int, dense: Dense, *, last: bool) -> None:
        """A hidden layer on a vector; the dropout of the `last` belongs to the heads."""
        name = f"dense{number}"
        self._add(name, nn.Linear(self.width, dense.width), l2=dense.l2)
        self.named[f"{name}_relu"] = nn.ReLU()
        self.width = dense.width
        if dense.norm:
            self.named[f"{name}_norm"] = keras_norm(dense.width, flat=True)
        if not last:
            self._add_dropout(f"{name}_dropout", dense.dropout)

    def add_all_dense(self, dense: tuple[Dense, ...]) -> None:
        for number, layer in enumerate(dense, start=1):
            self.add_dense(number, layer, last=number == len(dense))

    def flatten(self) -> None:
        """(b, width, side, side) -> (b, width * side * side)."""
        self.named["flatten"] = nn.Flatten()
        self.width, self.side = self.width * self.side**2, 1

    def sequence(self) -> nn.Sequential:
        body = nn.Sequential()
        for name, layer in self.named.items():
            body.add_module(name, layer)
        return body

    def _add(self, name: str, layer: nn.Module, *, l2: float) -> None:
        self.named[name] = layer
        if l2 > 0:
            self.l2[name] = l2

    def _add_dropout(self, name: str, rate: float) -> None:
        if rate > 0:
            self.named[name] = nn.Dropout(rate)


def build_stack(
    settings: Stack, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """The network of a description, (b, channels, side, side) -> logits.

    Raises:
        InputError: a convolution without padding is larger than the map it reads.
    """
    layers = Layers(width=channels, side=side)
    for number, block in enumerate(settings.blocks, start=1):
        layers.add_block(number, block)
    layers.flatten()
    layers.add_all_dense(settings.dense)
    return finish_keras(layers, heads, dropout=settings.dense[-1].dropout)


def finish_keras(layers: Layers, heads: Mapping[str, int], *, dropout: float) -> BodyAndHeads:
    """Heads on top of the layers, Keras' initial weights everywhere, the penalties noted."""
    model = BodyAndHeads(layers.sequence(), heads, width=layers.width, dropout=dropout)
    model.apply(init_keras)
    model.l2 = {f"body.{name}.weight": factor for name, factor in layers.l2.items()}
    return model


def keras_norm(width: int, *, flat: bool) -> nn.Module:
    """Batch normalization of (b, width) if `flat`, else of (b, width, h, w)."""
    kind = nn.BatchNorm1d if flat else nn.BatchNorm2d
    return kind(width, eps=KERAS_EPS, momentum=KERAS_MOMENTUM)


def init_keras(
    layer: nn.Module, *, kernel: Literal["glorot_uniform", "he_normal"] = "glorot_uniform"
) -> None:
    """Draw a layer's kernel as Keras does and zero its bias; for `Module.apply`.

    Glorot and Bengio 2010, eq. 16; He et al. 2015, eq. 10, as the normal distribution cut at two
    deviations whose deviation after the cut is sqrt(2 / fan_in).
    """
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return
    if kernel == "glorot_uniform":
        nn.init.xavier_uniform_(layer.weight)
    else:
        spread = (2 / layer.weight[0].numel()) ** 0.5 / 0.87962566103423978
        nn.init.trunc_normal_(layer.weight, std=spread, a=-2 * spread, b=2 * spread)
    if layer.bias is not None:
        with torch.no_grad():
            layer.bias.zero_()


def _check_l2(l2: float) -> None:
    if l2 < 0:
        raise InputError(f"l2 = {l2}: needs 0 or more")
