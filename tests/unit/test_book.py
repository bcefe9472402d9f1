"""The shipped recipes: listed, shown, copied and checked."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.book import open_recipe  # noqa: E402
from classpulse.lab.check import check_ensemble, check_recipe  # noqa: E402
from classpulse.lab.claims import Claim  # noqa: E402
from classpulse.lab.models.aieducation import format_name  # noqa: E402
from classpulse.lab.recipe import load_recipe  # noqa: E402
from classpulse.lab.recipe_file import recipe_names  # noqa: E402

torch.set_num_threads(1)
RECIPES = recipe_names()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_called_as_its_file(name: str) -> None:
    recipe = open_recipe(name)
    assert recipe.name == name and recipe.summary.endswith(".")


def test_every_model_of_aieducation_has_its_recipe() -> None:
    names = [n for n in RECIPES if n.startswith("aied-") and not n.endswith("-kfold")]
    mine = [load_recipe(name) for name in names]
    assert len(mine) == 12
    for recipe in mine:
        full = format_name(recipe.network.settings).lower().replace("_", "-")
        assert f"{recipe.name.removeprefix('aied-')}-ap20" == full
        assert recipe.claims[0].by == "source" and "state" in recipe.heads


@pytest.mark.parametrize("name", ["face-base", "aied-b16-n4-fc1-k3"])
def test_a_recipe_takes_two_steps(name: str) -> None:
    found = check_recipe(load_recipe(name))
    assert len(found.losses) == 2 and all(0 < loss < 1000 for loss in found.losses)
    assert found.losses == check_recipe(load_recipe(name)).losses  # determined by its seed


def test_an_ensemble_has_the_parameters_that_the_thesis_states() -> None:
    trio = open_recipe("thesis-ensemble-nb-2")
    assert check_ensemble(trio).parameters == 29_217_165


def test_members_of_an_ensemble_take_one_picture() -> None:
    trio = open_recipe("thesis-ensemble-nb-2")
    mixed = replace(trio, members=("thesis-cnn-1-insert", "aied-b16-n4-fc1-k3"))
    with pytest.raises(InputError, match=r"differ in \[input\] or heads"):
        check_ensemble(mixed)


def test_no_two_columns_of_the_list_touch(command: Any) -> None:
    header, *lines = command("recipes", "ls").out.splitlines()
    at = header.index("network")
    assert all(line[at - 2 : at] == "  " and line[at] != " " for line in lines)


def test_the_list_has_every_recipe_with_its_claims(command: Any) -> None:
    listed = json.loads(command("recipes", "ls", "--json").out)
    assert [one["name"] for one in listed] == RECIPES
    text = command("recipes", "ls").out
    assert all(name in text for name in RECIPES)
    assert re.search(r"0\.\d{4}  not run here", text)  # the source's number, and none of ours


def test_a_copy_can_be_changed_and_loaded(command: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    assert command("recipes", "cp", "face-base", mine).code == 0
    assert mine.read_text() == command("recipes", "show", "face-base").out
    mine.write_text(mine.read_text().replace('name = "face-base"', 'name = "mine"'))
    assert load_recipe(str(mine)).name == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "none"), "no recipe 'none'; shipped: aied-"),
        (("cp", "none", "x.toml"), "no recipe 'none'"),
        (("cp", "face-base", "mine.txt"), "needs the ending .toml"),
        (("check", "none"), "no recipe 'none'"),
    ],
)
def test_wrong_words_are_one_line(command: Any, words: tuple[str, ...], message: str) -> None:
    result = command("recipes", *words)
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1


def test_a_file_is_not_overwritten(command: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("mine")
    result = command("recipes", "cp", "face-base", tmp_path / "mine.toml")
    assert result.code == 3 and "exists already" in result.err
    assert (tmp_path / "mine.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"by": "them"}, "by 'source' or 'ours', not 'them'"),
        ({"value": 58.25}, "value = 58.25: needs a number from 0 to 1"),
        ({"high": float("nan")}, "high = nan"),
    ],
)
def test_a_claim_is_a_share_by_somebody(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Claim(**{"by": "ours", "metric": "accuracy", "data": "x", "value": 0.5} | fields)


def test_a_family_is_drawn_against_the_settings_in_which_it_differs(
    command: Any, tmp_path: Path
) -> None:
    drawn = command("recipes", "plot", "aied-b", "--out", tmp_path / "study.svg")
    assert drawn.code == 0, drawn.err
    svg = (tmp_path / "study.svg").read_text()
    assert all(name in svg for name in ("channels", "blocks", "kernel", "accuracy"))


@pytest.mark.parametrize("prefix", ["thesis-cnn", "face-", "none-"])
def test_what_is_no_family_is_not_drawn(command: Any, tmp_path: Path, prefix: str) -> None:
    result = command("recipes", "plot", prefix, "--out", tmp_path / "study.png")
    assert result.code == 3 and "needs two or more of one kind" in result.err
