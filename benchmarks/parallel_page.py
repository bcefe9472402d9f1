"""docs/parallel.md and its plots, from results/parallel.json; `python benchmarks/parallel.py`."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measure import origin_line, sign_figure
from pages import table

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.lab.evaluate.figures import MUTED, build_axes, marker, render_svg, styled, tone
from classpulse.lab.parallel.cluster import SCHEMES, Link, Step, epoch_seconds, fit_link
from classpulse.lab.parallel.laws import Fit, Scaling, fit_law, fit_laws
from classpulse.lab.parallel.timings import describe_laws

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOCS = Path(__file__).parents[1] / "docs"
GOAL = 0.85
CLUSTER = (1, 4, 8, 16, 32, 64, 128, 256)
SAMPLES = 28_709  # FER2013's training part
LINKS = {"1 Gbit/s, 100 us": Link(125e6, 1e-4), "10 Gbit/s, 20 us": Link(1.25e9, 2e-5)}
LOOPBACK = 5e-5  # seconds of a message between two processes of one machine
EXAMPLE = {1: 8.0, 2: 4.6, 4: 3.1, 8: 2.5}  # workers -> seconds, for the command's section
FEATURES = ("lbp", "hog", "gabor", "haar", "blocks")
MACHINES = ("svm-one-vs-one", "svm-one-vs-rest", "svm-cascade")
OTHER = ("dimensions", "training-step")  # not a case with rows of workers

INTRO = """# The parallel schemes, measured

Written by `python benchmarks/parallel.py` from `benchmarks/results/parallel.json`; do not edit.

The parallel engagement paper (IIETA 2025) states equations and hypotheses without code. Here is
each of its schemes as code of `classpulse.lab.parallel`, measured. *Serial* is the same work in a
process with one thread and without a pool; *workers* have one thread each. S = 1 / T is eq. 19,
speedup = T serial / T and efficiency = speedup / workers are eq. 21. Times are medians of three
runs (five for the convolution, three epochs for a training), taken in turns, and include cutting,
sharing the data and collecting the results, but not the start of the pool (0.3 s to 2 s, once).
Memory is the largest process's peak; of threads it is the benchmark's own, which keeps earlier
results, and workers of a training are not asked. Rows with more workers than cores are marked `*`:
they cannot be faster, and say what too many workers cost. `make bench` measures everything again at
these sizes. Figures say their dates, machines and commits; those of every part, and who else
computed meanwhile, are [at the end](#where-the-numbers-are-from).

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
CLUSTER_TEXT = """## A cluster of 4 to 256 workers: simulation

**Nothing in this section was measured on a cluster.** `lab/parallel/cluster.py` computes it from
one measured training step and a link with the stated bandwidth and latency; what the model leaves
out (overlap of computing and sending, other traffic, loading data, convergence with large batches
or old gradients) stands in that module.

"""


def write_page(found: dict[str, Any]) -> Path:
    """The page and its plots; every number in it comes from `found`."""
    _draw(found, cases_of(found))
    save_text(describe_page(found), DOCS / "parallel.md")
    return DOCS / "parallel.md"


def cases_of(found: dict[str, Any]) -> dict[str, Any]:
    """The parts that have rows of workers."""
    return {name: one for name, one in found.items() if name not in OTHER}


def describe_page(found: dict[str, Any]) -> str:
    """The text of the page."""
    cases = cases_of(found)
    parts = [INTRO, _plots(found, cases), _summary(cases), IDENTITY, _facts(cases), _laws(cases)]
    parts += [_hypotheses(found, cases), _dimensions(found), _cluster(found), _example()]
    parts.append(_origin(found))
    return "".join(parts).rstrip() + "\n"


def runs_of(case: dict[str, Any], *, size: int | None = None) -> list[Scaling]:
    """Runs of one size, by default the largest."""
    size = max(row["size"] for row in case["rows"]) if size is None else size
    rows = [row for row in case["rows"] if row["size"] == size]
    return [Scaling(row["workers"], row["seconds"], row["serial"]) for row in rows]


def scaled_runs(case: dict[str, Any]) -> list[Scaling]:
    """Runs in which n workers have n times the work: Gustafson's setting."""
    rows = [row for row in case["rows"] if row["size"] == case["base"] * row["workers"]]
    return [Scaling(row["workers"], row["seconds"], row["serial"]) for row in rows]


def at_cores(case: dict[str, Any]) -> Scaling:
    """The run of the largest size with one worker on each core."""
    return max(
        (run for run in runs_of(case) if run.workers <= case["cores"]), key=lambda run: run.workers
    )


def _table(head: str, rows: Iterable[Iterable[Any]]) -> str:
    return table(head, rows) + "\n\n"


def _ceiling(case: dict[str, Any], row: dict[str, Any]) -> str:
    """Efficiency of copies of the serial program, where that was measured."""
    copies = case.get("copies")
    largest = row["size"] == max(one["size"] for one in case["rows"])
    if not copies or not largest or row["workers"] != copies["workers"]:
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
            f"{row['serial']:.3f}",
            f"{run.seconds:.3f}",
            f"{run.rate:.3g}",
            f"{run.speedup:.2f}",
            f"{run.efficiency:.2f}",
            f"{row['idle_speedup'] / run.workers:.2f}",
            _ceiling(case, row),
            "" if row["balance"] is None else f"{row['balance']:.2f}",
            f"{row['serial_mb']} / {row['peak_mb'] or ''}",
        )
        for name, case in cases.items()
        for row in case["rows"]
        for run in [Scaling(row["workers"], row["seconds"], row["serial"])]
    ]
    head = "part | size | workers | serial, s | T, s | S, 1/s | speedup | efficiency | by processor"
    text = (
        "*By processor* is an estimate of the efficiency on idle cores: processor time of the "
        "serial run over that of the main process and of a worker, if all do as much. It leaves "
        "out waiting, uneven work and what cores share, such as memory. *Of copies*: serial "
        "seconds over those of as many copies of the serial program at once as there are cores. "
        "They share nothing but the machine: what they lose is lost to memory and caches; "
        "measured once. *Balance* is the mean of the workers' busy seconds over the largest.\n\n"
    )
    block = _table(f"{head} | of copies | balance | MB, serial / worker", rows)
    return f"## Time and memory\n\n{text}{block}"


