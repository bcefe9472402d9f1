"""Search for the settings of a recipe: a generator of trials that can be killed and gone on with.

for record in search_faces(recipe, SearchPlan("thesis-keras-tuner"), paths=paths, out=run):
    print(record.number, record.state, record.value)
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from classpulse.core.errors import InputError
from classpulse.core.files import make_folder, save_text
from classpulse.lab.recipe import Recipe, recipe_table
from classpulse.lab.search.epochs import drop_checkpoint, iterate_epochs
from classpulse.lab.search.plan import PLAN, SearchPlan, check_run
from classpulse.lab.search.records import TrialRecord
from classpulse.lab.search.results import save_plots, save_results
from classpulse.lab.search.space import SPACES
from classpulse.lab.search.storage import (
    end_trial,
    fail_trial,
    iterate_trials,
    note_progress,
    open_study,
    progress_of,
)
from classpulse.lab.train.run import build_training, build_validation
from classpulse.lab.train.sources import FaceParts, load_parts

if TYPE_CHECKING:
    import optuna


def search_faces(
    recipe: Recipe,
    plan: SearchPlan,
    *,
    paths: Mapping[str, Path],
    votes: Path | None = None,
    groups: Path | None = None,
    out: Path,
    resume: bool = False,
) -> Iterator[TrialRecord]:
    """Try settings of `recipe`; yields every trial as it ends, those of an earlier run not again.

    What is maximized is the best validation accuracy of the first head over the epochs on faces of
    the last size of the schedule. All trials learn from the same parts: the recipe's seed draws the
    split. Only the first execution of a trial can be pruned, the others run to their end.

    Writes into `out`: `recipe.json` and `search.json` (what is searched and how), `study.db`, and
    after every trial `trials.csv` and `best.json`, a recipe to train; at the end `history.png` and
    `slices.png`. A trial's folder keeps the log of its epochs; its checkpoints are deleted when it
    ends.

    Args:
        paths, votes, groups: as `load_parts` takes them.
        resume: go on with the study in `out`, also with more trials; a trial that was interrupted
            goes on at its last epoch. Only one process at a time may use `out`.

    Raises:
        InputError: as `load_parts`; there is a study and `resume` is not set, or it is of another
            recipe or plan; `min_epochs` exceeds the epochs; or every trial failed.
        OutputError: a file cannot be written.
    """
    epochs = recipe.schedule.epochs
    if plan.min_epochs > epochs:
        raise InputError(f"min_epochs = {plan.min_epochs}: the recipe has only {epochs} epochs")
    check_run(out, recipe, plan, resume=resume)
    parts = load_parts(recipe, paths, votes, groups=groups)
    make_folder(out)
    save_text(json.dumps(recipe_table(recipe), indent=2), out / "recipe.json")
    save_text(json.dumps(asdict(plan), indent=2), out / PLAN)
    with open_study(
        out,
        epochs=epochs,
        prune=plan.prune,
        min_epochs=plan.min_epochs,
        reduction=plan.reduction,
    ) as study:
        records = save_results(study, recipe, plan, out)
        for trial in iterate_trials(study, trials=plan.trials, seed=plan.seed):
            _run_trial(study, trial, recipe, plan, parts, out / f"trial-{trial.number}")
            told = {record.number for record in records}
            records = save_results(study, recipe, plan, out)
            yield from (record for record in records if record.number not in told)
    save_plots(records, out)
    if records and all(record.why for record in records):
        raise InputError(f"every trial failed; the first: {records[0].why}")


def _run_trial(
    study: "optuna.Study",
    trial: "optuna.Trial",
    recipe: Recipe,
    plan: SearchPlan,
    parts: FaceParts,
    folder: Path,
) -> None:
    """Train a trial's executions and tell the study how it ended."""
    try:
        one = SPACES.get(plan.space).apply(trial, recipe)
        value = _train(trial, one, plan, parts, folder)
    except InputError as error:
        fail_trial(study, trial, str(error))
    else:
        end_trial(study, trial, value=value)
    for execution in range(plan.executions):
        drop_checkpoint(folder / f"execution-{execution}")


def _train(
    trial: "optuna.Trial", recipe: Recipe, plan: SearchPlan, parts: FaceParts, folder: Path
) -> float | None:
    """Mean best accuracy over the executions; None if the trial was pruned."""
    data, validate = build_training(parts.train, recipe), build_validation(parts.valid, recipe)
    last = recipe.schedule.epochs
    full = recipe.schedule.side_at(last)
    before = trial.study.trials[trial.number]  # as an interruption left it
    reached = before.last_step or 0
    done, seconds, values = 0, 0.0, []
    for execution in range(plan.executions):
        seeded = replace(recipe.schedule, seed=recipe.schedule.seed + execution)
        run = replace(recipe, schedule=seeded)
        place = folder / f"execution-{execution}"
        best = 0.0
        for epoch in iterate_epochs(run, data, place, validate=validate):
            done, seconds = done + 1, seconds + epoch.seconds
            if done > progress_of(before)[0]:
                note_progress(trial, epochs=done, seconds=seconds)
            accuracy = epoch.metrics["val_accuracy"]
            best = max(best, accuracy) if epoch.side == full else best
            if execution == 0 and reached <= epoch.number < last:
                if epoch.number > reached:
                    trial.report(accuracy, epoch.number)
                if trial.should_prune():
                    return None
        values.append(best)
    return sum(values) / len(values)
