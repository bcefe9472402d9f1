"""What a text network can be asked, and targets for it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from classpulse.core.labels import GOEMOTIONS_28, ISEAR_7, TEXT_5, TEXT_7, LabelSpace
from classpulse.lab.train.losses import Loss, multi_head_loss

HEAD_SPACES: dict[str, LabelSpace] = {
    "text-5": TEXT_5,
    "text-7": TEXT_7,
    "goemotions": GOEMOTIONS_28,
    "isear-7": ISEAR_7,
}
MULTI = frozenset({"goemotions"})
"""Heads whose labels do not exclude each other: a sigmoid each, thresholds in the card."""
AUXILIARY = frozenset({"isear-7"})
"""Heads that help the others to learn: they judge no epoch, and no artefact has them."""

Probs = NDArray[np.float32]


def one_hot(labels: NDArray[np.int64], k: int, *, smoothing: float) -> Probs:
    """(n, k) targets of labels (n,), the share `smoothing` spread evenly over all k."""
    targets = np.full((len(labels), k), smoothing / k, dtype=np.float32)
    targets[np.arange(len(labels)), labels] += 1.0 - smoothing
    return targets


def text_loss(
    logits: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    heads: Mapping[str, float],
    *,
    loss: Loss,
) -> Tensor:
    """Weighted sum over heads, each a mean over its rows with a label.

    Args:
        logits, targets: head -> (b, k); a row of zeros has no label of that head.
        heads: head -> weight.
        loss: of the heads with one label a text; those in `MULTI` have the mean binary
            cross-entropy of their labels (Demszky et al. 2020, section 5.1).
    """
    single = {head: t for head, t in targets.items() if head not in MULTI}
    total = multi_head_loss(logits, single, heads, loss=loss)
    for head in targets.keys() & MULTI:
        known = targets[head].sum(dim=1) > 0
        if known.any():
            cost = functional.binary_cross_entropy_with_logits(
                logits[head][known].float(), targets[head][known]
            )
            total = total + heads[head] * cost
    return total


def disagreement(
    logits: Mapping[str, Tensor], others: Mapping[str, Tensor], heads: Mapping[str, float]
) -> Tensor:
    """How far two answers to the same texts are apart: R-Drop (Liang et al. 2021, eq. 3).

    Args:
        logits, others: head -> (b, k), of two passes with different dropout.
        heads: head -> weight; those in `MULTI` do not count.

    Returns:
        The weighted sum over heads of the mean of both Kullback-Leibler divergences, in nats.
    """
    total = torch.zeros(())
    for head in (one for one in logits if one not in MULTI):
        p, q = (functional.log_softmax(one[head].float(), dim=1) for one in (logits, others))
        both = ((p.exp() - q.exp()) * (p - q)).sum(dim=1) / 2
        total = total + heads[head] * both.mean()
    return total


def answer(logits: Mapping[str, Tensor], temperatures: Mapping[str, float]) -> dict[str, Tensor]:
    """{head: (b, k)} probabilities: a softmax, or a sigmoid for the heads in `MULTI`."""
    return {
        head: torch.sigmoid(logits[head] / t)
        if head in MULTI
        else torch.softmax(logits[head] / t, dim=1)
        for head, t in temperatures.items()
    }


def hint_distance(told: Tensor, hints: Tensor) -> Tensor:
    """Mean cosine distance of (b, w) vectors; rows without a hint, all zero, do not count."""
    known = hints.any(dim=1)
    if not known.any():
        return torch.zeros(())
    return (1 - functional.cosine_similarity(told[known].float(), hints[known])).mean()
