"""The training loop: `fit` yields one record an epoch; logging and search are loops around it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
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
from classpulse.lab.train.losses import multi_head_loss
from classpulse.lab.train.mixing import mix_batch
from classpulse.lab.train.optim import build_optimizer, set_lr
from classpulse.lab.train.rate import Rate
from classpulse.lab.train.stopping import EarlyStopping

NORM_BATCH = 256  # faces of a batch when batch-norm statistics are estimated anew

Validate = Callable[[nn.Module, int], dict[str, float]]
"""(network, side in pixels) -> metrics, for example {"val_loss": 1.1, "emotion": 0.69}."""


@dataclass(frozen=True, slots=True)
class Training:
    """What a network learns from.

    Args:
        x: (n, c, h, w) float32 prepared faces.
        targets: head -> (n, k) soft targets, zero rows where a head has no label.
        class_weights: head -> (k,) factors in the loss, for heads that are balanced that way.
        sampled: (n,) int64 labels by which every epoch draws its rows in balance; None draws a
            permutation of all rows.
    """

    x: Tensor
    targets: Mapping[str, Tensor]
    class_weights: Mapping[str, Tensor] = field(default_factory=dict)
    sampled: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch.

    Args:
        number: from 1.
        side: of the faces, in pixels.
        loss: mean over the steps.
        lr: learning rate at its end.
        seconds: with validation and checkpoint.
        metrics: of `validate`.
        model: what was validated: the network in training, or the average of its weights.
    """

    number: int
    side: int
    loss: float
    lr: float
    seconds: float
    metrics: dict[str, float]
    model: nn.Module


@dataclass(slots=True)
class _Run:
    """What changes while a run goes on; all of it is in the checkpoint."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    rate: Rate
    average: WeightAverage
    stop: EarlyStopping
    generator: torch.Generator

    def parts(self) -> dict[str, Any]:
        """Everything with a `state_dict`."""
        names = ("model", "optimizer", "rate", "average", "stop")
        return {name: getattr(self, name) for name in names}


def fit(
    model: nn.Module, data: Training, recipe: Recipe, checkpoint: Path, *, validate: Validate
) -> Iterator[Epoch]:
    """Train `model`, yielding after every epoch; resume from `checkpoint` where it exists.

    Args:
        model: returns {head: logits (b, k)}; changed in place.
        data: faces and targets.
        recipe: optimizer, learning rate, loss, schedule, augmentation and head weights.
        checkpoint: file written atomically after every epoch, so that an interrupted run goes on
            as if it had not been.
        validate: asked after every epoch, before the checkpoint is written: a plateau and early
            stopping listen to what it says.

    Raises:
        InputError: there are fewer rows than one batch, or a metric that the recipe listens to is
            not among those of `validate`.
    """
    plan = recipe.schedule
    rows = len(data.x) if data.sampled is None else int((data.sampled >= 0).sum())
    if rows < plan.batch:
        raise InputError(f"{rows} pictures are fewer than one batch of {plan.batch}")
    torch.manual_seed(plan.seed)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 11 % faster here, LOG 2026-11-22
    run = _Run(
        model,
        build_optimizer(recipe.optimizer.settings, model),
        recipe.rate.settings.start(plan.epochs),
        WeightAverage(recipe.averaging, model),
        EarlyStopping(recipe.stopping),
        torch.Generator().manual_seed(plan.seed),
    )
    for number in range(_resume(checkpoint, run) + 1, plan.epochs + 1):
        if run.stop.stopped:
            return
        start, side = time.perf_counter(), plan.side_at(number)
        loss, lr = _train_epoch(run, data, recipe, number), run.rate.lr_at(number)
        scored = _average(run, data, recipe, number)
        metrics = validate(scored, side)
        run.rate.update(metrics)
        if recipe.stopping.patience or recipe.stopping.restore_best:
            run.stop.update(metrics, scored)
        _save(checkpoint, run, number)
        yield Epoch(number, side, loss, lr, time.perf_counter() - start, metrics, scored)


def _train_epoch(run: _Run, data: Training, recipe: Recipe, number: int) -> float:
    run.model.train()
    plan, how = recipe.schedule, recipe.averaging
    averaged = how.each == "step" and _is_averaged(recipe, number)
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
        if averaged:
            run.average.update(run.model)
        total += loss.item()
    return total / steps


def _draw_order(data: Training, generator: torch.Generator) -> Tensor:
    """(m,) int64 rows of one epoch, in order."""
    if data.sampled is None:
        return torch.randperm(len(data.x), generator=generator)
    return draw_balanced(data.sampled, generator)


def _is_averaged(recipe: Recipe, number: int) -> bool:
    how = recipe.averaging
    return how.decay > 0 and number >= how.begins(recipe.schedule.epochs)


def _average(run: _Run, data: Training, recipe: Recipe, number: int) -> nn.Module:
    """What counts after this epoch: the network itself, or the average with fitting statistics."""
    if not _is_averaged(recipe, number):
        return run.model
    if recipe.averaging.each == "epoch":
        run.average.update(run.model)
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


def _save(path: Path, run: _Run, epoch: int) -> None:
    state = {name: part.state_dict() for name, part in run.parts().items()}
    state |= {"epoch": epoch, "augment": run.generator.get_state()}
    state |= {"dropout": torch.get_rng_state()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


_UNUSABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, UnpicklingError)


def _resume(path: Path, run: _Run) -> int:
    """Load the checkpoint into the run and return its epoch; 0 when there is none.

    Raises:
        InputError: it is damaged, or of another recipe or version.
    """
    if not path.exists():
        return 0
    try:
        state = torch.load(path, weights_only=True)
        for name, part in run.parts().items():
            part.load_state_dict(state[name])
    except _UNUSABLE as error:
        first = (str(error).splitlines() or [repr(error)])[0][:80]
        raise InputError(
            f"cannot go on from {path} ({type(error).__name__}: {first}): it is damaged, or of "
            "another recipe; give another --run, or delete it and begin anew"
        ) from None
    run.generator.set_state(state["augment"])
    torch.set_rng_state(state["dropout"])
    return int(state["epoch"])
