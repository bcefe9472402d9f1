"""Tensors that several processes read and write in place, in one piece of shared memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.lab.parallel.shared import Key, Shared, attach

LINE = 64  # bytes of a cache line: tensors begin on one

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies in an arena, from byte `start`."""

    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArenaKey:
    """What another process opens an arena with."""

    memory: Key
    places: dict[str, Place]


class Arena:
    """Copies of tensors in shared memory; `tensors` outlive `close` in processes that hold them."""

    def __init__(self, memory: Shared, places: dict[str, Place]) -> None:
        self._memory = memory
        self.key = ArenaKey(memory.key, places)
        self.tensors = _view_all(memory.array, places)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Self:
        """With copies of these, in the same layout (channels last stay last).

        Raises:
            InputError: there is not so much shared memory.
        """
        places, end = {}, 0
        for name, tensor in tensors.items():
            like = torch.empty_like(tensor, memory_format=torch.preserve_format)
            places[name] = Place(end, tensor.dtype, tuple(like.shape), like.stride())
            end += -(-tensor.nbytes // LINE) * LINE
        arena = cls(Shared.zeros((end,), np.uint8), places)
        for name, tensor in tensors.items():
            arena.tensors[name].copy_(tensor.detach())
        return arena

    def close(self) -> None:
        """Give the memory back when the last process has let go of it."""
        self._memory.close()


def open_arenas(*keys: ArenaKey) -> list[Tensors]:
    """The tensors of arenas of another process, to be called once in a process."""
    arrays = attach(tuple(key.memory for key in keys))
    return [_view_all(array, key.places) for array, key in zip(arrays, keys, strict=True)]


def _view_all(memory: NDArray[np.uint8], places: Mapping[str, Place]) -> Tensors:
    return {name: _view(memory, place) for name, place in places.items()}


def _view(memory: NDArray[np.uint8], place: Place) -> Tensor:
    """A tensor with a storage of its own, so that `torch.save` writes it and not the arena."""
    size = int(np.prod(place.shape)) * place.dtype.itemsize
    flat = torch.from_numpy(memory[place.start : place.start + size]).view(place.dtype)
    return flat.as_strided(place.shape, place.stride)


def weights_of(model: nn.Module) -> Tensors:
    """Parameters and floating-point buffers of a network by name."""
    return {**dict(model.named_parameters()), **moving_of(model)}


def moving_of(model: nn.Module) -> Tensors:
    """Its floating-point buffers: statistics that training moves."""
    return {name: b for name, b in model.named_buffers() if b.is_floating_point()}


def place_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let a network compute with these tensors, named as `weights_of` does, instead of its own."""
    for name, own in weights_of(model).items():
        own.data = tensors[name]
