"""RepVGG at 48 pixels: three branches in training, one plain convolution afterwards.

Ding et al. 2021 ("RepVGG: Making VGG-style ConvNets Great Again"), sections 3.3 and 3.4; widths and
depths are ours, for faces of 48 pixels. `fuse` is the re-parameterization.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import BodyAndHeads, FaceModel, check_rates, check_sizes


@dataclass(frozen=True, slots=True)
class RepVggSettings:
    """A stem of the first width and one stage per width; stem and stages halve the side.

    Args:
        stem: channels of the stem.
        widths, blocks: channels and number of blocks of each stage.
        dropout: before the heads.
    """

    stem: int = 48
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: tuple[int, ...] = (3, 5, 2)
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks):
            raise InputError(f"{len(self.widths)} widths and {len(self.blocks)} blocks: one each")
        check_sizes(stem=self.stem, stages=len(self.widths))
        check_sizes(narrowest=min(self.widths), fewest_blocks=min(self.blocks))
        check_rates(dropout=self.dropout)


class RepBlock(nn.Module):
    """ReLU(BN(conv3) + BN(conv1) + BN(x)): (b, c, h, w) -> (b, d, h / stride, w / stride).

    The third branch is there where the shape stays.
    """

    def __init__(self, c: int, d: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv3 = nn.Conv2d(c, d, 3, stride=stride, padding=1, bias=False)
        self.conv1 = nn.Conv2d(c, d, 1, stride=stride, bias=False)
        self.norm3, self.norm1 = nn.BatchNorm2d(d), nn.BatchNorm2d(d)
        self.norm0 = nn.BatchNorm2d(d) if c == d and stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm3(self.conv3(x)) + self.norm1(self.conv1(x))
        return functional.relu(y if self.norm0 is None else y + self.norm0(x))

    @torch.no_grad()
    def fused(self) -> nn.Sequential:
        """One 3x3 convolution with bias and its ReLU, equal in evaluation mode (eq. 3 and 4)."""
        kernel, bias = _absorb(self.conv3.weight, self.norm3)
        point, shift = _absorb(self.conv1.weight, self.norm1)
        kernel, bias = kernel + functional.pad(point, (1, 1, 1, 1)), bias + shift
        if self.norm0 is not None:
            same = torch.eye(len(bias)).to(point).reshape(point.shape)  # (d, d, 1, 1), copies x
            point, shift = _absorb(same, self.norm0)
            kernel, bias = kernel + functional.pad(point, (1, 1, 1, 1)), bias + shift
        d, c = kernel.shape[:2]
        conv = nn.Conv2d(c, d, 3, stride=self.stride, padding=1)
        conv.load_state_dict({"weight": kernel, "bias": bias})
        return nn.Sequential(conv, nn.ReLU())


def build_repvgg(
    settings: RepVggSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """(b, c, s, s) -> logits, for any side."""
    body, c = nn.Sequential(RepBlock(channels, settings.stem, stride=2)), settings.stem
    for stage, (width, n) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
        for i in range(n):
            body.append(RepBlock(c, width, stride=2 if i == 0 and stage > 0 else 1))
            c = width
    body.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    return BodyAndHeads(body, heads, width=c, dropout=settings.dropout)


def fuse(model: FaceModel) -> FaceModel:
    """A copy in evaluation mode with every `RepBlock` as one convolution; equal up to rounding.

    For export and speed; it can be trained no further in the three-branch form.
    """
    fused = copy.deepcopy(model).eval()
    for name, block in list(fused.named_modules()):
        if isinstance(block, RepBlock):
            parent, _, child = name.rpartition(".")
            setattr(fused.get_submodule(parent), child, block.fused().eval())
    return fused


def _absorb(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel (d, c, k, k) and bias (d) that do what the kernel and then the norm would do."""
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None  # BatchNorm2d tracks both unless told otherwise
    scale = norm.weight / (var + norm.eps).sqrt()
    return kernel * scale[:, None, None, None], norm.bias - mean * scale
