"""Search spaces, trials that survive a kill, pruning, and the plots of a study."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_data import write_recipe, write_stripes

torch = pytest.importorskip("torch")
optuna = pytest.importorskip("optuna")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.records import Interval  # noqa: E402
from classpulse.lab.evaluate import plots_study  # noqa: E402
from classpulse.lab.evaluate.figures import render_svg  # noqa: E402
from classpulse.lab.models import thesis  # noqa: E402
from classpulse.lab.models.base import count_parameters  # noqa: E402
from classpulse.lab.recipe import Recipe, load_recipe  # noqa: E402
from classpulse.lab.recipe_file import recipe_names  # noqa: E402
from classpulse.lab.search import epochs as epochs_of  # noqa: E402
from classpulse.lab.search import search as search_module  # noqa: E402
from classpulse.lab.search.plan import SearchPlan, shorten  # noqa: E402
from classpulse.lab.search.records import (  # noqa: E402
    StudyRow,
    TrialRecord,
    best_trial,
    rows_from_claims,
)
from classpulse.lab.search.results import load_records  # noqa: E402
from classpulse.lab.search.search import search_faces  # noqa: E402
from classpulse.lab.search.space import SPACES, suggest_tuned  # noqa: E402
from classpulse.lab.search.storage import iterate_trials, open_study  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.run import build_network  # noqa: E402
from classpulse.lab.train.schedule import SCHEDULES, OneCycle  # noqa: E402

torch.set_num_threads(1)

# --- spaces --------------------------------------------------------------------------------------

BLOCKS = (  # best trial of the source, with the values of blocks 5 and 6 it left unused
    (448, 224, 0.4),
    (128, 288, 0.1),
    (32, 416, 0.4),
    (96, 224, 0.3),
    (64, 416, 0.1),
    (480, 160, 0.4),
)


def keras_values(layers: int, blocks: tuple[tuple[int, int, float], ...] = BLOCKS) -> Any:
    """A trial with the source's values in all blocks, active or not."""
    values: dict[str, float] = {"num_layers": layers}
    for i, (a, b, p) in enumerate(blocks):
        values |= {f"units1_{i}": a, f"units2_{i}": b, f"dropout_{i}": p}
    return optuna.trial.FixedTrial(values)


def test_the_best_trial_of_the_source_is_kt_1_and_its_unused_blocks_make_kt_2() -> None:
    assert suggest_tuned(keras_values(4), l2=0.0) == thesis.KT_1
    assert suggest_tuned(keras_values(6), l2=0.0) == thesis.KT_2


def test_the_space_gives_the_networks_of_the_source() -> None:
    space, recipe = SPACES.get("thesis-keras-tuner"), load_recipe("thesis-kt-1-insert")
    found = space.apply(keras_values(4), recipe)
    assert count_parameters(build_network(found)) == 4_339_847
    assert found.network.settings.dense[0].l2 == 0.01  # as searched; KT-1 was trained without
    assert found.optimizer == recipe.optimizer and found.rate.settings.lr_at(0, 300) == 1e-4
    blocks = ((64, 288, 0.2), (160, 160, 0.4), (288, 256, 0.2), (96, 224, 0.4))
    assert space.apply(keras_values(4, blocks), recipe).network.settings == thesis.KT_W


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_draw_of_the_source_s_space_is_in_its_grid(seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    stack = suggest_tuned(study.ask())
    assert 2 <= len(stack.blocks) <= 6
    for block in stack.blocks:
        assert block.dropout in (0.1, 0.2, 0.3, 0.4, 0.5)
        assert [conv.norm for conv in block.convs] == [False, True]
        assert all(c.width % 32 == 0 and 32 <= c.width <= 512 for c in block.convs)
        assert all(c.l2 == 0.01 and c.kernel == 3 and not c.valid for c in block.convs)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(list(SCHEDULES)), st.integers(0, 2**32 - 1))
def test_the_schedule_space_fits_every_schedule(kind: str, seed: int) -> None:
    base = load_recipe("face-base")
    recipe = replace(base, rate=Choice(kind, SCHEDULES.get(kind)()))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    found = SPACES.get("schedule").apply(trial, recipe)
    factor = trial.params["lr_factor"]
    assert 0.1 <= factor <= 10 and found.schedule.batch in (32, 64, 128)
    before, after = (r.rate.settings.lr_at(9.0, 25) for r in (recipe, found))
    assert after == pytest.approx(factor * before)
    assert (found.network, found.schedule.sides) == (base.network, base.schedule.sides)


def test_restarts_keep_the_shape_of_the_schedule() -> None:
    rate = OneCycle(peak_lr=1e-3, restarts=((10, 5e-4),))
    recipe = replace(load_recipe("face-base"), rate=Choice("one-cycle", rate))
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    found = SPACES.get("schedule").apply(trial, recipe).rate.settings
    assert found.restarts[0][1] == pytest.approx(found.peak_lr / 2)


