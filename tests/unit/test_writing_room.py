"""Students' writing in a session: readings, groups, files, beside faces, one line, the command."""

import copy
import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import FakeModel
from stage import Stage
from text_artefacts import KNOWN, build_text_card, write_text_artefact

import classpulse
from classpulse.core.card import Metric
from classpulse.core.errors import InputError, LabelError, PrivacyError
from classpulse.core.labels import GOEMOTIONS_28, TEXT_7
from classpulse.core.records import Scores
from classpulse.core.text_card import TextHead
from classpulse.room import analyze as analyze_module
from classpulse.room.analyze import Progress, Session, analyze
from classpulse.room.privacy import Privacy
from classpulse.room.report.render import render_report
from classpulse.room.terminal import describe_session
from classpulse.room.writing.line import describe_line, read_line
from classpulse.room.writing.posts import Writing, is_writing
from classpulse.runtime.evidence import explain
from classpulse.text.states import score_states

ACCURACY = Metric("accuracy", "text-7", 0.8, 0.78, 0.82, 900, "a test")
CUES = {"lost": "sad", "great": "happy", "angry": "angry", "what": "surprise"}


class FakeTexts:
    """A text model that goes by one word; who writes "hm" gets no answer."""

    card = build_text_card(
        heads=(
            TextHead("text-7", "a", "text-7", 1.0),
            TextHead("goemotions", "b", "goemotions-28", 1.0, (), (0.5,) * 28),
        ),
        metrics=(ACCURACY,),
    )
    words = frozenset(KNOWN)

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]:
        seven = np.full((len(texts), 7), 0.05)
        many = np.full((len(texts), 28), 0.1)
        for i, text in enumerate(texts):
            label = next((CUES[w] for w in text.split() if w in CUES), "neutral")
            seven[i, TEXT_7.index(label)] = 0.7
            many[i, GOEMOTIONS_28.index("confusion")] = 0.8 if "lost" in text else 0.1
        return {
            "text-7": Scores(seven, TEXT_7),
            "goemotions": Scores(many, GOEMOTIONS_28, exclusive=False),
        }

    def abstentions(
        self, texts: Sequence[str], scores: Mapping[str, Scores]
    ) -> tuple[str | None, ...]:
        return tuple("too short" if text == "hm" else None for text in texts)


