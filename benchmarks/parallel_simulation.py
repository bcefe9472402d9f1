"""The simulated cluster on docs/parallel.md, and its check against real trainings."""

import math
from itertools import combinations
from typing import Any

from pages import table

from classpulse.core.errors import InputError
from classpulse.lab.parallel.cluster import ROUNDS, SCHEMES, Link, Step, epoch_seconds, fit_link

CLUSTER = (1, 4, 8, 16, 32, 64, 128, 256)
SAMPLES = 28_709  # FER2013's training part
LINKS = {"1 Gbit/s, 100 us": Link(125e6, 1e-4), "10 Gbit/s, 20 us": Link(1.25e9, 2e-5)}
LOOPBACK = 5e-5  # seconds of a message between two processes of one machine
HIDDEN = 0.03  # curves that differ by less lie on each other in the plot
FIRST, PAIR = ("synchronous", 1), ("synchronous", 2)

TEXT = """## A cluster of 4 to 256 workers: simulation

**Nothing in this section was measured on a cluster.** `lab/parallel/cluster.py` computes it from
one measured training step and a link with the stated bandwidth and latency; what the model leaves
out (overlap of computing and sending, other traffic, loading data, convergence with large batches
or old gradients) stands in that module.

"""


def step_of(found: dict[str, Any]) -> Step:
    """A step of the real training of one worker; compressed is half the bytes (fp16)."""
    one = found["training-step"]
    compute = _real(one).get(FIRST, one["compute"])
    return Step(compute, one["size"], one["batch"], one["spread"], 0.5, one["coding"])


def speedups(step: Step) -> dict[str, dict[str, list[float]]]:
    """Link -> scheme -> simulated speedup of an epoch with each of `CLUSTER` workers."""
    samples = math.lcm(*CLUSTER) * step.batch * 4  # whole rounds for every number of workers
    return {
        name: {
            scheme: [
                epoch_seconds(scheme, step, 1, link, samples=samples)
                / epoch_seconds(scheme, step, workers, link, samples=samples)
                for workers in CLUSTER
            ]
            for scheme in SCHEMES
        }
        for name, link in LINKS.items()
    }


def describe_cluster(found: dict[str, Any]) -> str:
    """The section."""
    if "training-step" not in found:
        return ""
    one, step = found["training-step"], step_of(found)
    text = (
        f"Measured: `{one['network']}`, {one['batch']} faces of 48 x 48 for each worker, "
        f"{step.compute * 1e3:.0f} ms a step in a real training of one worker on one core, "
        f"{step.size / 1e6:.2f} MB of gradient. {_bare(one)} Seconds of an epoch of {SAMPLES:,} "
        f"faces, {math.ceil(SAMPLES / step.batch)} batches, *simulated*:\n\n"
    )
    rows = [
        (name, scheme, *_epochs(scheme, step, link))
        for name, link in LINKS.items()
        for scheme in SCHEMES
    ]
    head = " | ".join(["link", "scheme", *(f"{n} workers" for n in CLUSTER)])
    shared = ", ".join(scheme for scheme in SCHEMES if scheme not in ROUNDS)
    after = (
        f"Rounds of all workers are whole, so the last one may be for few faces; {shared} workers "
        "share single batches, until the server's link is full: from there on more workers change "
        f"nothing. {_hidden(step)}\n\n"
    )
    return TEXT + text + table(head, rows) + "\n\n" + after + _check(one, step)


def _bare(one: dict[str, Any]) -> str:
    layout = "" if "layout" in one else ", without the memory layout that trainings have"
    return (
        f"The same network in a plain loop{layout}, took {one['compute'] * 1e3:.0f} ms; of that "
        f"loop only how much steps differ (± {one['spread'] * 1e3:.0f} ms) and the "
        f"{one['coding'] * 1e3:.1f} ms to make and read fp16 are used."
    )


def _epochs(scheme: str, step: Step, link: Link) -> list[str]:
    return [f"{epoch_seconds(scheme, step, n, link, samples=SAMPLES):.2f}" for n in CLUSTER]


