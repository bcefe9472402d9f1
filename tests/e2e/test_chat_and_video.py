"""A recording and its chat through the command, with the models that are shipped: one clock."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from classpulse.cli import app
from classpulse.room import demo

pytestmark = pytest.mark.slow

ZOOM = """\
13:50:00 From Ms Hopper to Everyone: Welcome, we begin in a quarter of an hour
14:05:00 From Ms Hopper to Everyone: Who has finished the first exercise?
14:05:00 From Ada to Everyone: yes, and I am so happy that it works now
14:05:00 From Bo to Everyone: this is great, I love this exercise
14:05:01 From Cleo to Everyone: finally it works, I am really happy
14:05:01 From Dan to Ms Hopper (Direct Message): may I leave early today please
14:05:01 From Dan to Everyone: what a wonderful lesson, so much fun
14:05:01 From Eve to Everyone: I am happy too, it was so much fun
14:05:04 From Ada to Everyone: now I am angry, this program is so unfair
14:05:04 From Bo to Everyone: I hate this, it makes me so furious
14:05:05 From Cleo to Everyone: I am so angry, he always cheats and lies to us
14:05:05 From Dan to Everyone: this makes me really angry as well
14:05:05 From Eve to Everyone: I was furious because they lied to me
14:20:00 From Eve to Everyone: thank you and see you all tomorrow
"""
TEAMS = """\
[11/22/2026 2:05:00 PM] Ada: yes, and I am so happy that it works now
[11/22/2026 2:05:00 PM] Bo: this is great, I love this exercise
[11/22/2026 2:05:01 PM] Cleo: finally it works, I am really happy
[11/22/2026 2:05:01 PM] Dan: what a wonderful lesson, so much fun
[11/22/2026 2:05:01 PM] Eve: I am happy too, it was so much fun
[11/22/2026 2:05:04 PM] Ada: now I am angry, this program is so unfair
[11/22/2026 2:05:04 PM] Bo: I hate this, it makes me so furious
[11/22/2026 2:05:05 PM] Cleo: I am so angry, he always cheats and lies to us
[11/22/2026 2:05:05 PM] Dan: this makes me really angry as well
[11/22/2026 2:05:05 PM] Eve: I was furious because they lied to me
"""


@pytest.fixture(scope="module")
def lesson(portraits: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seats for six seconds: photographs of real faces, followed by the shipped models."""
    path = tmp_path_factory.mktemp("lesson") / "lesson.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SECONDS", 6)
        demo.make_demo_video(path)
    return path


def run(lesson: Path, folder: Path, chat: str, *words: str) -> dict[str, Any]:
    """The summary that `analyze` writes."""
    (folder / "chat.txt").write_text(chat)
    given = [str(lesson), "--chat", str(folder / "chat.txt"), "--out", str(folder / "out")]
    asked = ["--window", "2", "--every", "1", *words]
    done = CliRunner().invoke(app, ["analyze", *given, *asked])
    assert done.exit_code == 0, done.output
    summary: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_text())
    return summary


def top(row: dict[str, Any], head: str) -> str:
    return max(row[head], key=lambda label: float(row[head][label]["value"]))


def test_faces_and_a_zoom_chat_are_pooled_on_one_clock(lesson: Path, tmp_path: Path) -> None:
    summary = run(lesson, tmp_path, ZOOM, "--chat-start", "14:05:00", "--without", "Ms Hopper")
    writing, both = summary["writing"], summary["together"]
    assert summary["session"]["channels"] == ["face", "text"]
    assert writing["counts"]["texts"] == 10
    left_out = {"private message": 1, "author left out": 2, "after the recording": 1}
    assert writing["counts"]["left_out"] == left_out
    written = {row["t0"]: row for row in writing["windows"]}
    assert [top(written[t], "text-7") for t in (0.0, 4.0)] == ["happy", "angry"]
    rows = {row["t0"]: row for row in both["windows"]}
    assert [(t, row["t1"]) for t, row in rows.items()] == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]
    assert rows[0.0]["channels"] == rows[4.0]["channels"] == ["face", "text"]
    assert rows[2.0]["channels"] == ["face"] and rows[2.0]["disagreement"] is None
    seen = {row["t0"]: row for row in summary["windows"]}
    assert top(rows[2.0], "text-7") == top(seen[2.0], "emotion")
    for t in (0.0, 4.0):
        apart = rows[t]["disagreement"]
        assert 0 < apart < 1 and (rows[t]["text-7"] is None) == (apart > both["contested"])
    if top(seen[4.0], "emotion") == "happy":
        assert rows[0.0]["disagreement"] < rows[4.0]["disagreement"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Faces and writing together" in page and ", faces alone" in page


def test_fitted_weights_and_a_teams_chat(lesson: Path, tmp_path: Path) -> None:
    """All trust in what was written: where both are shown, the pool says what the chat says."""
    weights = tmp_path / "weights.json"
    trust = {"face": 0.0, "text": 1.0}
    weights.write_text(json.dumps({"format": 1, "space": "text-7", "reliability": trust,
                                   "prior": {}, "origin": "a test"}))  # fmt: skip
    teams = ["--chat-start", "14:05:00", "--fusion", str(weights)]
    summary = run(lesson, tmp_path, TEAMS, *teams)
    both = summary["together"]
    assert both["reliability"] == trust and both["weights"] == "a test"
    pooled = [row for row in both["windows"] if row["channels"] == ["face", "text"]]
    assert [top(row, "text-7") for row in pooled] == ["happy", "angry"]
