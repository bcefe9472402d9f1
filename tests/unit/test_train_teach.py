"""Distillation: part of every target is what trained models say."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from builders import SPEC
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError, ModelError  # noqa: E402
from classpulse.lab.evaluate.predictors import predict_heads  # noqa: E402
from classpulse.lab.recipe import Recipe, load_recipe  # noqa: E402
from classpulse.lab.train.answers import mean_answers  # noqa: E402
from classpulse.lab.train.run import build_training  # noqa: E402
from classpulse.lab.train.sources import load_parts  # noqa: E402
from classpulse.lab.train.teach import Teaching, ask_teachers, blend_targets  # noqa: E402
from classpulse.runtime.model import OnnxModel  # noqa: E402

torch.set_num_threads(1)
RECIPE = Recipe("tiny", "A recipe for tests.", {"emotion": 1.0, "state": 0.5}, SPEC)


def train_part(fer: Path, ferplus: Path) -> Any:
    return load_parts(RECIPE, {"fer2013": fer}, ferplus).train


def test_targets_are_shared_with_the_teacher(fer: Path, ferplus: Path) -> None:
    faces = train_part(fer, ferplus)
    alone = build_training(faces, RECIPE).targets
    how = Teaching(("face-base",), share=0.25)
    taught = build_training(faces, replace(RECIPE, teach=how)).targets
    said = predict_heads(OnnxModel("face-base"), faces.images)
    mass = alone["state"].sum(dim=1)
    assert 0 < int((mass == 0).sum()) < len(mass)  # some have no state
    assert torch.allclose(taught["state"].sum(dim=1), mass, atol=1e-5)
    expected = 0.75 * alone["emotion"].numpy() + 0.25 * said["emotion"].probs
    assert np.allclose(taught["emotion"].numpy(), expected, atol=1e-5)


def test_teachers_are_averaged_and_flattened(fer: Path, ferplus: Path) -> None:
    faces = train_part(fer, ferplus)
    one = ask_teachers(Teaching(("face-base",)), faces, ["emotion"])["emotion"]
    twice = ask_teachers(Teaching(("face-base", "face-base")), faces, ["emotion"])["emotion"]
    assert np.allclose(one, twice, atol=1e-5)
    flat = ask_teachers(Teaching(("face-base",), temperature=4.0), faces, ["emotion"])["emotion"]
    assert (flat.max(axis=1) < one.max(axis=1)).all()
    assert np.allclose(flat.sum(axis=1), 1, atol=1e-4)


def test_teachers_are_asked_once(
    fer: Path, ferplus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces, how, kept = train_part(fer, ferplus), Teaching(("face-base",)), tmp_path / "taught.pt"
    calls: list[int] = []

    def counted(model: OnnxModel, images: Any) -> Any:
        calls.append(len(images))
        return predict_heads(model, images)

    monkeypatch.setattr("classpulse.lab.train.teach.predict_heads", counted)
    first = ask_teachers(how, faces, ["emotion"], kept=kept)["emotion"]
    again = ask_teachers(how, faces, ["emotion"], kept=kept)["emotion"]
    hot = ask_teachers(replace(how, temperature=4.0), faces, ["emotion"], kept=kept)["emotion"]
    assert np.array_equal(first, again) and not np.allclose(first, hot)
    assert calls == [len(faces)]  # the temperature is applied to what is kept
    ask_teachers(how, faces, ["emotion", "state"], kept=kept)
    assert calls[1:] == [len(faces)]  # other heads are other answers
    fewer = ask_teachers(how, faces.take(np.arange(5), name="few"), ["emotion", "state"], kept=kept)
    assert calls[2:] == [] and len(fewer["emotion"]) == 5
    kept.write_bytes(b"damaged")
    ask_teachers(how, faces, ["emotion"], kept=kept)
    assert calls[2:] == [len(faces)]


class Teacher:
    """Says of a row how long it is, and counts what it is asked."""

    def __init__(self, rows: Sequence[bytes], *, dies_after: int = 10**9) -> None:
        self.asked: list[bytes] = []
        self._rows, self._dies_after = rows, dies_after

    def __call__(self, places: list[int]) -> dict[str, Any]:
        if len(self.asked) >= self._dies_after:
            raise KeyboardInterrupt
        self.asked += [self._rows[i] for i in places]
        return {"length": np.array([[len(self._rows[i])] for i in places], np.float32)}


@given(
    first=st.lists(st.binary(max_size=3), max_size=9),
    second=st.lists(st.binary(max_size=3), min_size=1, max_size=9),
    dies_after=st.integers(1, 9),
)
def test_an_answer_is_asked_for_once_whatever_dies(
    first: list[bytes], second: list[bytes], dies_after: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("classpulse.lab.train.answers.AT_ONCE", 2)
        kept, seen = Path(folder) / "taught.pt", list[tuple[int, int]]()
        killed = Teacher(first, dies_after=dies_after)
        with suppress(KeyboardInterrupt):
            if first:
                mean_answers({"a": killed}, first, kept=kept)
        again = Teacher(second)
        said = mean_answers(
            {"a": again}, second, kept=kept, on_asked=lambda *count: seen.append(count)
        )
        assert said["length"].ravel().tolist() == [len(row) for row in second]
        assert sorted(again.asked) == sorted(set(second) - set(killed.asked))
        assert not again.asked or seen[-1] == (len(set(second)),) * 2


def test_answers_of_two_teachers_are_kept_apart_and_averaged(tmp_path: Path) -> None:
    rows, kept = [b"", b"ab", b"abcd"], tmp_path / "taught.pt"
    one, other = Teacher(rows), Teacher([row * 3 for row in rows])
    both = mean_answers({"one": one, "other": other}, rows, kept=kept)
    assert both["length"].ravel().tolist() == [0, 4, 8]
    third = Teacher([row * 5 for row in rows])
    mixed = mean_answers({"other": other, "third": third}, rows, kept=kept)
    assert mixed["length"].ravel().tolist() == [0, 8, 16]
    assert len(other.asked) == len(third.asked) == 3
    mean_answers({"one": one}, rows, kept=kept)
    assert len(one.asked) == 6  # what a teacher said that is gone from the recipe is not kept


def test_a_head_that_nobody_teaches_keeps_its_labels() -> None:
    targets = {"emotion": np.eye(7, dtype=np.float32), "state": np.eye(4, dtype=np.float32)}
    blended = blend_targets(targets, {"emotion": np.full((7, 7), 1 / 7, np.float32)}, share=1.0)
    assert np.array_equal(blended["state"], targets["state"])
    assert np.allclose(blended["emotion"], 1 / 7)


def test_teachers_that_know_none_of_the_heads_are_refused(fer: Path, ferplus: Path) -> None:
    with pytest.raises(InputError, match="face-base share none of the heads engagement"):
        ask_teachers(Teaching(("face-base",)), train_part(fer, ferplus), ["engagement"])


def test_only_the_named_heads_are_taught(fer: Path, ferplus: Path) -> None:
    faces = train_part(fer, ferplus)
    how = Teaching(("face-base",), heads=("state",))
    assert list(ask_teachers(how, faces, ["emotion", "state"])) == ["state"]
    assert how.describe() == "50% of each target of state from face-base"
    with pytest.raises(InputError, match=r"teach\.heads: votes is no head of the recipe"):
        ask_teachers(replace(how, heads=("state", "votes")), faces, ["emotion", "state"])


def test_an_unknown_teacher_is_refused(fer: Path, ferplus: Path) -> None:
    with pytest.raises(ModelError, match="nobody"):
        ask_teachers(Teaching(("nobody",)), train_part(fer, ferplus), ["emotion"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("teach.teachers=[]", "teach needs teachers"),
        ('teach={ teachers = ["face-base"], share = 2.0 }', "share = 2.0: needs a number"),
        ('teach={ teachers = ["face-base"], heat = 2.0 }', r"unknown \['heat'\]"),
    ],
)
def test_wrong_teaching_is_refused(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("face-base", changes=[change])


def test_a_recipe_names_its_teachers() -> None:
    given = 'teach={ teachers = ["face-base"], share = 0.3 }'
    recipe = load_recipe("face-base", changes=[given])
    assert recipe.teach == Teaching(("face-base",), share=0.3)
    assert recipe.teach.describe() == "30% of each target from face-base"