def _facts(cases: dict[str, Any]) -> str:
    same = [(f"`{name}`", case["title"], _say(case["facts"])) for name, case in cases.items()]
    beside = [
        (f"`{name}`", how, f"{seconds:.3f}", f"{at_cores(case).seconds:.3f}")
        for name, case in cases.items()
        for how, seconds in case["beside"].items()
    ]
    head = "part | other library | its seconds | ours with one worker for each core"
    return (
        _table("part | what | found", same) + "## Beside other libraries\n\n" + _table(head, beside)
    )


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
        "the relative error of the time; a law with as many parameters as points has none.\n\n"
    )
    return text + _table("part | law | parameters | error | points", rows)


def _parameters(fit: Fit) -> str:
    def one(name: str, value: float) -> str:
        error = fit.errors[name]
        return f"{name} {value:.3f}" + (f" ± {error:.3f}" if error is not None else "")

    return ", ".join(one(name, value) for name, value in fit.parameters.items())


def _error(fit: Fit) -> str:
    return "" if fit.error is None else f"{fit.error:.1%}"


def _verdict(holds: bool) -> str:
    return "**Holds here.**" if holds else "**Does not hold here.**"


def _hypotheses(found: dict[str, Any], cases: dict[str, Any]) -> str:
    lines = ["## The five hypotheses\n"]
    for number, say in enumerate((_scaling, _in_features, _in_dimensions, _in_machines), start=1):
        lines.append(f"{number}. {say(found, cases)}")
    lines.append(
        "5. *Engagement is a linear regression on expression scores (eq. 26).* **Not tested.** The "
        "worked example comes out exactly (1.49, 1.04, 1.31, 1.77; mean 1.4025, "
        "[engagement.md](engagement.md)), but its residuals are against the model's own output and "
        "prove nothing, and no data set here has measured engagement."
    )
    return "\n".join(lines) + "\n\n"


