"""The training loop: `fit` yields one record an epoch; logging and search are loops around it."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.errors import InputError
from classpulse.lab.data.balance import draw_balanced
from classpulse.lab.models.base import l2_penalty
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.augment import augment_batch, shrink
from classpulse.lab.train.average import WeightAverage, update_norms
from classpulse.lab.train.checkpoint import load_checkpoint, save_checkpoint
from classpulse.lab.train.epoch import Epoch, Numbers, Resumed
from classpulse.lab.train.losses import multi_head_loss
from classpulse.lab.train.mixing import mix_batch
from classpulse.lab.train.optim import build_optimizer, set_lr
from classpulse.lab.train.rate import Rate
from classpulse.lab.train.stopping import EarlyStopping

NORM_BATCH = 256  # faces of a batch when batch-norm statistics are estimated anew

Validate = Callable[[nn.Module, int], dict[str, float]]
"""(network, side in pixels) -> metrics, for example {"val_loss": 1.1, "emotion": 0.69}."""

OnTrainStep = Callable[[int, int, int], None]
"""Called with the epoch from 1, the steps of it that are done, and all its steps."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a network learns from.

    Args:
        x: (n, c, h, w) float32 prepared faces.
        targets: head -> (n, k) soft targets, zero rows where a head has no label.
        class_weights: head -> (k,) factors in the loss, for heads that are balanced that way.
        sampled: (n,) int64 labels by which every epoch draws its rows in balance, or (s, n) for an
            epoch of s such draws together; None draws a permutation of all rows.
    """

    x: Tensor
    targets: Mapping[str, Tensor]
    class_weights: Mapping[str, Tensor] = field(default_factory=dict)
    sampled: NDArray[np.int64] | None = None


@dataclass(slots=True)
class _Run:
    """What changes while a run goes on; all of it is in the checkpoint."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    rate: Rate
    average: WeightAverage
    stop: EarlyStopping
    generator: torch.Generator
    history: list[Numbers] = field(default_factory=list)

    def parts(self) -> dict[str, Any]:
        """Everything with a `state_dict`."""
        names = ("model", "optimizer", "rate", "average", "stop")
        return {name: getattr(self, name) for name in names}


def fit(
    model: nn.Module,
    data: Training,
    recipe: Recipe,
    checkpoint: Path,
    *,
    validate: Validate,
    on_step: OnTrainStep | None = None,
    on_resume: Callable[[Resumed], None] | None = None,
) -> Iterator[Epoch]:
    """Train `model`, yielding after every epoch; resume from `checkpoint` where it exists.

    Args:
        model: returns {head: logits (b, k)}; changed in place.
        data: faces and targets.
        recipe: optimizer, learning rate, loss, schedule, augmentation and head weights.
        checkpoint: file written atomically after every epoch, so that an interrupted run goes on
            as if it had not been. What the caller writes after the yield may be lost to a kill:
            `on_resume` has all it takes to write it again.
        validate: asked after every epoch, before the checkpoint is written: a plateau and early
            stopping listen to what it says.
        on_step: called after every step.
        on_resume: called once, before any training, if there is a checkpoint.

    Raises:
        InputError: there are fewer rows than one batch, or a metric that the recipe listens to is
            not among those of `validate`.
    """
    plan = recipe.schedule
    rows = len(data.x) if data.sampled is None else int((data.sampled >= 0).sum())
    if rows < plan.batch:
        raise InputError(f"{rows} pictures are fewer than one batch of {plan.batch}")
    run = _begin(model, recipe)
    done, run.history = load_checkpoint(checkpoint, run.parts(), generator=run.generator)
    if done and on_resume is not None:
        network = partial(_scored, run, data, recipe, done)
        on_resume(Resumed(done, tuple(run.history), network))
    for number in range(done + 1, plan.epochs + 1):
        if run.stop.stopped:
            return
        start, side = time.perf_counter(), plan.side_at(number)
        loss = _train_epoch(run, data, recipe, number, on_step)
        lr, scored = run.rate.lr_at(number), _scored(run, data, recipe, number)
        metrics = validate(scored, side)
        run.rate.update(metrics)
        if recipe.stopping.patience or recipe.stopping.restore_best:
            run.stop.update(metrics, scored)
        epoch = Epoch(number, side, loss, lr, time.perf_counter() - start, metrics, scored)
        run.history.append(epoch.numbers())
        parts, history = run.parts(), run.history
        save_checkpoint(checkpoint, parts, epoch=number, history=history, generator=run.generator)
        dropout = torch.get_rng_state()
        yield epoch
        torch.set_rng_state(dropout)  # whatever the caller drew meanwhile


