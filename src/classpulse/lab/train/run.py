"""Run a face recipe: data in, checkpoints and a log out, the best weights kept."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.lab.data.balance import BALANCINGS
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.models.base import FaceModel
from classpulse.lab.models.registry import build_model
from classpulse.lab.outputs import save_text
from classpulse.lab.recipe import Recipe, changed_keys, recipe_table
from classpulse.lab.train.augment import shrink
from classpulse.lab.train.loop import Epoch, Training, Validate, fit
from classpulse.lab.train.losses import multi_head_loss
from classpulse.lab.train.sources import load_parts
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels, soft_targets
from classpulse.vision.image import prepare


@dataclass(frozen=True, slots=True)
class EpochResult:
    """An `Epoch` with the validation accuracy of every head, and whether it is the best so far."""

    epoch: Epoch
    accuracy: dict[str, float]
    best: bool


def train_faces(
    recipe: Recipe, *, paths: Mapping[str, Path], votes: Path | None, out: Path, resume: bool
) -> Iterator[EpochResult]:
    """Train `recipe` on the training part of its split, validating on the validation part.

    Writes into `out`: `recipe.json` (resolved), `checkpoint.pt` (every epoch, resumable),
    `best.pt` (full-size weights with the best validation accuracy of the first head),
    `log.jsonl`.

    Args:
        paths, votes: as `load_parts` takes them.
        resume: go on with a run that is there; a new one is begun either way.

    Raises:
        InputError: the data files are missing or malformed, there is a run and `resume` is not
            set, or it is of another recipe.
    """
    _check_run(out, recipe, resume=resume)
    parts = load_parts(recipe, paths, votes)
    model = build_network(recipe)
    data = build_training(parts.train, recipe)
    out.mkdir(parents=True, exist_ok=True)
    save_text(json.dumps(recipe_table(recipe), indent=2), out / "recipe.json")
    full_side = recipe.input.height
    first = next(iter(recipe.heads))
    best = _best_so_far(out / "log.jsonl", head=first, full_side=full_side)
    validate = build_validation(parts.valid, recipe)
    for epoch in fit(model, data, recipe, out / "checkpoint.pt", validate=validate):
        accuracy = {head: epoch.metrics[head] for head in recipe.heads}
        better = epoch.side == full_side and accuracy[first] > best
        if better:
            best = accuracy[first]
            torch.save(epoch.model.state_dict(), out / "best.pt")
        row = {
            "number": epoch.number,
            "side": epoch.side,
            "loss": epoch.loss,
            "lr": epoch.lr,
            "seconds": epoch.seconds,
            "accuracy": accuracy,
            "val_loss": epoch.metrics["val_loss"],
        }
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        yield EpochResult(epoch, accuracy, better)


def _check_run(out: Path, recipe: Recipe, *, resume: bool) -> None:
    """Nothing there is overwritten or gone on from by mistake."""
    kept = out / "recipe.json"
    if not (out / "checkpoint.pt").exists():
        return
    if not resume:
        raise InputError(f"{out} has a run: go on with --resume, or give another --run")
    try:
        old = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
    except ValueError:
        old = None
    now = json.loads(json.dumps(recipe_table(recipe)))
    changed = changed_keys(old, now) if isinstance(old, dict) else []
    if changed:
        raise InputError(
            f"{out} was begun with another recipe ({', '.join(changed)}): give the same, another "
            f"--run, or delete {kept} to go on with this one"
        )


def build_training(train: FaceSet, recipe: Recipe) -> Training:
    """Faces and targets of a recipe, balanced by the labels of the set.

    Class weights hold for the heads that have the set's own label space.
    """
    balanced = BALANCINGS.get(recipe.balance)(train, seed=recipe.schedule.seed)
    smoothing = recipe.schedule.label_smoothing
    weighted = bool((balanced.class_weights != 1).any())
    weights = torch.from_numpy(balanced.class_weights)
    return Training(
        x=prepare_all(balanced.faces, recipe.input),
        targets=_targets(balanced.faces, recipe.heads, smoothing=smoothing),
        class_weights={
            head: weights
            for head in recipe.heads
            if weighted and HEAD_SPACES[head] == balanced.faces.space
        },
        sampled=balanced.faces.labels if balanced.sampled else None,
    )


def build_validation(valid: FaceSet, recipe: Recipe) -> Validate:
    """(network, side) -> accuracy by head, ``val_loss``, and ``val_accuracy`` of the first head."""
    x = prepare_all(valid, recipe.input)
    targets = _targets(valid, recipe.heads, smoothing=recipe.schedule.label_smoothing)
    truth = {head: hard_labels(valid, head) for head in recipe.heads}

    def validate(model: nn.Module, side: int) -> dict[str, float]:
        logits = predict_logits(model, shrink(x, side), flip=False)
        scores = {
            head: _accuracy(logits[head].argmax(dim=1).numpy(), labels)
            for head, labels in truth.items()
        }
        loss = multi_head_loss(logits, targets, recipe.heads, loss=recipe.loss.settings)
        return {**scores, "val_accuracy": next(iter(scores.values())), "val_loss": loss.item()}

    return validate


def _targets(faces: FaceSet, heads: Iterable[str], *, smoothing: float) -> dict[str, Tensor]:
    return {
        head: torch.from_numpy(soft_targets(faces, head, smoothing=smoothing)) for head in heads
    }


def build_network(recipe: Recipe) -> FaceModel:
    """The recipe's network with random weights drawn from its seed."""
    return build_model(
        recipe.network.kind,
        {head: len(HEAD_SPACES[head]) for head in recipe.heads},
        seed=recipe.schedule.seed,
        settings=recipe.network.settings,
        channels=recipe.input.channels,
        side=recipe.input.height,
    )


def prepare_all(faces: FaceSet, spec: InputSpec) -> Tensor:
    """(n, c, h, w) float32: every face through the same `prepare` as at inference."""
    return torch.from_numpy(np.stack([prepare(image, spec) for image in faces.images]))


def predict_logits(
    model: nn.Module, x: Tensor, *, flip: bool, batch: int = 256
) -> dict[str, Tensor]:
    """Logits of every head, {head: (n, k)} float32, in evaluation mode.

    Args:
        flip: average the logits of the picture and its mirror image (twice the work).
    """
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    with torch.inference_mode():
        for chunk in x.split(batch):
            logits = model(chunk)
            if flip:
                mirrored = model(chunk.flip(3))
                logits = {head: (logits[head] + mirrored[head]) / 2 for head in logits}
            for head, values in logits.items():
                parts.setdefault(head, []).append(values)
    return {head: torch.cat(chunks) for head, chunks in parts.items()}


def _accuracy(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    known = truth >= 0
    return float((predicted[known] == truth[known]).mean())


def _best_so_far(log: Path, *, head: str, full_side: int) -> float:
    if not log.exists():
        return 0.0
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    full = (row["accuracy"][head] for row in rows if row["side"] == full_side)
    return max(full, default=0.0)
