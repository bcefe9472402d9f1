"""The residual family ``B{channels}_N{blocks}_FC{n}_K{kernel}_AP{pool}`` of A.I.ducation Analytics.

See seed-aieducation.md. The original training script reads the kernel size but does not pass it to
the network, so that its K5 and K7 rows were probably trained with 3x3 kernels; the setting
`kernel_passed = False` reproduces that, the default builds what the name says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import BodyAndHeads, check_sizes

SCRIPT_KERNEL = 3  # what the original network takes when it is told nothing
_NAME = re.compile(r"B(\d+)_N(\d+)_FC(\d+)_K(\d+)_AP(\d+)")


@dataclass(frozen=True, slots=True)
class AieducationSettings:
    """One network of the family; the default is its best, ``B16_N8_FC2_K5_AP20``.

    Args:
        channels: maps of every block (16 or 32 in the source).
        blocks: residual blocks (4, 8 or 12).
        fc: hidden layers (blocks // 3), each as wide as what is flattened: channels * pool**2.
        kernel: side of the kernels in pixels, odd (3, 5 or 7).
        pool: side of the map after adaptive average pooling.
        kernel_passed: False builds 3x3 kernels whatever the name says, as the original script.
    """

    channels: int = 16
    blocks: int = 8
    fc: int = 2
    kernel: int = 5
    pool: int = 20
    kernel_passed: bool = True

    def __post_init__(self) -> None:
        check_sizes(channels=self.channels, blocks=self.blocks, pool=self.pool)
        if self.fc < 0 or self.kernel % 2 == 0:
            raise InputError(
                f"fc = {self.fc}, kernel = {self.kernel}: needs 0 or more layers and an odd kernel"
            )

    @property
    def built_kernel(self) -> int:
        """Side of the kernels that are built."""
        return self.kernel if self.kernel_passed else SCRIPT_KERNEL


def parse_name(name: str, *, kernel_passed: bool = True) -> AieducationSettings:
    """Settings of a name: ``B16_N8_FC2_K5_AP20``.

    Raises:
        InputError: the name has another form or impossible numbers.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError(
            f"'{name}' is no network of this family: write B16_N8_FC2_K5_AP20 (channels, blocks, "
            "hidden layers, kernel, pooled side)"
        )
    channels, blocks, fc, kernel, pool = (int(part) for part in found.groups())
    return AieducationSettings(channels, blocks, fc, kernel, pool, kernel_passed=kernel_passed)


def format_name(settings: AieducationSettings) -> str:
    """The name of settings; the inverse of `parse_name`, which `kernel_passed` is no part of."""
    return (
        f"B{settings.channels}_N{settings.blocks}_FC{settings.fc}_K{settings.kernel}"
        f"_AP{settings.pool}"
    )


class PlainBlock(nn.Module):
    """conv-BN-ReLU-conv-BN, add the input, ReLU: (b, c, h, w) -> (b, d, h, w).

    Where c is 1, the addition repeats the one map of the input for each of the d.
    """

    def __init__(self, c: int, d: int, *, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, d, kernel, padding=kernel // 2)
        self.norm1 = nn.BatchNorm2d(d)
        self.conv2 = nn.Conv2d(d, d, kernel, padding=kernel // 2)
        self.norm2 = nn.BatchNorm2d(d)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + x)


def build_aieducation(
    settings: AieducationSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """Blocks at full resolution, average pooling, hidden layers: (b, 1, s, s) -> logits.

    Raises:
        InputError: the input has more than one channel, which the first block cannot repeat.
    """
    if channels != 1:
        raise InputError(f"aieducation reads grey faces: channels must be 1, not {channels}")
    width, kernel = settings.channels, settings.built_kernel
    body = nn.Sequential()
    for i in range(settings.blocks):
        body.append(PlainBlock(1 if i == 0 else width, width, kernel=kernel))
    body.extend([nn.AdaptiveAvgPool2d(settings.pool), nn.Flatten()])
    flat = width * settings.pool**2
    for _ in range(settings.fc):
        body.extend([nn.Linear(flat, flat), nn.ReLU()])
    return BodyAndHeads(body, heads, width=flat)
