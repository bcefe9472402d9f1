"""One text network out of several runs: the mean of their weights (`train.soup`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.core.files import new_file
from classpulse.lab.models.base import RANDOM
from classpulse.lab.text.network import TOKENIZER, WORDS
from classpulse.lab.text.recipe import TextRecipe, load_text_recipe, text_recipe_table
from classpulse.lab.text.run import HELD, what_is_held
from classpulse.lab.train.folder import RESOLVED, check_start
from classpulse.lab.train.soup import apart, best_states, check_members, mean_state, save_mean

SEED = "schedule.noise_seed"  # `schedule.seed` decides what is held out too, so it is the same


def average_text_runs(recipe: TextRecipe, runs: Sequence[Path], *, out: Path) -> None:
    """Write a run's folder `out` with the mean of the best weights of `runs`, to be published.

    Args:
        recipe: of the runs, whatever their `noise_seed`.
        runs: of this recipe, and those that its `averaging.runs` names.

    Raises:
        InputError: the recipe begins with a random encoder, a run of another recipe has another
            network or has held out other texts, or as `check_members`.
        OutputError: a file cannot be written.
    """
    table = text_recipe_table(recipe)
    named = {Path(one).name for one in recipe.averaging.runs}
    others = [run for run in runs if run.name in named]
    own = [run for run in runs if run not in others]
    seeds = check_members(table, own, seed=SEED, out=out, others=len(others))
    if getattr(recipe.network.settings, "encoder", RANDOM) == RANDOM and not recipe.start:
        raise InputError(apart(recipe.name))
    for run in others:
        _check_other(run, recipe, table)
    state = mean_state(best_states(runs, recipe.name))
    names = [run.name for run in others]
    save_mean(state, out, table=table, seeds=seeds, first=own[0], others=names)
    for name in (WORDS, TOKENIZER):
        with new_file(out / name) as aside:
            aside.write_bytes((own[0] / name).read_bytes())


def _check_other(run: Path, recipe: TextRecipe, table: dict[str, Any]) -> None:
    key = "averaging.runs"
    check_start(str(run), table, held=HELD, key=key, means=what_is_held)
    theirs = load_text_recipe(str(run / RESOLVED))
    for what, one, other in (
        ("network", theirs.network, recipe.network),
        ("encode", theirs.encode, recipe.encode),
        ("heads", set(theirs.heads), set(recipe.heads)),
    ):
        if one != other:
            raise InputError(
                f"{key} = '{run}': its [{what}] is not that of {recipe.name}, so the mean of their "
                "weights is no network: put their artefacts together by [teach]"
            )
