"""`torchrun`, as a job script starts it, trains what the command trains with workers of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import HANGS, run_inside
from data_files import write_fer
from test_train_killed import RECIPE, environment, equal, read_rows, words

torch = pytest.importorskip("torch")

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
DDP = ["--parallel", "ddp"]


def torchrun(place: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*TORCHRUN, "-m", "--", "classpulse.cli", "train", *words(place, name), *options]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=HANGS, check=False
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torchrun")
    write_fer(folder / "fer2013.csv.gz")
    (folder / "tiny.toml").write_text(RECIPE)
    return folder


def test_torchrun_trains_what_own_workers_train(place: Path) -> None:
    ended = torchrun(place, "torchrun", *DDP)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == len(read_rows(place / "torchrun"))  # one of them tells
    assert (
        run_inside(["train", *words(place, "own"), *DDP, "--workers", "2"], folder=place).code == 0
    )
    one, other = (
        torch.load(place / name / "checkpoint.pt", weights_only=True)
        for name in ("torchrun", "own")
    )
    for state in (one, other):
        state["history"] = [row | {"costs": {}} for row in state["history"]]
    assert equal(one, other)


def test_torchrun_without_ddp_says_what_to_do(place: Path) -> None:
    ended = torchrun(place, "alone")
    assert ended.returncode != 0
    assert "torchrun started 2 workers for 'ddp': give --parallel ddp" in ended.stderr
    assert "classpulse.cli" not in ended.stdout
