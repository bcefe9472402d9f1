"""Engagement fitted to labels: equation 26 of the parallel engagement paper as a regression.

engagement = intercept + sum(weight * score), by least squares or with a ridge. Every number that
judges it comes from rows that the fit has not seen; the residuals of the rows it was fitted to
would look better than it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.model_selection import KFold

from classpulse.core.errors import InputError
from classpulse.core.files import new_file, new_files, save_texts
from classpulse.core.records import Interval
from classpulse.engage.columns import read_columns
from classpulse.engage.score import EXPRESSION, SUFFIX, LinearEngagement, preset_text
from classpulse.lab.evaluate.figures import MUTED, build_axes, render_svg, styled, tone
from classpulse.lab.evaluate.regression import Regression, score_regression
from classpulse.lab.train.targets import HEAD_SPACES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
INTERCEPT = "intercept"
TABLE = "predictions.csv"
LEVEL = 0.975  # quantile of a two-sided 95 % interval
DEPENDENT = 100.0  # condition of the scores from which rounding decides the weights


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted plane.

    Args:
        coefficients: (p + 1,), the intercept first.
        covariance: (p + 1, p + 1) of the coefficients.
        variance: of what a row lies off the plane.
        freedom: rows without the effective number of coefficients.
    """

    coefficients: Values
    covariance: Values
    variance: float
    freedom: float

    def predict(self, rows: Values) -> tuple[Values, Values]:
        """Values (n,) of rows (n, p), and half the width (n,) of their 95 % prediction interval."""
        design = _design(rows)
        spread = np.einsum("ni,ij,nj->n", design, self.covariance, design) + self.variance
        return design @ self.coefficients, student.ppf(LEVEL, self.freedom) * np.sqrt(spread)


@dataclass(frozen=True, slots=True)
class EngagementFit:
    """A fitted preset and what is known of it.

    Args:
        preset: the weights.
        coefficients: name -> value with its 95 % interval, the intercept first.
        ridge: penalty; with one, the intervals do not count what it pulls towards zero.
        inside, outside: errors on the fitted rows, and on rows of folds left out.
        truth, predicted, half_width: (n,) labels, values of the left-out folds, and half of their
            95 % prediction intervals.
        covered: share of the labels inside them.
    """

    preset: LinearEngagement
    coefficients: Mapping[str, Interval]
    ridge: float
    inside: Regression
    outside: Regression
    truth: Values
    predicted: Values
    half_width: Values
    covered: float


def fit_engagement(
    columns: Mapping[str, Values],
    truth: Values,
    *,
    name: str,
    source: str,
    head: str | None = None,
    ridge: float = 0.0,
    folds: int = 5,
    seed: int = 0,
) -> EngagementFit:
    """Fit weights to labelled engagement and cross-validate them.

    Args:
        columns: label -> (n,) scores.
        truth: (n,) engagement; if all of it is in [0, 1], the preset keeps its scores there.
        name, source: of the preset, and of the data, for its `origin`.
        head: in `HEAD_SPACES`, or `EXPRESSION`; None finds the head that knows all of the labels.
        ridge: penalty on the weights of scores in standard deviations; 0 is least squares.
        folds: of the cross-validation, drawn at random with `seed`.

    Raises:
        InputError: no columns, too few rows, scores or labels that do not vary or determine each
            other, a head that is unknown or lacks a label, or a number out of range.
    """
    chosen = head or find_head(columns)
    _check_head(chosen, columns)
    rows = np.column_stack([*columns.values()]) if columns else np.zeros((len(truth), 0))
    _check(columns, rows, truth, ridge=ridge, folds=folds)
    line = fit_line(rows, truth, ridge=ridge)
    predicted, half = np.empty(len(truth)), np.empty(len(truth))
    for seen, left in KFold(folds, shuffle=True, random_state=seed).split(rows):
        predicted[left], half[left] = fit_line(rows[seen], truth[seen], ridge=ridge).predict(
            rows[left]
        )
    values = line.coefficients.tolist()
    weights = dict(zip(columns, values[1:], strict=True))
    bounded = bool(truth.min() >= 0 and truth.max() <= 1)
    how = f"ridge {ridge:g}" if ridge else "least squares"
    origin = f"fitted by {how} to {len(truth)} labelled rows of {source}"
    width = student.ppf(LEVEL, line.freedom) * np.sqrt(np.diag(line.covariance))
    return EngagementFit(
        LinearEngagement(name, values[0], {chosen: weights}, bounded, origin),
        {
            label: Interval(value, value - one, value + one)
            for label, value, one in zip([INTERCEPT, *columns], values, width.tolist(), strict=True)
        },
        ridge,
        score_regression(truth, line.predict(rows)[0], seed=seed),
        score_regression(truth, predicted, seed=seed),
        truth,
        predicted,
        half,
        float((np.abs(truth - predicted) <= half).mean()),
    )


