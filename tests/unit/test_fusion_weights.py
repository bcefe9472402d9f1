"""Late fusion by fitted weights: labelled rows, the file, its use in a session, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import FakeModel
from stage import Stage
from test_writing_room import FakeTexts
from typer.testing import CliRunner

from classpulse.cli import app
from classpulse.core.card import Metric
from classpulse.core.errors import InputError
from classpulse.core.labels import TEXT_7
from classpulse.core.text_card import load_any_card
from classpulse.engage.fuse import LEAST, fit_fusion, read_labelled, run_fuse
from classpulse.engage.fusion_weights import load_fusion
from classpulse.room import analyze as analyze_module
from classpulse.room.privacy import Privacy
from classpulse.room.report.render import render_report
from classpulse.room.together import weights_of_cards
from classpulse.runtime.model import find_model

CHANNELS = ("face", "text")
HEADER = [*(f"{name}_{label}" for name in CHANNELS for label in TEXT_7.names), "label"]
EMPTY = [""] * 7


def shares(label: str, top: float = 0.7) -> list[str]:
    rest = (1 - top) / 6
    return [f"{top if name == label else rest:.4f}" for name in TEXT_7.names]


def write_rows(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    return path


def labelled(n: int = 200, *, face: float = 0.8, text: float = 0.3) -> list[list[str]]:
    """Rows in which a channel names the true label that often; in every fifth one is missing."""
    random = np.random.default_rng(0)
    rows = []
    for i in range(n):
        truth = TEXT_7.names[random.integers(7)]
        cells = []
        for name, hits in (("face", face), ("text", text)):
            said = truth if random.random() < hits else TEXT_7.names[random.integers(7)]
            cells.append(EMPTY if i % 5 == 0 and name == CHANNELS[i % 2] else shares(said))
        rows.append([*cells[0], *cells[1], truth])
    return rows


def test_the_better_channel_weighs_more_and_the_file_comes_back(tmp_path: Path) -> None:
    table = write_rows(tmp_path / "windows.csv", labelled())
    fit = run_fuse(table, tmp_path / "w.json", space=TEXT_7, names=CHANNELS, prior="labels")
    assert fit.weights.reliability["face"] > 1.5 * fit.weights.reliability["text"] > 0
    assert fit.present == {"face": 180, "text": 180} and fit.n == 200
    judged = fit.judged
    assert judged["fitted"].loss.value < judged["weights of 1"].loss.value
    assert judged["fitted"].n == 200 and judged["face alone"].n == 180
    assert judged["text alone"].right is not None and judged["text alone"].right < 0.5
    back = load_fusion(tmp_path / "w.json", space=TEXT_7, channels=CHANNELS)
    assert back == fit.weights and sum(back.prior.values()) == pytest.approx(1, abs=1e-4)


def test_an_empty_channel_is_missing_and_not_even(tmp_path: Path) -> None:
    rows = [[*shares("sad"), *EMPTY, "sad"], [*EMPTY, *shares("happy"), "happy"]]
    table = read_labelled(write_rows(tmp_path / "a.csv", rows), space=TEXT_7, names=CHANNELS)
    assert table.present["face"].tolist() == [True, False]
    assert table.present["text"].tolist() == [False, True]
    assert table.channels["face"].top[0] == TEXT_7.index("sad") == table.labels[0]


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([[*shares("sad"), *EMPTY, "bored"]], HEADER, "line 2: label 'bored', text-7 has: angry"),
        ([[*EMPTY, *EMPTY, "sad"]], HEADER, "line 2: no channel has a score"),
        ([["0.5", *[""] * 6, *EMPTY, "sad"]], HEADER, "line 2, column 'face_disgust': ''"),
        ([[*["0.5"] * 7, *EMPTY, "sad"]], HEADER, "sum to 3.5; give probabilities"),
        ([shares("sad")], HEADER[:7], "lacks the columns label, text_angry"),
    ],
)
def test_what_is_no_labelled_row_is_refused(
    tmp_path: Path, rows: list[list[str]], header: list[str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_labelled(write_rows(tmp_path / "a.csv", rows, header), space=TEXT_7, names=CHANNELS)


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (labelled(LEAST - 1), {}, f"{LEAST - 1} labelled rows: label {LEAST} or more"),
        (labelled(40), {"folds": 1}, "1 folds of 40 rows: choose 2 to 20"),
        (labelled(40), {"prior": "half"}, "choose even or labels"),
        ([[*row[:7], *EMPTY, row[-1]] for row in labelled(100) if row[0]], {}, "scores of text"),
        ([[*row[:-1], "sad"] for row in labelled(40)], {}, "the same label"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    tmp_path: Path, rows: list[list[str]], options: dict[str, Any], words: str
) -> None:
    table = read_labelled(write_rows(tmp_path / "a.csv", rows), space=TEXT_7, names=CHANNELS)
    with pytest.raises(InputError, match=words):
        fit_fusion(table, space=TEXT_7, source="a.csv", **options)


GOOD = {
    "format": 1,
    "space": "text-7",
    "reliability": {"face": 0.5, "text": 1.0},
    "prior": {},
    "origin": "a test",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"space": "text-5"}, "in text-5, needs face, text in text-7"),
        ({"reliability": {"face": 1.0}}, "are for face in text-7"),
        ({"reliability": {"face": -1.0, "text": 1.0}}, "a number >= 0"),
        ({"reliability": {"face": 0.0, "text": 0.0}}, "one is above"),
        ({"prior": {"sad": 1.0}}, "a probability > 0 for each of angry"),
        ({"more": 1}, "unknown"),
    ],
)
def test_files_that_are_no_weights_are_refused(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(InputError, match=words):
        load_fusion(path, space=TEXT_7, channels=CHANNELS)


def test_the_command_writes_what_analyze_takes(tmp_path: Path) -> None:
    table = write_rows(tmp_path / "windows.csv", labelled(60))
    out = tmp_path / "w.json"
    done = CliRunner().invoke(app, ["engage", "fuse", str(table), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "fitted to 60 labelled rows of windows.csv" in done.output
    assert "face alone" in done.output and "left-out folds" in done.output
    assert load_fusion(out, space=TEXT_7, channels=CHANNELS).reliability.keys() == set(CHANNELS)


# --- in a session -------------------------------------------------------------------------------


@pytest.fixture
def both(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Six faces for three seconds, read by a card that states its accuracy."""
    monkeypatch.setattr(analyze_module, "OnnxTextModel", lambda name, threads: FakeTexts())
    stage.model = FakeModel(metrics=(Metric("accuracy", "emotion", 0.7, 0.68, 0.72, 900, "test"),))
    return stage


