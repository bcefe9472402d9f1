"""Learning states: one threshold for the labels of a state, and how right it is."""

import numpy as np
import pytest

from classpulse.core.labels import GOEMOTIONS_28, TEXT_STATE_3
from classpulse.lab.data.texts import MultiTextSet
from classpulse.lab.text.multi import (
    GRID,
    PLAIN_THRESHOLD,
    Probs,
    Truth,
    cut_crosswise,
    fit_thresholds,
)
from classpulse.lab.text.states import fit_state_thresholds, state_metrics
from classpulse.text.states import STATES

ANNOYED, LET_DOWN, CONFUSED = (
    GOEMOTIONS_28.index(label) for label in ("annoyance", "disappointment", "confusion")
)
PLAIN = tuple(0.01 * i for i in range(1, 29))


def comments(n: int = 600) -> tuple[Probs, Truth]:
    """Annoyance is found well, disappointment badly, confusion never occurs."""
    draw = np.random.default_rng(0)
    truth = (draw.random((n, 28)) < 0.2).astype(np.uint8)
    truth[:, CONFUSED] = 0
    probs = draw.uniform(0.0, 0.3, (n, 28)).astype(np.float32)
    probs[:, ANNOYED] += 0.6 * truth[:, ANNOYED]
    return probs, truth


def multi(truth: Truth) -> MultiTextSet:
    n = len(truth)
    return MultiTextSet(("so",) * n, truth, GOEMOTIONS_28, np.arange(n), "comments")


def test_the_labels_of_a_state_share_the_threshold_of_the_state() -> None:
    probs, truth = comments()
    found = fit_state_thresholds(probs, truth, PLAIN)
    told = {label for labels in STATES.values() for label in labels}
    for label, before, after in zip(GOEMOTIONS_28.names, PLAIN, found, strict=True):
        assert label in told or after == before
    assert found[ANNOYED] == found[LET_DOWN] >= 0.275 > fit_thresholds(probs, truth)[LET_DOWN]
    assert found[CONFUSED] == PLAIN_THRESHOLD


def test_no_other_threshold_has_a_better_f_score_of_the_state() -> None:
    probs, truth = comments()
    cut = fit_state_thresholds(probs, truth, PLAIN)[ANNOYED]
    told = probs[:, [ANNOYED, LET_DOWN]].max(axis=1)
    holds = truth[:, [ANNOYED, LET_DOWN]].max(axis=1) > 0

    def score(threshold: float) -> float:
        said = told >= np.float32(threshold)
        precision, recall = (said & holds).sum() / said.sum(), (said & holds).sum() / holds.sum()
        return float(1.25 * precision * recall / (0.25 * precision + recall))

    assert score(cut) == pytest.approx(max(score(t) for t in GRID if (told >= t).any()))


def test_precision_that_counts_more_asks_for_a_higher_threshold() -> None:
    draw = np.random.default_rng(1)
    truth = (draw.random((2000, 1)) < 0.3).astype(np.uint8)
    probs = np.clip(draw.normal(0.3 + 0.2 * truth, 0.15), 0, 1).astype(np.float32)
    loose, even, strict = (fit_thresholds(probs, truth, beta=b)[0] for b in (2.0, 1.0, 0.5))
    assert loose < even < strict


def test_states_are_judged_on_the_half_that_their_threshold_was_not_fitted_on() -> None:
    probs, truth = comments()
    found = {m.name.removesuffix(", cross-fitted threshold"): m
             for m in state_metrics("goemotions", probs, multi(truth))}  # fmt: skip
    assert set(found) == {
        *(f"{name} of {state}" for state in TEXT_STATE_3.names for name in ("precision", "recall"))
    } - {"precision of confused", "recall of confused"}  # never said, never there
    told = probs[:, [ANNOYED, LET_DOWN]].max(axis=1, keepdims=True)
    holds = truth[:, [ANNOYED, LET_DOWN]].max(axis=1, keepdims=True)
    said = cut_crosswise(told, holds, beta=0.5)
    precision = found["precision of frustrated"]
    assert precision.value == pytest.approx((said & (holds > 0)).sum() / said.sum(), abs=1e-4)
    assert precision.low < precision.value <= precision.high and precision.n == 600
    assert (precision.head, precision.data) == ("goemotions", "comments")
