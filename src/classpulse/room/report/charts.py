"""Small inline SVG charts without a plotting library: pure functions from numbers to markup.

Plot coordinates are percentages of the SVG's own box, so a chart stretches with the page while
its text keeps the size of the page. Axis labels hang outside the box (`overflow: visible`; the
margins are in style.css). Paths cannot use percentages: they live in a nested, stretched SVG.
Colors are CSS classes, so that one file serves light, dark and paper.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 43200)
DOTTED_UP_TO = 20  # windows; more dots than this hide the line they sit on
WIDEST_BAR = 8.0  # percent of the plot; a single window must not become a wall
SAME_MOMENT = 1e-6  # seconds


@dataclass(frozen=True, slots=True)
class Span:
    """One time window of a chart.

    Args:
        t0, t1: seconds.
        value: height of the mark, or None: not shown, drawn as a hatched region.
        empty: there was nothing to read, so that nothing is withheld; drawn as a dotted region.
        low, high: 95 % interval around `value`, if it has one.
        note: words for the mouse-over.
    """

    t0: float
    t1: float
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """The frame of a chart.

    Args:
        start, end: seconds at the left and right edge, start < end.
        top: value at the upper edge; the lower edge is always 0.
        times: (seconds, text) of the ticks below.
        values: (value, text) of the ticks on the left.
    """

    start: float
    end: float
    top: float
    times: tuple[tuple[float, str], ...]
    values: tuple[tuple[float, str], ...]

    def x(self, t: float) -> float:
        """Percent from the left."""
        return round(100 * (t - self.start) / (self.end - self.start), 3)

    def y(self, value: float) -> float:
        """Percent from above, kept inside the plot."""
        return round(100 * (1 - min(max(value / self.top, 0.0), 1.0)), 3)


@dataclass(frozen=True, slots=True)
class Caption:
    """What a chart says to somebody who cannot see it, and its unique key in the page."""

    key: str
    title: str
    desc: str
    hidden: str  # why regions are hatched
    nobody: str = ""  # what is said of empty regions


def build_axes(
    start: float,
    end: float,
    top: float,
    *,
    clock: Callable[[float], str],
    scale: Callable[[float], str],
    steps: int = 4,
    most: int = 8,
) -> Axes:
    """Axes with `steps` equal value steps and at most `most` round times in seconds."""
    end = max(end, start + SAME_MOMENT)
    gap = next((s for s in TIME_STEPS if (end - start) / s < most), TIME_STEPS[-1])
    first = math.ceil(start / gap)
    times = [gap * i for i in range(first, math.floor(end / gap + SAME_MOMENT) + 1)]
    values = [top * i / steps for i in range(steps + 1)]
    return Axes(
        start,
        end,
        top,
        tuple((t, clock(t)) for t in times),
        tuple((v, scale(v)) for v in values),
    )


def round_top(value: float) -> float:
    """The smallest of 4, 8, 20, 40, 80, 200 ... that is not below `value` (four whole steps)."""
    tens = 1
    while True:
        for top in (4 * tens, 8 * tens):
            if value <= top:
                return float(top)
        if value <= 20 * tens:
            return 20.0 * tens
        tens *= 10


def split_runs(spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Groups of neighbors that touch in time and are all shown, all hidden, or all empty."""
    breaks = 0
    marks: list[tuple[int, Span]] = []
    for i, span in enumerate(spans):
        before = spans[i - 1] if i else span
        apart = i > 0 and span.t0 - before.t1 > SAME_MOMENT
        breaks += apart or _state(span) != _state(before)
        marks.append((breaks, span))
    for _, group in groupby(marks, key=lambda mark: mark[0]):
        yield [span for _, span in group]


def _state(span: Span) -> tuple[bool, bool]:
    return span.value is None, span.empty


def draw_line(spans: Sequence[Span], axes: Axes, caption: Caption, *, mean: float | None) -> Markup:
    """A line with its 95 % band through the middle of each window; alone, a dot with a bar."""
    parts = [_hatching(spans, axes, caption)]
    # the mean only where something is shown: no other window must seem to have a value
    parts += [] if mean is None else [_mean(run, axes.y(mean), axes) for run in _shown(spans)]
    for run in _shown(spans):
        if len(run) > 1:
            parts.append(_stretched(_band_path(run, axes) + _line_path(run, axes)))
        else:
            parts.append(_error_bar(run[0], axes))
        if len(run) == 1 or len(spans) <= DOTTED_UP_TO:
            parts.extend(_dot(span, axes) for span in run)
    return _svg(parts, spans, axes, caption)


def draw_steps(spans: Sequence[Span], axes: Axes, caption: Caption) -> Markup:
    """A filled staircase: one level per window."""
    parts = [_hatching(spans, axes, caption)]
    for run in _shown(spans):
        corners = [(t, span.value or 0.0) for span in run for t in (span.t0, span.t1)]
        edge = " ".join(f"{10 * axes.x(t):g},{axes.y(v):g}" for t, v in corners)
        left, right = (f"{10 * axes.x(t):g},100" for t in (run[0].t0, run[-1].t1))
        fill = Markup('<path class="band" d="M{} L{} L{}Z"/>').format(left, edge, right)
        parts.append(_stretched(fill + Markup('<path class="line" d="M{}"/>').format(edge)))
    return _svg(parts, spans, axes, caption)


def draw_bars(spans: Sequence[Span], axes: Axes, caption: Caption) -> Markup:
    """One bar per window."""
    parts = [_hatching(spans, axes, caption)]
    for run in _shown(spans):
        for span in run:
            room = axes.x(span.t1) - axes.x(span.t0)
            width = min(0.8 * room, WIDEST_BAR)
            y = axes.y(span.value or 0.0)
            parts.append(
                Markup(
                    '<rect class="bar" x="{:.3f}%" y="{:g}%" width="{:.3f}%" height="{:g}%"/>'
                ).format(axes.x(span.t0) + (room - width) / 2, y, width, round(100 - y, 3))
            )
    return _svg(parts, spans, axes, caption)


