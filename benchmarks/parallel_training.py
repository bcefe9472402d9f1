"""Parallel gradient descent measured: loss curves, seconds, bytes and staleness of every scheme.

    python benchmarks/parallel_training.py ../shared/data/fer2013/fer2013.csv.gz
    python benchmarks/parallel_training.py --page

One small network on FER2013 pictures, the same seed, data and steps for all: alone, "ddp" with each
compression, "async", "hogwild", in turns with a short run alone that only times a step; then the
three optimizers of the paper (eq. 9-15) by four of them. Writes results/parallel_training.json,
docs/parallel-training.svg and the measured part of docs/parallel-training.md; `--page` writes page
and plot from the stored results. Efficiency means something only if there is a core for every
worker and nothing else runs: the share of the processors that others used is written down beside
it.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import FER, Usage, describe_machine, origin_line, others_share, sign_figure
from parallel_descent import (
    SMALL,
    build_recipe,
    first_pictures,
    load_faces,
    settled,
    train_epochs,
)
from parallel_plots import LINES

from classpulse.core.files import save_text
from classpulse.lab.evaluate.figures import MUTED, build_axes, marker, save_figure, styled, tone
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import Training
from classpulse.lab.train.optim import AdamW, RmsPropPaper, Sgd
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.run import build_network, build_validation
from classpulse.lab.train.schedule import OneCycle

RESULT = Path(__file__).parent / "results" / "parallel_training.json"
PAGE = Path(__file__).parents[1] / "docs" / "parallel-training.md"
BEGIN = "<!-- measured by benchmarks/parallel_training.py; do not edit below -->\n"
SIDE = 32
OPTIMIZERS = {  # of the paper, with peak learning rates of the usual size, not searched for
    "SGD": (Choice("sgd", Sgd(momentum=0.0, nesterov=False)), 0.1),
    "Adam": (Choice("adamw", AdamW(weight_decay=0.0)), 3e-3),
    "RMSprop": (Choice("rmsprop-paper", RmsPropPaper()), 1e-3),
}

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?", default=FER, help="FER2013")
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=256, help="of all workers together")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.page:
        if not options.data.is_file():  # else it would train on noise, and the page says FER2013
            parser.error(f"cannot read {options.data}: give fer2013.csv or fer2013.csv.gz")
        found = measure_all(options)
        save_text(json.dumps(found, indent=1) + "\n", RESULT)
    write_page(json.loads(RESULT.read_text(encoding="utf-8")))


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    """Every scheme, and every optimizer by four of them."""
    torch.set_num_threads(1)
    origin, start = describe_machine(), Usage.now()
    recipe = build_recipe(SMALL, side=SIDE, batch=options.batch, epochs=options.epochs)
    data = first_pictures(recipe, options.pictures, options.data)
    judges = load_faces(options.data).valid.take(np.arange(1024), name="some")
    validate = build_validation(judges, recipe)
    schemes: dict[str, Parallel | None] = {"alone": None}
    schemes["ddp"] = Parallel("ddp", options.workers)
    for name in ("fp16", "bf16", "powersgd", "topk"):
        schemes[f"ddp + {name}"] = Parallel("ddp", options.workers, name)
    schemes |= {name: Parallel(name, options.workers) for name in ("async", "hogwild")}
    rows = in_turns(
        schemes,
        lambda name, how: measure(name, how, recipe, data, validate),
        partial(time_alone, recipe, data),
    )
    optimizers = []
    for name, (choice, lr) in OPTIMIZERS.items():
        own = replace(recipe, optimizer=choice, rate=Choice("one-cycle", OneCycle(peak_lr=lr)))
        for scheme in ("alone", "ddp", "async", "hogwild"):
            row = measure(name, schemes[scheme], own, data, validate)
            optimizers.append(row | {"scheme": scheme})
    parameters = sum(p.numel() for p in build_network(recipe).parameters())
    return origin | {
        "others": others_share(start, Usage.now()), "pictures": len(data.x),
        "batch": options.batch, "workers": options.workers, "parameters": parameters,
        "torch": torch.__version__, "schemes": rows, "optimizers": optimizers,
    }  # fmt: skip


def in_turns(
    schemes: Mapping[str, Parallel | None],
    measure_one: Callable[[str, Parallel | None], Row],
    time_one: Callable[[], float],
) -> list[Row]:
    """A row of each scheme, with seconds of a step alone just before and just after it."""
    rows, before = [], time_one()
    for name, how in schemes.items():
        row = measure_one(name, how)
        after = time_one()
        rows.append(row | {"serial": [before, after]})
        before = after
    return rows


def time_alone(recipe: Recipe, data: Training) -> float:
    """Seconds of a step without workers, from an epoch after one that is not measured."""
    with closing(train_epochs(None, recipe, data)) as epochs:
        return settled(islice(epochs, 2))["step_seconds"]


def write_page(found: dict[str, Any]) -> None:
    """The plot and the measured part of the page."""
    figure = sign_figure(draw_curves(found["schemes"]), origin_line(found))
    save_figure(figure, PAGE.with_suffix(".svg"))
    fixed = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    save_text(fixed + BEGIN + describe(found), PAGE)


def measure(name: str, how: Parallel | None, recipe: Recipe, data: Training, validate: Any) -> Row:
    """One training: its curve by epoch, and medians over the epochs after the first."""
    epochs = []
    for epoch in train_epochs(how, recipe, data, validate=validate):
        epochs.append(epoch)
        print(name, epoch.number, round(epoch.loss, 4), flush=True)
    ages: dict[int, int] = {}
    for age, times in (pair for one in epochs[1:] or epochs for pair in one.costs["staleness"]):
        ages[age] = ages.get(age, 0) + times
    return {
        "name": name,
        **settled(epochs),
        "staleness": sorted(ages.items()),
        "curve": [
            {
                "loss": epoch.loss,
                "val_loss": epoch.metrics["val_loss"],
                "accuracy": epoch.metrics["emotion"],
            }
            for epoch in epochs
        ],
    }


@styled
def draw_curves(rows: list[Row]) -> Any:
    """Training loss of every scheme by epoch, by seconds of training and by bytes sent.

    What sends nothing is named in the last panel instead of being drawn there.
    """
    figure, panels = build_axes(11.0, 4.2, columns=3, share_y=True)
    for i, row in enumerate(rows):
        losses = [point["loss"] for point in row["curve"]]
        epochs = range(1, len(losses) + 1)
        seconds = [number * row["steps"] * row["step_seconds"] for number in epochs]
        sent = [number * row["steps"] * row["step_bytes"] / 1e6 for number in epochs]
        for axes, x in zip(panels, (epochs, seconds, sent), strict=True):
            if any(x):
                style = {"color": tone(i), "marker": marker(i), "linestyle": LINES[i % len(LINES)]}
                axes.plot(x, losses, label=row["name"], **style)
    for axes, name in zip(panels, ("epoch", "seconds", "MB that a worker sent"), strict=True):
        axes.set_xlabel(name)
    panels[2].set_xscale("log")
    low, high = panels[2].get_xlim()
    ticks = [value for value in (0.1, 1, 10, 100, 1000, 10_000) if low <= value <= high]
    panels[2].set_xticks(ticks, [f"{value:g}" for value in ticks])
    if still := silent(rows):
        note = f"no curve, nothing sent:\n{', '.join(still)}"
        place = {"transform": panels[2].transAxes, "ha": "left", "va": "bottom"}
        panels[2].text(0.03, 0.03, note, fontsize=8, color=MUTED, **place)
    panels[0].set_ylabel("training loss")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(rows))
    return figure


def silent(rows: list[Row]) -> list[str]:
    """Schemes that send nothing."""
    return [row["name"] for row in rows if not row["step_bytes"]]


def describe(found: dict[str, Any]) -> str:
    """The measured part of the page."""
    alone, ddp, workers = found["schemes"][0], found["schemes"][1], found["workers"]
    speedup = alone["step_seconds"] / ddp["step_seconds"]
    ideal = alone["compute_seconds"] / ddp["compute_seconds"]
    lines = [
        f"\n{found['pictures']:,} pictures of FER2013 Training, {alone['steps']} steps of "
        f"{found['batch']} rows in each of {len(alone['curve'])} epochs, {workers} workers, one "
        f"thread each; residual-se with {found['parameters']:,} parameters at {SIDE} px: "
        f"`--pictures {found['pictures']} --epochs {len(alone['curve'])} --batch {found['batch']} "
        f"--workers {workers}`. Where: {origin_line(found)}. {_beside(found)}\n",
        f"\n`ddp` against one worker, at {found['batch'] // workers} rows for each: speedup "
        f"{speedup:.2f}, efficiency {speedup / workers:.2f} by the clock{_reach(ddp)}. By "
        f"processor time alone, without waiting: {ideal:.2f} and {ideal / workers:.2f}, which a "
        "busy machine moves less."
        f"\n\n{_serial(found)}![training loss by epoch](parallel-training.svg)\n\n",
        f"{_silent(found['schemes'])}",
        "| scheme | loss | val loss | accuracy | s / step | computing, s | server, s | "
        "bytes / step | staleness |\n|---|---|---|---|---|---|---|---|---|\n",
        *(_line(row) for row in found["schemes"]),
        "\nThe three optimizers of the paper:\n\n| optimizer | scheme | loss "
        "by epoch | val loss | accuracy | s / step |\n|---|---|---|---|---|---|\n",
    ]
    for row in found["optimizers"]:
        scheme = row.get("scheme", "alone")  # results before 2026-11-23 have no others
        losses = " ".join(f"{point['loss']:.3f}" for point in row["curve"])
        last = row["curve"][-1]
        lines.append(
            f"| {row['name']} | {scheme} | {losses} | {last['val_loss']:.3f} | "
            f"{last['accuracy']:.3f} | {_steps(row)} |\n"
        )
    return "".join(lines)


def _beside(found: dict[str, Any]) -> str:
    if "others" in found:
        return f"Other processes used {found['others']:.1%} of the processor time meanwhile."
    return (
        f"What others used of {found['cores']} cores was not recorded; the load average of the "
        f"minute before was {found['load_before']}."
    )


def _reach(ddp: Row) -> str:
    """Least and most of the speedup, by the serial runs just before and just after."""
    if "serial" not in ddp:
        return ""
    low, high = (seconds / ddp["step_seconds"] for seconds in sorted(ddp["serial"]))
    return f" (by the serial runs just before and after it: {low:.2f} to {high:.2f})"


def _serial(found: dict[str, Any]) -> str:
    """What a step without workers took whenever it was measured, which a speedup divides by."""
    turns = [seconds for row in found["schemes"] for seconds in row.get("serial", [])]
    if turns:
        return (
            f"A step alone was measured before and after each scheme: {min(turns):.3f} to "
            f"{max(turns):.3f} s. In brackets: least and most of a scheme's epochs.\n\n"
        )
    rows = found["schemes"][:1] + [r for r in found["optimizers"] if r.get("scheme") == "alone"]
    steps = [row["step_seconds"] for row in rows]
    return (
        "A step alone was measured once, before the schemes, not in turns with them: "
        f"{steps[0]:.3f} s. The {len(steps)} trainings alone on this page, by different "
        f"optimizers, took {min(steps):.3f} to {max(steps):.3f} s a step, and a speedup may be "
        "wrong by as much.\n\n"
    )


def _silent(rows: list[Row]) -> str:
    """Why some schemes have no bytes."""
    why = {
        "alone": "`alone` has nobody to send to",
        "hogwild": "the workers of `hogwild` write to weights in shared memory, so nothing is sent "
        "that could be counted, though cores move the same numbers through their caches",
    }
    said = "; ".join(why.get(name, f"`{name}` sends nothing") for name in silent(rows))
    return f"No bytes, so no curve in the third panel: {said}.\n\n" if said else ""


def _steps(row: Row) -> str:
    """Median, least and most seconds of a step, as far as results have them."""
    low, high = row.get("step_range", (None, None))
    return f"{row['step_seconds']:.3f}" + (f" ({low:.3f} to {high:.3f})" if low else "")


def _line(row: Row) -> str:
    last = row["curve"][-1]
    ages = ", ".join(f"{age}: {times}" for age, times in row["staleness"]) or "-"
    return (
        f"| {row['name']} | {last['loss']:.3f} | {last['val_loss']:.3f} | {last['accuracy']:.3f} | "
        f"{_steps(row)} | {row['compute_seconds']:.3f} | {row['update_seconds']:.4f} | "
        f"{row['step_bytes']:,.0f} | {ages} |\n"
    )


if __name__ == "__main__":
    main()
