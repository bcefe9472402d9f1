"""One temperature of many sigmoids: found again, and the calibration error that it mends."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from classpulse.lab.text.multi_calibration import (
    fit_multi_temperature,
    heat_crosswise,
    heat_multi,
    multi_ece,
)

Drawn = tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]],
              np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """(4000, 6) probabilities, and labels that hold exactly as often as they say."""
    random = np.random.default_rng(0)
    logits = random.normal(-1.5, 2.0, (4000, 6))
    probs = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return probs, (random.random(probs.shape) < probs).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_overconfident_answers_is_found(
    drawn: Drawn, temperature: float
) -> None:
    probs, truth = drawn
    raw = heat_multi(probs, 1 / temperature)
    found = fit_multi_temperature(raw, truth)
    assert found == pytest.approx(temperature, rel=0.06)
    np.testing.assert_allclose(heat_multi(raw, temperature), probs, atol=2e-3)


def test_heat_keeps_the_order_of_texts_and_the_half(drawn: Drawn) -> None:
    probs = drawn[0]
    cooled = heat_multi(probs, 3.0)
    assert (np.argsort(cooled[:200, 0]) == np.argsort(probs[:200, 0])).all()
    assert ((cooled >= 0.5) == (probs >= 0.5)).all()


def test_calibration_error_falls_when_each_half_is_heated_by_the_other(drawn: Drawn) -> None:
    probs, truth = drawn
    sharp = heat_multi(probs, 0.3)
    before, after = multi_ece(sharp, truth), multi_ece(heat_crosswise(sharp, truth), truth)
    assert after.value < 0.015 < 0.05 < before.value
    assert before.low <= before.value <= before.high


def test_calibration_error_is_the_gap_of_the_means() -> None:
    probs = np.full((400, 2), 0.3, dtype=np.float32)
    truth = np.zeros((400, 2), dtype=np.uint8)
    truth[:, 0] = np.arange(400) < 200  # one label holds in half of the texts, one never
    assert multi_ece(probs, truth).value == pytest.approx(0.05, abs=1e-6)  # |.3 - .25|
