"""What every worker of a training needs, packed in the command and opened in the worker."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from classpulse.lab.recipe import Recipe
from classpulse.lab.train.loop import Training
from classpulse.lab.train.parallel.arena import Arena, ArenaKey, Tensors, open_arenas

_SEPARATOR = "/"  # between kind and head in the names of the data's tensors


@dataclass(frozen=True, slots=True)
class Setup:
    """Small enough to be sent: the data lie in shared memory, once for all.

    Args:
        recipe: what is trained.
        model: the network as pickle makes it; its weights do not matter.
        data: faces, targets and class weights.
    """

    recipe: Recipe
    model: bytes
    data: ArenaKey


@contextmanager
def pack_setup(model: nn.Module, data: Training, recipe: Recipe) -> Iterator[Setup]:
    """A setup whose shared memory lasts as long as the block.

    Raises:
        InputError: the shared memory is too small for the data.
    """
    arena = Arena.of(_tensors_of(data))
    try:
        yield Setup(recipe, pickle.dumps(model), arena.key)
    finally:
        arena.close()


def unpack_setup(setup: Setup, *more: ArenaKey) -> tuple[nn.Module, Training, list[Tensors]]:
    """Network, data, and the tensors of more arenas; to be called once in a process."""
    tensors, *others = open_arenas(setup.data, *more)
    model: nn.Module = pickle.loads(setup.model)
    return model, _data_of(tensors), others


def worker_seed(seed: int, number: int, rank: int) -> int:
    """For augmentation and dropout of a worker in an epoch, unlike any other's."""
    return int(np.random.SeedSequence([seed, number, rank]).generate_state(1, np.uint64)[0] >> 1)


def seed_worker(generator: torch.Generator, *, seed: int, number: int, rank: int) -> None:
    """Set the random states of a worker for an epoch, so that it needs no checkpoint of its own."""
    own = worker_seed(seed, number, rank)
    generator.manual_seed(own)
    torch.manual_seed(own)


def _tensors_of(data: Training) -> Tensors:
    tables = {"targets": data.targets, "weights": data.class_weights}
    return {"x": data.x} | {
        f"{kind}{_SEPARATOR}{head}": tensor
        for kind, table in tables.items()
        for head, tensor in table.items()
    }


def _data_of(tensors: Tensors) -> Training:
    """Without what draws the rows: that is done by the command."""
    tables: dict[str, Tensors] = {"targets": {}, "weights": {}}
    for name, tensor in tensors.items():
        kind, _, head = name.partition(_SEPARATOR)
        if head:
            tables[kind][head] = tensor
    return Training(tensors["x"], tables["targets"], tables["weights"])