def hidden(curves: dict[str, list[float]]) -> dict[str, list[int]]:
    """Pairs of curves of one link, and at how many workers they lie on each other in the plot."""
    pairs = {}
    for first, second in combinations(curves, 2):
        values = zip(CLUSTER, curves[first], curves[second], strict=True)
        near = [workers for workers, a, b in values if workers > 1 and abs(a / b - 1) < HIDDEN]
        if near:
            pairs[f"{first} and {second}"] = near
    return pairs


def _hidden(step: Step) -> str:
    places = [
        f"{pair} at {link} with {', '.join(map(str, near))}"
        for link, curves in speedups(step).items()
        for pair, near in hidden(curves).items()
    ]
    if not places:
        return "In the plot no curve hides another."
    return (
        f"In the plot curves within {HIDDEN:.0%} lie on each other: {'; '.join(places)} workers; "
        "there the thinner one is drawn upon the thicker one."
    )


def _real(one: dict[str, Any]) -> dict[tuple[str, int], float]:
    return {(run["scheme"], run["workers"]): run["seconds"] for run in one["real"]}


def _check(one: dict[str, Any], step: Step) -> str:
    """The simulation beside real trainings here, with the link that one of them gives."""
    real, alone = _real(one), Link(math.inf, 0.0)
    if not {FIRST, PAIR} <= set(real):
        return ""
    try:
        link = fit_link(step, real[PAIR], latency=LOOPBACK)
        how = (
            f"gives a link of {link.bandwidth / 1e6:.0f} MB/s (`fit_link`, messages of "
            f"{LOOPBACK * 1e6:.0f} us)"
        )
        kinds = {FIRST: "computing is taken from it", PAIR: "the link is fitted to it"}
    except InputError:
        link = alone
        how = "leaves nothing for a link: **its sending is not checked**, and the link has no limit"
        kinds = {FIRST: "computing is taken from it"}
    ranges = {(run["scheme"], run["workers"]): run.get("seconds_range") for run in one["real"]}
    rows, off = [], {}
    for (scheme, workers), seconds in real.items():
        said = SCHEMES[scheme](step, workers, link)
        off[scheme, workers] = said / seconds - 1
        kind = kinds.get((scheme, workers), "a prediction")
        shown = f"{seconds:.3f}{range_of(ranges[scheme, workers])}"
        error = f"{off[scheme, workers]:+.0%}".replace("-0%", "+0%")
        rows.append((scheme, workers, shown, f"{said:.3f}", error, kind))
    text = (
        "Real trainings of that network by `lab/train/parallel` on this machine, with loading and "
        "augmentation, beside the simulation. The synchronous run of two workers, in which they "
        f"also wait for each other and share the memory of one machine, {how}. A row that "
        "something was taken from says nothing about the model; those called predictions do.\n\n"
    )
    head = "scheme | workers | s / step, real | simulated | off | what the row is"
    return text + table(head, rows) + "\n\n" + _about_asynchronous(step, link, real, off)


def _about_asynchronous(
    step: Step,
    link: Link,
    real: dict[tuple[str, int], float],
    off: dict[tuple[str, int], float],
) -> str:
    """Why the asynchronous rows are what they are."""
    one, two = ("asynchronous", 1), ("asynchronous", 2)
    if not {one, two} <= set(off):
        return ""
    charged = SCHEMES["asynchronous"](step, 2, link) - step.compute
    free = SCHEMES["asynchronous"](step, 2, Link(math.inf, 0.0)) / real[two] - 1
    return (
        f"The asynchronous rows: one worker ({off[one]:+.0%}) has a server beside it that copies "
        "weights and gradients and takes the step, which the model leaves out. Two workers "
        f"({off[two]:+.0%}) are charged {charged:.2f} s a step for sending over that link and do "
        "not pay it: their server shares memory with them, while synchronous ones send through "
        f"sockets (gloo). With sending for nothing that row would be off by {free:+.0%}. So these "
        "runs check the computing of asynchronous workers; their sending, on which the simulated "
        "table of many workers rests, no run here could check.\n\n"
    )


def range_of(ends: list[float] | None) -> str:
    """Least and most of the runs, where results have them."""
    return f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else ""
