"""Training with a log of every epoch that survives an interruption; search and folds listen to it.

`fit` yields an epoch after its checkpoint is written, so a process killed in between would lose the
epoch's metrics. Here they are written as soon as they are known, before the checkpoint.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from classpulse.core.files import make_folder, save_text
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.checkpoint import UNREADABLE
from classpulse.lab.train.folder import CHECKPOINT
from classpulse.lab.train.logs import LOG
from classpulse.lab.train.loop import Training, Validate, fit
from classpulse.lab.train.run import build_learner


@dataclass(frozen=True, slots=True)
class LoggedEpoch:
    """One epoch: number from 1, side in pixels, seconds without its checkpoint, metrics."""

    number: int
    side: int
    seconds: float
    metrics: dict[str, float]


def iterate_epochs(
    recipe: Recipe, data: Training, folder: Path, *, validate: Validate
) -> Iterator[LoggedEpoch]:
    """Every epoch of a run of `recipe`: those from before an interruption first, out of the log.

    Writes `checkpoint.pt` and `log.jsonl` into `folder`, and goes on from them where they are.

    Args:
        validate: as `fit` takes it.

    Raises:
        InputError: as `fit`.
        OutputError: a file cannot be written.
    """
    make_folder(folder)
    rows = _read_log(folder / LOG)[: _checkpointed(folder / CHECKPOINT)]
    yield from rows
    start = time.perf_counter()

    def logged(model: nn.Module, side: int) -> dict[str, float]:
        nonlocal start
        metrics = validate(model, side)
        now = time.perf_counter()
        rows.append(LoggedEpoch(len(rows) + 1, side, now - start, metrics))
        start = now
        lines = (json.dumps(asdict(row)) + "\n" for row in rows)
        save_text("".join(lines), folder / LOG)
        return metrics

    model = build_learner(recipe, data.x)
    for epoch in fit(model, data, recipe, folder / CHECKPOINT, validate=logged):
        yield rows[epoch.number - 1]


def drop_checkpoint(folder: Path) -> None:
    """Delete the checkpoint of a run that is over, three networks large; the log stays."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _read_log(path: Path) -> list[LoggedEpoch]:
    if not path.exists():
        return []
    return [LoggedEpoch(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def _checkpointed(path: Path) -> int:
    """Epochs in a checkpoint; 0 for none, and for a damaged one, which `fit` then refuses."""
    if not path.exists():
        return 0
    try:
        return int(torch.load(path, weights_only=True, mmap=True)["epoch"])
    except UNREADABLE:
        return 0
