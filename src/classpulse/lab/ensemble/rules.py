"""Rules that find a `Combination` from the members' answers on labelled rows.

combination = Greedy(steps=20)(probs, truth, seed=42)  # probs (m, n, k), truth (n,)
combination.apply(probs)                               # (n, k)

Fit on rows that no member was trained on: on its own training rows a member looks right and sure,
and a rule believes it (the thesis' heads were trained there; seed-thesis E.5).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.data.splits import SEED
from classpulse.lab.ensemble.combination import (
    LOG_FLOOR,
    Combination,
    Labels,
    Probs,
    Values,
    check_members,
)
from classpulse.lab.ensemble.stack import StackPlan, fit_stack
from classpulse.lab.evaluate.metrics import HEAT_FLOOR

FOLDS = 10
STRENGTH = 0.01  # inverse of the L2 penalty on sums over rows (scikit-learn's C)


class Rule(ABC):
    """Settings of a rule; subclasses are frozen dataclasses."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        """The combination that fits the answers (m, n, k) to the labels (n,), -1 for none.

        Raises:
            ShapeError: see `check_members`.
            InputError: too few rows of a label.
        """


RULES: Registry[type[Rule]] = Registry("ensemble rule")


@RULES.register("mean")
@dataclass(frozen=True, slots=True)
class Mean(Rule):
    """Every member counts the same; the labels are only checked."""

    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        check_members(probs, truth)
        m, _, k = probs.shape
        return Combination("mean", m, k, np.full(m, 1 / m))


@RULES.register("weighted")
@dataclass(frozen=True, slots=True)
class Weighted(Rule):
    """Members weigh as much as they are accurate, see `accuracy_weights`."""

    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        m, _, k = probs.shape
        return Combination("weighted", m, k, accuracy_weights(probs, truth))


def accuracy_weights(probs: Probs, truth: Labels) -> Values:
    """(m,) accuracy of each member over the sum of all, as in the thesis' model 6 (F2:71)."""
    known = check_members(probs, truth)
    right = (probs[:, known].argmax(axis=2) == truth[known]).mean(axis=1)
    if not right.any():
        raise InputError("no member is right on any row: check the order of labels and rows")
    return np.asarray(right / right.sum(), dtype=np.float64)


@RULES.register("stack")
@dataclass(frozen=True, slots=True)
class Stack(StackPlan, Rule):
    """The thesis' head on the mean, with a fifth of the rows held out; see `fit_stack`."""

    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        train, valid = _hold_out(probs, truth, seed=seed)
        return fit_stack(*train, valid=valid, plan=self, seed=seed)


@RULES.register("weighted-stack")
@dataclass(frozen=True, slots=True)
class WeightedStack(StackPlan, Rule):
    """The same on the mean weighted by the accuracies on the fifth held out."""

    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        train, valid = _hold_out(probs, truth, seed=seed)
        weights = accuracy_weights(*valid)
        return fit_stack(*train, valid=valid, weights=weights, plan=self, seed=seed)


def _hold_out(
    probs: Probs, truth: Labels, *, seed: int
) -> tuple[tuple[Probs, Labels], tuple[Probs, Labels]]:
    """Four fifths and one fifth of the labelled rows, stratified."""
    from sklearn.model_selection import train_test_split

    rows = np.flatnonzero(check_members(probs, truth))
    _need_rows(truth[rows], 2, "the stack holds out a fifth of each label")
    train, valid = train_test_split(rows, test_size=0.2, stratify=truth[rows], random_state=seed)
    return (probs[:, train], truth[train]), (probs[:, valid], truth[valid])


@RULES.register("greedy")
@dataclass(frozen=True, slots=True)
class Greedy(Rule):
    """Forward selection with replacement (Caruana et al. 2004, sections 2 and 2.1).

    Each step adds the member that makes the mean best: by accuracy, then by log-likelihood where
    accuracies are equal. The best of the steps is kept, so that on these rows the result is never
    worse than the best member, which is the first step.

    Args:
        steps: picks; weights are multiples of 1 / steps at the finest.
    """

    steps: int = 50

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps = {self.steps}: greedy selection needs 1 or more")

    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        known = check_members(probs, truth)
        voices, labels = probs[:, known].astype(np.float64), truth[known]
        picks = np.zeros(len(probs))
        total, best, chosen = np.zeros(voices.shape[1:]), (-1.0, -np.inf), picks
        for step in range(1, self.steps + 1):
            scores = [_score((total + voice) / step, labels) for voice in voices]
            pick = max(range(len(scores)), key=scores.__getitem__)
            picks[pick] += 1
            total = total + voices[pick]
            if scores[pick] > best:
                best, chosen = scores[pick], picks.copy()
        return Combination("greedy", len(probs), probs.shape[2], chosen / chosen.sum())


