"""Training texts as numbers, and the steps of an epoch on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.errors import InputError
from classpulse.lab.models.text_base import TextModel
from classpulse.lab.text.heads import disagreement, hint_distance, text_loss
from classpulse.lab.text.recipe import TextRecipe
from classpulse.lab.train.average import WeightAverage
from classpulse.lab.train.epoch import Trained
from classpulse.lab.train.loop import OnTrainStep, RunState
from classpulse.lab.train.optim import Groups, parameter_groups, set_lr
from classpulse.lab.train.precision import half_precision
from classpulse.lab.train.stopping import EarlyStopping
from classpulse.text.encode import pad_batch

POOL = 32  # batches that are sorted by length together: little padding, and order stays random
VALID_BATCH = 64

Encoded = Sequence[NDArray[np.int64]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TextTraining:
    """What a network learns from.

    Args:
        encoded: n texts as token numbers.
        targets: head -> (n, k) float32, zeros where a row has no label.
        own: (n,) bool, rows of every epoch; of the others so many are drawn as the recipe says.
        hints: (n, w) vectors to tell, zeros where a row has none; None without hints.
        pad, hidden: numbers of the tokens that fill a batch and that stand for a hidden one.
    """

    encoded: Encoded
    targets: Mapping[str, Tensor]
    own: Tensor
    pad: int
    hidden: int
    hints: Tensor | None = None


def begin(model: TextModel, recipe: TextRecipe) -> RunState:
    """A run before its first epoch, all random states set to its `noise_seed`, or to its seed."""
    plan = recipe.schedule
    seed = plan.seed if plan.noise_seed is None else plan.noise_seed
    torch.manual_seed(seed)
    return RunState(
        model,
        recipe.optimizer.settings.build(text_groups(model, recipe)),
        recipe.rate.settings.start(plan.epochs),
        WeightAverage(recipe.averaging, model),
        EarlyStopping(recipe.stopping),
        torch.Generator().manual_seed(seed),
    )


def text_groups(model: TextModel, recipe: TextRecipe) -> Groups:
    """The optimizer's groups: reader and heads, then the token source at its own learning rate."""
    decay = recipe.optimizer.settings.weight_decay
    fast = [model.reader, model.heads, *([] if model.hint is None else [model.hint])]
    groups = parameter_groups(nn.ModuleList(fast), weight_decay=decay)
    if model.tokens.tuned:
        slow = parameter_groups(model.tokens, weight_decay=decay)
        groups += [group | {"scale": recipe.schedule.encoder_rate} for group in slow]
    return groups


def train_epoch(
    run: RunState,
    data: TextTraining,
    recipe: TextRecipe,
    number: int,
    on_step: OnTrainStep | None = None,
) -> Trained:
    """Train one epoch, counted from 1; the average, if any, is brought up to its end."""
    run.model.train()
    batches = draw_batches(data, recipe, run.generator)
    total = 0.0
    for step, rows in enumerate(batches):
        set_lr(run.optimizer, run.rate.lr_at(number - 1 + step / len(batches)))
        total += take_step(run, data, recipe, rows)
        if _averages(recipe, number, after="step"):
            run.average.update(run.model)
        if on_step is not None:
            on_step(number, step + 1, len(batches))
    if _averages(recipe, number, after="epoch"):
        run.average.update(run.model)
    return Trained(total / len(batches))


def scored(run: RunState, recipe: TextRecipe, number: int) -> nn.Module:
    """What counts after this epoch: the network itself, or the average of its weights."""
    if any(_averages(recipe, number, after=each) for each in ("step", "epoch")):
        return run.average.apply(run.model)
    return run.model


