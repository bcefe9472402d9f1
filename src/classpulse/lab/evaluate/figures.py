"""The look of every plot, and how a figure becomes a file or a part of a page.

Figures are made with matplotlib's objects, never with pyplot, and the same numbers give the same
bytes: no date, fixed identifiers. The colors of `TONES` are told apart by people with any color
vision (Okabe and Ito 2008, yellow replaced); lines differ in marker too.
"""

import io
import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from classpulse.core.errors import InputError, MissingExtraError, OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, CARD = "#1b272c", "#51606a", "#dfe5e5", "#ffffff"
TONES = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#5b4ea3",
    "#7a6a00",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
CSS_NAMES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--grid",
    CARD: "--card",
    **{tone: f"--tone-{i}" for i, tone in enumerate(TONES)},
}
"""Custom properties that replace the colors in a page, so that it can be dark."""

DPI = 160
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": CARD,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.facecolor": CARD,
    "font.size": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "savefig.dpi": DPI,
    "savefig.facecolor": CARD,
    "svg.fonttype": "none",  # text stays text: readable by a screen reader, in the page's font
    "svg.hashsalt": "classpulse",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8.5,
}

Args = ParamSpec("Args")


def styled(draw: Callable[Args, "Figure"]) -> Callable[Args, "Figure"]:
    """Decorator: draw in the style above, whatever the user's own settings of matplotlib are."""

    @wraps(draw)
    def drawn(*args: Args.args, **kwargs: Args.kwargs) -> "Figure":
        with _context():
            return draw(*args, **kwargs)

    return drawn


def _context() -> Any:
    try:
        from matplotlib import style
    except ImportError:
        raise MissingExtraError("drawing plots", "lab") from None
    return style.context(["default", STYLE])


def build_axes(
    width: float,
    height: float,
    *,
    rows: int = 1,
    columns: int = 1,
    heights: Sequence[float] | None = None,
    share_x: bool = False,
    share_y: bool = False,
) -> "tuple[Figure, list[Axes]]":
    """A figure of `width` x `height` inches with its axes in reading order.

    Args:
        heights: of the rows, relative to each other.
        share_x, share_y: all axes have one scale.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=share_x, sharey=share_y, height_ratios=heights
    )
    return figure, list(axes.ravel())


def tone(i: int) -> str:
    """Color of the i-th series."""
    return TONES[i % len(TONES)]


def marker(i: int) -> str:
    """Marker of the i-th series; after `TONES` the pairs with a color differ again."""
    return MARKERS[(i + i // len(TONES)) % len(MARKERS)]


def percent_axis(axes: "Axes", label: str, *, low: float = 0.0, high: float = 1.0) -> None:
    """The vertical axis as percent of a share in [0, 1]."""
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.4g}")
    axes.set_ylabel(f"{label}, %")


def range_of(values: Sequence[float], *, step: float = 0.1) -> tuple[float, float]:
    """Ends of an axis in [0, 1] that are multiples of `step` and leave some air."""
    low, high = min(values), max(values)
    return (
        max(0.0, float(np.floor((low - step / 5) / step) * step)),
        min(1.0, float(np.ceil((high + step / 5) / step) * step)),
    )


def render_svg(figure: "Figure") -> str:
    """The figure as an SVG document."""
    stream = io.StringIO()
    with _context():
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def save_figure(figure: "Figure", path: Path) -> Path:
    """Write `path`, `.svg` or `.png` (160 dots per inch).

    Raises:
        OutputError: another kind of file, or it cannot be written.
    """
    if path.suffix not in (".svg", ".png"):
        raise OutputError(f"plots are written as .svg or .png, not '{path.name}'")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".svg":
            path.write_text(render_svg(figure), encoding="utf-8")
        else:
            with _context():
                figure.savefig(path, format="png", metadata={"Software": None})
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None
    return path


def inline_svg(svg: str, *, key: str, title: str) -> str:
    """An SVG document as an element of a page, with the page's colors and its own identifiers.

    Args:
        svg: from `render_svg`.
        key: unique in the page, letters, digits and hyphens.
        title: what it shows, for those who cannot see it; already escaped for HTML.

    Raises:
        InputError: the text has no SVG in it, or a script.
    """
    start = svg.find("<svg")
    if start < 0 or "<script" in svg.lower():
        raise InputError(f"plot '{key}' must be an SVG document without scripts")
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg[start:], flags=re.DOTALL)
    body = re.sub(r' id="(?!DejaVu)', f' id="{key}-', body)
    body = body.replace("url(#", f"url(#{key}-").replace('href="#', f'href="#{key}-')
    for color, name in CSS_NAMES.items():
        body = body.replace(color, f"var({name})")
    head, rest = body.split(">", 1)
    # points become CSS pixels; the page makes it smaller where there is less room
    wide = re.search(r' width="([0-9.]+)pt"', head)
    size = f' width="{float(wide[1]) * 96 / 72:.0f}"' if wide else ""
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head}{size} class="plot" role="img" aria-label="{title}">{rest}'.strip()
