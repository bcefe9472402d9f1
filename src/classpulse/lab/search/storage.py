"""The Optuna study of a run: a SQLite file that outlives its process. Optuna is imported here."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classpulse.core.errors import InputError, MissingExtraError
from classpulse.lab.search.records import COMPLETE, FAILED, PRUNED, TrialRecord

if TYPE_CHECKING:
    import optuna

NAME = "search"  # of the study; Hyperband draws a trial's bracket from it and the trial's number
STUDY = "study.db"
PROGRESS, WHY, RESUMED = "progress", "why", "resumed_at_epoch"  # user attributes of a trial


@contextmanager
def open_study(
    run: Path, *, epochs: int, prune: bool, min_epochs: int, reduction: int
) -> Iterator["optuna.Study"]:
    """The study in `run/study.db`, made if it is not there; it maximizes.

    Args:
        epochs, min_epochs, reduction: largest and smallest resource and eta of Hyperband (Li et
            al. 2018), counted in epochs; its brackets are asynchronous (Li et al. 2020).
        prune: else nothing is ever pruned.

    Raises:
        InputError: the file is no study.
    """
    optuna = import_optuna()
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import StaticPool

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    hyperband = optuna.pruners.HyperbandPruner(
        min_resource=min_epochs, max_resource=epochs, reduction_factor=reduction
    )
    path = run / STUDY
    # not a URL with the path in it: a ? in a folder's name would cut it short
    engine = {"creator": lambda: _connect(path), "poolclass": StaticPool}
    try:
        storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)
        study = optuna.create_study(
            study_name=NAME,
            storage=storage,
            pruner=hyperband if prune else optuna.pruners.NopPruner(),
            direction="maximize",
            load_if_exists=True,
        )
    except (SQLAlchemyError, sqlite3.Error) as error:
        first = str(error).splitlines()[0]
        raise InputError(
            f"{path} cannot be opened as a study ({first}): give another --run, or delete it and "
            "begin anew"
        ) from None
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _connect(path: Path) -> sqlite3.Connection:
    """Whole after a power cut, though perhaps without the last epoch, and without waiting for the
    disk several times an epoch: beside a training that writes checkpoints that took seconds."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def iterate_trials(study: "optuna.Study", *, trials: int, seed: int) -> Iterator["optuna.Trial"]:
    """Trials to run until `trials` have ended, first the one that a kill left running.

    That one goes on under its own number, with the values it drew and the epochs it reported: the
    study ends as if nobody had interrupted it. For that every trial has a sampler of its own, with
    a seed from its number (independent TPE, Bergstra et al. 2011; the first ten trials are drawn
    at random). A trial that dies twice without an epoch in between is marked failed, so that what
    kills the process cannot stop the study for ever.

    Args:
        seed: of the study.
    """
    optuna = import_optuna()
    running = optuna.trial.TrialState.RUNNING
    for left in study.get_trials(states=(running,)):
        study.sampler = _sampler(seed + left.number)
        # the one way to go on with a trial; `ask` only makes new ones
        trial = optuna.Trial(study, left._trial_id)
        done, _ = progress_of(left)
        if left.user_attrs.get(RESUMED) == done:
            fail_trial(study, trial, "killed twice without an epoch in between")
            continue
        trial.set_user_attr(RESUMED, done)
        yield trial
    while (begun := len(study.get_trials(deepcopy=False))) < trials:
        study.sampler = _sampler(seed + begun)
        yield study.ask()


def _sampler(seed: int) -> "optuna.samplers.TPESampler":
    # independent: a space with blocks that are there or not has no joint density to model
    return import_optuna().samplers.TPESampler(seed=seed, multivariate=False)


def note_progress(trial: "optuna.Trial", *, epochs: int, seconds: float) -> None:
    """Note how far a trial has come, over all its executions."""
    trial.set_user_attr(PROGRESS, {"epochs": epochs, "seconds": seconds})


def progress_of(trial: "optuna.trial.FrozenTrial") -> tuple[int, float]:
    """Epochs and seconds that a trial has behind it, over all its executions."""
    noted = trial.user_attrs.get(PROGRESS, {"epochs": 0, "seconds": 0.0})
    return int(noted["epochs"]), float(noted["seconds"])


def end_trial(study: "optuna.Study", trial: "optuna.Trial", *, value: float | None) -> None:
    """Record a trial as complete with its value, or as pruned without one."""
    state = import_optuna().trial.TrialState
    study.tell(trial.number, value, state=state.PRUNED if value is None else state.COMPLETE)


def fail_trial(study: "optuna.Study", trial: "optuna.Trial", why: str) -> None:
    """Record a trial as failed."""
    trial.set_user_attr(WHY, why)
    study.tell(trial.number, state=import_optuna().trial.TrialState.FAIL)


def read_records(study: "optuna.Study") -> list[TrialRecord]:
    """The trials that have ended, in order."""
    state = import_optuna().trial.TrialState
    words = {state.COMPLETE: COMPLETE, state.PRUNED: PRUNED, state.FAIL: FAILED}
    records = []
    for trial in study.trials:
        if trial.state in words:
            epochs, seconds = progress_of(trial)
            why = trial.user_attrs.get(WHY, "")
            record = TrialRecord(
                trial.number,
                dict(trial.params),
                trial.value,
                epochs,
                words[trial.state],
                seconds,
                why,
            )
            records.append(record)
    return records


def fixed_trial(params: Mapping[str, Any]) -> "optuna.trial.FixedTrial":
    """A trial that answers with known values, to build the recipe of one that has ended."""
    return import_optuna().trial.FixedTrial(dict(params))


def import_optuna() -> Any:
    """Optuna, or the line that installs it."""
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("searching", "lab") from None
    return optuna
