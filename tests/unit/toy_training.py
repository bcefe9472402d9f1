"""Runs so small that a test can train them: random faces whose labels can be seen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from classpulse.core.card import InputSpec
from classpulse.lab.models.convnext import ConvNextSettings
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.recipe import Recipe, Schedule
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.average import Averaging
from classpulse.lab.train.epoch import Epoch
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import Training, fit
from classpulse.lab.train.optim import OPTIMIZERS, Sgd
from classpulse.lab.train.parallel.scheme import open_scheme
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.run import build_network
from classpulse.lab.train.schedule import Constant

torch.set_num_threads(1)

SIDE, BATCH, ROWS, EPOCHS = 16, 8, 64, 3
STEPS = ROWS // BATCH
STILL = Augment(0, 0, zoom=(1, 1), shear=0, flip=0, light=0, erase=0, mixup_share=0)
PLAIN = Recipe(  # nothing random but the order, and no statistics over a batch
    "plain",
    "A recipe for tests.",
    {"emotion": 1.0},
    InputSpec(SIDE, SIDE, 1, (0.5,), (0.25,), "fer2013"),
    network=Choice("convnext", ConvNextSettings((8, 16), (1, 1), drop_path=0.0)),
    optimizer=Choice("sgd", Sgd()),
    rate=Choice("constant", Constant(lr=1e-3)),
    schedule=Schedule(sides=((1, SIDE),), batch=BATCH),
    augment=STILL,
)
LONGER = replace(PLAIN, schedule=replace(PLAIN.schedule, sides=((EPOCHS, SIDE),)))
EVERYTHING = replace(  # that draws a random number or has a state
    LONGER,
    network=Choice("residual-se", ResidualSettings((8, 16), blocks=1, stem=8, dropout=0.3)),
    optimizer=Choice("adamw", OPTIMIZERS.get("adamw")()),
    averaging=Averaging(decay=0.6),
    augment=Augment(),
)


def build_data() -> Training:
    """Random faces whose labels can be seen in them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(ROWS) % 7
    x = torch.randn(ROWS, 1, SIDE, SIDE, generator=generator) + labels.view(-1, 1, 1, 1)
    return Training(x, {"emotion": torch.nn.functional.one_hot(labels, 7).float()})


def train(
    recipe: Recipe, how: Parallel | None, checkpoint: Path, *, epochs: int = EPOCHS
) -> list[Epoch]:
    """So many epochs from wherever the checkpoint is."""
    model, data, done = build_network(recipe), build_data(), []
    with open_scheme(how, model, data, recipe) as train_one:
        for epoch in fit(
            model, data, recipe, checkpoint, validate=lambda *_: {}, train_one=train_one
        ):
            done.append(epoch)
            if len(done) == epochs:
                break
    return done


def weights(checkpoint: Path) -> Any:
    """All weights of a checkpoint, (n,)."""
    state = torch.load(checkpoint, weights_only=True)["model"]
    return torch.cat([t.flatten() for t in state.values()])