def fit_line(rows: Values, truth: Values, *, ridge: float) -> Line:
    """Least squares with a penalty on the weights, the intercept left free.

    Raises:
        InputError: the columns determine each other and there is no penalty.
    """
    design = _design(rows)
    products = design.T @ design
    penalty = ridge * np.diag([0.0, *rows.var(axis=0)])
    centered = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    if not ridge and not np.linalg.cond(centered) < DEPENDENT:
        raise InputError(
            "the columns determine each other (probabilities that sum to 1 do): leave one out with "
            "--columns, or give --ridge 1"
        )
    inverse = np.linalg.pinv(products + penalty, hermitian=True)
    coefficients = inverse @ design.T @ truth
    freedom = len(truth) - float(np.trace(products @ inverse))
    variance = float(((truth - design @ coefficients) ** 2).sum()) / freedom
    return Line(coefficients, variance * inverse @ products @ inverse, variance, freedom)


def find_head(columns: Mapping[str, Values]) -> str:
    """The first head that knows all these labels, else `EXPRESSION`."""
    fits = (head for head, space in HEAD_SPACES.items() if set(columns) <= set(space.names))
    return next(fits, EXPRESSION)


def run_fit(
    file: Path,
    out: Path,
    *,
    target: str = "engagement",
    only: Sequence[str] = (),
    head: str | None = None,
    ridge: float = 0.0,
    folds: int = 5,
    seed: int = 0,
    report: Path | None = None,
) -> EngagementFit:
    """Fit the columns of a CSV file and write the preset; with a report, plot and predictions too.

    Where the report cannot be written, no preset is either.

    Args:
        target: its column of labels.
        only: columns of scores; none named means all others.

    Raises:
        InputError: the file cannot be used, see `read_columns` and `fit_engagement`, a column is
            missing or named twice, or `out` is no name of a preset.
        OutputError: a file cannot be written.
    """
    if out.suffix != SUFFIX:
        raise InputError(f"{out} is no name of a preset: needs the ending {SUFFIX}")
    named = [target, *only]
    twice = [name for i, name in enumerate(named) if name in named[:i]]
    if twice:
        raise InputError(
            f"column '{twice[0]}' is named twice, in --columns or as the target too: name every "
            "column once"
        )
    found = read_columns(file, named if only else None)
    missing = [name for name in (target, *only) if name not in found]
    if missing:
        raise InputError(f"{file} has no column '{missing[0]}': name the columns that are there")
    truth = found.pop(target)
    fit = fit_engagement(
        found,
        truth,
        name=out.stem,
        source=file.name,
        head=head,
        ridge=ridge,
        folds=folds,
        seed=seed,
    )
    with new_file(out) as preset:  # stands when the report does
        preset.write_text(preset_text(fit.preset), encoding="utf-8", newline="")
        if report is not None:
            texts = {"residuals.svg": render_svg(draw_residuals(fit)), TABLE: _table(fit)}
            with new_files(report, last=TABLE) as folder:
                save_texts(texts, folder)
    return fit


