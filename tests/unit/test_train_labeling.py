"""Votes in the emotion target, and one target for all copies of a picture."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from builders import SPEC, votes

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.labels import FER2013_7  # noqa: E402
from classpulse.lab.data.faces import FaceSet  # noqa: E402
from classpulse.lab.recipe import Recipe, changed_keys, load_recipe, recipe_table  # noqa: E402
from classpulse.lab.train.labeling import Labeling, blend_votes, share_targets  # noqa: E402
from classpulse.lab.train.run import build_training  # noqa: E402

torch.set_num_threads(1)
HEADS = {"emotion": 1.0, "votes": 0.5, "state": 0.5}
RECIPE = Recipe("tiny", "A recipe for tests.", HEADS, SPEC)
HAPPY, SAD, ANGRY = (FER2013_7.index(name) for name in ("happy", "sad", "angry"))
TABLE = np.array(
    [
        votes(happiness=6, neutral=4),
        votes(happiness=5, contempt=5),
        votes(contempt=10),
        votes(unknown=4, NF=3, sadness=1, fear=1, anger=1),
    ]
)


def hot(*labels: int) -> Any:
    return np.eye(7, dtype=np.float32)[list(labels)]


def build_faces(n: int = 12) -> FaceSet:
    """Random faces, each with a label and ten votes for it; 3 and 7 are copies of 1."""
    images = np.random.default_rng(0).integers(0, 256, (n, 48, 48), dtype=np.uint8)
    images[3], images[7] = images[1], images[1][:, ::-1]
    labels = np.arange(n) % 7
    table = np.tile(TABLE[0], (n, 1))
    table[3] = votes(sadness=10)
    return FaceSet(images, labels, FER2013_7, "random", votes=table)


# --- votes ---------------------------------------------------------------------------------------


def test_votes_have_their_share_under_the_names_of_fer2013() -> None:
    found = blend_votes(hot(SAD, SAD, SAD, SAD), TABLE, share=0.5)
    assert found[0, HAPPY] == pytest.approx(0.3) and found[0, SAD] == pytest.approx(0.5)
    assert found[0, FER2013_7.index("neutral")] == pytest.approx(0.2)
    assert found[1, HAPPY] == pytest.approx(0.5)  # contempt is dropped, the rest sums to 1
    assert np.allclose(found.sum(axis=1), 1)


def test_rows_without_a_usable_vote_keep_their_label() -> None:
    found = blend_votes(hot(SAD, SAD, SAD, SAD), TABLE, share=1.0)
    assert np.array_equal(found[2:], hot(SAD, SAD))  # contempt alone; single votes


def test_a_share_of_one_leaves_the_votes_alone() -> None:
    found = blend_votes(hot(SAD), TABLE[:1], share=1.0)
    assert found[0].tolist() == pytest.approx([0, 0, 0, 0.6, 0, 0, 0.4])


def test_rows_without_a_label_get_none_from_votes() -> None:
    assert blend_votes(np.zeros((1, 7), np.float32), TABLE[:1], share=0.5).sum() == 0


def test_votes_are_for_the_emotion_alone() -> None:
    faces = build_faces()
    plain = build_training(faces, RECIPE).targets
    voted = build_training(faces, replace(RECIPE, labels=Labeling(votes=0.4))).targets
    assert not torch.equal(plain["emotion"], voted["emotion"])
    for head in ("votes", "state"):
        assert torch.equal(plain[head], voted[head])
    expected = blend_votes(plain["emotion"].numpy(), faces.votes, share=0.4)
    assert np.array_equal(voted["emotion"].numpy(), expected)


def test_votes_that_are_not_there_are_an_error() -> None:
    faces = replace(build_faces(), votes=None)
    recipe = replace(RECIPE, heads={"emotion": 1.0}, labels=Labeling(votes=0.4))
    with pytest.raises(InputError, match=r"labels\.votes = 0\.4: random has no FER\+ votes"):
        build_training(faces, recipe)


# --- repeats -------------------------------------------------------------------------------------


def test_copies_share_the_mean_of_their_targets() -> None:
    found = share_targets(hot(HAPPY, SAD, HAPPY, ANGRY), np.array([0, 0, 0, 3]))
    assert found[0, HAPPY] == pytest.approx(2 / 3) and found[0, SAD] == pytest.approx(1 / 3)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[3], hot(ANGRY)[0])


def test_a_copy_without_a_label_neither_gives_nor_gets_one() -> None:
    targets = hot(HAPPY, SAD, ANGRY)
    targets[1] = 0
    found = share_targets(targets, np.array([0, 0, 0]))
    assert found[1].sum() == 0
    assert found[0].tolist() == found[2].tolist() == [0.5, 0, 0, 0.5, 0, 0, 0]


def test_every_head_agrees_about_the_copies_of_a_picture(caplog: pytest.LogCaptureFixture) -> None:
    faces = build_faces()
    plain = build_training(faces, RECIPE).targets
    with caplog.at_level(logging.INFO):
        shared = build_training(faces, replace(RECIPE, labels=Labeling(repeats="mean"))).targets
    for head in HEADS:
        rows = shared[head][[1, 3, 7]]
        rows = rows[rows.sum(dim=1) > 0]
        assert torch.equal(rows, rows[:1].expand_as(rows))
        others = [row for row in range(12) if row not in (1, 3, 7)]
        assert torch.equal(shared[head][others], plain[head][others])
    assert "'groups': 1, 'pictures': 3, 'contradictory': 1" in caplog.text


def test_made_copies_have_the_target_of_their_source() -> None:
    faces = build_faces()
    how = replace(RECIPE, balance="insert", labels=Labeling(votes=0.3, repeats="mean"))
    targets = build_training(faces, how).targets["emotion"]
    plain = build_training(faces, replace(how, balance="none")).targets["emotion"]
    assert torch.equal(targets[:12], plain) and len(targets) == 14
    assert all((row == plain).all(dim=1).any() for row in targets[12:])


# --- the recipe ----------------------------------------------------------------------------------


def test_a_recipe_says_what_becomes_of_labels() -> None:
    recipe = load_recipe("face-base", changes=["labels.votes=0.5", "labels.repeats=mean"])
    assert recipe.labels == Labeling(0.5, "mean")
    assert recipe_table(recipe)["labels"] == {"votes": 0.5, "repeats": "mean"}


def test_runs_from_before_go_on() -> None:
    new = recipe_table(load_recipe("face-base"))
    old = {key: value for key, value in new.items() if key != "labels"}
    assert changed_keys(old, new) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("labels.votes=1.5", r"votes = 1\.5: needs a number from 0 to 1"),
        ("labels.repeats=drop", "repeats = 'drop': needs 'mean', or nothing"),
        ("labels.noise=0.1", r"unknown \['noise'\]"),
    ],
)
def test_wrong_labels_are_refused(change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("face-base", changes=[change])