def _shown(spans: Sequence[Span]) -> Iterator[list[Span]]:
    return (run for run in split_runs(spans) if run[0].value is not None)


def _middle(span: Span, axes: Axes) -> float:
    return round((axes.x(span.t0) + axes.x(span.t1)) / 2, 3)


def _low_high(span: Span) -> tuple[float, float]:
    value = span.value or 0.0
    return (
        value if span.low is None else span.low,
        value if span.high is None else span.high,
    )


def _points(run: Sequence[Span], values: Sequence[float], axes: Axes) -> list[str]:
    middles = (_middle(span, axes) for span in run)
    return [f"{10 * x:g},{axes.y(v):g}" for x, v in zip(middles, values, strict=True)]


def _line_path(run: Sequence[Span], axes: Axes) -> Markup:
    points = _points(run, [span.value or 0.0 for span in run], axes)
    return Markup('<path class="line" d="M{}"/>').format(" ".join(points))


def _band_path(run: Sequence[Span], axes: Axes) -> Markup:
    lower = _points(run, [_low_high(span)[0] for span in run], axes)
    upper = _points(run, [_low_high(span)[1] for span in run], axes)
    return Markup('<path class="band" d="M{}Z"/>').format(" ".join(upper + lower[::-1]))


def _error_bar(span: Span, axes: Axes) -> Markup:
    low, high = _low_high(span)
    return Markup('<line class="whisker" x1="{0}%" x2="{0}%" y1="{1}%" y2="{2}%"/>').format(
        _middle(span, axes), axes.y(low), axes.y(high)
    )


def _dot(span: Span, axes: Axes) -> Markup:
    return Markup('<circle class="dot" cx="{}%" cy="{}%" r="3.5"/>').format(
        _middle(span, axes), axes.y(span.value or 0.0)
    )


def _level(name: str, y: float) -> Markup:
    return Markup('<line class="{0}" x1="0" x2="100%" y1="{1}%" y2="{1}%"/>').format(name, y)


def _mean(run: Sequence[Span], y: float, axes: Axes) -> Markup:
    ends = axes.x(run[0].t0), axes.x(run[-1].t1)
    return Markup('<line class="mean" x1="{0}%" x2="{1}%" y1="{2}%" y2="{2}%"/>').format(*ends, y)


def _stretched(paths: Markup) -> Markup:
    """`paths` in units of 1000 by 100 over the whole plot; strokes keep their width."""
    return Markup(
        '<svg width="100%" height="100%" viewBox="0 0 1000 100" preserveAspectRatio="none">{}</svg>'
    ).format(paths)


def _hatching(spans: Sequence[Span], axes: Axes, caption: Caption) -> Markup:
    """Regions where nothing is shown, hatched, or dotted if empty; in words where they fit."""
    regions = Markup()
    for run in split_runs(spans):
        if run[0].value is not None:
            continue
        left, right = axes.x(run[0].t0), axes.x(run[-1].t1)
        empty = run[0].empty
        regions += Markup(
            '<rect class="{}" fill="url(#{}-{})" x="{}%" y="0" width="{:.3f}%" height="100%"/>'
        ).format(
            "nobody" if empty else "hidden",
            caption.key,
            "dots" if empty else "hatch",
            left,
            right - left,
        )
        if right - left >= 35:
            text = f"not shown: {caption.hidden}" if right - left > 99 else "not shown"
            text = caption.nobody if empty else text
            regions += Markup(
                '<text class="why" x="{}%" y="50%" dy=".35em" text-anchor="middle">{}</text>'
            ).format((left + right) / 2, text)
    return regions


def _frame(axes: Axes) -> Markup:
    marks = Markup()
    for value, text in axes.values:
        y = axes.y(value)
        marks += _level("base" if value == 0 else "grid", y)
        marks += Markup(
            '<text class="tick" x="-8" y="{}%" dy=".35em" text-anchor="end">{}</text>'
        ).format(y, text)
    for t, text in axes.times:
        marks += Markup(
            '<text class="tick" x="{}%" y="100%" dy="1.6em" text-anchor="middle">{}</text>'
        ).format(axes.x(t), text)
    return marks


def _hover(spans: Sequence[Span], axes: Axes) -> Markup:
    """Invisible columns with words for the mouse; the table says the same to everybody else."""
    columns = Markup()
    for span in spans:
        if span.note:
            columns += Markup(
                '<rect class="hit" x="{}%" y="0" width="{:.3f}%" height="100%">'
                "<title>{}</title></rect>"
            ).format(axes.x(span.t0), axes.x(span.t1) - axes.x(span.t0), span.note)
    return columns


def _svg(parts: Sequence[Markup], spans: Sequence[Span], axes: Axes, caption: Caption) -> Markup:
    return Markup(
        '<svg class="plot" role="img" aria-labelledby="{0}-title {0}-desc">'
        '<title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>'
        '<defs><pattern id="{0}-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect class="hatch-ground" width="7" height="7"/>'
        '<line class="hatch-line" x1="0" x2="0" y1="0" y2="7"/></pattern>'
        '<pattern id="{0}-dots" width="9" height="9" patternUnits="userSpaceOnUse">'
        '<circle class="dots" cx="4.5" cy="4.5" r="1"/></pattern></defs>'
        "{3}{4}{5}</svg>"
    ).format(
        caption.key,
        caption.title,
        caption.desc,
        _frame(axes),
        Markup().join(parts),
        _hover(spans, axes),
    )
