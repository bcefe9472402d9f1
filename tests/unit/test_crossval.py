"""Cross-validation of a recipe: folds, honest scores, going on after an interruption."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_data import write_recipe, write_stripes

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.recipe import Recipe, load_recipe  # noqa: E402
from classpulse.lab.search import crossval as crossval_module  # noqa: E402
from classpulse.lab.search.crossval import crossval_faces  # noqa: E402
from classpulse.lab.search.epochs import iterate_epochs  # noqa: E402
from classpulse.lab.search.folds import (  # noqa: E402
    SCORES,
    FoldResult,
    describe_folds,
    load_folds,
    parse_folds,
    summarize_folds,
)
from classpulse.lab.search.study import mean_over_folds  # noqa: E402
from classpulse.lab.train.loop import Training  # noqa: E402
from classpulse.lab.train.run import build_network  # noqa: E402
from classpulse.lab.train.sources import load_parts  # noqa: E402
from classpulse.lab.train.targets import hard_labels  # noqa: E402

torch.set_num_threads(1)

SOURCE = (0.6482, 0.6528, 0.6361, 0.6459, 0.6331, 0.6482, 0.6255, 0.6338, 0.6619, 0.6368)
KFOLD = ("--set", "data.split=kfold-10", "--set", "schedule.sides=[[2,48]]")


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("stripes"))


@pytest.fixture
def tiny(tmp_path: Path) -> Recipe:
    changes = [change for change in KFOLD if change != "--set"]
    return load_recipe(str(write_recipe(tmp_path)), changes=changes)


def build_result(number: int, accuracy: float) -> FoldResult:
    scores = dict.fromkeys(SCORES, accuracy)
    return FoldResult(number, 90, 10, 12, scores, 7, min(accuracy + 0.01, 1.0), 5.0)


def test_the_recipe_of_the_source_has_its_numbers() -> None:
    recipe = load_recipe("aied-b16-n8-fc2-k5-kfold")
    assert recipe.network == load_recipe("aied-b16-n8-fc2-k5").network
    assert {claim.metric: claim.value for claim in recipe.claims} == {
        "accuracy": 0.6422,
        "macro_recall": 0.6448,
        "macro_precision": 0.6527,
        "macro_f1": 0.6441,
    }
    text = describe_folds(
        [build_result(i, value) for i, value in enumerate(SOURCE)], recipe, best_epoch=True
    )
    assert "10 folds" in text and "chosen on the fold itself: too good" in text
    [line] = [one for one in text.splitlines() if one.startswith("  accuracy  ")]
    assert line.split()[1] == line.split()[-1] == "0.6422"


def test_training_on_folds_names_the_command(stripes: Path, tiny: Recipe, command: Any) -> None:
    with pytest.raises(InputError, match="fold by fold with classpulse crossval"):
        load_parts(tiny, {"fer2013": stripes})


def test_some_folds_then_the_others(command: Any, stripes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("crossval", write_recipe(tmp_path), "--data", f"fer2013={stripes}", "--run", run)
    first = command(*words, *KFOLD, "--folds", "0")
    assert first.code == 0, first.err
    assert first.out.startswith("fold 0  n 6  epoch   2  accuracy ")
    assert first.out.endswith("nothing was chosen on the fold. One fold has no interval.\n")
    again = command(*words, *KFOLD, "--folds", "0")
    assert again.code == 3 and "go on with --resume" in again.err and again.err.count("\n") == 1
    kept = (run / "folds.json").read_text()
    more = command(*words, *KFOLD, "--folds", "0,3", "--resume")
    assert more.code == 0 and more.out.count("fold 0") == 1 and "2 folds" in more.out
    table = json.loads((run / "folds.json").read_text())
    assert table["folds"][0] == json.loads(kept)["folds"][0]  # read, not trained again
    assert set(table["means"]) == {*SCORES, "accuracy, best epoch"}
    with (run / "folds.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["number"], row["n_train"], row["n"]) for row in rows] == [
        ("0", "54", "6"),
        ("3", "54", "6"),
    ]
    assert not list(run.glob("**/*.pt")) and (run / "fold-3" / "log.jsonl").exists()
    other = command(*words, *KFOLD, "--resume", "--best-epoch")
    assert other.code == 3 and "begun otherwise (--best-epoch)" in other.err
    other = command(*words, *KFOLD, "--resume", "--set", "schedule.batch=4")
    assert other.code == 3 and "begun otherwise (schedule.batch)" in other.err


def fake_epochs(monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> list[int]:
    """Epochs without training; returns the list that gets the rows of each fold."""
    trained: list[int] = []

    def iterate(recipe: Recipe, data: Any, folder: Path, *, validate: Any) -> Any:
        trained.append(len(data))
        for i, value in enumerate(accuracies, start=1):
            metrics = dict.fromkeys(SCORES, value)
            yield crossval_module.LoggedEpoch(i, 48, 1.0, metrics)

    monkeypatch.setattr(crossval_module, "iterate_epochs", iterate)
    monkeypatch.setattr(crossval_module, "build_training", lambda train, recipe: train)
    return trained


def test_the_last_epoch_is_scored_unless_the_best_is_asked_for(
    tiny: Recipe, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = fake_epochs(monkeypatch, [0.5, 0.8, 0.7])
    paths = {"fer2013": stripes}
    honest = list(crossval_faces(tiny, paths=paths, out=tmp_path / "a"))
    assert len(honest) == 10 and trained == [54] * 10
    assert {(r.epoch, r.scores["accuracy"], r.best_epoch, r.best_accuracy) for r in honest} == {
        (3, 0.7, 2, 0.8)
    }
    assert load_folds(tmp_path / "a") == honest
    source = list(crossval_faces(tiny, paths=paths, out=tmp_path / "b", best_epoch=True))
    assert {(r.epoch, r.scores["accuracy"]) for r in source} == {(2, 0.8)}
    means = summarize_folds(honest)
    assert (means["accuracy"].value, means["accuracy, best epoch"].value) == pytest.approx(
        (0.7, 0.8)
    )


def test_an_interrupted_fold_goes_on_at_its_last_epoch(
    tiny: Recipe, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how: dict[str, Any] = {"paths": {"fer2013": stripes}, "folds": (4,)}
    [whole] = crossval_faces(tiny, out=tmp_path / "whole", **how)

    def interrupted(*args: Any, **words: Any) -> Any:
        yield next(iterate_epochs(*args, **words))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(crossval_module, "iterate_epochs", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(crossval_faces(tiny, out=tmp_path / "run", **how))
    log = tmp_path / "run" / "fold-4" / "log.jsonl"
    before = log.read_text()
    [resumed] = crossval_faces(tiny, out=tmp_path / "run", resume=True, **how)
    assert log.read_text().startswith(before) and log.read_text().count("\n") == 2
    assert replace(resumed, seconds=0) == replace(whole, seconds=0)


def test_an_epoch_without_its_checkpoint_is_trained_again(
    tiny: Recipe, stripes: Path, tmp_path: Path
) -> None:
    official = replace(tiny, data=replace(tiny.data, split="official"))
    parts = load_parts(official, {"fer2013": stripes})
    data: Training = crossval_module.build_training(parts.train, official)
    validate = crossval_module.score_fold(parts.valid, official)
    first = next(iterate_epochs(official, data, tmp_path, validate=validate))
    with (tmp_path / "log.jsonl").open("a") as log:  # killed between log and checkpoint
        log.write((tmp_path / "log.jsonl").read_text().replace('"number": 1', '"number": 2'))
    epochs = list(iterate_epochs(official, data, tmp_path, validate=validate))
    assert [epoch.number for epoch in epochs] == [1, 2] and epochs[0] == first
    assert list(iterate_epochs(official, data, tmp_path, validate=validate)) == epochs


def test_scores_are_those_of_scikit_learn(tiny: Recipe, stripes: Path) -> None:
    from sklearn.metrics import precision_recall_fscore_support

    official = replace(tiny, data=replace(tiny.data, split="official"))
    valid = load_parts(official, {"fer2013": stripes}).valid
    model = build_network(official)
    scores = crossval_module.score_fold(valid, official)(model, 48)
    x = crossval_module.prepare_all(valid, official.input)
    logits = crossval_module.predict_logits(model, x, flip=False)["emotion"]
    truth, predicted = hard_labels(valid, "emotion"), logits.argmax(dim=1).numpy()
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, predicted, labels=list(range(7)), average="macro", zero_division=0
    )
    expected = ((truth == predicted).mean(), recall, precision, f1)
    assert [scores[name] for name in SCORES] == pytest.approx(expected)


def test_a_recipe_that_listens_is_refused(command: Any, stripes: Path, tmp_path: Path) -> None:
    words = (
        "--data",
        f"fer2013={stripes}",
        "--run",
        tmp_path / "run",
        "--set",
        "rate.kind=plateau",
    )
    result = command("crossval", write_recipe(tmp_path), *words, *KFOLD)
    assert result.code == 3 and "the very fold it is scored on" in result.err
    assert result.err.count("\n") == 1 and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--folds", "0,x"), "--folds 0,x: needs numbers of folds"),
        (("--folds", "10"), "there is no fold 10: folds are 0 to 9"),
        (
            ("--set", "data.split=official"),
            "has no folds but train, valid, test: choose 'kfold-10'",
        ),
        (("--set", "data.split=mine"), "unknown split protocol 'mine'"),
    ],
)
def test_bad_input_is_one_line(
    command: Any, stripes: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    fixed = ("--data", f"fer2013={stripes}", "--run", tmp_path / "run", *KFOLD)
    result = command("crossval", write_recipe(tmp_path), *fixed, *words)
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1


@given(st.lists(st.integers(0, 99), min_size=1))
def test_numbers_of_folds_are_read(numbers: list[int]) -> None:
    assert parse_folds(",".join(map(str, numbers))) == numbers
    assert parse_folds("") == []


def test_some_of_the_folds_have_the_interval_of_their_split() -> None:
    results = [build_result(i, value) for i, value in enumerate(SOURCE)]  # 90 rows train, 10 score
    whole, some = (summarize_folds(r)["accuracy"] for r in (results, results[:3]))
    assert whole == mean_over_folds(SOURCE)
    spread = np.std(SOURCE[:3], ddof=1) * (1 / 3 + 1 / 9) ** 0.5
    assert some.high - some.value == pytest.approx(4.3027 * spread, rel=1e-4)  # t, 2 degrees


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    means = summarize_folds([build_result(i, value) for i, value in enumerate(values)])
    assert means["accuracy"].low <= means["accuracy"].value <= means["accuracy"].high
