"""A parallel training that loses a worker ends in one clear error, and can be gone on from."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from commands import COMMAND, descendants, run_inside, when_rows
from data_files import write_fer
from test_train_killed import FILES, RECIPE, environment, equal, read_rows, wait_for_rows, words

torch = pytest.importorskip("torch")

from classpulse.lab.train.parallel import team  # noqa: E402

EPOCHS = 12
LOST = re.compile(
    r"classpulse: error: worker (\d) of 2 \(process (\d+)\) was killed by SIGKILL; the run is kept "
    r"up to its last finished epoch: go on with --resume\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and recipes."""
    folder = tmp_path_factory.mktemp("parallel-killed")
    write_fer(folder / "fer2013.csv.gz")
    for name, epochs in (("tiny", EPOCHS), ("long", 100_000)):
        text = RECIPE.replace("[2, 24]", f"[{epochs - 1}, 24]")
        (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.fixture
def victims(monkeypatch: pytest.MonkeyPatch) -> list[team.Team]:
    """The teams that were started, the last one last."""
    started: list[team.Team] = []
    enter = team.Team.__enter__

    def noted(self: team.Team) -> team.Team:
        started.append(self)
        return enter(self)

    monkeypatch.setattr(team.Team, "__enter__", noted)
    return started


def assert_whole(run: Path, epochs: int) -> Any:
    assert sorted(path.name for path in run.iterdir()) == FILES
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    assert state["epoch"] == epochs
    assert [row["number"] for row in read_rows(run)] == list(range(1, epochs + 1))
    return state


@pytest.mark.parametrize(
    ("scheme", "compress"),
    [("ddp", "none"), ("ddp", "powersgd"), ("ddp", "topk"), ("async", "none"), ("hogwild", "none")],
)
def test_a_killed_worker_is_one_error_and_the_run_goes_on(
    scheme: str, compress: str, place: Path, victims: list[team.Team]
) -> None:
    together, name = ["--parallel", scheme, "--workers", "2"], f"{scheme}-{compress}"
    together += ["--compress", compress]
    run, command = place / name, ["train", *words(place, name), *together]

    def kill() -> None:
        os.kill(next(reversed(victims[-1].processes.values())).pid, signal.SIGKILL)

    thread = when_rows(run / "log.jsonl", 2, kill)
    ended = run_inside(command, folder=place)
    thread.join()
    assert ended.code == 8 and LOST.fullmatch(ended.err), (ended.code, ended.err)
    done = torch.load(run / "checkpoint.pt", weights_only=True)["epoch"]
    assert 2 <= done < EPOCHS
    assert_whole(run, done)

    ended = run_inside(command, folder=place)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") == EPOCHS - done
    state = assert_whole(run, EPOCHS)
    assert read_rows(run)[-1]["parallel"]["scheme"] == scheme
    if scheme == "ddp":  # in step: as if nobody had been killed
        straight = f"straight-{compress}"
        assert run_inside(["train", *words(place, straight), *together], folder=place).code == 0
        other = torch.load(place / straight / "checkpoint.pt", weights_only=True)
        for one in (state, other):
            one["history"] = [row | {"costs": {}} for row in one["history"]]
        assert equal(state, other)


def outside(place: Path, name: str, scheme: str) -> Any:
    """The command in a process of its own, endless."""
    command = [*COMMAND, "train", *words(place, name, recipe="long.toml")]
    command += ["--parallel", scheme, "--workers", "2"]
    return subprocess.Popen(command, env=environment(), text=True, stdout=-1, stderr=-1)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["ddp", "async", "hogwild"])
def test_a_killed_command_leaves_no_worker_behind(scheme: str, place: Path) -> None:
    name = f"orphans-{scheme}"
    run = outside(place, name, scheme)
    try:
        wait_for_rows(place / name / "log.jsonl", run, 2)
        family = list(descendants(run.pid))
        assert len(family) >= 3  # the fork server, the resource tracker, a worker or two
    finally:
        run.kill()
        run.communicate()
    until = time.monotonic() + 60
    while any(map(is_alive, family)):
        assert time.monotonic() < until, [pid for pid in family if is_alive(pid)]
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_one_line(place: Path, number: signal.Signals) -> None:
    name = number.name
    run = outside(place, name, "ddp")
    try:
        wait_for_rows(place / name / "log.jsonl", run, 2)
        run.send_signal(number)
        _, err = run.communicate(timeout=120)
    finally:
        run.kill()
        run.communicate()
    assert (run.returncode, err) == (130, "classpulse: interrupted: go on with --resume\n")
    assert json.loads((place / name / "recipe.json").read_text())["name"] == "tiny"
