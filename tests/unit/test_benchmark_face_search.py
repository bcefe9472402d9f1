"""The search among face networks: both of a pair learn, in as much processor time as any other."""

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import face_search  # noqa: E402
from builders import votes  # noqa: E402
from toy_training import LONGER  # noqa: E402

from classpulse.core.labels import FER2013_7  # noqa: E402
from classpulse.lab.data.faces import FaceSet  # noqa: E402
from classpulse.lab.models.base import count_parameters  # noqa: E402
from classpulse.lab.recipe import load_recipe  # noqa: E402
from classpulse.lab.train.coteach import CoTeaching, Pair  # noqa: E402
from classpulse.lab.train.run import build_network  # noqa: E402
from classpulse.lab.train.sources import FaceParts  # noqa: E402

RECIPE = replace(LONGER, heads={"emotion": 1.0, "votes": 0.5, "state": 0.5})
KINDS = (votes(happiness=10), votes(anger=10), votes(neutral=10))


def build_parts(times: int = 8) -> FaceParts:
    """Random faces of three emotions with votes, the same for training and judging."""
    images = np.random.default_rng(0).integers(0, 256, (3 * times, 16, 16), dtype=np.uint8)
    labels = np.array([FER2013_7.index(name) for name in ("happy", "angry", "neutral")] * times)
    faces = FaceSet(images, labels, FER2013_7, "random", votes=np.array(KINDS * times))
    return FaceParts(faces, faces)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(face_search, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def options(keep: Path, minutes: float = 0.002) -> Namespace:
    return Namespace(keep=keep, minutes=minutes)


def test_both_networks_of_a_pair_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[Any] = []
    steps = face_search.train_steps

    def watched(model: Any, *given: Any, **named: Any) -> Any:
        taught.append(model)
        return steps(model, *given, **named)

    monkeypatch.setattr(face_search, "train_steps", watched)
    recipe = replace(RECIPE, coteach=CoTeaching(0.2, ramp=1))
    found = face_search.measure(build_parts(), "a pair", recipe, options(tmp_path))
    assert taught and all(isinstance(model, Pair) for model in taught)
    assert found["parameters"] == count_parameters(build_network(RECIPE))  # of the one that counts
    row = face_search.row(found)
    assert row[0] == "a pair" and len(row) == 7 and float(row[2]) > 0


def test_a_finished_variant_is_read_back_if_it_had_the_same_time(
    tmp_path: Path, results: Path
) -> None:
    parts = build_parts()
    first = face_search.measure(parts, "one", RECIPE, options(tmp_path))
    assert face_search.measure(parts, "one", RECIPE, options(tmp_path)) == first
    with pytest.raises(SystemExit, match=r"is of 0\.002 minutes, not 1, .* delete it"):
        face_search.measure(parts, "one", RECIPE, options(tmp_path, minutes=1.0))
    assert face_search.read_results() == {"one": first}
    assert [path.name for path in results.iterdir()] == ["one.json"]


def test_a_network_is_judged_at_the_side_that_it_was_last_trained_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    predict = face_search.predict_logits

    def noted(model: Any, x: Any, **named: Any) -> Any:
        seen.append(x.shape[-1])
        return predict(model, x, **named)

    monkeypatch.setattr(face_search, "predict_logits", noted)
    for sides in (((1, 12), (1, 8)), ((1, 8), (1, 16))):
        recipe = replace(RECIPE, schedule=replace(RECIPE.schedule, sides=sides))
        face_search.measure(build_parts(), f"{sides}", recipe, options(tmp_path))
    assert seen == [8, 16]


def test_every_variant_has_a_recipe_a_file_and_a_table() -> None:
    names = [name for variants in face_search.VARIANTS.values() for name in variants]
    assert len({face_search.slug(name) for name in names}) == len(names)
    assert face_search.VARIANTS.keys() == face_search.HEADS.keys()
    for variants in face_search.VARIANTS.values():
        for changes in variants.values():
            recipe = load_recipe("face-base", changes=changes)
            assert recipe.schedule.epochs == 4  # minutes are shared out among them


def test_later_variants_begin_with_one_network(tmp_path: Path) -> None:
    parts = build_parts(times=22)  # a batch of 64
    run = face_search.begin(parts, options(tmp_path))
    written = (run / "best.pt").read_bytes()
    assert face_search.begin(parts, options(tmp_path)) == run
    assert (run / "best.pt").read_bytes() == written  # trained once
    changes = face_search.VARIANTS["labels"]["nothing changed"]
    recipe = replace(load_recipe("face-base", changes=changes), start=str(run))
    assert "begun" in build_network(recipe).origin
    assert face_search.read_results() == {}  # it is no variant


def test_an_unknown_variant_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = ["face_search.py", "x.csv", "--votes", "v.csv", "--keep", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--only", "vgg"])
    with pytest.raises(
        SystemExit, match=r"--only 'vgg': there is no such variant; known: .*vgg-bn"
    ):
        face_search.main()
