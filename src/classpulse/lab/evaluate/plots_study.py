"""Plots of studies: accuracy against settings with intervals, and what a search has tried."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from classpulse.core.errors import InputError
from classpulse.lab.evaluate.figures import (
    CARD,
    MUTED,
    build_axes,
    marker,
    percent_axis,
    range_of,
    styled,
    tone,
)
from classpulse.lab.search.records import COMPLETE, PRUNED, StudyRow, TrialRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPREAD = 0.5  # width of the runs of one setting, in steps between settings
SLICES = 4  # panels in a row
ROOM = 0.15  # of the axis between two ticks
WIDE = 30  # a positive parameter that spans a larger factor has a logarithmic axis
STATES = {COMPLETE: "complete", PRUNED: "pruned (last epoch)"}


@styled
def draw_settings(
    rows: Sequence[StudyRow], settings: Mapping[str, str], *, metric: str = "accuracy"
) -> "Figure":
    """A metric against each setting: every run with its interval, a line through the means.

    A.I.ducation Analytics draws accuracy so against kernel size, blocks and channels. Runs of one
    value stand side by side in the order of `rows`.

    Args:
        rows: the runs; each has all `settings`.
        settings: key in `rows` -> label with unit, such as {"kernel": "kernel side, pixels"}.
        metric: what the shares are, for the axis.

    Raises:
        InputError: no rows or no settings, or a run lacks one.
    """
    absent = [key for key in settings for row in rows if key not in row.settings]
    if not rows or not settings or absent:
        raise InputError(
            f"a plot of settings needs runs that each have {', '.join(settings) or 'one'}"
            + (f": one lacks '{absent[0]}'" if absent else "")
        )
    width = 2.6 * len(settings) + 0.5
    figure, panels = build_axes(width, 2.9, columns=len(settings), share_y=True)
    ends = [end for row in rows for end in (row.value.low, row.value.high)]
    low, high = range_of(ends, step=0.02)
    for i, (axes, (key, label)) in enumerate(zip(panels, settings.items(), strict=True)):
        _draw_setting(axes, rows, key, i)
        axes.set_xlabel(label)
        percent_axis(axes, metric, low=low, high=high)
        axes.label_outer()
    _explain_runs(figure, whole=any(row.value.low < row.value.high for row in rows))
    return figure


def _explain_runs(figure: "Figure", *, whole: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", color=MUTED, markersize=7, linewidth=1.8),
        Line2D([], [], marker="o", color=MUTED, alpha=0.55, linewidth=1 if whole else 0),
    ]
    texts = "mean of the runs", "one run, 95 % interval" if whole else "one run"
    figure.legend(handles, texts, loc="outside upper left", ncols=2)


def _draw_setting(axes: "Axes", rows: Sequence[StudyRow], key: str, i: int) -> None:
    """Runs around their value, and the mean of each value; values at even steps, 16 32 64 too."""
    values = sorted({row.settings[key] for row in rows})
    means = []
    for x, value in enumerate(values):
        runs = [row.value for row in rows if row.settings[key] == value]
        means.append(float(np.mean([run.value for run in runs])))
        places = x + (SPREAD * (np.arange(len(runs)) + 0.5) / len(runs) - SPREAD / 2)
        for place, run in zip(places, runs, strict=True):
            axes.plot([place, place], [run.low, run.high], color=tone(i), linewidth=1, alpha=0.45)
            axes.plot(place, run.value, marker(i), color=tone(i), alpha=0.55, markeredgewidth=0)
    axes.plot(range(len(values)), means, color=tone(i), linewidth=1.8)
    axes.plot(range(len(values)), means, marker(i), color=tone(i), markersize=7, mec=CARD, mew=1.2)
    axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(visible=False, axis="x")


@styled
def draw_search_history(
    records: Sequence[TrialRecord], *, metric: str = "validation accuracy"
) -> "Figure":
    """The value of every trial in order, and the best so far as a step line.

    Raises:
        InputError: no trial has a value.
    """
    from matplotlib.ticker import MaxNLocator

    valued = _valued(records)
    figure, [axes] = build_axes(6.4, 3.2)
    complete = [record for record in valued if record.state == COMPLETE]
    if complete:
        best = np.maximum.accumulate(_values(complete))
        x = [record.number for record in complete]
        far = max(record.number for record in records)
        axes.step([*x, far], [*best, best[-1]], where="post", color=tone(0), label="best so far")
    _scatter_states(axes, [(record.number, record) for record in valued])
    low, high = _ends(valued)
    percent_axis(axes, metric, low=low, high=high)
    axes.set(xlabel="trial", xlim=(-0.6, max(r.number for r in records) + 0.6))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=3)
    return figure


@styled
def draw_search_slices(
    records: Sequence[TrialRecord],
    names: Sequence[str] = (),
    *,
    metric: str = "validation accuracy",
) -> "Figure":
    """The value of every trial against each parameter; hollow dots were pruned.

    A positive parameter with a wide range has a logarithmic axis, words have a place each.

    Args:
        names: parameters to show; all that at least two trials were asked for with different
            values, in their order, if empty.

    Raises:
        InputError: no trial has a value, or no parameter is left to show.
    """
    valued = _valued(records)
    shown = list(names) or varied_params(valued)
    if not shown:
        raise InputError("no parameter has two values yet: there is nothing to compare")
    columns = min(SLICES, len(shown))
    deep = -(-len(shown) // columns)
    figure, panels = build_axes(
        2.2 * columns + 0.6, 1.9 * deep + 0.5, rows=deep, columns=columns, share_y=True
    )
    low, high = _ends(valued)
    for panel, axes in enumerate(panels):
        if panel >= len(shown):
            axes.set_visible(False)
            continue
        name = shown[panel]
        asked = [(record.params[name], record) for record in valued if name in record.params]
        _draw_slice(axes, name, asked)
        percent_axis(axes, metric if panel % columns == 0 else "", low=low, high=high)
        if panel % columns:
            axes.set_ylabel("")
    drawn = (axes.get_legend_handles_labels() for axes in panels)
    found = {
        label: handle
        for handles, labels in drawn
        for handle, label in zip(handles, labels, strict=True)
    }
    figure.legend(found.values(), found, loc="outside upper left", ncols=2)
    return figure


def _draw_slice(axes: "Axes", name: str, asked: Sequence[tuple[Any, TrialRecord]]) -> None:
    words = sorted({str(value) for value, _ in asked if not isinstance(value, int | float)})
    if words:
        places = {word: x for x, word in enumerate(sorted({str(value) for value, _ in asked}))}
        _scatter_states(axes, [(places[str(value)], record) for value, record in asked])
        axes.set_xticks(range(len(places)), list(places))
        axes.set_xlim(-0.5, len(places) - 0.5)
    else:
        _scatter_states(axes, asked)
        _number_axis(axes, sorted({value for value, _ in asked}))
    axes.set_xlabel(name)


def _number_axis(axes: "Axes", values: Sequence[float]) -> None:
    """Logarithmic for a wide range, ticks at the values themselves where they have room."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if values[0] > 0 and values[-1] / values[0] > WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif len(values) > 1 and min(np.diff(values)) >= ROOM * (values[-1] - values[0]):
        axes.set_xticks(values, [f"{value:g}" for value in values])


