"""The plot of a bias report: every group before and after, with intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from classpulse.lab.evaluate.figures import CARD, MUTED, build_axes, marker, styled, tone

if TYPE_CHECKING:
    from matplotlib.figure import Figure

APART = 0.15  # of a line's height, from its middle


@styled
def draw_bias(
    rows: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]] | None = None
) -> "Figure":
    """Accuracy of all rows and of every group with its 95 % interval, before and after.

    Args:
        rows: plain `GroupRow` of all rows first, then of the groups.
        after: the same groups after a correction; its markers are another shape and color.
    """
    figure, [axes] = build_axes(6.4, 0.95 + 0.46 * len(rows))
    series = {"before": rows} if after is None else {"before": rows, "after": after}
    axes.axvline(rows[0]["accuracy"]["value"], color=MUTED, linewidth=1, linestyle=":")
    for i, (name, found) in enumerate(series.items()):
        shift = 0.0 if after is None else (-APART, APART)[i]
        for y, row in enumerate(found):
            one = row["accuracy"]
            height = y + shift
            axes.plot([one["low"], one["high"]], [height, height], color=tone(i), linewidth=1.5)
            axes.plot(
                one["value"],
                height,
                marker(i),
                color=tone(i),
                markersize=6,
                markeredgecolor=CARD,
                label=name if y == 0 else None,
            )
    texts = [f"{row['group']} (n = {row['n']:,})" for row in rows]
    axes.set_yticks(range(len(texts)), texts)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.axhline(0.5, color=MUTED, linewidth=0.6)
    axes.set_ylim(len(texts) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g}")
    axes.set_xlabel(f"accuracy, % (dotted: all rows{' before' if after else ''})")
    if after is not None:
        figure.legend(loc="outside upper left", ncols=2)
    return figure
