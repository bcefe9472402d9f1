"""McNemar, the paired bootstrap, and groups."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from classpulse.core.errors import ShapeError
from classpulse.lab.evaluate.compare import compare_models, score_mcnemar
from classpulse.lab.evaluate.groups import score_groups


def columns(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Who is right, as two columns."""
    a = np.repeat([True, True, False, False], [both, first, second, neither])
    b = np.repeat([True, False, True, False], [both, first, second, neither])
    return a, b


def test_mcnemar_counts_the_table() -> None:
    result = score_mcnemar(*columns(20, 6, 1, 3))
    assert (result.both, result.first_only, result.second_only, result.neither) == (20, 6, 1, 3)


@pytest.mark.parametrize(
    ("first", "second", "method", "p"),
    [
        # exact: 2 (C(7,0) + C(7,1)) / 2^7 = 16 / 128; mid-p takes C(7,1) / 2^7 off
        (6, 1, "exact", 16 / 128),
        (6, 1, "mid-p", 16 / 128 - 7 / 128),
        (1, 6, "mid-p", 16 / 128 - 7 / 128),
        (5, 5, "exact", 1.0),
        (5, 5, "mid-p", 1.0),
        (0, 0, "exact", 1.0),
        (0, 0, "chi2", 1.0),
        # (|30 - 12| - 1)^2 / 42 = 6.8810
        (30, 12, "chi2", 0.008712),
    ],
)
def test_mcnemar_by_hand(first: int, second: int, method: str, p: float) -> None:
    result = score_mcnemar(*columns(9, first, second, 4), method=method)  # type: ignore[arg-type]
    assert result.p == pytest.approx(p, rel=1e-3)
    assert result.method == method


def test_mcnemar_refuses_other_rows() -> None:
    with pytest.raises(ShapeError, match="same rows"):
        score_mcnemar(np.array([True]), np.array([True, False]))


def test_a_model_equals_itself() -> None:
    truth = np.arange(60) % 3
    result = compare_models(truth, truth, truth, 3)
    assert result.accuracy.difference.low == result.accuracy.difference.high == 0
    assert result.accuracy.p == result.macro_f1.p == result.mcnemar.p == 1.0


def test_comparison_is_antisymmetric_and_finds_a_difference() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 400)
    good = np.where(random.random(400) < 0.8, truth, (truth + 1) % 3)
    poor = np.where(random.random(400) < 0.6, truth, (truth + 2) % 3)
    there, back = compare_models(truth, good, poor, 3), compare_models(truth, poor, good, 3)
    gap = (good == truth).mean() - (poor == truth).mean()
    assert there.accuracy.difference.value == pytest.approx(gap)
    assert back.accuracy.difference.value == pytest.approx(-gap)
    assert there.accuracy.difference.low > 0 and there.accuracy.p < 0.01
    assert there.macro_f1.p < 0.01 and there.mcnemar.p < 0.001
    assert there.mcnemar.first_only == back.mcnemar.second_only
    # the width agrees with the normal interval of a paired difference
    delta = (good == truth).astype(float) - (poor == truth)
    width = there.accuracy.difference.high - there.accuracy.difference.low
    assert width == pytest.approx(2 * 1.96 * delta.std() / 20, rel=0.08)


def test_rows_without_a_label_do_not_compare() -> None:
    truth = np.array([0, 1, -1, 1])
    result = compare_models(truth, np.array([0, 1, 0, 0]), np.array([0, 0, 1, 0]), 2)
    assert result.n == 3 and result.accuracy.first == pytest.approx(2 / 3)
    with pytest.raises(ShapeError, match="predictions"):
        compare_models(truth, np.array([0, 1, 0, 2]), np.array([0, 0, 1, 0]), 2)


def annotated() -> tuple[list[str | float | None], np.ndarray, np.ndarray]:
    """100 adults (90 right), 50 children (30 right), 10 teens (right), 8 rows unknown."""
    values: list[str | float | None] = ["adult"] * 100 + ["child"] * 50 + ["teen"] * 10
    values += ["", " ", None, float("nan"), "NA", "n/a", "?", "null"]
    truth = np.arange(168) % 2
    right = np.ones(168, dtype=bool)
    right[90:100] = right[130:150] = False
    return values, truth, np.where(right, truth, 1 - truth)


def test_groups_by_hand() -> None:
    report = score_groups("age", *annotated(), 2)
    rows = {row.group: row for row in report.groups}
    assert list(rows) == ["adult", "child", "teen"] and report.missing == 8
    assert [rows[g].n for g in rows] == [100, 50, 10]
    assert rows["adult"].accuracy.value == 0.9 and rows["child"].accuracy.value == 0.6
    assert [rows[g].few for g in rows] == [False, False, True]
    gap = next(g for g in report.gaps if g.metric == "accuracy")
    assert (gap.best, gap.worst) == ("adult", "child")  # the perfect teens are too few
    assert gap.difference.value == pytest.approx(0.3)
    assert 0.1 < gap.difference.low < 0.2 and 0.4 < gap.difference.high < 0.5
    assert gap.p is not None and gap.p < 0.001
    assert chi2_contingency([[90, 10], [30, 20]]).pvalue < 0.001


def test_equal_groups_have_no_gap() -> None:
    truth = np.tile([0, 1], 60)
    predicted = np.tile([0, 1, 0, 0], 30)
    report = score_groups("hand", ["left", "left", "right", "right"] * 30, truth, truth, 2)
    assert all(gap.difference.value == 0 for gap in report.gaps)
    assert report.gaps[0].p == 1.0
    swapped = score_groups("hand", ["left"] * 60 + ["right"] * 60, truth, predicted, 2)
    assert swapped.gaps[0].difference.low < 0 < swapped.gaps[0].difference.high


def test_one_group_and_absent_classes() -> None:
    report = score_groups("glasses", ["none"] * 40, np.zeros(40, int), np.zeros(40, int), 7)
    assert report.gaps == () and report.groups[0].group == "none"
    assert report.groups[0].macro_f1.value == 1.0  # the six absent classes do not count


def test_groups_refuse_an_empty_or_short_column() -> None:
    labels = np.array([0, 1])
    with pytest.raises(ShapeError, match="no value"):
        score_groups("age", ["", None], labels, labels, 2)
    with pytest.raises(ShapeError, match="'age' has 1 rows"):
        score_groups("age", ["child"], labels, labels, 2)