# --- the plan ------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60))
def test_a_shortened_schedule_keeps_its_last_phase(epochs: int) -> None:
    base = load_recipe("face-base")
    plan = replace(base.schedule, sides=((11, 32), (9, 40), (5, 48)))
    recipe = replace(base, schedule=plan, rate=Choice("one-cycle", OneCycle()))
    short = shorten(recipe, epochs).schedule
    assert short.epochs == epochs and short.side_at(epochs) == 48
    assert all(n >= 1 for n, _ in short.sides)
    assert [side for _, side in short.sides] == sorted({side for _, side in short.sides})
    assert epochs != 25 or short == plan


def test_a_schedule_that_cannot_be_shortened_says_why() -> None:
    with pytest.raises(InputError, match="restarts come after epochs"):
        shorten(load_recipe("face-base"), 5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"space": "mine"}, "unknown search space 'mine'; known: thesis-keras-tuner, schedule"),
        ({"trials": 0}, "trials = 0"),
        ({"executions": 0}, "executions = 0"),
        ({"min_epochs": 0}, "min_epochs = 0"),
        ({"reduction": 1}, "reduction = 1"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_an_impossible_plan_is_refused(how: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SearchPlan(**{"space": "schedule"} | how)


# --- a search ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"))


@pytest.fixture
def tiny(tmp_path: Path) -> Recipe:
    return load_recipe(str(write_recipe(tmp_path)))


def read_trials(run: Path) -> list[dict[str, str]]:
    with (run / "trials.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_search_leaves_a_table_and_a_recipe_to_train(
    command: Any, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--data", f"fer2013={stripes}")
    run = tmp_path / "run ?#%41"  # nothing of a URL
    how = ("--run", run, "--space", "schedule", "--epochs", 1)
    done = command("search", write_recipe(tmp_path), *words, *how, "--trials", 2)
    assert done.code == 0 and not done.err, done.err
    lines = done.out.splitlines()
    assert len(lines) == 3 and lines[-1].startswith("best: trial ")
    rows = read_trials(run)
    assert [(row["number"], row["state"], row["epochs"]) for row in rows] == [
        ("0", "complete", "1"),
        ("1", "complete", "1"),
    ]
    best = load_recipe(str(run / "best.json"))
    chosen = max(rows, key=lambda row: float(row["value"]))
    assert (best.name, best.claims) == ("tiny-schedule", ())
    assert best.schedule.batch == int(chosen["batch"]) and best.schedule.epochs == 1
    assert {path.name for path in run.iterdir()} >= {"history.png", "slices.png", "study.db"}
    assert (
        not list(run.glob("**/checkpoint.pt")) and len(list(run.glob("trial-*/*/log.jsonl"))) == 2
    )
    monkeypatch.setattr(search_module, "save_plots", lambda records, out: None)  # slow
    again = command("search", tmp_path / "tiny.toml", *words, *how, "--trials", 2)
    assert again.code == 3 and "has a study: go on with --resume" in again.err
    assert again.err.count("\n") == 1
    more = command("search", tmp_path / "tiny.toml", *words, *how, "--trials", 3, "--resume")
    assert more.code == 0 and more.out.splitlines()[0].startswith("  2  ")
    assert len(more.out.splitlines()) == 2
    other = command(
        "search", tmp_path / "tiny.toml", *words, *how, "--resume", "--set", "schedule.seed=1"
    )
    assert other.code == 3 and "another recipe (schedule.seed)" in other.err
    other = command("search", tmp_path / "tiny.toml", *words, *how, "--resume", "--executions", 3)
    assert other.code == 3 and "another plan (executions)" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "mine"), "unknown search space 'mine'"),
        (("--space", "schedule", "--trials", 0), "trials = 0: needs a number from 1"),
        (("--space", "schedule", "--epochs", 0), "epochs = 0: needs a number from 1"),
        (("--space", "schedule", "--min-epochs", 9), "has only 3 epochs"),
    ],
)
def test_bad_input_is_one_line(
    command: Any, tmp_path: Path, words: tuple[Any, ...], message: str
) -> None:
    fixed = ("--data", "fer2013=none.csv", "--run", tmp_path / "run")
    result = command("search", write_recipe(tmp_path), *fixed, *words)
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("mark", "other"), [("checkpoint.pt", "train"), ("fold-3", "crossval")])
def test_the_run_of_another_command_is_left_alone(
    command: Any, tmp_path: Path, mark: str, other: str
) -> None:
    (tmp_path / mark).mkdir()
    words = ("--data", "fer2013=none.csv", "--run", tmp_path, "--space", "schedule")
    result = command("search", write_recipe(tmp_path), *words)
    assert result.code == 3 and f"has a run of classpulse {other}" in result.err
    (tmp_path / "study.db").touch()
    words = ("--data", "fer2013=none.csv", "--run", tmp_path, "--set", "data.split=kfold-10")
    result = command("crossval", write_recipe(tmp_path), *words)
    assert result.code == 3 and "has a run of classpulse" in result.err


