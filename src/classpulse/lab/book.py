"""The recipes that are shipped: list, copy, and check that each still builds and learns."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classpulse.core.card import load_card
from classpulse.core.errors import InputError
from classpulse.lab.claims import (
    Claim,
    claim_of,
    claims_toml,
    pick_claim,
)
from classpulse.lab.ensemble.recipe import EnsembleRecipe, ensemble_table, load_ensemble_recipe
from classpulse.lab.evaluate.figures import save_figure
from classpulse.lab.evaluate.plots_study import draw_settings
from classpulse.lab.models.base import count_parameters, l2_penalty
from classpulse.lab.outputs import save_text
from classpulse.lab.recipe import Recipe, load_recipe, recipe_table
from classpulse.lab.recipe_file import is_ensemble, read_recipe_text, read_table, recipe_names
from classpulse.lab.search.records import rows_from_claims
from classpulse.lab.train.folder import RESOLVED
from classpulse.lab.train.logs import LOG, read_log
from classpulse.lab.train.losses import multi_head_loss
from classpulse.lab.train.optim import build_optimizer, set_lr
from classpulse.lab.train.run import build_network
from classpulse.lab.train.targets import HEAD_SPACES

CHECK_ROWS = 4  # faces of a step of the check
CHECK_STEPS = 2
CHECK_ANSWERS = 10  # rows of each label that a rule is fitted to


@dataclass(frozen=True, slots=True)
class Checked:
    """One recipe after `check_recipe`: parameters as Keras counts them, and the losses seen."""

    name: str
    parameters: int
    losses: tuple[float, ...]


def list_recipes() -> list[dict[str, Any]]:
    """Every shipped recipe as plain values: name, summary, kind of network or rule, members of an
    ensemble, data, epochs (0 for an ensemble), and claims."""
    return [_row(open_recipe(name)) for name in recipe_names()]


def open_recipe(name: str) -> Recipe | EnsembleRecipe:
    """A shipped recipe of either kind.

    Raises:
        InputError: there is no such recipe; the shipped ones are listed.
    """
    return load_ensemble_recipe(name) if is_ensemble(read_table(name)) else load_recipe(name)


def _row(recipe: Recipe | EnsembleRecipe) -> dict[str, Any]:
    if isinstance(recipe, EnsembleRecipe):
        kind, members, epochs = recipe.rule.kind, list(recipe.members), 0
    else:
        kind, members, epochs = recipe.network.kind, [], recipe.schedule.epochs
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "kind": kind,
        "members": members,
        "sets": list(recipe.data.sets),
        "split": recipe.data.split,
        "epochs": epochs,
        "claims": [dataclasses.asdict(claim) for claim in recipe.claims],
    }


def show_recipe(name: str, *, resolved: bool = False) -> str:
    """The file of a shipped recipe, or with `resolved` its whole table as JSON.

    Raises:
        InputError: there is no such recipe; the shipped ones are listed.
    """
    if not resolved:
        return read_recipe_text(name)
    recipe = open_recipe(name)
    table = recipe_table(recipe) if isinstance(recipe, Recipe) else ensemble_table(recipe)
    return json.dumps(table, indent=2) + "\n"


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
        recipe = open_recipe(name)
        yield check_recipe(recipe) if isinstance(recipe, Recipe) else check_ensemble(recipe)


def check_ensemble(recipe: EnsembleRecipe) -> Checked:
    """Load and build every member, and fit the rule to random answers.

    Raises:
        InputError: the members do not take the same picture, or answer different questions.
    """
    members = [load_recipe(name) for name in recipe.members]
    first = members[0]
    for member in members[1:]:
        if member.input != first.input or member.heads.keys() != first.heads.keys():
            raise InputError(
                f"ensemble {recipe.name}: {first.name} and {member.name} differ in [input] or heads"
            )
    k = len(HEAD_SPACES[next(iter(first.heads))])
    truth = np.arange(CHECK_ANSWERS * k, dtype=np.int64) % k
    draw = np.random.default_rng(recipe.seed)
    probs = draw.dirichlet(np.ones(k), (len(members), len(truth))).astype(np.float32)
    found = recipe.rule.settings(probs, truth, seed=recipe.seed)
    parameters = sum(count_parameters(build_network(member)) for member in members)
    return Checked(recipe.name, parameters + found.parameters, ())


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


def claim_run(run: Path, artefact: Path, *, hardware: str) -> str:
    """TOML of our claims: the numbers of the card, the minutes of the log, the seed of the recipe.

    Raises:
        InputError: the run has no recipe or no log.
        ModelError: the artefact has no card.
    """
    seed = load_recipe(str(run / RESOLVED)).schedule.seed
    seconds = sum(row["seconds"] for row in read_log(run / LOG))
    card = load_card(artefact / "card.json")
    return claims_toml(claim_of(card, seconds, seed=seed, hardware=hardware))


def plot_family(prefix: str, out: Path, *, by: str) -> Path:
    """Draw the accuracies that one party claims against the settings in which a family differs.

    Args:
        prefix: of the recipes' names, such as "aied-b"; all of one kind of network.
        out: .png or .svg.
        by: "source" or "ours".

    Raises:
        InputError: fewer than two such claims, several kinds of network, or nothing differs.
    """
    family = [open_recipe(name) for name in recipe_names() if name.startswith(prefix)]
    claimed = [r for r in family if isinstance(r, Recipe) and pick_claim(r.claims, by)]
    claimed = [r for r in claimed if r.data.split == claimed[0].data.split]  # no k-fold means
    kinds = {recipe.network.kind for recipe in claimed}
    if len(claimed) < 2 or len(kinds) > 1:
        raise InputError(
            f"recipes '{prefix}...' with an accuracy by '{by}': {len(claimed)}, of the networks "
            f"{', '.join(sorted(kinds)) or 'none'}; needs two or more of one kind"
        )
    tables = [dataclasses.asdict(recipe.network.settings) for recipe in claimed]
    varied = [key for key in tables[0] if len({repr(table[key]) for table in tables}) > 1]
    rows = rows_from_claims(claimed, varied, by=by)
    return save_figure(draw_settings(rows, {key: key for key in varied}), out)


def describe_recipes(recipes: list[dict[str, Any]]) -> str:
    """A line for each recipe: name, network, data, and the accuracies of its source and ours."""
    lines = [f"{'recipe':<28}{'network':<22}{'data':<20}{'epochs':>6}  {'source':<8}ours"]
    for one in recipes:
        members = len(one["members"])
        kind = f"{one['kind']} of {members}" if members else one["kind"]
        claims = [Claim(**{**claim, "seeds": tuple(claim["seeds"])}) for claim in one["claims"]]
        source, ours = pick_claim(claims, "source"), pick_claim(claims, "ours")
        said = f"{ours.value:.4f} [{ours.low:.4f}, {ours.high:.4f}]" if ours else "not run here"
        lines.append(
            f"{one['name']:<28}{kind:<22}{' + '.join(one['sets']):<20}{one['epochs'] or '':>6}  "
            f"{f'{source.value:.4f}' if source else '':<8}{said}"
        )
    return "\n".join(lines)
