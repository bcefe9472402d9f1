"""Plots of the log of a run: loss, and micro and macro F1, by epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from classpulse.core.errors import InputError
from classpulse.lab.evaluate.figures import build_axes, marker, percent_axis, range_of, styled, tone
from classpulse.lab.evaluate.plots_training import LogRow, mark_sides

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def draw_loss_curves(rows: Sequence[LogRow]) -> "Figure":
    """Loss by epoch, of training as the mean over its steps and of the validation part.

    They are not of one kind: that of training is over changed and mixed faces and with dropout.

    Args:
        rows: as `draw_learning_curves`, with `val_loss` where it was written.

    Raises:
        InputError: no rows.
    """
    epochs = _epochs_of(rows)
    figure, [axes] = build_axes(5.2, 3.2)
    for i, (key, label) in enumerate({"loss": "training", "val_loss": "validation"}.items()):
        if any(key in row for row in rows):
            values = [row.get(key, np.nan) for row in rows]
            axes.plot(epochs, values, color=tone(i), marker=marker(i), label=label)
    axes.set_ylabel("loss")
    _epoch_axis(axes, rows)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@styled
def draw_metric_curves(rows: Sequence[LogRow]) -> "Figure":
    """Micro and macro F1 of the validation part by epoch, a line for each head.

    Micro F1 is accuracy where every face has one label. Macro F1 is left out of a log that has
    none.

    Args:
        rows: as `draw_learning_curves`, with `macro_f1` {head: share} where it was written.

    Raises:
        InputError: no rows.
    """
    _epochs_of(rows)
    labels = {"accuracy": "micro F1 (accuracy)", "macro_f1": "macro F1"}
    kinds = [key for key in labels if any(key in row for row in rows)]
    figure, panels = build_axes(3.7 * len(kinds), 3.2, columns=len(kinds), share_y=True)
    shares = [share for row in rows for key in kinds for share in row.get(key, {}).values()]
    low, high = range_of(shares)
    for axes, key in zip(panels, kinds, strict=True):
        _plot_shares(axes, rows, key)
        percent_axis(axes, labels[key], low=low, high=high)
        _epoch_axis(axes, rows)
    handles, heads = panels[0].get_legend_handles_labels()
    figure.legend(handles, heads, loc="outside upper left", ncols=len(heads))
    return figure


def _epochs_of(rows: Sequence[LogRow]) -> list[int]:
    """Numbers of the epochs; `InputError` if there are none."""
    if not rows:
        raise InputError("the log has no finished epoch yet: there is nothing to draw")
    return [row["number"] for row in rows]


def _plot_shares(axes: "Axes", rows: Sequence[LogRow], key: str) -> None:
    """A line for each head of the last row; a gap where an older version wrote none."""
    for i, head in enumerate(rows[-1]["accuracy"]):
        values = [row.get(key, {}).get(head, np.nan) for row in rows]
        (line,) = axes.plot(_epochs_of(rows), values, color=tone(i), marker=marker(i), label=head)
        line.set_clip_on(False)  # whole dots at 0 and 100 %


def _epoch_axis(axes: "Axes", rows: Sequence[LogRow]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.set_xlim(rows[0]["number"] - 0.5, rows[-1]["number"] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    mark_sides(axes, rows)
