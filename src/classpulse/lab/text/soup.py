"""One text network out of several runs of a recipe: the mean of their weights (`train.soup`)."""

from collections.abc import Sequence
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.core.files import new_file
from classpulse.lab.models.base import RANDOM
from classpulse.lab.text.network import TOKENIZER, WORDS
from classpulse.lab.text.recipe import TextRecipe, text_recipe_table
from classpulse.lab.train.soup import apart, best_states, check_members, mean_state, save_mean

SEED = "schedule.noise_seed"  # `schedule.seed` decides what is held out too, so it is the same


def average_text_runs(recipe: TextRecipe, runs: Sequence[Path], *, out: Path) -> None:
    """Write a run's folder `out` with the mean of the best weights of `runs`, to be published.

    Args:
        recipe: of the runs, whatever their `noise_seed`.

    Raises:
        InputError: the recipe begins with a random encoder, or as `check_members`.
        OutputError: a file cannot be written.
    """
    table = text_recipe_table(recipe)
    seeds = check_members(table, runs, seed=SEED, out=out)
    if getattr(recipe.network.settings, "encoder", RANDOM) == RANDOM and not recipe.start:
        raise InputError(apart(recipe.name))
    state = mean_state(best_states(runs, recipe.name))
    save_mean(state, out, table=table, seeds=seeds, first=runs[0])
    for name in (WORDS, TOKENIZER):
        with new_file(out / name) as aside:
            aside.write_bytes((runs[0] / name).read_bytes())
