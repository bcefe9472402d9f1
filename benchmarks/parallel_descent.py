"""Trainings, alone or by a scheme, that `parallel.py` and `parallel_training.py` measure.

Nothing here is imported by a worker that extracts features: torch alone has 300 MB.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measure import FER

from classpulse.core.card import InputSpec
from classpulse.core.labels import FER2013_7
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.recipe import Recipe, Schedule
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.epoch import Epoch, Trained
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import OnTrainStep, RunState, Training, Validate, fit, train_epoch
from classpulse.lab.train.optim import AdamW
from classpulse.lab.train.parallel.costs import Costs
from classpulse.lab.train.parallel.scheme import open_scheme
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.run import build_network, build_training
from classpulse.lab.train.schedule import OneCycle
from classpulse.lab.train.sources import FaceParts, load_parts

SMALL = ResidualSettings(widths=(16, 32, 64, 128), blocks=1, stem=16)  # 0.3 M parameters
NETWORKS = {"small": SMALL, "large": ResidualSettings()}  # large: face-base's 6.4 M


def build_recipe(network: ResidualSettings, *, side: int, batch: int, epochs: int) -> Recipe:
    """AdamW on one head of 7 emotions; `batch` is of all workers together."""
    return Recipe(
        "parallel-training",
        "A network, to compare ways of training in parallel.",
        {"emotion": 1.0},
        InputSpec(side, side, 1, (0.508,), (0.255,), "fer2013"),
        network=Choice("residual-se", network),
        optimizer=Choice("adamw", AdamW()),
        rate=Choice("one-cycle", OneCycle(peak_lr=3e-3)),
        augment=Augment(rotation=10.0, shift=0.08, shear=0.0, erase=0.0, mixup_share=0.0),
        schedule=Schedule(sides=((epochs, side),), batch=batch),
    )


@lru_cache(maxsize=1)
def load_faces(data: Path = FER) -> FaceParts:
    """Training and PublicTest of FER2013; noise where it is not at hand."""
    if not data.is_file():
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (8192, 48, 48), dtype=np.uint8)
        noise = FaceSet("noise", images, rng.integers(0, 7, 8192), FER2013_7)
        return FaceParts(noise, noise)
    return load_parts(build_recipe(SMALL, side=32, batch=1, epochs=1), {"fer2013": data}, None)


def first_pictures(recipe: Recipe, count: int, data: Path = FER) -> Training:
    return build_training(load_faces(data).train.take(np.arange(count), name="some"), recipe)


def train_epochs(
    how: Parallel | None,
    recipe: Recipe,
    data: Training,
    *,
    validate: Validate = lambda network, side: {"val_loss": 0.0},
    on_step: OnTrainStep | None = None,
) -> Iterator[Epoch]:
    """The epochs of one training, each with its costs; None trains alone."""
    network = build_network(recipe)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_scheme(how, network, data, recipe) as train_one,
    ):
        yield from fit(
            network,
            data,
            recipe,
            Path(folder) / "checkpoint.pt",
            validate=validate,
            on_step=on_step,
            train_one=train_one or train_alone,
        )


def settled(epochs: Iterable[Epoch]) -> dict[str, Any]:
    """Medians of the costs over the epochs after the first, and the loss of the last.

    `step_range` has the least and the most that a step took in one of them.
    """
    rows = list(epochs)
    later = [one.costs for one in rows[1:]] or [one.costs for one in rows]
    keys = ("step_seconds", "compute_seconds", "update_seconds", "step_bytes", "mean_staleness")
    found = {key: median(costs[key] for costs in later) for key in keys}
    steps = [costs["step_seconds"] for costs in later]
    return found | {
        "step_range": [min(steps), max(steps)],
        "steps": rows[0].costs["steps"],
        "loss": rows[-1].loss,
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