def _scatter_states(axes: "Axes", points: Sequence[tuple[float, TrialRecord]]) -> None:
    """A dot for each (x, trial): full if it is complete, hollow if it was pruned."""
    for state, label in STATES.items():
        some = [(x, record) for x, record in points if record.state == state]
        face = tone(0) if state == COMPLETE else CARD
        color = tone(0) if state == COMPLETE else MUTED
        xs, ys = [x for x, _ in some], _values([record for _, record in some])
        if not some:
            continue
        axes.plot(
            xs,
            ys,
            "o",
            color=color,
            markerfacecolor=face,
            mew=1,
            label=label,
            zorder=3,
            clip_on=False,
        )


def _valued(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    valued = [record for record in records if record.value is not None and record.state in STATES]
    if not valued:
        raise InputError("no trial has a value yet: there is nothing to draw")
    return valued


def _values(records: Sequence[TrialRecord]) -> list[float]:
    return [record.value for record in records if record.value is not None]


def _ends(records: Sequence[TrialRecord]) -> tuple[float, float]:
    """Of the axis of the values: multiples of five percent, or of ten where they are far apart."""
    values = _values(records)
    return range_of(values, step=0.1 if max(values) - min(values) > 0.3 else 0.05)


def varied_params(records: Sequence[TrialRecord]) -> list[str]:
    """Parameters that two trials were asked for with different values, in their order."""
    names = dict.fromkeys(name for record in records for name in record.params)
    return [n for n in names if len({r.params[n] for r in records if n in r.params}) > 1]
