"""A card says what its weights began with, back to those of others."""

import json
from pathlib import Path

import pytest
from builders import write_artefact

pytest.importorskip("torch")

from classpulse.lab.models.tfjs_file import CREDIT
from classpulse.lab.train.origin import describe_start, initial_weights
from classpulse.runtime.model import OnnxModel


def write_run(folder: Path, table: object) -> str:
    folder.mkdir()
    (folder / "best.pt").write_bytes(b"weights")
    (folder / "recipe.json").write_text(json.dumps(table))
    return str(folder)


def test_runs_are_told_back_to_weights_of_others(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", {"network": {"weights": "human-models"}})
    second = write_run(tmp_path / "second", {"network": {}, "start": first})
    told = describe_start(second)
    assert told.startswith("run second, best.pt (sha256 ")
    assert told.endswith(f"), which began with {CREDIT}")
    assert told.count("which began with") == 2 and "; " not in told
    third = write_run(tmp_path / "third", {"network": {}, "start": str(tmp_path / "gone")})
    assert describe_start(third).endswith("which began with run gone")


@pytest.mark.parametrize("table", [{"network": {}}, {"network": {"weights": ""}}, [], {}])
def test_a_run_that_began_with_nothing_is_the_first(table: object, tmp_path: Path) -> None:
    assert "began" not in describe_start(write_run(tmp_path / "run", table))


def test_an_artefact_is_told_by_its_card(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "model")
    assert "began" not in describe_start(str(folder))
    path = folder / "card.json"
    card = json.loads(path.read_text())
    card["trained_on"] = "faces; initial weights: run x, of others; flip averaging"
    path.write_text(json.dumps(card))
    assert describe_start(str(folder)).endswith("), which began with run x, of others")


@pytest.mark.parametrize(
    ("told", "first"),
    [("a; initial weights: b; c", "b"), ("initial weights: random; c", ""), ("a; c", "")],
)
def test_first_weights_are_read_from_a_card(told: str, first: str) -> None:
    assert initial_weights(told) == first


@pytest.mark.parametrize("name", ["face-flagship", "face-lite"])
def test_shipped_cards_credit_the_weights_of_others(name: str) -> None:
    card = OnnxModel(name).card
    assert CREDIT in initial_weights(card.trained_on) and "licences of its own" in card.licence
