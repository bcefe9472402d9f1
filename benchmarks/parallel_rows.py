"""What page, plots and verdicts of the parallel study read from results/parallel.json."""

from collections.abc import Iterator
from typing import Any

from classpulse.lab.parallel.laws import Scaling

GOAL = 0.85  # efficiency
ABOVE = 1.05  # times what its cores allow: from here on a row is marked
OTHER = ("dimensions", "training-step")  # not a case with rows of workers
FEATURES = ("lbp", "hog", "gabor", "haar", "blocks")
MACHINES = ("svm-one-vs-one", "svm-one-vs-rest", "svm-cascade")
DESCENT = ("ddp", "ddp-small", "async", "hogwild")
GROUPS = {
    "features": FEATURES,
    "detection, convolution": (
        "viola-jones",
        "convolution",
        "convolution-narrow",
        "convolution-processes",
    ),
    "SVM": MACHINES,
    "gradient descent": DESCENT,
}
SAME_WORK = {  # parts whose serial run is the same work
    "training of the small network": ("ddp-small", "async", "hogwild"),
    "scikit-learn's SVC": ("svm-one-vs-one", "svm-cascade"),
}

Case = dict[str, Any]
Row = dict[str, Any]


def cases_of(found: dict[str, Any]) -> dict[str, Case]:
    """The parts that have rows of workers."""
    return {name: one for name, one in found.items() if name not in OTHER}


def groups_of(cases: dict[str, Case]) -> dict[str, list[str]]:
    """Names of parts by group; those that no group names come last."""
    named = {name for names in GROUPS.values() for name in names}
    groups = {title: [n for n in names if n in cases] for title, names in GROUPS.items()}
    groups["other"] = [name for name in cases if name not in named]
    return {title: names for title, names in groups.items() if names}


def scaling_of(row: Row) -> Scaling:
    return Scaling(row["workers"], row["seconds"], row["serial"])


def largest(case: Case) -> int:
    return max(row["size"] for row in case["rows"])


def runs_of(case: Case) -> list[Scaling]:
    """Runs of the largest size."""
    size = largest(case)
    return [scaling_of(row) for row in case["rows"] if row["size"] == size]


def scaled_runs(case: Case) -> list[Scaling]:
    """Runs in which n workers have n times the work: Gustafson's setting."""
    return [scaling_of(row) for row in case["rows"] if row["size"] == case["base"] * row["workers"]]


def within_cores(case: Case, *, least: int = 0) -> list[Scaling]:
    """Runs of all sizes from `least` on that have a core for every worker."""
    return [
        scaling_of(row)
        for row in case["rows"]
        if row["workers"] <= case["cores"] and row["size"] >= least
    ]


def at_cores(case: Case) -> Scaling:
    """The run of the largest size with one worker on each core."""
    return max(
        (run for run in runs_of(case) if run.workers <= case["cores"]), key=lambda run: run.workers
    )


def beyond(case: Case, row: Row) -> bool:
    """Whether a row is faster than its workers and cores allow."""
    return scaling_of(row).speedup > ABOVE * min(row["workers"], case["cores"])


def beyond_cores(cases: dict[str, Case]) -> Iterator[tuple[str, Case, Row]]:
    """The rows among those that have more workers than cores."""
    for name, case in cases.items():
        for row in case["rows"]:
            if row["workers"] > case["cores"] and beyond(case, row):
                yield name, case, row


def baselines(cases: dict[str, Case]) -> Iterator[tuple[str, int, str, dict[str, float]]]:
    """Work, size, unit, and the serial seconds of it in each part that has it."""
    for work, names in SAME_WORK.items():
        seen = {name: cases[name] for name in names if name in cases}
        sizes = sorted({row["size"] for case in seen.values() for row in case["rows"]})
        for size in sizes:
            serial = {
                name: next(r["serial"] for r in case["rows"] if r["size"] == size)
                for name, case in seen.items()
                if any(r["size"] == size for r in case["rows"])
            }
            if len(serial) > 1:
                yield work, size, next(iter(seen.values()))["unit"], serial