def _scaling(found: dict[str, Any], cases: dict[str, Any]) -> str:
    shares = {
        name: fit_law("amdahl", [at_cores(case)]).parameters["serial"]
        for name, case in cases.items()
        if at_cores(case).workers > 1
    }
    reached = [name for name, case in cases.items() if at_cores(case).efficiency >= GOAL]
    text = ", ".join(f"`{name}` {share:.2f}" for name, share in shares.items())
    return (
        f"*Time falls as eq. 22 says.* {_verdict(len(reached) == len(cases))} Efficiency with one "
        f"worker for each core is {GOAL} or more for {len(reached)} of {len(cases)} parts"
        f"{': ' + ', '.join(f'`{n}`' for n in reached) if reached else ''}. Amdahl's serial share "
        f"from those runs alone: {text}. One such point fits any law; only a machine with more "
        "cores could tell them apart."
    )


def _in_features(found: dict[str, Any], cases: dict[str, Any]) -> str:
    seen = {name: cases[name] for name in FEATURES if name in cases}
    same = all(case["facts"]["identical"] for case in seen.values())
    text = ", ".join(f"`{name}` {at_cores(case).efficiency:.2f}" for name, case in seen.items())
    fast = all(at_cores(case).efficiency >= GOAL for case in seen.values())
    return (
        f"*LBP and Haar-like features can be computed over blocks in parallel.* "
        f"{_verdict(same and fast)} Results are {'identical' if same else 'NOT identical'}; "
        f"efficiency with one worker for each core (goal {GOAL}): {text}."
    )


def _exponent(rows: list[dict[str, float]], key: str) -> float:
    """e of T = c D^e by least squares of the logarithms; the paper says 1."""
    x, y = (np.log([row[name] for row in rows]) for name in ("dimensions", key))
    return float(np.polyfit(x, y, 1)[0])


def _in_dimensions(found: dict[str, Any], cases: dict[str, Any]) -> str:
    if "dimensions" not in found:
        return "*Time falls in proportion to the dimensions.* Not measured yet."
    rows = found["dimensions"]["rows"]
    train, predict = (_exponent(rows, key) for key in ("train", "predict"))
    return (
        "*PCA shortens processing in proportion to the dimensions that it removes (eq. 24).* "
        f"{_verdict(abs(train - 1) < 0.15 and abs(predict - 1) < 0.15)} Time of an SVM goes with "
        f"D^{train:.2f} in training and D^{predict:.2f} in prediction; the paper says D^1. t-SNE "
        "cannot transform new data, so it cannot stand before a classifier at all."
    )


def _in_machines(found: dict[str, Any], cases: dict[str, Any]) -> str:
    seen = {name: cases[name] for name in MACHINES if name in cases}
    text = "; ".join(
        f"`{name}` speedup {at_cores(case).speedup:.2f}, {_say(case['facts'])}"
        for name, case in seen.items()
    )
    holds = all(at_cores(case).speedup > 1 for case in seen.values())
    return (
        "*A parallel SVM trains faster as support vectors are shared out (eq. 25).* "
        f"{_verdict(holds)} {text}. What is shared out are pairs of classes or parts of the data; "
        "the support vectors of a trained machine are a result, not a thing to be dealt."
    )


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


def step_of(found: dict[str, Any]) -> Step:
    """The measured training step; compressed is half the bytes (fp16)."""
    one = found["training-step"]
    return Step(one["compute"], one["size"], one["batch"], one["spread"], 0.5, one["coding"])


def _cluster(found: dict[str, Any]) -> str:
    if "training-step" not in found:
        return ""
    one, step = found["training-step"], step_of(found)
    text = (
        f"Measured: `{one['network']}`, {one['batch']} faces of 48 x 48 for each worker, "
        f"{step.compute * 1e3:.0f} ms a step (± {step.spread * 1e3:.0f}) on one core, "
        f"{step.size / 1e6:.2f} MB of gradient, {step.coding * 1e3:.1f} ms to make and read fp16. "
        f"Seconds of an epoch of {SAMPLES:,} faces, *simulated*:\n\n"
    )
    rows = [
        (name, scheme, *_epochs(scheme, step, link))
        for name, link in LINKS.items()
        for scheme in SCHEMES
    ]
    head = " | ".join(["link", "scheme", *(f"{n} workers" for n in CLUSTER)])
    return CLUSTER_TEXT + text + _table(head, rows) + _check(one, step)


