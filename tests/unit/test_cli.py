"""The command line: exit codes, one line per error, JSON, and what it does not import."""

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from builders import write_artefact
from media import quarters, write_video

import classpulse
from classpulse import cli
from classpulse.core.errors import ClassPulseError
from classpulse.room.privacy import Privacy
from classpulse.room.writing.posts import Writing

EXAMPLE = "happiness,sadness,anger\n0.8,0.3,0.6\n0.4,0.6,0.2\n0.5,0.2,0.7\n0.9,0.4,0.8\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "scores.csv"
    path.write_text(EXAMPLE)
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """One second of video without a face."""
    return write_video(tmp_path / "lesson.mp4", images=[quarters(96, 128)] * 25)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A small network in place of the shipped one."""
    return write_artefact(tmp_path / "tiny")


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("analyze",),
        ("analyze", "x.mp4"),
        ("analyze", "x.mp4", "--out", "o", "--every", "often"),
        ("analyze", "x.mp4", "--out", "o", "--fast"),
        ("engage", "apply"),
        ("explode",),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_2(command: Any, words: tuple[str, ...]) -> None:
    assert command(*words).code == 2


def test_a_missing_video_is_3(command: Any, tmp_path: Path, tiny: Path) -> None:
    result = command("analyze", tmp_path / "no.mp4", "--out", tmp_path / "o", "--model", tiny)
    assert result.code == 3 and "no.mp4" in result.err


def test_a_missing_column_is_3(command: Any, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("happiness\n0.5\n")
    result = command("engage", "apply", tmp_path / "s.csv")
    assert result.code == 3 and "missing: anger, sadness" in result.err


def test_an_unknown_preset_is_3(command: Any, table: Path) -> None:
    assert command("engage", "apply", table, "--preset", "best").code == 3


def test_an_unknown_detector_is_3(command: Any, clip: Path, tmp_path: Path, tiny: Path) -> None:
    words = ("analyze", clip, "--out", tmp_path / "o", "--model", tiny, "--detector", "yolo")
    assert command(*words).code == 3


def test_an_unknown_model_is_4(command: Any, clip: Path, tmp_path: Path) -> None:
    result = command("analyze", clip, "--out", tmp_path / "o", "--model", "nope")
    assert result.code == 4 and "no model 'nope'" in result.err


def test_an_altered_model_is_4(command: Any, clip: Path, tmp_path: Path, tiny: Path) -> None:
    with (tiny / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    assert command("analyze", clip, "--out", tmp_path / "o", "--model", tiny).code == 4


def test_showing_an_unknown_model_is_4(command: Any) -> None:
    assert command("models", "show", "nope").code == 4


def test_an_output_that_is_a_file_is_5(command: Any, clip: Path, table: Path, tiny: Path) -> None:
    result = command("analyze", clip, "--out", table, "--model", tiny)
    assert result.code == 5 and table.read_text() == EXAMPLE


@pytest.mark.parametrize(
    "words",
    [("--k", "3"), ("--profile", "home"), ("--single-subject",), ("--k", "0")],
    ids=" ".join,
)
def test_a_broken_privacy_rule_is_6(
    command: Any, clip: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    result = command("analyze", clip, "--out", tmp_path / "o", *words)
    assert result.code == 6 and not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("analyze", "no.mp4", "--out", "o", "--k", "3"),
        ("models", "show", "nope"),
        ("engage", "apply", "no.csv"),
        ("engage", "apply", "line\nbreak.csv"),
    ],
    ids=repr,
)
def test_an_error_is_one_line_without_a_traceback(command: Any, words: tuple[str, ...]) -> None:
    result = command(*words)
    assert result.err.startswith("classpulse: error: ") and result.err.count("\n") == 1
    assert "Traceback" not in result.err and result.out == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (MemoryError(), 3), (ClassPulseError("x"), 1)],
    ids=repr,
)
def test_what_ends_a_command_has_its_code(
    command: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    result = command("anything")
    assert result.code == code and result.err.count("\n") == 1


# --- engage and models ---------------------------------------------------------------------------


def test_the_worked_example_as_json(command: Any, table: Path) -> None:
    result = command("engage", "apply", table, "--json")
    assert json.loads(result.out) == {
        "preset": "paper", "n": 4, "scores": [1.49, 1.04, 1.31, 1.77], "mean": 1.4025
    }  # fmt: skip


def test_the_worked_example_as_text(command: Any, table: Path) -> None:
    result = command("engage", "apply", table)
    assert result.code == 0 and result.out == "1.49\n1.04\n1.31\n1.77\nmean 1.4025\n"


def test_models_are_listed_as_json(command: Any) -> None:
    from classpulse.runtime.model import shipped_models

    cards = json.loads(command("models", "ls", "--json").out)
    assert [card["name"] for card in cards] == list(shipped_models())


def test_models_are_listed_one_per_line(command: Any) -> None:
    from classpulse.runtime.model import shipped_models

    lines = command("models", "ls").out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_models())


def test_the_card_of_a_model_is_shown_as_it_is(command: Any, tiny: Path) -> None:
    assert command("models", "show", tiny).out == (tiny / "card.json").read_text()


# --- analyze -------------------------------------------------------------------------------------


def test_analyze_says_what_it_did(command: Any, clip: Path, tmp_path: Path, tiny: Path) -> None:
    result = command("analyze", clip, "--out", tmp_path / "o", "--model", tiny)
    assert result.code == 0 and "lesson.mp4: 1.0 s, 2 frames analyzed" in result.out
    named = [Path(line) for line in result.out.splitlines() if line.startswith(str(tmp_path))]
    assert len(named) == 5 and all(path.is_file() for path in named)


def test_analyze_as_json_is_the_summary(
    command: Any, clip: Path, tmp_path: Path, tiny: Path
) -> None:
    result = command("analyze", clip, "--out", tmp_path / "o", "--model", tiny, "--json")
    assert json.loads(result.out) == json.loads((tmp_path / "o/summary.json").read_text())


def test_json_on_stdout_is_nothing_else(
    command: Any, clip: Path, tmp_path: Path, tiny: Path
) -> None:
    result = command("analyze", clip, "--out", tmp_path / "o", "--model", tiny, "--json")
    assert result.out.count("\n") == 1 and result.err == ""


def test_in_eu_schools_no_model_is_needed(command: Any, clip: Path, tmp_path: Path) -> None:
    words = ("--model", "nope", "--profile", "eu-school")
    result = command("analyze", clip, "--out", tmp_path / "o", *words)
    assert result.code == 0 and "faces are counted" in result.out


def test_an_interrupted_analysis_is_130(
    command: Any, clip: Path, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classpulse.room import analyze as module

    def stop(*args: object, **kwargs: object) -> Any:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(module, "watch", stop)
    result = command("analyze", clip, "--out", tmp_path / "o", "--model", tiny)
    assert result.code == 130 and "Stopped early" in result.out


# --- help ----------------------------------------------------------------------------------------


def test_help_mentions_the_law(command: Any) -> None:
    result = command("--help")
    assert result.code == 0 and "law forbids face emotions in schools" in " ".join(
        result.out.split()
    )


def test_the_version_is_that_of_the_package(command: Any) -> None:
    assert command("--version").out.strip() == classpulse.__version__


@pytest.mark.parametrize("words", [(), ("engage",), ("models",), ("analyze", "--help")], ids=str)
def test_help_is_never_an_error_with_a_traceback(command: Any, words: tuple[str, ...]) -> None:
    result = command(*words)
    assert result.code in (0, 2) and "Usage: " in result.out + result.err


def test_every_option_of_every_command_is_explained() -> None:
    from typer.main import get_command

    root: Any = get_command(cli.app)
    silent = [
        f"{name} {option.name}"
        for name, child in root.commands.items()
        for option in child.params
        if not option.help
    ]
    assert len(root.commands) >= 4 and silent == []


# --- imports -------------------------------------------------------------------------------------

HEAVY = {"cv2", "numpy", "torch", "onnxruntime", "av", "pandas", "lap", "jinja2", "arro3"}


@cache
def loaded_by(code: str) -> tuple[int, set[str]]:
    """Exit code and heavy packages of a fresh Python that runs `code`."""
    ending = "; import sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code + ending], capture_output=True, text=True, env=environment
    )
    modules = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else []
    return done.returncode, HEAVY & set(modules)


def test_importing_the_package_costs_nothing() -> None:
    assert loaded_by("import classpulse") == (0, set())


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['classpulse', '--help']; from classpulse.cli import app; "
    assert loaded_by(code + "app(standalone_mode=False)") == (0, set())


def test_the_command_and_python_have_the_same_defaults() -> None:
    from classpulse.cli.room import analyze as command

    def defaults(function: Callable[..., object]) -> dict[str, object]:
        found = inspect.signature(function).parameters.items()
        return {name: one.default for name, one in found if one.default not in (one.empty, None)}

    given = defaults(command)
    for function in (classpulse.analyze, Privacy, classpulse.watch):
        own = defaults(function)
        shared = own.keys() & given.keys()
        assert len(shared) >= 3 and {k: own[k] for k in shared} == {k: given[k] for k in shared}
    assert given["text_model"] == Writing(Path("posts.csv")).model


def test_the_room_works_without_torch() -> None:
    code, heavy = loaded_by("import classpulse; classpulse.analyze, classpulse.watch")
    assert code == 0 and "cv2" in heavy and not heavy & {"torch", "pandas"}


def test_public_names_are_found() -> None:
    assert all(getattr(classpulse, name) is not None for name in classpulse.__all__)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        classpulse.analyse  # type: ignore[attr-defined]  # noqa: B018
