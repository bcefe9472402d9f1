"""Cascade of support vector machines (Graf et al. 2004, "Parallel support vector machines").

The data are dealt into parts, each trained alone; the support vectors of two neighbors are trained
together, and so on until one machine is left. Its support vectors join every part in the next
round. When they no longer change, the machine is that of all data, within the solver's tolerance.
The machines are SVC's of all classes, whose support vectors are those of any pair of classes.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from classpulse.core.errors import InputError
from classpulse.lab.parallel.shared import Shared
from classpulse.lab.parallel.svm import Margin, ParallelClassifier
from classpulse.lab.parallel.workers import Load, Workers, use_pool

Array = NDArray[Any]


class CascadeSVC(ParallelClassifier):
    """SVC trained by a cascade over processes.

    Args:
        C, kernel, degree, gamma, coef0, tol, class_weight, break_ties: as `ParallelSVC`.
        parts: that the data are dealt into, two or more.
        rounds: at most; the first already gives a useful machine.
        workers: processes; None computes in this one.

    After `fit`: `classes_`, `support_` (rows of X), `rounds_`, `converged_`, `svc_` (the last
    machine), `loads_` (who trained how much, one for each layer of each round).
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
        parts: int = 4,
        rounds: int = 3,
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
        self.parts = parts
        self.rounds = rounds
        self.workers = workers

    def fit_with(self, X: Any, y: Any, pool: Workers | None) -> Self:  # noqa: N803
        """See `ParallelClassifier.fit_with`."""
        if self.parts < 2 or self.rounds < 1:
            raise InputError(
                f"a cascade has two parts or more and a round or more, not {self.parts} parts and "
                f"{self.rounds} rounds"
            )
        X, codes, margin = self._start(X, y)
        parts = deal(codes, self.parts)
        self.loads_: list[Load] = []
        self.support_ = np.zeros(0, np.int64)
        with use_pool(pool) as workers, workers.share(X) as data, workers.share(codes) as labels:
            for number in range(1, self.rounds + 1):
                sets = [np.union1d(part, self.support_) for part in parts]
                rows = self._descend(sets, margin, workers, data, labels)
                self.svc_ = margin.train(X[rows], codes[rows], codes[rows])
                before, self.support_ = self.support_, np.sort(rows[self.svc_.support_])
                self.rounds_, self.converged_ = number, np.array_equal(before, self.support_)
                if self.converged_:
                    break
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """(n, d) -> (n,) labels."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.classes_[self.svc_.predict(X)]

    def _descend(
        self, sets: list[Array], margin: Margin, pool: Workers, data: Shared, labels: Shared
    ) -> Array:
        """Rows (m,) that the last machine of a round is trained on."""
        while len(sets) > 1:
            tasks = [(margin, rows) for rows in sets]
            kept, load = pool.run(keep_support, tasks, data, labels)
            self.loads_.append(load)
            sets = [merge(kept[i : i + 2]) for i in range(0, len(kept), 2)]
        return sets[0]


def keep_support(x: Array, codes: Array, task: tuple[Margin, Array]) -> Array:
    """Those of some rows (m,) that are support vectors among them; all, if of one class."""
    margin, rows = task
    if len(np.unique(codes[rows])) < 2:
        return rows
    return rows[margin.train(x[rows], codes[rows], codes[rows]).support_]


def deal(codes: Array, parts: int) -> list[Array]:
    """Rows in `parts` sets with nearly the same share of every class; none is empty."""
    order = np.argsort(codes, kind="stable")
    return [np.sort(order[i::parts]) for i in range(min(parts, len(codes)))]


def merge(sets: list[Array]) -> Array:
    """All rows of one or two sets, sorted, each once."""
    return np.unique(np.concatenate(sets))
