"""Measured runs as speedup and efficiency (paper eq. 19 and 21), and laws fitted to them (eq. 22).

A law says the speedup S(N) of N workers over the serial time of the same work:

* `amdahl` (1967): 1 / S = s + (1 - s) / N, s the serial share of a fixed amount of work;
* `paper`: eq. 22 as printed, T = T_serial + (1 - S) P / N. With its P fixed this is
  1 / S = a + b / N, so Amdahl's form with an overhead (a + b need not be 1), not Gustafson's;
* `gustafson` (1988): S = N - s (N - 1), for work that grows with the workers;
* `usl` (Gunther 1993): 1 / S = (1 + alpha (N - 1) + beta N (N - 1)) / N, with alpha for contention
  and beta for coherence: only it can say that more workers are slower.

Each is linear in its parameters after dividing by what was measured, so the fit is a bounded linear
least squares of the *relative* error of the time.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError

Columns = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaling:
    """One measured run beside the serial one.

    Args:
        workers: that shared the work.
        seconds: they took, T.
        serial: seconds of the same work without a pool, on one core.

    Raises:
        InputError: no workers, or seconds that are not positive numbers.
    """

    workers: int
    seconds: float
    serial: float

    def __post_init__(self) -> None:
        times = (self.seconds, self.serial)
        if self.workers < 1 or not all(math.isfinite(t) and t > 0 for t in times):
            raise InputError(
                f"a run has one worker or more and positive seconds, not {self.workers} workers, "
                f"{self.seconds} s, serial {self.serial} s"
            )

    @property
    def rate(self) -> float:
        """S = 1 / T of eq. 19, per second."""
        return 1 / self.seconds

    @property
    def speedup(self) -> float:
        """T_serial / T_parallel, eq. 21."""
        return self.serial / self.seconds

    @property
    def efficiency(self) -> float:
        """Speedup for each worker."""
        return self.speedup / self.workers


@dataclass(frozen=True, slots=True)
class Fit:
    """A law and how well it tells the measured times.

    Args:
        law: of `LAWS`.
        parameters: by name.
        errors: standard error of each; None without points to spare or at a bound.
        points: runs that the law says anything about.
        error: root mean square of the relative error of the time over all runs; None if there are
            no more points than parameters: then a fit goes through them whatever they are.
    """

    law: str
    parameters: dict[str, float]
    errors: dict[str, float | None]
    points: int
    error: float | None

    def predict(self, workers: float) -> float:
        """Speedup that the law expects."""
        values = np.array(list(self.parameters.values()))
        return LAWS[self.law].speedup(np.array([float(workers)]), values).item()

    @property
    def limit(self) -> float:
        """Largest speedup at any number of workers; infinite if there is no end."""
        p = self.parameters
        if self.law == "gustafson":
            return math.inf if p["serial"] < 1 else 1.0
        if self.law == "usl":
            if p["coherence"] > 0:
                best = math.sqrt(max(1 - p["contention"], 0.0) / p["coherence"])
                return max(self.predict(math.floor(best) or 1), self.predict(math.floor(best) + 1))
            floor = p["contention"]
        else:
            floor = p["serial"]
        return 1 / floor if floor > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Law:
    """A law as ``1 / S`` (or S itself) = fixed + columns @ parameters.

    Args:
        names: of the parameters, each in [0, top].
        parts: workers (n,) -> fixed (n,) and columns (n, p).
        inverse: the line is 1 / S, otherwise S.
    """

    names: tuple[str, ...]
    parts: Callable[[Columns], tuple[Columns, tuple[Columns, ...]]]
    top: float
    inverse: bool = True

    def speedup(self, workers: Columns, values: Columns) -> Columns:
        fixed, columns = self.parts(workers)
        line = fixed + np.stack(columns, axis=1) @ values
        return 1 / line if self.inverse else line


LAWS: dict[str, Law] = {
    "amdahl": Law(("serial",), lambda n: (1 / n, (1 - 1 / n,)), 1.0),
    "paper": Law(("serial", "parallel"), lambda n: (0 * n, (n**0, 1 / n)), math.inf),
    "gustafson": Law(("serial",), lambda n: (n, (1 - n,)), 1.0, inverse=False),
    "usl": Law(("contention", "coherence"), lambda n: (1 / n, (1 - 1 / n, n - 1)), math.inf),
}


def fit_law(law: str, runs: Sequence[Scaling]) -> Fit:
    """Fit one law to runs; those of one worker say nothing about a law that begins at S(1) = 1.

    Raises:
        InputError: an unknown law, or fewer different numbers of workers than it has parameters.
    """
    if law not in LAWS:
        raise InputError(f"unknown law '{law}'; known: {', '.join(LAWS)}")
    rule = LAWS[law]
    workers, speedup = (
        np.array([getattr(run, name) for run in runs], dtype=float)
        for name in ("workers", "speedup")
    )
    fixed, columns = rule.parts(workers)
    matrix = np.stack(columns, axis=1)  # (n, p)
    telling = np.any(matrix != 0, axis=1)
    counts = len(np.unique(workers[telling]))
    if counts < len(rule.names):
        raise InputError(
            f"the law '{law}' needs runs with {len(rule.names)} different numbers of workers"
            f"{'' if law == 'paper' else ' above one'}, not {counts}"
        )
    scale = speedup if rule.inverse else 1 / speedup
    matrix, target = matrix * scale[:, None], 1 - fixed * scale
    values = _solve(matrix, target, rule.top)
    residual = matrix @ values - target
    spare = int(telling.sum()) - len(values)
    errors = _errors(matrix[telling], residual[telling], values, rule.top, spare)
    return Fit(
        law,
        dict(zip(rule.names, values.tolist(), strict=True)),
        dict(zip(rule.names, errors, strict=True)),
        int(telling.sum()),
        math.sqrt(float(np.mean(residual**2))) if spare > 0 else None,
    )


def fit_laws(runs: Sequence[Scaling], laws: Iterable[str] = tuple(LAWS)) -> list[Fit]:
    """All laws that there are enough runs for, best first; those without an error come last."""
    fits = []
    for law in laws:
        try:
            fits.append(fit_law(law, runs))
        except InputError:
            if law not in LAWS:
                raise
    return sorted(fits, key=lambda fit: math.inf if fit.error is None else fit.error)


def _solve(matrix: Columns, target: Columns, top: float) -> Columns:
    from scipy.optimize import lsq_linear

    found = lsq_linear(matrix, target, bounds=(0.0, top), method="bvls", tol=1e-14)
    return np.asarray(found.x, dtype=np.float64)


def _errors(
    matrix: Columns, residual: Columns, values: Columns, top: float, spare: int
) -> list[float | None]:
    """Standard errors of linear least squares; at a bound that formula does not hold."""
    if spare <= 0:
        return [None] * len(values)
    spread = float(residual @ residual) / spare
    deviation = np.sqrt(np.diag(spread * np.linalg.pinv(matrix.T @ matrix)))
    inside = (values > 1e-9) & (values < top * (1 - 1e-9) if math.isfinite(top) else True)
    return [float(d) if ok else None for d, ok in zip(deviation, inside, strict=True)]
