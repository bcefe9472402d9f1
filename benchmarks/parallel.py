"""Speedup and efficiency of the parallel schemes, and the laws they follow: docs/parallel.md.

    python benchmarks/parallel.py
    python benchmarks/parallel.py --only hog convolution --workers 1 2
    python benchmarks/parallel.py --page

Each part of `parallel_cases.py` runs serially in a process of its own with one thread, and by pools
of 1, 2 and 4 workers, all in turn, at three sizes; medians, least and most of the runs go to
results/parallel.json and the page is written from it. A part that was measured alone replaces its
old numbers; each has its own date, machine, commit, and the share of the processors that others
used meanwhile. `--page` only writes the page and draws its figures.
"""

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import FER, Usage, describe_machine, others_share
from parallel_cases import CASES, CORES, RUNS, Case, Outcome, build_rows
from parallel_page import write_page

from classpulse.lab.parallel.process import peak_mb, single_thread
from classpulse.lab.parallel.workers import Load, Workers

RESULT = Path(__file__).parent / "results" / "parallel.json"
DIMENSIONS = (512, 256, 128, 64, 32, 16)
PARTS = ("dimensions", "training-step")
BATCH = 64
REAL = (  # scheme of the simulated cluster, workers, and how it is trained here
    ("synchronous", 1, "ddp", "none"),
    ("synchronous", 2, "ddp", "none"),
    ("compressed", 2, "ddp", "fp16"),
    ("asynchronous", 1, "async", "none"),
    ("asynchronous", 2, "async", "none"),
)


def time_serial(task: tuple[str, int, str]) -> tuple[float, float, float]:
    """In a process of its own: seconds of the serial work or of `beside`, processor time, MB."""
    name, size, how = task
    case = CASES[name]
    work, data = case.serial if how == "serial" else case.beside[how], case.build(size)
    start, used = time.perf_counter(), time.process_time()
    result = work(data)
    spent, used = time.perf_counter() - start, time.process_time() - used
    if isinstance(result, Outcome):
        spent, used = result.seconds or spent, result.idle or used
    return spent, used, peak_mb()


@dataclass(frozen=True, slots=True)
class Run:
    """One run by workers: seconds, and what they would be if nobody computed beside it."""

    seconds: float
    idle: float
    load: Load
    split: dict[str, Any] | None


def time_parallel(case: Case, data: Any, pool: Workers) -> Run:
    """One run; `idle` is an estimate.

    That is the processor time of this process, which cuts and collects before and after, and of one
    worker if all do as much: an estimate that leaves out what cores share, such as memory.
    """
    clock = time.process_time if case.kind == "processes" else time.thread_time
    start, used = time.perf_counter(), clock()
    outcome = case.parallel(data, pool)
    used, spent = clock() - used, time.perf_counter() - start
    idle = outcome.idle or used + sum(outcome.load.processor) / pool.count
    return Run(outcome.seconds or spent, idle, outcome.load, outcome.split)


