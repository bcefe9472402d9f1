"""Hogwild: workers step on the same weights in shared memory without any lock.

Niu, Recht, Re and Wright 2011, algorithm 1. The state of the optimizer (momentum, second moments)
is shared without a lock too, as Mnih et al. 2016 found better for RMSprop. Two workers that write
the same weight at once lose one of the changes; where gradients are dense, as they are here, the
paper's bounds do not hold, and what happens is measured instead.
"""

import copy
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from classpulse.lab.recipe import Recipe
from classpulse.lab.train.epoch import Trained
from classpulse.lab.train.loop import (
    OnTrainStep,
    RunState,
    Share,
    Training,
    draw_share,
    train_steps,
)
from classpulse.lab.train.optim import build_optimizer, set_lr
from classpulse.lab.train.parallel.arena import (
    Arena,
    ArenaKey,
    Tensors,
    place_weights,
    weights_of,
)
from classpulse.lab.train.parallel.costs import Costs
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.parallel.setup import Setup, pack_setup, seed_worker, unpack_setup
from classpulse.lab.train.parallel.team import Link, Team

CLOCK = "clock"  # updates by all workers so far, counted without a lock
STATE = "state of the optimizer"


@dataclass(frozen=True, slots=True)
class Report:
    """A step that is done.

    Args:
        loss: of its batch.
        age: updates by others between reading the weights and changing them.
        seconds: of processor time.
    """

    loss: float
    age: int
    seconds: float


class Hogwild:
    """Trains an epoch with a team on shared weights; `fit` calls it."""

    def __init__(self, how: Parallel, team: Team, arena: Arena) -> None:
        self._how, self._team, self._arena = how, team, arena
        self._placed = False

    def __call__(
        self,
        run: RunState,
        data: Training,
        recipe: Recipe,
        number: int,
        on_step: OnTrainStep | None,
    ) -> Trained:
        if not self._placed:
            self._place(run)
        share = draw_share(run, data, recipe, number)
        start, steps = time.perf_counter(), len(share.batches)
        for rank in self._team.ranks:
            every = slice(rank, None, self._how.workers)
            self._team.send(rank, Share(number, share.batches[every].clone(), share.rates[every]))
        total = seconds = 0.0
        ages: Counter[int] = Counter()
        for done in range(1, steps + 1):
            report: Report = self._team.receive()[1]
            run.average_in(recipe, number, after="step")
            total, seconds = total + report.loss, seconds + report.seconds
            ages[report.age] += 1
            if on_step is not None:
                on_step(number, done, steps)
        run.average_in(recipe, number, after="epoch")
        set_lr(run.optimizer, share.rates[-1])  # as if the steps had been taken here
        costs = Costs(
            scheme="hogwild",
            workers=self._how.workers,
            steps=steps,
            step_seconds=(time.perf_counter() - start) / steps,
            compute_seconds=seconds / steps,
            staleness=dict(ages),
        )
        return Trained(total / steps, costs.plain())

    def _place(self, run: RunState) -> None:
        """Move weights and optimizer of the run into the shared memory."""
        begin_state(run.optimizer)
        tensors = self._arena.tensors
        for name, tensor in (weights_of(run.model) | state_of(run.optimizer)).items():
            tensors[name].copy_(tensor.detach())
        place_weights(run.model, tensors)
        place_state(run.optimizer, tensors)
        self._placed = True


@contextmanager
def open_hogwild(
    model: nn.Module, data: Training, recipe: Recipe, how: Parallel
) -> Iterator[Hogwild]:
    """Workers on shared weights.

    Raises:
        InputError: the shared memory is too small.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(recipe.optimizer.settings, model)
    begin_state(optimizer)
    clock = {CLOCK: torch.zeros((), dtype=torch.int64)}
    arena = Arena.of(weights_of(model) | state_of(optimizer) | clock)
    try:
        with (
            pack_setup(model, data, recipe) as setup,
            Team(serve_steps, (setup, arena.key), how, ranks=range(how.workers)) as team,
        ):
            yield Hogwild(how, team, arena)
    finally:
        arena.close()


def serve_steps(link: Link, rank: int, shared: tuple[Setup, ArenaKey]) -> None:
    """A worker: take the steps of the shares that come over the link."""
    setup, key = shared
    recipe = setup.recipe
    model, data, (tensors,) = unpack_setup(setup, key)
    place_weights(model, tensors)
    optimizer = build_optimizer(recipe.optimizer.settings, model)
    begin_state(optimizer)
    place_state(optimizer, tensors)
    generator, clock = torch.Generator(), tensors[CLOCK]
    while True:
        share: Share = link.receive()
        seed_worker(generator, seed=recipe.schedule.seed, number=share.number, rank=rank)
        seen, start = int(clock), time.thread_time()
        for loss in train_steps(model, optimizer, data, recipe, share, generator=generator):
            age = int(clock) - seen
            clock += 1
            link.send(Report(loss, age, time.thread_time() - start))
            seen, start = int(clock), time.thread_time()


def begin_state(optimizer: torch.optim.Optimizer) -> None:
    """Give an optimizer that has taken no step the state it would begin its first step with.

    torch makes it in the first step, which is too late to share it. All optimizers of
    `OPTIMIZERS` begin with zeros.
    """
    if optimizer.state:
        return
    twin = copy.deepcopy(optimizer)
    set_lr(twin, 0.0)
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    twin.step()
    for own, other in zip(_parameters(optimizer), _parameters(twin), strict=True):
        optimizer.state[own] = {
            name: torch.zeros_like(value) if isinstance(value, Tensor) else value
            for name, value in twin.state[other].items()
        }


def state_of(optimizer: torch.optim.Optimizer) -> Tensors:
    """The tensors of an optimizer's state by name."""
    return {
        f"{STATE} {i} {name}": value
        for i, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state[parameter].items()
        if isinstance(value, Tensor)
    }


def place_state(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Let an optimizer work on these tensors, named as `state_of` does, instead of its own."""
    for i, parameter in enumerate(_parameters(optimizer)):
        for name in optimizer.state[parameter]:
            shared = tensors.get(f"{STATE} {i} {name}")
            if shared is not None:
                optimizer.state[parameter][name] = shared


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
