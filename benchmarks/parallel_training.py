"""Parallel gradient descent measured: loss curves, seconds, bytes and staleness of every scheme.

python benchmarks/parallel_training.py ../shared/data/fer2013/fer2013.csv.gz

One small network on FER2013 pictures, the same seed, data and steps for all: alone, "ddp" with each
compression, "async", "hogwild"; then the three optimizers of the paper (eq. 9-15) alone. Writes
results/parallel_training.json, docs/parallel-training.svg and the measured part of
docs/parallel-training.md. Efficiency means something only if there is a core for every worker and
nothing else runs: the load of the machine is written down beside it.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from classpulse.core.card import InputSpec
from classpulse.lab.evaluate.figures import build_axes, marker, save_figure, styled, tone
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.outputs import save_text
from classpulse.lab.recipe import Recipe, Schedule
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.epoch import Trained
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import OnTrainStep, RunState, Training, fit, train_epoch
from classpulse.lab.train.optim import AdamW, RmsPropPaper, Sgd
from classpulse.lab.train.parallel.costs import Costs
from classpulse.lab.train.parallel.scheme import open_scheme
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.run import build_network, build_training, build_validation
from classpulse.lab.train.schedule import OneCycle
from classpulse.lab.train.sources import load_parts

RESULT = Path(__file__).parent / "results" / "parallel_training.json"
PAGE = Path(__file__).parents[1] / "docs" / "parallel-training.md"
BEGIN = "<!-- measured by benchmarks/parallel_training.py; do not edit below -->\n"
SIDE = 32
RECIPE = Recipe(
    "parallel-training",
    "A small network, to compare ways of training in parallel.",
    {"emotion": 1.0},
    InputSpec(SIDE, SIDE, 1, (0.508,), (0.255,), "fer2013"),
    network=Choice("residual-se", ResidualSettings(widths=(16, 32, 64, 128), blocks=1, stem=16)),
    optimizer=Choice("adamw", AdamW()),
    rate=Choice("one-cycle", OneCycle(peak_lr=3e-3)),
    augment=Augment(rotation=10.0, shift=0.08, shear=0.0, erase=0.0, mixup_share=0.0),
)
OPTIMIZERS = {  # of the paper, with peak learning rates of the usual size, not searched for
    "SGD": (Choice("sgd", Sgd(momentum=0.0, nesterov=False)), 0.1),
    "Adam": (Choice("adamw", AdamW(weight_decay=0.0)), 3e-3),
    "RMSprop": (Choice("rmsprop-paper", RmsPropPaper()), 1e-3),
}

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="FER2013")
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=256, help="of all workers together")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    schedule = Schedule(sides=((options.epochs, SIDE),), batch=options.batch)
    recipe, load = replace(RECIPE, schedule=schedule), os.getloadavg()[0]
    parts = load_parts(recipe, {"fer2013": options.data}, None)
    data = build_training(parts.train.take(np.arange(options.pictures), name="some"), recipe)
    validate = build_validation(parts.valid.take(np.arange(1024), name="some"), recipe)
    schemes: dict[str, Parallel | None] = {"alone": None}
    schemes["ddp"] = Parallel("ddp", options.workers)
    for name in ("fp16", "bf16", "powersgd", "topk"):
        schemes[f"ddp + {name}"] = Parallel("ddp", options.workers, name)
    schemes |= {name: Parallel(name, options.workers) for name in ("async", "hogwild")}
    rows = [measure(name, how, recipe, data, validate) for name, how in schemes.items()]
    optimizers = []
    for name, (choice, lr) in OPTIMIZERS.items():
        own = replace(recipe, optimizer=choice, rate=Choice("one-cycle", OneCycle(peak_lr=lr)))
        optimizers.append(measure(name, None, own, data, validate))
    parameters = sum(p.numel() for p in build_network(recipe).parameters())
    found = {
        "pictures": len(data.x), "batch": options.batch, "workers": options.workers,
        "parameters": parameters, "cores": os.cpu_count(), "torch": torch.__version__,
        "load_before": round(load, 2), "schemes": rows, "optimizers": optimizers,
    }  # fmt: skip
    save_text(json.dumps(found, indent=1) + "\n", RESULT)
    save_figure(draw_curves(rows, optimizers), PAGE.with_suffix(".svg"))
    fixed = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    save_text(fixed + BEGIN + describe(found), PAGE)


def measure(name: str, how: Parallel | None, recipe: Recipe, data: Training, validate: Any) -> Row:
    """One training: its curve by epoch, and medians over the epochs after the first."""
    network, curve, costs = build_network(recipe), [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        open_scheme(how, network, data, recipe) as train_one,
    ):
        for epoch in fit(
            network,
            data,
            recipe,
            Path(folder) / "checkpoint.pt",
            validate=validate,
            train_one=train_one or train_alone,
        ):
            numbers = epoch.metrics
            curve.append(
                {
                    "loss": epoch.loss,
                    "val_loss": numbers["val_loss"],
                    "accuracy": numbers["emotion"],
                }
            )
            costs.append(epoch.costs)
            print(name, epoch.number, {k: round(v, 4) for k, v in curve[-1].items()}, flush=True)
    settled = costs[1:] or costs
    keys = ("step_seconds", "compute_seconds", "update_seconds", "step_bytes", "mean_staleness")
    ages: dict[int, int] = {}
    for age, times in (pair for one in costs for pair in one["staleness"]):
        ages[age] = ages.get(age, 0) + times
    return {
        "name": name,
        **{key: median(one[key] for one in settled) for key in keys},
        "steps": costs[0]["steps"],
        "staleness": sorted(ages.items()),
        "curve": curve,
    }


def train_alone(
    run: RunState, data: Training, recipe: Recipe, number: int, on_step: OnTrainStep | None
) -> Trained:
    """`train_epoch` with its costs."""
    wall, own = time.perf_counter(), time.thread_time()
    trained = train_epoch(run, data, recipe, number, on_step)
    steps = len(data.x) // recipe.schedule.batch
    wall, own = time.perf_counter() - wall, time.thread_time() - own
    costs = Costs("alone", 1, steps, step_seconds=wall / steps, compute_seconds=own / steps)
    return Trained(trained.loss, costs.plain())


@styled
def draw_curves(rows: list[Row], optimizers: list[Row]) -> Any:
    """Training loss by epoch: the schemes, and the optimizers."""
    figure, panels = build_axes(9.0, 3.8, columns=2, share_y=True)
    for axes, group, title in zip(
        panels, (rows, optimizers), ("schemes, AdamW", "optimizers, alone"), strict=True
    ):
        for i, row in enumerate(group):
            losses = [point["loss"] for point in row["curve"]]
            numbers = range(1, len(losses) + 1)
            axes.plot(numbers, losses, color=tone(i), marker=marker(i), label=row["name"])
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.legend()
    panels[0].set_ylabel("training loss")
    return figure


def describe(found: dict[str, Any]) -> str:
    """The measured part of the page."""
    alone, ddp, workers = found["schemes"][0], found["schemes"][1], found["workers"]
    speedup = alone["step_seconds"] / ddp["step_seconds"]
    ideal = alone["compute_seconds"] / ddp["compute_seconds"]
    lines = [
        f"\n{found['pictures']:,} pictures of FER2013 Training, {alone['steps']} steps of "
        f"{found['batch']} rows in each of {len(alone['curve'])} epochs, {workers} workers, one "
        f"thread each; residual-se with {found['parameters']:,} parameters at {SIDE} px. "
        f"{found['cores']} cores, load before the run {found['load_before']}.\n",
        f"\n`ddp` against one worker, at {found['batch'] // workers} rows for each: speedup "
        f"{speedup:.2f}, efficiency {speedup / workers:.2f} by the clock. By processor time alone, "
        f"without waiting: {ideal:.2f} and {ideal / workers:.2f}, which a busy machine moves less."
        "\n\n![training loss by epoch](parallel-training.svg)\n\n",
        "| scheme | loss | val loss | accuracy | s / step | computing, s | server, s | "
        "bytes / step | staleness |\n|---|---|---|---|---|---|---|---|---|\n",
        *(_line(row) for row in found["schemes"]),
        "\nThe three optimizers, alone:\n\n| optimizer | loss by epoch | val loss | accuracy |\n"
        "|---|---|---|---|\n",
    ]
    for row in found["optimizers"]:
        losses = " ".join(f"{point['loss']:.3f}" for point in row["curve"])
        last = row["curve"][-1]
        lines.append(
            f"| {row['name']} | {losses} | {last['val_loss']:.3f} | {last['accuracy']:.3f} |\n"
        )
    return "".join(lines)


def _line(row: Row) -> str:
    last = row["curve"][-1]
    ages = ", ".join(f"{age}: {times}" for age, times in row["staleness"]) or "-"
    return (
        f"| {row['name']} | {last['loss']:.3f} | {last['val_loss']:.3f} | {last['accuracy']:.3f} | "
        f"{row['step_seconds']:.3f} | {row['compute_seconds']:.3f} | {row['update_seconds']:.4f} | "
        f"{row['step_bytes']:,.0f} | {ages} |\n"
    )


if __name__ == "__main__":
    main()
