"""`evaluate` on files of texts as people have them: other names of labels, rows without a text."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from text_artefacts import write_text_artefact

from classpulse.core.labels import TEXT_5, TEXT_7
from classpulse.lab.text.evaluate import other_names

ROWS = (("I am so glad.", "happy"), ("Go away!", "angry"), ("Oh no.", "sad"))
CORPUS_WORDS = {"happy": "joy", "angry": "anger", "sad": "Sadness"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_text_artefact(tmp_path / "tiny")


def write(path: Path, rows: tuple[tuple[str, str], ...]) -> Path:
    path.write_text("\n".join(["text,label", *(f"{text},{label}" for text, label in rows)]) + "\n")
    return path


def test_every_other_name_is_of_one_label() -> None:
    for space in (TEXT_5, TEXT_7):
        found = other_names(space)
        assert set(found.values()) == set(space.names)
        assert found["joy"] == found["happiness"] == "happy" and found["anger"] == "angry"
        assert not {"shame", "guilt", "contempt"} & found.keys()
        assert all(found.get(label, label) == label for label in space.names)


@pytest.mark.parametrize("asked", [("--labels", "text-5"), ()])
def test_names_of_the_corpora_mean_the_labels_of_the_head(
    model: Path, tmp_path: Path, command: Any, asked: tuple[str, ...]
) -> None:
    own = write(tmp_path / "own.csv", ROWS)
    renamed = tuple((text, CORPUS_WORDS[label]) for text, label in ROWS)
    if not asked:  # the head is found by the names as they stand
        renamed = tuple((text, label.lower()) for text, label in renamed)
    theirs = write(tmp_path / "theirs.csv", renamed)
    first, second = (
        json.loads(command("evaluate", model, path, *asked, "--json").out) for path in (own, theirs)
    )
    assert first["n"] == 3 and first["confusion"] == second["confusion"]


def test_a_name_of_nothing_is_refused(model: Path, tmp_path: Path, command: Any) -> None:
    path = write(tmp_path / "own.csv", (*ROWS, ("I am so ashamed.", "shame")))
    result = command("evaluate", model, path, "--labels", "text-5")
    assert result.code == 3 and "line 5: label 'shame', text-5 has: angry" in result.err


@pytest.mark.parametrize("asked", [("--labels", "text-5"), ()])
def test_a_row_without_a_text_counts_and_is_told(
    model: Path, tmp_path: Path, command: Any, asked: tuple[str, ...], caplog: Any
) -> None:
    path = write(tmp_path / "own.csv", (*ROWS, ("", "sad"), ("  ", "happy")))
    result = command("evaluate", model, path, *asked, "--json")
    found = json.loads(result.out)
    assert found["n"] == 5 and found["abstained"]["reasons"]["too short"] >= 2
    assert [r.getMessage() for r in caplog.records] == [
        f"{path}: 2 of 5 rows have no text; they count like the others"
    ]


@pytest.mark.parametrize("name", ["g.csv", "g.tsv"])
def test_a_table_is_not_in_the_form_of_goemotions(
    model: Path, tmp_path: Path, command: Any, name: str
) -> None:
    path = write(tmp_path / name, ROWS)
    if name.endswith(".tsv"):
        path.write_text(path.read_text().replace(",", "\t"))
    result = command("evaluate", model, path, "--labels", "goemotions")
    assert result.code == 3 and result.err.count("\n") == 1
    assert "a .tsv without a header, each line a text, its label numbers 0..27" in result.err
    assert "for the columns text and label give --labels text-5" in result.err


def test_a_malformed_line_of_goemotions_is_named(model: Path, tmp_path: Path, command: Any) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("so angry\t2\tid\nso odd\t28\tid\n")
    result = command("evaluate", model, path, "--labels", "goemotions")
    assert result.code == 3 and "line 2: labels '28'" in result.err
    path.write_text("so angry\t28\n")
    result = command("evaluate", model, path, "--labels", "goemotions")
    assert result.code == 3 and "line 1" in result.err
    missing = command("evaluate", model, tmp_path / "no.tsv", "--labels", "goemotions")
    assert missing.code == 3 and "no.tsv" in missing.err