def _check(one: dict[str, Any], step: Step) -> str:
    """The simulation beside real trainings here, with the link that one of them gives."""
    real = {(run["scheme"], run["workers"]): run["seconds"] for run in one["real"]}
    try:
        link = fit_link(step, real["synchronous", 2], latency=LOOPBACK)
        how = f"a link of {link.bandwidth / 1e6:.0f} MB/s (`fit_link`)"
    except InputError:
        link = Link(math.inf, LOOPBACK)
        how = "a link without limit, because computing alone explains its time"
    rows = []
    for (scheme, workers), seconds in real.items():
        said = SCHEMES[scheme](step, workers, link)
        off = f"{said / seconds - 1:+.0%}"
        rows.append((scheme, workers, f"{seconds:.3f}", f"{said:.3f}", off))
    text = (
        "Real trainings of that network by `lab/train/parallel` on this machine, with loading and "
        "augmentation, beside the simulation. The synchronous run of two workers gives the link "
        f"between two processes: {how}; the other rows are predictions.\n\n"
    )
    return text + _table("scheme | workers | s / step, real | simulated | off", rows)


def _example() -> str:
    runs = [Scaling(workers, seconds, EXAMPLE[1]) for workers, seconds in EXAMPLE.items()]
    return (
        "## Your own timings\n\nA CSV file with the columns `workers`, `seconds` and perhaps "
        "`serial` (seconds of the same work without a pool; otherwise the run of one worker):\n\n"
        f"```console\n$ classpulse laws timings.csv\n{describe_laws(runs)}\n```\n\n"
    )


def _epochs(scheme: str, step: Step, link: Link) -> list[str]:
    return [f"{epoch_seconds(scheme, step, n, link, samples=SAMPLES):.2f}" for n in CLUSTER]


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


@styled
def draw_speedups(cases: dict[str, Any]) -> "Figure":
    """Speedup of each part at its largest size, and efficiency against the size."""
    figure, (left, right) = build_axes(8.6, 4.2, columns=2)
    for i, (name, case) in enumerate(cases.items()):
        runs = runs_of(case)
        style = {"color": tone(i), "marker": marker(i)}
        left.plot([r.workers for r in runs], [r.speedup for r in runs], label=name, **style)
        workers = at_cores(case).workers
        rows = [row for row in case["rows"] if row["workers"] == workers]
        sizes = [row["size"] / case["base"] for row in rows]
        right.plot(sizes, [row["serial"] / row["seconds"] / workers for row in rows], **style)
    most = max(run.workers for case in cases.values() for run in runs_of(case))
    left.plot([1, most], [1, most], color=MUTED, linestyle=":", label="ideal")
    left.axvline(max(case["cores"] for case in cases.values()), color=MUTED, linewidth=1)
    left.set(xlabel="workers (line: cores)", ylabel="speedup", title="largest size")
    right.axhline(GOAL, color=MUTED, linestyle=":")
    right.set(xlabel="size / smallest", ylabel="efficiency", title="one worker for each core")
    right.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=6)
    return figure


@styled
def draw_cluster(step: Step) -> "Figure":
    """Simulated speedup of an epoch against workers, one panel for each link."""
    figure, panels = build_axes(8.6, 3.6, columns=len(LINKS), share_y=True)
    samples = math.lcm(*CLUSTER) * step.batch * 4  # whole rounds for every number of workers
    for axes, (name, link) in zip(panels, LINKS.items(), strict=True):
        alone = epoch_seconds("synchronous", step, 1, link, samples=samples)
        for i, scheme in enumerate(SCHEMES):
            seconds = [epoch_seconds(scheme, step, n, link, samples=samples) for n in CLUSTER]
            speedup = [alone / s for s in seconds]
            axes.plot(CLUSTER, speedup, color=tone(i), marker=marker(i), label=scheme)
        axes.plot(CLUSTER, CLUSTER, color=MUTED, linestyle=":", label="ideal")
        axes.set(xscale="log", yscale="log", xlabel="workers", title=f"simulation: {name}")
    panels[0].set_ylabel("speedup of an epoch")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure
