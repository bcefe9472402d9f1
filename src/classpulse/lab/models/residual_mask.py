"""A residual network with a small encoder-decoder after each stage that says where to look.

After the Residual Masking Network (Pham, Vu and Tran 2020, "Facial Expression Recognition Using
Residual Masking Network", ICPR): a U-Net reads a stage's features F and gives a mask M of the same
shape, and what goes on is F + F * M (its equation 2). Ours is for faces of 48 pixels: the mask
works on a part of the channels, adds its skips where the source's joins them, and is as deep as the
side of a stage allows. Shapes: b batch, c channels, h, w pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import BodyAndHeads, check_rates, check_sizes
from classpulse.lab.models.residual import Block, build_stem


@dataclass(frozen=True, slots=True)
class ResidualMaskSettings:
    """One stage per width; the stem and every further stage halve the side.

    Args:
        widths: channels of each stage.
        blocks: residual blocks per stage.
        stem: channels of the full-resolution stem.
        masks: how many times the mask of each stage halves the side; 0 for a stage without one.
        reduction: a mask works on so many times fewer channels than its stage.
        dropout: before the heads.

    Raises:
        InputError: a size below 1, or not one number of halvings for each stage.
    """

    widths: tuple[int, ...] = (48, 96, 192, 384)
    blocks: int = 2
    stem: int = 24
    masks: tuple[int, ...] = (3, 2, 1, 1)
    reduction: int = 4
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes(stages=len(self.widths), blocks=self.blocks, stem=self.stem)
        check_sizes(narrowest=min(self.widths), reduction=self.reduction)
        check_rates(dropout=self.dropout)
        if len(self.masks) != len(self.widths) or min(self.masks) < 0:
            raise InputError(
                f"masks = {self.masks}: needs one number of 0 or more for each of the "
                f"{len(self.widths)} stages"
            )


class Mask(nn.Module):
    """A U-Net over features, and the features by it: (b, c, h, w) -> the same, x * (1 + mask)."""

    def __init__(self, c: int, *, depth: int, reduction: int) -> None:
        super().__init__()
        d = max(c // reduction, 4)
        self.enter = _conv(c, d, 1)
        self.down = nn.ModuleList(_conv(d, d, 3) for _ in range(depth))
        self.up = nn.ModuleList(_conv(d, d, 3) for _ in range(depth))
        self.leave = nn.Conv2d(d, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, skips = self.enter(x), []
        for layer in self.down:
            skips.append(y)
            y = layer(functional.max_pool2d(y, 2, ceil_mode=True))
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            y = layer(skip + functional.interpolate(y, size=skip.shape[2:]))
        return x * (1 + torch.sigmoid(self.leave(y)))


def _conv(c: int, d: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c, d, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(d),
        nn.ReLU(inplace=True),
    )


def build_residual_mask(
    settings: ResidualMaskSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """(b, c, s, s) -> logits, for any side."""
    c = settings.widths[0]
    body = build_stem(channels, settings.stem, c)
    for stage, (width, depth) in enumerate(zip(settings.widths, settings.masks, strict=True)):
        for i in range(settings.blocks):
            body.append(Block(c, width, stride=2 if stage > 0 and i == 0 else 1, gate="none"))
            c = width
        if depth:
            body.append(Mask(c, depth=depth, reduction=settings.reduction))
    body.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    return BodyAndHeads(body, heads, width=c, dropout=settings.dropout)
