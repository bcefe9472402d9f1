"""Plots of an evaluation: numbers in, a matplotlib figure out; `figures` saves or inlines it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from classpulse.core.records import Interval
from classpulse.lab.evaluate.classification import ReliabilityBin
from classpulse.lab.evaluate.figures import (
    CARD,
    INK,
    MUTED,
    build_axes,
    marker,
    percent_axis,
    range_of,
    styled,
    tone,
)
from classpulse.lab.evaluate.groups import GroupReport
from classpulse.lab.evaluate.ranking import RiskCoverage
from classpulse.lab.evaluate.resample import Counts
from classpulse.lab.evaluate.robustness import RobustnessRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def draw_class_histogram(counts: Mapping[str, Mapping[str, int]]) -> "Figure":
    """Rows of each class, one bar for each part (split, data set): part -> label -> rows."""
    labels = list(dict.fromkeys(label for part in counts.values() for label in part))
    figure, [axes] = build_axes(6.4, 3.2)
    thick = 0.8 / len(counts)
    for i, (part, rows) in enumerate(counts.items()):
        heights = [rows.get(label, 0) for label in labels]
        left = np.arange(len(labels)) - 0.4 + thick * (i + 0.5)
        bars = axes.bar(left, heights, thick * 0.92, color=tone(i), label=part)
        if len(counts) * len(labels) <= 16:
            texts = [f"{height:,}" for height in heights]
            axes.bar_label(bars, texts, padding=2, fontsize=8, color=INK)
    axes.set_xticks(np.arange(len(labels)), labels, rotation=30 if len(labels) > 8 else 0)
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("rows")
    if len(counts) > 1:
        figure.legend(loc="outside upper left", ncols=4)
    return figure


@styled
def draw_confusion(confusion: Counts, names: Sequence[str]) -> "Figure":
    """Counts and shares of each row (true label) of a (k, k) confusion matrix."""
    from matplotlib.patches import Rectangle

    k = len(names)
    cell = 0.72 if k <= 10 else 0.42
    figure, [axes] = build_axes(1.3 + cell * k, 0.9 + 0.75 * cell * k)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for row, column in np.ndindex(k, k):
        share, count = float(shares[row, column]), int(confusion[row, column])
        # never darker than this: ink stays readable on it, on a light page and on a dark one
        fill = Rectangle((column, row), 1, 1, facecolor=tone(0), alpha=0.62 * share, linewidth=0)
        axes.add_patch(fill)
        text = f"{share:.0%}\n{count:,}" if k <= 10 else f"{share:.0%}"
        if count and (k <= 10 or share >= 0.05):
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
    axes.set(xlim=(0, k), ylim=(k, 0), xlabel="predicted", ylabel="true")
    axes.set_xticks(np.arange(k) + 0.5, names)
    if k > 8:
        axes.tick_params(axis="x", labelrotation=90)
    axes.set_yticks(np.arange(k) + 0.5, names)
    axes.set_xticks(np.arange(k + 1), minor=True)
    axes.set_yticks(np.arange(k + 1), minor=True)
    axes.grid(visible=False)
    axes.grid(which="minor")
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    return figure


@styled
def draw_reliability(curves: Mapping[str, Sequence[ReliabilityBin]]) -> "Figure":
    """Accuracy against confidence with 95 % intervals; below, where the answers lie.

    Args:
        curves: series (for example "after temperature") -> bins of `reliability_curve`.
    """
    figure, (axes, shares) = build_axes(4.6, 4.4, rows=2, heights=(3, 1), share_x=True)
    tallest = max(b.n / sum(c.n for c in bins) for bins in curves.values() for b in bins)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="ideal")
    for i, (name, bins) in enumerate(curves.items()):
        confidence = [b.confidence for b in bins]
        _errorbars(axes, confidence, [b.accuracy for b in bins], i, name)
        total = sum(b.n for b in bins)
        edges = [b.low for b in bins], [b.n / total for b in bins]
        widths = [b.high - b.low for b in bins]
        shares.bar(*edges, widths, align="edge", color=tone(i), alpha=0.35, linewidth=0)
        shares.bar(*edges, widths, align="edge", facecolor="none", edgecolor=tone(i), linewidth=1)
    percent_axis(axes, "right answers", high=1.03)  # room for a marker at 100 %
    percent_axis(shares, "answers", high=1.15 * tallest)
    shares.set(xlabel="confidence", xlim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def _errorbars(
    axes: "Axes", x: Sequence[float], values: Sequence[Interval], i: int, label: str
) -> None:
    """A line through the values with a bar for each interval."""
    middle = [v.value for v in values]
    reach = [[v.value - v.low for v in values], [v.high - v.value for v in values]]
    axes.errorbar(
        x, middle, reach, color=tone(i), marker=marker(i), elinewidth=1, capsize=2, label=label
    )


@styled
def draw_risk_coverage(curves: Mapping[str, RiskCoverage]) -> "Figure":
    """Wrong answers among those kept, against the share kept; lower is better."""
    figure, [axes] = build_axes(4.6, 3.4)
    highest = 0.0
    for i, (name, curve) in enumerate(curves.items()):
        label = f"{name} (AURC {curve.aurc.value:.3f})"
        stride = max(1, len(curve.coverage) // 400)  # a screen has no more dots
        rows = np.unique(np.append(np.arange(0, len(curve.coverage), stride), -1))
        x, y = curve.coverage[rows], curve.risk[rows]
        order = np.argsort(x, kind="stable")
        dashes = ("-", "--", "-.", ":")[i % 4]
        axes.plot(x[order], y[order], color=tone(i), linestyle=dashes, label=label)
        settled = curve.risk[curve.coverage >= 0.05]
        highest = max(highest, float(settled.max(initial=0.01)))
    percent_axis(axes, "wrong answers among those kept", high=min(1.0, 1.15 * highest))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
    axes.set(xlabel="answers kept, %", xlim=(0, 1))
    figure.legend(loc="outside upper left")
    return figure


@styled
def draw_robustness(models: Mapping[str, Iterable[RobustnessRow]]) -> "Figure":
    """Accuracy with its 95 % band against the strength of each degradation: model -> rows."""
    kept = {name: list(rows) for name, rows in models.items()}
    first = next(iter(kept.values()))
    kinds = list(dict.fromkeys(row.degradation for row in first))
    columns = min(len(kinds), 4)
    high = -(-len(kinds) // columns)
    figure, panels = build_axes(2.4 * columns + 0.4, 2.1 * high + 0.3, rows=high, columns=columns)
    ends = [e for rows in kept.values() for r in rows for e in (r.accuracy.low, r.accuracy.high)]
    for panel, axes in enumerate(panels):
        if panel >= len(kinds):
            axes.set_visible(False)
            continue
        for i, (name, rows) in enumerate(kept.items()):
            some = [row for row in rows if row.degradation == kinds[panel]]
            _curve(axes, sorted(some, key=lambda row: row.level), i, name)
        percent_axis(axes, "accuracy", low=0.0, high=range_of(ends)[1])
        one = next(row for row in first if row.degradation == kinds[panel])
        axes.set(title=one.title, xlabel=one.unit)
        if panel % columns:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
    if len(kept) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(kept))
    return figure


def _curve(axes: "Axes", rows: Sequence[RobustnessRow], i: int, label: str) -> None:
    x = [row.level for row in rows]
    low, high = [r.accuracy.low for r in rows], [r.accuracy.high for r in rows]
    axes.fill_between(x, low, high, color=tone(i), alpha=0.2, linewidth=0)
    values = [row.accuracy.value for row in rows]
    axes.plot(x, values, color=tone(i), marker=marker(i), label=label)


@styled
def draw_groups(reports: Sequence[GroupReport]) -> "Figure":
    """Accuracy of every group with its 95 % interval; hollow dots are groups of few rows."""
    heights = [len(report.groups) for report in reports]
    inches = 0.8 + 0.32 * sum(heights) + 0.35 * len(heights)
    figure, panels = build_axes(6.4, inches, rows=len(reports), heights=heights, share_x=True)
    for axes, report in zip(panels, reports, strict=True):
        for y, row in enumerate(report.groups):
            one = row.accuracy
            axes.plot([one.low, one.high], [y, y], color=tone(0), linewidth=1.5, alpha=0.6)
            axes.plot(
                one.value, y, "o", color=tone(0), markerfacecolor=CARD if row.few else tone(0)
            )
        texts = [f"{row.group} (n = {row.n:,})" for row in report.groups]
        axes.set_yticks(range(len(texts)), texts)
        axes.set(ylim=(len(texts) - 0.5, -0.5), title=report.column)
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}")
    panels[-1].set_xlabel("accuracy, %")
    return figure
