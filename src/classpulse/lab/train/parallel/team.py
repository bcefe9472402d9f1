"""Processes that help with one training, and the one clear error when one of them is lost.

Workers are never forks of the command: a fork of a process with threads of torch may hang. Where
there is one, they come from multiprocessing's fork server, which imports torch once for all of
them. So a script that trains in parallel needs `if __name__ == "__main__":` around its main part.
"""

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, NoReturn, Self

import torch

from classpulse.core.errors import WorkerError
from classpulse.lab.parallel.process import end_with_parent
from classpulse.lab.train.parallel.settings import Parallel

GRACE = 10.0  # seconds for a worker to end, so that the cause of a failure is named
LATE = 0.5

PRELOAD = [
    "classpulse.lab.train.parallel.scheme",  # imports all that any worker needs
    "torch._dynamo",  # but for this, which torch imports in an optimizer's first step
]

Serve = Callable[["Link", int, Any], None]
"""Run by every worker: (link to the command, rank, setup)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The last word of a worker."""

    text: str
    lost_peer: bool


class Link:
    """A worker's way to the command."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def send(self, message: Any) -> None:
        """Say something to the command."""
        _say(self._connection, message)

    def receive(self) -> Any:
        """Wait for the command's next word; `EOFError` when it is gone."""
        return _hear(self._connection)


class Team:
    """Workers of one run, to be used in a `with` block that ends them.

    Args:
        serve: what each of them runs, a function of a module.
        setup: given to all of them, by pickle; without tensors.
        how: their threads, and how long to wait for a word of theirs.
        ranks: their numbers; people count them from 1.

    Attributes:
        processes: rank -> process, once they are started.
    """

    def __init__(self, serve: Serve, setup: Any, how: Parallel, *, ranks: range) -> None:
        self.ranks, self._patience = ranks, how.patience
        self._start = serve, setup, how.threads
        self._links: dict[int, Connection] = {}
        self.processes: dict[int, Any] = {}

    def __enter__(self) -> Self:
        context, (serve, setup, threads) = _open_context(), self._start
        for rank in self.ranks:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, serve, rank, setup, threads), daemon=True
            )
            with _interrupts_ignored():  # a worker leaves Ctrl-C to the command
                process.start()
            theirs.close()
            self._links[rank], self.processes[rank] = ours, process
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for link in self._links.values():
            link.close()  # a worker that waits for a word ends by this
        self._join(GRACE if kind is None else 0.0)
        for process in self.processes.values():
            process.kill()
            process.join()

    def send(self, rank: int, message: Any) -> None:
        """Say something to a worker.

        Raises:
            WorkerError: it is gone.
        """
        try:
            _say(self._links[rank], message)
        except OSError:
            self.fail()

    def receive(self) -> tuple[int, Any]:
        """The next word of any worker, and who says it.

        Raises:
            WorkerError: a worker failed, was killed, or none said anything for too long.
        """
        by_link = {link: rank for rank, link in self._links.items()}
        ends = [process.sentinel for process in self.processes.values()]
        ready = wait([*by_link, *ends], timeout=self._patience)
        if not ready:
            raise WorkerError(
                f"no worker has said anything for {self._patience:g} s: they may be stopped, or "
                "the machine overloaded; use fewer workers, and go on with --resume"
            )
        link = ready[0]
        if isinstance(link, Connection) and not any(end in ready for end in ends):
            with contextlib.suppress(EOFError, ConnectionError):
                message = _hear(link)
                if not isinstance(message, Failure):
                    return by_link[link], message
                self.fail({by_link[link]: message})
        return self.fail()

    def fail(self, said: dict[int, Failure] | None = None) -> NoReturn:
        """Raise the `WorkerError` that names the first cause, whoever noticed it."""
        self._join(GRACE, one=True)
        failures = (said or {}) | self._last_words()
        if all(failure.lost_peer for failure in failures.values()):
            self._join(LATE)  # the one that was lost may be reported after those that miss it
        codes = {rank: process.exitcode for rank, process in self.processes.items()}
        for rank, code in codes.items():
            if code is not None and code < 0:
                self._raise(rank, f"was killed by {signal.Signals(-code).name}")
        for rank, failure in sorted(failures.items(), key=lambda item: item[1].lost_peer):
            self._raise(rank, f"failed: {failure.text}")
        for rank, code in codes.items():
            if code is not None:
                self._raise(rank, f"ended with code {code}")
        raise WorkerError("the connection to a worker was lost: go on with --resume") from None

    def _raise(self, rank: int, what: str) -> NoReturn:
        pid = self.processes[rank].pid
        raise WorkerError(
            f"worker {rank + 1} of {self.ranks.stop} (process {pid}) {what}; the run is kept up to "
            "its last finished epoch: go on with --resume"
        ) from None

    def _last_words(self) -> dict[int, Failure]:
        found = {}
        for rank, link in self._links.items():
            with contextlib.suppress(EOFError, OSError):
                while link.poll():
                    message = _hear(link)
                    if isinstance(message, Failure):
                        found[rank] = message
        return found

    def _join(self, seconds: float, *, one: bool = False) -> None:
        """Wait for the workers to end, or for the first of them."""
        until = time.monotonic() + seconds
        running = {p.sentinel: p for p in self.processes.values() if p.exitcode is None}
        started = len(self.processes)
        while running and not (one and len(running) < started) and time.monotonic() < until:
            for sentinel in wait(list(running), timeout=max(until - time.monotonic(), 0)):
                running.pop(sentinel).join()


def _say(connection: Connection, message: Any) -> None:
    """Send a copy: torch teaches `Connection.send` to share the memory of tensors instead."""
    connection.send_bytes(pickle.dumps(message))


def _hear(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes())


def _open_context() -> Any:
    """Processes that import what they need once; only one fork server exists in a process."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


def _work(connection: Connection, serve: Serve, rank: int, setup: Any, threads: int) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    torch.set_num_threads(threads)
    code = 0
    try:
        serve(Link(connection), rank, setup)
    except (EOFError, ConnectionError):  # the command has ended, or wants no more
        pass
    except Exception as error:
        code = 1
        first = (str(error).splitlines() or [""])[0][:200]
        failure = Failure(f"{type(error).__name__}: {first}", is_lost_peer(error))
        with contextlib.suppress(OSError):
            _say(connection, failure)
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(code)  # without the destructors of gloo, which may wait for those that are gone


def is_lost_peer(error: BaseException) -> bool:
    """Whether torch says that another process of its group is gone or silent."""
    text = str(error)
    return isinstance(error, RuntimeError) and ("gloo" in text or "Connection" in text)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Children inherit that; outside the main thread, which gets no signals, it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
