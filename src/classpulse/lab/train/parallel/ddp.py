"""Synchronous data parallel training: every batch is split, gradients are averaged before the step.

Equation 8 of the parallel paper with all workers in step. With workers of b rows each, a step is
that of one worker with all the rows, but for rounding, where nothing depends on the other rows of a
batch: batch normalization takes the statistics of a worker's own rows, mixing its own partners,
and a row without a label makes the others of its worker count more.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from classpulse.core.errors import InputError
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
    train_steps,
)
from classpulse.lab.train.optim import build_optimizer
from classpulse.lab.train.parallel.arena import moving_of
from classpulse.lab.train.parallel.compress import COMPRESSIONS, Exchange, Keeping, run_hook
from classpulse.lab.train.parallel.costs import Costs
from classpulse.lab.train.parallel.kept import gather_kept, hand_out_kept
from classpulse.lab.train.parallel.settings import Parallel
from classpulse.lab.train.parallel.setup import Setup, seed_worker, unpack_setup
from classpulse.lab.train.parallel.team import Link


@dataclass(frozen=True, slots=True)
class Job:
    """An epoch, for the others: the whole of it, of which each takes its columns.

    Args:
        share: of all workers together.
        optimizer: state to begin with, in the first job of a process.
    """

    share: Share
    optimizer: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class GroupSetup:
    """For the workers that the command spawns: the setup, and where they meet."""

    setup: Setup
    how: Parallel
    store: Path


class Replica:
    """One worker's copy of the network, with those of the others behind it.

    To be built by all of them at once: it waits for the others.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, how: Parallel, rank: int
    ) -> None:
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        self.exchange: Exchange = COMPRESSIONS.get(how.compress)(trained)
        if self.exchange.plain_layout:
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.model, self.optimizer, self._rank, self._how = model, optimizer, rank, how
        size = sum(weight.nbytes for weight in trained) / 2**20
        self._parallel = DistributedDataParallel(
            model,
            forward_sync_buffers=False,
            bucket_cap_mb=size + 1 if self.exchange.one_bucket else None,
        )
        self._parallel.register_comm_hook(self.exchange, run_hook)

    def go_on(
        self, data: Training, recipe: Recipe, share: Share, kept: Mapping[str, Any] | None
    ) -> None:
        """Before the first epoch: take up what the workers kept, which the first one has.

        Args:
            kept: as `hand_out_kept` takes it.
        """
        if not isinstance(self.exchange, Keeping):
            return
        state = hand_out_kept(kept, self._how, self._rank, number=share.number)
        if state is not None:
            self._rehearse(data, recipe, share)
            self.exchange.load_state_dict(state)

    def gather(self) -> dict[str, Any]:
        """After an epoch: what all workers keep, at the first of them."""
        return gather_kept(self.exchange, self._how, self._rank)

    def _rehearse(self, data: Training, recipe: Recipe, share: Share) -> None:
        """A step that leaves no trace but in the order of torch's buckets.

        They follow the parameters until torch has seen the gradients come once, and what is kept
        fits those of after that.
        """
        model, rows, anyhow = self.model.train(), self._own(share)[0], torch.Generator()
        before = [buffer.clone() for buffer in model.buffers()]
        self.exchange.silent = True
        with torch.random.fork_rng(devices=[]), _strides_unmentioned():
            faces, wanted = draw_batch(data, recipe, rows, number=share.number, generator=anyhow)
            loss_of(model, faces, wanted, data, recipe, forward=self._parallel).backward()
        self.exchange.silent = False
        model.zero_grad(set_to_none=True)
        for buffer, old in zip(model.buffers(), before, strict=True):
            buffer.copy_(old)

    def _own(self, share: Share) -> Tensor:
        """(steps, b) rows of this worker."""
        rows = share.batches.shape[1] // self._how.workers
        return share.batches[:, self._rank * rows : (self._rank + 1) * rows]

    def train(
        self,
        data: Training,
        recipe: Recipe,
        share: Share,
        generator: torch.Generator,
        after_step: Callable[[int], None],
    ) -> tuple[float, float]:
        """This worker's part of an epoch: mean loss and processor seconds of a step, of all."""
        own = self._own(share)
        part = Share(share.number, own, share.rates)
        start, total = time.thread_time(), 0.0
        losses = train_steps(
            self.model,
            self.optimizer,
            data,
            recipe,
            part,
            generator=generator,
            forward=self._parallel,
        )
        with _strides_unmentioned():
            for done, loss in enumerate(losses, start=1):
                total += loss
                after_step(done)
        numbers = torch.tensor([total, time.thread_time() - start], dtype=torch.float64)
        loss, seconds = (_mean(numbers) / len(own)).tolist()
        for buffer in moving_of(self.model).values():
            buffer.copy_(_mean(buffer))
        return loss, seconds


