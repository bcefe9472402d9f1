"""Run a face recipe: data in, checkpoints and a log out, the best weights kept."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.card import InputSpec
from classpulse.lab.data.faces import FaceSet, without_blank
from classpulse.lab.data.fer2013 import load_fer2013
from classpulse.lab.models.base import FaceModel
from classpulse.lab.models.registry import build_model
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.augment import shrink
from classpulse.lab.train.loop import Epoch, fit
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels, soft_targets
from classpulse.vision.image import prepare


@dataclass(frozen=True, slots=True)
class EpochResult:
    """An `Epoch` with the validation accuracy of every head, and whether it is the best so far."""

    epoch: Epoch
    accuracy: dict[str, float]
    best: bool


def train_faces(recipe: Recipe, *, fer2013: Path, votes: Path, out: Path) -> Iterator[EpochResult]:
    """Train `recipe` on FER2013 Training with FER+ votes, validating on PublicTest.

    Writes into `out`: `recipe.json` (resolved), `checkpoint.pt` (every epoch, resumable),
    `best.pt` (full-size weights with the best PublicTest emotion accuracy), `log.jsonl`.

    Raises:
        InputError: the data files are missing or malformed.
    """
    train = without_blank(load_fer2013(fer2013, part="Training", votes_path=votes))
    valid = load_fer2013(fer2013, part="PublicTest", votes_path=votes)
    smoothing = recipe.schedule.label_smoothing
    targets = {
        head: torch.from_numpy(soft_targets(train, head, smoothing=smoothing))
        for head in recipe.heads
    }
    model = build_network(recipe)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(dataclasses.asdict(recipe), indent=2))
    x, x_valid = prepare_all(train, recipe.input), prepare_all(valid, recipe.input)
    best = _best_so_far(out / "log.jsonl", full_side=recipe.input.height)
    for epoch in fit(model, x, targets, recipe, out / "checkpoint.pt"):
        accuracy = _accuracies(model, shrink(x_valid, epoch.side), valid, recipe)
        full_size = epoch.side == recipe.input.height
        better = full_size and accuracy["emotion"] > best
        if better:
            best = accuracy["emotion"]
            torch.save(model.state_dict(), out / "best.pt")
        with (out / "log.jsonl").open("a") as log:
            log.write(json.dumps({**dataclasses.asdict(epoch), "accuracy": accuracy}) + "\n")
        yield EpochResult(epoch, accuracy, better)


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


def _accuracies(model: nn.Module, x: Tensor, faces: FaceSet, recipe: Recipe) -> dict[str, float]:
    logits = predict_logits(model, x, flip=False)
    return {
        head: _accuracy(logits[head].argmax(dim=1).numpy(), hard_labels(faces, head))
        for head in recipe.heads
    }


def _accuracy(predicted: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    known = truth >= 0
    return float((predicted[known] == truth[known]).mean())


def _best_so_far(log: Path, *, full_side: int) -> float:
    if not log.exists():
        return 0.0
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    full = (row["accuracy"]["emotion"] for row in rows if row["side"] == full_side)
    return max(full, default=0.0)
