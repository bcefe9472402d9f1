"""A training that is killed anywhere and gone on from is the training that never was killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import SPEC_TOML
from data_files import write_fer

torch = pytest.importorskip("torch")

KILLER = Path(__file__).parent / "train_killer.py"
EPOCHS, STEPS = 3, 2  # 23 pictures in batches of 8
RECIPE = f"""
name = "tiny"
summary = "Everything that has a state or draws a random number."
heads = {{ emotion = 1.0 }}
{SPEC_TOML.replace("48", "24")}
[network]
widths = [8, 8, 16, 16]
blocks = 1
stem = 4
dropout = 0.4
[schedule]
sides = [[1, 16], [{EPOCHS - 1}, 24]]
batch = 8
[rate]
kind = "plateau"
lr = 0.01
monitor = "emotion"
mode = "max"
patience = 1
min_delta = 1.0
factor = 0.5
[averaging]
decay = 0.6
last = 2
[stopping]
patience = 50
[augment]
mixup_share = 1.0
erase = 0.5
"""
FILES = ["best.pt", "checkpoint.pt", "log.csv", "log.jsonl", "recipe.json"]
INTERRUPTED = "classpulse: interrupted: go on with --resume\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and recipe."""
    folder = tmp_path_factory.mktemp("killed")
    write_fer(folder / "fer2013.csv.gz")
    (folder / "tiny.toml").write_text(RECIPE)
    (folder / "long.toml").write_text(RECIPE.replace(f"[{EPOCHS - 1}, 24]", "[100000, 24]"))
    return folder


def environment() -> dict[str, str]:
    """One thread, and the cache of the tests."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def words(place: Path, name: str, *, recipe: str = "tiny.toml") -> list[str]:
    data = f"fer2013={place / 'fer2013.csv.gz'}"
    return [str(place / recipe), "--data", data, "--run", str(place / name), "--resume"]


class Killer:
    """Runs `classpulse train` in `place`, with a signal at a chosen point."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.process = subprocess.Popen(
            [sys.executable, str(KILLER), *words(place, "warm")],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(place / "stderr").open("w"),
            text=True,
        )

    def train(
        self, name: str, point: str = "never", count: int = 0, number: int = signal.SIGKILL
    ) -> tuple[int, list[str]]:
        """Exit code, and the files put in place in order."""
        assert self.process.stdin and self.process.stdout
        job = [words(self.place, name), point, count, number]
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or self.read_stderr())
        return answer["code"], answer["placed"]

    def read_stderr(self) -> str:
        """What all runs so far wrote to standard error."""
        return (self.place / "stderr").read_text()


@pytest.fixture(scope="module")
def killer(place: Path) -> Iterator[Killer]:
    """One process for all runs."""
    started = Killer(place)
    yield started
    started.process.communicate()


@pytest.fixture(scope="module")
def straight(killer: Killer) -> list[str]:
    """A run that nobody disturbs, in `straight`; the files it put in place, in order."""
    code, placed = killer.train("straight")
    assert code == 0 and placed[:2] == ["recipe.json", "checkpoint.pt"]
    return placed


def equal(one: Any, other: Any) -> bool:
    """The same to the bit; seconds do not count."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other) and one.dtype == other.dtype
    if isinstance(one, dict):
        names = one.keys() - {"seconds"}
        return one.keys() == other.keys() and all(equal(one[n], other[n]) for n in names)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def read_rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def assert_same_run(run: Path, other: Path) -> None:
    assert sorted(path.name for path in run.iterdir()) == FILES
    for name in ("checkpoint.pt", "best.pt"):
        one, two = (torch.load(f / name, weights_only=True) for f in (run, other))
        assert equal(one, two), name
    assert equal(read_rows(run), read_rows(other))
    assert_table_is_log(run)


def assert_table_is_log(run: Path) -> None:
    with (run / "log.csv").open() as stream:
        table = list(csv.DictReader(stream))
    rows = read_rows(run)
    assert [int(line["number"]) for line in table] == [row["number"] for row in rows]
    for line, row in zip(table, rows, strict=True):
        assert float(line["emotion_macro_f1"]) == row["macro_f1"]["emotion"]
        assert float(line["val_loss"]) == row["val_loss"]


def test_a_run_killed_anywhere_goes_on_bit_by_bit(killer: Killer, straight: list[str]) -> None:
    states = sum(name.endswith(".pt") for name in straight)
    points = [("step", n) for n in (1, 2, STEPS + 1, EPOCHS * STEPS)]
    points += [("half", n) for n in range(1, states + 1)]
    points += [("replace", n) for n in range(1, len(straight) + 1)]
    for point, count in points:
        name = f"{point}-{count}"
        assert killer.train(name, point, count)[0] == -signal.SIGKILL, name
        assert killer.train(name)[0] == 0, name
        assert_same_run(killer.place / name, killer.place / "straight")


def test_the_undisturbed_run_used_what_can_be_lost(place: Path, straight: list[str]) -> None:
    state = torch.load(place / "straight" / "checkpoint.pt", weights_only=True)
    assert state["average"]["updates"] == 2 * STEPS and state["epoch"] == EPOCHS
    rates = [row["lr"] for row in read_rows(place / "straight")]
    assert rates[0] == 0.01 and rates[-1] < rates[0]
    assert straight.count("best.pt") >= 1


def test_a_run_may_be_killed_every_time(killer: Killer, straight: list[str]) -> None:
    for _ in range(EPOCHS - 1):  # right after the first checkpoint, mended logs or not
        killer.train("often", "step", STEPS)
        killer.train("often", "replace", 4)
    assert killer.train("often")[0] == 0
    assert_same_run(killer.place / "often", killer.place / "straight")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("point", ["step", "half", "replace"])
def test_an_interrupt_cleans_up_behind_itself(
    killer: Killer, straight: list[str], point: str, number: signal.Signals
) -> None:
    name, before = f"{number.name}-{point}", killer.read_stderr()
    code, placed = killer.train(name, point, 3, number)
    assert (code, killer.read_stderr()[len(before) :]) == (130, INTERRUPTED)
    assert {path.name for path in (killer.place / name).iterdir()} == set(placed)
    assert killer.train(name)[0] == 0
    assert_same_run(killer.place / name, killer.place / "straight")


def test_an_interrupt_from_outside_is_one_line(place: Path, straight: list[str]) -> None:
    command = [sys.executable, "-m", "classpulse.cli", "train"]
    command += words(place, "outside", recipe="long.toml")
    run = subprocess.Popen(command, env=environment(), text=True, stdout=-1, stderr=-1)
    try:
        wait_for_rows(place / "outside" / "log.jsonl", run, 3)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
        run.communicate()
    assert (run.returncode, err) == (130, INTERRUPTED)
    assert sorted(path.name for path in (place / "outside").iterdir()) == FILES
    state = torch.load(place / "outside" / "checkpoint.pt", weights_only=True)
    assert_table_is_log(place / "outside")
    rows = read_rows(place / "outside")
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) in (state["epoch"] - 1, state["epoch"]) and out.count("\n") <= len(rows)


def wait_for_rows(log: Path, run: Any, n: int) -> None:
    until = time.monotonic() + 120
    while not log.exists() or log.read_text().count("\n") < n:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
