"""Plots of a training run and of the data: curves, settings, an embedding, pictures."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, PrivacyError, ShapeError
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
from classpulse.lab.evaluate.resample import Labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LogRow = Mapping[str, Any]
UNLABELED = "no label"


@styled
def draw_learning_curves(rows: Sequence[LogRow]) -> "Figure":
    """Loss and validation accuracy by epoch.

    Args:
        rows: of a run's `log.jsonl`: number, side (pixels), loss, accuracy {head: share}.

    Raises:
        InputError: no rows.
    """
    from matplotlib.ticker import MaxNLocator

    if not rows:
        raise InputError("the log has no finished epoch yet: there is nothing to draw")
    figure, (left, right) = build_axes(7.4, 3.0, columns=2)
    epochs = [row["number"] for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], color=tone(0), marker=marker(0))
    left.set_ylabel("training loss")
    heads = list(rows[-1]["accuracy"])
    for i, head in enumerate(heads):
        values = [row["accuracy"][head] for row in rows]
        right.plot(epochs, values, color=tone(i), marker=marker(i), label=head)
    shares = [share for row in rows for share in row["accuracy"].values()]
    percent_axis(right, "validation accuracy", low=range_of(shares)[0], high=range_of(shares)[1])
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        mark_sides(axes, rows)
    figure.legend(loc="outside upper right", ncols=len(heads))
    return figure


def mark_sides(axes: "Axes", rows: Sequence[LogRow]) -> None:
    """A line where training goes on with larger faces; text that would meet another goes lower."""
    last, down = -float(len(rows)), 0
    for before, after in pairwise(rows):
        if before["side"] != after["side"]:
            at = (before["number"] + after["number"]) / 2
            down = down + 11 if at - last < 0.15 * len(rows) else 0
            last = at
            axes.axvline(at, color=MUTED, linewidth=1, linestyle=":")
            axes.annotate(
                f"{after['side']} px",
                (at, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -1 - down),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color=MUTED,
            )


def embed_tsne(features: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """t-SNE (van der Maaten and Hinton 2008) of (n, d) features into (n, 2), n >= 5.

    Starts from the principal components; perplexity 30, less for fewer than 90 rows.
    """
    from sklearn.manifold import TSNE

    n = len(features)
    if features.ndim != 2 or n < 5:
        raise ShapeError(f"t-SNE needs (n, d) features with n >= 5, not {features.shape}")
    start = "pca" if features.shape[1] >= 2 else "random"
    embed = TSNE(2, perplexity=min(30.0, (n - 1) / 3), init=start, random_state=seed, n_jobs=1)
    return np.asarray(embed.fit_transform(features), dtype=np.float32)


@styled
def draw_embedding(points: NDArray[np.float32], truth: Labels, names: Sequence[str]) -> "Figure":
    """(n, 2) points in the color and marker of their label; distances between clusters say
    nothing."""
    figure, [axes] = build_axes(5.6, 4.2)
    x, y = points.T
    missing = truth < 0
    if missing.any():
        axes.scatter(x[missing], y[missing], s=8, color=MUTED, alpha=0.5, label=UNLABELED)
    for i, name in enumerate(names):
        rows = truth == i
        if rows.any():
            axes.scatter(
                x[rows],
                y[rows],
                s=16,
                color=tone(i),
                marker=marker(i),
                alpha=0.75,
                linewidths=0.4,
                edgecolors=CARD,
                label=name,
            )
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1, no unit", ylabel="t-SNE 2, no unit")
    axes.set_aspect("equal", adjustable="datalim")
    figure.legend(loc="outside right upper", markerscale=1.6)
    return figure


@styled
def draw_samples(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    *,
    allow_pictures: bool,
    columns: int = 8,
) -> "Figure":
    """A grid of pictures (n, h, w) or (n, h, w, 3) with a line of text over each.

    Raises:
        PrivacyError: `allow_pictures` is not set: these are pictures of people.
        ShapeError: no pictures, or not as many captions.
    """
    if not allow_pictures:
        raise PrivacyError(
            "a sample grid shows people's faces and stays off: ask for it with allow_pictures "
            "only if the data's licence and the people's consent cover the file that is written"
        )
    if not len(images) or len(images) != len(captions):
        raise ShapeError(f"a grid needs pictures, each with a caption: {images.shape}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure, panels = build_axes(1.05 * columns + 0.2, 1.45 * rows + 0.1, rows=rows, columns=columns)
    for i, axes in enumerate(panels):
        axes.set_axis_off()
        if i < len(images):
            axes.imshow(images[i], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(captions[i], fontsize=8, fontweight="normal", loc="center", pad=3)
    return figure
