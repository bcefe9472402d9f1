"""Co-teaching: two networks, each learning from the rows that the other finds easy.

Han et al. 2018, algorithm 1: networks fit true labels before false ones, so a row of small loss is
probably labelled right. Each of two networks chooses such rows of the batch, and the other learns
from them: two that began apart do not confirm each other's errors as one alone does. Both are in
one module, so that optimizer, average and checkpoint see one network; what is validated, kept and
exported is the first.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.lab.models.base import FaceModel
from classpulse.lab.train.kinds import check_ranges

Targets = Mapping[str, Tensor]
TINY = 1e-12  # of the mass of a row without a label


@dataclass(frozen=True, slots=True)
class CoTeaching:
    """How many rows of a batch are left out, the table `[coteach]` of a recipe.

    Args:
        forget: share that is left out in the end; the source takes the share of wrong labels.
        ramp: epochs in which the share grows in even steps from 0 (the source's T_k); 0 for none.

    Raises:
        InputError: a value out of range.
    """

    forget: float = 0.2
    ramp: int = 10

    def __post_init__(self) -> None:
        check_ranges(forget=(self.forget, 0, 0.9), ramp=(self.ramp, 0, math.inf))

    def kept(self, number: int, rows: int) -> int:
        """Rows of a batch of so many that are learned from in an epoch, counted from 1."""
        grown = min((number - 1) / self.ramp, 1.0) if self.ramp else 1.0
        return max(rows - int(self.forget * grown * rows), 1)


class Pair(nn.Module):
    """Two networks of one kind as one module; it answers as the first does."""

    def __init__(self, first: FaceModel, second: FaceModel) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        answer: dict[str, Tensor] = self.first(x)
        return answer


def first_of(model: nn.Module) -> nn.Module:
    """The network that counts: of a pair the first, else the model itself."""
    return model.first if isinstance(model, Pair) else model


def choose_easy(
    logits: Targets, targets: Targets, heads: Mapping[str, float], *, keep: int
) -> Tensor:
    """(keep,) rows of a batch that a network predicts best, the best first.

    By the divergence from the targets, which is the source's cross-entropy where labels are hard
    and does not call a row wrong because people were divided about it. The heads that label a row
    count by their weights; a row without any label is chosen last.

    Args:
        logits, targets: head -> (b, k); heads: head -> weight.
    """
    b = len(next(iter(logits.values())))
    cost, counted = torch.zeros(b), torch.zeros(b)
    for head, target in targets.items():
        log_probs = functional.log_softmax(logits[head].detach().float(), dim=1)
        mass = target.sum(dim=1)  # (b,)
        share = target / mass.clamp_min(TINY).unsqueeze(1)
        divergence = (torch.xlogy(share, share) - share * log_probs).sum(dim=1)
        cost += heads[head] * mass * divergence
        counted += heads[head] * mass
    mean = torch.where(counted > 0, cost / counted.clamp_min(TINY), torch.inf)
    return mean.argsort(stable=True)[:keep]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a network learns from: its logits of some rows, and their targets, by head (b, k)."""

    network: nn.Module
    logits: Targets
    targets: Targets


def exchange(
    pair: Pair, faces: Tensor, targets: Targets, heads: Mapping[str, float], *, keep: int
) -> list[Lesson]:
    """The lessons of both networks: each has the rows that the other has chosen.

    Args:
        faces: (b, c, s, s), which both see whole, for their normalizations.
        targets, heads, keep: as in `choose_easy`.
    """
    one, two = pair.first(faces), pair.second(faces)
    by_one = choose_easy(one, targets, heads, keep=keep)
    by_two = choose_easy(two, targets, heads, keep=keep)
    return [
        Lesson(pair.first, _take(one, by_two), _take(targets, by_two)),
        Lesson(pair.second, _take(two, by_one), _take(targets, by_one)),
    ]


def _take(values: Targets, rows: Tensor) -> Targets:
    return {head: v[rows] for head, v in values.items()}
