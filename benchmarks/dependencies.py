"""What each base dependency of ClassPulse costs: installed size and time to import.

Nothing is fetched: the numbers are those of the environment this runs in. For the page
docs/dependencies.md that is a fresh one with the base package alone:

    python3 -m venv /tmp/base-venv && /tmp/base-venv/bin/pip install .
    /tmp/base-venv/bin/python benchmarks/dependencies.py
"""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

ROOT = "classpulse"
REPEATS = 5
MB = 1e6
RESULTS = Path(__file__).parent / "results" / "dependencies.json"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Cost:
    """One distribution.

    Args:
        mb: installed size, 10**6 bytes; needed_by: who asks for it.
        module: what is imported; seconds: median processor time of a fresh process that imports
            it, minus that of an empty one; None when it has no module of its own. On an idle
            machine that is the time one waits; unlike it, it does not depend on who else computes.
    """

    name: str
    version: str
    mb: float
    needed_by: tuple[str, ...]
    module: str | None
    seconds: float | None


def needed(name: str) -> dict[str, set[str]]:
    """All distributions that `name` needs without extras, with those that ask for them."""
    found: dict[str, set[str]] = {}
    waiting = [name]
    while waiting:
        parent = waiting.pop()
        for child in requirements(parent):
            if child not in found:
                waiting.append(child)
            found.setdefault(child, set()).add(parent)
    return found


def requirements(name: str) -> list[str]:
    """Names of what a distribution asks for, without extras, where that is installed."""
    lines = metadata.requires(name) or []
    names = [_NAME.match(line)[0] for line in lines if "extra ==" not in line.replace("'", '"')]
    return [_plain(child) for child in names if _installed(child)]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> bool:
    """Whether it is there: a requirement with a marker may not apply to this machine."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def size_mb(name: str) -> float:
    """Sum of the sizes of the files in RECORD that exist, compiled Python included."""
    files = metadata.files(name) or []
    paths = {Path(file.locate()) for file in files}
    return sum(path.stat().st_size for path in paths if path.is_file()) / MB


def module_of(name: str) -> str | None:
    """The module a distribution brings: its own name if there is one, else the first public."""
    by_module = metadata.packages_distributions()
    mine = sorted(m for m, names in by_module.items() if _plain(name) in map(_plain, names))
    public = [m for m in mine if not m.startswith("_") and m.isidentifier()]
    same = [m for m in public if _plain(m) == _plain(name)]
    if name.startswith("arro3-"):  # two distributions share the namespace
        return name.replace("-", ".")
    return next(iter(same or public), None)


def time_process(arguments: Sequence[str]) -> tuple[float, float]:
    """Median wall and processor seconds over `REPEATS` runs, after one to fill the disk cache."""
    walls, cpus = [], []
    for _ in range(REPEATS + 1):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls[1:]), statistics.median(cpus[1:])


def measure() -> tuple[list[Cost], dict[str, tuple[float, float]]]:
    """Costs of everything needed, largest first; (wall, processor) seconds of whole processes."""
    empty = time_process((sys.executable, "-c", "pass"))
    costs = []
    for name, parents in {ROOT: set(), **needed(ROOT)}.items():
        module = module_of(name)
        seconds = None
        if module:
            _, cpu = time_process((sys.executable, "-c", f"import {module}"))
            seconds = round(max(cpu - empty[1], 0.0), 4)
        version, size = metadata.version(name), round(size_mb(name), 2)
        costs.append(Cost(name, version, size, tuple(sorted(parents)), module, seconds))
    command = str(Path(sys.executable).parent / ROOT)
    whole = {
        "python -c pass": empty,
        "import classpulse": time_process((sys.executable, "-c", f"import {ROOT}")),
        "classpulse --help": time_process((command, "--help")),
    }
    costs.sort(key=lambda cost: -cost.mb)
    return costs, {name: (round(wall, 3), round(cpu, 3)) for name, (wall, cpu) in whole.items()}


def render(costs: Sequence[Cost], whole: dict[str, tuple[float, float]]) -> str:
    """The markdown table and the lines below it."""
    lines = [
        "| package | version | MB | import, processor s | needed by |",
        "|---|---|---:|---:|---|",
    ]
    for cost in costs:
        seconds = "" if cost.seconds is None else f"{cost.seconds:.3f}"
        parents = ", ".join(cost.needed_by)
        lines.append(f"| {cost.name} | {cost.version} | {cost.mb:.1f} | {seconds} | {parents} |")
    lines.append(f"| **all {len(costs)}** | | **{sum(c.mb for c in costs):.0f}** | | |")
    lines.append("")
    for name, (wall, cpu) in whole.items():
        lines.append(f"- `{name}`: {wall:.2f} s wall, {cpu:.2f} s of processor time")
    return "\n".join(lines)


def main() -> None:
    costs, whole = measure()
    total = round(sum(cost.mb for cost in costs), 1)
    RESULTS.parent.mkdir(exist_ok=True)
    numbers = {"python": sys.version.split()[0], "total_mb": total, "load": os.getloadavg()[0],
               "wall_and_processor_seconds": whole,
               "packages": [asdict(cost) for cost in costs]}  # fmt: skip
    RESULTS.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    print(render(costs, whole))


if __name__ == "__main__":
    main()
