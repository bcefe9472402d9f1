"""What the benchmarks of speed share: clocks, memory, medians, and which machine it was."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def time_calls(
    function: Callable[..., Any], *arguments: Any, seconds: float = 0.5
) -> tuple[float, float]:
    """Median wall and processor seconds of a call, of three calls or all within `seconds`."""
    function(*arguments)
    walls, spent, start = [], [], time.perf_counter()
    while len(walls) < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter(), time.process_time()
        function(*arguments)
        walls.append(time.perf_counter() - before[0])
        spent.append(time.process_time() - before[1])
    return statistics.median(walls), statistics.median(spent)


def peak_mb() -> float:
    """Highest resident memory of this process, MB (2**20 bytes)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024


def median_of(rounds: list[Any]) -> Any:
    """The median of every number in equal trees of dictionaries, rounded to 4 digits."""
    first = rounds[0]
    if isinstance(first, dict):
        return {key: median_of([one[key] for one in rounds]) for key in first}
    return float(f"{statistics.median(rounds):.4g}")


def describe_machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent,
        stdout=subprocess.PIPE, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    load = os.getloadavg()[0]
    return {
        "processor": next((x.split(":")[1].strip() for x in lines if "model name" in x), "?"),
        "cores": os.cpu_count(),
        "load": round(load, 1),  # before the measurement: what else computed
        "busy": load > 0.5,
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit,
    }
