"""The learner is the command's training from Python: the same files, the same weights."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import SPEC
from data_files import pictures, write_fer, write_votes

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError, ShapeError  # noqa: E402
from classpulse.lab.evaluate.figures import render_svg  # noqa: E402
from classpulse.lab.models.residual import ResidualSettings  # noqa: E402
from classpulse.lab.recipe import DataSpec, Recipe, Schedule  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.learner import Learner  # noqa: E402
from classpulse.lab.train.run import train_faces  # noqa: E402

torch.set_num_threads(1)

RECIPE = Recipe(
    "tiny",
    "A recipe for tests.",
    {"emotion": 1.0, "votes": 0.5},
    replace(SPEC, width=24, height=24),
    network=Choice("residual-se", ResidualSettings((8, 8, 8, 8), blocks=1, stem=4, dropout=0.3)),
    schedule=Schedule(sides=((1, 16), (2, 24)), batch=8),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learner")
    write_fer(folder / "fer2013.csv.gz")
    write_votes(folder / "votes.csv")
    return folder


def sources(place: Path) -> dict[str, Any]:
    return {"paths": {"fer2013": place / "fer2013.csv.gz"}, "votes": place / "votes.csv"}


def build(place: Path, name: str, *, recipe: Recipe | str = RECIPE, **how: Any) -> Learner:
    return Learner(recipe, run=place / name, **sources(place), **how)


@pytest.fixture(scope="module")
def trained(place: Path) -> Learner:
    """A learner after `fit`."""
    learner = build(place, "trained")
    learner.fit()
    return learner


def weights(path: Path) -> list[Any]:
    return list(torch.load(path, weights_only=True).values())


def without_seconds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: v for name, v in row.items() if name != "seconds"} for row in rows]


def test_fit_is_the_training_of_the_command(place: Path, trained: Learner) -> None:
    list(train_faces(RECIPE, out=place / "command", resume=False, **sources(place)))
    names = {path.name for path in trained.run.iterdir()}
    assert names == {path.name for path in (place / "command").iterdir()}
    pairs = zip(weights(trained.run / "best.pt"), weights(place / "command/best.pt"), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_epoch_by_epoch_is_the_same_whatever_is_done_between(place: Path, trained: Learner) -> None:
    learner = build(place, "stepwise")
    numbers = []
    for _ in range(3):
        numbers.append(learner.train_one_epoch().epoch.number)
        learner.evaluate("test")
        learner.load() if len(numbers) > 1 else torch.rand(3)
    assert numbers == [1, 2, 3]
    assert without_seconds(learner.load_log()) == without_seconds(trained.load_log())
    with pytest.raises(InputError, match="is over: 3 epochs"):
        learner.train_one_epoch()


def test_a_learner_goes_on_with_a_run(place: Path, trained: Learner) -> None:
    build(place, "two").train_one_epoch()
    told: list[int] = []
    steps: list[tuple[int, int, int]] = []
    second = build(place, "two", resume=True, on_step=lambda *step: steps.append(step))
    rows = second.fit(lambda result: told.append(result.epoch.number))
    assert told == [2, 3] and steps == [(n, s, 2) for n in (2, 3) for s in (1, 2)]
    assert without_seconds(rows) == without_seconds(trained.load_log())


def test_after_fit_the_network_is_the_best_of_the_log(trained: Learner) -> None:
    full = [row for row in trained.load_log() if row["side"] == 24]
    best = max(full, key=lambda row: row["accuracy"]["emotion"])
    found = trained.evaluate("valid")
    for head in RECIPE.heads:
        assert found[head].accuracy.value == best["accuracy"][head]
        assert found[head].macro_f1.value == pytest.approx(best["macro_f1"][head])


def test_saved_weights_are_loaded_again(place: Path, trained: Learner) -> None:
    path = trained.save(place / "weights" / "mine.pt")
    other = build(place, "never-trained")
    other.load(path)
    images = pictures(5)
    one, two = trained.predict(images), other.predict(images)
    assert all(np.array_equal(one[head].probs, two[head].probs) for head in RECIPE.heads)
    assert not other.run.exists()


def test_predictions_are_probabilities_of_every_head(trained: Learner) -> None:
    images = pictures(3)
    found = trained.predict(images)
    assert {head: scores.probs.shape for head, scores in found.items()} == {
        "emotion": (3, 7),
        "votes": (3, 8),
    }
    colored = np.repeat(images[..., None], 3, axis=3)
    assert np.allclose(trained.predict(colored)["emotion"].probs, found["emotion"].probs, atol=1e-4)
    mirrored = trained.predict(images[:, :, ::-1].copy(), flip=True)["emotion"].probs
    assert np.allclose(trained.predict(images, flip=True)["emotion"].probs, mirrored, atol=1e-4)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 48, 48), np.uint8), "no pictures"),
        (np.zeros((1, 48, 48), np.float32), "uint8, not"),
        (np.zeros((1, 48, 48, 4), np.uint8), "uint8, not"),
    ],
)
def test_no_face_crops_are_refused(trained: Learner, images: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        trained.predict(images)


def test_metrics_are_told(trained: Learner, capsys: pytest.CaptureFixture[str]) -> None:
    text = trained.describe_metrics("test")
    head, blank, first, *lines = text.splitlines()
    assert head == "tiny on FER2013 PrivateTest" and not blank
    assert first.startswith("emotion: n = 6, accuracy 0.") and "macro F1 0." in first
    assert lines[0].split() == ["precision", "recall", "f1", "n"]
    assert lines[1].split()[0] == "angry" and "votes: n = " in text
    stream = io.StringIO()
    trained.print_metrics("test", file=stream)
    assert stream.getvalue() == text + "\n" and not capsys.readouterr().out
    trained.print_metrics()
    assert capsys.readouterr().out == trained.describe_metrics("valid") + "\n"


def test_plots_say_what_they_show(trained: Learner) -> None:
    loss, metrics = render_svg(trained.plot_loss()), render_svg(trained.plot_metrics())
    assert "validation" in loss and "24 px" in loss
    assert all(word in metrics for word in ("micro F1 (accuracy)", "macro F1", "votes"))
    assert "surprise" in render_svg(trained.plot_confusion())
    assert "contempt" in render_svg(trained.plot_confusion("test", head="votes"))


def test_a_log_is_copied(place: Path, trained: Learner) -> None:
    copied = trained.save_log(place / "copy.jsonl")
    assert trained.load_log(copied) == trained.load_log()
    assert trained.save_log(place / "copy.csv").read_text() == (trained.run / "log.csv").read_text()


# --- what cannot be done --------------------------------------------------------------------------


def test_a_shipped_recipe_is_named(place: Path) -> None:
    assert build(place, "new", recipe="face-base").recipe.name == "face-base"
    with pytest.raises(InputError, match=r"no recipe 'best'; shipped: .*face-base"):
        build(place, "new", recipe="best")


def test_a_run_is_gone_on_from_only_when_told_and_with_its_recipe(
    place: Path, trained: Learner
) -> None:
    with pytest.raises(InputError, match="has a run: go on with"):
        build(place, "trained")
    other = replace(RECIPE, schedule=replace(RECIPE.schedule, batch=4))
    with pytest.raises(InputError, match=r"begun with another recipe \(schedule\.batch\)"):
        build(place, "trained", recipe=other, resume=True)


@pytest.mark.parametrize("verb", ["evaluate", "plot_confusion", "describe_metrics"])
def test_nothing_is_said_before_anything_is_trained(place: Path, verb: str) -> None:
    with pytest.raises(InputError, match="no trained network yet: call fit, train_one_epoch, or l"):
        getattr(build(place, "new"), verb)()


@pytest.mark.parametrize("verb", ["load_log", "plot_loss", "plot_metrics"])
def test_a_missing_log_is_named(place: Path, verb: str) -> None:
    with pytest.raises(InputError, match=r"cannot read the log .*new/log\.jsonl"):
        getattr(build(place, "new"), verb)()


def test_missing_weights_are_named(place: Path) -> None:
    with pytest.raises(InputError, match=r"new/best\.pt does not exist: train first"):
        build(place, "new").load()


def test_weights_of_another_recipe_are_refused(place: Path, trained: Learner) -> None:
    with pytest.raises(InputError, match="has no weights of this network"):
        build(place, "new", recipe="face-base").load(trained.run / "best.pt")


def test_an_unknown_head_lists_the_known(trained: Learner) -> None:
    with pytest.raises(InputError, match="no head 'state' in recipe tiny: emotion, votes"):
        trained.plot_confusion(head="state")


def test_an_unknown_part_lists_the_known(place: Path, trained: Learner) -> None:
    with pytest.raises(InputError, match="no part 'dev' in the split 'official': it has train, va"):
        trained.evaluate("dev")
    own = replace(RECIPE, data=DataSpec(split="thesis-stratified"))
    assert build(place, "new", recipe=own).take_part("valid").name.startswith("FER2013 valid of")
