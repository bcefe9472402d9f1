"""Valence by FER+ votes: its rule, labels, targets, and a head that is trained and exported."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SPEC, votes

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.labels import (  # noqa: E402
    FER2013_7,
    FERPLUS_8,
    VALENCE_3,
    VALENCE_RULE,
    get_space,
)
from classpulse.lab.data.faces import FaceSet, truth_in  # noqa: E402
from classpulse.lab.data.valence import valence_labels, valence_shares  # noqa: E402
from classpulse.lab.recipe import Recipe, load_recipe  # noqa: E402
from classpulse.lab.train.run import build_training, build_validation  # noqa: E402
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels, soft_targets  # noqa: E402

torch.set_num_threads(1)
NEGATIVE, NEUTRAL, POSITIVE = range(3)


def faces(*rows: list[int]) -> FaceSet:
    images = np.random.default_rng(0).integers(0, 256, (len(rows), 48, 48), dtype=np.uint8)
    labels = np.zeros(len(rows), np.int64)
    return FaceSet(images, labels, FER2013_7, "voted", votes=np.array(rows))


def test_every_emotion_has_its_sign_and_surprise_none() -> None:
    signs = {
        name: VALENCE_3.names[row.argmax()] if row.any() else None
        for name, row in zip(FERPLUS_8.names, VALENCE_RULE.matrix, strict=True)
    }
    assert signs == {
        "neutral": "neutral", "happiness": "positive", "surprise": None, "sadness": "negative",
        "anger": "negative", "disgust": "negative", "fear": "negative", "contempt": "negative",
    }  # fmt: skip
    assert get_space("valence-3") == VALENCE_3 and "Russell 1980" in VALENCE_RULE.origin


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (votes(happiness=6, neutral=4), POSITIVE),
        (votes(neutral=4, sadness=3, anger=3), NEGATIVE),  # neutral by majority of emotions
        (votes(neutral=5, happiness=5), -1),
        (votes(surprise=5, fear=5), -1),
        (votes(surprise=4, fear=6), NEGATIVE),
        (votes(unknown=4, NF=2, neutral=4), -1),
    ],
)
def test_the_label_is_the_sign_with_the_most_votes(row: list[int], label: int) -> None:
    assert valence_labels([row]).tolist() == [label]
    assert truth_in(faces(row), VALENCE_3).tolist() == [label]


def test_targets_are_the_shares_of_the_signs() -> None:
    rows = faces(
        votes(neutral=5, sadness=3, fear=2),
        votes(neutral=5, sadness=4, fear=1),  # a single vote is an outlier
        votes(surprise=5, fear=5),
        votes(surprise=3, happiness=6, NF=1),
        votes(happiness=1, neutral=1, sadness=1, anger=1),
    )
    found = soft_targets(rows, "valence", smoothing=0.1)
    assert np.allclose(found[0], [0.5, 0.5, 0]) and np.allclose(found[1], [4 / 9, 5 / 9, 0])
    assert np.allclose(found[3], [0, 0, 1]) and not found[[2, 4]].any()
    assert np.array_equal(found, valence_shares(rows.votes))  # type: ignore[arg-type]


def test_it_needs_votes() -> None:
    with pytest.raises(InputError, match=r"valence-3 needs FER\+ votes"):
        hard_labels(replace(faces(votes(neutral=10)), votes=None), "valence")


def test_a_recipe_trains_it_beside_the_others() -> None:
    given = load_recipe("face-base", changes=["heads.valence=0.3"])
    assert list(given.heads) == ["emotion", "votes", "state", "valence"]
    recipe = Recipe("tiny", "A recipe for tests.", {"emotion": 1.0, "valence": 0.3}, SPEC)
    rows = faces(votes(happiness=10), votes(neutral=10), votes(anger=10), votes(surprise=10))
    targets = build_training(rows, recipe).targets["valence"]
    assert targets.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0]]
    metrics = build_validation(rows, recipe)(Positive(), 48)
    assert metrics["valence"] == pytest.approx(1 / 3)
    assert HEAD_SPACES["valence"] == VALENCE_3


class Positive(torch.nn.Module):
    """Calls every face positive."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        n = len(x)
        return {"emotion": torch.zeros(n, 7), "valence": torch.eye(3)[[POSITIVE] * n]}
