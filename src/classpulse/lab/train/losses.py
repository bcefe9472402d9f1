"""Losses of soft targets, each a price of every label that depends on its log-probability only.

Shapes: b rows, k labels. Logits are (b, k); targets are (b, k), each row a distribution, or all
zero where the row has no label, or anything between after mixing the two. A loss is
sum(target * weight * price) / sum(target): the mean over the rows with a label.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.train.kinds import check_ranges


class Loss(ABC):
    """Settings of a loss; subclasses are frozen dataclasses that give the price."""

    __slots__ = ()

    @abstractmethod
    def price(self, log_probs: Tensor) -> Tensor:
        """(b, k) log-probabilities -> (b, k), what it costs if the label is the true one."""

    def __call__(
        self, logits: Tensor, targets: Tensor, *, class_weights: Tensor | None = None
    ) -> Tensor:
        """The loss of a batch, a scalar; 0 when no row has a label.

        The weights scale the sum but not what it is divided by, as in Keras: with balanced weights
        (see `balanced_weights`) the loss keeps its size on average.

        Args:
            logits: (b, k), computed with in float32 or better.
            targets: (b, k), rows of mass 0 do not count.
            class_weights: (k,) factor of every label's price.
        """
        return self.total(logits, targets, class_weights) / label_mass(targets)

    def total(self, logits: Tensor, targets: Tensor, class_weights: Tensor | None) -> Tensor:
        """sum(target * weight * price), a scalar; arguments as in a call."""
        wide = logits if logits.dtype == torch.float64 else logits.float()
        price = self.price(functional.log_softmax(wide, dim=1))
        if class_weights is not None:
            price = price * class_weights
        return (targets * price).sum()


def label_mass(targets: Tensor) -> Tensor:
    """Number of rows with a label, a scalar, halves counted as such; 1 for none at all."""
    return targets.sum().clamp_min(1.0)


@dataclass(frozen=True, slots=True)
class CrossEntropy(Loss):
    """-log p. Its gradient is that of the Kullback-Leibler divergence from the targets."""

    def price(self, log_probs: Tensor) -> Tensor:
        return -log_probs


@dataclass(frozen=True, slots=True)
class Focal(Loss):
    """-(1 - p)^gamma log p: what is predicted well already counts less (Lin et al. 2017, eq. 4).

    Args:
        gamma: 0 is the cross-entropy; the source's is 2.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        check_ranges(gamma=(self.gamma, 0, 10))

    def price(self, log_probs: Tensor) -> Tensor:
        # at p = 1 the slope of (1 - p)^gamma is infinite for gamma below 1
        missing = (-torch.expm1(log_probs)).clamp_min(torch.finfo(log_probs.dtype).eps)
        return -(missing**self.gamma) * log_probs


@dataclass(frozen=True, slots=True)
class Generalized(Loss):
    """(1 - p^q) / q, between cross-entropy (q to 0) and mean absolute error (q = 1).

    A wrong label that the network denies costs at most 1 / q, so label noise is fitted less
    (Zhang and Sabuncu 2018, eq. 6; its q is 0.7).
    """

    q: float = 0.7

    def __post_init__(self) -> None:
        check_ranges(q=(self.q, 1e-3, 1))

    def price(self, log_probs: Tensor) -> Tensor:
        return -torch.expm1(self.q * log_probs) / self.q


LOSSES: Registry[type[Loss]] = Registry("loss")
LOSSES.register("cross-entropy")(CrossEntropy)
LOSSES.register("focal")(Focal)
LOSSES.register("generalized")(Generalized)


def multi_head_loss(
    logits: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    heads: Mapping[str, float],
    *,
    loss: Loss | None = None,
    class_weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Weighted sum over heads of a loss, each averaged over the rows with a label of that head.

    Args:
        logits, targets: head -> (b, k); heads without targets do not count.
        heads: head -> weight.
        loss: of every head; soft cross-entropy unless given.
        class_weights: head -> (k,); heads not in it are not weighted.
    """
    one = CrossEntropy() if loss is None else loss
    weights = {} if class_weights is None else class_weights
    total = torch.zeros(())
    for head, target in targets.items():
        cost = one.total(logits[head], target, weights.get(head))
        total = total + heads[head] * cost / label_mass(target)
    return total


def balanced_weights(counts: Sequence[float]) -> Tensor:
    """(k,) float32 weights N / (k n_c) of labels that occur n_c times in N rows.

    scikit-learn's "balanced", the thesis' second balancing (seed-thesis.md A.6); King and Zeng
    2001. The mean over the rows is 1.

    Raises:
        InputError: no labels, or one that does not occur.
    """
    if not counts or not all(0 < n < math.inf for n in counts):
        raise InputError(f"counts {list(counts)}: balanced weights need every label to occur")
    total = sum(counts)
    return torch.tensor([total / (len(counts) * n) for n in counts], dtype=torch.float32)
