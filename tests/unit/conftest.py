"""What the tests of commands and sessions share."""

import sys
from pathlib import Path
from typing import Any

import pytest
from data_files import write_fer, write_texts, write_votes
from stage import Stage

from classpulse import cli


class Result:
    """Exit code and both streams of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `classpulse` in this process, through `main` as the shell does."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["classpulse", *map(str, words)])
        capsys.readouterr()
        code: Any = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Result(int(code), captured.out, captured.err)

    return run


@pytest.fixture
def fer(tmp_path: Path) -> Path:
    """FER2013 in small, see `write_fer`."""
    return write_fer(tmp_path / "fer2013.csv.gz")


@pytest.fixture
def ferplus(tmp_path: Path) -> Path:
    """The votes that belong to `fer`."""
    return write_votes(tmp_path / "fer2013new.csv")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A CSV of texts and labels."""
    return write_texts(tmp_path / "texts.csv")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    """A session of six people in six frames."""
    return Stage(monkeypatch, tmp_path)
