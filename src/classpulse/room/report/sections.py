"""The chart sections of the report: a message in words, the drawing, the same data as a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from classpulse.page import Table
from classpulse.room.report import charts, words
from classpulse.room.report.lesson import Lesson, Panel, Row, Section, is_empty, shown

PEOPLE = "People, at least"
NO_VALUE = "\u2013"
ENGAGEMENT_COLUMNS = ("Time", PEOPLE, "Engagement", words.INTERVAL)
SMALL_TOPS = (0.2, 0.4, 0.6, 0.8, 1.0)  # upper ends of the axis that small multiples share


def build_engagement(lesson: Lesson) -> Section:
    """Engagement over time: one line with its band."""
    found = [shown(row, "engagement", lesson.k) for row in lesson.rows]
    overall = shown(lesson.overall, "engagement", lesson.k)
    spans = [
        span_of(row, one, f"{lesson.span(row)}: {_score_text(one, lesson, row)}")
        for row, one in zip(lesson.rows, found, strict=True)
    ]
    message = _engagement_message(lesson, found)
    caption = build_caption(lesson, "engagement", "Engagement over time", message, spans)
    axes = build_axes(lesson, 1.0, words.score)
    svg = charts.draw_line(spans, axes, caption, mean=_value(overall))
    rows = tuple(
        (lesson.span(row), lesson.people(row, "engagement"), *_cells(one, lesson, row, words.score))
        for row, one in zip(lesson.rows, found, strict=True)
    )
    return Section(
        "engagement",
        "Engagement",
        message,
        (Panel("", "", svg, blank=not any(found)),),
        _legend(lesson, spans, caption.hidden, overall is not None),
        Table("Engagement per time window", ENGAGEMENT_COLUMNS, rows),
    )


def build_shares(
    lesson: Lesson, head: str, names: Sequence[str], heading: str, *, of: str = "faces"
) -> Section:
    """Small multiples of the shares of `names`, all with the same vertical axis.

    Args:
        of: what was read: faces, or texts.
    """
    found = [shown(row, head, lesson.k) for row in lesson.rows]
    overall = shown(lesson.overall, head, lesson.k)
    highest = max((one[name]["high"] for one in found if one for name in names), default=1.0)
    top = next((t for t in SMALL_TOPS if t >= highest), 1.0)
    message = _shares_message(lesson, overall, names, of)
    spans = {
        name: [span_of(row, one and one[name]) for row, one in zip(lesson.rows, found, strict=True)]
        for name in names
    }
    reason = build_caption(lesson, head, heading, message, spans[names[0]]).hidden
    panels = []
    # with nothing to show, one hatched panel says it; seven would only shout it
    for name in names if any(found) else names[:1]:
        label, mean = words.label(name), overall and overall[name]
        title = f"{label} over time" if any(found) else heading
        text = _panel_message(lesson, label, found, name) if any(found) else message
        caption = build_caption(lesson, f"{head}-{names.index(name)}", title, text, spans[name])
        axes = build_axes(lesson, top, words.percent, small=any(map(bool, found)))
        svg = charts.draw_line(spans[name], axes, caption, mean=_value(mean))
        value = f"{words.percent(mean['value'])} ({words.percent_interval(mean)})" if mean else ""
        panels.append(Panel(label if any(found) else "", value, svg, blank=not any(found)))
    return Section(
        head,
        heading,
        message,
        tuple(panels),
        _legend(lesson, spans[names[0]], reason, overall is not None),
        _shares_table(lesson, found, head, names, heading),
    )


def build_presence(lesson: Lesson) -> Section:
    """How many faces were in view."""
    values = [float(row["present"]) for row in lesson.rows]
    spans = [
        charts.Span(
            row["t0"],
            row["t1"],
            value,
            note=f"{lesson.span(row)}: {words.mean_count(value)} faces in view on average",
        )
        for row, value in zip(lesson.rows, values, strict=True)
    ]
    low, high = (words.mean_count(v) for v in (min(values), max(values)))
    reach = f", between {low} and {high} per window" if low != high else ""
    mean = words.mean_count(lesson.overall["present"])
    message = f"On average {mean} faces were in view{reach}."
    caption = build_caption(lesson, "presence", "Faces in view over time", message, spans)
    axes = build_axes(lesson, charts.round_top(max(values)), words.count)
    rows = tuple(
        (lesson.span(row), words.mean_count(v)) for row, v in zip(lesson.rows, values, strict=True)
    )
    return Section(
        "presence",
        "Faces in view",
        message,
        (Panel("", "", charts.draw_steps(spans, axes, caption)),),
        (("step", "mean number of faces per picture"),),
        Table("Faces in view per time window", ("Time", "Faces in view (mean)"), rows),
    )


def build_abstentions(lesson: Lesson, counts: Mapping[str, Any]) -> Section:
    """How often the program looked at a face and said nothing, and why."""
    shares = [_ratio(row["abstained"], row["readings"]) for row in lesson.rows]
    spans = [
        charts.Span(
            row["t0"], row["t1"], v, note=f"{lesson.span(row)}: {_share_text(v)}", empty=v is None
        )
        for row, v in zip(lesson.rows, shares, strict=True)
    ]
    total = _ratio(counts["abstained"], counts["readings"])
    message = (
        f"The program looked at a face {words.plural(counts['readings'], 'time', 'times')} and "
        f"made no statement in {_share_text(total)} of these readings."
    )
    caption = build_caption(lesson, "abstentions", "Readings without a statement", message, spans)
    rows = tuple(
        (
            lesson.span(row),
            words.count(row["readings"]),
            words.count(row["abstained"]),
            _share_text(v),
        )
        for row, v in zip(lesson.rows, shares, strict=True)
    )
    return Section(
        "abstentions",
        "When the program said nothing",
        message,
        (Panel("", "", charts.draw_bars(spans, build_axes(lesson, 1.0, words.percent), caption)),),
        (
            ("bar", "share of readings without a statement"),
            *((("nobody", lesson.nobody),) if None in shares else ()),
        ),
        Table(
            "Readings without a statement per time window",
            ("Time", "Readings", "Without a statement", "Share"),
            rows,
        ),
        _reasons_table(counts),
    )


def span_of(row: Row, one: Row | None, note: str = "") -> charts.Span:
    if one is None:
        return charts.Span(row["t0"], row["t1"], None, note=note, empty=is_empty(row))
    return charts.Span(row["t0"], row["t1"], one["value"], one["low"], one["high"], note)


def _value(one: Row | None) -> float | None:
    return None if one is None else float(one["value"])


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _share_text(share: float | None) -> str:
    return "no readings" if share is None else words.percent(share)


def _reasons_table(counts: Mapping[str, Any]) -> Table | None:
    reasons = sorted(counts["reasons"].items(), key=lambda item: (-item[1], item[0]))
    rows = tuple(
        (words.label(reason), words.count(number), _share_text(_ratio(number, counts["readings"])))
        for reason, number in reasons
    )
    columns = ("Reason", "Readings", "Share of all readings")
    return Table("Reasons for making no statement", columns, rows) if rows else None


def build_axes(
    lesson: Lesson, top: float, scale: Callable[[float], str], *, small: bool = False
) -> charts.Axes:
    return charts.build_axes(
        lesson.start,
        lesson.end,
        top,
        clock=lesson.clock,
        scale=scale,
        steps=2 if small else 4,
        most=4 if small else 7,
    )


def build_caption(
    lesson: Lesson, key: str, title: str, message: str, spans: Sequence[charts.Span]
) -> charts.Caption:
    absent = [(row, s.empty) for row, s in zip(lesson.rows, spans, strict=True) if s.value is None]
    hidden = [row for row, empty in absent if not empty]
    gaps = len(absent) - len(hidden)
    reason = lesson.why_hidden(hidden) if hidden else ""
    desc = (
        f"{message} Chart of {words.plural(len(spans), 'time window', 'time windows')} from "
        f"{lesson.clock(lesson.start)} to {lesson.clock(lesson.end)} ({lesson.time_unit})."
    )
    if hidden:
        desc += f" {len(hidden)} not shown ({reason})." if len(hidden) < len(spans) else ""
    if gaps:
        desc += f" In {gaps} {lesson.nobody}."
    return charts.Caption(key, title, desc, reason, lesson.nobody)


def _legend(
    lesson: Lesson, spans: Sequence[charts.Span], hidden: str, has_mean: bool
) -> tuple[tuple[str, str], ...]:
    """The swatches that occur in the drawing."""
    some = any(span.value is not None for span in spans)
    runs = list(charts.split_runs(spans))
    alone = any(len(run) == 1 and run[0].value is not None for run in runs)
    joined = any(len(run) > 1 and run[0].value is not None for run in runs)
    entries = (
        (joined, "line", "mean of the group" if lesson.k > 1 else "mean"),
        (joined, "band", words.INTERVAL),
        (alone, "dot", f"single window with its {words.INTERVAL}"),
        (some and has_mean, "mean", "mean of the whole lesson"),
        (bool(hidden), "hatch", f"not shown: {hidden}"),
        (any(span.empty for span in spans), "nobody", lesson.nobody),
    )
    return tuple((swatch, text) for holds, swatch, text in entries if holds)


def _cells(
    one: Row | None, lesson: Lesson, row: Row, scale: Callable[[float], str]
) -> tuple[str, str]:
    if one is None:
        return _absent(row), lesson.why_hidden([row])
    return scale(one["value"]), f"{scale(one['low'])} to {scale(one['high'])}"


def _score_text(one: Row | None, lesson: Lesson, row: Row) -> str:
    value, interval = _cells(one, lesson, row, words.score)
    return f"{value} ({interval})"


def _nothing(lesson: Lesson) -> str:
    return f"Not shown in any time window: {lesson.why_hidden(lesson.rows)}."


def _engagement_message(lesson: Lesson, found: Sequence[Row | None]) -> str:
    known = [(row, one) for row, one in zip(lesson.rows, found, strict=True) if one is not None]
    if not known:
        return _nothing(lesson)
    if len(known) == 1:
        row, one = known[0]
        return (
            f"Engagement was {words.score(one['value'])} ({words.INTERVAL} "
            f"{words.score_interval(one)}) in the only window shown, {lesson.span(row)}."
        )
    low_row, low = min(known, key=lambda pair: pair[1]["value"])
    high_row, high = max(known, key=lambda pair: pair[1]["value"])
    overlap = low["high"] >= high["low"]
    verdict = (
        "The intervals of these two windows overlap, so the difference may be chance."
        if overlap
        else "The intervals of these two windows do not overlap: it may be worth recalling what "
        "happened then."
    )
    return (
        f"Engagement was lowest at {lesson.span(low_row)} ({words.score(low['value'])}) and "
        f"highest at {lesson.span(high_row)} ({words.score(high['value'])}). {verdict}"
    )


def _shares_message(lesson: Lesson, overall: Row | None, names: Sequence[str], of: str) -> str:
    if overall is None:
        return _nothing(lesson)
    order = sorted(names, key=lambda name: -overall[name]["value"])
    first, second = order[0], order[1]
    return (
        f"Over the whole lesson {of} were read most strongly as {first} (mean score "
        f"{words.percent(overall[first]['value'])}), then {second} "
        f"({words.percent(overall[second]['value'])})."
    )


def _panel_message(lesson: Lesson, label: str, found: Sequence[Row | None], name: str) -> str:
    known = [
        (one[name]["value"], lesson.span(row))
        for row, one in zip(lesson.rows, found, strict=True)
        if one is not None
    ]
    low, high = min(known), max(known)
    if len(known) == 1:
        return f"{label}: {words.percent(low[0])} in the only window shown, {low[1]}."
    return (
        f"{label}: between {words.percent(low[0])} at {low[1]} and {words.percent(high[0])} "
        f"at {high[1]}."
    )


def _absent(row: Row) -> str:
    return NO_VALUE if is_empty(row) else "not shown"


def _shares_table(
    lesson: Lesson, found: Sequence[Row | None], head: str, names: Sequence[str], heading: str
) -> Table:
    def cell(row: Row, one: Row | None, name: str) -> str:
        if one is None:
            return _absent(row)
        return f"{words.percent(one[name]['value'])} ({words.percent_interval(one[name])})"

    rows = tuple(
        (lesson.span(row), lesson.people(row, head), *(cell(row, one, name) for name in names))
        for row, one in zip(lesson.rows, found, strict=True)
    )
    return Table(
        f"{heading} per time window: mean score and {words.INTERVAL}",
        ("Time", PEOPLE, *(words.label(name) for name in names)),
        rows,
    )
