"""VGG19 and ResNet50V2 with the thesis' heads (seed-thesis.md B.2), as Keras Applications has them.

Backbones carry Keras' layer names, so that `files.load_keras` fills them from a local file. Both
were fed RGB from 0 to 1, not the values they were pretrained on; (b, 1, s, s) is repeated to RGB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import BodyAndHeads, ToRgb, check_rates, check_sizes, freeze
from classpulse.lab.models.files import describe_file, load_keras
from classpulse.lab.models.stack import (
    KERAS_MOMENTUM,
    Block,
    Conv,
    Dense,
    Layers,
    finish_keras,
    init_keras,
    keras_norm,
)


@dataclass(frozen=True, slots=True)
class VggSettings:
    """VGG19 (Simonyan and Zisserman 2015), nothing frozen (F1:58).

    Args:
        widths, convs: filters and number of convolutions of each block.
        dense: hidden layers after normalization and global average pooling.
        weights: file with the backbone's weights, see `files.load_keras`; empty: random.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    convs: tuple[int, ...] = (2, 2, 4, 4, 4)
    dense: tuple[Dense, ...] = (
        Dense(256, l2=0.001, dropout=0.4),
        Dense(128, l2=0.001, dropout=0.4),
    )
    weights: str = ""

    def __post_init__(self) -> None:
        check_sizes(blocks=len(self.widths), dense=len(self.dense))
        if len(self.widths) != len(self.convs):
            raise InputError(f"{len(self.widths)} widths and {len(self.convs)} convs: one a block")


