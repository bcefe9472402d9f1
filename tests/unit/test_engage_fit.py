"""Engagement fitted to labels: weights found again, honest errors, presets that others accept."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import sure
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classpulse.core.errors import InputError, OutputError
from classpulse.core.labels import FER2013_7
from classpulse.engage.score import DEFAULT, EXPRESSION, PAPER, get_preset, load_preset, preset_text
from classpulse.lab.engagement import fit_engagement, fit_line, run_fit

ROWS = 60
draw = np.random.default_rng(0)
SCORES = {name: draw.random(ROWS) for name in ("happiness", "sadness", "anger")}
TRUTH = PAPER.score_columns(SCORES)
NOISY = TRUTH + draw.normal(0, 0.1, ROWS)


def write(path: Path, columns: dict[str, NDArray[np.float64]]) -> Path:
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(f"{v:.6f}" for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write(tmp_path / "labels.csv", SCORES | {"engagement": NOISY})


def test_the_papers_weights_are_found_again() -> None:
    fit = fit_engagement(SCORES, TRUTH, name="again", source="the paper")
    [weights] = fit.preset.weights.values()
    assert weights == pytest.approx({"happiness": 0.7, "sadness": 0.5, "anger": 0.8})
    assert fit.preset.intercept == pytest.approx(0.3) and not fit.preset.clip
    assert fit.outside.mse.value == pytest.approx(0, abs=1e-20)
    assert fit.outside.r2 is not None and fit.outside.r2.value == pytest.approx(1)


def test_left_out_rows_are_judged_more_harshly_than_fitted_ones() -> None:
    fit = fit_engagement(SCORES, NOISY, name="n", source="s")
    assert fit.outside.mse.value > fit.inside.mse.value
    assert fit.inside.mse.value == pytest.approx(0.01, rel=0.5)


def test_least_squares_by_hand() -> None:
    """y = 1, 2, 4 at x = 0, 1, 2: slope 1.5, intercept 5/6, s^2 = 1/6, s_b^2 = 1/12."""
    line = fit_line(np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 2.0, 4.0]), ridge=0.0)
    assert line.coefficients.tolist() == pytest.approx([5 / 6, 1.5])
    assert line.variance == pytest.approx(1 / 6) and line.freedom == pytest.approx(1)
    assert line.covariance[1, 1] == pytest.approx(1 / 12)
    value, half = line.predict(np.array([[1.0]]))
    assert value.item() == pytest.approx(7 / 3)
    assert half.item() == pytest.approx(12.7062 * np.sqrt(1 / 6 * (1 + 1 / 3)), rel=1e-4)


def test_intervals_cover_as_often_as_they_say() -> None:
    rows, hits, inside = np.column_stack([*SCORES.values()]), [], []
    for seed in range(200):
        noise, fresh = np.random.default_rng(seed).normal(0, 0.1, (2, ROWS))
        line = fit_line(rows, TRUTH + noise, ridge=0.0)
        width = 2.003 * np.sqrt(line.covariance[1, 1])  # Student's t of 56 degrees of freedom
        hits.append(abs(line.coefficients[1] - 0.7) <= width)
        value, half = line.predict(rows)
        inside.append(np.mean(np.abs(TRUTH + fresh - value) <= half))
    assert 0.91 <= np.mean(hits) <= 0.99 and 0.94 <= np.mean(inside) <= 0.96


@settings(max_examples=20)
@given(st.floats(0.01, 1e4))
def test_a_ridge_pulls_the_weights_towards_zero(ridge: float) -> None:
    rows = np.column_stack([*SCORES.values()])
    free, held = (fit_line(rows, NOISY, ridge=r).coefficients for r in (0.0, ridge))
    spread = rows.std(axis=0)
    assert np.linalg.norm(held[1:] * spread) < np.linalg.norm(free[1:] * spread)
    assert held[0] + rows.mean(axis=0) @ held[1:] == pytest.approx(NOISY.mean())


def test_columns_that_determine_each_other_need_a_ridge() -> None:
    probs = np.random.default_rng(1).dirichlet(np.ones(7), ROWS).round(4)
    columns = dict(zip(FER2013_7.names, probs.T, strict=True))
    with pytest.raises(InputError, match=r"determine each other .*give --ridge 1"):
        fit_engagement(columns, NOISY, name="n", source="s")
    fit = fit_engagement(columns, NOISY.clip(0, 1), name="n", source="s", ridge=1.0)
    assert list(fit.preset.weights) == ["emotion"] and fit.preset.clip
    assert all(one.high - one.low < 1 for one in fit.coefficients.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {}}, "no columns of expression scores"),
        ({"ridge": -1.0}, "ridge = -1.0"),
        ({"folds": 1}, "1 folds of 60 rows"),
        ({"folds": 61}, "61 folds of 60 rows"),
        ({"columns": SCORES | {"joy": np.ones(ROWS)}}, "column 'joy' has one value in all rows"),
        ({"truth": np.ones(ROWS)}, "column 'engagement' has one value in all rows"),
        ({"head": "mood"}, "no model of ours has a head 'mood'; known: emotion, votes, state"),
        ({"head": "emotion"}, "head 'emotion' has no label 'happiness': it has angry"),
    ],
)
def test_bad_labels_are_one_clear_error(changes: dict[str, Any], message: str) -> None:
    given = {"columns": SCORES, "truth": NOISY, "name": "n", "source": "s"} | changes
    columns, truth = given.pop("columns"), given.pop("truth")
    with pytest.raises(InputError, match=message):
        fit_engagement(columns, truth, **given)


def test_too_few_rows_say_how_many_are_needed() -> None:
    few = {name: values[:5] for name, values in SCORES.items()}
    with pytest.raises(InputError, match="leave 4 to fit 3 weights and an intercept, needs 5"):
        fit_engagement(few, NOISY[:5], name="n", source="s")


# --- files and the command -----------------------------------------------------------------------


def test_a_fitted_preset_is_taken_by_apply(command: Any, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "ours.json"
    said = command("engage", "fit", labels, "--out", out, "--report", tmp_path / "report")
    assert said.code == 0 and "left-out folds" in said.out and "happiness" in said.out
    assert "<svg" in (tmp_path / "report" / "residuals.svg").read_text()
    rows = (tmp_path / "report" / "predictions.csv").read_text().splitlines()
    assert rows[0] == "engagement,predicted,low,high" and len(rows) == ROWS + 1
    applied = json.loads(command("engage", "apply", labels, "--preset", out, "--json").out)
    assert applied["mean"] == pytest.approx(NOISY.mean(), abs=1e-4)


def test_a_fitted_preset_is_taken_for_the_heads_of_a_model(command: Any, tmp_path: Path) -> None:
    columns = {"happy": SCORES["happiness"], "sad": SCORES["sadness"]}
    file = write(tmp_path / "l.csv", columns | {"engagement": SCORES["happiness"] * 0.5 + 0.2})
    assert command("engage", "fit", file, "--out", tmp_path / "p.json").code == 0
    preset = get_preset(str(tmp_path / "p.json"))
    value, _ = preset.score({"emotion": sure(FER2013_7, "happy")})
    assert value.item() == pytest.approx(0.7, abs=1e-5) and preset.clip


def test_some_columns_can_be_chosen(command: Any, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    words = ("engage", "fit", labels, "--out", out, "--columns", "anger, sadness", "--json")
    found = json.loads(command(*words).out)
    assert list(found["coefficients"]) == ["intercept", "sadness", "anger"] and found["n"] == ROWS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "p.txt"), "p.txt is no name of a preset: needs the ending .json"),
        (("--out", "p.json", "--target", "focus"), "has no column 'focus'"),
        (("--out", "p.json", "--columns", "joy"), "has no column 'joy'"),
        (("--out", "p.json", "--columns", "anger,anger"), "column 'anger' is named twice"),
        (("--out", "p.json", "--columns", "engagement"), "column 'engagement' is named twice"),
        (("--out", "p.json", "--head", "mood"), "no model of ours has a head 'mood'"),
    ],
)
def test_wrong_words_are_one_line(
    command: Any, labels: Path, words: tuple[str, ...], message: str
) -> None:
    result = command("engage", "fit", labels, *words)
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1


@pytest.mark.parametrize("preset", [DEFAULT, PAPER], ids=lambda p: p.name)
def test_a_preset_survives_its_file(preset: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(preset_text(preset))
    assert load_preset(path) == preset


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a table of fields"),
        ('{"format": 1}', "missing"),
        (preset_text(PAPER).replace('"format": 1', '"format": 2'), "has format 2"),
        (preset_text(PAPER).replace("0.7", "NaN"), "finite numbers alone"),
        (preset_text(PAPER).replace("0.7", '"a"'), "expected float, found 'a'"),
        (json.dumps(json.loads(preset_text(PAPER)) | {"weights": {}}), "one weight or more"),
    ],
)
def test_a_broken_preset_is_one_clear_error(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        get_preset(str(path))


def test_a_preset_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read preset .*none\.json"):
        get_preset(str(tmp_path / "none.json"))


def test_the_labels_stay_where_they_are_when_nothing_fits(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run_fit(labels, tmp_path / "p.json", folds=1000)
    assert not (tmp_path / "p.json").exists()


def test_preset_and_report_are_written_both_or_neither(labels: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "p.json", tmp_path / "report"
    report.write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        run_fit(labels, out, report=report)
    assert sorted(tmp_path.iterdir()) == [labels, report] and report.read_text() == "a file"
    out.mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        run_fit(labels, out, report=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_any_head_with_the_labels_may_be_meant(labels: Path, tmp_path: Path) -> None:
    fit = run_fit(labels, tmp_path / "p.json", head=EXPRESSION)
    assert list(fit.preset.weights) == [EXPRESSION]
