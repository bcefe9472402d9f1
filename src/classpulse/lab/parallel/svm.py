"""Support vector machines trained in parallel (paper eq. 25): one against one, and one against all.

The pairs of classes are problems of their own, so one against one gives the machine that
`sklearn.svm.SVC` trains one pair after the other: the same support vectors, multipliers and votes.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC
from sklearn.utils import gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classpulse.core.errors import InputError
from classpulse.lab.parallel.workers import Workers, use_pool

Array = NDArray[Any]

KERNELS = ("linear", "poly", "rbf")  # of eq. 6
SCHEMES = ("one-vs-one", "one-vs-rest")
CHUNK = 1024  # rows for which the kernel with all support vectors is held at once


@dataclass(frozen=True, slots=True)
class Margin:
    """What every machine of one fit shares, with gamma as a number."""

    C: float
    kernel: str
    degree: int
    gamma: float
    coef0: float
    tol: float

    def build(self) -> SVC:
        """An untrained machine."""
        return SVC(
            C=self.C,
            kernel=self.kernel,
            degree=self.degree,
            gamma=self.gamma,
            coef0=self.coef0,
            tol=self.tol,
        )


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine for two sides: f(x) = sum of dual * kernel(row, x) + bias, above 0 for the second.

    Args:
        rows: (m,) int64 rows of the training data that are its support vectors.
        dual: (m,) float64.
    """

    rows: Array
    dual: Array
    bias: float


Task = tuple[Margin, int, int | None]
"""The settings, a class, and the class it is told from; None is all others."""


class ParallelClassifier(ClassifierMixin, BaseEstimator, ABC):
    """Checks and options that the parallel classifiers share."""

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Train in a pool of `workers` processes, opened for this call; None is this process."""
        if self.workers is None:
            return self.fit_with(X, y, None)
        with Workers(self.workers) as pool:
            return self.fit_with(X, y, pool)

    @abstractmethod
    def fit_with(self, X: Any, y: Any, pool: Workers | None) -> Self:  # noqa: N803
        """Train in an open pool, or if None in this process.

        Raises:
            ValueError: as scikit-learn's estimators do for data that cannot be learned from.
            InputError: an option out of range.
        """

    def _start(self, X: Any, y: Any) -> tuple[Array, Array, Margin]:  # noqa: N803
        """Checked data (n, d) float64, codes of classes (n,) int64, and resolved settings."""
        if self.kernel not in KERNELS:
            raise InputError(f"unknown kernel '{self.kernel}'; known: {', '.join(KERNELS)}")
        X, y = validate_data(self, X, y, dtype=np.float64, order="C")
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes or more are needed, not {len(self.classes_)} class")
        gamma = resolve_gamma(self.gamma, X)
        return X, codes, Margin(self.C, self.kernel, self.degree, gamma, self.coef0, self.tol)


class ParallelSVC(ParallelClassifier):
    """SVC whose two-class problems are shared out over processes.

    Args:
        C, kernel, degree, gamma, coef0, tol: as `sklearn.svm.SVC`; kernels of eq. 6 only.
        scheme: ``"one-vs-one"``: every pair of classes, most votes win, the first of equals, as in
            SVC. ``"one-vs-rest"``: every class against all others, the largest value wins.
        workers: processes; None computes in this one.

    After `fit`: `classes_`, `support_` (rows of X), `load_` (who trained how much).
    """

    def __init__(
        self,
        C: float = 1.0,  # noqa: N803
        *,
        kernel: str = "rbf",
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        tol: float = 1e-3,
        scheme: str = "one-vs-one",
        workers: int | None = None,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.tol = tol
        self.scheme = scheme
        self.workers = workers

    def fit_with(self, X: Any, y: Any, pool: Workers | None) -> Self:  # noqa: N803
        """See `ParallelClassifier.fit_with`."""
        if self.scheme not in SCHEMES:
            raise InputError(f"unknown scheme '{self.scheme}'; known: {', '.join(SCHEMES)}")
        X, codes, self._margin = self._start(X, y)
        self._sides = self._problems()
        tasks = [(self._margin, *sides) for sides in self._sides]
        with use_pool(pool) as workers, workers.share(X) as data, workers.share(codes) as labels:
            machines, self.load_ = workers.run(train_machine, tasks, data, labels)
        self.support_ = np.unique(np.concatenate([machine.rows for machine in machines]))
        self._vectors = X[self.support_]
        self._dual = np.zeros((len(machines), len(self.support_)))  # (problems, m)
        for dual, machine in zip(self._dual, machines, strict=True):
            dual[np.searchsorted(self.support_, machine.rows)] = machine.dual
        self._bias = np.array([machine.bias for machine in machines])
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """(n, d) -> (n,) labels."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        values = np.concatenate(list(self._values(X)))  # (n, problems)
        if len(self.classes_) == 2:
            best = (values[:, 0] >= 0).astype(np.int64)
        elif self.scheme == "one-vs-rest":
            best = values.argmax(axis=1)
        else:
            votes = np.zeros((len(X), len(self.classes_)), dtype=np.int64)
            for value, (first, second) in zip(values.T, self._sides, strict=True):
                votes[np.arange(len(X)), np.where(value < 0, first, second)] += 1
            best = votes.argmax(axis=1)
        return self.classes_[best]

    def _problems(self) -> list[tuple[int, Any]]:
        classes = range(len(self.classes_))
        if self.scheme == "one-vs-one" or len(self.classes_) == 2:
            return list(combinations(classes, 2))
        return [(one, None) for one in classes]

    def _values(self, x: Array) -> Iterator[Array]:
        """(n, d) -> chunks of (n, problems): the value of every machine."""
        how = self._margin
        options = {"gamma": how.gamma, "degree": how.degree, "coef0": how.coef0}
        for part in gen_batches(len(x), CHUNK):
            kernel = pairwise_kernels(
                x[part], self._vectors, metric=how.kernel, filter_params=True, **options
            )
            yield kernel @ self._dual.T + self._bias


def train_machine(x: Array, codes: Array, task: Task) -> Machine:
    """One two-class problem; of a pair the later class is the upper side, else the one class."""
    margin, first, second = task
    if second is None:
        rows, upper = np.arange(len(codes)), codes == first
    else:
        rows = np.flatnonzero((codes == first) | (codes == second))
        upper = codes[rows] == second
    svc = margin.build().fit(x[rows], upper)
    return Machine(rows[svc.support_], svc.dual_coef_[0], float(svc.intercept_[0]))


def resolve_gamma(gamma: float | str, x: Array) -> float:
    """The number that SVC takes for ``"scale"`` or ``"auto"``, of *all* rows.

    Raises:
        InputError: another word, or a number that is not positive.
    """
    if gamma == "scale":
        spread = x.var()
        return 1.0 / (x.shape[1] * spread) if spread else 1.0
    if gamma == "auto":
        return 1.0 / x.shape[1]
    if isinstance(gamma, str) or gamma <= 0:
        raise InputError(f"gamma is 'scale', 'auto' or a positive number, not {gamma!r}")
    return float(gamma)
