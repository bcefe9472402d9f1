"""A residual network with squeeze-and-excitation for 48x48 faces, and its three heads.

He et al. 2016 (basic block), Hu et al. 2018 (squeeze-and-excitation). Shapes: b batch, c channels,
h, w pixels, k labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import FaceModel, check_rates, check_sizes


class SqueezeExcite(nn.Module):
    """Channel gate: (b, c, h, w) -> (b, c, h, w), scaled by a sigmoid of the pooled channels."""

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // reduction, 1)
        self.up = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = functional.relu(self.down(x.mean(dim=(2, 3), keepdim=True)))  # (b, c/r, 1, 1)
        return x * torch.sigmoid(self.up(gate))


class Block(nn.Module):
    """conv3-BN-ReLU-conv3-BN-SE plus the input: (b, c, h, w) -> (b, d, h/stride, w/stride)."""

    def __init__(self, c: int, d: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, d, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(d)
        self.conv2 = nn.Conv2d(d, d, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(d)
        self.gate = SqueezeExcite(d)
        same = stride == 1 and c == d
        self.skip: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(c, d, 1, stride=stride, bias=False), nn.BatchNorm2d(d))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.gate(self.norm2(self.conv2(y)))
        return functional.relu(y + self.skip(x))


class ResidualFace(FaceModel):
    """Stem, four stages of residual blocks, pooled embedding, one linear layer per head.

    Args:
        heads: head name -> number of labels.
        widths: channels of the four stages; the first stage runs at half resolution.
        blocks: residual blocks per stage.
        stem: channels of the full-resolution stem.
        dropout: on the pooled embedding.

    Input (b, 1, 48, 48) float32; output {head: logits (b, k)}.
    """

    def __init__(
        self,
        heads: Mapping[str, int],
        *,
        widths: tuple[int, ...] = (64, 128, 256, 512),
        blocks: int = 2,
        stem: int = 32,
        dropout: float = 0.4,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, stem, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
            nn.Conv2d(stem, widths[0], 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        )
        layers: list[nn.Module] = []
        c = widths[0]
        for stage, d in enumerate(widths):
            for i in range(blocks):
                layers.append(Block(c, d, stride=2 if stage > 0 and i == 0 else 1))
                c = d
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(c, k) for name, k in heads.items()})

    def embed(self, x: Tensor) -> Tensor:
        """(b, 1, 48, 48) -> pooled embedding (b, widths[-1])."""
        return self.stages(self.stem(x)).mean(dim=(2, 3))


@dataclass(frozen=True, slots=True)
class ResidualSettings:
    """Settings of `ResidualFace`, of the size that can be trained on two cores."""

    widths: tuple[int, ...] = (48, 96, 192, 384)
    blocks: int = 2
    stem: int = 24
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes(stages=len(self.widths), blocks=self.blocks, stem=self.stem)
        check_rates(dropout=self.dropout)
        if min(self.widths) < 8:
            raise InputError(f"widths = {self.widths}: the gates need 8 or more channels")


def build_residual(
    settings: ResidualSettings, heads: Mapping[str, int], channels: int, side: int
) -> ResidualFace:
    """(b, 1, s, s) -> logits, for any side.

    Raises:
        InputError: the input has more than one channel.
    """
    if channels != 1:
        raise InputError(f"residual-se reads grey faces: channels must be 1, not {channels}")
    return ResidualFace(
        heads,
        widths=settings.widths,
        blocks=settings.blocks,
        stem=settings.stem,
        dropout=settings.dropout,
    )
