"""A VGG with batch normalization for 48-pixel faces.

After Pramerdorfer and Kampel 2016 ("Facial Expression Recognition using Convolutional Neural
Networks: State of the Art"), whose plan is CCPCCPCCPCCPFF with about 1.8 million parameters. They
print no widths; ours are the powers of two that give that number.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from classpulse.lab.models.base import BodyAndHeads, check_rates, check_sizes


@dataclass(frozen=True, slots=True)
class VggBnSettings:
    """Two convolutions and a maximum per width, then one hidden layer.

    Args:
        widths: filters of each block; each halves the side.
        hidden: width of the hidden layer.
        block_dropout, dropout: of whole maps after each block, and before the heads.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    hidden: int = 256
    block_dropout: float = 0.1
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_sizes(blocks=len(self.widths), hidden=self.hidden, narrowest=min(self.widths))
        check_rates(block_dropout=self.block_dropout, dropout=self.dropout)


def build_vgg_bn(
    settings: VggBnSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """(b, c, s, s) -> logits, for exactly this side; He-normal kernels (He et al. 2015)."""
    check_sizes(side_after_the_blocks=side // 2 ** len(settings.widths))
    body, c = nn.Sequential(), channels
    for width in settings.widths:
        for _ in range(2):
            conv = nn.Conv2d(c, width, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            body.extend([conv, nn.BatchNorm2d(width), nn.ReLU()])
            c = width
        body.extend([nn.MaxPool2d(2), nn.Dropout2d(settings.block_dropout)])
    flat = c * (side // 2 ** len(settings.widths)) ** 2
    hidden = nn.Linear(flat, settings.hidden, bias=False)
    body.extend([nn.Flatten(), hidden, nn.BatchNorm1d(settings.hidden), nn.ReLU()])
    return BodyAndHeads(body, heads, width=settings.hidden, dropout=settings.dropout)