@styled
def draw_residuals(fit: EngagementFit) -> "Figure":
    """Residuals of left-out rows against their predictions, with the 95 % prediction interval."""
    figure, [axes] = build_axes(5.6, 3.4)
    order = np.argsort(fit.predicted)
    x, half = fit.predicted[order], fit.half_width[order]
    axes.fill_between(x, -half, half, color=tone(0), alpha=0.12, linewidth=0, label="95 % interval")
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.scatter(x, (fit.truth - fit.predicted)[order], s=14, color=tone(1), label="left-out row")
    axes.set(xlabel="predicted engagement", ylabel="label - prediction")
    figure.legend(loc="outside right upper")
    return figure


def describe_fit(fit: EngagementFit) -> str:
    """Text: coefficients with intervals, errors inside and outside, width of a prediction."""
    lines = [f"{fit.preset.origin}; head '{next(iter(fit.preset.weights))}'"]
    for name, one in fit.coefficients.items():
        lines.append(f"{name:<12}{one.value:>10.4f}  [{one.low:.4f}, {one.high:.4f}]")
    for where, found in (("fitted rows", fit.inside), ("left-out folds", fit.outside)):
        numbers = {"R2": found.r2, "MSE": found.mse, "MAE": found.mae}
        said = [f"{k} {v.value:.4f} [{v.low:.4f}, {v.high:.4f}]" for k, v in numbers.items() if v]
        lines.append(f"{where:<15} {', '.join(said)}")
    half = float(np.median(fit.half_width))
    lines.append(
        f"a new row lies within +-{half:.4f} of its prediction (95 %); {fit.covered:.1%} of the "
        "left-out rows did"
    )
    return "\n".join(lines)


def fit_json(fit: EngagementFit) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "preset": asdict(fit.preset),
        "n": fit.inside.n,
        "ridge": fit.ridge,
        "coefficients": {name: asdict(one) for name, one in fit.coefficients.items()},
        "fitted_rows": asdict(fit.inside),
        "left_out_folds": asdict(fit.outside),
        "half_width": float(np.median(fit.half_width)),
        "covered": fit.covered,
    }


def _table(fit: EngagementFit) -> str:
    columns = (
        fit.truth,
        fit.predicted,
        fit.predicted - fit.half_width,
        fit.predicted + fit.half_width,
    )
    rows = (",".join(f"{value:.6g}" for value in row) for row in zip(*columns, strict=True))
    return "\n".join(["engagement,predicted,low,high", *rows]) + "\n"


def _design(rows: Values) -> Values:
    return np.column_stack([np.ones(len(rows)), rows])


def _check(
    columns: Mapping[str, Values], rows: Values, truth: Values, *, ridge: float, folds: int
) -> None:
    n, p = rows.shape
    if not p:
        raise InputError("no columns of expression scores beside the engagement: add one or more")
    if not 0 <= ridge < float("inf"):
        raise InputError(f"ridge = {ridge}: needs a number of 0 or more")
    if not 2 <= folds <= n:
        raise InputError(f"{folds} folds of {n} rows: needs 2 folds or more, and a row for each")
    left = n - -(-n // folds)
    if left < p + 2:
        raise InputError(
            f"{n} rows in {folds} folds leave {left} to fit {p} weights and an intercept, needs "
            f"{p + 2}: label more rows, or name fewer columns with --columns"
        )
    flat = [name for name, values in columns.items() if np.ptp(values) == 0]
    if flat or np.ptp(truth) == 0:
        raise InputError(
            f"column '{flat[0] if flat else 'engagement'}' has one value in all rows, so nothing "
            "follows from it: " + ("leave it out with --columns" if flat else "label other rows")
        )


def _check_head(head: str, columns: Mapping[str, Values]) -> None:
    if head not in HEAD_SPACES and head != EXPRESSION:
        raise InputError(
            f"no model of ours has a head '{head}'; known: {', '.join(HEAD_SPACES)}, or "
            f"{EXPRESSION} for any that has the labels. Leave --head out to find the one that has "
            "the columns"
        )
    if head in HEAD_SPACES:
        lacking = [name for name in columns if name not in HEAD_SPACES[head].names]
        if lacking:
            raise InputError(
                f"head '{head}' has no label '{lacking[0]}': it has "
                f"{', '.join(HEAD_SPACES[head].names)}; name such columns with --columns, or "
                "another head"
            )
