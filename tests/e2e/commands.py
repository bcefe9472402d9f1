"""Run the command `classpulse` and see what a user would see: exit code, output, errors, memory."""

import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "classpulse.cli")
HANGS = 180.0  # seconds; the slowest takes 2 on an idle machine, but ours may be very busy
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
CLOSED = ("sh", "-c", 'exec "$@" <&-', "sh")


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        code: exit code, negative for a signal.
        out, err: everything on the two outputs, native libraries included.
        peak: largest resident size in MB; 0 when it was not measured.
    """

    code: int
    out: str
    err: str
    peak: float = 0.0


def run_inside(arguments: Sequence[str], *, folder: Path, seconds: float = HANGS) -> Outcome:
    """Run `classpulse.cli.main` in this process, in `folder`: fast, and as strict as outside."""
    from classpulse import cli

    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        _as_a_process(arguments, folder, {1: out.fileno(), 2: err.fileno()}),
        _alarm(seconds),
    ):
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except Exception:  # what python would print for it
            traceback.print_exc()
            code = 1
        sys.stdout.flush(), sys.stderr.flush()
        return Outcome(code, _read(out.fileno()), _read(err.fileno()))


def run_outside(
    arguments: Sequence[str],
    *,
    folder: Path,
    stdin: bytes | None = b"",
    powerless: bool = False,
    seconds: float = HANGS,
) -> Outcome:
    """Run the command in a process of its own; None as `stdin` closes it.

    With `powerless`, root has to respect the rights of files like everybody.
    """
    before = POWERLESS if powerless else CLOSED if stdin is None else ()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [*before, *COMMAND, *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
        )
        with process:
            process.stdin.write(stdin or b"")
            process.stdin.close()
            peak, end = 0.0, time.monotonic() + seconds
            while process.poll() is None:
                peak = max(peak, resident_mb(process.pid, "VmHWM"))
                if time.monotonic() > end:
                    process.kill()
                time.sleep(0.01)
        return Outcome(process.returncode, _read(out.fileno()), _read(err.fileno()), peak)


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """A size in MB from /proc/`pid`/status; 0 when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def when_rows(log: Path, n: int, then: Callable[[], None]) -> threading.Thread:
    """A thread that acts once the log of a training has so many rows; it waits two minutes."""

    def watch() -> None:
        until = time.monotonic() + 120
        while not log.exists() or log.read_text().count("\n") < n:
            if time.monotonic() > until:
                return
            time.sleep(0.002)
        then()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def descendants(pid: int) -> Iterator[int]:
    """Processes that the first thread of a process started, and what they started."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        yield from descendants(int(child))


def _read(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), encoding="utf-8", errors="replace") as file:
        return file.read()


@contextmanager
def _as_a_process(
    arguments: Sequence[str], folder: Path, outputs: Mapping[int, int]
) -> Iterator[None]:
    """Give this process the arguments, folder, outputs and loggers of a fresh one, and back."""
    before = sys.argv, sys.stdout, sys.stderr, Path.cwd()
    handlers, kept = logging.root.handlers, {fd: os.dup(fd) for fd in outputs}
    sys.stdout.flush(), sys.stderr.flush()
    for fd, new in outputs.items():
        os.dup2(new, fd)
    sys.argv = ["classpulse", *arguments]
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
    logging.root.handlers = []
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before[3])
        logging.root.handlers = handlers
        sys.stdout.close(), sys.stderr.close()
        sys.argv, sys.stdout, sys.stderr = before[:3]
        for fd, old in kept.items():
            os.dup2(old, fd)
            os.close(old)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"the command hangs: {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