def write_chat(folder: Path, seconds: tuple[int, ...], people: int = 6) -> Path:
    lines = [f"0:00:0{t}\tPerson {n}:\tI am lost" for t in seconds for n in range(people)]
    path = folder / "chat.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_window_with_one_channel_has_the_answer_of_that_one(both: Stage, tmp_path: Path) -> None:
    chat = write_chat(tmp_path, (1, 5))  # the recording ends before 5
    summary = both.run(chat=chat, window=1.0).summary
    rows = {row["t0"]: row for row in summary["together"]["windows"]}
    assert rows[0.0]["channels"] == ["face"] and rows[1.0]["channels"] == ["face", "text"]
    assert rows[5.0]["channels"] == ["text"]  # in no window of faces
    for t in (0.0, 5.0):
        assert rows[t]["disagreement"] is None and rows[t]["text-7"] is not None
    top = max(rows[5.0]["text-7"], key=lambda name: rows[5.0]["text-7"][name]["value"])
    assert top == "sad"
    page = render_report(summary)
    part = page[page.index('id="together-h"') :].partition("</article>")[0]
    assert ", faces alone" in part and ", writing alone" in part


def test_a_channel_that_is_hidden_is_not_there(both: Stage, tmp_path: Path) -> None:
    summary = both.run(chat=write_chat(tmp_path, (1,), people=4), window=1.0).summary
    assert [row["channels"] for row in summary["together"]["windows"]] == [["face"]] * 3


def test_fitted_weights_decide(both: Stage, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    chat = write_chat(tmp_path, (0, 1, 2))
    found = {}
    for face, text in ((0.0, 1.0), (1.0, 0.0)):
        path.write_text(json.dumps(GOOD | {"reliability": {"face": face, "text": text}}))
        summary = both.run(chat=chat, window=1.0, fusion=path).summary
        found[face] = summary["together"]["windows"][0]["text-7"]
        assert summary["together"]["weights"] == "a test"
        assert "a test" in render_report(summary)
        assert found[face] is not None
    assert found[0.0]["sad"]["value"] == pytest.approx(0.7, abs=0.01)
    assert found[1.0]["sad"]["value"] < 0.5


def test_weights_that_would_be_ignored_are_refused(both: Stage, tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(InputError, match="--fusion weighs faces and writing"):
        both.run(fusion=path)
    with pytest.raises(InputError, match="a profile that reads faces"):
        both.run(chat=write_chat(tmp_path, (1,)), fusion=path, privacy=Privacy("eu-school"))
    assert not both.out.exists()


def test_the_shipped_models_are_weighed_by_what_their_corpora_do_not_give_away() -> None:
    face, text = (load_any_card(find_model(n) / "card.json") for n in ("face-base", "text-emotion"))
    known = weights_of_cards({"face": (face, "emotion"), "text": (text, "text-7")})
    assert known is not None
    balanced = next(
        m.value for m in text.metrics if m.head == "text-7" and m.data.startswith("source-balanced")
    )
    assert known.reliability["text"] == pytest.approx((balanced - 1 / 7) / (6 / 7), abs=1e-4)
    assert known.reliability["face"] < (0.6982 - 1 / 7) / (6 / 7)
