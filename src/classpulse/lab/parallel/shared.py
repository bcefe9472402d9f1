"""Arrays that several processes read and write in place (multiprocessing.shared_memory)."""

import math
import os
import shutil
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError

ROOM = "/dev/shm"  # where Linux keeps shared memory; elsewhere it is not limited so


@dataclass(frozen=True, slots=True)
class Segment:
    """Where an array lies, small enough to travel with every task."""

    name: str
    shape: tuple[int, ...]
    dtype: str


Key = Segment | NDArray[Any]
"""What a worker makes its array of; within one process it is the array itself."""

_attached: dict[str, SharedMemory] = {}  # of this worker's present task


class Shared:
    """An array with a lifetime: `array` is valid until the `with` block ends."""

    def __init__(self, array: NDArray[Any], memory: SharedMemory | None) -> None:
        self.array = array
        self._memory = memory
        self.key: Key = array
        if memory is not None:
            self.key = Segment(memory.name, array.shape, array.dtype.str)

    @classmethod
    def of(cls, array: Any, *, local: bool = False) -> "Shared":
        """A copy that processes can read, or if `local` the array itself, for threads."""
        given = np.ascontiguousarray(array)
        if local:
            return cls(given, None)
        shared = cls.zeros(given.shape, given.dtype)
        shared.array[...] = given
        return shared

    @classmethod
    def zeros(cls, shape: tuple[int, ...], dtype: Any, *, local: bool = False) -> "Shared":
        """An array of zeros.

        Raises:
            ShapeError: the elements are Python objects.
            InputError: there is not so much shared memory.
        """
        kind = np.dtype(dtype)
        if kind.hasobject:
            raise ShapeError(f"processes share arrays of numbers, not of dtype {kind}")
        if local:
            return cls(np.zeros(shape, kind), None)
        size = max(math.prod(shape) * kind.itemsize, 1)
        _need_room(size)
        memory = SharedMemory(create=True, size=size)
        return cls(_view(memory, shape, kind), memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> NDArray[Any]:
        """The array to keep after the end: a copy, or within one process the array itself."""
        return self.array if self._memory is None else self.array.copy()

    def close(self) -> None:
        """Free the memory; views of `array` must not be used after it."""
        memory, self._memory = self._memory, None
        self.array = np.zeros(0, self.array.dtype)
        if memory is not None:
            memory.unlink()
            _release(memory)


def attach(keys: tuple[Key, ...]) -> list[NDArray[Any]]:
    """The arrays of a task; segments of earlier tasks that this one does not use are let go."""
    wanted = {key.name for key in keys if isinstance(key, Segment)}
    for name in _attached.keys() - wanted:
        _release(_attached.pop(name))
    for name in wanted - _attached.keys():
        _attached[name] = SharedMemory(name)
    return [
        _view(_attached[key.name], key.shape, np.dtype(key.dtype))
        if isinstance(key, Segment)
        else key
        for key in keys
    ]


def _need_room(size: int) -> None:
    """Linux gives more than there is and ends the process at the first write past the end."""
    if not os.path.isdir(ROOM):
        return
    free = shutil.disk_usage(ROOM).free
    if size > free:
        raise InputError(
            f"no shared memory for {size:,} bytes: {ROOM} has {free:,} left; use smaller data, "
            f"workers that are threads, or enlarge {ROOM} (docker run --shm-size)"
        )


def _view(memory: SharedMemory, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    assert memory.buf is not None  # nobody has closed it yet
    # frombuffer holds the buffer: with np.ndarray(buffer=...) the memory can be unmapped under it
    flat: NDArray[Any] = np.frombuffer(memory.buf, dtype, count=math.prod(shape))
    return flat.reshape(shape)


def _release(memory: SharedMemory) -> None:
    try:
        memory.close()
    except BufferError:  # somebody still holds a view: the last view unmaps, not this object
        memory._buf = memory._mmap = None  # type: ignore[attr-defined]
