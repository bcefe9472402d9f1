"""Classic recipes: loaded, fitted, searched, written as ONNX, and used as any other model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import write_artefact
from classic_data import striped, write_striped

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.labels import FER2013_7  # noqa: E402
from classpulse.lab.check import check_classic  # noqa: E402
from classpulse.lab.classic.command import PARITY, run_classic  # noqa: E402
from classpulse.lab.classic.fit import HEAD, count_learned, fit_pipeline  # noqa: E402
from classpulse.lab.classic.front import make_features  # noqa: E402
from classpulse.lab.classic.kinds import FEATURE_KINDS  # noqa: E402
from classpulse.lab.classic.recipe import (  # noqa: E402
    ClassicRecipe,
    classic_table,
    load_classic_recipe,
)
from classpulse.lab.ensemble.recipe import load_ensemble_recipe  # noqa: E402
from classpulse.lab.evaluate.predictors import predict_heads  # noqa: E402
from classpulse.lab.parallel.workers import Workers  # noqa: E402
from classpulse.lab.recipe import load_recipe  # noqa: E402
from classpulse.runtime.model import OnnxModel  # noqa: E402

NAME = "paper_cnn_pca_svm"
TOML = """
name = "mine"
summary = "A recipe for tests."
side = 24
[features]
kind = "hog"
[reduction]
kind = "pca"
components = 8
"""
IMAGES, LABELS = striped(98, side=24)
FRESH, TRUTH = striped(35, seed=1, side=24)


@pytest.fixture
def mine(tmp_path: Path) -> Any:
    """A small recipe, with changes."""

    def load(*changes: str) -> ClassicRecipe:
        path = tmp_path / "mine.toml"
        path.write_text(TOML)
        return load_classic_recipe(str(path), changes=changes)

    return load


def accuracy(recipe: ClassicRecipe) -> float:
    scores = fit_pipeline(recipe, IMAGES, LABELS, FER2013_7).predict(FRESH)[HEAD]
    assert np.allclose(scores.probs.sum(axis=1), 1, atol=1e-5)
    return float((scores.probs.argmax(axis=1) == TRUTH).mean())


# --- recipes -------------------------------------------------------------------------------------


def test_the_recipe_of_the_paper_has_its_three_steps() -> None:
    recipe = load_classic_recipe(NAME)
    kinds = recipe.features.kind, recipe.reduction.kind, recipe.classifier.kind
    assert kinds == ("embedding", "pca", "svm") and recipe.classifier.settings.kernel == "rbf"


def test_a_whole_table_loads_again(mine: Any, tmp_path: Path) -> None:
    recipe = mine("search.kind=grid", "search.c=[1.0, 10.0]", "sigma=1.0")
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(classic_table(recipe)))
    assert load_classic_recipe(str(path)) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("features.kind=sift", "unknown kind of features 'sift'; known: pixels, lbp, hog, gabor"),
        ("features.cells=3", "unknown \\['cells'\\]"),
        ("reduction.components=1.5", "needs a share below 1 or a whole number"),
        ("reduction.kind=tsne", "unknown reduction 'tsne'; known: none, pca, nmf"),
        ("classifier.kernel=sigmoid", "needs one of linear, poly, rbf"),
        ("classifier.c=-1.0", "c = -1.0: needs a number from"),
        ("classifier={kind = 'cascade-svm', parts = 1}", "parts = 1: needs a number from 2"),
        ("classifier={kind = 'cascade-svm', kernel = 'cosine'}", "needs one of linear, poly, rbf"),
        ("data.split=best", "unknown split protocol 'best'"),
        ("sigma=9.0", "sigma = 9.0: needs a number from 0 to 3"),
        ("calibration=0.0", "calibration = 0.0"),
        ("reduction.kind=nmf", "NMF takes no negative numbers: set standardize = false"),
        ("search.kind=bayes", "needs one of none, grid, random, halving"),
        ("search.c=[1.0]", "search kind 'none' with values of c"),
        ("search.kind=grid", "a search needs values of c, gamma or components"),
        ("colour=true", "unknown \\['colour'\\]"),
        ("features={kind = 'lbp', radius = -1.0}", "radius = -1.0: needs a number from 0.5 to 64"),
        ("features={kind = 'lbp', radius = 13.0}", "radius = 13.0: needs .* from 0.5 to 12"),
        ("features={kind = 'lbp', grid = 0}", "grid = 0: needs a number from 1 to 16"),
        ("features={kind = 'hog', orientations = 0}", "orientations = 0: needs .* from 2 to 36"),
        ("features={kind = 'hog', cell = 0}", "cell = 0: needs a number from 2 to 512"),
        ("features={kind = 'hog', block = 0}", "block = 0: needs a number from 1 to 8"),
        ("features={kind = 'gabor', orientations = 0}", "orientations = 0: needs .* from 1 to 24"),
        ("features={kind = 'gabor', wavelengths = [4.0, 0.0]}", "wavelengths = 0.0: needs a"),
        ("features={kind = 'gabor', wavelengths = [200.0]}", "= 200.0: needs a .* from 2 to 64"),
        ("features={kind = 'gabor', wavelengths = [nan]}", "wavelengths = nan: needs a number"),
        ("features={kind = 'gabor', wavelengths = []}", "number of wavelengths = 0: needs"),
        ("features={kind = 'haar', grid = 0}", "grid = 0: needs a number from 2 to 16"),
        ("features={kind = 'embedding', threads = -1}", "threads = -1: needs a number from 1"),
        ("reduction.components=inf", "components = inf: needs a number from"),
        ("reduction.components=nan", "components = nan: needs a number from"),
        ("classifier={kind = 'nystroem', c = -1.0}", "c = -1.0: needs a number from"),
        ("classifier={kind = 'nystroem', landmarks = 20000}", "landmarks = 20000: needs a number"),
        ("seed=-1", "seed = -1: needs a number from 0"),
    ],
)
def test_a_wrong_recipe_is_one_clear_error(mine: Any, change: str, message: str) -> None:
    kind, _, value = change.partition("=")
    fresh = [change] if kind != "reduction.kind" else [f"reduction={{kind = '{value}'}}"]
    with pytest.raises(InputError, match=message):
        mine(*fresh)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("search.c=[1.0, -1.0]", "c = -1.0: needs a number from"),
        ("search.c=[nan]", "c = nan: needs a number from"),
        ("search.gamma=[0.0]", "searched gamma = 0.0: needs a number from 1e-09"),
        ("search.components=[nan]", "components = nan: needs a number from"),
        ("search.components=[8.0, 1.5]", "components = 1.5: needs a share below 1 or a whole"),
    ],
)
def test_what_is_searched_has_the_ranges_of_what_is_set(
    mine: Any, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        mine("search.kind=grid", change)


def test_only_whole_numbers_of_factors_can_be_searched(mine: Any) -> None:
    with pytest.raises(InputError, match=r"components = 2.5: needs a whole number"):
        mine(
            "standardize=false", "reduction={kind = 'nmf', components = 8}",
            "search.kind=grid", "search.components=[2.0, 2.5]",
        )  # fmt: skip


def test_only_what_is_there_can_be_searched(mine: Any) -> None:
    with pytest.raises(InputError, match="cannot search gamma of pca and linear-svm"):
        mine("classifier.kind=linear-svm", "search.kind=grid", "search.gamma=[0.1]")


def test_every_kind_of_recipe_has_its_own_command() -> None:
    with pytest.raises(InputError, match="use classpulse classic"):
        load_recipe(NAME)
    with pytest.raises(InputError, match="has no members"):
        load_ensemble_recipe(NAME)
    with pytest.raises(InputError, match="use classpulse train or combine"):
        load_classic_recipe("face-base")


def test_a_recipe_can_be_checked(mine: Any, command: Any) -> None:
    assert check_classic(mine()).parameters > 0
    assert '"kind": "embedding"' in command("recipes", "show", NAME, "--resolved").out
    assert "embedding + svm" in command("recipes", "ls").out


# --- fitting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in FEATURE_KINDS if kind != "embedding"])
def test_stripes_are_told_apart_by_any_features(mine: Any, kind: str) -> None:
    assert accuracy(mine(f"features.kind={kind}", "reduction.components=12")) > 0.8


@pytest.mark.parametrize(
    "classifier",
    [
        "{kind = 'svm', kernel = 'linear'}",
        "{kind = 'svm', kernel = 'poly', degree = 2}",
        "{kind = 'cascade-svm', parts = 3, balanced = true}",
        "{kind = 'linear-svm', balanced = true}",
        "{kind = 'nystroem', landmarks = 40, gamma = 0.05}",
    ],
)
def test_stripes_are_told_apart_by_any_classifier(mine: Any, classifier: str) -> None:
    assert accuracy(mine(f"classifier={classifier}")) > 0.9


def test_nmf_reduces_what_is_not_negative(mine: Any) -> None:
    recipe = mine("reduction={kind = 'nmf', components = 12, steps = 40}", "standardize=false")
    fitted = fit_pipeline(recipe, IMAGES, LABELS, FER2013_7)
    answers = fitted.predict(FRESH)[HEAD].probs.argmax(axis=1)
    assert fitted.reduced == 12 and (answers == TRUTH).mean() > 0.8


@pytest.mark.parametrize("kind", ["grid", "random", "halving"])
def test_a_search_finds_a_kernel_that_learns(mine: Any, kind: str) -> None:
    recipe = mine(f"search.kind={kind}", "search.gamma=[1e4, 0.02]", "search.draws=2")
    fitted = fit_pipeline(recipe, IMAGES, LABELS, FER2013_7)
    assert fitted.best["gamma"] == 0.02 and fitted.best["accuracy in folds"] > 0.8


def test_the_same_seed_gives_the_same_answers(mine: Any) -> None:
    one, two = (fit_pipeline(mine("rows=77"), IMAGES, LABELS, FER2013_7) for _ in range(2))
    assert np.array_equal(one.predict(FRESH)[HEAD].probs, two.predict(FRESH)[HEAD].probs)
    assert one.rows == 69 and one.temperature == two.temperature


def test_the_pipeline_is_one_of_scikit_learn(mine: Any) -> None:
    fitted = fit_pipeline(mine("minmax=true", "sigma=0.5"), IMAGES, LABELS, FER2013_7)
    assert list(fitted.pipeline.named_steps) == [
        "minmax", "denoise", "features", "standardize", "reduce", "svm",
    ]  # fmt: skip
    answers = fitted.pipeline.predict(FRESH.reshape(len(FRESH), -1) / np.float32(255))
    assert np.array_equal(answers, fitted.predict(FRESH)[HEAD].probs.argmax(axis=1))


@pytest.mark.parametrize(
    ("changes", "labels", "message"),
    [
        ([], LABELS % 6, "too few training pictures of neutral 0; needs 10 or more of each"),
        (["reduction.components=145"], LABELS, "145 components of 144 features and 88 rows"),
        (["rows=3"], LABELS, "rows = 3 of 98 training pictures: needs 7 to 91 to draw every label"),
        (["rows=97"], LABELS, "rows = 97 of 98 training pictures: needs 7 to 91"),
        (
            ["rows=8"],
            LABELS,
            "8 training pictures, 1 of them disgust, are too few: the temperature",
        ),
        (["calibration=0.01"], LABELS, r"7 or more held back \(calibration = 0.01 gives 1\); give"),
        (
            ["search.kind=grid", "search.components=[80, 8]"],
            LABELS,
            r"80 components of 144 features and 58 rows \(3 folds of 88, without one\)",
        ),
        (
            ["search.kind=halving", "search.components=[40, 20, 8]"],
            LABELS,
            "every round of the search of kind 'halving', .* than the 88 rows: search fewer",
        ),
        (
            ["search.kind=halving", "search.c=[1.0, 2.0]", "search.folds=12"],
            LABELS,
            "halving in 12 folds begins with 168 rows, and there are 88",
        ),
        (
            ["search.kind=grid", "search.c=[1.0]", "search.folds=50"],
            LABELS,
            "50 folds, and 12 training pictures of the rarest label",
        ),
        (["classifier={kind = 'nystroem', landmarks = 89}"], LABELS, "89 landmarks of 88 rows"),
    ],
)
def test_data_that_cannot_be_learned_from(
    mine: Any, changes: list[str], labels: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit_pipeline(mine(*changes), IMAGES, labels, FER2013_7)


# --- workers -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    with Workers(2) as workers:
        yield workers


@pytest.mark.parametrize("kind", ["pixels", "gabor", "embedding"])
def test_workers_make_the_same_bits(mine: Any, tmp_path: Path, pool: Workers, kind: str) -> None:
    features = f"{{kind = '{kind}'}}"
    if kind == "embedding":  # several batches, the last one not full
        features = f"{{kind = 'embedding', model = '{write_artefact(tmp_path / 'tiny', seed=1)}'}}"
    recipe = mine(f"features={features}", "sigma=0.5")
    images = striped(150, side=30)[0]
    shared = make_features(recipe, images, pool=pool)
    assert np.array_equal(shared, make_features(recipe, images))
    assert np.array_equal(shared[128:], make_features(recipe, images[128:]))


@pytest.mark.parametrize(
    "changes",
    [
        ["features={kind = 'hog', cell = 6}", "classifier.balanced=true"],
        ["classifier={kind = 'cascade-svm', rounds = 2}"],
        ["search.kind=grid", "search.c=[0.1, 1.0]", "search.folds=2"],
        ["classifier={kind = 'linear-svm'}"],
    ],
)
def test_workers_fit_the_same_machine(mine: Any, pool: Workers, changes: list[str]) -> None:
    recipe, before = mine(*changes), pool.used
    alone, shared = (
        fit_pipeline(recipe, IMAGES, LABELS, FER2013_7, pool=how) for how in (None, pool)
    )
    assert pool.used > before and shared.seconds["features"] > 0 and shared.clock["fit"] > 0
    assert (alone.temperature, alone.best) == (shared.temperature, shared.best)
    assert count_learned(alone.back) == count_learned(shared.back)
    answers = [one.predict(FRESH, pool=pool)[HEAD].probs for one in (alone, shared)]
    assert np.array_equal(*answers)


# --- the artefact --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["sigma=0.8"],
        ["minmax=false", "reduction={kind = 'none'}", "classifier.kernel=poly"],
        ["standardize=false", "classifier={kind = 'linear-svm'}"],
        ["classifier={kind = 'cascade-svm', parts = 2, rounds = 1}"],
        ["classifier={kind = 'nystroem', landmarks = 30}"],
    ],
)
@pytest.mark.parametrize("kind", ["pixels", "embedding"])
def test_the_graph_answers_as_the_pipeline(
    mine: Any, tmp_path: Path, kind: str, changes: list[str]
) -> None:
    features, side = "{kind = 'pixels'}", 24
    if kind == "embedding":
        model = write_artefact(tmp_path / "tiny", seed=1)
        features, side = f"{{kind = 'embedding', model = '{model}'}}", 48
    recipe = mine(f"features={features}", f"side={side}", *changes)
    data = write_striped(tmp_path / "fer2013.csv")
    found = run_classic(recipe, paths={"fer2013": data}, out=tmp_path / "out")
    written = OnnxModel(str(tmp_path / "out"))
    wanted = found.fitted.predict(FRESH)[HEAD].probs
    gaps = np.abs(predict_heads(written, FRESH)[HEAD].probs - wanted).max(axis=1)
    assert np.median(gaps) < 1e-5 and (gaps > PARITY).mean() <= 0.03  # a vote may turn
    flat = np.full((1, 48, 48), 90, np.uint8)
    assert np.isfinite(predict_heads(written, flat)[HEAD].probs).all()
    assert [head.name for head in written.card.heads] == (
        ["emotion"] if kind == "pixels" else ["emotion", "state"]
    )
    if kind == "embedding":
        other = predict_heads(OnnxModel(str(tmp_path / "tiny")), FRESH)["state"].probs
        if not recipe.minmax:
            assert np.allclose(predict_heads(written, FRESH)["state"].probs, other, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["features.kind=lbp"], "features 'lbp' have no ONNX form, only pixels and embedding"),
        (
            ["features={kind = 'pixels'}", "reduction={kind = 'nmf'}", "standardize=false"],
            "NMF solves a problem for every new row",
        ),
        (
            ["features={kind = 'embedding'}", "side=40"],
            "takes 48 x 48 pixels framed as fer2013, not side = 40",
        ),
    ],
)
def test_what_has_no_graph_is_refused_before_the_work(
    mine: Any, tmp_path: Path, changes: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run_classic(mine(*changes), paths={"fer2013": tmp_path / "none"}, out=tmp_path / "out")


def test_the_command_measures_and_writes(command: Any, mine: Any, tmp_path: Path) -> None:
    mine()
    data = write_striped(tmp_path / "fer2013.csv")
    words = ["classic", tmp_path / "mine.toml", "--data", f"fer2013={data}"]
    said = command(*words)
    assert said.code == 0 and "hog: 144 features, 8 after pca; 88 training rows" in said.out
    assert "FER2013 PublicTest" in said.out and "mse of probabilities" in said.out
    out = tmp_path / "out"
    pixels = [*words, "--set", "features={kind='pixels'}", "--json", "--out", out]
    found = json.loads(command(*pixels).out)
    card = json.loads((out / "card.json").read_text())
    assert card["metrics"] == found["metrics"] and found["per_second"] > 0
    assert found["metrics"][0]["value"] > 0.9 and card["recipe"] == "mine"
    assert command(*pixels).code == 5  # nothing is overwritten


def test_the_command_shares_the_work_out(command: Any, mine: Any, tmp_path: Path) -> None:
    mine()
    data = write_striped(tmp_path / "fer2013.csv")
    words = ["classic", tmp_path / "mine.toml", "--data", f"fer2013={data}"]
    words += ["--set", "features={kind='pixels'}", "--json"]
    alone = json.loads(command(*words, "--out", tmp_path / "alone").out)
    shared = json.loads(command(*words, "--workers", "2", "--out", tmp_path / "shared").out)
    assert shared["metrics"] == alone["metrics"] and shared["mse"] == alone["mse"]
    assert (alone["workers"], shared["workers"]) == (1, 2)
    files = [(tmp_path / name / "model.onnx").read_bytes() for name in ("alone", "shared")]
    assert files[0] == files[1]
    assert command(*words, "--workers", "0").code == 2


def test_a_random_split_needs_no_parts(mine: Any, tmp_path: Path) -> None:
    data = write_striped(tmp_path / "fer2013.csv")
    recipe = mine("data.split=paper-stratified")
    found = run_classic(recipe, paths={"fer2013": data})
    assert found.metrics[0].data == "FER2013 test of paper-stratified" and found.card is None
    assert found.metrics[0].n == 26 and replace(recipe, seed=1) != recipe
