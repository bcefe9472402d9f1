"""What comes before a recipe, as commands, and the command that runs them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from classpulse.core.errors import InputError
from classpulse.lab import chain
from classpulse.lab.book import open_recipe
from classpulse.lab.chain import Given, parse_changes, plan_chain
from classpulse.lab.train.teach import Teaching

RUNS = Path("runs")
FACES = {"fer2013": Path("fer2013.csv")}
TEXTS = {name: Path(f"{name}.csv") for name in ("isear", "meld", "goemotions")}


def planned(name: str, data: dict[str, Path], **more: Any) -> list[tuple[str, ...]]:
    return plan_chain(name, Given(data, None, RUNS, **more))


def heads(commands: list[tuple[str, ...]]) -> list[str]:
    return [" ".join(command[:2]) for command in commands]


def test_a_run_comes_before_what_starts_from_it() -> None:
    commands = plan_chain("face-flagship", Given(FACES, Path("votes.csv"), RUNS))
    first, second, _, fourth, again, mean, last = commands
    assert first[:2] == ("train", "face-mobilenet") and "--resume" in first
    assert second[:2] == ("train", "face-mobilenet-2") and 'start="runs/face-mobilenet"' in second
    assert fourth[:2] == ("train", "face-flagship") and 'start="runs/face-mobilenet-2"' in fourth
    assert 'teach.teachers=["face-base", "runs/face-mobilenet-2/artefact"]' in fourth
    seeded = ("--set", "schedule.seed=43", "--run", "runs/face-flagship-43", "--resume")
    assert again[:2] == ("train", "face-flagship") and again[-5:] == seeded
    assert mean[:4] == ("average", "face-flagship", "runs/face-flagship", "runs/face-flagship-43")
    assert mean[-2:] == ("--out", "runs/face-flagship-mean")
    assert last[last.index("--run") + 1] == "runs/face-flagship-mean"
    assert last[:2] == ("publish", "face-flagship") and last[-2:] == (
        "--out",
        "runs/face-flagship/artefact",
    )
    assert all("votes.csv" in command for command in commands)


def test_teachers_that_are_not_shipped_are_made_first() -> None:
    commands = planned("text-emotion", TEXTS)
    assert heads(commands) == [
        "train text-further",
        "train text-large-1",
        "publish text-large-1",
        "train text-large",
        "average text-large",
        "publish text-large",
        "train text-pupil",
        "train text-pupil-2",
        "train text-pupil-3",
        "train text-emotion",
        "publish text-emotion",
    ]
    assert 'teach.teachers=["runs/text-large-1/artefact"]' in commands[3]
    assert commands[4][2:4] == ("runs/text-large", "runs/text-large-1")
    assert commands[5][commands[5].index("--run") + 1] == "runs/text-large-mean"
    for command in commands[6:]:
        assert 'teach.teachers=["runs/text-large/artefact"]' in command
        assert 'hint.run="runs/text-large-mean"' in command
    assert 'start="runs/text-pupil"' in commands[7]
    assert 'start="runs/text-pupil-2"' in commands[8]
    assert 'start="runs/text-pupil-3"' in commands[9]


def test_shipped_teachers_and_members_are_taken_as_they_are() -> None:
    [only] = planned("face-ensemble", FACES)
    assert only[0] == "combine" and {"face-base", "face-flagship", "face-lite"} < set(only)
    lite = planned("face-lite", FACES)
    assert "train face-base" not in heads(lite)
    [training] = [command for command in lite if command[:2] == ("train", "face-lite")]
    assert 'start="runs/face-flagship-mean"' in training  # not one of the runs it is the mean of


def test_from_scratch_makes_what_is_shipped_too() -> None:
    commands = planned("face-ensemble", FACES, from_scratch=True)
    assert {"train face-base", "publish face-base", "publish face-flagship"} <= set(heads(commands))
    assert heads(commands)[-1] == "combine face-ensemble"
    assert "runs/face-base/artefact" in commands[-1] and "face-base" not in commands[-1]
    taught, _ = [c for c in commands if c[:2] == ("train", "face-flagship")]
    teachers = '["runs/face-base/artefact", "runs/face-mobilenet-2/artefact"]'
    assert f"teach.teachers={teachers}" in taught
    assert heads(commands).index("publish face-base") < commands.index(taught)


@pytest.mark.parametrize(
    ("changed", "circle"),
    [
        ({"face-base": {"start": "runs/face-base"}}, "face-base needs face-base:"),
        ({"face-base": {"teach": Teaching(("face-base",))}}, "face-base needs face-base:"),
        (
            {"face-base": {"start": "face-mobilenet"}, "face-mobilenet": {"start": "face-base"}},
            "face-base needs face-mobilenet needs face-base:",
        ),
    ],
)
def test_recipes_that_need_themselves_are_refused(
    changed: dict[str, Any], circle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_changed(name: str) -> Any:
        return replace(open_recipe(name), **changed.get(name, {}))

    monkeypatch.setattr(chain, "open_recipe", open_changed)
    with pytest.raises(InputError, match=f"^{circle} a recipe cannot start from"):
        planned("face-base", FACES, from_scratch=True)


def test_members_that_are_not_shipped_are_published() -> None:
    commands = planned("thesis-ensemble-nb-1", FACES)
    assert heads(commands)[:2] == ["train thesis-cnn-1-insert", "publish thesis-cnn-1-insert"]
    assert heads(commands)[-1] == "combine thesis-ensemble-nb-1"
    assert "runs/thesis-cnn-2-weights/artefact" in commands[-1]


def test_what_has_no_epochs_has_its_own_commands() -> None:
    assert heads(planned("text-tfidf-5", TEXTS)) == ["train text-tfidf-5"]
    assert heads(planned("paper_cnn_pca_svm", FACES)) == ["classic paper_cnn_pca_svm"]


def test_changes_reach_the_recipe_that_they_name() -> None:
    words = ["text-large:network.encoder=FOLDER", "schedule.epochs=1"]
    changes = parse_changes("text-emotion", words)
    commands = planned("text-emotion", TEXTS, changes=changes)
    changed = {" ".join(c[:2]): [w for w in c if w in words or "FOLDER" in w] for c in commands}
    assert changed["train text-large"] == ["network.encoder=FOLDER"]
    assert changed["train text-emotion"] == ["schedule.epochs=1"]
    assert changed["train text-further"] == []
    with pytest.raises(InputError, match="text-emotion is made from text-further, text-large"):
        planned("text-emotion", TEXTS, changes={"face-base": ["a=1"]})


def test_data_that_a_link_needs_must_be_there() -> None:
    with pytest.raises(InputError, match=r"need --data goemotions=PATH --data meld=PATH too"):
        planned("text-emotion", {"isear": Path("isear.csv")})


def test_the_command_shows_its_plan(command: Any) -> None:
    words = ("reproduce", "face-flagship", "--data", "fer2013=x.csv", "--runs", "r", "--plan")
    lines = command(*words).out.splitlines()
    assert len(lines) == 7 and lines[0].startswith("$ classpulse train face-mobilenet --data")


def test_the_command_stops_at_the_first_that_fails(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [("recipes", "show", "face-base"), ("recipes", "show", "nothing"), ("recipes", "ls")]
    monkeypatch.setattr(chain, "plan_chain", lambda name, given: steps)
    result = command("reproduce", "face-base", "--data", "fer2013=x.csv")
    assert result.code != 0 and "no recipe 'nothing'" in result.err
    assert 'name = "face-base"' in result.out and "recipes ls" not in result.out