class Fake:
    """`iterate_epochs` without a network: a trial is as good as its learning rate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[tuple[str, int]] = []
        for name in ("build_training", "build_validation"):
            monkeypatch.setattr(search_module, name, lambda faces, recipe: None)
        monkeypatch.setattr(search_module, "load_parts", lambda *a, **k: self)
        monkeypatch.setattr(search_module, "save_plots", lambda records, out: None)  # slow
        monkeypatch.setattr(search_module, "iterate_epochs", self.iterate)
        self.train = self.valid = None
        self.dies_at: tuple[str, int] | None = None

    def iterate(self, recipe: Recipe, data: Any, folder: Path, *, validate: Any) -> Any:
        quality = min(recipe.rate.settings.lr_at(0, 1) * 30, 1.0)
        for number in range(1, recipe.schedule.epochs + 1):
            if (folder.parent.name, number) == self.dies_at:
                raise KeyboardInterrupt
            self.trained.append((folder.parent.name, number))
            accuracy = quality * number / recipe.schedule.epochs
            yield epochs_of.LoggedEpoch(number, 48, 1.0, {"val_accuracy": accuracy})


def run_search(tiny: Recipe, plan: SearchPlan, out: Path, *, resume: bool = False) -> Any:
    return list(search_faces(tiny, plan, paths={}, out=out, resume=resume))


def test_pruning_prunes(tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch)
    plan = SearchPlan("schedule", trials=8)
    records = run_search(tiny, plan, tmp_path / "run")
    states = [record.state for record in records]
    assert states.count("pruned") >= 2 and states.count("complete") >= 2
    for record in records:
        assert (record.epochs < 3) == (record.state == "pruned")
        assert record.seconds == record.epochs
    assert len(fake.trained) == sum(record.epochs for record in records) < 3 * 8
    found, best = best_trial(records), max(r.params["lr_factor"] for r in records)
    assert found is not None and found.params["lr_factor"] == best  # never pruned
    plan = replace(plan, prune=False, trials=3)
    assert {r.state for r in run_search(tiny, plan, tmp_path / "whole")} == {"complete"}


def test_an_interrupted_search_ends_as_one_that_was_not(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(monkeypatch)
    plan = SearchPlan("schedule", trials=4, executions=2, prune=False)
    whole = run_search(tiny, plan, tmp_path / "whole")
    fake.dies_at = "trial-2", 2
    with pytest.raises(KeyboardInterrupt):
        run_search(tiny, plan, tmp_path / "run")
    assert len(load_records(tmp_path / "run")) == 2
    fake.dies_at = None
    rest = run_search(tiny, plan, tmp_path / "run", resume=True)
    assert [record.number for record in rest] == [2, 3]
    assert load_records(tmp_path / "run") == whole


def test_what_kills_the_process_twice_is_marked_failed(tmp_path: Path) -> None:
    def begin() -> int:
        """Begin a trial and die."""
        with open_study(tmp_path, epochs=9, prune=True, min_epochs=1, reduction=3) as study:
            return next(iterate_trials(study, trials=2, seed=0)).number

    assert (begin(), begin()) == (0, 0) and load_records(tmp_path) == []
    assert begin() == 1
    [record] = load_records(tmp_path)
    assert (record.number, record.state) == (0, "failed") and record.why.startswith("killed twice")


def test_a_trial_that_cannot_be_trained_fails_alone(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake(monkeypatch)
    apply = SPACES.get("schedule").apply

    def sometimes(trial: Any, recipe: Recipe) -> Recipe:
        if isinstance(trial, optuna.Trial) and trial.number in broken:
            raise InputError("a batch too large")
        return apply(trial, recipe)

    space = replace(SPACES.get("schedule"), apply=sometimes)
    monkeypatch.setattr(SPACES, "get", lambda name: space)
    broken = {0}
    plan = SearchPlan("schedule", trials=2)
    records = run_search(tiny, plan, tmp_path / "one")
    assert [record.state for record in records] == ["failed", "complete"]
    assert records[0].why == "a batch too large" and records[0].value is None
    broken = {0, 1}
    with pytest.raises(InputError, match="every trial failed; the first: a batch too large"):
        run_search(tiny, plan, tmp_path / "all")


def test_a_file_that_is_no_study_is_said(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fake(monkeypatch)
    plan = SearchPlan("schedule", trials=1)
    run_search(tiny, plan, tmp_path)
    (tmp_path / "study.db").write_text("no database " * 99)
    with pytest.raises(InputError, match="cannot be opened as a study"):
        run_search(tiny, plan, tmp_path, resume=True)
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(InputError, match=r"search\.json cannot be read"):
        run_search(tiny, plan, tmp_path, resume=True)


DEADLY = """
import os, signal, sys
from classpulse import cli
from classpulse.lab.search import search