def measure_part(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a measurement gives, with where and when it was and who else computed meanwhile."""
    origin = describe_machine() | {
        "numpy": np.__version__,
        "data": "FER2013" if FER.is_file() else "noise",
    }
    start = Usage.now()
    found = measure()
    return origin | {"others": others_share(start, Usage.now())} | found


def measure_case(
    name: str, *, workers: list[int], runs: int | None, scale: float
) -> dict[str, Any]:
    """All sizes of one part, smallest first, because a process's peak memory only grows."""
    case, rows, beside = CASES[name], [], {}
    base, runs = max(1, round(case.base * scale)), runs or case.runs
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(Workers(1))
        pools = {n: stack.enter_context(Workers(n, kind=case.kind)) for n in workers}
        facts = _compare(case, case.build(base), pools[workers[-1]])
        for times in workers:
            rows += _measure_size(name, base * times, alone, pools, runs=runs)
        for how in case.beside:
            with Workers(1) as other:
                other.run(time_serial, [(name, base, how)])
                seen = other.run(time_serial, [(name, rows[-1]["size"], how)] * runs)[0]
            beside[how] = statistics.median(seconds for seconds, *_ in seen)
        copies = _time_copies(name, rows[-1]["size"])
    return {
        "title": case.title,
        "unit": case.unit,
        "copies": {"workers": CORES, "seconds": copies},
        "kind": case.kind,
        "base": base,
        "runs": runs,
        "rows": rows,
        "facts": facts,
        "beside": beside,
    }


def _time_copies(name: str, size: int) -> float:
    """Seconds of the serial work while as many copies of it run as there are cores.

    They share nothing but the machine: what they take longer is lost to memory and caches.
    """
    with Workers(CORES) as pool:
        for _ in range(2):  # the first time is for imports
            seen = pool.run(time_serial, [(name, size, "serial")] * CORES)[0]
    return statistics.median(seconds for seconds, *_ in seen)


def _compare(case: Case, data: Any, pool: Workers) -> dict[str, Any]:
    with single_thread():  # with more, OpenCV gives its boxes in an order that changes
        serial = case.serial(data)
    return case.compare(data, serial, case.parallel(data, pool).result)


def _measure_size(
    name: str, size: int, alone: Workers, pools: dict[int, Workers], *, runs: int
) -> list[dict[str, Any]]:
    case = CASES[name]
    data = case.build(size)
    serial: list[tuple[float, float, float]] = []
    parallel: dict[int, list[Run]] = {n: [] for n in pools}
    warm = int(case.warm)  # the first run is for caches and imports
    for _ in range(warm + runs):  # in turns: what disturbs the machine disturbs all
        serial += alone.run(time_serial, [(name, size, "serial")])[0]
        for n, pool in pools.items():
            parallel[n].append(time_parallel(case, data, pool))
    alone_seconds, used, megabytes = zip(*serial[warm:], strict=True)
    return [
        {"size": size, "workers": n, "serial_mb": round(megabytes[-1])}
        | build_row(alone_seconds, used, measured[warm:])
        for n, measured in parallel.items()
    ]


def build_row(
    serial: Sequence[float], used: Sequence[float], measured: Sequence[Run]
) -> dict[str, Any]:
    """Medians, least and most of runs that took turns.

    Args:
        serial, used: seconds and processor seconds of the serial runs.
        measured: those by workers.
    """
    spent, loads = [run.seconds for run in measured], [run.load for run in measured]
    told = loads[0].seconds  # processes of a training are not asked
    row = {
        "seconds": statistics.median(spent),
        "seconds_range": [min(spent), max(spent)],
        "serial": statistics.median(serial),
        "serial_range": [min(serial), max(serial)],
        "idle_speedup": statistics.median(used) / statistics.median(run.idle for run in measured),
        "balance": statistics.median(load.balance for load in loads) if told else None,
        "peak_mb": round(max(load.peak_mb for load in loads)) if told else None,
    }
    last = measured[-1]
    if last.split is None:
        return row
    # of one run: which worker took how many tasks differs from run to run
    shares = {"tasks": list(last.load.tasks), "busy": list(last.load.seconds)}
    return row | {"split": last.split | shares}


def time_dimensions(task: tuple[int, int]) -> dict[str, float]:
    """Seconds to train an SVM on n rows of so many dimensions and to predict the held-out ones."""
    from sklearn.svm import SVC

    n, dimensions = task
    x, y, other = build_rows(n, dimensions)
    start = time.perf_counter()
    svc = SVC().fit(x, y)
    trained = time.perf_counter()
    svc.predict(other)
    done = time.perf_counter()
    return {"dimensions": x.shape[1], "train": trained - start, "predict": done - trained}


def measure_dimensions(*, runs: int, scale: float) -> dict[str, Any]:
    """Hypothesis 3: does the time fall in proportion to the dimensions?"""
    n, rows = max(500, round(1000 * scale)), []
    with Workers(1) as pool:
        for dimensions in DIMENSIONS:
            seen = pool.run(time_dimensions, [(n, dimensions)] * (runs + 1))[0][1:]
            rows.append({key: statistics.median(one[key] for one in seen) for key in seen[0]})
    return {"pictures": n, "runs": runs, "rows": rows}


def time_steps(task: tuple[str, int]) -> dict[str, float]:
    """Steps of a training of one worker: computing, and making and reading fp16 gradients."""
    import torch
    from torch.nn import functional

    from classpulse.lab.models.registry import MODELS

    name, steps = task
    model = MODELS.get(name)
    network = model.build(model.parse({}), {"emotion": 7}, 1, 48)
    network = network.to(memory_format=torch.channels_last)  # as every training does
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    x, y = torch.randn(BATCH, 1, 48, 48), torch.randint(0, 7, (BATCH,))
    x = x.contiguous(memory_format=torch.channels_last)
    compute, coding = [], []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad()
        functional.cross_entropy(network(x)["emotion"], y).backward()
        optimizer.step()
        compute.append(time.perf_counter() - start)
        start = time.perf_counter()
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.grad.half().float()
        coding.append(time.perf_counter() - start)
    return {
        "compute": statistics.fmean(compute[1:]),
        "spread": statistics.stdev(compute[1:]),
        "coding": statistics.median(coding[1:]),
        "size": 4.0 * sum(p.numel() for p in network.parameters()),
    }


def measure_step(*, runs: int) -> dict[str, Any]:
    """What the simulated cluster begins with, and real trainings in turns that it is held against.

    The page takes the seconds of a step from the training of one worker; `time_steps` tells how
    much they differ from step to step, and what compressing costs.
    """
    with Workers(1) as pool:
        step = pool.run(time_steps, [("residual-se", 4 * runs)])[0][0]
    seen: list[list[float]] = [[] for _ in REAL]
    for _ in range(runs):
        for one, (_, n, how, compress) in zip(seen, REAL, strict=True):
            one.append(time_training(how, n, compress))
    real = [
        {
            "scheme": name,
            "workers": n,
            "seconds": statistics.median(one),
            "seconds_range": [min(one), max(one)],
        }
        for one, (name, n, *_) in zip(seen, REAL, strict=True)
    ]
    return {"network": "residual-se", "batch": BATCH, "real": real} | step


def time_training(scheme: str, workers: int, compress: str) -> float:
    """Seconds in which each worker does a step of the same network: median of three epochs."""
    from parallel_descent import build_recipe, first_pictures, settled, train_epochs

    from classpulse.lab.models.residual import ResidualSettings
    from classpulse.lab.train.parallel.settings import Parallel

    together = scheme == "ddp"  # one step of all; otherwise a worker has steps of its own
    batch = BATCH * workers if together else BATCH
    recipe = build_recipe(ResidualSettings(), side=48, batch=batch, epochs=4)
    data = first_pictures(recipe, 8 * BATCH * workers)
    found = settled(train_epochs(Parallel(scheme, workers, compress), recipe, data))
    return found["step_seconds"] * (1 if together else workers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, help=f"of every part; {RUNS}, or what its case says")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes")
    parser.add_argument("--only", nargs="+", choices=[*CASES, *PARTS], default=[*CASES, *PARTS])
    parser.add_argument("--page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    for name in () if options.page else options.only:
        if name == "dimensions":
            how = partial(measure_dimensions, runs=options.runs or RUNS, scale=options.scale)
        elif name == "training-step":
            how = partial(measure_step, runs=options.runs or RUNS)
        else:
            how = partial(
                measure_case,
                name,
                workers=sorted(options.workers),
                runs=options.runs,
                scale=options.scale,
            )
        found[name] = measure_part(how)
        found = {part: found[part] for part in (*CASES, *PARTS) if part in found}
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(name, "measured")
    print(write_page(found))


if __name__ == "__main__":
    main()
