"""Where a recipe is written: extension, changes, and the copy that a run keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.recipe import changed_keys, load_recipe, recipe_table  # noqa: E402
from classpulse.lab.recipe_file import (  # noqa: E402
    is_classic,
    is_ensemble,
    is_of_text,
    read_table,
    recipe_names,
)


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text)


def test_a_recipe_adds_to_what_it_extends(tmp_path: Path) -> None:
    write(
        tmp_path,
        below='name = "below"\nbalance = "insert"\n[schedule]\nbatch = 32\nseed = 1\n'
        '[[claims]]\nby = "ours"\n',
        above='extends = "below.toml"\nname = "above"\n[schedule]\nseed = 2\n',
    )
    assert read_table(str(tmp_path / "above.toml")) == {
        "name": "above",
        "balance": "insert",
        "schedule": {"batch": 32, "seed": 2},
    }


def test_another_kind_begins_its_table_anew(tmp_path: Path) -> None:
    write(
        tmp_path,
        below='[optimizer]\nkind = "adam"\neps = 1e-7\n[rate]\nkind = "plateau"\nlr = 1e-4\n',
        above='extends = "below.toml"\n[optimizer]\nkind = "sgd"\n[rate]\nlr = 1e-3\n',
    )
    table = read_table(str(tmp_path / "above.toml"))
    assert table["optimizer"] == {"kind": "sgd"}
    assert table["rate"] == {"kind": "plateau", "lr": 1e-3}


def test_a_recipe_of_mine_may_extend_a_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, mine='extends = "face-base"\nname = "mine"\nsummary = "Mine."\n')
    mine, shipped = load_recipe(str(tmp_path / "mine.toml")), load_recipe("face-base")
    assert mine.network == shipped.network and mine.claims == () != shipped.claims


def test_a_circle_is_named(tmp_path: Path) -> None:
    write(tmp_path, a='extends = "b.toml"\n', b='extends = "a.toml"\n')
    with pytest.raises(InputError, match=r"extends itself: .*a\.toml -> b\.toml -> a\.toml"):
        read_table(str(tmp_path / "a.toml"))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("schedule.batch=32", ("schedule", "batch", 32)),
        ("schedule.sides = [[2, 48]]", ("schedule", "sides", [[2, 48]])),
        ("balance=sampler", ("balance", None, "sampler")),
        ('data.split="paper"', ("data", "split", "paper")),
    ],
)
def test_a_change_is_a_key_and_a_value(change: str, found: tuple[str, str | None, Any]) -> None:
    table = read_table("thesis-cnn-1-insert", changes=[change])
    key, inner, value = found
    assert (table[key] if inner is None else table[key][inner]) == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("schedule.batch", "needs KEY=VALUE"),
        (".batch=3", "needs KEY=VALUE"),
        ("schedule.batches=3", r"unknown \['batches'\]; known: .*batch"),
        ("schedule.batch=many", "schedule: batch: expected int, found 'many'"),
        ("network.kind=cnn-9", "unknown model 'cnn-9'"),
        ('averaging.runs=["runs/face-lite"]', "averaging.runs is for texts"),
    ],
)
def test_a_wrong_change_is_refused(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("face-base", changes=[change])


OTHERS = (is_ensemble, is_classic, is_of_text)
NETWORKS = [n for n in recipe_names() if not any(kind(read_table(n)) for kind in OTHERS)]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_copy_of_a_run_is_the_recipe(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    kept = tmp_path / "recipe.json"
    kept.write_text(json.dumps(recipe_table(recipe)))
    assert load_recipe(str(kept)) == recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "is not valid JSON"), ("[]", "expected a table, found list")],
)
def test_a_broken_copy_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(str(tmp_path / "recipe.json"))


def test_changed_keys_are_those_that_train_otherwise() -> None:
    one = recipe_table(load_recipe("thesis-cnn-1-insert"))
    other = recipe_table(load_recipe("thesis-cnn-1-weights"))
    assert changed_keys(one, other) == ["augment.rotation", "balance", "schedule.sides"]
    assert changed_keys(one, one) == []


def test_an_empty_value_is_like_none_and_zero_is_not() -> None:
    teach = {"teachers": ["face-base"], "share": 0.5}
    for empty in ([], {}, "", None):
        assert changed_keys({"teach": teach}, {"teach": teach | {"heads": empty}}) == []
        assert changed_keys({}, {"start": empty}) == []
    for value in (["state"], 0, False):
        assert changed_keys({"teach": teach}, {"teach": teach | {"heads": value}}) == [
            "teach.heads"
        ]
        assert changed_keys({}, {"start": value}) == ["start"]


def test_a_taught_run_from_before_heads_were_chosen_goes_on() -> None:
    changes = ['teach.teachers=["face-base"]']
    now = json.loads(json.dumps(recipe_table(load_recipe("face-base", changes=changes))))
    before = now | {"teach": {k: v for k, v in now["teach"].items() if k != "heads"}}
    assert before != now and changed_keys(before, now) == []