@pytest.fixture(autouse=True)
def texts_model(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real" not in request.node.name:
        monkeypatch.setattr(analyze_module, "OnnxTextModel", lambda name, threads: FakeTexts())


def write_posts(folder: Path, people: int = 6, name: str = "posts.csv") -> Path:
    """Three posts of each person, a minute apart."""
    rows = ["time,author,text"]
    for minute, words in enumerate(("I am lost", "great now", "hm")):
        rows += [f"{60 * minute + n},Person {n},{words}" for n in range(people)]
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


def write_lines(folder: Path) -> Path:
    """Seven lines of a questionnaire, which nobody signed."""
    path = folder / "feedback.txt"
    path.write_text("great fun\n" * 3 + "I am lost\n" * 4)
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_posts_become_readings_summary_and_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    told: list[Progress] = []
    session = analyze(write_posts(tmp_path), out=out, window=60, on_progress=told.append)
    writing = session.summary["writing"]
    assert session.summary["session"]["channels"] == ["text"]
    assert writing["counts"] == {
        "texts": 18, "abstained": 6, "writers": 6, "reasons": {"too short": 6}, "left_out": {}
    }  # fmt: skip
    first, second, third = writing["windows"]
    assert first["text-7"]["sad"]["value"] == pytest.approx(0.7)
    assert second["text-7"]["happy"]["value"] == pytest.approx(0.7)
    assert third["text-7"] is None and first["text-state"]["confused"]["value"] == 0.8
    assert [p.done for p in told] == [*range(1, 19)] and {p.unit for p in told} == {"texts"}
    rows = read_rows(out / "readings.csv")
    assert rows[0]["subject"] == "W01" and rows[0]["text-7"] == "sad" and rows[0]["line"] == "2"
    assert "engagement" not in rows[0] and "face_px" not in rows[0]
    assert rows[-1]["abstained"] == "too short" and rows[-1]["text-7_sad"] == ""
    page = (out / "report.html").read_text()
    assert "Emotions in writing" in page and "Learning states in writing" in page
    assert "Expressions are not feelings" not in page and "Words are not feelings" in page


def test_neither_names_nor_texts_are_stored(tmp_path: Path) -> None:
    out = tmp_path / "out"
    analyze(write_posts(tmp_path), out=out)
    kept = b"".join(path.read_bytes() for path in out.iterdir())
    assert b"Person 1" not in kept and b"I am lost" not in kept


def test_texts_are_kept_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    session = analyze(Writing(write_posts(tmp_path), keep_texts=True), out=out)
    rows = read_rows(session.files["texts.csv"])
    assert rows[0]["text"] == "I am lost" and rows[0]["label"] == "sad"
    assert rows[0]["evidence"].startswith("lost +") and rows[0]["subject"] == "W01"
    assert rows[-1]["label"] == rows[-1]["evidence"] == ""


def test_a_group_of_four_is_not_shown(tmp_path: Path) -> None:
    session = analyze(write_posts(tmp_path, people=4), out=tmp_path / "out")
    writing = session.summary["writing"]
    assert writing["overall"]["text-7"] is None
    assert all(row["text-7"] is None for row in writing["windows"])
    assert "fewer than 5 people" in (tmp_path / "out" / "report.html").read_text()


def test_writing_is_read_in_eu_schools_and_faces_are_not(stage: Stage, tmp_path: Path) -> None:
    posts = write_posts(tmp_path)
    session = stage.run(chat=Writing(posts, start="0:00:00"), privacy=Privacy("eu-school"))
    assert session.summary["model"] is None and session.summary["together"] is None
    assert session.summary["writing"]["overall"]["text-7"] is not None


def test_a_file_without_names_says_so(tmp_path: Path) -> None:
    session = analyze(Writing(write_lines(tmp_path), writers=6), out=tmp_path / "out")
    writing = session.summary["writing"]
    assert writing["named"] is False and writing["stated_writers"] == 6
    assert writing["overall"]["counted"]["text-7"] == {"n": 7, "people": 6}
    assert any("That 6 people wrote was stated" in text for text in session.summary["caveats"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The file does not say when." in page and "On the whole" in page
    assert "6\u00a0people, as stated." in page
    assert "7 writers, each text without a name taken for one" in describe_session(session)


def test_lines_of_nobody_known_are_no_class(tmp_path: Path) -> None:
    """All seven may be one person's."""
    session = analyze(write_lines(tmp_path), out=tmp_path / "out")
    overall = session.summary["writing"]["overall"]
    assert overall["text-7"] is overall["text-state"] is None and overall["counted"] == {}
    assert (overall["n"], overall["people"]) == (7, 1)
    assert any("the smallest group counts the names" in text for text in session.summary["caveats"])
    assert "with --writers N" in describe_session(session)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the file does not say how many people wrote" in page


@pytest.mark.parametrize(("writers", "shown"), [(4, False), (5, True), (100, True)])
def test_stated_writers_are_checked_against_k(tmp_path: Path, writers: int, shown: bool) -> None:
    overall = analyze(Writing(write_lines(tmp_path), writers=writers)).summary["writing"]["overall"]
    assert (overall["text-7"] is not None) == shown and overall["people"] == min(writers, 7)


def test_four_names_and_many_unsigned_texts_are_four_people(tmp_path: Path) -> None:
    path = write_posts(tmp_path, people=4)
    path.write_text(path.read_text() + "9,,I am lost\n" * 9)
    overall = analyze(path).summary["writing"]["overall"]
    assert overall["people"] == 4 and overall["text-7"] is None


def test_a_row_of_a_moodle_feedback_is_one_person(tmp_path: Path) -> None:
    path = tmp_path / "feedback.csv"
    rows = "".join(f"{i},I am lost,great\n" for i in range(6))
    path.write_text("Response number,What was hard?,What was good?\n" + rows)
    overall = analyze(path).summary["writing"]["overall"]
    assert overall["people"] == 6 and overall["text-7"] is not None


def test_the_texts_of_the_last_minute_are_in_a_window(tmp_path: Path) -> None:
    """Times to the minute: the last one is the end of the session."""
    rows = [f"14:0{m}:00,Person {n},I am lost" for m in range(3) for n in range(6)]
    path = tmp_path / "posts.csv"
    path.write_text("\n".join(["time,author,text", *rows]) + "\n")
    session = analyze(path, window=60, out=tmp_path / "out")
    windows = session.summary["writing"]["windows"]
    assert [(row["t0"], row["readings"]) for row in windows] == [(0, 6), (60, 6), (120, 6)]
    assert windows[-1]["text-7"] is not None
    assert "2:00\u20133:00" in (tmp_path / "out" / "report.html").read_text()


def test_one_person_alone_is_one_writer(tmp_path: Path) -> None:
    privacy = Privacy(single_subject=True, consent="form 7")
    with pytest.raises(PrivacyError, match="6 people write"):
        analyze(write_posts(tmp_path), privacy=privacy, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    alone = write_posts(tmp_path, people=1, name="one.csv")
    shown = analyze(alone, privacy=privacy).summary["writing"]["overall"]
    assert shown["text-7"] is not None
    with pytest.raises(PrivacyError, match="7 people write"):
        analyze(write_lines(tmp_path), privacy=privacy)
    own = Writing(write_lines(tmp_path), writers=1)
    assert analyze(own, privacy=privacy).summary["writing"]["overall"]["text-7"] is not None


def test_chat_and_faces_share_a_clock(stage: Stage, tmp_path: Path) -> None:
    lines = [f"00:00:0{t}\tPerson {n}:\tI am lost" for t in (0, 1, 2) for n in range(6)]
    chat = tmp_path / "chat.txt"
    chat.write_text("\n".join(lines))
    known = Metric("accuracy", "emotion", 0.7, 0.68, 0.72, 900, "a test")
    stage.model = FakeModel(metrics=(known,))
    session = stage.run(chat=chat, window=1.0)
    assert session.summary["session"]["channels"] == ["face", "text"]
    times = session.readings["t"]
    assert (np.diff(times) >= 0).all()
    assert set(session.readings["channel"]) == {"face", "text"}
    both = session.summary["together"]
    assert both["reliability"]["text"] == pytest.approx((0.8 - 1 / 7) / (6 / 7), abs=1e-4)
    shown = [row for row in both["windows"] if row["disagreement"] is not None]
    assert shown and all((row["text-7"] is None) == (row["disagreement"] > 0.3) for row in shown)
    page = (stage.out / "report.html").read_text()
    assert "Faces and writing together" in page and "Facial expressions" in page
    leaky = copy.deepcopy(session.summary)
    for row in leaky["writing"]["windows"]:
        row["counted"]["text-7"]["people"] = 4
    hidden = render_report(leaky)
    part = hidden[hidden.index('id="together-h"') :].partition("</article>")[0]
    assert "Not shown in any time window: faces or writing missing" in part
    assert part.count("<td>not shown</td>" * 3) == part.count('<th scope="row">') > 0


def test_a_chat_beside_a_lesson_has_the_axis_of_the_lesson(stage: Stage) -> None:
    """Windows without a text are not hatched: nothing is withheld of them."""
    chat = stage.out.parent / "chat.txt"
    chat.write_text("\n".join(f"0:00:01\tPerson {n}:\tI am lost" for n in range(4)))
    session = stage.run(chat=chat, window=0.5)
    rows = session.summary["writing"]["windows"]
    page = (stage.out / "report.html").read_text()
    part = page[page.index('id="text-7-h"') :].partition("</article>")[0]
    assert [row["t0"] for row in rows] == [1.0]
    assert part.count('class="nobody"') == 2 and part.count('class="hidden"') == 1
    assert 'class="mean"' not in part and "nobody wrote" in part
    assert f"from 0:00 to 0:0{session.summary['session']['duration']:.0f}" in part


def test_the_window_of_writing_follows_from_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    lines = [f"{t // 3600}:{t // 60 % 60:02d}:{t % 60:02d}\tP {t // 30 % 9}:\tI am lost"
             for t in range(0, 2640, 30)]  # fmt: skip
    path.write_text("\n".join(lines))
    chosen = analyze(path, out=tmp_path / "out").summary["session"]
    assert (chosen["window"], chosen["window_why"]) == (300.0, "writers")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "5\u00a0min: the shortest in which 5\u00a0people write in half of the windows" in page
    asked = analyze(path, window=60.0).summary["session"]
    assert (asked["window"], asked["window_why"]) == (60.0, "given")
    few = analyze(path, privacy=Privacy(k=30)).summary["session"]
    assert (few["window"], few["window_why"]) == (900.0, "length")


@pytest.mark.parametrize("kind", [str, Path])
def test_the_python_of_the_docs_runs(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.chdir(tmp_path)
    write_posts(tmp_path)
    lines = [f"14:05:0{t} From Person {n} to Everyone: I am lost" for t in (0, 1) for n in range(6)]
    (tmp_path / "chat.txt").write_text("\n".join(lines))
    page = Path(__file__).parents[2] / "docs" / "writing.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)

    def run(source: str, **options: Any) -> Session:
        return analyze(source, **options) if is_writing(source) else stage.run(**options)

    monkeypatch.setattr(classpulse, "analyze", run)
    for block in blocks:
        exec(block.replace('Writing("chat.txt"', 'Writing(kind("chat.txt")'), {"kind": kind})
    assert blocks and "writing" in json.loads((tmp_path / "result" / "summary.json").read_text())


def test_two_files_of_writing_are_refused(tmp_path: Path) -> None:
    path = write_posts(tmp_path)
    with pytest.raises(InputError, match="is writing itself"):
        analyze(path, chat=path)


def test_an_interrupt_keeps_what_was_read(tmp_path: Path) -> None:
    def stop(now: Progress) -> None:
        if now.done == 7:
            raise KeyboardInterrupt

    session = analyze(write_posts(tmp_path), out=tmp_path / "out", on_progress=stop)
    assert session.summary["session"]["complete"] is False
    assert session.summary["writing"]["counts"]["texts"] == 7 == len(session.readings)


def test_states_are_the_likeliest_label_that_stands_for_them() -> None:
    probs = np.zeros((1, 28))
    probs[0, GOEMOTIONS_28.index("annoyance")] = 0.3
    probs[0, GOEMOTIONS_28.index("disappointment")] = 0.6
    states = score_states(Scores(probs, GOEMOTIONS_28, exclusive=False))
    assert dict(zip(states.space.names, states.probs[0].tolist(), strict=True)) == pytest.approx(
        {"confused": 0, "curious": 0, "frustrated": 0.6}
    )


def test_evidence_is_what_a_word_changes() -> None:
    found = explain(FakeTexts(), "well I am lost now", head="text-7", label="sad")
    assert found[0].word == "lost" and found[0].start == 10 and found[0].weight > 3
    assert all(one.weight == 0 for one in found[1:]) and len(found) == 5
    with pytest.raises(InputError, match="no head 'votes'"):
        explain(FakeTexts(), "a", head="votes", label="sad")
    with pytest.raises(LabelError):
        explain(FakeTexts(), "a", head="text-7", label="bored")


class OnlyFeelings(FakeTexts):
    """A model of GoEmotions alone."""

    card = build_text_card(heads=FakeTexts.card.heads[1:])

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]:
        return {"goemotions": super().predict(texts)["goemotions"]}


def test_a_model_without_the_usual_emotions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyze_module, "OnnxTextModel", lambda name, threads: OnlyFeelings())
    session = analyze(write_posts(tmp_path), out=tmp_path / "out", window=60)
    assert session.summary["writing"]["windows"][0]["text-state"]["confused"]["value"] == 0.8
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Learning states in writing" in page and "Emotions in writing" not in page
    assert "18 texts" in describe_session(session)


def test_one_line() -> None:
    found = read_line("I am lost", FakeTexts())
    assert found["label"] == "sad" and found["probs"]["text-state"]["confused"] == 0.8
    assert found["evidence"][0]["word"] == "lost"
    told = describe_line(found).splitlines()
    assert told[1].startswith("text-7 (one of seven, neutral and surprise too)")
    assert told[-2].startswith("Words that spoke most for sad: lost")
    assert told[-1].startswith("Words are not feelings") and "often misses" in told[-1]
    assert describe_line(read_line("hm", FakeTexts())) == "Nothing is said: too short."


def test_the_command_with_a_real_artefact(command: Any, tmp_path: Path) -> None:
    model = write_text_artefact(tmp_path / "tiny")
    line = command("analyze", "--text", "I am so happy", "--text-model", str(model), "--json")
    assert json.loads(line.out)["label"] == "happy"
    posts = write_posts(tmp_path)
    posts.write_text(posts.read_text().replace("I am lost", "I am so happy"))
    out = tmp_path / "out"
    found = command(
        "analyze", str(posts), "--out", str(out), "--text-model", str(model), "--keep-texts",
        "--without", "Person 0", "--columns", "author=author", "--writers", "5",
    )  # fmt: skip
    assert found.code == 0, found.err
    assert "5 writers" in found.out and "author left out: 3" in found.out
    assert {p.name for p in out.iterdir()} == {
        "readings.csv", "readings.parquet", "codebook.csv", "summary.json", "report.html",
        "texts.csv",
    }  # fmt: skip
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    assert summary["writing"]["overall"]["text-5"]["happy"]["value"] > 0.5


def test_writing_has_no_use_for_options_of_pictures(tmp_path: Path) -> None:
    posts = write_posts(tmp_path)
    options = {"annotate": True, "every": 2.0, "detector": "haar", "smooth": 0.0,
               "min_confidence": 0.0}  # fmt: skip
    for name, value in options.items():
        option = name.replace("_", "-")
        with pytest.raises(InputError, match=f"without pictures: leave --{option} out"):
            analyze(posts, out=tmp_path / "out", **{name: value})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="leave --detect-every, --model, --preset out"):
        analyze(posts, detect_every=1.0, model="tiny", preset="paper")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [("--every", "2"), ("--annotate",), ("--k", "5"), ("--without", "Ada", "--writers", "3")],
)
def test_one_line_has_no_use_for_other_options(command: Any, options: tuple[str, ...]) -> None:
    found = command("analyze", "--text", "hello", *options)
    told = ", ".join(option for option in options if option.startswith("--"))
    assert found.code == 3 and f"--text reads one line: {told} is for a source only" in found.err


def test_the_command_says_what_it_needs(command: Any, tmp_path: Path) -> None:
    assert command("analyze").code == 2
    assert command("analyze", "a.mp4", "--text", "hello").code == 2
    wrong = command("analyze", "a.mp4", "--out", str(tmp_path), "--chat-start", "0:00:10")
    assert wrong.code == 3 and "add --chat FILE" in wrong.err
    stated = command("analyze", "a.mp4", "--out", str(tmp_path), "--writers", "20")
    assert stated.code == 3 and "--writers" in stated.err and "add --chat FILE" in stated.err
    none = command("analyze", "a.csv", "--out", str(tmp_path), "--writers", "0")
    assert none.code == 3 and "writers = 0" in none.err
    twice = command("analyze", "a.csv", "--out", str(tmp_path), "--columns", "text")
    assert twice.code == 3 and "text=NAME" in twice.err