build = search.build_validation

def build_deadly(valid, recipe):
    validate, calls = build(valid, recipe), []
    def deadly(model, side):
        calls.append(side)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return validate(model, side)
    return deadly

search.build_validation = build_deadly
sys.argv[0] = "classpulse"
cli.main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
def test_a_killed_search_goes_on(
    stripes: Path, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "save_plots", lambda records, out: None)  # slow
    words = ["search", str(write_recipe(tmp_path)), "--data", f"fer2013={stripes}", "--no-prune"]
    words += ["--run", str(tmp_path / "run"), "--space", "schedule", "--trials", "2"]
    words += ["--epochs", "4"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(
        [sys.executable, "-c", DEADLY, *words], env=environment, timeout=600, check=False
    )
    assert killed.returncode == -signal.SIGKILL and not read_trials(tmp_path / "run")
    log = tmp_path / "run" / "trial-0" / "execution-0" / "log.jsonl"
    before = log.read_text()
    assert before.count("\n") == 2  # killed in the third epoch
    resumed = command(*words, "--resume")
    assert resumed.code == 0, resumed.err
    rows = read_trials(tmp_path / "run")
    assert [(r["number"], r["state"], r["epochs"]) for r in rows] == [
        ("0", "complete", "4"),
        ("1", "complete", "4"),
    ]
    assert log.read_text().startswith(before)  # with their seconds: not trained again


# --- plots ---------------------------------------------------------------------------------------

RECORDS = [
    TrialRecord(0, {"lr": 0.001, "kind": "a", "layers": 2}, 0.5, 3, "complete", 1.0),
    TrialRecord(1, {"lr": 0.1, "kind": "b", "layers": 3}, 0.4, 1, "pruned", 1.0),
    TrialRecord(2, {}, None, 0, "failed", 0.0, "why"),
    TrialRecord(3, {"lr": 0.01, "kind": "a", "layers": 2}, 0.7, 3, "complete", 1.0),
]


def test_the_source_s_study_is_drawn_from_the_claims_of_its_recipes() -> None:
    keys = {"kernel": "kernel side, pixels", "blocks": "blocks", "channels": "channels"}
    names = [n for n in recipe_names() if n.startswith("aied-") and not n.endswith("-kfold")]
    rows = rows_from_claims(map(load_recipe, [*names, "face-base"]), list(keys), by="source")
    assert len(rows) == 12
    assert max(rows, key=lambda row: row.value.value).settings == {
        "kernel": 5,
        "blocks": 8,
        "channels": 16,
    }
    svg = render_svg(plots_study.draw_settings(rows, keys))
    assert all(text in svg for text in ("kernel side, pixels", "channels", ">32<", "one run<"))
    known = [StudyRow(row.settings, Interval(0.5, 0.4, 0.6)) for row in rows]
    assert "one run, 95 % interval" in render_svg(plots_study.draw_settings(known, keys))


def test_a_search_is_drawn() -> None:
    history = render_svg(plots_study.draw_search_history(RECORDS))
    assert all(text in history for text in ("best so far", "pruned", "validation accuracy, %"))
    slices = render_svg(plots_study.draw_search_slices(RECORDS))
    assert all(text in slices for text in ("lr", "kind", "layers", ">a<", "complete"))
    assert slices == render_svg(plots_study.draw_search_slices(RECORDS))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=9, unique=True))
def test_any_parameter_can_be_sliced(values: list[float]) -> None:
    records = [TrialRecord(i, {"x": v}, 0.5, 1, "complete", 1.0) for i, v in enumerate(values)]
    assert plots_study.draw_search_slices(records).axes[0].get_xlabel() == "x"


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots_study.draw_search_history(RECORDS[2:3]), "no trial has a value"),
        (lambda: plots_study.draw_search_slices(RECORDS[:1]), "no parameter has two values"),
        (lambda: plots_study.draw_settings([], {"a": "a"}), "needs runs"),
        (
            lambda: plots_study.draw_settings([StudyRow({}, Interval(0, 0, 0))], {"a": "a"}),
            "one lacks 'a'",
        ),
    ],
)
def test_nothing_to_draw_is_said(draw: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw()
