"""The paper's five hypotheses on docs/parallel.md: a verdict for each part, its numbers beside."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pages import table
from parallel_rows import (
    FEATURES,
    GOAL,
    MACHINES,
    at_cores,
    cases_of,
    largest,
    runs_of,
    within_cores,
)

from classpulse.lab.parallel.laws import Fit, fit_law

FITS = 0.10  # error of a law that tells the times; serial runs of the same work differ by more
NEAR = 0.15  # of an exponent to the 1 of eq. 24
REST = (
    "### 5. Engagement is a linear regression on expression scores (eq. 26)\n\n"
    "**Not tested.** The worked example comes out exactly (1.49, 1.04, 1.31, 1.77; mean 1.4025, "
    "[engagement.md](engagement.md)), but its residuals are against the model's own output and "
    "prove nothing, and no data set here has measured engagement.\n\n"
)


def describe_hypotheses(found: dict[str, Any]) -> str:
    """The section."""
    cases = cases_of(found)
    parts = [_scaling(cases), _in_features(cases), _in_dimensions(found), _in_machines(cases)]
    return "".join(["## The five hypotheses\n\n", *parts, REST])


def verdict(holds: Mapping[str, bool]) -> str:
    """For what a hypothesis holds and for what it does not."""
    yes = [f"`{name}`" for name, one in holds.items() if one]
    no = [f"`{name}`" for name, one in holds.items() if not one]
    if not no:
        return f"**Holds here** for all: {', '.join(yes)}."
    if not yes:
        return f"**Does not hold here**, for none of {', '.join(no)}."
    return f"**Holds for** {', '.join(yes)}; **does not hold for** {', '.join(no)}."


def paper_fit(case: dict[str, Any], *, least: int = 0) -> Fit:
    """Eq. 22 fitted to all sizes from `least` on at once, with no more workers than cores."""
    return fit_law("paper", within_cores(case, least=least))


def _scaling(cases: dict[str, Any]) -> str:
    fits = {name: paper_fit(case) for name, case in cases.items()}
    holds = {name: fit.error is not None and fit.error <= FITS for name, fit in fits.items()}
    rows = []
    for name, fit in fits.items():
        later = paper_fit(cases[name], least=cases[name]["base"] + 1)
        rows.append(
            (
                f"`{name}`",
                *(f"{value:.2f}" for value in fit.parameters.values()),
                _error(fit),
                fit.points,
                _error(later),
                f"{at_cores(cases[name]).efficiency:.2f}",
                "holds" if holds[name] else "does not hold",
            )
        )
    slow = [
        f"`{name}` ({fit.parameters['serial']:.2f})"
        for name, fit in fits.items()
        if holds[name] and fit.parameters["serial"] >= 1
    ]
    less = f" With a of 1 or more no number of workers is faster than none: {', '.join(slow)}."
    cores = max(case["cores"] for case in cases.values())
    reached = sum(at_cores(case).efficiency >= GOAL for case in cases.values())
    head = "part | a | b | error | rows | error without the smallest size | efficiency | eq. 22"
    return (
        "### 1. Time falls as eq. 22 says\n\n"
        f"{verdict(holds)} Eq. 22 is T / T serial = a + b / N, a the serial and b the parallel "
        "share. One a and one b are fitted to the rows of all sizes with no more workers than "
        f"cores. It holds where the error of the times is {FITS:.0%} or less; some serial runs of "
        "the same work differ by more. A pool costs about the same whatever the size, so a and b "
        f"are not those of small sizes where there is little to do.{less if slow else ''}\n\n"
        f"With {cores} cores there are {cores} numbers of workers: whether time bends away from "
        "a + b / N beyond them, only a machine with more cores could tell. An efficiency of "
        f"{GOAL} with a worker for each core is another question than eq. 22: {reached} of "
        f"{len(cases)} parts reach it.\n\n" + table(head, rows) + "\n\n"
    )


def _error(fit: Fit) -> str:
    return "none" if fit.error is None else f"{fit.error:.1%}"


def _in_features(cases: dict[str, Any]) -> str:
    seen = {name: cases[name] for name in FEATURES if name in cases}
    same = {name: bool(case["facts"]["identical"]) for name, case in seen.items()}
    runs = {name: at_cores(case) for name, case in seen.items()}
    holds = {name: same[name] and run.efficiency >= GOAL for name, run in runs.items()}
    rows = [
        (
            f"`{name}`",
            "identical" if same[name] else "NOT identical",
            f"{run.speedup:.2f}",
            f"{run.efficiency:.2f}",
            "holds" if holds[name] else "does not hold",
        )
        for name, run in runs.items()
    ]
    return (
        "### 2. LBP and Haar-like features can be computed over blocks in parallel\n\n"
        f"{verdict(holds)} It holds where results are identical and efficiency with a worker for "
        f"each core is {GOAL} or more.\n\n"
        + table("feature | results | speedup | efficiency | hypothesis", rows)
        + f"\n\n{_about_haar(cases)}"
    )


def _about_haar(cases: dict[str, Any]) -> str:
    """Why Haar-like features gain little, from what a pool costs at one and at two workers."""
    if "haar" not in cases:
        return ""
    from classpulse.lab.classic.features import FEATURES as MAKERS

    case, run = cases["haar"], at_cores(cases["haar"])
    size, width = largest(case), MAKERS["haar"](np.zeros((1, 48, 48), np.uint8)).shape[1]
    extra = {
        one.workers: one.seconds - one.serial / one.workers
        for one in runs_of(case)
        if one.workers <= case["cores"]
    }
    costs = ", ".join(f"{seconds:.2f} s with {n}" for n, seconds in extra.items())
    return (
        f"`haar` reaches {run.efficiency:.2f} because there is little to do for much to carry: "
        f"{size:,} pictures are {run.serial:.1f} s of work, {run.serial / size * 1e6:.0f} us each, "
        f"and give {width:,} numbers each, {size * width * 4 / 1e6:.0f} MB, which one process "
        "copies out of shared memory at the end. Beyond its share of the serial time a run takes "
        f"{costs} workers: what does not get less with workers, and most of it is that copy "
        "([LOG.md](../LOG.md), 2026-11-22). Features with more work for each number hide it.\n\n"
    )


def exponent(rows: list[dict[str, float]], key: str) -> float:
    """e of T = c D^e by least squares of the logarithms; the paper says 1."""
    x, y = (np.log([row[name] for row in rows]) for name in ("dimensions", key))
    return float(np.polyfit(x, y, 1)[0])


def _in_dimensions(found: dict[str, Any]) -> str:
    title = "### 3. PCA shortens processing in proportion to the dimensions it removes (eq. 24)\n\n"
    if "dimensions" not in found:
        return f"{title}Not measured yet.\n\n"
    rows = found["dimensions"]["rows"]
    keys = {"training": "train", "prediction": "predict"}
    powers = {name: exponent(rows, key) for name, key in keys.items()}
    said = " and ".join(f"D^{power:.2f} in {name}" for name, power in powers.items())
    return (
        f"{title}{verdict({name: abs(power - 1) < NEAR for name, power in powers.items()})} Time "
        f"of an SVM goes with {said}; the paper says D^1. t-SNE cannot transform new data, so it "
        "cannot stand before a classifier at all.\n\n"
    )


def _in_machines(cases: dict[str, Any]) -> str:
    seen = {name: cases[name] for name in MACHINES if name in cases}
    runs = {name: at_cores(case) for name, case in seen.items()}
    holds = {name: run.speedup > 1 for name, run in runs.items()}
    rows = []
    for name, run in runs.items():
        facts = seen[name]["facts"]
        machine = (
            f"{facts['support_vectors']:,} / {facts['support_vectors_serial']:,}",
            f"{facts['as_serial']:.1%}",
        )
        speed = f"{run.speedup:.2f}", f"{run.efficiency:.2f}"
        rows.append((f"`{name}`", *speed, *machine, "holds" if holds[name] else "does not hold"))
    head = "scheme | speedup | efficiency | support vectors, ours / serial | same predictions"
    return (
        "### 4. A parallel SVM trains faster as support vectors are shared out (eq. 25)\n\n"
        f"{verdict(holds)} It holds where a worker for each core is faster than scikit-learn's "
        "serial machine. What is shared out are pairs of classes or parts of the data; the support "
        "vectors of a trained machine are a result, not a thing to be dealt."
        f"{_about_cascade(cases)}\n\n" + table(f"{head} | hypothesis", rows) + "\n\n"
    )


def _about_cascade(cases: dict[str, Any]) -> str:
    """Why a cascade gains nothing, from how few pictures are no support vectors."""
    if "svm-cascade" not in cases:
        return ""
    case = cases["svm-cascade"]
    return (
        " A cascade trains on parts and then, serially, on the support vectors of all parts; here "
        f"{case['facts']['support_vectors']:,} of {case['base']:,} pictures are support vectors, "
        "so the last training is as large as the serial one."
    )
