"""Asynchronous training with a parameter server: a gradient is applied when it comes.

The command is the server. Each worker computes the gradient of a whole batch with the weights it
last got; meanwhile others have changed them. A gradient that is older by s updates has staleness s,
and its step is taken with lr / max(s, 1): Zhang, Gupta, Lian and Liu 2016, "Staleness-aware
Async-SGD for Distributed Deep Learning", equation 4.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn

from classpulse.lab.recipe import Recipe
from classpulse.lab.train.epoch import Trained
from classpulse.lab.train.loop import (
    OnTrainStep,
    RunState,
    Share,
    Training,
    draw_batch,
    draw_share,
    loss_of,
)
from classpulse.lab.train.optim import set_lr
from classpulse.lab.train.parallel.arena import (
    Arena,
    ArenaKey,
    Tensors,
    moving_of,
    place_weights,
    weights_of,
)
from classpulse.lab.train.parallel.costs import Costs
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.parallel.setup import Setup, pack_setup, seed_worker, unpack_setup
from classpulse.lab.train.parallel.team import Link, Team


@dataclass(frozen=True, slots=True)
class ServedSetup:
    """The setup, and each worker's letter boxes."""

    setup: Setup
    weights: tuple[ArenaKey, ...]
    gradients: tuple[ArenaKey, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A batch, rows (b,) of epoch `number`, to be done with the weights in the letter box."""

    number: int
    rows: Tensor


@dataclass(frozen=True, slots=True)
class Answer:
    """The gradient is in the letter box; processor seconds it took."""

    loss: float
    seconds: float


def damp(lr: float, staleness: int) -> float:
    """The learning rate of a gradient that is `staleness` updates old."""
    return lr / max(staleness, 1)


class Server:
    """Trains an epoch with the gradients of a team; `fit` calls it."""

    def __init__(
        self, team: Team, weights: list[Tensors], gradients: list[Tensors], how: Parallel
    ) -> None:
        self._team, self._how = team, how
        self._weights, self._gradients = weights, gradients
        self._version = 0
        self._seen = [0] * how.workers
        self._ages: Counter[int] = Counter()
        self._seconds = self._busy = 0.0

    def __call__(
        self,
        run: RunState,
        data: Training,
        recipe: Recipe,
        number: int,
        on_step: OnTrainStep | None,
    ) -> Trained:
        share, total = draw_share(run, data, recipe, number), 0.0
        self._ages, self._seconds, self._busy = Counter(), 0.0, 0.0
        start, steps = time.perf_counter(), len(share.batches)
        for done, (rank, answer) in enumerate(self._gather(run.model, share), start=1):
            began = time.thread_time()
            self._update(run, rank, share.rates[done - 1])
            run.average_in(recipe, number, after="step")
            total += answer.loss
            self._seconds += answer.seconds
            self._busy += time.thread_time() - began
            if on_step is not None:
                on_step(number, done, steps)
        self._take_moving(run.model)
        run.average_in(recipe, number, after="epoch")
        return Trained(total / steps, self._costs(run, time.perf_counter() - start, steps).plain())

    def _gather(self, model: nn.Module, share: Share) -> Iterator[tuple[int, Answer]]:
        """Deal the batches out, and give every gradient that comes to the caller, to be applied."""
        tasks = iter(Task(share.number, rows.clone()) for rows in share.batches)
        waiting = 0
        for box in self._weights:
            for name, buffer in moving_of(model).items():
                box[name].copy_(buffer)
        for rank, task in zip(self._team.ranks, tasks, strict=False):
            self._send(model, rank, task)
            waiting += 1
        while waiting:
            rank, answer = self._team.receive()
            yield rank, answer
            waiting -= 1
            for task in islice(tasks, 1):
                self._send(model, rank, task)
                waiting += 1

    def _send(self, model: nn.Module, rank: int, task: Task) -> None:
        """Put the weights into a letter box, and say what to do with them."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                self._weights[rank][name].copy_(parameter)
        self._seen[rank] = self._version
        self._team.send(rank, task)

    def _update(self, run: RunState, rank: int, lr: float) -> None:
        """Take a step with the gradient in a letter box."""
        age = self._version - self._seen[rank]
        for name, parameter in run.model.named_parameters():
            parameter.grad = self._gradients[rank].get(name)
        set_lr(run.optimizer, damp(lr, age))
        run.optimizer.step()
        self._version += 1
        self._ages[age] += 1

    def _take_moving(self, model: nn.Module) -> None:
        """Take the mean of the workers' statistics, in float64: that of equal numbers is equal."""
        for name, buffer in moving_of(model).items():
            all_of_it = torch.stack([box[name].double() for box in self._weights])
            buffer.copy_(all_of_it.mean(dim=0))

    def _costs(self, run: RunState, seconds: float, steps: int) -> Costs:
        down = sum(p.nbytes for p in run.model.parameters())
        up = sum(p.nbytes for p in self._gradients[0].values())
        return Costs(
            scheme="async",
            workers=self._how.workers,
            steps=steps,
            step_seconds=seconds / steps,
            compute_seconds=self._seconds / steps,
            update_seconds=self._busy / steps,
            step_bytes=float(down + up),
            staleness=dict(self._ages),
        )


@contextmanager
def open_server(
    model: nn.Module, data: Training, recipe: Recipe, how: Parallel
) -> Iterator[Server]:
    """A server with its workers.

    Raises:
        InputError: the shared memory is too small.
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with ExitStack() as owned:
        weights = arenas(weights_of(model), how.workers, owned)
        gradients = arenas(trained, how.workers, owned)
        setup = owned.enter_context(pack_setup(model, data, recipe))
        served = ServedSetup(setup, _keys(weights), _keys(gradients))
        team = owned.enter_context(Team(serve_gradients, served, how, ranks=range(how.workers)))
        yield Server(team, [a.tensors for a in weights], [a.tensors for a in gradients], how)


def arenas(tensors: Mapping[str, Tensor], count: int, owned: ExitStack) -> list[Arena]:
    """One for each worker, freed with `owned` even if there is no room for the rest."""
    arenas = []
    for _ in range(count):
        arenas.append(Arena.of(tensors))
        owned.callback(arenas[-1].close)
    return arenas


def _keys(arenas: Sequence[Arena]) -> tuple[ArenaKey, ...]:
    return tuple(arena.key for arena in arenas)


def serve_gradients(link: Link, rank: int, served: ServedSetup) -> None:
    """A worker: compute gradients of the tasks that come over the link."""
    recipe = served.setup.recipe
    keys = served.weights[rank], served.gradients[rank]
    model, data, (weights, gradients) = unpack_setup(served.setup, *keys)
    place_weights(model, weights)
    for name, parameter in model.named_parameters():
        parameter.grad = gradients.get(name)
    generator, number = torch.Generator(), 0
    model.train()
    while True:
        task: Task = link.receive()
        if task.number != number:
            number = task.number
            seed_worker(generator, seed=recipe.schedule.seed, number=number, rank=rank)
        start = time.thread_time()
        for gradient in gradients.values():
            gradient.zero_()
        faces, wanted = draw_batch(data, recipe, task.rows, number=number, generator=generator)
        loss = loss_of(model, faces, wanted, data, recipe)
        loss.backward()
        link.send(Answer(loss.item(), time.thread_time() - start))
