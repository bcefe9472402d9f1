"""A pool of workers with one thread each, over processes that share arrays, or over threads.

Processes are spawned, never forked: a fork of a process with threads of OpenMP or torch may hang.
So a script that opens a pool needs `if __name__ == "__main__":` around its main part.
The pool is the standard library's, not joblib's, which has no array that workers can write to.
"""

import contextlib
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Generic, Self, TypeVar

from classpulse.core.errors import ClassPulseError, InputError, WorkerError
from classpulse.lab.parallel.process import limit_openmp, peak_mb, single_thread, start_worker
from classpulse.lab.parallel.shared import Key, Shared, attach

T = TypeVar("T")

KINDS = ("processes", "threads", "here")
PARTS = 16  # for each worker: few enough to be cheap, many enough that all end together


@dataclass(frozen=True, slots=True)
class Load:
    """How the work of one call was shared out.

    Args:
        tasks: done by each worker that did any.
        seconds: that each of them was busy, in the same order.
        processor: seconds of processor time among them: less, if others computed beside it.
        peak_mb: largest resident memory of one of them so far, MB of 2**20 bytes; workers in this
            process all report it.
    """

    tasks: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    processor: tuple[float, ...] = ()
    peak_mb: float = 0.0

    @property
    def balance(self) -> float:
        """Mean of the busy seconds over the largest: 1 is even, 1/n is one worker of n at work."""
        top = max(self.seconds, default=0.0)
        return sum(self.seconds) / len(self.seconds) / top if top else 1.0


