"""What a recipe learns from: sets by name, splits by protocol, and the way to an artefact."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import pytest
from builders import SPEC, tiny_recipe
from data_files import pictures

torch = pytest.importorskip("torch")

from classpulse.core.card import Head, load_card, save_card  # noqa: E402
from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.recipe import DataSpec, Recipe, recipe_table  # noqa: E402
from classpulse.lab.train.run import train_parts  # noqa: E402
from classpulse.lab.train.sources import FaceParts, load_parts, parse_paths  # noqa: E402

torch.set_num_threads(1)

RECIPE = Recipe("tiny", "A recipe for tests.", {"emotion": 1.0}, SPEC)


def write_ck(folder: Path) -> Path:
    """CK+48 in small: two people, anger and contempt."""
    for i, image in enumerate(pictures(12, seed=5)):
        kind = "contempt" if i % 3 == 0 else "anger"
        (folder / kind).mkdir(parents=True, exist_ok=True)
        name = f"S{10 + i % 2:03d}_{i:03d}_00000001.png"
        cv2.imwrite(str(folder / kind / name), image)
    return folder


def with_data(**how: Any) -> Recipe:
    return replace(RECIPE, data=DataSpec(**how))


def test_the_official_parts_keep_their_names(fer: Path, ferplus: Path) -> None:
    parts = load_parts(RECIPE, {"fer2013": fer}, ferplus)
    assert parts.test is not None and parts.train.votes is not None
    named = {part.name: len(part) for part in (parts.train, parts.valid, parts.test)}
    assert named == {"FER2013 Training": 23, "FER2013 PublicTest": 6, "FER2013 PrivateTest": 6}


def test_a_blank_picture_is_kept_where_it_judges(fer: Path) -> None:
    parts = load_parts(RECIPE, {"fer2013": fer})
    assert 2 not in parts.train.row and len(parts.valid) == 6


def test_repeats_are_left_out_on_request(fer: Path) -> None:
    clean = load_parts(with_data(dedup=True), {"fer2013": fer}).train
    assert not {0, 1} & set(clean.row.tolist()) and clean.name.endswith("without 2 repeats")


def test_a_split_by_protocol_has_its_name(fer: Path, ferplus: Path) -> None:
    recipe = replace(with_data(split="aieducation"), heads={"state": 1.0})
    parts = load_parts(recipe, {"fer2013": fer}, ferplus)
    assert parts.valid.name == "FER2013 valid of aieducation"
    labelled = len(parts.train) + len(parts.valid) + len(parts.test or ())
    assert labelled in (27, 26)  # three of four rows have a state; a blank one may be in train


def test_further_sets_join_the_training_part_before_the_split(fer: Path, tmp_path: Path) -> None:
    paths = {"fer2013": fer, "ckplus": write_ck(tmp_path / "ck")}
    both = with_data(sets=("fer2013", "ckplus"), split="thesis-stratified")
    parts = load_parts(both, paths)
    assert parts.train.name == "FER2013 + CK+48 train of thesis-stratified"
    learned = len(parts.train) + len(parts.valid)
    assert learned in (24 + 8, 24 + 8 - 1)  # contempt is dropped; the blank one if in train
    assert parts.test is not None and len(parts.test) == 12


def test_further_sets_may_be_for_training_only(fer: Path, tmp_path: Path) -> None:
    both = with_data(sets=("fer2013", "ckplus"), split="thesis-own-valid")
    paths = {"fer2013": fer, "ckplus": write_ck(tmp_path / "ck")}
    parts = load_parts(both, paths)
    alone = load_parts(with_data(split="thesis-own-valid"), {"fer2013": fer})
    assert parts.valid.row.tolist() == alone.valid.row.tolist()
    assert parts.valid.images.tolist() == alone.valid.images.tolist()
    assert len(parts.train) == len(alone.train) + 8


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"sets": ("fer2013", "rafdb")}, "needs --data fer2013=PATH --data rafdb=PATH, not fer201"),
        ({"split": "paper"}, "gives no part 'valid' to choose the epoch on; it gives train, test"),
    ],
)
def test_what_cannot_be_loaded_is_said(fer: Path, how: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_parts(with_data(**how), {"fer2013": fer})


def test_a_head_needs_its_votes(fer: Path) -> None:
    with pytest.raises(InputError, match=r"needs FER\+ votes"):
        load_parts(replace(RECIPE, heads={"votes": 1.0}), {"fer2013": fer})


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv does not exist"):
        load_parts(RECIPE, {"fer2013": tmp_path / "none.csv"})


def test_an_unknown_split_lists_the_known(fer: Path) -> None:
    with pytest.raises(InputError, match="unknown split protocol 'mine'; known: official"):
        with_data(split="mine")


def test_paths_by_name() -> None:
    assert parse_paths(["a=b=c.csv", "d=e"]) == {"a": Path("b=c.csv"), "d": Path("e")}


@pytest.mark.parametrize("words", [["a"], ["a="], ["=b"], ["a=b", "a=c"]])
def test_a_path_without_a_name_is_refused(words: list[str]) -> None:
    with pytest.raises(InputError, match="needs NAME=PATH, each name once"):
        parse_paths(words)


TOML = tiny_recipe(2)


def heated(heads: tuple[Head, ...]) -> tuple[Head, ...]:
    return tuple(replace(head, temperature=head.temperature + 0.1) for head in heads)


def test_from_a_recipe_to_an_artefact_that_is_evaluated(
    command: Any, fer: Path, tmp_path: Path
) -> None:
    recipe, run, out = tmp_path / "tiny.toml", tmp_path / "run", tmp_path / "out"
    recipe.write_text(TOML)
    words = (recipe, "--data", f"fer2013={fer}", "--run", run)
    trained = command("train", *words)
    assert trained.code == 0 and trained.out.count("\n") == 2, trained.err
    assert json.loads((run / "recipe.json").read_text())["data"]["split"] == "official"
    published = command("publish", *words, "--out", out)
    assert published.code == 0, published.err
    card = load_card(out / "card.json")
    assert card.trained_on.startswith("FER2013 Training (23 pictures that are not blank); epoch,")
    judged = [m.data for m in card.metrics if m.name == "accuracy"]
    fresh = "FER2013 PublicTest without repeats"
    assert judged == ["FER2013 PrivateTest", "FER2013 PublicTest", fresh]
    assert any(
        limit.startswith("1 of the 6 pictures of FER2013 PublicTest") for limit in card.limits
    )
    again = command("export", run, "--out", tmp_path / "again", "--like", out)
    assert again.code == 0 and f"sha256 {card.sha256}" in again.out
    for name in ("model.onnx", "card.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    save_card(replace(card, heads=heated(card.heads)), out / "card.json")
    other = command("export", run, "--out", tmp_path / "other", "--like", out)
    assert other.code == 4 and "gives another file than" in other.err
    assert not (tmp_path / "other").exists()
    save_card(card, out / "card.json")
    result = json.loads(command("evaluate", out, fer, "--json").out)
    stated = next(m for m in card.metrics if m.data == "FER2013 PublicTest")
    assert (result["n"], result["accuracy"]) == (6, stated.value) and stated.name == "accuracy"


def test_an_interrupted_publish_leaves_the_old_artefact(
    command: Any, fer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    words = (tmp_path / "tiny.toml", "--data", f"fer2013={fer}", "--run", tmp_path / "run")
    assert command("train", *words).code == 0
    out = tmp_path / "out"
    assert command("publish", *words, "--out", out, "--no-gate").code == 0

    def interrupt(*given: Any) -> Any:
        raise KeyboardInterrupt

    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert set(before) == {"model.onnx", "card.json"}
    monkeypatch.setattr("classpulse.lab.publish.judge_parts", interrupt)
    words = (*words, "--no-gate", "--set", "flip=true", "--out")
    assert command("publish", *words, out).code == 130
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert command("publish", *words, tmp_path / "new").code == 130
    assert not (tmp_path / "new").exists()


def test_options_for_texts_are_refused(command: Any, fer: Path, tmp_path: Path) -> None:
    words = ("--data", f"fer2013={fer}", "--run", tmp_path, "--out", tmp_path / "out")
    result = command("publish", "face-base", *words, "--precision", "int8")
    assert (
        result.code == 3 and "face-base is for faces: --precision is for texts only" in result.err
    )


def test_a_run_in_a_place_that_is_a_file_is_one_line(
    command: Any, fer: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    words = ("train", tmp_path / "tiny.toml", "--data", f"fer2013={fer}", "--run")
    result = command(*words, tmp_path / "tiny.toml" / "run")
    assert result.code == 5 and "is a file, not a folder" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("split", "other", "message"),
    [
        ("aieducation", DataSpec(("fer2013",), "aieducation"), r"other rows \(data\.sets\)"),
        ("aieducation", DataSpec(), r"other rows \(data\.split, data\.sets\)"),
        ("official", DataSpec(), r"best\.pt does not exist"),  # its parts are the publishers'
    ],
)
def test_weights_that_may_know_the_validation_part_are_no_start(
    split: str, other: DataSpec, message: str, tmp_path: Path
) -> None:
    table = recipe_table(replace(RECIPE, data=other))
    (tmp_path / "recipe.json").write_text(json.dumps(table))
    later = replace(with_data(sets=("fer2013", "ckplus"), split=split), start=str(tmp_path))
    parts = cast(FaceParts, None)  # what is refused is refused before they are looked at
    with pytest.raises(InputError, match=message):
        next(train_parts(later, parts, out=tmp_path / "run", resume=False))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "x"), "--data x: needs NAME=PATH"),
        (("--data", "other=x.csv"), "needs --data fer2013=PATH, not other"),
    ],
)
def test_a_wrong_source_is_one_line(
    command: Any, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = command("train", "face-base", *words, "--run", tmp_path / "run")
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1


def test_a_run_is_gone_on_from_only_when_told_and_with_its_recipe(
    command: Any, fer: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(TOML)
    words = ["train", tmp_path / "tiny.toml", "--data", f"fer2013={fer}", "--run", tmp_path / "run"]
    assert command(*words, "--set", "schedule.batch=4").code == 0
    again = command(*words)
    assert again.code == 3 and "go on with --resume, or give another --run" in again.err
    other = command(*words, "--resume")
    assert other.code == 3 and "begun with another recipe (schedule.batch)" in other.err
    done = command(*words, "--resume", "--set", "schedule.batch=4")
    assert done.code == 0 and not done.out


def test_nothing_is_published_before_it_is_trained(command: Any, fer: Path, tmp_path: Path) -> None:
    words = ("--data", f"fer2013={fer}", "--run", tmp_path, "--out", tmp_path / "out")
    result = command("publish", "face-base", *words)
    assert result.code == 3 and "train first, classpulse train face-base" in result.err


def test_too_few_people_cannot_be_split(tmp_path: Path) -> None:
    recipe = with_data(sets=("ckplus",), split="subject-disjoint")
    with pytest.raises(InputError, match=r"CK\+48 cannot be split by 'subject-disjoint'"):
        load_parts(recipe, {"ckplus": write_ck(tmp_path / "ck")})
