"""Open a scheme by its settings: workers for one training, given to `fit` as its `train_one`."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import distributed, nn

from classpulse.core.errors import InputError, WorkerError
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.epoch import Trained
from classpulse.lab.train.loop import OnTrainStep, RunState, TrainEpoch, Training
from classpulse.lab.train.parallel.ddp import (
    Ddp,
    GroupSetup,
    Job,
    follow,
    hear_group,
    join_group,
    serve_ddp,
    tell_group,
)
from classpulse.lab.train.parallel.hogwild import open_hogwild
from classpulse.lab.train.parallel.server import open_server
from classpulse.lab.train.parallel.settings import Parallel, own_rank, under_torchrun
from classpulse.lab.train.parallel.setup import pack_setup
from classpulse.lab.train.parallel.team import Team, is_lost_peer


@contextmanager
def open_scheme(
    how: Parallel | None, model: nn.Module, data: Training, recipe: Recipe
) -> Iterator[TrainEpoch | None]:
    """Workers that train `model` with this process, as long as the block lasts; None for none.

    Raises:
        InputError: the batch cannot be shared evenly, the shared memory is too small, the recipe
            has two networks, or it climbs and the scheme is not in step.
        WorkerError: a worker fails or is killed while it is at work.
    """
    if how is None:
        yield None
        return
    _check(how, recipe)
    if recipe.sharpness is not None and how.scheme != "ddp":
        raise InputError(
            f"[sharpness] climbs in weights that {how.scheme} shares with others at work: train "
            "with ddp or alone"
        )
    with _OPENERS[how.scheme](model, data, recipe, how) as train_one:
        yield train_one


def follow_group(model: nn.Module, data: Training, recipe: Recipe, how: Parallel) -> None:
    """Be one of torchrun's other workers, until the first one is done.

    Raises:
        InputError: the batch cannot be shared evenly, or the recipe has two networks.
        WorkerError: another worker is gone.
    """
    _check(how, recipe)
    rank = own_rank()
    with _in_group(how, rank), _threads(how.threads), _lost_peers_named(None):
        follow(model, data, recipe, how, rank, hear_group)


def _check(how: Parallel, recipe: Recipe) -> None:
    how.check_batch(recipe.schedule.batch)
    if recipe.coteach is not None:
        raise InputError(
            "[coteach] chooses among the rows of a whole batch, and workers have parts of it: "
            "train alone"
        )


@contextmanager
def _open_ddp(
    model: nn.Module, data: Training, recipe: Recipe, how: Parallel
) -> Iterator[TrainEpoch]:
    """Under torchrun with the others that it started, else with others that are spawned here."""
    if under_torchrun():
        with _in_group(how, 0):
            yield _careful(Ddp(how, tell_group), how, None)
            tell_group(None)
        return
    with ExitStack() as owned:
        folder = owned.enter_context(tempfile.TemporaryDirectory(prefix="classpulse-"))
        setup = owned.enter_context(pack_setup(model, data, recipe))
        group = GroupSetup(setup, how, Path(folder) / "store")
        team = owned.enter_context(Team(serve_ddp, group, how, ranks=range(1, how.workers)))
        for _ in team.ranks:
            team.receive()  # each says that it is there: whoever dies before that is noticed
        owned.enter_context(_in_group(how, 0, store=group.store))

        def tell(job: Job) -> None:
            for rank in team.ranks:
                team.send(rank, job)

        yield _careful(Ddp(how, tell), how, team)


@contextmanager
def _open_async(
    model: nn.Module, data: Training, recipe: Recipe, how: Parallel
) -> Iterator[TrainEpoch]:
    with open_server(model, data, recipe, how) as server:
        yield _careful(server, how, None)


@contextmanager
def _open_hogwild(
    model: nn.Module, data: Training, recipe: Recipe, how: Parallel
) -> Iterator[TrainEpoch]:
    with open_hogwild(model, data, recipe, how) as hogwild:
        yield _careful(hogwild, how, None)


_OPENERS = {"ddp": _open_ddp, "async": _open_async, "hogwild": _open_hogwild}


def _careful(train_one: TrainEpoch, how: Parallel, team: Team | None) -> TrainEpoch:
    """The same with the threads of a worker; validation, when the others rest, may use all."""

    def train(
        run: RunState, data: Training, recipe: Recipe, number: int, on_step: OnTrainStep | None
    ) -> Trained:
        with _threads(how.threads), _lost_peers_named(team):
            return train_one(run, data, recipe, number, on_step)

    return train


@contextmanager
def _in_group(how: Parallel, rank: int, *, store: Path | None = None) -> Iterator[None]:
    join_group(how, rank, store=store)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def _lost_peers_named(team: Team | None) -> Iterator[None]:
    """Make what torch says of a lost worker one clear error."""
    try:
        yield
    except RuntimeError as error:
        if not is_lost_peer(error):
            raise
        if team is not None:
            team.fail()
        raise WorkerError("another worker is gone: go on with --resume") from None


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
