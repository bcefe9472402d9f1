"""What a search leaves in its folder, and what it says: a table, the best recipe, plots, lines."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.lab.evaluate.figures import save_figure
from classpulse.lab.evaluate.plots_study import (
    draw_search_history,
    draw_search_slices,
    varied_params,
)
from classpulse.lab.recipe import Recipe, recipe_table
from classpulse.lab.search.plan import SearchPlan
from classpulse.lab.search.records import TrialRecord, best_trial, trials_csv
from classpulse.lab.search.space import SPACES
from classpulse.lab.search.storage import STUDY, fixed_trial, open_study, read_records

if TYPE_CHECKING:
    import optuna

TRIALS, BEST = "trials.csv", "best.json"


def save_results(
    study: "optuna.Study", recipe: Recipe, plan: SearchPlan, out: Path
) -> list[TrialRecord]:
    """Write the table and the best recipe, and return the trials that have ended."""
    records = read_records(study)
    save_text(trials_csv(records), out / TRIALS)
    best = best_trial(records)
    if best is not None:
        save_text(json.dumps(recipe_table(best_recipe(recipe, plan, best)), indent=2), out / BEST)
    return records


def best_recipe(recipe: Recipe, plan: SearchPlan, best: TrialRecord) -> Recipe:
    """The recipe of a trial under a name of its own and without the claims of the searched one."""
    found = SPACES.get(plan.space).apply(fixed_trial(best.params), recipe)
    summary = (
        f"{recipe.name} with the settings of trial {best.number} of a search of '{plan.space}': "
        f"validation accuracy {best.value:.4f}."
    )
    return replace(found, name=f"{recipe.name}-{plan.space}", summary=summary, claims=())


def save_plots(records: Sequence[TrialRecord], out: Path) -> None:
    """`history.png`, and `slices.png` once trials with different values have ended."""
    valued = [record for record in records if record.value is not None]
    if valued:
        save_figure(draw_search_history(valued), out / "history.png")
    if varied_params(valued):
        save_figure(draw_search_slices(valued), out / "slices.png")


def load_records(out: Path) -> list[TrialRecord]:
    """The trials of a run that have ended.

    Raises:
        InputError: there is no study.
    """
    if not (out / STUDY).exists():
        raise InputError(f"{out} has no study: search first, classpulse search")
    with open_study(out, epochs=1, prune=False, min_epochs=1, reduction=2) as study:
        return read_records(study)


def describe_record(record: TrialRecord) -> str:
    """One line: number, state, value, epochs, seconds, parameters or why it failed."""
    value = "     -" if record.value is None else f"{record.value:.4f}"
    params = " ".join(f"{name}={_short(given)}" for name, given in record.params.items())
    return (
        f"{record.number:3d}  {record.state:<8}  {value}  {record.epochs:3d} epochs  "
        f"{record.seconds:6.0f} s  {record.why or params}"
    )


def describe_best(out: Path) -> str:
    """The last line of a search: its best trial and where its recipe is."""
    best = best_trial(load_records(out))
    if best is None:
        return "no trial was complete"
    return f"best: trial {best.number}, {best.value:.4f} on the validation part; {out / BEST}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
