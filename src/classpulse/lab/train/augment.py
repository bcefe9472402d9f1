"""Random changes of a batch of training faces, all on tensors, all from one generator."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Augment:
    """Strengths of the random changes.

    Args:
        rotation: degrees, uniform in +-.
        shift: fraction of the side, uniform in +-.
        zoom: (low, high) scale of the face.
        shear: uniform in +-.
        flip: probability of a horizontal flip.
        light: relative contrast change, uniform in +-; brightness by half of it.
        erase: probability of one erased rectangle of 2-20 % of the area.
        mixup: alpha of Beta(alpha, alpha); 0 turns mixup off.
        mixup_share: probability that a batch is mixed.
    """

    rotation: float = 15.0
    shift: float = 0.12
    zoom: tuple[float, float] = (0.9, 1.15)
    shear: float = 0.1
    flip: float = 0.5
    light: float = 0.25
    erase: float = 0.5
    mixup: float = 0.3
    mixup_share: float = 0.5


def augment_batch(x: Tensor, how: Augment, side: int, generator: torch.Generator) -> Tensor:
    """(b, c, h, w) -> (b, c, side, side): affine with flip, light, one random erase."""
    x = _affine(shrink(x, side), how, generator)
    x = _light(x, how, generator)
    return _erase(x, how, generator)


def shrink(x: Tensor, side: int) -> Tensor:
    """(b, c, h, w) -> (b, c, side, side) by area averaging; a no-op at equal size."""
    return x if x.shape[-1] == side else functional.interpolate(x, (side, side), mode="area")


def draw_mixup(how: Augment, generator: torch.Generator) -> float:
    """Share of the first picture in a mixed pair; 1.0 when this batch is not mixed.

    Beta(alpha, alpha) is drawn as g1 / (g1 + g2) from two Gamma(alpha) variates.
    """
    if how.mixup <= 0 or _uniform(1, generator).item() >= how.mixup_share:
        return 1.0
    alpha = torch.full((2,), how.mixup)
    g1, g2 = torch._standard_gamma(alpha, generator=generator).tolist()
    return max(g1, g2) / max(g1 + g2, 1e-12)


def _uniform(n: int, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _affine(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    b = len(x)
    angle = _uniform(b, generator, -how.rotation, how.rotation) * (math.pi / 180)
    scale = 1.0 / _uniform(b, generator, *how.zoom)
    shear = _uniform(b, generator, -how.shear, how.shear)
    mirror = torch.where(_uniform(b, generator) < how.flip, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = _uniform(2 * b, generator, -2 * how.shift, 2 * how.shift).view(b, 2)  # grid is 2 wide
    top = torch.stack([cos * mirror, -sin + shear * cos, shift[:, 0]], dim=1)
    bottom = torch.stack([sin * mirror, cos + shear * sin, shift[:, 1]], dim=1)
    theta = torch.stack([top, bottom], dim=1)  # (b, 2, 3)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _light(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    b = len(x)
    contrast = 1.0 + _uniform(b, generator, -how.light, how.light).view(b, 1, 1, 1)
    offset = _uniform(b, generator, -how.light / 2, how.light / 2).view(b, 1, 1, 1)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * contrast + mean + offset


def _erase(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    b, _, h, w = x.shape
    area = _uniform(b, generator, 0.02, 0.2) * h * w
    ratio = torch.exp(_uniform(b, generator, -1.0, 1.0))
    half_h = (torch.sqrt(area * ratio) / 2).view(b, 1, 1)
    half_w = (torch.sqrt(area / ratio) / 2).view(b, 1, 1)
    center_y = (_uniform(b, generator) * h).view(b, 1, 1)
    center_x = (_uniform(b, generator) * w).view(b, 1, 1)
    rows = torch.arange(h).view(1, h, 1)
    columns = torch.arange(w).view(1, 1, w)
    inside = ((rows - center_y).abs() < half_h) & ((columns - center_x).abs() < half_w)
    chosen = (_uniform(b, generator) < how.erase).view(b, 1, 1)
    noise = torch.randn(b, 1, 1, generator=generator)
    return torch.where((inside & chosen).unsqueeze(1), noise.unsqueeze(1), x)
