"""The recipes that are shipped: list, show, copy, claim, plot."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.core.text_card import load_any_card
from classpulse.lab.claims import (
    Claim,
    claim_of,
    claims_toml,
    pick_claim,
)
from classpulse.lab.classic.recipe import ClassicRecipe, classic_table, load_classic_recipe
from classpulse.lab.ensemble.recipe import EnsembleRecipe, ensemble_table, load_ensemble_recipe
from classpulse.lab.evaluate.figures import save_figure
from classpulse.lab.evaluate.plots_study import draw_settings
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
from classpulse.lab.text.recipe import TextRecipe, load_text_recipe, text_recipe_table
from classpulse.lab.train.folder import RESOLVED
from classpulse.lab.train.logs import LOG, read_log


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
    rows = [("recipe", "network", "data", "epochs", "source", "ours")]
    for one in recipes:
        members = len(one["members"])
        kind = f"{one['kind']} of {members}" if members else one["kind"]
        claims = [Claim(**{**claim, "seeds": tuple(claim["seeds"])}) for claim in one["claims"]]
        source, ours = pick_claim(claims, "source"), pick_claim(claims, "ours")
        said = f"{ours.value:.4f} [{ours.low:.4f}, {ours.high:.4f}]" if ours else "not run here"
        stated = f"{source.value:.4f}" if source else ""
        sets, epochs = " + ".join(one["sets"]), str(one["epochs"] or "")
        rows.append((one["name"], kind, sets, epochs, stated, said))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)
