"""From recipes to members to one ensemble, by the commands, and claims about what came out."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import SPEC_TOML
from data_files import write_fer

torch = pytest.importorskip("torch")

from classpulse.core.card import ModelCard, load_card  # noqa: E402
from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.claims import Claim, claims_toml, pick_claim  # noqa: E402
from classpulse.lab.ensemble.recipe import (  # noqa: E402
    EnsembleRecipe,
    ensemble_table,
    load_ensemble_recipe,
)
from classpulse.lab.publish import publish  # noqa: E402
from classpulse.lab.recipe import load_recipe  # noqa: E402
from classpulse.lab.recipe_file import is_ensemble, read_table, recipe_names  # noqa: E402
from classpulse.lab.train.run import train_faces  # noqa: E402
from classpulse.runtime.model import OnnxModel  # noqa: E402

torch.set_num_threads(1)

ENSEMBLES = [name for name in recipe_names() if is_ensemble(read_table(name))]
NETWORK = """
heads = {{ emotion = 1.0 }}
flip = {flip}
name = "{name}"
summary = "A recipe for tests."
{spec}[network]
widths = [8, 8, 16, 16]
blocks = 1
stem = 4
[schedule]
sides = [[1, 48]]
batch = 8
seed = {seed}
"""
ENSEMBLE = """
name = "both"
summary = "An ensemble for tests."
members = ["two", "one"]
[rule]
kind = "weighted"
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained and published networks, and the recipe of an ensemble of them."""
    folder = tmp_path_factory.mktemp("ensemble")
    paths = {"fer2013": write_fer(folder / "fer2013.csv.gz")}
    for seed, name in enumerate(("one", "two")):
        text = NETWORK.format(
            name=name, seed=seed, flip="true" if seed else "false", spec=SPEC_TOML
        )
        (folder / f"{name}.toml").write_text(text)
        recipe, run = load_recipe(str(folder / f"{name}.toml")), folder / "runs" / name
        for _ in train_faces(recipe, paths=paths, votes=None, out=run, resume=False):
            pass
        publish(recipe, run, paths=paths, votes=None, out=folder / name)
    (folder / "both.toml").write_text(ENSEMBLE)
    return folder


def combine(command: Any, made: Path, fer: Path, *words: Any) -> Any:
    return command("combine", made / "both.toml", "--data", f"fer2013={fer}", *words)


def test_members_become_one_artefact(command: Any, made: Path, fer: Path, tmp_path: Path) -> None:
    members = ("--member", made / "one", "--member", made / "two")
    result = combine(command, made, fer, *members, "--out", tmp_path / "both")
    assert result.code == 0, result.err
    card = load_card(tmp_path / "both" / "card.json")
    assert card.trained_on.startswith("Ensemble of two (sha256 ")  # in the recipe's order
    assert {m.data for m in card.metrics} == {
        "FER2013 PublicTest", "FER2013 PrivateTest", "FER2013 PublicTest without repeats"
    }  # fmt: skip
    evaluated = json.loads(command("evaluate", tmp_path / "both", fer, "--json").out)
    first = next(m for m in card.metrics if m.data == "FER2013 PublicTest")
    assert evaluated["accuracy"] == first.value and f"{first.value:.4f}" in result.out
    like = ("--like", tmp_path / "both")
    again = combine(command, made, fer, *members, *like, "--out", tmp_path / "again")
    assert again.code == 0, again.err
    graphs = [(tmp_path / name / "model.onnx").read_bytes() for name in ("both", "again")]
    assert graphs[0] == graphs[1]
    like = ("--like", made / "one")
    other = combine(command, made, fer, *members, *like, "--out", tmp_path / "other")
    assert other.code == 4 and "both gives another file than" in other.err
    assert not (tmp_path / "other").exists()


def test_every_member_is_needed_once(command: Any, made: Path, fer: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for file in ("card.json", "model.onnx"):
        (other / file).write_bytes((made / "one" / file).read_bytes())
    card = json.loads((other / "card.json").read_text())
    (other / "card.json").write_text(json.dumps(card | {"recipe": "strange"}))
    words = ("--member", other, "--member", made / "two", "--out", tmp_path / "both")
    result = combine(command, made, fer, *words)
    assert result.code == 3 and "is of two, one; given are strange, two" in result.err
    assert not (tmp_path / "both").exists()


def test_a_run_is_exported_without_data(command: Any, made: Path, tmp_path: Path) -> None:
    result = command("export", made / "runs" / "one", "--out", tmp_path / "raw")
    assert result.code == 0 and "not calibrated, not measured" in result.out
    card = load_card(tmp_path / "raw" / "card.json")
    assert card.metrics == () and card.heads[0].temperature == 1
    assert card.limits[0].startswith("Not calibrated, no quality gate, never measured")
    x = np.zeros((1, 1, 48, 48), dtype=np.float32)
    folders = (tmp_path / "raw", made / "one")
    raw, heated = (OnnxModel(str(f)).predict(x)["emotion"].probs for f in folders)
    assert raw.argmax() == heated.argmax() and not np.allclose(raw, heated, atol=1e-6)


def test_what_is_no_run_cannot_be_exported(command: Any, made: Path, tmp_path: Path) -> None:
    none = command("export", tmp_path, "--out", tmp_path / "raw")
    assert none.code == 3 and "cannot read recipe" in none.err
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_bytes((made / "runs" / "one" / "recipe.json").read_bytes())
    (run / "best.pt").write_bytes(b"no weights")
    broken = command("export", run, "--out", tmp_path / "raw")
    assert broken.code == 3 and "best.pt is damaged or of another recipe" in broken.err


def test_our_claims_come_from_card_and_log(command: Any, made: Path, tmp_path: Path) -> None:
    words = (made / "one", made / "runs" / "one", "--hardware", "a test")
    tables = tomllib.loads(command("recipes", "claim", *words).out)["claims"]
    card: ModelCard = load_card(made / "one" / "card.json")
    first = next(m for m in card.metrics if m.name == "accuracy")
    assert (tables[0]["value"], tables[0]["n"]) == (first.value, first.n)
    assert tables[0]["seeds"] == [0] and tables[0]["commit"] == card.commit
    again = tmp_path / "one.toml"
    again.write_text((made / "one.toml").read_text() + command("recipes", "claim", *words).out)
    assert len(load_recipe(str(again)).claims) == len(tables)
    both = command("recipes", "claim", *words[:2], made / "runs" / "two", *words[2:])
    assert tomllib.loads(both.out)["claims"][0]["seeds"] == [0, 1]
    nowhere = command("recipes", "claim", made / "one", tmp_path, "--hardware", "a test")
    assert nowhere.code == 3 and nowhere.err.count("\n") == 1


def test_a_classical_pipeline_claims_without_runs(command: Any, made: Path, tmp_path: Path) -> None:
    card = json.loads((made / "one" / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps(card | {"recipe": "paper_cnn_pca_svm"}))
    words = ("recipes", "claim", tmp_path, "--hardware", "a test")
    claims = tomllib.loads(command(*words, "--minutes", "7").out)["claims"]
    assert claims[0]["seeds"] == [42] and claims[0]["minutes"] == 7
    both = command(*words, tmp_path, "--minutes", "7")
    assert both.code == 3 and "leave --minutes out" in both.err
    unsaid = command(*words)
    assert unsaid.code == 3 and "needs --minutes" in unsaid.err
    (tmp_path / "card.json").write_text(json.dumps(card | {"recipe": "face-base"}))
    networks = command(*words, "--minutes", "7")
    assert networks.code == 3 and "give the folders of its runs" in networks.err


def test_a_claim_is_found_by_party_and_metric() -> None:
    claims = tuple(Claim(by, "accuracy", "x", v) for by, v in (("source", 0.1), ("ours", 0.2)))
    found = pick_claim(claims, "ours")
    assert found is not None and found.value == 0.2
    assert pick_claim(claims, "ours", metric="macro_f1") is None
    noted = replace(claims[0], note='with "quotes"', data="ü")
    assert tomllib.loads(claims_toml([noted]))["claims"][0]["note"] == 'with "quotes"'


# --- the shipped ensembles ---------------------------------------------------------------------


def test_the_thesis_has_its_ten_ensembles() -> None:
    tables = [name for name in ENSEMBLES if "-fer-" in name or "-ck-" in name]
    assert len(tables) == 10
    best = load_ensemble_recipe("thesis-ensemble-ck-6")
    assert len(best.members) == 6 and best.claims[0].value == 0.7036


@pytest.mark.parametrize("name", ENSEMBLES)
def test_the_members_are_recipes_with_one_input(name: str) -> None:
    recipe = load_ensemble_recipe(name)
    assert recipe.name == name and recipe.claims
    members = [load_recipe(member) for member in recipe.members]
    assert len({member.input for member in members}) == 1
    assert {member.data.split for member in members} == {recipe.data.split}
    assert ensemble_table(recipe)["rule"]["kind"] == recipe.rule.kind


def test_an_ensemble_is_of_different_members() -> None:
    with pytest.raises(InputError, match="needs two or more members, each once"):
        EnsembleRecipe("x", "x", ("a", "a"))


NB_1 = "thesis-ensemble-nb-1"
MEMBER = ("--member", "a", "--out", "x")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", NB_1, "--run", "x"), "is of an ensemble: use classpulse combine"),
        (("combine", "face-base", *MEMBER), "has no members: use classpulse train"),
        (("combine", NB_1, "--set", "rule.kind=vote", *MEMBER), "unknown ensemble rule 'vote'"),
    ],
)
def test_the_wrong_command_is_told_the_right_one(
    command: Any, words: tuple[str, ...], message: str
) -> None:
    result = command(*words, "--data", "fer2013=x.csv")
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1
