"""The thesis' ensemble head: Dropout and Dense(k, softmax) on the mean of frozen members.

All ten of its facial ensembles are built like this (notebook 2; seed-thesis C.1). The members do
not change, so their answers are computed once and the head is trained on them.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.data.splits import SEED
from classpulse.lab.ensemble.combination import (
    Combination,
    Labels,
    Probs,
    Values,
    check_members,
)


@dataclass(frozen=True, slots=True)
class StackPlan:
    """How the head is trained; the defaults are the thesis' (F2; dropout .1 in its model 1).

    Args:
        dropout: on the averaged probabilities.
        lr, batch, epochs: of Adam, with Keras' epsilon.
        patience: epochs without a lower validation loss before the best weights are restored.
        plateau, factor, min_lr: epochs without a loss lower by 1e-4 before the rate falls by
            `factor`, down to `min_lr`.
    """

    dropout: float = 0.2
    lr: float = 1e-4
    batch: int = 64
    epochs: int = 300
    patience: int = 15
    plateau: int = 6
    factor: float = 0.2
    min_lr: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout = {self.dropout}: needs a number from 0 to below 1")
        if min(self.batch, self.epochs, self.patience, self.plateau) < 1:
            raise InputError(f"{self}: batch, epochs, patience and plateau must be 1 or more")


THESIS = StackPlan()


def fit_stack(
    probs: Probs,
    truth: Labels,
    *,
    valid: tuple[Probs, Labels],
    weights: Values | None = None,
    plan: StackPlan = THESIS,
    seed: int = SEED,
) -> Combination:
    """Train the head: k * k + k parameters, 56 for seven emotions.

    Args:
        probs: (m, n, k) of the members on the training rows. The thesis trained on augmented
            pictures: pass the answers on several augmented copies one behind the other.
        truth: (n,) labels; rows with -1 are left out.
        valid: the same for the rows that stop the training.
        weights: (m,) of the mean, `accuracy_weights` for the thesis' model 6; equal by default.
        seed: of the kernel, the order and the dropout.

    Raises:
        ShapeError: arrays that do not belong together, see `check_members`.
    """
    m, _, k = probs.shape
    if valid[0].shape[::2] != (m, k):
        raise ShapeError(f"training answers are {probs.shape}, validation {valid[0].shape}")
    shares = np.full(m, 1 / m) if weights is None else weights
    mean = Combination("mean", m, k, shares)
    x, y = _means(mean, probs, truth)
    x_valid, y_valid = _means(mean, *valid)
    generator = torch.Generator().manual_seed(seed)
    head = nn.Linear(k, k)
    nn.init.xavier_uniform_(head.weight, generator=generator)
    nn.init.zeros_(head.bias)
    best = _train(head, x, y, (x_valid, y_valid), plan, generator)
    rule = "stack" if weights is None else "weighted-stack"
    matrix = best["weight"].double().numpy().T.copy()
    return Combination(rule, m, k, shares, matrix, best["bias"].double().numpy())


def _means(mean: Combination, probs: Probs, truth: Labels) -> tuple[Tensor, Tensor]:
    known = check_members(probs, truth)
    return torch.from_numpy(mean.apply(probs[:, known])), torch.from_numpy(truth[known])


def _train(
    head: nn.Linear,
    x: Tensor,
    y: Tensor,
    valid: tuple[Tensor, Tensor],
    plan: StackPlan,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """State of the epoch with the lowest validation loss."""
    optimizer = torch.optim.Adam(head.parameters(), lr=plan.lr, eps=1e-7)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=plan.factor,
        patience=plan.plateau - 1,  # torch waits one epoch longer than Keras
        threshold=1e-4,
        threshold_mode="abs",
        min_lr=plan.min_lr,
    )
    lowest, since, best = math.inf, 0, copy.deepcopy(head.state_dict())
    for _ in range(plan.epochs):
        for rows in torch.randperm(len(x), generator=generator).split(plan.batch):
            kept = torch.rand(len(rows), x.shape[1], generator=generator) >= plan.dropout
            loss = functional.cross_entropy(head(x[rows] * kept / (1 - plan.dropout)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            reached = functional.cross_entropy(head(valid[0]), valid[1]).item()
        plateau.step(reached)
        since += 1
        if reached < lowest:
            lowest, since, best = reached, 0, copy.deepcopy(head.state_dict())
        if since >= plan.patience:
            break
    return best
