"""What the benchmarks share: clocks, memory, medians, who else computed, and where it was."""

import functools
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

FER = Path(
    os.environ.get("FER2013")
    or Path(__file__).parents[2] / "shared" / "data" / "fer2013" / "fer2013.csv.gz"
)
CKPLUS = Path(__file__).parents[2] / "shared" / "data" / "ck48" / "CK+48.zip"
ORIGIN = ("date", "machine", "commit")  # what every figure and every table says of itself
IDLE_COLUMNS = (3, 4)  # of the first line of /proc/stat: idle, waiting for a disk
COUNTED = 8  # columns of it: those after them are parts of the first ones


def time_calls(
    function: Callable[..., Any], *arguments: Any, seconds: float = 0.5
) -> tuple[float, float]:
    """Median wall and processor seconds of a call, of three calls or all within `seconds`."""
    return median_times(lambda: clock_call(function, *arguments), seconds=seconds)


def clock_call(function: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    """Wall and processor seconds of one call in this process."""
    before = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - before[0], time.process_time() - before[1]


def median_times(
    once: Callable[[], tuple[float, float]], *, seconds: float = 0.5
) -> tuple[float, float]:
    """Medians of the two times that `once` tells; its first call warms up and does not count."""
    once()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < seconds:
        times.append(once())
    walls, spent = zip(*times, strict=True)
    return statistics.median(walls), statistics.median(spent)


def peak_mb(process: int | str = "self") -> float:
    """Highest resident memory of this process or of another by its id, MB (2**20 bytes)."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) / 1024


def median_of(rounds: list[Any]) -> Any:
    """The median of every number in equal trees of dictionaries, rounded to 4 digits."""
    first = rounds[0]
    if isinstance(first, dict):
        return {key: median_of([one[key] for one in rounds]) for key in first}
    return float(f"{statistics.median(rounds):.4g}")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds since the machine and this process began, and the clock.

    Args:
        all: of all processes of the machine, those of other machines on its cores (steal) too.
        own: of this process and of all that descend from it, ended or not; those that another of
            them started (multiprocessing's fork server) are known by what it has waited for.
    """

    all: float
    own: float
    clock: float

    @classmethod
    def now(cls) -> Self:
        ticks = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        busy = sum(x for i, x in enumerate(ticks[:COUNTED]) if i not in IDLE_COLUMNS)
        hertz = os.sysconf("SC_CLK_TCK")
        return cls(busy / hertz, sum(_family_ticks()) / hertz, time.perf_counter())


def _family_ticks() -> Iterator[int]:
    """Of this process and each that descends from it: its own time and that of ended children."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()  # names may have blanks
        except OSError:  # it ended meanwhile
            continue
        pid = int(path.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    for pid, used in ticks.items():
        one = pid
        while one not in (os.getpid(), 0):
            one = parents.get(one, 0)
        if one:
            yield used


def others_share(start: Usage, end: Usage, *, cores: int | None = None) -> float:
    """Share of the processor time of all cores that other processes used in between, 0 to 1.

    Close pools before `end` is read: a child's time is known when it has ended.
    """
    whole = (end.clock - start.clock) * (cores or os.cpu_count() or 1)
    others = (end.all - start.all) - (end.own - start.own)
    return round(min(1.0, max(0.0, others / whole)), 3) if whole > 0 else 0.0


def reads_faces(artefact: Path) -> bool:
    """Whether an artefact is of a network for faces."""
    from classpulse.core.card import ModelCard  # those who need none stay small
    from classpulse.core.text_card import load_any_card

    return isinstance(load_any_card(artefact / "card.json"), ModelCard)


def describe_machine() -> dict[str, Any]:
    """Where and when: date, machine, commit, and what else computed in the minute before."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((x.split(":")[1].strip() for x in lines if "model name" in x), "?")
    load = os.getloadavg()[0]
    return {
        "machine": f"{os.cpu_count()} x {processor}",
        "processor": processor,
        "cores": os.cpu_count(),
        "load": round(load, 1),
        "busy": load > 0.5,
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _commit(),
    }


@functools.cache
def _commit() -> str:
    """Of the source tree as the program began: what it writes itself makes no tree dirty."""
    return subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent,
        stdout=subprocess.PIPE, text=True, check=False,
    ).stdout.strip()  # fmt: skip


def origin_of(found: Mapping[str, Any]) -> dict[str, str]:
    """What a result says of itself, as far as it does."""
    return {name: found[name] for name in ORIGIN if found.get(name)}


def origin_line(*found: Mapping[str, Any]) -> str:
    """Dates, machines and commits of results in a line; what one did not note is said, too."""
    parts = []
    for name in ORIGIN:
        known = sorted({origin_of(one)[name] for one in found if name in origin_of(one)})
        gaps = any(name not in origin_of(one) for one in found)
        said = ", ".join(known) + (" (of others not recorded)" if gaps else "")
        parts.append(f"{name} {said if known else 'not recorded'}")
    return "; ".join(parts)


def sign_figure(figure: Any, line: str) -> Any:
    """The figure with a small line of text above it, as `origin_line` gives it."""
    from classpulse.lab.evaluate.figures import MUTED  # those who draw nothing stay small

    figure.suptitle(line, x=0.01, ha="left", fontsize=7, fontweight="normal", color=MUTED)
    return figure