class Ddp:
    """Trains an epoch as the first of several workers; `fit` calls it.

    Args:
        tell: gives a job to all others.
    """

    def __init__(self, how: Parallel, tell: Callable[[Job], None]) -> None:
        self._how, self._tell = how, tell
        self._replica: Replica | None = None

    def __call__(
        self,
        run: RunState,
        data: Training,
        recipe: Recipe,
        number: int,
        on_step: OnTrainStep | None,
    ) -> Trained:
        share, replica = draw_share(run, data, recipe, number), self._replica
        self._tell(Job(share, run.optimizer.state_dict() if replica is None else None))
        start, steps = time.perf_counter(), len(share.batches)
        if replica is None:
            self._replica = replica = Replica(run.model, run.optimizer, self._how, 0)
            replica.go_on(data, recipe, share, run.kept)
        sent = replica.exchange.sent

        def after_step(done: int) -> None:
            run.average_in(recipe, number, after="step")
            if on_step is not None:
                on_step(number, done, steps)

        loss, compute = replica.train(data, recipe, share, run.generator, after_step)
        run.average_in(recipe, number, after="epoch")
        costs = Costs(
            scheme="ddp",
            workers=self._how.workers,
            steps=steps,
            step_seconds=(time.perf_counter() - start) / steps,
            compute_seconds=compute,
            step_bytes=(replica.exchange.sent - sent) / steps,
        )
        return Trained(loss, costs.plain(), replica.gather())


def follow(
    model: nn.Module,
    data: Training,
    recipe: Recipe,
    how: Parallel,
    rank: int,
    hear: Callable[[], Job | None],
) -> None:
    """Be one of the others until `hear` gives None: train the own part of every job."""
    replica, generator = None, torch.Generator()
    while (job := hear()) is not None:
        if replica is None:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            optimizer = build_optimizer(recipe.optimizer.settings, model)
            optimizer.load_state_dict(job.optimizer or optimizer.state_dict())
            replica = Replica(model, optimizer, how, rank)
            replica.go_on(data, recipe, job.share, None)
        seed, number = recipe.schedule.seed, job.share.number
        seed_worker(generator, seed=seed, number=number, rank=rank)
        replica.train(data, recipe, job.share, generator, lambda done: None)
        replica.gather()


def serve_ddp(link: Link, rank: int, group: GroupSetup) -> None:
    """A spawned worker: `follow` with the jobs that come over the link."""
    model, data, _ = unpack_setup(group.setup)
    link.send(rank)
    join_group(group.how, rank, store=group.store)
    follow(model, data, group.setup.recipe, group.how, rank, link.receive)


def join_group(how: Parallel, rank: int, *, store: Path | None = None) -> None:
    """Meet the other workers at a file, or where torchrun says.

    Raises:
        InputError: this process is in a group already.
    """
    if distributed.is_initialized():
        raise InputError(
            "this process already trains with 'ddp': finish or close that training first"
        )
    method = "env://" if store is None else f"file://{store}"
    distributed.init_process_group(
        "gloo",
        init_method=method,
        rank=rank,
        world_size=how.workers,
        timeout=timedelta(seconds=how.patience),
    )


def tell_group(job: Job | None) -> None:
    """Give a job to all others over the group itself, as torchrun's workers have no link."""
    distributed.broadcast_object_list([job])


def hear_group() -> Job | None:
    """The other side of `tell_group`."""
    heard: list[Any] = [None]
    distributed.broadcast_object_list(heard)
    return heard[0]


@contextmanager
def _strides_unmentioned() -> Iterator[None]:
    """Without torch's warning of kernels of 1 x 1 or of one channel, whose layout has two names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view")
        yield


def _mean(tensor: Tensor) -> Tensor:
    """Over the workers, in float64, so that the mean of equal numbers is that number."""
    wide = tensor.double()
    distributed.all_reduce(wide)
    return wide / distributed.get_world_size()
