"""Every example runs as a user would run it, and prints what its docstring promises."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from classpulse.core.labels import FER2013_7, LEARNING_STATE_4
from classpulse.core.records import Frame
from classpulse.vision.detect import build_detector
from classpulse.vision.stills import read_still

EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., list[str]]


@pytest.fixture
def run(
    demo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a script where `classpulse demo` was run before; gives its lines."""
    monkeypatch.chdir(demo_folder.parent)

    def run_script(name: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run_script


def fields(pattern: str, line: str) -> tuple[str, ...]:
    """The groups of `pattern` in a line that it must match as a whole."""
    match = re.fullmatch(pattern, line)
    assert match, line
    return match.groups()


def test_analyze_video(run: Run) -> None:
    *windows, last = run("01_analyze_video.py")
    assert [int(line.split()[0]) for line in windows] == [0, 4, 8, 12, 16]
    number = r"(\d\.\d\d)"
    shown = 0
    for line in windows:
        people, text = fields(r" *\d+ s  (\d+) people  engagement (.*)", line)
        assert (text == "not shown") == (int(people) < 5)
        if text != "not shown":
            value, low, high = map(float, fields(rf"{number}  \[{number}, {number}\]", text))
            assert 0 <= low <= value <= high <= 1
            shown += 1
    assert shown >= 3
    silent, looks = map(int, fields(r"(\d+) of (\d+) looks at a face: no statement made", last))
    assert 0 < silent < looks <= 6 * 20


def test_readings_to_pandas(run: Run) -> None:
    head, _, *rows, last = run("02_readings_to_pandas.py")
    assert set(head.split()[1:]) <= set(LEARNING_STATE_4.names)
    (left_out,) = fields(r"(\d) slices left out: fewer than 5 people", last)
    assert len(rows) + int(left_out) == 4 and rows
    for row in rows:
        start, *shares = map(float, row.split())
        assert start % 5 == 0
        assert sum(shares) == pytest.approx(1.0, abs=0.03)  # rounded to two digits


def test_live_watch(run: Run) -> None:
    lines = run("03_live_watch.py", "--seconds", "3")
    assert [int(line.split()[0]) for line in lines] == [0, 1, 2, 3]
    for line in lines:
        faces, read, text = fields(r" *\d+ s  (\d+) faces  (\d+) read  engagement (.*)", line)
        assert 0 <= int(read) <= int(faces) == 6
        if int(read) < 5:
            assert text == "not shown (k = 5)"
        else:
            assert 0 <= float(text) <= 1


def test_own_detector(run: Run) -> None:
    (line,) = run("04_own_detector.py")
    subjects, times = map(int, fields(r"(\d+) subjects in the front rows, seen (\d+) times", line))
    assert 3 <= subjects <= 5  # three seats; Viola-Jones may lose and find one again
    assert 30 <= times <= 3 * 20


def two_labels(line: str) -> tuple[str, list[float]]:
    """File name and the two probabilities of a line of 05_score_crops.py."""
    name, first, p, second, q = fields(r"(\S+) +(\w+) (\d\.\d\d), (\w+) (\d\.\d\d)", line)
    assert first != second and {first, second} <= set(FER2013_7.names)
    return name, [float(p), float(q)]


def test_score_crops_of_the_portraits(run: Run) -> None:
    names, probs = zip(*map(two_labels, run("05_score_crops.py")), strict=True)
    assert names == ("astronaut.png", "grace_hopper.jpg")
    for best, second in probs:
        assert best >= second > 0 and best + second <= 1.01


def test_score_crops_of_a_folder(run: Run, portraits: list[Path], tmp_path: Path) -> None:
    detect = build_detector("retinaface")
    for path in portraits:
        image = read_still(path)
        x0, y0, x1, y1 = detect(Frame(image, 0.0, 0, path.name)).box[0].astype(int)
        cv2.imwrite(str(tmp_path / f"{path.stem}.png"), image[y0:y1, x0:x1, ::-1])
    cv2.imwrite(str(tmp_path / "no-face.png"), np.full((48, 48), 128, np.uint8))
    lines = run("05_score_crops.py", str(tmp_path))
    assert [two_labels(line)[0] for line in lines] == [
        "astronaut.png",
        "grace_hopper.png",
        "no-face.png",
    ]


def test_learner(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    lines = run("06_learner.py", str(tmp_path / "new"))
    assert [int(line.split("/")[0]) for line in lines[:8]] == list(range(1, 9))
    assert lines[8] == "face-base on faces test of aieducation"
    (accuracy,) = fields(r"state: n = 48, accuracy (\d\.\d{4}) .*", lines[10])
    assert float(accuracy) > 0.5  # a guess is right in one of four
    assert [line.split()[0] for line in lines[12:]] == list(LEARNING_STATE_4.names)
    assert (tmp_path / "new" / "metrics.png").exists()


def test_read_a_chat(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    *texts, tone = run("07_read_a_chat.py")
    labels = [fields(r" *(\d+) s  (W\d\d)  ([\w ]+)", line) for line in texts]
    assert [who for _, who, _ in labels] == ["W01", "W02", "W03", "W01", "W04", "W05"]
    assert [label for *_, label in labels[3:]] == ["happy", "happy", "fear"]
    fields(r"the class, most often: (\w+) \((0\.\d\d)\)", tone)


def test_every_example_is_short_documented_and_tested() -> None:
    scripts = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert [name[:2] for name in scripts] == ["01", "02", "03", "04", "05", "06", "07"]
    tested = Path(__file__).read_text(encoding="utf-8")
    for name in scripts:
        text = (EXAMPLES / name).read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 40, name
        assert f"python examples/{name}" in text and "You learn:" in text
        assert f'"{name}"' in tested
