"""Random changes of a batch of training faces, all on tensors, all from one generator."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.train.kinds import check_ranges


@dataclass(frozen=True, slots=True)
class Augment:
    """Strengths of the random changes; what leaves the picture repeats its border.

    Args:
        rotation: degrees, uniform in +-.
        shift: fraction of the side, uniform in +-, of each axis.
        shift_x, shift_y: added to `shift` for the horizontal and the vertical axis alone.
        zoom: (low, high) scale of the face.
        shear: uniform in +-.
        flip: probability of a horizontal flip.
        gamma: exponent of the picture between its darkest and brightest value, exp of a uniform
            number in +-; 0.5 is between 0.61 and 1.65.
        light: relative contrast change, uniform in +-; brightness by half of it.
        blur: greatest deviation of a Gaussian blur in pixels, uniform from 0.
        noise: greatest deviation of Gaussian noise, uniform from 0, in units of the prepared
            picture (after mean and std).
        erase: probability of one erased rectangle of 2-20 % of the area.
        mixup: alpha of Beta(alpha, alpha); 0 turns mixup off.
        mixup_share: probability that a batch is mixed.
        cutmix: alpha of Beta(alpha, alpha), the kept share of the area.
        cutmix_share: probability that a batch gets rectangles of others instead, see `mix_batch`.

    Raises:
        InputError: a value out of range.
    """

    rotation: float = 15.0
    shift: float = 0.12
    shift_x: float = 0.0
    shift_y: float = 0.0
    zoom: tuple[float, float] = (0.9, 1.15)
    shear: float = 0.1
    flip: float = 0.5
    gamma: float = 0.0
    light: float = 0.25
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.5
    mixup: float = 0.3
    mixup_share: float = 0.5
    cutmix: float = 1.0
    cutmix_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "shift", "shift_x", "shift_y", "shear", "light", "noise", "mixup"):
            check_ranges(**{name: (getattr(self, name), 0, math.inf)})
        for name in ("flip", "erase", "mixup_share", "cutmix_share"):
            check_ranges(**{name: (getattr(self, name), 0, 1)})
        check_ranges(gamma=(self.gamma, 0, 3), blur=(self.blur, 0, 10))
        check_ranges(cutmix=(self.cutmix, 1e-3, math.inf))
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise InputError(f"zoom = {list(self.zoom)}: needs two scales above 0, the lower first")


def augment_batch(x: Tensor, how: Augment, side: int, generator: torch.Generator) -> Tensor:
    """(b, c, h, w) -> (b, c, side, side): affine with flip, gamma, light, blur, noise, one erase.

    Gamma, blur and noise draw nothing at strength 0: a recipe without them keeps its draws.
    """
    x = _affine(shrink(x, side), how, generator)
    if how.gamma > 0:
        x = _gamma(x, how, generator)
    x = _light(x, how, generator)
    if how.blur > 0:
        x = _blur(x, how, generator)
    if how.noise > 0:
        x = _noise(x, how, generator)
    return _erase(x, how, generator)


def shrink(x: Tensor, side: int) -> Tensor:
    """(b, c, h, w) -> (b, c, side, side) by area averaging; a no-op at equal size."""
    return x if x.shape[-1] == side else functional.interpolate(x, (side, side), mode="area")


def draw_mixup(how: Augment, generator: torch.Generator) -> float:
    """Share of the first picture in a mixed pair; 1.0 when this batch is not mixed.

    The larger of a Beta(alpha, alpha) variate and its rest.
    """
    if how.mixup <= 0 or draw_chance(generator) >= how.mixup_share:
        return 1.0
    g1, g2 = _draw_gammas(how.mixup, generator)
    return max(g1, g2) / max(g1 + g2, 1e-12)


def draw_beta(alpha: float, generator: torch.Generator) -> float:
    """A Beta(alpha, alpha) variate."""
    g1, g2 = _draw_gammas(alpha, generator)
    return g1 / max(g1 + g2, 1e-12)


def draw_chance(generator: torch.Generator) -> float:
    """A number uniform in [0, 1)."""
    return float(_uniform(1, generator).item())


def _draw_gammas(alpha: float, generator: torch.Generator) -> tuple[float, float]:
    """Two Gamma(alpha) variates; the first's share of their sum is Beta(alpha, alpha)."""
    g1, g2 = torch._standard_gamma(torch.full((2,), alpha), generator=generator).tolist()
    return g1, g2


def _uniform(n: int, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(n, generator=generator) * (high - low) + low


def _affine(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    b = len(x)
    angle = _uniform(b, generator, -how.rotation, how.rotation) * (math.pi / 180)
    scale = 1.0 / _uniform(b, generator, *how.zoom)
    shear = _uniform(b, generator, -how.shear, how.shear)
    mirror = torch.where(_uniform(b, generator) < how.flip, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    reach = 2 * (how.shift + torch.tensor([how.shift_x, how.shift_y]))  # the grid is 2 wide
    shift = _uniform(2 * b, generator).view(b, 2) * (2 * reach) - reach
    top = torch.stack([cos * mirror, -sin + shear * cos, shift[:, 0]], dim=1)
    bottom = torch.stack([sin * mirror, cos + shear * sin, shift[:, 1]], dim=1)
    theta = torch.stack([top, bottom], dim=1)  # (b, 2, 3)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _gamma(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    exponent = torch.exp(_uniform(len(x), generator, -how.gamma, how.gamma)).view(-1, 1, 1, 1)
    low, high = x.amin(dim=(1, 2, 3), keepdim=True), x.amax(dim=(1, 2, 3), keepdim=True)
    spread = (high - low).clamp_min(1e-6)
    return low + spread * ((x - low) / spread) ** exponent


def _blur(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    b, c, h, w = x.shape
    sigma = _uniform(b, generator, 0, how.blur).clamp_min(1e-3).view(b, 1)
    radius = math.ceil(3 * how.blur)
    offsets = torch.arange(-radius, radius + 1).view(1, -1)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)  # (b, 2 radius + 1), one for each picture
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(c, dim=0)
    planes = functional.pad(x.reshape(1, b * c, h, w), (radius,) * 4, mode="replicate")
    planes = functional.conv2d(planes, kernel.view(b * c, 1, -1, 1), groups=b * c)
    planes = functional.conv2d(planes, kernel.view(b * c, 1, 1, -1), groups=b * c)
    return planes.view(b, c, h, w)


def _noise(x: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    deviation = _uniform(len(x), generator, 0, how.noise).view(-1, 1, 1, 1)
    return x + deviation * torch.randn(x.shape, generator=generator)


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
