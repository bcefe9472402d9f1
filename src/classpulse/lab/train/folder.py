"""The folder of a run: what its files are called, and when one may be gone on from."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from classpulse.core.card import ModelCard
from classpulse.core.errors import InputError
from classpulse.core.text_card import load_any_card
from classpulse.lab.recipe import Recipe, changed_keys, load_recipe, recipe_table
from classpulse.lab.recipe_file import recipe_names
from classpulse.runtime.model import find_model, shipped_models

CHECKPOINT, BEST, RESOLVED = "checkpoint.pt", "best.pt", "recipe.json"
TAUGHT = "taught.pt"  # what the teachers said of the training part
HINTS = "hints.pt"  # what the network of the hints made of it


def check_run(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """As `check_table`, for a recipe of faces."""
    check_table(out, recipe_table(recipe), resume=resume)


def check_table(out: Path, table: Mapping[str, Any], *, resume: bool) -> None:
    """Nothing there is overwritten or gone on from by mistake.

    Args:
        table: the whole recipe as plain values.

    Raises:
        InputError: there is a run and `resume` is not set, it is of another recipe, or there are
            best weights without the checkpoint of their run.
    """
    kept = out / RESOLVED
    if not (out / CHECKPOINT).exists():
        if (out / BEST).exists():
            raise InputError(
                f"{out} has trained weights, {BEST}, but no checkpoint to go on from: give "
                f"another --run, or move {BEST} away to begin anew"
            )
        return
    if not resume:
        raise InputError(f"{out} has a run: go on with --resume, or give another --run")
    try:
        old = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    except ValueError:
        old = None
    now = json.loads(json.dumps(table))
    changed = changed_keys(old, now) if isinstance(old, dict) else []
    if changed:
        raise InputError(
            f"{out} was begun with another recipe ({', '.join(changed)}): give the same, another "
            f"--run, or delete {kept} to go on with this one"
        )


def check_start(
    start: str | None,
    table: Mapping[str, Any],
    *,
    held: Sequence[str],
    key: str = "start",
    means: Callable[[str, Any], Any] = lambda key, value: value,
) -> None:
    """Refuse weights that may have learned from what this run is judged on.

    Args:
        start: the run or artefact whose weights this one begins with; none if empty.
        table: this recipe as plain values.
        held: keys, as ``data.split``, that decide what is held out: both runs must agree in them,
            but a switch that holds out more may be on in the other alone.
        key: what names the other run in this recipe.
        means: (key, value) -> what of a value decides what is held out.

    Raises:
        InputError: they do not, or the other run does not say.
    """
    if not start:
        return
    other = _start_table(start)
    now = json.loads(json.dumps(table))

    def may_differ(key: str) -> bool:
        theirs, ours = (means(key, _at(one, key)) for one in (other, now))
        return theirs == ours or (theirs is True and ours is None)

    differ = [key for key in held if not may_differ(key)]
    if differ:
        raise InputError(
            f"{key} = '{start}' was held out of other rows ({', '.join(differ)}): it may have "
            "learned from what this recipe is judged on; give both the same"
        )


def start_ranks(start: str) -> tuple[int, ...]:
    """Ranks of the network that another begins with; empty where its convolutions are full.

    Raises:
        InputError: nothing tells how it was made.
    """
    return tuple(_at(_start_table(start), "network.ranks") or ())


def _start_table(start: str) -> Mapping[str, Any]:
    return _artefact_table(start) if is_artefact(start) else _run_table(start)


def is_artefact(start: str) -> bool:
    """Whether weights to begin with are an artefact; a run that was published in place is a run."""
    folder = Path(start)
    published = start in shipped_models() or (folder / "card.json").is_file()
    return published and not (folder / BEST).exists()


def _run_table(start: str) -> Mapping[str, Any]:
    path = Path(start) / RESOLVED
    try:
        table: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"start = '{start}': {path} cannot be read, so nobody knows what that run learned from"
        ) from None
    return table


def _artefact_table(start: str) -> Mapping[str, Any]:
    """Of the shipped recipe that the card names."""
    card = load_any_card(find_model(start) / "card.json")
    if not isinstance(card, ModelCard):
        raise InputError(f"start = '{start}' reads texts: give the folder of a run")
    if card.recipe not in recipe_names():
        raise InputError(
            f"start = '{start}' was trained by '{card.recipe}', which is not shipped, so nobody "
            "knows what it learned from: give the folder of its run"
        )
    return recipe_table(load_recipe(card.recipe))


def _at(table: Mapping[str, Any], key: str) -> Any:
    """A value by its dotted key; what is empty is like what is not there."""
    value: Any = table
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value or None


def find_best(run: Path, recipe: str) -> Path:
    """Weights of the best epoch of a run of the recipe with this name.

    Raises:
        InputError: the run has none.
    """
    best = run / BEST
    if not best.exists():
        raise InputError(f"{best} does not exist: train first, classpulse train {recipe}")
    return best
