"""`classpulse data`: every bad input is one line that helps, and leaves nothing behind."""

import gzip
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from data_files import TRAINING, pictures, write_votes

pytest.importorskip("sklearn")


def refuse(result: Any, code: int, *words: str) -> None:
    """One line, the right code, and the words that help."""
    assert result.code == code, (result.out, result.err)
    assert result.err.startswith("classpulse: error: ") and result.err.count("\n") == 1
    assert "Traceback" not in result.err and result.out == ""
    assert [word for word in words if word not in result.err] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty (0 bytes)",)),
        (b"a,b\n1,2\n", ("a, b", "text, label", "Utterance", "--as")),
        (b"\xff\xfe\x00", ("--as",)),
        (gzip.compress(b"text,label\na,b\n" * 9999)[:60], ("cut off or damaged",)),
        (b"\x1f\x8b\x08\x00nonsense", ("cut off or damaged",)),
        (b"PK\x03\x04nonsense", ("cut off or damaged",)),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, ("one picture",)),
        (b"text,label\nx,b\n ,a\n", ("line 3", "text is empty")),
        (b"text,label\n", ("no rows",)),
        (b"emotion,pixels,Usage\n7,1 2,Training\n", ("line 2",)),
        (b"emotion,pixels,Usage\n", ()),
    ],
    ids=["empty", "header", "utf-16", "truncated", "gzip", "zip", "picture", "blank", "no rows",
         "label 7", "no faces"],
)  # fmt: skip
def test_bad_files(command: Any, tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    refuse(command("data", "describe", path), 3, *words)


def test_bad_places(command: Any, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    refuse(command("data", "describe", tmp_path / "nothing"), 3, "empty folder")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.md").write_text("nothing")
    refuse(command("data", "describe", tmp_path / "notes"), 3, "no known layout", "todo.md")
    refuse(command("data", "describe", tmp_path / "no.csv"), 3, "does not exist")
    refuse(command("data", "describe", "x" * 300), 3, "does not exist")
    refuse(command("data", "dedup", tmp_path / "no.csv"), 3, "does not exist")
    words = ("data", "relabel", "--votes", tmp_path / "no.csv", "--rule", "learning-state")
    refuse(command(*words), 3, "no.csv")


def test_votes_go_with_faces_only(command: Any, texts: Path, ferplus: Path) -> None:
    refuse(command("data", "describe", texts, "--votes", ferplus), 3, "leave --votes out")


def test_bad_rules_and_votes(command: Any, fer: Path, ferplus: Path, tmp_path: Path) -> None:
    words = ("data", "relabel", "--votes", ferplus, "--rule")
    refuse(command(*words, "best"), 3, "learning-state", "ferplus-majority", "ferplus-to-fer2013")
    refuse(command(*words, "isear-to-text-5"), 3, "isear-7", "not from FER+ votes")
    short = write_votes(tmp_path / "short.csv", training=TRAINING - 1)
    words = ("data", "relabel", "--votes", short, "--rule", "learning-state")
    refuse(command(*words, "--images", fer), 3, "23 rows of Training", "24")
    words = ("--protocol", "official", "--out", tmp_path / "s.json", "--votes", short)
    refuse(command("data", "split", fer, *words), 3, "joined by row position")
    assert not (tmp_path / "s.json").exists()


def test_bad_splits(command: Any, fer: Path, ferplus: Path, texts: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "s.json")
    split = ("data", "split")
    refuse(command(*split, fer, "--protocol", "mine", *out), 3, "known: official")
    refuse(command(*split, fer, "--protocol", "subject-disjoint", *out), 3, "subjects")
    refuse(command(*split, texts, "--protocol", "official", *out), 3, "a Usage column")
    refuse(command(*split, texts, "--protocol", "paper", "--labels", "text-5", *out), 3, "texts")
    refuse(command(*split, fer, "--protocol", "paper", "--labels", "mood", *out), 3, "emotion")
    learning = ("--protocol", "paper", "--labels", "learning-state")
    refuse(command(*split, fer, *learning, *out), 3, "fer2013new.csv")
    refuse(command(*split, ferplus, "--protocol", "paper", *out), 3, "labelled faces or texts")
    votes = ("--protocol", "paper", "--votes", ferplus)
    refuse(command(*split, texts, *votes, *out), 3, "leave --votes out")
    assert not (tmp_path / "s.json").exists()


def test_too_few_rows_are_one_line(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    path.write_text("text,label\na,x\nb,y\n")
    for protocol in ("thesis-text", "kfold-10"):
        words = ("--protocol", protocol, "--out", tmp_path / "s.json")
        refuse(command("data", "split", path, *words), 3, "cannot")


def test_a_protocol_whose_parts_share_rows_is_refused(
    command: Any, fer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from classpulse.lab.data import splits

    rows = np.arange(5)
    monkeypatch.setitem(
        splits.PROTOCOLS._things, "leaky", lambda _, seed: {"train": rows, "test": rows[:2]}
    )
    words = ("--protocol", "leaky", "--out", tmp_path / "s.json")
    refuse(command("data", "split", fer, *words), 3, "train and test share 2 rows")
    assert not (tmp_path / "s.json").exists()


def test_bad_sides_of_dedup(command: Any, fer: Path, tmp_path: Path) -> None:
    refuse(command("data", "dedup", fer, "--train", "Test"), 3, "PublicTest")
    refuse(command("data", "dedup", fer, "--held-out", "Training"), 3, "'Training' cannot be")
    folder = tmp_path / "crops" / "angry"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), pictures(1)[0])
    refuse(command("data", "dedup", folder.parent), 3, "no parts", "--against")


def test_bad_exports(command: Any, fer: Path, texts: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "o")
    refuse(command("data", "export", fer, "--format", "jsonl", *out), 3, "csv, folders, npz")
    refuse(command("data", "export", texts, "--format", "npz", *out), 3, "csv, jsonl")
    split = ("--format", "csv", "--split", "no.json:train")
    refuse(command("data", "export", fer, *split, *out), 3, "no.json")
    refuse(command("data", "export", texts, *split, *out), 3, "without --split")
    assert command("data", "export", fer, *out).code == 2
    assert not (tmp_path / "o").exists()


def test_unwritable_outputs_leave_nothing(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    relabel = ("data", "relabel", "--votes", ferplus, "--rule", "learning-state", "--out")
    refuse(command(*relabel, tmp_path / "no/labels.csv"), 5, "labels.csv", "folder exists")
    refuse(command(*relabel, tmp_path), 5, "is a folder")
    refuse(command(*relabel, tmp_path / ("x" * 300)), 5, "cannot write")
    split = ("data", "split", fer, "--protocol", "official", "--out")
    refuse(command(*split, ferplus / "s.json"), 5, "s.json")
    refuse(command("data", "dedup", fer, "--out", tmp_path / "no/r.json"), 5, "r.json")
    export = ("data", "export", fer, "--format", "npz", "--out")
    refuse(command(*export, ferplus / "o"), 5, "cannot write")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
