"""The recipes that are shipped: list, copy, and check that each still builds and learns."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.core.text_card import load_any_card
from classpulse.lab.claims import (
    Claim,
    claim_of,
    claims_toml,
    pick_claim,
)
from classpulse.lab.classic.fit import count_learned, fit_pipeline
from classpulse.lab.classic.recipe import ClassicRecipe, classic_table, load_classic_recipe
from classpulse.lab.ensemble.recipe import EnsembleRecipe, ensemble_table, load_ensemble_recipe
from classpulse.lab.evaluate.figures import save_figure
from classpulse.lab.evaluate.plots_study import draw_settings
from classpulse.lab.models.base import count_parameters, l2_penalty
from classpulse.lab.recipe import Recipe, load_recipe, recipe_table
from classpulse.lab.recipe_file import (
    is_classic,
    is_ensemble,
    is_of_text,
    read_recipe_text,
    read_table,
    recipe_names,
)
from classpulse.lab.search.records import rows_from_claims
from classpulse.lab.text.check import check_text_recipe
from classpulse.lab.text.recipe import TextRecipe, load_text_recipe, text_recipe_table
from classpulse.lab.train.folder import RESOLVED
from classpulse.lab.train.kinds import Choice
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
    """Every shipped recipe as plain values: name, summary, kind of network, rule or classifier,
    members of an ensemble, data, epochs (0 for all but a network), and claims."""
    return [_row(open_recipe(name)) for name in recipe_names()]


AnyRecipe = Recipe | EnsembleRecipe | ClassicRecipe | TextRecipe


def open_recipe(name: str) -> AnyRecipe:
    """A shipped recipe of any kind.

    Raises:
        InputError: there is no such recipe; the shipped ones are listed.
    """
    table = read_table(name)
    if is_ensemble(table):
        return load_ensemble_recipe(name)
    if is_of_text(table):
        return load_text_recipe(name)
    return load_classic_recipe(name) if is_classic(table) else load_recipe(name)


def _row(recipe: AnyRecipe) -> dict[str, Any]:
    members, epochs = [], 0
    if isinstance(recipe, EnsembleRecipe):
        kind, members = recipe.rule.kind, list(recipe.members)
    elif isinstance(recipe, ClassicRecipe):
        kind = f"{recipe.features.kind} + {recipe.classifier.kind}"
    else:
        kind, epochs = recipe.network.kind, recipe.schedule.epochs
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "kind": kind,
        "members": members,
        "sets": list(recipe.data.sets),
        "split": _split_of(recipe),
        "epochs": epochs,
        "claims": [dataclasses.asdict(claim) for claim in recipe.claims],
    }


def _split_of(recipe: AnyRecipe) -> str:
    if isinstance(recipe, TextRecipe):
        return " + ".join(recipe.data.compose.values())
    return recipe.data.split


def show_recipe(name: str, *, resolved: bool = False) -> str:
    """The file of a shipped recipe, or with `resolved` its whole table as JSON.

    Raises:
        InputError: there is no such recipe; the shipped ones are listed.
    """
    if not resolved:
        return read_recipe_text(name)
    recipe = open_recipe(name)
    return json.dumps(_table(recipe), indent=2) + "\n"


def _table(recipe: AnyRecipe) -> dict[str, Any]:
    if isinstance(recipe, EnsembleRecipe):
        return ensemble_table(recipe)
    if isinstance(recipe, TextRecipe):
        return text_recipe_table(recipe)
    return classic_table(recipe) if isinstance(recipe, ClassicRecipe) else recipe_table(recipe)


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
        if isinstance(recipe, EnsembleRecipe):
            yield check_ensemble(recipe)
        elif isinstance(recipe, ClassicRecipe):
            yield check_classic(recipe)
        elif isinstance(recipe, TextRecipe):
            yield Checked(recipe.name, *check_text_recipe(recipe))
        else:
            yield check_recipe(recipe)


def check_classic(recipe: ClassicRecipe) -> Checked:
    """Make features of random faces and fit what comes after them.

    Raises:
        InputError, ModelError: as `fit_pipeline`.
    """
    k = len(HEAD_SPACES["emotion"])
    truth = np.arange(CHECK_ANSWERS * k, dtype=np.int64) % k
    draw = np.random.default_rng(recipe.seed)
    images = draw.integers(0, 256, (len(truth), recipe.side, recipe.side), dtype=np.uint8)
    fitted = fit_pipeline(
        dataclasses.replace(recipe, rows=0), images, truth, HEAD_SPACES["emotion"]
    )
    return Checked(recipe.name, count_learned(fitted.back), ())


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

    Weights that it starts from are not read: recipes are checked where they need not be.

    Raises:
        InputError: the network has no finite loss.
    """
    settings = recipe.network.settings
    if getattr(settings, "weights", ""):
        random = Choice(recipe.network.kind, dataclasses.replace(settings, weights=""))
        recipe = dataclasses.replace(recipe, network=random)
    recipe = dataclasses.replace(recipe, start=None)
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


def claim_runs(
    artefact: Path, runs: Sequence[Path], *, hardware: str, minutes: float | None = None
) -> str:
    """TOML of our claims: the numbers of the card, the minutes of the logs, the recipes' seeds.

    Args:
        runs: folder of the run that the artefact was published from; of an ensemble those of its
            members; none of a classical pipeline, which is fitted in one go.
        minutes: of that fit.

    Raises:
        InputError: a run has no recipe or no log, or minutes beside it; there is no run and no
            classical pipeline with its minutes.
        ModelError: the artefact has no card.
    """
    card = load_any_card(artefact / "card.json")
    if runs and minutes is not None:
        raise InputError(f"{artefact}: the logs of its runs say the minutes: leave --minutes out")
    if runs:
        seeds = {read_table(str(run / RESOLVED))["schedule"]["seed"] for run in runs}
        seconds = sum(row["seconds"] for run in runs for row in read_log(run / LOG))
    else:
        recipe = open_recipe(card.recipe)
        if not isinstance(recipe, ClassicRecipe) or minutes is None:
            raise InputError(
                f"{artefact}: give the folders of its runs; only a classical pipeline has none, "
                "and needs --minutes"
            )
        seeds, seconds = {recipe.seed}, minutes * 60
    return claims_toml(claim_of(card, seconds, seeds=tuple(sorted(seeds)), hardware=hardware))


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
