"""The recipes that are shipped: list, copy, and check that each still builds and learns."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from classpulse.core.errors import InputError
from classpulse.lab.models.base import count_parameters, l2_penalty
from classpulse.lab.outputs import save_text
from classpulse.lab.recipe import Recipe, load_recipe, recipe_table
from classpulse.lab.recipe_file import read_recipe_text, recipe_names
from classpulse.lab.train.losses import multi_head_loss
from classpulse.lab.train.optim import build_optimizer, set_lr
from classpulse.lab.train.run import build_network
from classpulse.lab.train.targets import HEAD_SPACES

CHECK_ROWS = 4  # faces of a step of the check
CHECK_STEPS = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """One recipe after `check_recipe`: parameters as Keras counts them, and the losses seen."""

    name: str
    parameters: int
    losses: tuple[float, ...]


def list_recipes() -> list[dict[str, Any]]:
    """Name, summary, network, data and claims of every shipped recipe, as plain values."""
    return [
        {
            "name": recipe.name,
            "summary": recipe.summary,
            "network": recipe.network.kind,
            "sets": list(recipe.data.sets),
            "split": recipe.data.split,
            "epochs": recipe.schedule.epochs,
            "claims": [dataclasses.asdict(claim) for claim in recipe.claims],
        }
        for recipe in map(load_recipe, recipe_names())
    ]


def show_recipe(name: str, *, resolved: bool = False) -> str:
    """The file of a shipped recipe, or with `resolved` its whole table as JSON.

    Raises:
        InputError: there is no such recipe; the shipped ones are listed.
    """
    if not resolved:
        return read_recipe_text(name)
    return json.dumps(recipe_table(load_recipe(name)), indent=2) + "\n"


def copy_recipe(name: str, path: Path) -> Path:
    """Write a shipped recipe to a file of your own, to change it.

    Raises:
        InputError: there is no such recipe, or the file exists already.
        OutputError: it cannot be written.
    """
    text = read_recipe_text(name)
    if path.suffix != ".toml":
        raise InputError(f"{path} is no name of a recipe: needs the ending .toml")
    if path.exists():
        raise InputError(f"{path} exists already: give another name, or delete it")
    save_text(text, path)
    return path


def check_recipes(names: list[str]) -> Iterator[Checked]:
    """Check recipes one after the other, all that are shipped if none is named."""
    for name in names or recipe_names():
        yield check_recipe(load_recipe(name))


def check_recipe(recipe: Recipe) -> Checked:
    """Build the network, and take two steps on random faces.

    Raises:
        InputError: the network has no finite loss.
        ModelError: a file of weights that the recipe names is missing or does not fit.
    """
    network = build_network(recipe)
    optimizer = build_optimizer(recipe.optimizer.settings, network)
    set_lr(optimizer, recipe.rate.settings.start(recipe.schedule.epochs).lr_at(0))
    generator = torch.Generator().manual_seed(recipe.schedule.seed)
    spec = recipe.input
    x = torch.randn(CHECK_ROWS, spec.channels, spec.height, spec.width, generator=generator)
    targets = {
        head: torch.eye(len(HEAD_SPACES[head]))[torch.arange(CHECK_ROWS) % len(HEAD_SPACES[head])]
        for head in recipe.heads
    }
    network.train()
    losses = []
    for _ in range(CHECK_STEPS):
        loss = multi_head_loss(network(x), targets, recipe.heads, loss=recipe.loss.settings)
        total = loss + l2_penalty(network)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    if not all(abs(value) < float("inf") for value in losses):
        raise InputError(f"recipe {recipe.name}: its loss is {losses}, needs finite numbers")
    return Checked(recipe.name, count_parameters(network), tuple(losses))


def describe_recipes(recipes: list[dict[str, Any]]) -> str:
    """A line for each recipe: name, network, data, and every claim."""
    lines = [f"{'recipe':<26}{'network':<14}{'data':<34}claims"]
    for one in recipes:
        data = f"{' + '.join(one['sets'])}, {one['split']}, {one['epochs']} epochs"
        said = "; ".join(f"{c['by']}: {c['metric']} {c['value']:.4f}" for c in one["claims"])
        lines.append(f"{one['name']:<26}{one['network']:<14}{data:<34}{said or 'none'}")
    return "\n".join(lines)