def _begin(model: nn.Module, recipe: Recipe) -> _Run:
    """A run before its first epoch, all random states set to the seed."""
    plan = recipe.schedule
    torch.manual_seed(plan.seed)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 11 % faster here, LOG 2026-11-22
    return _Run(
        model,
        build_optimizer(recipe.optimizer.settings, model),
        recipe.rate.settings.start(plan.epochs),
        WeightAverage(recipe.averaging, model),
        EarlyStopping(recipe.stopping),
        torch.Generator().manual_seed(plan.seed),
    )


def _train_epoch(
    run: _Run, data: Training, recipe: Recipe, number: int, on_step: OnTrainStep | None
) -> float:
    """Mean loss over the steps of one epoch; the average, if any, is brought up to its end."""
    run.model.train()
    plan, how = recipe.schedule, recipe.averaging
    averaged = _is_averaged(recipe, number)
    order = _draw_order(data, run.generator)
    steps = len(order) // plan.batch
    total = 0.0
    for step in range(steps):
        set_lr(run.optimizer, run.rate.lr_at(number - 1 + step / steps))
        rows = order[step * plan.batch : (step + 1) * plan.batch]
        faces = augment_batch(data.x[rows], recipe.augment, plan.side_at(number), run.generator)
        wanted = {head: t[rows] for head, t in data.targets.items()}
        faces, wanted = mix_batch(faces, wanted, recipe.augment, run.generator)
        with half_precision():
            logits = run.model(faces.contiguous(memory_format=torch.channels_last))
        loss = multi_head_loss(
            logits,
            wanted,
            recipe.heads,
            loss=recipe.loss.settings,
            class_weights=data.class_weights,
        ) + l2_penalty(run.model)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        run.optimizer.step()
        if averaged and how.each == "step":
            run.average.update(run.model)
        total += loss.item()
        if on_step is not None:
            on_step(number, step + 1, steps)
    if averaged and how.each == "epoch":
        run.average.update(run.model)
    return total / steps


def _draw_order(data: Training, generator: torch.Generator) -> Tensor:
    """(m,) int64 rows of one epoch, in order."""
    if data.sampled is None:
        return torch.randperm(len(data.x), generator=generator)
    drawn = [draw_balanced(labels, generator) for labels in np.atleast_2d(data.sampled)]
    if len(drawn) == 1:
        return drawn[0]
    together = torch.cat(drawn)
    return together[torch.randperm(len(together), generator=generator)]


def _is_averaged(recipe: Recipe, number: int) -> bool:
    how = recipe.averaging
    return how.decay > 0 and number >= how.begins(recipe.schedule.epochs)


def _scored(run: _Run, data: Training, recipe: Recipe, number: int) -> nn.Module:
    """What counts after this epoch: the network itself, or the average with fitting statistics.

    Draws no random number, so that it can be made again from a checkpoint.
    """
    if not _is_averaged(recipe, number):
        return run.model
    scored = run.average.apply(run.model)
    if recipe.averaging.norms == "estimate":
        side = recipe.schedule.side_at(number)
        chunks = data.x.split(NORM_BATCH)
        update_norms(scored, (shrink(chunk, side) for chunk in chunks if len(chunk) > 1))
    return scored


def half_precision() -> torch.autocast:
    """bfloat16 autocast where the processor computes in it, else float32.

    bf16 doubles the speed on a processor with AVX-512 BF16 or AMX; where it is emulated it runs
    at 0.37 of float32 (LOG 2026-11-22), so the processor decides, not the recipe.
    """
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=native)
