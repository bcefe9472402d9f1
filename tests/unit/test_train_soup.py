"""One network out of several runs: the mean of their weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import SPEC

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.models.residual import ResidualSettings  # noqa: E402
from classpulse.lab.recipe import (  # noqa: E402
    Recipe,
    Schedule,
    changed_keys,
    load_recipe,
    recipe_table,
)
from classpulse.lab.train.checkpoint import load_state  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.run import train_faces  # noqa: E402
from classpulse.lab.train.soup import average_runs, describe_members  # noqa: E402
from classpulse.lab.train.sources import load_parts  # noqa: E402

torch.set_num_threads(1)
RECIPE = Recipe(
    "tiny",
    "A recipe for tests.",
    {"emotion": 1.0},
    SPEC,
    network=Choice("residual-se", ResidualSettings((8,), blocks=1, stem=8)),
    schedule=Schedule(((3, 48),), batch=8),
)


@pytest.fixture
def runs(fer: Path, tmp_path: Path) -> list[Path]:
    """A run that two others with other seeds began with, and these two."""
    made = []
    for name, seed in (("first", 1), ("a", 2), ("b", 3)):
        start = str(made[0]) if made else None
        plan = replace(RECIPE, start=start, schedule=replace(RECIPE.schedule, seed=seed))
        made.append(tmp_path / name)
        list(train_faces(plan, paths={"fer2013": fer}, votes=None, out=made[-1], resume=False))
    return made


def test_a_run_goes_on_whatever_is_made_of_it_afterwards() -> None:
    new = recipe_table(load_recipe("face-flagship"))
    assert new["averaging"]["seeds"]
    old = {**new, "averaging": {k: v for k, v in new["averaging"].items() if k != "seeds"}}
    assert changed_keys(old, new) == []
    assert changed_keys({**new, "averaging": {"decay": 0.5}}, new) != []


def average(runs: list[Path], fer: Path, out: Path, **changes: Any) -> None:
    recipe = replace(RECIPE, **{"start": str(runs[0]), **changes})
    train = load_parts(RECIPE, {"fer2013": fer}).train
    average_runs(recipe, runs[1:], train, out=out)


def test_weights_are_averaged_and_statistics_taken_anew(
    runs: list[Path], fer: Path, tmp_path: Path
) -> None:
    average(runs, fer, tmp_path / "mean")
    a, b, mean = (load_state(run / "best.pt") for run in (*runs[1:], tmp_path / "mean"))
    for name in ("stem.0.weight", "heads.emotion.bias"):
        assert not torch.equal(a[name], b[name])
        assert torch.allclose(mean[name], (a[name] + b[name]) / 2)
    moved = "stem.1.running_var"
    assert not torch.allclose(mean[moved], (a[moved] + b[moved]) / 2, rtol=1e-3)
    assert describe_members(tmp_path / "mean").endswith("mean of the weights of 2 runs, seeds 2, 3")
    assert describe_members(runs[1]) == ""


def test_a_mean_is_published_as_a_run(
    runs: list[Path], fer: Path, tmp_path: Path, command: Any
) -> None:
    average(runs, fer, tmp_path / "mean")
    recipe = tmp_path / "mean" / "recipe.json"
    words = ("--data", f"fer2013={fer}", "--run", tmp_path / "mean", "--out", tmp_path / "artefact")
    result = command("publish", recipe, *words, "--no-gate")
    assert result.code == 0, result.err
    card = json.loads((tmp_path / "artefact" / "card.json").read_text())
    assert "mean of the weights of 2 runs, seeds 2, 3" in card["trained_on"]


def test_what_cannot_be_averaged_is_refused(runs: list[Path], fer: Path, tmp_path: Path) -> None:
    out = tmp_path / "mean"
    for chosen, changes, message in (
        (runs[:2], {}, "two or more runs of tiny with seeds of their own, not those of 2"),
        ([runs[0], runs[1], runs[1]], {}, "seeds of their own, not those of 2, 2"),
        (runs, {"flip": False, "heads": {"emotion": 0.5}}, "another recipe than tiny .heads.emo"),
        ([runs[0], runs[1], tmp_path / "none"], {}, "is no run of tiny"),
    ):
        with pytest.raises(InputError, match=message):
            average(chosen, fer, out, **changes)
    with pytest.raises(InputError, match=r"a run itself: give another --out"):
        average(runs, fer, runs[1])
    assert not out.exists()


def test_runs_that_began_apart_are_refused(fer: Path, tmp_path: Path) -> None:
    made = [tmp_path / "a", tmp_path / "b"]
    for seed, run in enumerate(made):
        plan = replace(RECIPE, schedule=replace(RECIPE.schedule, seed=seed))
        list(train_faces(plan, paths={"fer2013": fer}, votes=None, out=run, resume=False))
    with pytest.raises(InputError, match=r"random weights of their own.*classpulse combine"):
        average_runs(RECIPE, made, load_parts(RECIPE, {"fer2013": fer}).train, out=tmp_path / "m")
