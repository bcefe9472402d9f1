"""How the probabilities of several networks become one: frozen, exportable, calibrated.

Shapes: m members, n rows, k labels of one head.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.evaluate.calibration import PLAIN, Calibration, Fitted, fit_calibration

LOG_FLOOR = 1e-6  # below, a member's probability says only "no": bounds what one member can do

Probs = NDArray[np.float32]
Labels = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Combination:
    """One head's rule, in one of three forms; with P_i the members' probabilities (n, k):

    * weights alone: sum of w_i P_i;
    * weights, matrix (k, k) and bias: softmax((sum of w_i P_i) matrix + bias);
    * matrix (m k, k) and bias: softmax([log P_1 ... log P_m] matrix + bias), logs cut at
      `LOG_FLOOR`.

    The result is calibrated last.

    Args:
        rule: name in `lab.ensemble.rules.RULES`, for the card.
        members: m.
        labels: k.
        weights: (m,) float64, 0 or more, sum 1; None in the third form.
        matrix: float64, or None in the first form.
        bias: (k,) float64, or None in the first form.
        calibration: none until `calibrate` sets it.

    Raises:
        ShapeError: the arrays have none of the three forms.
        InputError: impossible weights or temperature.
    """

    rule: str
    members: int
    labels: int
    weights: Values | None = None
    matrix: Values | None = None
    bias: Values | None = None
    calibration: Calibration = PLAIN

    def __post_init__(self) -> None:
        m, k = self.members, self.labels
        given = tuple(None if a is None else a.shape for a in (self.weights, self.matrix))
        forms = ((m,), None), ((m,), (k, k)), (None, (m * k, k))
        bias = None if self.matrix is None else (k,)
        if given not in forms or (None if self.bias is None else self.bias.shape) != bias:
            raise ShapeError(
                f"combination '{self.rule}' of {m} members with {k} labels: weights and matrix of "
                f"shapes {given}; needs weights ({m},), matrix ({m * k}, {k}), or weights ({m},) "
                f"with matrix ({k}, {k}), and a bias ({k},) with each matrix"
            )
        for values in (self.weights, self.matrix, self.bias):
            if values is not None and not np.isfinite(values).all():
                raise InputError(f"combination '{self.rule}' has numbers that are not finite")
        if self.weights is not None and (
            self.weights.min() < 0 or abs(float(self.weights.sum()) - 1) > 1e-9
        ):
            raise InputError(
                f"combination '{self.rule}': weights {self.weights.tolist()} must be 0 or more "
                "and sum to 1"
            )
        if not 0 < self.calibration.temperature < np.inf:
            raise InputError(f"combination '{self.rule}': temperature must be above 0")

    @property
    def parameters(self) -> int:
        """Trained numbers on top of the members': of the matrix and the bias."""
        return sum(a.size for a in (self.matrix, self.bias) if a is not None)

    @property
    def used(self) -> NDArray[np.bool_]:
        """(m,) members whose answer counts: all but those of weight 0."""
        if self.weights is None:
            return np.ones(self.members, dtype=np.bool_)
        return np.asarray(self.weights > 0, dtype=np.bool_)

    def take(self, kept: NDArray[np.bool_]) -> "Combination":
        """The same rule without the members (m,) that are not `kept`, all of weight 0.

        Raises:
            InputError: a member that counts would go.
        """
        if (self.used & ~kept).any():
            raise InputError(f"combination '{self.rule}' needs members that were to be left out")
        weights = None if self.weights is None else self.weights[kept]
        return replace(self, members=int(kept.sum()), weights=weights)

    def apply(self, probs: Probs) -> Probs:
        """(m, n, k) -> (n, k) float32 probabilities.

        Raises:
            ShapeError: another number of members or labels.
        """
        if probs.ndim != 3 or probs.shape[::2] != (self.members, self.labels):
            raise ShapeError(
                f"combination '{self.rule}' takes ({self.members}, n, {self.labels}), "
                f"not {probs.shape}"
            )
        if self.weights is not None:
            seen = np.tensordot(self.weights, probs.astype(np.float64), 1)  # (n, k)
        else:
            logs = np.log(np.maximum(probs.astype(np.float64), LOG_FLOOR))
            seen = np.concatenate(list(logs), axis=1)  # (m, n, k) -> (n, m k)
        if self.matrix is None or self.bias is None:
            return self.calibration.apply(np.asarray(seen, dtype=np.float32))
        logits = seen @ self.matrix + self.bias
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return self.calibration.apply(
            np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)
        )


def calibrate(combination: Combination, probs: Probs, truth: Labels) -> tuple[Combination, Fitted]:
    """With the calibration of `fit_calibration`, and all that the fit says.

    Args:
        probs: (m, n, k), best of rows on which neither members nor rule were fitted: a rule
            looks surer on its own rows.
        truth: (n,) labels, -1 for none.
    """
    known = check_members(probs, truth)
    bare = replace(combination, calibration=PLAIN)
    fitted = fit_calibration(bare.apply(probs[:, known]), truth[known])
    return replace(combination, calibration=fitted.calibration), fitted


def check_members(probs: Probs, truth: Labels) -> NDArray[np.bool_]:
    """(n,) True for rows with a label.

    Raises:
        ShapeError: not (m, n, k) distributions of two members or more, not (n,) labels of 0..k-1
            and -1, or no row has a label.
    """
    if probs.ndim != 3 or probs.shape[0] < 2 or probs.shape[2] < 2:
        raise ShapeError(
            f"an ensemble needs probabilities (m, n, k) of two members or more, not {probs.shape}"
        )
    if truth.shape != probs.shape[1:2]:
        raise ShapeError(f"members answer for {probs.shape[1]} rows, labels are {truth.shape}")
    far = np.abs(probs.sum(axis=2) - 1) if probs.size else np.zeros(1)
    if not np.isfinite(probs).all() or (probs < 0).any() or far.max() > 1e-3:
        raise ShapeError("members' rows must be probabilities that sum to 1: give no logits")
    known = np.asarray(truth >= 0, dtype=np.bool_)
    if not known.any():
        raise ShapeError("no row has a label: there is nothing to fit on")
    if truth.max() >= probs.shape[2]:
        raise ShapeError(f"label {truth.max()} with {probs.shape[2]} columns of probabilities")
    return known
