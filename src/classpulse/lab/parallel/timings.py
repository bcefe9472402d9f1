"""A user's own timings: read from CSV, as a table of speedups and with the laws they follow."""

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.lab.parallel.laws import Fit, Scaling, fit_laws


def read_timings(path: Path) -> list[Scaling]:
    """Runs of a CSV file with columns `workers`, `seconds` and, if it likes, `serial`.

    Without `serial` (seconds of the same work without a pool) the median of the runs of one worker
    stands for it.

    Raises:
        InputError: the file cannot be read, a column is missing or a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read timings from {path}: {error}") from None
    if not table or not {"workers", "seconds"} <= table[0].keys():
        raise InputError(f"{path}: timings need a row of names, with workers and seconds, and rows")
    rows = [_read_row(path, number, row) for number, row in enumerate(table, start=2)]
    alone = [seconds for workers, seconds, _ in rows if workers == 1]
    if not alone and any(serial is None for *_, serial in rows):
        raise InputError(f"{path}: give a run of one worker, or the column serial, to compare with")
    base = statistics.median(alone) if alone else math.nan
    return [
        Scaling(workers, seconds, base if serial is None else serial)
        for workers, seconds, serial in rows
    ]


def _read_row(
    path: Path, number: int, row: dict[str, str | None]
) -> tuple[int, float, float | None]:
    try:
        serial = row.get("serial")
        return (
            int(row["workers"] or ""),
            float(row["seconds"] or ""),
            float(serial) if serial else None,
        )
    except ValueError as error:
        raise InputError(f"{path}, line {number}: {error}") from None


def laws_json(runs: Sequence[Scaling]) -> dict[str, Any]:
    """The table and the fits as plain values; a limit that does not end is None."""
    return {
        "runs": [
            asdict(run) | {"rate": run.rate, "speedup": run.speedup, "efficiency": run.efficiency}
            for run in runs
        ],
        "laws": [
            asdict(fit) | {"limit": fit.limit if math.isfinite(fit.limit) else None}
            for fit in fit_laws(runs)
        ],
    }


def describe_laws(runs: Sequence[Scaling]) -> str:
    """The table of speedups and a line for each law that there are enough runs for."""
    lines = ["workers    seconds  speedup  efficiency"]
    lines += [
        f"{run.workers:7d} {run.seconds:10.4g} {run.speedup:8.2f} {run.efficiency:11.2f}"
        for run in sorted(runs, key=lambda run: run.workers)
    ]
    fits = fit_laws(runs)
    if not fits:
        lines.append("no laws: they need runs of two workers or more")
    return "\n".join([*lines, *map(_describe_fit, fits)])


def _describe_fit(fit: Fit) -> str:
    said = ", ".join(f"{name} {value:.4g}" for name, value in fit.parameters.items())
    error = "as many parameters as points" if fit.error is None else f"error {fit.error:.1%}"
    limit = f"at most {fit.limit:.3g} times" if math.isfinite(fit.limit) else "no limit"
    return f"{fit.law}: {said}; {error}; {limit}"