def _score(probs: Values, truth: Labels) -> tuple[float, float]:
    """Accuracy and mean log-likelihood."""
    picked = probs[np.arange(len(truth)), truth]
    right = probs.argmax(axis=1) == truth
    return float(right.mean()), float(np.log(np.maximum(picked, HEAT_FLOOR)).mean())


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """A fitted combination, and what the same rule says of rows it was not fitted on.

    Args:
        combination: fitted on all labelled rows.
        rows: (r,) int64 labelled rows.
        probs: (r, k) float32 answers for them, each from the fit on the other folds.
    """

    combination: Combination
    rows: Labels
    probs: Probs


@RULES.register("out-of-fold")
@dataclass(frozen=True, slots=True)
class Regression(Rule):
    """Logistic regression on the members' log-probabilities, see `stack_out_of_fold`."""

    folds: int = FOLDS
    strength: float = STRENGTH

    def __call__(self, probs: Probs, truth: Labels, *, seed: int = SEED) -> Combination:
        found = stack_out_of_fold(probs, truth, seed=seed, folds=self.folds, strength=self.strength)
        return found.combination


def stack_out_of_fold(
    probs: Probs,
    truth: Labels,
    *,
    seed: int = SEED,
    folds: int = FOLDS,
    strength: float = STRENGTH,
) -> OutOfFold:
    """Stacked generalization (Wolpert 1992) with a linear second level.

    Args:
        probs: (m, n, k), each row from members that were not trained on it.
        folds: stratified parts; the answer for a row comes from the regression on the others.
        strength: inverse of the L2 penalty.

    Raises:
        InputError: a label has fewer rows than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    rows = np.flatnonzero(check_members(probs, truth))
    labels = truth[rows]
    _need_rows(labels, folds, f"{folds} folds")
    m, _, k = probs.shape
    voices = probs[:, rows]
    answers = np.empty((len(rows), k), dtype=np.float32)
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for others, fold in parts.split(rows, labels):
        level = _regress(voices[:, others], labels[others], strength)
        answers[fold] = Combination("out-of-fold", m, k, None, *level).apply(voices[:, fold])
    level = _regress(voices, labels, strength)
    return OutOfFold(Combination("out-of-fold", m, k, None, *level), rows, answers)


def _regress(voices: Probs, labels: Labels, strength: float) -> tuple[Values, Values]:
    """Matrix (m k, k) and bias (k,) of the regression on cut log-probabilities (m, n, k).

    A label without rows keeps a bias that makes it as good as impossible.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    k = voices.shape[2]
    logs = np.log(np.maximum(voices.astype(np.float64), LOG_FLOOR))
    seen = np.concatenate(list(logs), axis=1)  # (m, n, k) -> (n, m k)
    with threadpool_limits(1):  # small matrices: on a busy machine threads wait for each other
        found = LogisticRegression(C=strength, max_iter=5000).fit(seen, labels)
    columns = found.classes_ if len(found.classes_) > 2 else found.classes_[1:]
    matrix, bias = np.zeros((seen.shape[1], k)), np.full(k, np.log(LOG_FLOOR))
    bias[found.classes_] = 0.0
    matrix[:, columns], bias[columns] = found.coef_.T, found.intercept_
    return matrix, bias


def _need_rows(labels: NDArray[np.int64], needed: int, why: str) -> None:
    """Every label that occurs has enough rows, and there are two of them."""
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2 or counts.min() < needed:
        found = dict(zip(present.tolist(), counts.tolist(), strict=True))
        raise InputError(
            f"{why}: needs two labels or more of {needed} rows each, found rows per label {found}"
        )
