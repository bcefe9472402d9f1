"""docs/parallel.md and its plots, from results/parallel.json; `python benchmarks/parallel.py`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from measure import origin_line, sign_figure
from pages import table
from parallel_plots import draw_cluster, draw_speedups
from parallel_rows import (
    DESCENT,
    at_cores,
    baselines,
    beyond,
    beyond_cores,
    cases_of,
    largest,
    runs_of,
    scaled_runs,
    scaling_of,
)
from parallel_simulation import describe_cluster, range_of, step_of
from parallel_verdicts import describe_hypotheses

from classpulse.core.files import save_text
from classpulse.lab.evaluate.figures import render_svg
from classpulse.lab.parallel.laws import LAWS, Fit, Scaling, fit_laws
from classpulse.lab.parallel.timings import describe_laws

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE = {1: 8.0, 2: 4.6, 4: 3.1, 8: 2.5}  # workers -> seconds, for the command's section

INTRO = """# The parallel schemes, measured

Written by `python benchmarks/parallel.py` from `benchmarks/results/parallel.json`; do not edit.

The parallel engagement paper (IIETA 2025) states equations and hypotheses without code. Here is
each of its schemes as code of `classpulse.lab.parallel`, measured. *Serial* is the same work in a
process with one thread and without a pool; *workers* have one thread each. S = 1 / T is eq. 19,
speedup = T serial / T and efficiency = speedup / workers are eq. 21.
{runs}
Times include cutting, sharing the data and collecting the results, but not the start of the pool
(0.3 s to 2 s, once).
Memory is the largest process's peak; of threads it is the benchmark's own, which keeps earlier
results, and workers of a training are not asked. `make bench` measures everything again at these
sizes. Figures say their dates, machines and commits; those of every part, and who else computed
meanwhile, are [at the end](#where-the-numbers-are-from).

Rows with more workers than cores are marked `*`: those workers take turns on {cores} cores, so no
number of them can be more than {cores} times faster, and the rows say what too many workers cost.
Rows marked `†` are more than 5 % faster than their workers and cores allow: not a gain of parallel
work, but a serial run that something slowed, or that is another program (scikit-learn's SVM);
[serial runs](#serial-runs-of-the-same-work) says how much those differ.

"""
IDENTITY = """## What stays the same

A parallel result that differs is a bug, so identity is tested (`tests/unit/test_parallel_*.py`, by
hypothesis over sizes, cuts and workers) and checked again in every measurement.

| part | cut | against serial |
|---|---|---|
| features (eq. 23) | batches; strips of overlapping windows of a large picture | same bits |
| Viola-Jones | tiles of each level below factor 2, whole levels above, grouped once at the end \
| same boxes. A level is cut after the frame was resized to it; from factor 2 on OpenCV's steps \
depend on where a row began |
| convolution (eq. 7) | tiles of output with a halo of input | within 1e-5 of torch, any \
kernel, stride, padding, dilation, groups |
| SVM, one against one (eq. 25) | pairs of classes | same support vectors and predictions as SVC |
| SVM, one against rest | classes | same predictions as OneVsRestClassifier |
| SVM, cascade | parts of the data | SVC's machine when it has converged; after one round close |
| training, synchronous (eq. 8) | every batch | the steps of one worker with the whole batch |
| training, asynchronous and Hogwild | batches | no two runs are equal: [parallel-training.md]\
(parallel-training.md) |

"""
KERNELS = """## Beside other libraries

Features are scikit-image's, SciPy's and NumPy's, not kernels of our own in numba or torch: either \
way workers run compiled code in one thread, and the cut is what is studied. The table says what \
torch takes for the Gabor answers, without their means over a grid, and OpenCV for its own HOG.

"""
USAGE = """## From Python

Each takes an open pool of workers, and gives its result and who did how much:

```python
import numpy as np

from classpulse.core.records import Frame
from classpulse.lab.parallel.convolution import conv2d
from classpulse.lab.parallel.detection import detect_tiles
from classpulse.lab.parallel.features import extract_windows
from classpulse.lab.parallel.workers import Workers

if __name__ == "__main__":  # workers are new processes that import this file
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 3, 240, 320)).astype(np.float32)
    kernels = rng.normal(size=(8, 3, 5, 5)).astype(np.float32)
    pixels = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
    with Workers(2) as pool:  # Workers(2, kind="threads") shares memory without copies
        maps, split = conv2d(x, kernels, padding=2, pool=pool)
        boxes, load = detect_tiles(Frame(pixels, 0.0, 0, "noise"), pool=pool)
        rows, _ = extract_windows(pixels[:, :, 0], "lbp", pool=pool, window=48, step=24)
    print(maps.shape, f"{split.tiles} tiles of {split.tile}, halo {split.halo:.1%}")
    print(boxes.shape, f"{sum(load.tasks)} tiles of the pyramid, balance {load.balance:.2f}")
    print(rows.shape)  # rows and columns of windows, features
```

`pool=None` computes the convolution and the windows in the caller's process. The results are those
of [what stays the same](#what-stays-the-same).

"""
CITED = """## What the paper cites and this does not have

The paper counts on MapReduce over video (segments worked on independently, results collected) and
cites 19.72 times for Viola-Jones with OpenMP. Segments of one recording are not implemented,
because who is who, smoothing and the class's windows run on from frame to frame: a student at a cut
would become two, and the number of people that protects a window (k) would be wrong. Instead,
search and reading of faces run ahead in a thread each in one `classpulse analyze`
([architecture.md](architecture.md)); several recordings are so many runs of the command, which
share nothing. Viola-Jones over tiles is here; {viola}.

"""


def write_page(found: dict[str, Any]) -> Path:
    """The page and its plots; every number in it comes from `found`."""
    _draw(found, cases_of(found))
    save_text(describe_page(found), DOCS / "parallel.md")
    return DOCS / "parallel.md"


def describe_page(found: dict[str, Any]) -> str:
    """The text of the page."""
    cases = cases_of(found)
    parts = [_intro(cases), _plots(found, cases), USAGE, _summary(cases), _serial(cases), IDENTITY]
    parts += [_facts(cases), _splits(cases), _laws(cases), describe_hypotheses(found)]
    parts += [_dimensions(found), describe_cluster(found), _cited(cases), _example()]
    parts.append(_origin(found))
    return "".join(parts).rstrip() + "\n"


def _intro(cases: dict[str, Any]) -> str:
    cores = max(case["cores"] for case in cases.values())
    trained = [case["runs"] for name, case in cases.items() if name in DESCENT]
    most = f"Times are medians of {_spread([c['runs'] for c in _others(cases)])} runs that took "
    runs = f"{most}turns with the serial one, of a training the median of three epochs"
    if trained:
        runs += " in one run each" if set(trained) == {1} else f" in {_spread(trained)} such turns"
    return INTRO.replace("{runs}", f"{runs}.").replace("{cores}", str(cores))


def _others(cases: dict[str, Any]) -> list[dict[str, Any]]:
    return [case for name, case in cases.items() if name not in DESCENT]


def _spread(numbers: Iterable[int]) -> str:
    low, *rest = sorted(set(numbers))
    return f"{low} to {rest[-1]}" if rest else str(low)


def _cited(cases: dict[str, Any]) -> str:
    if "viola-jones" not in cases:
        return CITED.replace("{viola}", "its speedup is not measured yet")
    run = at_cores(cases["viola-jones"])
    said = f"on {run.workers} cores it is {run.speedup:.2f} times faster, where {run.workers} is "
    return CITED.replace("{viola}", f"{said}the most, so that 19.72 cannot be tested")


def _table(head: str, rows: Iterable[Iterable[Any]]) -> str:
    return table(head, rows) + "\n\n"


def _ceiling(case: dict[str, Any], row: dict[str, Any]) -> str:
    """Efficiency of copies of the serial program, where that was measured."""
    copies = case.get("copies")
    if not copies or row["size"] != largest(case) or row["workers"] != copies["workers"]:
        return ""
    return f"{row['serial'] / copies['seconds']:.2f}"


def _count(workers: int, cores: int) -> str:
    return f"{workers}{'*' if workers > cores else ''}"


def _summary(cases: dict[str, Any]) -> str:
    rows = [
        (
            f"`{name}`",
            f"{row['size']:,} {case['unit']}",
            _count(row["workers"], case["cores"]),
            f"{row['serial']:.3f}{range_of(row.get('serial_range'))}",
            f"{run.seconds:.3f}{range_of(row.get('seconds_range'))}",
            f"{run.rate:.3g}",
            f"{run.speedup:.2f}{'†' if beyond(case, row) else ''}",
            f"{run.efficiency:.2f}",
            f"{row['idle_speedup'] / run.workers:.2f}",
            _ceiling(case, row),
            "" if row["balance"] is None else f"{row['balance']:.2f}",
            f"{row['serial_mb']} / {row['peak_mb'] or ''}",
        )
        for name, case in cases.items()
        for row in case["rows"]
        for run in [scaling_of(row)]
    ]
    head = "part | size | workers | serial, s | T, s | S, 1/s | speedup | efficiency | by processor"
    text = (
        "*By processor* is an estimate of the efficiency on idle cores: processor time of the "
        "serial run over that of the main process and of a worker, if all do as much. It leaves "
        "out waiting, uneven work and what cores share, such as memory. *Of copies*: serial "
        "seconds over those of as many copies of the serial program at once as there are cores. "
        "They share nothing but the machine: what they lose is lost to memory and caches; "
        "measured once. *Balance* is the mean of the workers' busy seconds over the largest. In "
        "brackets, where they were kept: least and most of the runs.\n\n"
    )
    block = _table(f"{head} | of copies | balance | MB, serial / worker", rows)
    return f"## Time and memory\n\n{text}{block}"


def _serial(cases: dict[str, Any]) -> str:
    """How much serial runs of the same work differ, and what that does to rows."""
    rows = [
        (
            work,
            f"{size:,} {unit}",
            ", ".join(f"`{name}` {seconds:.3f}" for name, seconds in seen.items()),
            f"{max(seen.values()) / min(seen.values()) - 1:.0%}",
        )
        for work, size, unit, seen in baselines(cases)
    ]
    if not rows:
        return ""
    kept = any("serial_range" in row for case in cases.values() for row in case["rows"])
    old = "" if kept else " Least and most of the runs of one part were not kept yet."
    text = (
        "## Serial runs of the same work\n\nSpeedup divides by the serial run of its own part. "
        "Some parts have the same serial work, measured at another time: what those differ by is "
        f"what a speedup can be wrong by.{old}\n\n"
    )
    return text + _table("work | size | serial, s | apart", rows) + _impossible(cases)


def _impossible(cases: dict[str, Any]) -> str:
    """Rows that beat their cores, explained by the processor time of their workers."""
    lines = []
    for name, case, row in beyond_cores(cases):
        each = row["serial"] / row["idle_speedup"]  # what the serial run was busy, over the gain
        work = each * row["workers"]
        lines.append(
            f"`{name}`, {row['size']:,} {case['unit']}, {row['workers']} workers: "
            f"{scaling_of(row).speedup:.2f} times faster on {case['cores']} cores is not possible. "
            f"Its workers used {work:.2f} s of processor time together, {work / case['cores']:.2f} "
            f"s on each core, and took {row['seconds']:.2f} s; the serial run took "
            f"{row['serial']:.2f} s for the same steps. So the steps themselves were "
            f"{1 - work / row['serial']:.0%} cheaper than in the serial run, by noise: it is "
            "no speedup, and no verdict below uses it.\n"
        )
    return "\n".join([*lines, ""]) if lines else ""


def _facts(cases: dict[str, Any]) -> str:
    same = [(f"`{name}`", case["title"], _say(case["facts"])) for name, case in cases.items()]
    beside = [
        (f"`{name}`", how, f"{seconds:.3f}", f"{at_cores(case).seconds:.3f}")
        for name, case in cases.items()
        for how, seconds in case["beside"].items()
    ]
    head = "part | other library | its seconds | ours with one worker for each core"
    return _table("part | what | found", same) + KERNELS + _table(head, beside)


def _splits(cases: dict[str, Any]) -> str:
    """How the parts that tell it were cut."""
    rows = []
    for name, case in cases.items():
        for row in case["rows"]:
            if "split" not in row:
                continue
            split = row["split"]
            tasks = " + ".join(str(n) for n in split["tasks"]) if "tasks" in split else ""
            busy = " + ".join(f"{s:.3f}" for s in split["busy"]) if "busy" in split else ""
            tile = " x ".join(map(str, split["tile"]))
            cut = tile, split["tiles"], f"{split['halo']:.1%}"
            workers = _count(row["workers"], case["cores"])
            size = f"{row['size']:,} {case['unit']}"
            rows.append((f"`{name}`", size, workers, *cut, tasks, busy, f"{row['balance']:.2f}"))
    if not rows:
        return ""
    text = (
        "## How the convolution is cut\n\nA tile has so many rows and columns of output; by "
        "default as many whole rows as keep its matrix in the cache, whoever computes. The halo is "
        "what tiles read again of their neighbors' input, over the whole input. Tiles are dealt to "
        "whoever is free; tiles and busy seconds of each worker are those of one run, where they "
        "were kept.\n\n"
    )
    head = "part | size | workers | tile | tiles | halo | tiles of each | busy, s | balance"
    return text + _table(head, rows)


def _say(facts: dict[str, Any]) -> str:
    words = {
        "identical": lambda v: "identical to serial" if v else "DIFFERS from serial",
        "off_torch": lambda v: f"off torch by {v:.1e} of the largest value",
        "as_serial": lambda v: f"{v:.1%} of predictions as scikit-learn's serial one",
        "support_vectors_serial": lambda v: f"serial {v:,}",
        # of parts that were measured beside SVC, whatever their own scheme is
        "same_predictions": lambda v: f"{v:.1%} of predictions as SVC (one against one)",
        "support_vectors": lambda v: f"{v:,} support vectors",
        "support_vectors_svc": lambda v: f"SVC {v:,}",
        "loss": lambda v: f"loss after four epochs {v:.3f}",
        "loss_alone": lambda v: f"alone {v:.3f}",
    }
    return ", ".join(words[key](value) for key, value in facts.items())


def _laws(cases: dict[str, Any]) -> str:
    rows = []
    for name, case in cases.items():
        fits = fit_laws(runs_of(case), ("amdahl", "paper", "usl"))
        fits += fit_laws(scaled_runs(case), ("gustafson",))
        rows += [(f"`{name}`", fit.law, _parameters(fit), _error(fit), fit.points) for fit in fits]
    text = (
        "## Laws\n\nFitted to all rows of the largest size (Gustafson: to rows in which n workers "
        "have n times the work), so those with `*` too: a serial share holds what the missing "
        "cores cost. Eq. 22 as printed, T = T_ser + (1 - S) P / N, is linear in 1 / N: Amdahl's "
        "form with an overhead (`paper`), not Gustafson's. The error is the root mean square of "
        "the relative error of the time. The universal scalability law (`usl`) has two parameters "
        "and only runs with two or more workers tell it anything, so with two such runs it goes "
        "through both whatever they are: its error is none, which says nothing for it.\n\n"
    )
    return text + _table("part | law | parameters | error | points", rows)


def _parameters(fit: Fit) -> str:
    def one(name: str, value: float) -> str:
        error = fit.errors[name]
        return f"{name} {value:.3f}" + (f" ± {error:.3f}" if error is not None else "")

    return ", ".join(one(name, value) for name, value in fit.parameters.items())


def _error(fit: Fit) -> str:
    if fit.error is None:
        return f"none: {fit.points} points, {len(LAWS[fit.law].names)} parameters"
    return f"{fit.error:.1%}"


def _dimensions(found: dict[str, Any]) -> str:
    if "dimensions" not in found:
        return ""
    one = found["dimensions"]
    first = one["rows"][0]
    rows = [
        (
            f"{row['dimensions']:.0f}",
            f"{row['train']:.3f}",
            f"{row['predict']:.3f}",
            f"{first['train'] / row['train']:.1f} / {first['predict'] / row['predict']:.1f}",
            f"{first['dimensions'] / row['dimensions']:.1f}",
        )
        for row in one["rows"]
    ]
    head = "dimensions | training, s | prediction, s | times faster | eq. 24 says"
    title = f"## Time against dimensions (SVC on PCA of HOG, {one['pictures']:,} pictures)\n\n"
    return title + _table(head, rows)


def _example() -> str:
    runs = [Scaling(workers, seconds, EXAMPLE[1]) for workers, seconds in EXAMPLE.items()]
    return (
        "## Your own timings\n\nA CSV file with the columns `workers`, `seconds` and perhaps "
        "`serial` (seconds of the same work without a pool; otherwise the run of one worker):\n\n"
        f"```console\n$ classpulse laws timings.csv\n{describe_laws(runs)}\n```\n\n"
    )


def _origin(found: dict[str, Any]) -> str:
    rows = [
        (f"`{name}`", one["data"], one["date"], one["machine"], _beside(one), one["commit"])
        for name, one in found.items()
    ]
    text = (
        "## Where the numbers are from\n\n*Others*: the share of the processor time of all cores "
        "that other processes used while a part was measured (/proc/stat without the benchmark and "
        "its workers, 0 % is idle). Parts that were measured before this was recorded have the "
        "load average before they began instead: a mean of one minute that lags, and counts the "
        "part of this benchmark that ran before, so it does not tell whether others computed.\n\n"
    )
    return text + _table("part | data | date | machine | others | commit", rows)


def _beside(one: dict[str, Any]) -> str:
    if "others" in one:
        return f"{one['others']:.1%}"
    return f"not recorded; load {one['load']}"


# --- plots ---------------------------------------------------------------------------------------


def _plots(found: dict[str, Any], cases: dict[str, Any]) -> str:
    lines = []
    if cases:
        lines.append(f"![Speedup against workers; {_said(cases)}](parallel/speedup.svg)\n")
    if "training-step" in found:
        line = origin_line(found["training-step"])
        lines.append(f"![Simulated epochs on a cluster; {line}](parallel/cluster.svg)\n")
    return "\n".join([*lines, ""])


def _draw(found: dict[str, Any], cases: dict[str, Any]) -> None:
    folder = DOCS / "parallel"
    if cases:
        figure = sign_figure(draw_speedups(cases), _said(cases))
        save_text(render_svg(figure), folder / "speedup.svg")
    if "training-step" in found:
        line = "simulated from a step measured: " + origin_line(found["training-step"])
        figure = sign_figure(draw_cluster(step_of(found)), line)
        save_text(render_svg(figure), folder / "cluster.svg")


def _said(cases: dict[str, Any]) -> str:
    return origin_line(*cases.values())