def build_vgg19(
    settings: VggSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """Backbone, normalization, global average, hidden layers: (b, 1 or 3, s, s) -> logits."""
    layers = Layers(width=3, side=side)
    for number, (width, n) in enumerate(zip(settings.widths, settings.convs, strict=True), 1):
        layers.add_block(number, Block((Conv(width),) * n))
    convolutions = layers.sequence()
    layers.named = {"rgb": ToRgb(), "backbone": convolutions}
    layers.named["norm"] = keras_norm(layers.width, flat=False)
    layers.named["average"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    layers.add_all_dense(settings.dense)
    model = finish_keras(layers, heads, dropout=settings.dense[-1].dropout)
    _load_backbone(model, convolutions, settings.weights)
    return model


@dataclass(frozen=True, slots=True)
class ResNetSettings:
    """ResNet50V2 (He et al. 2016, identity mappings), its first layers frozen (F1:66).

    Args:
        blocks: residual blocks of each stage, 2 or more.
        width: filters inside the first stage; doubled at each stage, four times that outside.
        trainable_layers: how many of Keras' layers, counted from the end of the backbone and
            including those without weights, are trained.
        hidden, dropout: the layer between backbone and heads.
        weights: file with the backbone's weights, see `files.load_keras`; empty: random.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    trainable_layers: int = 50
    hidden: int = 512
    dropout: float = 0.5
    weights: str = ""

    def __post_init__(self) -> None:
        check_sizes(stages=len(self.blocks), width=self.width, hidden=self.hidden)
        check_rates(dropout=self.dropout)
        if min(self.blocks) < 2 or self.trainable_layers < 0:
            raise InputError(
                f"blocks = {self.blocks}, trainable_layers = {self.trainable_layers}: "
                "needs 2 or more blocks a stage and 0 or more layers"
            )


class PreactBlock(nn.ModuleDict):
    """Norm-ReLU first, then 1x1, 3x3, 1x1: (b, c, h, w) -> (b, 4 * width, h / stride, ...).

    The children have Keras' names. The first block of a stage has a convolution as shortcut
    (``0_conv``); the last one shrinks by `stride`, its shortcut by leaving out pixels.
    """

    def __init__(self, c: int, width: int, *, stride: int, first: bool) -> None:
        layers: dict[str, nn.Module] = {"preact_bn": _norm(c)}
        if first:
            layers["0_conv"] = nn.Conv2d(c, 4 * width, 1)
        layers["1_conv"] = nn.Conv2d(c, width, 1, bias=False)
        layers["1_bn"] = _norm(width)
        layers["2_conv"] = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        layers["2_bn"] = _norm(width)
        layers["3_conv"] = nn.Conv2d(width, 4 * width, 1)
        super().__init__(layers)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self["preact_bn"](x))
        shortcut = self["0_conv"](y) if "0_conv" in self else x[..., :: self.stride, :: self.stride]
        y = functional.relu(self["1_bn"](self["1_conv"](y)))
        y = functional.relu(self["2_bn"](self["2_conv"](y)))
        return self["3_conv"](y) + shortcut

    def keras_layers(self) -> list[str]:
        """Keras' layers in its order; those without weights have an empty name."""
        head, shortcut = ["preact_bn", ""], ["0_conv"] if "0_conv" in self else []
        pooled = [""] if self.stride > 1 else []  # MaxPooling2D(1) of the shortcut
        middle = ["1_conv", "1_bn", "", "", "2_conv", "2_bn", ""]  # ReLU, padding, ReLU
        return [*head, *middle, *shortcut, *pooled, "3_conv", ""]


class ResNetV2(nn.Sequential):
    """(b, 3, s, s) -> (b, 4 * width * 2**(stages - 1), s / 2**(stages + 1) rounded up, ...)."""

    def __init__(self, settings: ResNetSettings) -> None:
        super().__init__()
        # Keras pads the maximum with zeros, not with minus infinity, and there is no ReLU before.
        self.add_module("conv1_conv", nn.Conv2d(3, settings.width, 7, stride=2, padding=3))
        self.add_module("pool1_pad", nn.ZeroPad2d(1))
        self.add_module("pool1_pool", nn.MaxPool2d(3, stride=2))
        c, stages = settings.width, len(settings.blocks)
        for stage, n in enumerate(settings.blocks):
            width = settings.width * 2**stage
            for i in range(1, n + 1):
                stride = 2 if i == n and stage < stages - 1 else 1
                block = PreactBlock(c, width, stride=stride, first=i == 1)
                self.add_module(f"conv{stage + 2}_block{i}", block)
                c = 4 * width
        self.add_module("post_bn", _norm(c))
        self.add_module("post_relu", nn.ReLU())
        self.width = c

    def keras_layers(self) -> list[str]:
        """Keras' layers in its order, as names of submodules; empty where there are no weights."""
        names = ["", ""]  # the input and the padding of conv1
        for name, child in self.named_children():
            if isinstance(child, PreactBlock):
                names += [layer and f"{name}.{layer}" for layer in child.keras_layers()]
            else:
                names.append(name if any(True for _ in child.parameters()) else "")
        return names


def build_resnet50v2(
    settings: ResNetSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """Backbone, flatten, one hidden layer: (b, 1 or 3, s, s) -> logits."""
    backbone = ResNetV2(settings)
    for _ in range(len(settings.blocks) + 1):  # halvings: conv1, pool1, all stages but the last
        side = (side + 1) // 2
    layers = Layers(width=backbone.width, side=side)
    layers.named = {"rgb": ToRgb(), "backbone": backbone}
    layers.flatten()
    layers.add_dense(1, Dense(settings.hidden), last=True)
    model = finish_keras(layers, heads, dropout=settings.dropout)
    for layer in (model.body.get_submodule("dense1"), *model.heads.values()):
        layer.apply(partial(init_keras, kernel="he_normal"))
    _load_backbone(model, backbone, settings.weights)
    every = backbone.keras_layers()
    kept = every[: max(0, len(every) - settings.trainable_layers)]
    freeze(model, [f"body.backbone.{name}" for name in kept if name])
    return model


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1.001e-5, momentum=KERAS_MOMENTUM)


def _load_backbone(model: BodyAndHeads, backbone: nn.Module, weights: str) -> None:
    if weights:
        load_keras(backbone, Path(weights))
        model.origin = describe_file(Path(weights))
