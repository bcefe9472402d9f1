"""Late fusion: equal to the formula, safe with missing channels, honest about disagreement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.labels import FER2013_7, TEXT_5, TEXT_7
from classpulse.core.records import Scores
from classpulse.engage.fusion import fit_reliability, pool, pool_means, reliability_of


def rows(*probs: list[float]) -> Scores:
    return Scores(np.array(probs, dtype=np.float32), TEXT_5)


SURE = [0.92, 0.02, 0.02, 0.02, 0.02]
OTHER = [0.02, 0.02, 0.02, 0.92, 0.02]
FLAT = [0.2] * 5


@st.composite
def distributions(draw: st.DrawFn) -> list[float]:
    weights = draw(st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
    return [w / sum(weights) for w in weights]


@given(distributions(), distributions(), st.floats(0, 2), st.floats(0, 2))
def test_the_pool_is_the_product_of_powers(
    a: list[float], b: list[float], w: float, v: float
) -> None:
    found = pool({"face": rows(a), "text": rows(b)}, reliability={"face": w, "text": v})
    product = np.array(a) ** w * np.array(b) ** v
    assert found.scores.probs[0] == pytest.approx(product / product.sum(), abs=1e-4)


def test_a_prior_counts_once() -> None:
    prior = np.array([0.6, 0.1, 0.1, 0.1, 0.1])
    both = {"face": Scores([prior], TEXT_5), "text": Scores([prior], TEXT_5)}
    found = pool(both, reliability={"face": 1, "text": 1}, prior=prior)
    assert found.scores.probs[0] == pytest.approx(prior, abs=1e-5)


@given(distributions())
def test_a_missing_channel_leaves_the_other_as_it_is(probs: list[float]) -> None:
    found = pool(
        {"face": rows(SURE), "text": rows(probs)},
        reliability={"face": 0.7, "text": 1.0},
        present={"face": [False]},
    )
    assert found.scores.probs[0] == pytest.approx(probs, abs=1e-4)
    assert found.used.tolist() == [1] and found.disagreement[0] == pytest.approx(0, abs=1e-9)


def test_agreement_makes_surer_and_disagreement_names_nothing() -> None:
    weights = {"face": 1.0, "text": 1.0}
    same = pool({"face": rows(SURE), "text": rows(SURE)}, reliability=weights)
    apart = pool({"face": rows(SURE), "text": rows(OTHER)}, reliability=weights)
    unsure = pool({"face": rows(SURE), "text": rows(FLAT)}, reliability=weights)
    assert same.scores.confidence[0] > 0.92 and same.labels() == ["angry"]
    assert apart.disagreement[0] > 0.6 and apart.labels() == [None]
    assert unsure.disagreement[0] < apart.disagreement[0]
    assert same.disagreement[0] == pytest.approx(0, abs=1e-9)


def test_a_channel_without_reliability_changes_nothing() -> None:
    found = pool({"face": rows(SURE), "text": rows(OTHER)}, reliability={"face": 1, "text": 0})
    assert found.scores.probs[0] == pytest.approx(SURE, abs=1e-4)
    assert found.labels() == ["angry"] and found.disagreement[0] == pytest.approx(0, abs=1e-9)


def test_no_channel_can_forbid_a_label_alone() -> None:
    never = rows([0.0, 0.25, 0.25, 0.25, 0.25])
    found = pool({"face": never, "text": rows(SURE)}, reliability={"face": 0.5, "text": 1})
    assert 0 < found.scores.probs[0, 0] < 1


def test_reliability_is_learned_from_labels() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 5, 4000)

    def channel(hits: float) -> Scores:
        seen = np.where(random.random(4000) < hits, truth, random.integers(0, 5, 4000))
        probs = np.full((4000, 5), 0.05)
        probs[np.arange(4000), seen] = 0.8
        return Scores(probs, TEXT_5)

    channels = {"good": channel(0.75), "poor": channel(0.3), "blind": channel(0.0)}
    weights = fit_reliability(channels, truth)
    assert weights["good"] > weights["poor"] > weights["blind"]
    assert weights["blind"] < 0.1 and weights["good"] == pytest.approx(1.0, abs=0.25)

    def loss(reliability: dict[str, float]) -> float:
        probs = pool(channels, reliability=reliability).scores.probs
        return float(-np.log(probs[np.arange(4000), truth]).mean())

    for name in channels:  # a minimum: no step up or down is better
        for step in (-0.05, 0.05):
            tried = weights | {name: max(weights[name] + step, 0.0)}
            assert loss(tried) >= loss(weights) - 1e-3


def test_a_channel_that_is_never_there_gets_no_weight() -> None:
    channels = {"face": rows(SURE, OTHER), "text": rows(SURE, OTHER)}
    weights = fit_reliability(channels, [0, 3], present={"text": [False, False]}, pull=0.01)
    assert weights["text"] == 0 and weights["face"] > 0


def test_reliability_of_chance_is_nothing() -> None:
    assert reliability_of(1 / 7, TEXT_7) == pytest.approx(0)
    assert reliability_of(0.05, TEXT_7) == 0
    assert reliability_of(1.0, TEXT_7) == 1


def test_means_of_groups_get_an_interval_that_holds_the_value() -> None:
    face = {label: (p, max(p - 0.1, 0), min(p + 0.1, 1))
            for label, p in zip(TEXT_5.names, SURE, strict=True)}  # fmt: skip
    text = dict.fromkeys(TEXT_5.names, (0.2, 0.15, 0.25))
    shares, gap = pool_means([face, text], space=TEXT_5, reliability=[0.6, 0.7])
    assert 0 < gap < 1 and sum(v for v, _, _ in shares.values()) == pytest.approx(1, abs=1e-4)
    assert all(low <= value <= high for value, low, high in shares.values())
    assert shares["angry"][2] - shares["angry"][1] > 0.02
    assert pool_means([face, text], space=TEXT_5, reliability=[0.6, 0.7]) == (shares, gap)


@pytest.mark.parametrize(
    ("channels", "options", "error", "words"),
    [
        ({}, {"reliability": {}}, InputError, "one channel"),
        ({"a": rows(FLAT)}, {"reliability": {}}, InputError, "'a' has no reliability"),
        ({"a": rows(FLAT)}, {"reliability": {"a": -1}}, ShapeError, ">= 0"),
        ({"a": rows(FLAT), "b": rows(FLAT, FLAT)}, {"reliability": {"a": 1, "b": 1}}, ShapeError,
         "different numbers of rows"),
        ({"a": rows(FLAT), "b": Scores(np.full((1, 7), 1 / 7), FER2013_7)},
         {"reliability": {"a": 1, "b": 1}}, InputError, "relabel"),
        ({"a": rows(FLAT)}, {"reliability": {"a": 1}, "present": {"a": [False]}}, InputError,
         "row 0"),
        ({"a": rows(FLAT)}, {"reliability": {"a": 1}, "present": {"a": [True, True]}}, ShapeError,
         r"needs \(1,\)"),
        ({"a": rows(FLAT)}, {"reliability": {"a": 1}, "prior": [1, 0, 0, 0, 0]}, ShapeError,
         "prior"),
    ],
)  # fmt: skip
def test_what_cannot_be_pooled_is_refused(
    channels: dict[str, Scores], options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        pool(channels, **options)  # type: ignore[arg-type]


def test_labels_outside_the_space_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"0\.\.4"):
        fit_reliability({"a": rows(FLAT)}, [5])
