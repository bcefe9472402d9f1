"""Selective accuracy: thresholds that reach the aim, and honest halves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from classpulse.lab.evaluate.selective import (
    cross_fitted_selective,
    find_threshold,
)


def answers(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated two-label answers: right as often as they are sure."""
    draw = np.random.default_rng(seed)
    sure = draw.uniform(0.5, 1.0, n).astype(np.float32)
    truth = (draw.uniform(size=n) > sure).astype(np.int64)
    return np.stack([sure, 1 - sure], axis=1), truth


def test_the_threshold_is_the_least_that_surely_reaches_the_aim() -> None:
    confidence = np.repeat(np.array([0.9, 0.7, 0.5], dtype=np.float32), 400)
    right = np.ones(1200, dtype=np.bool_)
    right[760:800] = False  # .95 right down to .7, surely .937: one-sided, exact
    right[800:] = False
    assert find_threshold(confidence, right, aim=0.93) == 0.51
    assert find_threshold(confidence, right, aim=0.94) == 0.71
    assert find_threshold(confidence, ~right, aim=0.9) is None


@pytest.mark.parametrize(("n", "found"), [(28, None), (29, 0.0)])
def test_nine_in_ten_take_29_right_answers(n: int, found: float | None) -> None:
    assert find_threshold(np.full(n, 0.8, np.float32), np.ones(n, np.bool_)) == found


@given(st.integers(0, 10_000), st.sampled_from([0.6, 0.8, 0.9]))
def test_what_a_threshold_keeps_reaches_the_aim(seed: int, aim: float) -> None:
    probs, truth = answers(200, seed)
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == truth
    found = find_threshold(confidence, right, aim=aim)
    if found is not None:
        assert right[confidence >= found].mean() > aim


def test_the_aim_is_reached_on_rows_that_were_not_fitted() -> None:
    found = cross_fitted_selective(*answers(8000), seed=0)
    assert found is not None and found.accuracy.value >= 0.9
    # of a uniform confidence on .5 to 1, .9 is the mean from .8 on: four tenths of the answers
    assert found.threshold == pytest.approx(0.81, abs=0.03)
    assert found.coverage.value == pytest.approx(0.38, abs=0.05)
    one, two = found.metrics("emotion", "a set")
    assert (one.name, one.n) == ("selective accuracy", found.kept) and two.n == 8000
    assert "confidence from 0.8" in one.data


def test_new_samples_reach_the_aim_nine_times_in_ten() -> None:
    reached = []
    for seed in range(60):
        probs, truth = answers(3000, seed)
        found = find_threshold(probs.max(axis=1), probs.argmax(axis=1) == truth)
        assert found is not None
        reached.append((found + 1) / 2 >= 0.9)  # the mean of what a uniform confidence keeps
    assert np.mean(reached) >= 0.9


def test_rows_are_judged_by_answers_that_have_not_seen_them() -> None:
    probs, truth = answers(3000)
    worse = np.where(np.arange(3000)[:, None] % 20 == 0, probs[:, ::-1], probs)
    plain = cross_fitted_selective(probs, truth, seed=0)
    found = cross_fitted_selective(probs, truth, seed=0, unseen=worse)
    assert plain is not None and found is not None
    assert found.threshold == plain.threshold and found.coverage.value < plain.coverage.value


def test_a_model_that_is_never_right_enough_has_no_threshold() -> None:
    probs, truth = answers(300)
    assert cross_fitted_selective(probs, 1 - truth, seed=0) is None
