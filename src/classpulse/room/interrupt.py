"""Ctrl-C at a moment that suits: between two frames, never in the middle of recording one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hold_interrupt() -> Iterator[None]:
    """Keep an interrupt (Ctrl-C, SIGTERM) back until the block is done, then let it happen.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: heard for number, heard in found.items() if callable(heard)}
    held: list[int] = []
    for number in before:
        signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, heard in before.items():
            signal.signal(number, heard)
    if held:
        before[signal.Signals(held[0])](held[0], None)
