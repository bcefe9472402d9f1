"""How many workers train together, and how they hear of each other's gradients."""

import os
from dataclasses import dataclass

import torch
from torch import distributed

from classpulse.core.errors import InputError
from classpulse.lab.train.parallel.compress import COMPRESSIONS

SCHEMES = ("ddp", "async", "hogwild")
PATIENCE = 1800.0  # seconds, as torch waits for a process group


@dataclass(frozen=True, slots=True)
class Parallel:
    """A way to share one training out; the recipe stays as it is.

    Args:
        scheme: "ddp" splits every batch and averages the gradients before each step; "async" gives
            whole batches to the workers and applies each gradient when it comes; "hogwild" lets
            them step on shared weights without a lock.
        workers: processes.
        compress: name in `COMPRESSIONS`, of the gradients of "ddp".
        threads: of each worker.
        patience: seconds after which a worker that says nothing counts as lost. One that is killed
            is noticed at once.

    Raises:
        InputError: another scheme or compression, or a number out of range.
    """

    scheme: str
    workers: int
    compress: str = "none"
    threads: int = 1
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(
                f"unknown parallel scheme '{self.scheme}'; known: {', '.join(SCHEMES)}"
            )
        for name, count in (("workers", self.workers), ("threads", self.threads)):
            if count < 1:
                raise InputError(f"{name} = {count}: needs 1 or more")
        if not self.patience > 0:
            raise InputError(f"patience = {self.patience}: needs seconds above 0")
        COMPRESSIONS.get(self.compress)
        if self.compress != "none" and self.scheme != "ddp":
            raise InputError(
                f"compress = '{self.compress}': only 'ddp' sends gradients that can be compressed, "
                f"'{self.scheme}' does not"
            )

    def check_batch(self, batch: int) -> None:
        """Raise `InputError` unless the workers can share a batch of so many rows evenly."""
        if self.scheme == "ddp" and batch % self.workers:
            raise InputError(
                f"schedule.batch = {batch} cannot be shared evenly by {self.workers} workers: give "
                f"--workers that divide it, or --set schedule.batch={batch + -batch % self.workers}"
            )


def choose_parallel(
    scheme: str | None,
    *,
    workers: int | None = None,
    compress: str | None = None,
    threads: int | None = None,
) -> Parallel | None:
    """What the options of a command mean; None without a scheme, which torchrun needs.

    Args:
        workers: all cores unless given, or as many as torchrun started.
        compress, threads: as in `Parallel`.

    Raises:
        InputError: options without a scheme, none or one that torchrun cannot start, another number
            of workers than torchrun started, or as `Parallel`.
    """
    world = int(os.environ["WORLD_SIZE"]) if under_torchrun() else None
    if world is not None and (scheme != "ddp" or workers not in (None, world)):
        raise InputError(
            f"torchrun started {world} workers for 'ddp': give --parallel ddp and no --workers, "
            "or leave torchrun out"
        )
    if scheme is None:
        if any(option is not None for option in (workers, compress, threads)):
            raise InputError("--workers, --compress and --threads need --parallel SCHEME")
        return None
    if workers is None:
        workers = _cores() if world is None else world
    return Parallel(scheme, workers, compress or "none", 1 if threads is None else threads)


def under_torchrun() -> bool:
    """Whether torchrun started this process, as one of several."""
    return distributed.is_available() and distributed.is_torchelastic_launched()


def own_rank() -> int:
    """Of this process, from 0; 0 is the one that validates and writes."""
    return int(os.environ["RANK"]) if under_torchrun() else 0


def _cores() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else torch.get_num_threads()
