"""Mixing the pictures of a batch with each other, and their targets in the same shares."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from classpulse.lab.train.augment import Augment, draw_beta, draw_chance, draw_mixup

Targets = dict[str, Tensor]


def mix_batch(
    x: Tensor, targets: Mapping[str, Tensor], how: Augment, generator: torch.Generator
) -> tuple[Tensor, Targets]:
    """CutMix with probability `cutmix_share`, else mixup with `mixup_share`, else nothing.

    One share and one rectangle for the whole batch, a random partner for every row. Nothing is
    drawn for CutMix when its probability is 0. A row without a label for a head brings no mass
    into its mixture, which then counts for less.

    Args:
        x: (b, c, h, w).
        targets: head -> (b, k) soft targets, zero rows where there is no label.

    Returns:
        Pictures and targets of the same shapes; what was given is not changed.
    """
    if how.cutmix_share > 0 and draw_chance(generator) < how.cutmix_share:
        kept = draw_beta(how.cutmix, generator)
        return cutmix(x, targets, kept, draw_partners(len(x), generator), generator)
    share = draw_mixup(how, generator)
    if share == 1.0:
        return x, dict(targets)
    return mixup(x, targets, share, draw_partners(len(x), generator))


def draw_partners(b: int, generator: torch.Generator) -> Tensor:
    """(b,) row that every row is mixed with, each once; some rows meet themselves."""
    return torch.randperm(b, generator=generator)


def mixup(
    x: Tensor, targets: Mapping[str, Tensor], share: float, partner: Tensor
) -> tuple[Tensor, Targets]:
    """share * row + (1 - share) * its partner (Zhang et al. 2018); shapes as in `mix_batch`."""
    return share * x + (1 - share) * x[partner], _mix_targets(targets, share, partner)


def cutmix(
    x: Tensor,
    targets: Mapping[str, Tensor],
    kept: float,
    partner: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Targets]:
    """A rectangle of the partner in every picture (Yun et al. 2019, eq. 1 and 2).

    The rectangle has the picture's proportions and an area of 1 - `kept` of it, around a uniform
    center; what lies outside is cut off, and the targets are mixed by the area that is left.
    """
    h, w = x.shape[-2:]
    rows, columns = (_draw_span(side, math.sqrt(1 - kept), generator) for side in (h, w))
    mixed = x.clone()
    mixed[:, :, rows, columns] = x[partner][:, :, rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, _mix_targets(targets, 1 - area / (h * w), partner)


def _draw_span(side: int, share: float, generator: torch.Generator) -> slice:
    """A span of about `share` of 0..side around a uniform center, cut off at the ends."""
    center = draw_chance(generator) * side
    half = share * side / 2
    return slice(max(round(center - half), 0), min(round(center + half), side))


def _mix_targets(targets: Mapping[str, Tensor], share: float, partner: Tensor) -> Targets:
    return {head: share * t + (1 - share) * t[partner] for head, t in targets.items()}
