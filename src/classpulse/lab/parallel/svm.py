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
from sklearn.utils import compute_class_weight, gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classpulse.core.errors import InputError
from classpulse.lab.parallel.workers import Workers, use_pool

Array = NDArray[Any]

KERNELS = ("linear", "poly", "rbf")  # of eq. 6
SCHEMES = ("one-vs-one", "one-vs-rest")
CACHE_MB = 500  # of each machine that is trained, for kernel values
CHUNK = 1024  # rows for which the kernel with all support vectors is held at once


@dataclass(frozen=True, slots=True)
class Margin:
    """What every machine of one fit shares, with gamma as a number.

    Args:
        weights: (k,) float64, the price of a row of each class in units of C.
    """

    C: float
    kernel: str
    degree: int
    gamma: float
    coef0: float
    tol: float
    weights: Array
    break_ties: bool

    def build(self) -> SVC:
        """An untrained machine."""
        return SVC(
            C=self.C,
            kernel=self.kernel,
            degree=self.degree,
            gamma=self.gamma,
            coef0=self.coef0,
            tol=self.tol,
            break_ties=self.break_ties,
            cache_size=CACHE_MB,
        )

    def train(self, x: Array, sides: Array, codes: Array) -> SVC:
        """A machine that tells the `sides` (m,) of the rows of x, whose classes are `codes`."""
        return self.build().fit(x, sides, sample_weight=self.weights[codes])


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine for two sides: f(x) = sum of dual * kernel(row, x) + bias, above 0 for the second.

    Args:
        rows: (m,) int64 rows of the training data that are its support vectors.
        dual: (m,) float64.
        steps: that its solver took.
    """

    rows: Array
    dual: Array
    bias: float
    steps: int


Task = tuple[Margin, int, int | None]
"""The settings, a class, and the class it is told from; None is all others."""


class ParallelClassifier(ClassifierMixin, BaseEstimator, ABC):
    """Checks and options that the parallel classifiers share."""

    def fit(self, X: Any, y: Any, *, pool: Workers | None = None) -> Self:  # noqa: N803
        """Train in an open pool, or else in one of `workers` processes for this call alone."""
        if pool is not None or self.workers is None:
            return self.fit_with(X, y, pool)
        with Workers(self.workers) as own:
            return self.fit_with(X, y, own)

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
        weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        margin = Margin(
            self.C,
            self.kernel,
            self.degree,
            resolve_gamma(self.gamma, X),
            self.coef0,
            self.tol,
            weights,
            self.break_ties,
        )
        return X, codes, margin


class ParallelSVC(ParallelClassifier):
    """SVC whose two-class problems are shared out over processes.

    Args:
        C, kernel, degree, gamma, coef0, tol, class_weight, break_ties: as `sklearn.svm.SVC`;
            kernels of eq. 6 only.
        scheme: ``"one-vs-one"``: every pair of classes, most votes win, the first of equals, as in
            SVC. ``"one-vs-rest"``: every class against all others, the largest value wins.
        workers: processes; None computes in this one.

    After `fit`: `classes_`, `support_` (rows of X), `load_` (who trained how much), and one against
    one `svc_`, a fitted SVC of the codes 0 to k - 1 of the classes.
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
        class_weight: str | dict[Any, float] | None = None,
        break_ties: bool = False,
        scheme: str = "one-vs-one",
        workers: int | None = None,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.tol = tol
        self.class_weight = class_weight
        self.break_ties = break_ties
        self.scheme = scheme
        self.workers = workers

    def fit_with(self, X: Any, y: Any, pool: Workers | None) -> Self:  # noqa: N803
        """See `ParallelClassifier.fit_with`."""
        if self.scheme not in SCHEMES:
            raise InputError(f"unknown scheme '{self.scheme}'; known: {', '.join(SCHEMES)}")
        X, codes, self._margin = self._start(X, y)
        sides = self._problems()
        tasks = [(self._margin, *two) for two in sides]
        with use_pool(pool) as workers, workers.share(X) as data, workers.share(codes) as labels:
            machines, self.load_ = workers.run(train_machine, tasks, data, labels)
        self.support_ = np.unique(np.concatenate([machine.rows for machine in machines]))
        if sides[0][1] is not None:
            self.svc_ = join_machines(self._margin, machines, X, codes)
            return self
        self._vectors = X[self.support_]
        self._dual = np.zeros((len(machines), len(self.support_)))  # (k, m)
        for dual, machine in zip(self._dual, machines, strict=True):
            dual[np.searchsorted(self.support_, machine.rows)] = machine.dual
        self._bias = np.array([machine.bias for machine in machines])
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """(n, d) -> (n,) labels."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if self.scheme == "one-vs-one" or len(self.classes_) == 2:
            return self.classes_[self.svc_.predict(X)]
        return self.classes_[np.concatenate(list(self._values(X))).argmax(axis=1)]

    def _problems(self) -> list[tuple[int, Any]]:
        classes = range(len(self.classes_))
        if self.scheme == "one-vs-one" or len(self.classes_) == 2:
            return list(combinations(classes, 2))
        return [(one, None) for one in classes]

    def _values(self, x: Array) -> Iterator[Array]:
        """(n, d) -> chunks of (n, k): the value of every class against the rest."""
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
    svc = margin.train(x[rows], upper, codes[rows])
    bias, steps = float(svc.intercept_[0]), int(svc.n_iter_[0])
    return Machine(rows[svc.support_], svc.dual_coef_[0], bias, steps)


def join_machines(margin: Margin, machines: list[Machine], x: Array, codes: Array) -> SVC:
    """The SVC of all classes, to the bit, from the machines of its pairs in their order.

    libsvm keeps the rows (m,) class by class, and of the multipliers (k - 1, m) those of the pair
    i < j in row j - 1 for rows of class i and in row i for rows of class j. Its sides are the other
    way round than those of two classes in scikit-learn, hence the signs.
    """
    k = int(codes.max()) + 1
    rows = np.unique(np.concatenate([machine.rows for machine in machines]))
    rows = rows[np.argsort(codes[rows], kind="stable")]
    place = np.zeros(len(x), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    dual = np.zeros((k - 1, len(rows)))
    for (first, second), one in zip(combinations(range(k), 2), machines, strict=True):
        dual[np.where(codes[one.rows] == first, second - 1, first), place[one.rows]] = -one.dual
    bias = -np.array([one.bias for one in machines])
    # fitted to a row of each class, for what scikit-learn notes besides; then the answer is put in
    some = np.unique(codes, return_index=True)[1]
    svc = margin.build().fit(x[some], codes[some])
    svc.support_, svc.support_vectors_ = rows.astype(np.int32), np.ascontiguousarray(x[rows])
    svc._n_support = np.bincount(codes[rows], minlength=k).astype(np.int32)
    svc._dual_coef_, svc._intercept_ = dual, bias
    svc.dual_coef_, svc.intercept_ = (-dual, -bias) if k == 2 else (dual, bias.copy())
    svc.n_iter_ = svc._num_iter = np.array([one.steps for one in machines], dtype=np.int32)
    svc.class_weight_, svc.shape_fit_ = margin.weights, x.shape
    return svc


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
