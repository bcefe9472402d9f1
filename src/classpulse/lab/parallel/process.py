"""What a process of a pool needs: one thread for its libraries, an end, and its peak memory."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

from threadpoolctl import threadpool_limits

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
STATUS = Path("/proc/self/status")


def limit_threads() -> None:
    """One thread for every library in this process, those that are loaded later too."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    threadpool_limits(limits=1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def start_worker() -> None:
    """What a worker process begins with: one thread for libraries, and an end with its parent.

    Workers of a pool hold both ends of its pipe, so they would wait forever for a killed parent.
    """
    limit_threads()
    end_with_parent()


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone, even if it was killed."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextlib.contextmanager
def single_thread() -> Iterator[None]:
    """One thread for the libraries that are loaded, within the block."""
    cv2, torch = sys.modules.get("cv2"), sys.modules.get("torch")
    of_cv2 = cv2.getNumThreads() if cv2 else 0
    of_torch = torch.get_num_threads() if torch else 0
    with threadpool_limits(limits=1):
        try:
            if cv2:
                cv2.setNumThreads(1)
            if torch:
                torch.set_num_threads(1)
            yield
        finally:
            if cv2:
                cv2.setNumThreads(of_cv2)
            if torch:
                torch.set_num_threads(of_torch)


def limit_openmp() -> None:
    """One thread for OpenMP in the thread that calls: it counts for each thread of its own."""
    threadpool_limits(limits=1, user_api="openmp")


def peak_mb() -> float:
    """Largest resident memory of this process so far, MB of 2**20 bytes; 0 where nobody says.

    Linux counts what the parent held into `ru_maxrss` of a spawned process, so /proc comes first.
    """
    with contextlib.suppress(OSError):
        for line in STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
