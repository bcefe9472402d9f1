"""Calibration of one head: probabilities that hold as often as they say.

probs = softmax(scale * log p * exp(by_entropy * H) / temperature + bias), where p is the answer
that is not calibrated and H its entropy over that of k equal chances. With a temperature alone it
is temperature scaling; scale and bias, of each label, are vector scaling (Guo et al. 2017, sections
4.1 and 4.2; with log p for the logits, which an ensemble has too); by_entropy makes the
temperature another one for sure than for unsure answers (after the entropy-based temperature of
Balanya et al. 2024).

fitted = fit_calibration(probs, truth)  # whichever is likelier on rows that it has not seen
fitted.calibration.apply(probs)
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Head
from classpulse.lab.evaluate.metrics import HEAT_FLOOR, LOG_TEMPERATURES, fit_temperature, heat

FOLDS = 10
PENALTY = 5.0  # hardly matters from 1 to 30: docs/training.md, Calibration
HALVINGS = 50  # of an interval a few units wide: beyond the last bit of a float32
ROUNDS = 20
MOST_BY_ENTROPY = 1.0  # farther out, two answers may become one, and none can be undone
MOST_BIAS = 10.0  # that the search tries: penalized, none is near it in the end
TEMPERATURE, VECTOR = "temperature", "vector"

Probs = NDArray[np.float32]
Labels = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a head's answer goes through last; the fields are those of `core.card.Head`.

    Args:
        temperature: above 0.
        scale: (k,) above 0, or empty for ones.
        bias: (k,), or empty for zeros.
        by_entropy: 0 for one temperature of all rows.
    """

    temperature: float = 1.0
    scale: tuple[float, ...] = ()
    bias: tuple[float, ...] = ()
    by_entropy: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether it is a temperature and nothing else."""
        return self == Calibration(self.temperature)

    def apply(self, probs: Probs) -> Probs:
        """(n, k) probabilities at temperature 1 -> (n, k) float32 calibrated."""
        if self.is_plain:
            return heat(probs, self.temperature)
        logs = _logs(probs)
        logits = logs * self._slope(logs) + np.array(self.bias or 0.0)
        return np.asarray(np.exp(_normalized(logits)), dtype=np.float32)

    def undo(self, probs: Probs) -> Probs:
        """(n, k) probabilities that `apply` turns into these.

        Given the entropy, log p = (log probs + c - bias) / slope, with the c of each row that makes
        the sum of p 1; that entropy is then a better one, until it stands still.
        """
        if self.is_plain:
            return heat(probs, 1 / self.temperature)
        ends = _logs(probs) - np.array(self.bias or 0.0)
        found = _logs(probs)
        for _ in range(ROUNDS if self.by_entropy else 1):
            found = _solve(ends, self._slope(found))
        return np.asarray(np.exp(found), dtype=np.float32)

    def _slope(self, logs: Values) -> Values:
        """(n, k) what log p (n, k) is multiplied with."""
        row = np.exp(self.by_entropy * _entropy(logs)) / self.temperature  # (n, 1)
        return np.broadcast_to(row * np.array(self.scale or 1.0), logs.shape)


PLAIN = Calibration()


def calibration_of(head: Head) -> Calibration:
    """What is inside an artefact for this head."""
    return Calibration(head.temperature, head.scale, head.bias, head.by_entropy)


@dataclass(frozen=True, slots=True)
class Fitted:
    """The likelier calibration.

    Args:
        calibration: fitted on all rows, rounded as it goes into card and graph.
        unseen: (n, k) float32 calibrated answers, each by a fit on the other tenths of the rows.
        losses: kind -> mean negative log-likelihood of such answers.
    """

    calibration: Calibration
    unseen: Probs
    losses: Mapping[str, float]


def fit_calibration(probs: Probs, truth: Labels, *, seed: int = 0) -> Fitted:
    """`fit_vector` if it is likelier than `fit_plain` on rows that were not fitted.

    Args:
        probs: (n, k) at temperature 1, of rows that the network was not trained on.
        truth: (n,) labels, none missing.
        seed: of the `FOLDS` parts.
    """
    kinds: dict[str, Callable[[Probs, Labels], Calibration]] = {
        TEMPERATURE: fit_plain,
        VECTOR: fit_vector,
    }
    order = np.random.default_rng(seed).permutation(len(truth))
    answers = {kind: np.empty_like(probs) for kind in kinds}
    for fold in np.array_split(order, FOLDS):
        others = np.setdiff1d(order, fold)
        for kind, fit in kinds.items():
            answers[kind][fold] = fit(probs[others], truth[others]).apply(probs[fold])
    losses = {kind: log_loss(found, truth) for kind, found in answers.items()}
    best = min(kinds, key=lambda kind: losses[kind])  # the simpler one where they are equal
    return Fitted(kinds[best](probs, truth), answers[best], losses)


def log_loss(probs: Probs, truth: Labels) -> float:
    """Mean negative log-likelihood of labels (n,), none missing."""
    picked = probs[np.arange(len(truth)), truth]
    return float(-np.log(np.maximum(picked, HEAT_FLOOR)).mean())


def fit_plain(probs: Probs, truth: Labels) -> Calibration:
    """The likeliest temperature, rounded."""
    return Calibration(round(fit_temperature(probs, truth), 4))


def fit_vector(probs: Probs, truth: Labels, *, penalty: float = PENALTY) -> Calibration:
    """All of it, of the least penalized negative log-likelihood, rounded.

    Args:
        penalty: rows that the sum of squares of log scales, biases and `by_entropy` weighs as much
            as: pulls to temperature scaling, the more the fewer rows there are.
    """
    from scipy.optimize import minimize

    n, k = probs.shape
    logs, rows = _logs(probs), np.arange(n)
    entropy = _entropy(logs)

    def loss(x: Values) -> tuple[float, Values]:
        """Value and gradient at -log temperature, by_entropy, log scales (k), biases (k)."""
        scales, biases = np.exp(x[2 : k + 2]), x[k + 2 :]
        heated = logs * np.exp(x[0] + x[1] * entropy)
        found = _normalized(heated * scales + biases)
        slope = np.exp(found)  # of the sum of the losses, by the (n, k) logits
        slope[rows, truth] -= 1
        by_scale = slope * heated * scales
        ends = by_scale.sum(), (by_scale * entropy).sum()
        gradient = np.concatenate([ends, by_scale.sum(axis=0), slope.sum(axis=0)])
        gradient[1:] += 2 * penalty * x[1:]
        value = -found[rows, truth].sum() + penalty * float((x[1:] ** 2).sum())
        return value / n, gradient / n

    begin = np.zeros(2 * k + 2)
    begin[0] = -np.log(fit_temperature(probs, truth))
    # few or unanimous rows would drive a temperature, which nothing penalizes, to 0 or beyond 1e9
    bounds = [LOG_TEMPERATURES, (-MOST_BY_ENTROPY, MOST_BY_ENTROPY)]
    bounds += [LOG_TEMPERATURES] * k + [(-MOST_BIAS, MOST_BIAS)] * k
    x = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x
    first, by_entropy, *rest = (float(v) for v in x)
    scale = tuple(round(math.exp(v), 4) for v in rest[:k])
    bias = tuple(round(v, 4) for v in rest[k:])
    return Calibration(round(math.exp(-first), 4), scale, bias, round(by_entropy, 4))


def _solve(ends: Values, slope: Values) -> Values:
    """(n, k) log p = (ends + c) / slope, with the c of each row that makes the sum of p 1."""
    high = (-ends).min(axis=1, keepdims=True)  # one p is 1, so the sum is 1 or more
    low = (-ends - np.log(ends.shape[1]) * slope).min(axis=1, keepdims=True)  # none above 1 / k
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        over = np.exp((ends + middle) / slope).sum(axis=1, keepdims=True) > 1
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return _normalized((ends + low) / slope)


def _entropy(logs: Values) -> Values:
    """(n, 1) of log-probabilities (n, k), from 0 to 1."""
    return -(np.exp(logs) * logs).sum(axis=1, keepdims=True) / np.log(logs.shape[1])


def _logs(probs: Probs) -> Values:
    return np.log(np.maximum(probs.astype(np.float64), HEAT_FLOOR))


def _normalized(logits: Values) -> Values:
    """(n, k) log-probabilities: log softmax."""
    least = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(least - np.log(np.exp(least).sum(axis=1, keepdims=True)))
