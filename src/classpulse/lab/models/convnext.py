"""A small ConvNeXt for faces of 48 to 64 pixels.

Liu et al. 2022 ("A ConvNet for the 2020s"), with a 2x2 stem in place of 4x4 because faces have few
pixels. Blocks work on (b, h, w, c), where normalization and the two linear layers are cheapest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import BodyAndHeads, check_rates, check_sizes


@dataclass(frozen=True, slots=True)
class ConvNextSettings:
    """One stage per width; the stem and every further stage halve the side.

    Args:
        widths, blocks: channels and number of blocks of each stage.
        kernel: side of the depthwise kernels, odd.
        layer_scale: first value of the factor of every branch (the paper's 1e-6).
        drop_path: chance that the last block is skipped for a face in training (Huang et al.
            2016); it rises to that along the depth.
        dropout: before the heads.
    """

    widths: tuple[int, ...] = (48, 96, 192, 384)
    blocks: tuple[int, ...] = (2, 2, 6, 2)
    kernel: int = 7
    layer_scale: float = 1e-6
    drop_path: float = 0.1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or self.kernel % 2 == 0:
            raise InputError(
                f"{len(self.widths)} widths, {len(self.blocks)} blocks, kernel {self.kernel}: "
                "needs one number of blocks per width and an odd kernel"
            )
        check_sizes(stages=len(self.widths), kernel=self.kernel)
        check_sizes(narrowest=min(self.widths), fewest_blocks=min(self.blocks))
        check_rates(drop_path=self.drop_path, dropout=self.dropout)


class ConvNextBlock(nn.Module):
    """x + scale * MLP(norm(depthwise(x))): (b, c, h, w) -> the same; section 2.6."""

    def __init__(self, c: int, *, kernel: int, layer_scale: float, drop_path: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(c, c, kernel, padding=kernel // 2, groups=c)
        self.norm = nn.LayerNorm(c, eps=1e-6)
        self.up, self.down = nn.Linear(c, 4 * c), nn.Linear(4 * c, c)
        self.scale = nn.Parameter(torch.full((c,), layer_scale))
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))  # (b, h, w, c)
        y = self.scale * self.down(functional.gelu(self.up(y)))
        y = y.permute(0, 3, 1, 2)
        if self.training and self.drop_path > 0:
            keep = 1 - self.drop_path
            y = y * (torch.rand(x.shape[0], 1, 1, 1, device=x.device) < keep) / keep
        return x + y


class MapNorm(nn.LayerNorm):
    """Normalization of (b, c, h, w) over its channels at every pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def build_convnext(
    settings: ConvNextSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """(b, c, s, s) -> logits, for any side of at least 2**stages."""
    check_sizes(side_after_the_stages=side // 2 ** len(settings.widths))
    first = settings.widths[0]
    body = nn.Sequential(nn.Conv2d(channels, first, 2, stride=2), MapNorm(first, eps=1e-6))
    c, done, total = first, 0, sum(settings.blocks)
    for stage, (width, n) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
        if stage > 0:
            body.extend([MapNorm(c, eps=1e-6), nn.Conv2d(c, width, 2, stride=2)])
            c = width
        for _ in range(n):
            chance = settings.drop_path * done / max(1, total - 1)
            kernel, scale = settings.kernel, settings.layer_scale
            body.append(ConvNextBlock(c, kernel=kernel, layer_scale=scale, drop_path=chance))
            done += 1
    body.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(c, eps=1e-6)])
    model = BodyAndHeads(body, heads, width=c, dropout=settings.dropout)
    model.apply(_init)
    return model


def _init(layer: nn.Module) -> None:
    """Normal with deviation 0.02, cut at two deviations; biases zero (appendix A.1)."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02, a=-0.04, b=0.04)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
