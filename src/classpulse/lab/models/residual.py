"""A residual network with squeeze-and-excitation for 48x48 faces, and its three heads.

He et al. 2016 (basic block), Hu et al. 2018 (squeeze-and-excitation), Woo et al. 2018 (CBAM).
Shapes: b batch, c channels, h, w pixels, k labels.
"""

from collections.abc import Callable, Mapping
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


class Cbam(nn.Module):
    """Channel gate, then a gate of each pixel: (b, c, h, w) -> (b, c, h, w).

    Woo et al. 2018, "CBAM: Convolutional Block Attention Module", equations 2 and 3: means and
    maxima over pixels go through one perceptron, those over channels through one 7x7 convolution.
    """

    def __init__(self, channels: int, *, reduction: int = 8) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels // reduction, 1)
        self.up = nn.Conv2d(channels // reduction, channels, 1)
        self.where = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        pooled = (x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True))
        mean, top = (self.up(functional.relu(self.down(one))) for one in pooled)  # (b, c, 1, 1)
        x = x * torch.sigmoid(mean + top)
        flat = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.where(flat))  # (b, 2, h, w) -> (b, 1, h, w)


GATES: dict[str, Callable[[int], nn.Module]] = {
    "": SqueezeExcite,
    "cbam": Cbam,
    "none": nn.Identity,
}


class Block(nn.Module):
    """conv3-BN-ReLU-conv3-BN-gate plus the input: (b, c, h, w) -> (b, d, h/stride, w/stride).

    Args:
        gate: in `GATES`; empty is squeeze-and-excitation.
    """

    def __init__(self, c: int, d: int, *, stride: int, gate: str = "") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, d, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(d)
        self.conv2 = nn.Conv2d(d, d, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(d)
        self.gate = GATES[gate](d)
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


def build_stem(channels: int, stem: int, width: int) -> nn.Sequential:
    """Two convolutions, the second one halves the side: (b, channels, s, s) -> (b, width, s/2)."""
    return nn.Sequential(
        nn.Conv2d(channels, stem, 3, padding=1, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(inplace=True),
        nn.Conv2d(stem, width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


class ResidualFace(FaceModel):
    """Stem, four stages of residual blocks, pooled embedding, one linear layer per head.

    Args:
        heads: head name -> number of labels.
        widths: channels of the four stages; the first stage runs at half resolution.
        blocks: residual blocks per stage.
        stem: channels of the full-resolution stem.
        dropout: on the pooled embedding.
        gate: of every block, in `GATES`.

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
        gate: str = "",
    ) -> None:
        super().__init__()
        self.stem = build_stem(1, stem, widths[0])
        layers: list[nn.Module] = []
        c = widths[0]
        for stage, d in enumerate(widths):
            for i in range(blocks):
                stride = 2 if stage > 0 and i == 0 else 1
                layers.append(Block(c, d, stride=stride, gate=gate))
                c = d
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(c, k) for name, k in heads.items()})

    def embed(self, x: Tensor) -> Tensor:
        """(b, 1, 48, 48) -> pooled embedding (b, widths[-1])."""
        return self.stages(self.stem(x)).mean(dim=(2, 3))


@dataclass(frozen=True, slots=True)
class ResidualSettings:
    """Settings of `ResidualFace`, of the size that can be trained on two cores.

    Args:
        gate: of every block: empty for squeeze-and-excitation, "cbam" or "none".

    Raises:
        InputError: a value out of range, or another gate.
    """

    widths: tuple[int, ...] = (48, 96, 192, 384)
    blocks: int = 2
    stem: int = 24
    dropout: float = 0.3
    gate: str = ""

    def __post_init__(self) -> None:
        check_sizes(stages=len(self.widths), blocks=self.blocks, stem=self.stem)
        check_rates(dropout=self.dropout)
        if self.gate not in GATES:
            known = ", ".join(f"'{gate}'" for gate in GATES)
            raise InputError(f"gate = '{self.gate}': needs one of {known}")
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
        gate=settings.gate,
    )
