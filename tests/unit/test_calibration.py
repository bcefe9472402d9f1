"""Temperature and vector scaling: found again, undone, and chosen by rows that were not fitted."""

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from classpulse.core.card import Head
from classpulse.lab.evaluate.calibration import (
    MOST_BY_ENTROPY,
    PLAIN,
    TEMPERATURE,
    VECTOR,
    Calibration,
    calibration_of,
    fit_calibration,
    fit_plain,
    fit_vector,
    log_loss,
)
from classpulse.lab.evaluate.metrics import (
    expected_calibration_error,
    fit_temperature,
    floor_of_ece,
    heat,
)

K = 5
BENT = Calibration(1.6, (0.7, 1.0, 1.4, 0.9, 1.2), (0.8, -0.4, 0.0, 0.3, -0.7), 0.4)
Drawn = tuple[NDArray[np.float32], NDArray[np.int64]]


def draw(n: int, *, seed: int = 0) -> Drawn:
    """(n, k) probabilities, and labels that hold exactly as often as they say."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2.0, (n, K))
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    truth = (probs.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return probs.astype(np.float32), truth.astype(np.int64)


def test_no_calibration_changes_nothing_and_a_temperature_is_heat() -> None:
    probs, _ = draw(50)
    assert np.allclose(PLAIN.apply(probs), probs, atol=1e-6)
    assert np.array_equal(Calibration(1.7).apply(probs), heat(probs, 1.7))


def test_vector_scaling_by_hand() -> None:
    found = Calibration(2.0, (1.0, 4.0), (0.0, np.log(3.0))).apply(np.array([[0.25, 0.75]]))
    # .25 ** .5 = .5 against 3 * .75 ** 2 = 1.6875
    assert found[0].tolist() == pytest.approx([0.5 / 2.1875, 1.6875 / 2.1875])


def test_unsure_answers_may_have_a_temperature_of_their_own() -> None:
    even, sure = np.full((1, 4), 0.25), np.array([[1.0, 0.0, 0.0, 0.0]])
    how = Calibration(2.0, (1.0,) * 4, (np.log(3.0), 0.0, 0.0, 0.0), 0.7)
    assert how.apply(even)[0].tolist() == pytest.approx([3 / 6, 1 / 6, 1 / 6, 1 / 6])
    assert how.apply(sure)[0].tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-6)
    half = np.array([[0.5, 0.5, 0.0, 0.0]])
    by_hand = np.exp(np.log(np.array([[0.8, 0.2]])) * np.exp(0.7 * 0.361) / 2)  # its entropy in 4
    assert Calibration(2.0, by_entropy=0.7).apply(np.array([[0.8, 0.2, 0.0, 0.0]]))[
        0, :2
    ].tolist() == pytest.approx((by_hand / by_hand.sum())[0].tolist(), abs=1e-3)
    assert Calibration(0.5, by_entropy=0.7).apply(half)[0, :2].tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("how", [PLAIN, Calibration(0.6), BENT, Calibration(1.2, by_entropy=-0.3)])
def test_a_calibration_can_be_undone(how: Calibration) -> None:
    probs, _ = draw(300)
    probs[0] = [1, 0, 0, 0, 0]
    assert np.allclose(how.undo(how.apply(probs)), probs, atol=1e-5)


def test_vector_scaling_is_found_again() -> None:
    probs, truth = draw(20_000)
    raw = BENT.undo(probs)
    found = fit_vector(raw, truth)
    assert found.apply(raw) == pytest.approx(probs, abs=0.03)
    assert log_loss(found.apply(raw), truth) < log_loss(probs, truth)  # of 12 numbers


def test_a_large_penalty_gives_temperature_scaling() -> None:
    probs, truth = draw(500)
    raw = BENT.undo(probs)
    found = fit_vector(raw, truth, penalty=1e7)
    assert found.temperature == pytest.approx(fit_temperature(raw, truth), rel=1e-3)
    assert found.scale == pytest.approx((1.0,) * K, abs=1e-3)
    assert found.bias == pytest.approx((0.0,) * K, abs=1e-3)
    assert found.by_entropy == pytest.approx(0.0, abs=1e-3)


def test_the_choice_is_of_the_rows_that_were_not_fitted() -> None:
    probs, truth = draw(3000)
    bent, straight = BENT.undo(probs), heat(probs, 0.5)
    vector, plain = fit_calibration(bent, truth), fit_calibration(straight, truth)
    assert vector.losses[VECTOR] < vector.losses[TEMPERATURE] and not vector.calibration.is_plain
    assert plain.losses[VECTOR] >= plain.losses[TEMPERATURE]
    assert plain.calibration == fit_plain(straight, truth) == Calibration(pytest.approx(2, rel=0.1))
    for found in (vector, plain):
        assert log_loss(found.unseen, truth) == min(found.losses.values())
        assert found.unseen.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_the_unseen_rows_do_not_know_their_labels() -> None:
    probs, truth = draw(400)
    found = fit_calibration(BENT.undo(probs), truth)
    again = fit_calibration(BENT.undo(probs), truth)
    assert np.array_equal(found.unseen, again.unseen) and found.calibration == again.calibration
    inside = log_loss(found.calibration.apply(BENT.undo(probs)), truth)
    assert inside < log_loss(found.unseen, truth)


def test_vector_scaling_mends_what_a_temperature_cannot() -> None:
    probs, truth = draw(6000)
    raw = Calibration(1.0, (0.4, 1.0, 1.0, 1.0, 1.0), (1.5, 0.0, 0.0, 0.0, 0.0)).undo(probs)
    plain = expected_calibration_error(fit_plain(raw, truth).apply(raw), truth)
    assert expected_calibration_error(fit_calibration(raw, truth).unseen, truth) < plain / 2


def test_a_label_without_rows_is_no_trouble() -> None:
    probs, truth = draw(200)
    found = fit_vector(probs, np.where(truth == 2, 3, truth))
    assert np.isfinite(found.scale).all() and found.bias[2] < found.bias[3]


@pytest.mark.parametrize("sure", [0.4, 0.6, 0.9999999, 1.0])
@pytest.mark.parametrize("right", [True, False])
def test_few_or_unanimous_rows_give_a_calibration_that_a_card_can_hold(
    sure: float, right: bool
) -> None:
    truth = np.arange(12) % 7
    probs = np.full((12, 7), (1 - sure) / 6, np.float32)
    probs[np.arange(12), truth if right else (truth + 1) % 7] = sure
    for found in (fit_vector(probs, truth), fit_calibration(probs, truth).calibration):
        assert np.exp(-2) - 1e-3 < found.temperature < np.exp(2) + 1e-3
        assert abs(found.by_entropy) <= MOST_BY_ENTROPY
        Head("a", "a_probs", "fer2013-7", found.temperature, scale=found.scale, bias=found.bias)
        assert found.undo(found.apply(probs)) == pytest.approx(probs, abs=1e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(8))
def test_the_search_takes_no_step_beyond_what_can_be_computed(seed: int) -> None:
    random = np.random.default_rng(seed)
    n, spread = int(random.integers(6, 60)), 10.0 ** random.uniform(-4, 2)
    probs = random.dirichlet(np.full(7, spread), n).astype(np.float32)
    found = fit_vector(probs, random.integers(0, 7, n))
    assert np.isfinite((found.temperature, *found.scale, *found.bias, found.by_entropy)).all()


@pytest.mark.parametrize("by_entropy", [-MOST_BY_ENTROPY, MOST_BY_ENTROPY])
def test_the_strongest_calibration_of_a_fit_can_be_undone(by_entropy: float) -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(7), 500).astype(np.float32)
    how = Calibration(1.0, by_entropy=by_entropy)
    assert how.undo(how.apply(probs)) == pytest.approx(probs, abs=1e-3)


def test_a_bias_without_scales_counts() -> None:
    how = Calibration(bias=(np.log(3.0), 0.0))
    assert not how.is_plain
    assert how.apply(np.array([[0.5, 0.5]]))[0].tolist() == pytest.approx([0.75, 0.25])


def test_the_floor_is_what_a_perfect_calibration_shows() -> None:
    probs, _ = draw(2000)
    floor = floor_of_ece(probs, seed=0)
    seen = []
    for seed in range(40):
        drawn, truth = draw(2000, seed=seed)
        seen.append(expected_calibration_error(drawn, truth))
    assert floor.value == pytest.approx(np.mean(seen), abs=0.002)
    assert floor.low < np.mean(seen) < floor.high
    assert floor_of_ece(draw(8000)[0], seed=0).value == pytest.approx(floor.value / 2, rel=0.15)


def test_a_head_tells_its_calibration() -> None:
    head = Head("a", "a_probs", "fer2013-7", 1.5, scale=(1.0,) * 7, bias=(0.5,) * 7, by_entropy=0.2)
    assert calibration_of(head) == Calibration(1.5, (1.0,) * 7, (0.5,) * 7, 0.2)
    assert calibration_of(Head("a", "a_probs", "fer2013-7", 1.5)).is_plain