def draw_batches(
    data: TextTraining, recipe: TextRecipe, generator: torch.Generator
) -> list[Tensor]:
    """Rows of every batch of an epoch: drawn at random, then of like length, in random order.

    Raises:
        InputError: there are fewer rows than one batch.
    """
    size = recipe.schedule.batch
    own, others = torch.nonzero(data.own).flatten(), torch.nonzero(~data.own).flatten()
    if recipe.data.extra_rows:
        drawn = torch.randperm(len(others), generator=generator)
        others = others[drawn[: recipe.data.extra_rows]]
    rows = torch.cat([own, others])
    if len(rows) < size:
        raise InputError(f"{len(rows)} texts are fewer than one batch of {size}")
    rows = rows[torch.randperm(len(rows), generator=generator)]
    lengths = torch.tensor([len(data.encoded[row]) for row in rows])
    batches: list[Tensor] = []
    for start in range(0, len(rows), size * POOL):
        order = start + torch.argsort(lengths[start : start + size * POOL], stable=True)
        batches += [rows[part] for part in order.split(size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def take_step(run: RunState, data: TextTraining, recipe: TextRecipe, rows: Tensor) -> float:
    """One step of the optimizer on these rows (b,); gives the loss."""
    plan, model = recipe.schedule, run.model
    assert isinstance(model, TextModel)
    batch = pad_batch(data.encoded, rows.numpy(), pad=data.pad)
    ids, mask = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
    if plan.word_dropout:
        drawn = torch.rand(ids.shape, generator=run.generator) < plan.word_dropout
        ids = ids.masked_fill(drawn & (mask > 0), data.hidden)
    targets = {head: t[rows] for head, t in data.targets.items()}
    loss = torch.zeros(())
    passes: list[dict[str, Tensor]] = []
    for _ in range(2 if plan.consistency else 1):
        with half_precision():
            z = model.read(ids, mask)
            logits = model.answer(z)
            told = None if model.hint is None else model.hint(z)
        passes.append({head: values.float() for head, values in logits.items()})
        loss = loss + text_loss(passes[-1], targets, recipe.heads, loss=recipe.loss.settings)
        if told is not None and data.hints is not None and recipe.hint is not None:
            loss = loss + recipe.hint.weight * hint_distance(told, data.hints[rows])
    loss = loss / len(passes)
    if plan.consistency:
        loss = loss + plan.consistency * disagreement(passes[0], passes[1], recipe.heads)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if plan.clip:
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), plan.clip)
    run.optimizer.step()
    return loss.item()


def _averages(recipe: TextRecipe, number: int, *, after: str) -> bool:
    how = recipe.averaging
    begun = number >= how.begins(recipe.schedule.epochs)
    return how.decay > 0 and how.each == after and begun


def predict_logits(
    model: nn.Module, encoded: Encoded, *, pad: int, batch: int = VALID_BATCH
) -> dict[str, Tensor]:
    """Logits of every head in evaluation mode, {head: (n, k)} float32, in the order of texts."""
    rows: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {}
    for part, logits in _ask(model, model, encoded, pad, batch):
        rows.append(part)
        for head, values in logits.items():
            parts.setdefault(head, []).append(values.float())
    back = torch.argsort(torch.cat(rows))
    return {head: torch.cat(chunks)[back] for head, chunks in parts.items()}


def predict_vectors(
    model: TextModel, encoded: Encoded, *, pad: int, batch: int = VALID_BATCH
) -> Tensor:
    """What the heads read of every text in evaluation mode, (n, w) float32, in their order."""
    rows, parts = zip(*_ask(model, model.read, encoded, pad, batch), strict=True)
    return torch.cat([one.float() for one in parts])[torch.argsort(torch.cat(rows))]


def _ask(
    model: nn.Module, ask: Callable[[Tensor, Tensor], T], encoded: Encoded, pad: int, size: int
) -> Iterator[tuple[Tensor, T]]:
    model.eval()
    order = np.argsort([len(ids) for ids in encoded], kind="stable")
    with torch.inference_mode(), half_precision():
        for start in range(0, len(order), size):
            batch = pad_batch(encoded, order[start : start + size], pad=pad)
            yield (
                torch.from_numpy(batch.rows),
                ask(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)),
            )
