"""Selective accuracy: thresholds that reach the aim, and honest halves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from classpulse.lab.evaluate.selective import (
    FEWEST,
    cross_fitted_selective,
    find_threshold,
)


def answers(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated two-label answers: right as often as they are sure."""
    draw = np.random.default_rng(seed)
    sure = draw.uniform(0.5, 1.0, n).astype(np.float32)
    truth = (draw.uniform(size=n) > sure).astype(np.int64)
    return np.stack([sure, 1 - sure], axis=1), truth


def test_the_threshold_is_the_least_that_reaches_the_aim() -> None:
    confidence = np.repeat(np.array([0.9, 0.7, 0.5], dtype=np.float32), 40)
    right = np.ones(120, dtype=np.bool_)
    right[76:80] = False  # .95 right down to .7
    right[80:] = False
    assert find_threshold(confidence, right, aim=0.95) == 0.7
    assert find_threshold(confidence, right, aim=0.99) == 0.9
    assert find_threshold(confidence, ~right, aim=0.9) is None


@given(st.integers(0, 10_000), st.sampled_from([0.6, 0.8, 0.9]))
def test_what_a_threshold_keeps_reaches_the_aim(seed: int, aim: float) -> None:
    probs, truth = answers(200, seed)
    confidence, right = probs.max(axis=1), probs.argmax(axis=1) == truth
    found = find_threshold(confidence, right, aim=aim)
    if found is not None:
        kept = confidence >= found
        assert kept.sum() >= FEWEST and right[kept].mean() >= aim


def test_calibrated_answers_reach_the_aim_on_the_other_half() -> None:
    found = cross_fitted_selective(*answers(8000), seed=0)
    assert found is not None
    # of a uniform confidence on .5 to 1, .9 is the mean from .8 on: four tenths of the answers
    assert found.threshold == pytest.approx(0.8, abs=0.03)
    assert found.accuracy.low < 0.9 < found.accuracy.high
    assert found.coverage.value == pytest.approx(0.4, abs=0.05)
    one, two = found.metrics("emotion", "a set")
    assert (one.name, one.n) == ("selective accuracy", found.kept) and two.n == 8000
    assert "confidence from 0.8" in one.data


def test_a_model_that_is_never_right_enough_has_no_threshold() -> None:
    probs, truth = answers(300)
    assert cross_fitted_selective(probs, 1 - truth, seed=0) is None
