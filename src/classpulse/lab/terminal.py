"""Progress of the lab's long work, on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

OnStep = Callable[[str, int, int], None]
"""Called with what is being done, what is done of it, and the whole."""

REDRAW = 3.0  # seconds between two pictures of the bar of a training, see `epoch_bar`


@contextmanager
def step_bar(*, quiet: bool) -> Iterator[OnStep]:
    """A bar that follows one step after another; nothing if quiet or if nobody watches stderr."""
    if quiet or not sys.stderr.isatty():
        yield lambda what, done, whole: None
        return
    with _open_bar(auto_refresh=True) as bar:
        tasks = {}

        def advance(what: str, done: int, whole: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=whole)
            bar.update(tasks[what], completed=done, total=whole)

        yield advance


@contextmanager
def epoch_bar(epochs: int) -> Iterator[Callable[[int, int, int], None]]:
    """Two bars, of an epoch and of the whole run; nothing if nobody watches stderr.

    What it gives is called with the epoch from 1, its steps done and all its steps, and before that
    perhaps with 0 while teachers are asked. It draws by itself every three seconds, not in a thread
    ten times a second, which would take the processor from the training; after the last step of an
    epoch there is nothing to see.
    """
    if not sys.stderr.isatty():
        yield lambda number, done, whole: None
        return
    with _open_bar(auto_refresh=False) as bar:
        epoch = bar.add_task("reading data", total=None)
        run = bar.add_task("whole run", visible=False)
        current, drawn = -1, 0.0

        def advance(number: int, done: int, whole: int) -> None:
            nonlocal current, drawn
            now = time.monotonic()
            if now < drawn + REDRAW and number == current and done < whole:
                return
            if number != current:
                current = number
                what = f"epoch {number}/{epochs}" if number else "asking teachers"
                bar.reset(epoch, total=whole, description=what)
            bar.update(epoch, completed=done)
            if number:
                bar.update(run, completed=(number - 1) * whole + done, total=epochs * whole)
            for task in (epoch, run):  # the caller prints a line after an epoch: make room
                bar.update(task, visible=done < whole and (task == epoch or number > 0))
            bar.refresh()
            drawn = now

        yield advance


def _open_bar(*, auto_refresh: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=auto_refresh,
        redirect_stdout=False,  # results go where they should, a file perhaps
    )
