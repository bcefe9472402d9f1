"""Training samples per second of three networks: our loop beside plain PyTorch loops.

    python benchmarks/training_speed.py
    python benchmarks/training_speed.py --page

All train the same network on the same random faces with the same optimizer, batch and loss, in
turn; a round gives one ratio of each, medians are written to results/training_speed.json and to
docs/training.md (`--page`: only that). Our loop augments as the recipe's defaults say, mixes, steps
the learning rate, masks missing labels and adds the penalty of the source; the plain ones do none
of that. `peak_mb` is of the process so far, `others` the share of the processors that other
processes used meanwhile.
"""

import argparse
import json
import resource
import tempfile
import textwrap
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measure import Usage, describe_machine, median_of, origin_line, others_share
from pages import DOCS, fill_page, table
from torch.nn import functional

from classpulse.core.card import InputSpec
from classpulse.core.files import save_text
from classpulse.lab.models.registry import MODELS
from classpulse.lab.recipe import Recipe, Schedule
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import Training, fit
from classpulse.lab.train.run import build_network

RESULT = Path(__file__).parent / "results" / "training_speed.json"
SIDE, BATCH, WIDTH = 48, 64, 140
CASES: dict[str, dict[str, Any]] = {
    "cnn-1": {},
    "aieducation": {"channels": 16, "blocks": 4, "fc": 1, "kernel": 3},
    "residual-se": {},
}


def build_recipe(kind: str, settings: dict[str, Any]) -> Recipe:
    """One epoch of the network on 48-pixel faces, everything else as a recipe has it by default."""
    model = MODELS.get(kind)
    channels = model.channels
    spec = InputSpec(SIDE, SIDE, channels, (0.5,) * channels, (0.25,) * channels, "fer2013")
    return Recipe(
        name=kind,
        summary="benchmark",
        heads={"emotion": 1.0},
        input=spec,
        network=Choice(kind, model.parse(settings)),
        schedule=Schedule(sides=((1, SIDE),), batch=BATCH),
    )


def time_ours(recipe: Recipe, data: Training) -> float:
    """Samples per second of one epoch of `fit`, without validation and checkpoint."""
    network, spent = build_network(recipe), 0.0

    def stop_clock(model: Any, side: int) -> dict[str, float]:
        nonlocal spent
        spent = time.perf_counter() - start
        return {}

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for _ in fit(network, data, recipe, Path(folder) / "c.pt", validate=stop_clock):
            pass
    return len(data.x) / spent


def time_plain(
    recipe: Recipe,
    data: Training,
    *,
    last: bool = False,
    compiled: bool = False,
) -> float:
    """Samples per second of the loop that a tutorial would write.

    Args:
        last: channels last in memory.
        compiled: by `torch.compile`, whose own time does not count.
    """
    network, x = build_network(recipe).train(), data.x
    if last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = x.contiguous(memory_format=torch.channels_last)
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.AdamW(network.parameters())

    def step(rows: torch.Tensor) -> None:
        loss = functional.cross_entropy(forward(x[rows])["emotion"], data.targets["emotion"][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    order = torch.randperm(len(x))
    if compiled:
        step(order[:BATCH])
    start = time.perf_counter()
    for rows in order.split(BATCH):
        step(rows)
    return len(x) / (time.perf_counter() - start)


LOOPS: dict[str, Callable[[Recipe, Training], float]] = {
    "ours": time_ours,
    "plain": time_plain,
    "plain, channels last": partial(time_plain, last=True),
    "plain, torch.compile": partial(time_plain, compiled=True),
}


def measure(kind: str, settings: dict[str, Any], *, steps: int, runs: int) -> dict[str, Any]:
    """Samples per second of each loop, and the ratio of each to the plain one."""
    recipe = build_recipe(kind, settings)
    generator = torch.Generator().manual_seed(0)
    n = steps * BATCH
    x = torch.randn(n, recipe.input.channels, SIDE, SIDE, generator=generator)
    labels = torch.randint(0, 7, (n,), generator=generator)
    data = Training(x, {"emotion": functional.one_hot(labels, 7).float()})
    rounds = [{name: run(recipe, data) for name, run in LOOPS.items()} for _ in range(runs)]
    ratios = [{name: speed / one["plain"] for name, speed in one.items()} for one in rounds]
    return {
        "per_second": median_of(rounds),
        "ratio": median_of(ratios),
        "ratios": [round(one["ours"], 3) for one in ratios],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def describe_speeds(found: dict[str, Any]) -> str:
    """The table of docs/training.md."""
    rows = [
        (
            f"`{kind}`",
            *(f"{found[kind]['per_second'][name]:.0f}" for name in LOOPS),
            *(f"{found[kind]['ratio'][name]:.2f}" for name in LOOPS if name != "plain"),
        )
        for kind in CASES
    ]
    heads = [*LOOPS, *(f"{name} : plain" for name in LOOPS if name != "plain")]
    text = (
        f"Faces of {found['side']} x {found['side']} a second, batches of {found['batch']}, "
        f"{found['threads']} threads, medians of {len(found['cnn-1']['ratios'])} rounds; "
        f"{origin_line(found)}; torch {found['torch']}; others used {found['others']:.0%} of the "
        "processors."
    )
    return textwrap.fill(text, WIDTH) + "\n\n" + table(" | ".join(["network", *heads]), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8, help="batches of 64 in a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="measure nothing")
    options = parser.parse_args()
    if not options.page:
        start = Usage.now()
        results: dict[str, Any] = describe_machine() | {
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "batch": BATCH,
            "side": SIDE,
        }
        for kind, settings in CASES.items():
            results[kind] = measure(kind, settings, steps=options.steps, runs=options.runs)
            print(kind, results[kind])
        results["others"] = others_share(start, Usage.now())
        save_text(json.dumps(results, indent=1) + "\n", RESULT)
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    print(fill_page(DOCS / "training.md", found, {"speed": describe_speeds}))


if __name__ == "__main__":
    main()
