"""The pool: order, shared memory, one thread, and errors that reach the caller."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from classpulse.core.errors import (
    ClassPulseError,
    InputError,
    MissingExtraError,
    ShapeError,
    WorkerError,
)
from classpulse.lab.parallel.workers import KINDS, Load, Workers


@pytest.fixture(scope="module", params=KINDS)
def pool(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with Workers(1 if request.param == "here" else 2, kind=request.param) as workers:
        yield workers


def square(number: int) -> int:
    return number * number


def row_sum(array: np.ndarray[Any, Any], row: int) -> int:
    return int(array[row].sum())


def copy_row(source: np.ndarray[Any, Any], target: np.ndarray[Any, Any], row: int) -> None:
    target[row] = source[row]


def first_row(array: np.ndarray[Any, Any], _: int) -> np.ndarray[Any, Any]:
    return array[0]


def threads_in_use(_: int) -> tuple[list[int], int]:
    return [library["num_threads"] for library in threadpool_info()], cv2.getNumThreads()


def blocked_signals(_: int) -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def fail(kind: str) -> None:
    if kind == "ours":
        raise ShapeError("seven is not a shape")
    if kind == "cannot travel":
        raise MissingExtraError("sorting", "lab")
    if kind == "value":
        raise ValueError("no such value")


def kill_itself(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_answers_come_in_the_order_of_the_tasks(pool: Workers) -> None:
    answers, load = pool.run(square, range(9))
    assert answers == [n * n for n in range(9)]
    assert sum(load.tasks) == 9 and 1 <= len(load.tasks) <= 2
    assert 0 < load.balance <= 1
    assert len(load.processor) == len(load.seconds) == len(load.tasks)
    assert load.peak_mb > 10


def test_no_tasks_are_no_answers(pool: Workers) -> None:
    assert pool.run(square, []) == ([], Load())


def test_workers_read_and_write_one_array(pool: Workers) -> None:
    given = np.arange(12, dtype=np.int64).reshape(4, 3)
    source, target = pool.share(given), pool.allocate((4, 3), np.int64)
    assert pool.run(row_sum, range(4), source)[0] == [3, 12, 21, 30]
    pool.run(copy_row, range(4), source, target)
    assert np.array_equal(target.array, given)


def test_a_view_of_a_shared_array_can_be_returned(pool: Workers) -> None:
    shared = pool.share(np.arange(6.0).reshape(2, 3))
    assert [list(row) for row in pool.run(first_row, range(3), shared)[0]] == [[0, 1, 2]] * 3


def test_one_thread_for_each_worker(pool: Workers) -> None:
    for libraries, of_opencv in pool.run(threads_in_use, range(4))[0]:
        assert set(libraries) <= {1} and of_opencv == 1


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("ours", ShapeError, "^seven is not a shape$"),
        ("value", WorkerError, "^fail failed in a worker: ValueError: no such value$"),
        ("cannot travel", ClassPulseError, "needs the extra 'lab'"),
    ],
)
def test_an_error_of_a_worker_reaches_the_caller(
    pool: Workers, kind: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pool.run(fail, ["well", kind, "well"])
    assert pool.run(square, [3])[0] == [9]  # and the pool goes on


def test_a_killed_worker_is_an_error_and_hangs_nothing() -> None:
    with Workers(2) as pool:
        with pytest.raises(WorkerError, match="it was killed"):
            pool.run(kill_itself, range(8))
        with pytest.raises(WorkerError, match="it was killed"):
            pool.run(square, [1])


ORPHANS = """
import os, signal
from classpulse.lab.parallel.workers import Workers

def say(_):
    return os.getpid()

if __name__ == "__main__":
    with Workers(1) as pool:
        print(pool.run(say, [0])[0][0], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    # the worker holds the pipe of the output too: `run` ends when both have ended
    done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, timeout=90, check=False)
    assert done.returncode == -signal.SIGKILL and int(done.stdout) > 0


def test_shared_memory_ends_with_the_pool() -> None:
    with Workers(1) as pool:
        shared = pool.share(np.ones(5))
        held = shared.array
        name = shared.key.name  # type: ignore[union-attr]
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    assert held.sum() == 5  # a view that somebody kept is still memory


def test_threads_get_the_array_itself_and_the_limits_end() -> None:
    given = np.zeros(3)
    before = cv2.getNumThreads()
    with Workers(2, kind="threads") as pool:
        assert pool.share(given).array is given
    assert cv2.getNumThreads() == before


@pytest.mark.parametrize(("count", "kind"), [(0, "threads"), (2, "here"), (2, "fibers")])
def test_refused_pools(count: int, kind: str) -> None:
    with pytest.raises(
        InputError,
        match=r"one worker or more|one worker here|workers are processes or threads or here",
    ):
        Workers(count, kind=kind)


def test_a_closed_pool_says_how_to_open_it() -> None:
    with pytest.raises(WorkerError, match="with Workers"):
        Workers(1).run(square, [1])


def test_objects_are_not_shared() -> None:
    with Workers(1) as pool, pytest.raises(ShapeError, match="arrays of numbers"):
        pool.share(np.array([object()]))


@pytest.mark.skipif(sys.platform != "linux", reason="sizes of /dev/shm")
def test_too_much_shared_memory() -> None:
    with Workers(1) as pool, pytest.raises(InputError, match="no shared memory for"):
        pool.allocate((1 << 60,), np.float64)


def test_balance() -> None:
    assert Load((2, 2), (1.0, 1.0)).balance == 1
    assert Load((3, 1), (3.0, 1.0)).balance == pytest.approx(2 / 3)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs masks of signals")
def test_an_interrupt_of_the_terminal_is_left_to_the_command() -> None:
    before = blocked_signals(0)
    with Workers(1) as workers:
        [[blocked], _] = workers.run(blocked_signals, [0])
    assert signal.SIGINT in blocked and blocked_signals(0) == before
