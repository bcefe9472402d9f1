"""Every bad input ends with its exit code and one line that helps; nothing hangs or is left over.

The table is in `bad_inputs.py`. Interrupted and killed runs keep what they had seen.
"""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bad_inputs import BAD_INPUTS, FILES, PREFIX, WARNING, Bad, open_folder
from commands import COMMAND, HANGS, Outcome, run_inside
from materials import portrait, write_clip, write_picture

from classpulse.core.errors import OutputError
from classpulse.core.records import Reading
from classpulse.room.analyze import analyze
from classpulse.runtime.model import shipped_models

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.id)
def test_bad_input_ends_with_its_code_and_one_helpful_line(bad: Bad) -> None:
    if why := bad.why_not():
        pytest.skip(why)
    with open_folder() as folder:
        seen = bad.run(folder)
        assert "Traceback" not in seen.err + seen.out
        assert seen.code == bad.code, seen.err
        check_lines(bad, seen)
        check_files(bad, folder)
    if bad.limit is not None:
        assert 0 < seen.peak < bad.limit


def check_lines(bad: Bad, seen: Outcome) -> None:
    """One error line with all the words, and no line of anybody else's."""
    lines = seen.err.splitlines()
    errors = [line for line in lines if line.startswith(PREFIX)]
    warnings = [line for line in lines if line.startswith(WARNING)]
    if bad.code == 2:  # the usual lines about the usage of a command
        assert lines[-1].startswith("Error: ")
        errors = lines[-1:]
    else:
        assert len(errors) == (bad.code != 0) and len(lines) == len(errors) + len(warnings), lines
    assert [word for word in bad.words if errors and word not in errors[0]] == [], errors
    assert bool(warnings) == bool(bad.warns), warnings
    assert [word for word in bad.warns if word not in warnings[0]] == [], warnings
    assert "secret@" not in seen.err


def check_files(bad: Bad, folder: Path) -> None:
    """All five files of a success, whole; after an error only what the documentation says."""
    partial = {path.name for path in folder.rglob("*.partial")}
    assert partial <= set(bad.keeps)
    if bad.how == "disk":  # gone with its disk
        return
    if bad.code == 0:
        check_whole(folder / "out", complete=True)
        report = (folder / "out" / "report.html").read_text(encoding="utf-8")
        assert [word for word in bad.words if word not in report] == []
    elif bad.code != 5:
        assert not any((folder / "out" / name).exists() for name in FILES)


def check_whole(out: Path, *, complete: bool) -> None:
    """The five files are there, agree with each other and nothing is left over."""
    from arro3.io import read_parquet

    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    summary = json.loads((out / "summary.json").read_text())
    with (out / "readings.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert {len(row) for row in rows} <= {len(header)}
    assert len(rows) == summary["counts"]["readings"]
    assert read_parquet(str(out / "readings.parquet")).read_all().num_rows == len(rows)
    assert (out / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert summary["session"]["complete"] is complete


def test_there_are_enough_bad_inputs_and_each_has_its_own_name() -> None:
    assert len({bad.name for bad in BAD_INPUTS}) == len(BAD_INPUTS) >= 32


def test_the_page_in_the_docs_lists_every_bad_input_with_its_code() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = {tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines if "|" in line}
    assert {(bad.name, str(bad.code)) for bad in BAD_INPUTS} <= rows


def test_the_page_in_the_docs_lists_the_models_that_are_shipped() -> None:
    listed = re.findall(
        r"card\.json and model\.onnx, or one of: ([^|]*) \|", PAGE.read_text("utf-8")
    )
    assert len(listed) >= 3 and set(listed) == {", ".join(shipped_models())}


@pytest.mark.parametrize("name", ["readings.csv", "report.html"])
def test_full_disk_when_a_file_gets_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(old: Path, new: Path) -> None:
        if new.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(old, new)

    monkeypatch.setattr(os, "replace", full)
    picture = write_picture(tmp_path / "one.jpg", portrait())
    with pytest.raises(OutputError, match=rf"{name}: No space left .*free some space"):
        analyze(picture, out=tmp_path / "out")


def test_what_an_earlier_session_wrote_survives_a_refused_one(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.jpg", portrait())
    assert run_inside(("analyze", "one.jpg", "--out", "out"), folder=tmp_path).code == 0
    before = (tmp_path / "out" / "readings.csv").read_bytes()
    two = next(bad for bad in BAD_INPUTS if "two people" in bad.name)
    assert two.run(tmp_path).code == 6
    assert (tmp_path / "out" / "readings.csv").read_bytes() == before


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("long") / "clip.mp4", seconds=24)


@pytest.fixture
def started(clip: Path, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the analysis of a long clip and comes back when some rows are written."""
    begun: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = (*COMMAND, "analyze", str(clip), "--out", str(tmp_path), "--every", "0.04")
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
        )
        begun.append(process)
        end = time.monotonic() + HANGS
        while count_lines(tmp_path / "readings.csv.partial") < 6:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def heed_interrupts() -> None:
    """Python's own answer to Ctrl-C, also where the tests were started in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_finishes_what_was_seen(
    started: Callable[[], subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    process = started()
    process.send_signal(number)
    _, err = process.communicate(timeout=HANGS)
    assert (process.returncode, err) == (130, "")
    check_whole(tmp_path, complete=False)


def test_killed_run_leaves_the_rows_so_far(
    started: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = started()
    process.kill()
    process.communicate(timeout=HANGS)
    assert [path.name for path in tmp_path.iterdir()] == ["readings.csv.partial"]
    with (tmp_path / "readings.csv.partial").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert len(rows) >= 5
    assert {len(row) for row in rows} == {len(header)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_while_a_frame_is_recorded_waits_for_its_end(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from classpulse.room import table

    before = signal.signal(number, signal.default_int_handler)
    append, calls = table.ReadingTable.append, []

    def interrupted(self: table.ReadingTable, reading: Reading) -> dict[str, float | str]:
        calls.append(reading)
        if len(calls) == 2:
            signal.raise_signal(number)
        return append(self, reading)

    monkeypatch.setattr(table.ReadingTable, "append", interrupted)
    try:
        session = analyze(clip, out=tmp_path / "out")
    finally:
        signal.signal(number, before)
    assert len(session.readings) == len(calls) == 2
    check_whole(tmp_path / "out", complete=False)
