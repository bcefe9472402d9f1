"""Averages, reliability, AUROC, risk-coverage, regression: by hand, by scikit-learn, by law."""

from typing import Any

import builders  # noqa: F401  (the hypothesis profile)
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    confusion_matrix,
    mean_squared_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
)

from classpulse.core.errors import ShapeError
from classpulse.lab.evaluate.classification import reliability_curve, score_classes
from classpulse.lab.evaluate.metrics import expected_calibration_error
from classpulse.lab.evaluate.ranking import risk_coverage, score_auroc
from classpulse.lab.evaluate.regression import score_regression, score_throughput
from classpulse.lab.evaluate.resample import (
    accuracy_of,
    bootstrap_counts,
    count_confusion,
    draw_clustered,
    draw_confusions,
    draw_paired,
    interval_of,
    macro_f1_of,
    rates,
)

NAMES = ("a", "b", "c", "d")
FEW = settings(max_examples=10)  # each example takes a thousand resamples


def draw_case(seed: int, n: int = 120, *, ties: bool = False) -> tuple[Any, Any]:
    """Probabilities (n, 4) that are right more often than not, and truth (n,)."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 4, n)
    logits = random.normal(0, 1, (n, 4))
    logits[np.arange(n), truth] += 1.0
    if ties:
        logits = np.round(logits)
    probs = np.exp(logits)
    return (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32), truth


def test_rates_of_a_table_by_hand() -> None:
    counts = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    precision, recall, f1 = rates(counts)
    np.testing.assert_allclose(precision, [3 / 5, 4 / 5, np.nan])
    np.testing.assert_allclose(recall, [3 / 4, 4 / 6, np.nan])
    np.testing.assert_allclose(f1, [6 / 9, 8 / 11, np.nan])
    assert accuracy_of(counts) == pytest.approx(0.7)
    assert macro_f1_of(counts) == pytest.approx((6 / 9 + 8 / 11) / 3)
    assert macro_f1_of(counts, skip_absent=True) == pytest.approx((6 / 9 + 8 / 11) / 2)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_averages_equal_scikit_learn(average: str) -> None:
    probs, truth = draw_case(1)
    predicted = np.where(probs.argmax(axis=1) == 3, 0, probs.argmax(axis=1))  # d is never said
    report = score_classes(truth, predicted, NAMES)
    wanted = precision_recall_fscore_support(
        truth, predicted, labels=range(4), average=average, zero_division=0
    )[:3]
    got = [report.averages[average][rate].value for rate in ("precision", "recall", "f1")]
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_classes_that_are_absent_have_no_rate() -> None:
    report = score_classes(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 2]), NAMES)
    assert report.n == 3  # the row without a label does not count
    assert report.support == {"a": 2, "b": 1, "c": 0, "d": 0}
    assert report.per_class["c"] == {"precision": None, "recall": None, "f1": None}
    assert report.per_class["a"]["recall"].value == 0.5  # type: ignore[union-attr]
    assert report.averages["macro"]["recall"].value == pytest.approx((0.5 + 1) / 4)


def test_a_resampled_table_is_distributed_like_resampled_rows() -> None:
    probs, truth = draw_case(2, n=80)
    predicted = probs.argmax(axis=1)
    cells = accuracy_of(draw_confusions(count_confusion(truth, predicted, 4), seed=0))
    random = np.random.default_rng(1)
    rows = [(predicted == truth)[random.integers(0, 80, 80)].mean() for _ in range(1000)]
    assert cells.mean() == pytest.approx(np.mean(rows), abs=0.01)
    assert cells.std() == pytest.approx(np.std(rows), rel=0.15)


def test_paired_tables_are_of_the_same_rows() -> None:
    _, truth = draw_case(3)
    other = (truth + 1) % 4
    same, again = draw_paired(truth, other, other, 4, seed=0, resamples=50)
    np.testing.assert_array_equal(same, again)
    right, wrong = draw_paired(truth, truth, other, 4, seed=0, resamples=50)
    np.testing.assert_array_equal(right.sum(axis=2), wrong.sum(axis=2))  # the same truths
    assert (accuracy_of(right) == 1).all() and (accuracy_of(wrong) == 0).all()


def test_people_are_drawn_whole() -> None:
    random = np.random.default_rng(3)
    truth, right = random.integers(0, 4, 300), random.random(300) < 0.7
    predicted = np.where(right, truth, (truth + 1) % 4)
    copies, people = np.repeat([truth, predicted], 3, axis=1), np.repeat(np.arange(300), 3)
    spread = {
        "people": accuracy_of(draw_clustered(*copies, people, 4, seed=0)).std(),
        "rows": accuracy_of(draw_confusions(count_confusion(*copies, 4), seed=0)).std(),
        "once": accuracy_of(draw_clustered(truth, predicted, np.arange(300), 4, seed=0)).std(),
    }
    assert spread["people"] == pytest.approx(spread["once"], rel=0.1)  # copies tell nothing new
    assert spread["people"] == pytest.approx(3**0.5 * spread["rows"], rel=0.1)
    first, second = draw_paired(*copies, copies[0], 4, seed=0, resamples=1500, clusters=people)
    assert len(first) == 1500 and (accuracy_of(second) == 1).all()
    assert (first.sum(axis=(1, 2)) == 900).all()
    assert accuracy_of(first).std() == pytest.approx(spread["people"], rel=0.1)


def test_interval_leaves_undefined_draws_out_and_holds_its_value() -> None:
    one = interval_of(5.0, np.array([1.0, 2.0, np.nan, 3.0]))
    assert one.low == pytest.approx(1.05) and one.high == 5.0
    [none] = bootstrap_counts(lambda c: np.full((len(c), 1), np.nan), 3, seed=0)
    assert none is None


@FEW
@given(st.integers(0, 10_000))
def test_a_perfect_prediction_is_perfect_everywhere(seed: int) -> None:
    _, truth = draw_case(seed)
    probs = np.eye(4, dtype=np.float32)[truth]
    for average in score_classes(truth, truth, NAMES).averages.values():
        assert average["f1"].value == 1.0
    curve = risk_coverage(probs, truth)
    assert curve.aurc.value == curve.excess == 0.0
    area = score_auroc(probs, truth, NAMES).macro
    assert area is not None and area.low == area.high == 1.0


@FEW
@given(st.integers(0, 10_000))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    probs, truth = draw_case(seed, ties=True)
    order = np.random.default_rng(seed).permutation(len(truth))
    one, other = risk_coverage(probs, truth), risk_coverage(probs[order], truth[order])
    assert one.aurc.value == pytest.approx(other.aurc.value)
    np.testing.assert_allclose(one.risk, other.risk)
    assert one.accuracy_at == pytest.approx(other.accuracy_at)
    assert (
        reliability_curve(probs, truth)[0].n == reliability_curve(probs[order], truth[order])[0].n
    )


@given(st.integers(0, 10_000), st.booleans())
def test_reliability_bins_add_up_to_the_calibration_error(seed: int, ties: bool) -> None:
    probs, truth = draw_case(seed, ties=ties)
    bins = reliability_curve(probs, truth)
    assert sum(b.n for b in bins) == len(truth)
    assert all(b.low - 1e-6 <= b.confidence <= b.high + 1e-6 for b in bins)
    error = sum(b.n * abs(b.accuracy.value - b.confidence) for b in bins) / len(truth)
    assert error == pytest.approx(expected_calibration_error(probs, truth), abs=1e-6)
    assert 0 <= error <= 1


def test_reliability_interval_is_wilson() -> None:
    probs = np.tile(np.float32([0.7, 0.3]), (10, 1))
    [one] = reliability_curve(probs, np.array([0] * 8 + [1] * 2))
    assert one.accuracy.value == 0.8 and one.n == 10
    assert one.accuracy.low == pytest.approx(0.4902, abs=1e-4)
    assert one.accuracy.high == pytest.approx(0.9433, abs=1e-4)


def test_risk_coverage_by_hand() -> None:
    confidence = np.float32([0.9, 0.8, 0.7, 0.6])
    probs = np.stack([confidence, 1 - confidence], axis=1)
    curve = risk_coverage(probs, np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(curve.threshold, confidence)
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 2 / 4])
    assert curve.aurc.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert curve.excess == pytest.approx(curve.aurc.value - (0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert curve.accuracy_at[0.5] == 0.5 and curve.accuracy_at[1.0] == 0.5


def test_equal_confidences_are_one_point_of_the_curve() -> None:
    probs = np.tile(np.float32([0.75, 0.25]), (8, 1))
    curve = risk_coverage(probs, np.array([0, 0, 0, 0, 0, 0, 1, 1]))
    assert curve.coverage.tolist() == [1.0] and curve.risk.tolist() == [0.25]
    assert curve.aurc.value == pytest.approx(0.25)
    assert set(curve.accuracy_at.values()) == {0.75}


@FEW
@given(st.integers(0, 10_000))
def test_risk_coverage_domain(seed: int) -> None:
    probs, truth = draw_case(seed, ties=seed % 2 == 0)
    curve = risk_coverage(probs, truth)
    assert (np.diff(curve.threshold) < 0).all() and (np.diff(curve.coverage) > 0).all()
    assert curve.coverage[-1] == 1.0 and ((curve.risk >= 0) & (curve.risk <= 1)).all()
    assert curve.risk[-1] == pytest.approx(1 - (probs.argmax(axis=1) == truth).mean())
    assert -1e-9 <= curve.excess <= curve.aurc.value


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_equals_scikit_learn(ties: bool) -> None:
    probs, truth = draw_case(4, ties=ties)
    areas = score_auroc(probs, truth, NAMES)
    for c, name in enumerate(NAMES):
        one = areas.per_class[name]
        assert one is not None
        assert one.value == pytest.approx(roc_auc_score(truth == c, probs[:, c]))
    wanted = roc_auc_score(truth, probs.astype(np.float64), multi_class="ovr", average="macro")
    assert areas.macro is not None and areas.macro.value == pytest.approx(wanted, abs=1e-6)


def test_auroc_of_absent_classes_is_left_out() -> None:
    probs = np.float32([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.6, 0.3, 0.1]])
    areas = score_auroc(probs, np.array([0, 1, 0]), ("a", "b", "c"))
    assert areas.per_class["c"] is None
    assert areas.macro is not None and areas.macro.value == 1.0
    alone = score_auroc(probs, np.array([0, 0, 0]), ("a", "b", "c"))
    assert alone.macro is None and alone.per_class["a"] is None


def test_regression_equals_scikit_learn_and_leaves_missing_out() -> None:
    random = np.random.default_rng(0)
    truth = random.random(50)
    predicted = truth + random.normal(0, 0.1, 50)
    result = score_regression(np.append(truth, np.nan), np.append(predicted, 0.5))
    assert (result.n, result.missing) == (50, 1)
    assert result.mse.value == pytest.approx(mean_squared_error(truth, predicted))
    assert result.mae.value == pytest.approx(np.abs(truth - predicted).mean())
    assert result.r2 is not None and result.r2.value == pytest.approx(r2_score(truth, predicted))
    assert result.r2.low < result.r2.value < result.r2.high < 1


def test_regression_on_a_constant_truth_has_no_r2() -> None:
    result = score_regression([0.3, 0.3, 0.3], [0.3, 0.4, 0.2])
    assert result.r2 is None and result.mse.value == pytest.approx(0.02 / 3)
    perfect = score_regression([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4])
    assert perfect.r2 is not None and perfect.r2.low == perfect.r2.high == 1.0


def test_throughput() -> None:
    speed = score_throughput([2.0, 2.0, 4.0, 4.0], 300)
    assert speed.value == pytest.approx(100) and speed.seconds_per_item == pytest.approx(0.01)
    assert speed.per_second is not None
    assert 75 <= speed.per_second.low < 100 < speed.per_second.high <= 150
    assert score_throughput(0.5, 10).per_second is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: score_classes(np.array([0, 1]), np.array([0]), NAMES),
        lambda: score_classes(np.array([-1, -1]), np.array([0, 0]), NAMES),
        lambda: score_classes(np.array([0, 4]), np.array([0, 0]), NAMES),
        lambda: score_classes(np.array([0, 1]), np.array([0, -1]), NAMES),
        lambda: reliability_curve(np.float32([[np.nan, 1]]), np.array([0])),
        lambda: score_auroc(np.float32([[0.5, 0.5]]), np.array([0]), NAMES),
        lambda: score_regression([1.0], [np.nan]),
        lambda: score_regression([np.nan], [1.0]),
        lambda: score_regression([1.0, 2.0], [1.0]),
        lambda: score_throughput([], 5),
        lambda: score_throughput([0.0], 5),
    ],
)
def test_malformed_arrays_are_refused(call: Any) -> None:
    with pytest.raises(ShapeError):
        call()


def test_confusion_rows_are_the_truth() -> None:
    truth, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])
    np.testing.assert_array_equal(
        count_confusion(truth, predicted, 2), confusion_matrix(truth, predicted)
    )