class Workers:
    """A pool to be opened with `with`; what it shares is freed with it.

    Args:
        count: workers, one or more.
        kind: ``"processes"``; ``"threads"`` for work that leaves Python's lock (OpenCV, BLAS);
            ``"here"`` is the caller's own thread, one task after the other.

    Raises:
        InputError: no workers, several of them here, or another kind.
    """

    def __init__(self, count: int, *, kind: str = "processes") -> None:
        if count < 1:
            raise InputError(f"a pool needs one worker or more, not {count}")
        if kind not in KINDS:
            raise InputError(f"workers are {' or '.join(KINDS)}, not '{kind}'")
        if kind == "here" and count > 1:
            raise InputError(f"there is one worker here, not {count}: take threads or processes")
        self.count = count
        self.kind = kind
        self.used = 0.0  # processor seconds of other processes so far
        self._owned = contextlib.ExitStack()
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        if self.kind == "processes":
            self._executor = ProcessPoolExecutor(
                self.count, mp_context=get_context("spawn"), initializer=start_worker
            )
        else:
            self._owned.enter_context(single_thread())
            self._executor = (
                ThreadPoolExecutor(self.count, initializer=limit_openmp)
                if self.kind == "threads"
                else _Here()
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None
        self._owned.close()

    def share(self, array: Any) -> Shared:
        """An array all workers can read: copied once for all processes, not at all within one."""
        return self._owned.enter_context(Shared.of(array, local=self.kind != "processes"))

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Shared:
        """An array of zeros that workers can write to; each part of it by one task only."""
        return self._owned.enter_context(Shared.zeros(shape, dtype, local=self.kind != "processes"))

    def run(
        self, function: Callable[..., T], tasks: Iterable[Any], *arrays: Shared
    ) -> tuple[list[T], Load]:
        """Call ``function(*arrays, task)`` for every task, in whichever worker is free.

        Many small tasks travel together, `PARTS` times for each worker.

        Args:
            function: of a module, if workers are processes; what it returns travels by pickle.
            arrays: from `share` or `allocate`, given to the function as arrays.

        Returns:
            The answers in the order of the tasks, and who did how much.

        Raises:
            ClassPulseError: as the function raised it in a worker.
            WorkerError: the function raised another error, or a worker was killed.
        """
        if self._executor is None:
            raise WorkerError("the pool is not open: use it inside  with Workers(...) as pool")
        keys = tuple(array.key for array in arrays)
        futures: list[Future[_Done[T]]] = []
        try:
            with _interrupts_kept_from_workers():
                for part in self._cut(list(tasks)):
                    futures.append(self._executor.submit(_call, function, keys, part))
            done = [future.result() for future in futures]
        except BrokenProcessPool:
            raise WorkerError(
                "a worker process ended in the middle of its work; it was killed, perhaps for want "
                "of memory, or could not start: use fewer workers or smaller tasks, and guard a "
                "script's main part with  if __name__ == '__main__'"
            ) from None
        except KeyboardInterrupt:
            # by the pool, which trips over futures that others cancel while SIGTERM ends workers
            self._executor.shutdown(cancel_futures=True)
            raise
        finally:
            _settle(futures)
        load = _add_up(done)
        self.used += sum(load.processor) if self.kind == "processes" else 0.0
        return [one for part in done for one in part.answers], load

    def _cut(self, tasks: list[Any]) -> Iterator[list[Any]]:
        size = max(1, len(tasks) // (PARTS * self.count))
        return (tasks[start : start + size] for start in range(0, len(tasks), size))


@contextlib.contextmanager
def use_pool(pool: Workers | None) -> Iterator[Workers]:
    """An open pool as it is; for None the worker here."""
    if pool is not None:
        yield pool
        return
    with Workers(1, kind="here") as here:
        yield here


@contextlib.contextmanager
def open_pool(count: int) -> Iterator[Workers | None]:
    """A pool of so many processes; one worker is this process, without a pool.

    Raises:
        InputError: no workers.
    """
    if count == 1:
        yield None
        return
    with Workers(count) as pool:
        yield pool


def read_clocks(pool: Workers | None) -> tuple[float, float]:
    """Seconds by the clock, and of processor time of this process and a pool, from any zero."""
    return time.perf_counter(), time.process_time() + (pool.used if pool else 0.0)


@contextlib.contextmanager
def _interrupts_kept_from_workers() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal: workers started here leave it to the command.

    They inherit the mask; here the signal arrives after the block. Windows has no masks.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Here(Executor):
    """Does what is submitted at once."""

    def submit(  # type: ignore[override]  # it has no keyword arguments to pass on
        self, function: Callable[..., T], /, *args: Any
    ) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """What a worker sends back: who it is, and what tasks that came together gave and took."""

    who: tuple[int, int]
    answers: list[T]
    seconds: float
    processor: float
    peak_mb: float


def _call(function: Callable[..., T], keys: tuple[Key, ...], tasks: list[Any]) -> _Done[T]:
    """In the worker: do some tasks."""
    start, used = time.perf_counter(), time.thread_time()
    try:
        arrays = attach(keys)
        answers = [function(*arrays, task) for task in tasks]
    except ClassPulseError as error:
        if _travels(error):
            raise
        raise WorkerError(str(error)) from error
    except Exception as error:
        name = getattr(function, "__name__", str(function))
        raise WorkerError(f"{name} failed in a worker: {type(error).__name__}: {error}") from error
    used, spent = time.thread_time() - used, time.perf_counter() - start
    return _Done((os.getpid(), threading.get_ident()), answers, spent, used, peak_mb())


def _travels(error: Exception) -> bool:
    """Can it be rebuilt on the other side? An error that cannot would break the whole pool."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:
        return False


def _settle(futures: Iterable[Future[Any]]) -> None:
    """Drop what has not begun and wait for the rest, so that nothing uses freed memory."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()


def _add_up(done: Iterable[_Done[Any]]) -> Load:
    by_worker: dict[tuple[int, int], list[_Done[Any]]] = {}
    for part in done:
        by_worker.setdefault(part.who, []).append(part)
    parts = by_worker.values()
    return Load(
        tasks=tuple(sum(len(one.answers) for one in own) for own in parts),
        seconds=tuple(sum(one.seconds for one in own) for own in parts),
        processor=tuple(sum(one.processor for one in own) for own in parts),
        peak_mb=max((one.peak_mb for own in parts for one in own), default=0.0),
    )
