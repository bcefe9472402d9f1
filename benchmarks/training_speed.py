"""Training samples per second of three networks: our loop beside a plain PyTorch loop.

python benchmarks/training_speed.py

Both train the same network on the same random faces with the same optimizer, batch and loss, in
turn; a pair of runs gives one ratio, the medians are written to results/training_speed.json. Our
loop augments as the recipe's defaults say, mixes, steps the learning rate, masks missing labels
and adds the penalty of the source; the plain one does none of that. `peak_mb` is of the process so
far, `others` the share of the processors that other processes used meanwhile.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measure import Usage, describe_machine, others_share
from torch.nn import functional

from classpulse.core.card import InputSpec
from classpulse.lab.models.registry import MODELS
from classpulse.lab.recipe import Recipe, Schedule
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import Training, fit
from classpulse.lab.train.run import build_network

RESULT = Path(__file__).parent / "results" / "training_speed.json"
SIDE, BATCH = 48, 64
CASES: dict[str, dict[str, Any]] = {
    "cnn-1": {},
    "aieducation": {"channels": 16, "blocks": 4, "fc": 1, "kernel": 3},
    "residual-se": {},
}


def build_recipe(kind: str, table: dict[str, Any]) -> Recipe:
    """One epoch of the network on 48-pixel faces, everything else as a recipe has it by default."""
    model = MODELS.get(kind)
    channels = model.channels
    spec = InputSpec(SIDE, SIDE, channels, (0.5,) * channels, (0.25,) * channels, "fer2013")
    return Recipe(
        name=kind,
        summary="benchmark",
        heads={"emotion": 1.0},
        input=spec,
        network=Choice(kind, model.parse(table)),
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


def time_plain(recipe: Recipe, data: Training) -> float:
    """Samples per second of the loop that a tutorial would write."""
    network = build_network(recipe).train()
    optimizer = torch.optim.AdamW(network.parameters())
    start = time.perf_counter()
    order = torch.randperm(len(data.x))
    for rows in order.split(BATCH):
        loss = functional.cross_entropy(
            network(data.x[rows])["emotion"], data.targets["emotion"][rows]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(data.x) / (time.perf_counter() - start)


def measure(kind: str, table: dict[str, Any], *, steps: int, runs: int) -> dict[str, Any]:
    recipe = build_recipe(kind, table)
    generator = torch.Generator().manual_seed(0)
    n = steps * BATCH
    x = torch.randn(n, recipe.input.channels, SIDE, SIDE, generator=generator)
    labels = torch.randint(0, 7, (n,), generator=generator)
    data = Training(x, {"emotion": functional.one_hot(labels, 7).float()})
    time_plain(recipe, Training(x[: 2 * BATCH], {"emotion": data.targets["emotion"][: 2 * BATCH]}))
    pairs = [(time_ours(recipe, data), time_plain(recipe, data)) for _ in range(runs)]
    ours, plain = (round(statistics.median(values), 1) for values in zip(*pairs, strict=True))
    ratios = [mine / other for mine, other in pairs]
    return {
        "ours_per_second": ours,
        "plain_per_second": plain,
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(r, 3) for r in ratios],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=8, help="batches of 64 in a run")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    start = Usage.now()
    results: dict[str, Any] = describe_machine() | {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": BATCH,
        "side": SIDE,
    }
    for kind, table in CASES.items():
        results[kind] = measure(kind, table, steps=options.steps, runs=options.runs)
        print(kind, results[kind])
    results["others"] = others_share(start, Usage.now())
    RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(RESULT)


if __name__ == "__main__":
    main()
