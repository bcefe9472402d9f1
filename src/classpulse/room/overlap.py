"""One stage of the main path in a thread of its own, so that stages work at the same time.

NumPy, OpenCV, PyAV and onnxruntime release the interpreter lock, so threads are enough. A stage is
a lazy `map`: nothing runs unless its consumer asks, and what is under way is bounded.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 8  # items under way in one stage, each holds a frame: more than there are from one search
# for faces, which takes as long as reading those of several frames, to the next

Item = TypeVar("Item")
Result = TypeVar("Result")


def overlapped(
    function: Callable[[Item], Result], items: Iterable[Item], *, name: str, ahead: int = AHEAD
) -> Generator[Result, None, None]:
    """``map(function, items)`` whose calls run in one thread, up to `ahead` items early.

    There is one thread per stage, so calls never meet and come in order: `function` may keep state
    and need not be safe for threads. `items` is iterated in the consumer's thread only, so a source
    is read and closed by the thread that opened it. Results are those of `map`, and so are errors:
    whatever `function` or `items` raises comes as itself and after all results before it, an
    interrupt of `items` too. Closing the generator drops what waits, lets the running call finish
    and ends the thread. With ``ahead=0`` it is `map`, in the consumer's thread.
    """
    if ahead == 0:
        yield from map(function, items)
        return
    source, waiting = iter(items), deque[Future[Result]]()
    end: BaseException | None = None
    pool = ThreadPoolExecutor(1, thread_name_prefix=name)
    try:
        while True:
            while end is None and len(waiting) < ahead:
                try:
                    waiting.append(pool.submit(function, next(source)))
                except BaseException as error:  # kept until the results before it are out
                    end = error
            if not waiting:
                break
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    if end is not None and not isinstance(end, StopIteration):
        raise end
