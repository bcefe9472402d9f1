"""Run `classpulse train` again and again, killed at chosen points, for test_train_killed.py.

    python train_killer.py words of a command to warm up with

The command is run once here, so that everything is imported and the data are in the cache; then
each job runs in a process of its own, forked from this one. A job is a line of JSON on standard
input: [words, point, count, signal]. The signal hits at the point "never", before the n-th "step",
after the n-th "replace" of a file, or with the n-th state of torch "half" written. The answer is a
line of JSON: exit code, negative for a signal, and the names of the files that were put in place.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from classpulse import cli
from classpulse.lab.train import loop


def set_trap(point: str, count: int, number: int, placed: int) -> None:
    """Count what happens in this process, tell what is put in place, and get the signal in time."""
    seen = {"step": 0, "replace": 0, "half": 0}
    augment, replace, save = loop.augment_batch, os.replace, torch.save

    def due(name: str) -> bool:
        seen[name] += 1
        return name == point and seen[name] == count

    def on_step(*words: Any) -> Any:
        if due("step"):
            os.kill(os.getpid(), number)
        return augment(*words)

    def on_replace(source: Any, target: Any) -> None:
        replace(source, target)
        os.write(placed, f"{Path(target).name}\n".encode())
        if due("replace"):
            os.kill(os.getpid(), number)

    def on_save(state: Any, path: Path) -> None:
        if due("half"):
            whole = io.BytesIO()
            save(state, whole)
            path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
            os.kill(os.getpid(), number)
        save(state, path)

    loop.augment_batch, os.replace, torch.save = on_step, on_replace, on_save


def train(words: list[str]) -> int:
    """Exit code of `classpulse train`, whose standard output goes nowhere."""
    sys.argv = ["classpulse", "train", *words]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cli.main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def run_job(words: list[str], point: str, count: int, number: int) -> dict[str, Any]:
    """Fork, run the command, and wait for its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            set_trap(point, count, number, writing)
            code = train(words)
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as names:
        placed = names.read().split()
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "placed": placed}


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(sys.argv[1:])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run_job(*json.loads(line))) + "\n")
        sys.stdout.flush()
