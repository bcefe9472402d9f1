"""The sections of the report about students' writing, and about faces and writing together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from classpulse.page import Card, Table
from classpulse.room.report import charts, words
from classpulse.room.report.lesson import Lesson, Panel, Row, Section, fill_gaps, shown
from classpulse.room.report.sections import build_axes, build_caption, build_shares
from classpulse.room.table import FACE, TEXT
from classpulse.room.writing.reader import STATES, find_head

HEADINGS = {
    "text-7": "Emotions in writing",
    "text-5": "Emotions in writing",
    STATES: "Learning states in writing",
}
NEAR_ZERO = 0.05  # a mean score whose interval reaches down to it stands out in nothing
NOBODY = "faces or writing missing, or too few people"


def build_writing(writing: Mapping[str, Any], k: int, *, end: float) -> list[Section]:
    """Sections over time, or tables of the whole where the file has no times.

    Args:
        end: of the session, seconds: the charts run from 0 to it.
    """
    emotions = find_head(writing["spaces"])
    states = STATES if STATES in writing["spaces"] else None
    heads = [head for head in (emotions, states) if head is not None]
    if not writing["windows"]:
        return [_whole(writing, head, k) for head in heads]
    rows = fill_gaps(writing["windows"], end)
    lesson = Lesson(rows, writing["overall"], k, nobody="nobody wrote")
    shares = [
        build_shares(lesson, head, writing["spaces"][head], HEADINGS[head], of="texts")
        for head in heads
    ]
    return [*shares, _texts(lesson, writing)]


def writing_cards(writing: Mapping[str, Any], k: int) -> list[Card]:
    """How much was written, and how it was read on the whole."""
    counts = writing["counts"]
    said = counts["texts"] - counts["abstained"]
    head = find_head(writing["spaces"])
    whole = shown(writing["overall"], head, k) if head else None
    people = words.plural(counts["writers"], "person", "people")
    cards = [
        Card(
            "Texts",
            words.count(counts["texts"]),
            f"by {people}." if writing["named"] else _unsigned(writing["stated_writers"]),
        ),
        Card(
            "Readable texts",
            words.percent(said / counts["texts"]) if counts["texts"] else "none",
            f"{words.count(said)} of {words.count(counts['texts'])}; otherwise the program said "
            "nothing.",
        ),
    ]
    if head is None:
        return cards
    if whole is None:
        why = f"Reason: {_why_hidden(writing, k)}."
        return [*cards, Card("Emotion in the writing", "not shown", why, quiet=True)]
    return [*cards, _emotion_card(whole, named=writing["named"])]


def _emotion_card(whole: Row, *, named: bool) -> Card:
    """The emotion with the highest mean score, if it is clearly above nothing."""
    first = max(whole, key=lambda name: float(whole[name]["value"]))
    one = whole[first]
    score = f"mean score {words.percent(one['value'])}"
    reach = f"{words.INTERVAL} {words.percent_interval(one)}"
    counts = f"Every {'person' if named else 'text without a name'} counts equally."
    title = "Strongest emotion in the writing"
    if one["low"] < NEAR_ZERO:
        text = f"Highest was {first}, {score}, but it may be next to nothing ({reach}). {counts}"
        return Card(title, "no emotion stood out", text, quiet=True)
    return Card(title, first, f"{score} ({reach}). {counts}")


def _unsigned(stated: int | None) -> str:
    if stated is None:
        return "The file does not say by whom."
    return f"The file does not say by whom; {words.plural(stated, 'person', 'people')}, as stated."


def _why_hidden(writing: Mapping[str, Any], k: int) -> str:
    if writing["named"] or writing["stated_writers"] is not None:
        return words.few(k)
    return "the file does not say how many people wrote"


def build_together(lesson: Lesson, summary: Mapping[str, Any]) -> Section:
    """Where faces and writing of the same minutes agree, and where they do not."""
    both, writing = summary["together"], summary["writing"]
    lesson = replace(lesson, rows=both["windows"])  # those of either channel
    seen = _shown_at(summary["windows"], both["heads"][FACE], lesson)
    read = _shown_at(writing["windows"], both["heads"][TEXT], lesson)
    pools: list[Row | None] = [
        row if row["channels"] == [*([FACE] if one else []), *([TEXT] if other else [])] else None
        for row, one, other in zip(lesson.rows, seen, read, strict=True)
    ]
    gaps = [None if pooled is None else pooled["disagreement"] for pooled in pools]
    spans = [
        charts.Span(row["t0"], row["t1"], gap, note=f"{lesson.span(row)}: {_gap_text(gap)}")
        for row, gap in zip(lesson.rows, gaps, strict=True)
    ]
    message = _together_message([gap for gap in gaps if gap is not None], both["contested"])
    caption = charts.Caption("together", "Disagreement over time", message, NOBODY)
    rows = tuple(
        (
            lesson.span(row),
            _top(one),
            _top(other),
            _common(pooled, both["space"]),
            _gap_text(gap),
        )
        for row, one, other, pooled, gap in zip(lesson.rows, seen, read, pools, gaps, strict=True)
    )
    columns = (
        "Time",
        "Faces most strongly",
        "Writing most strongly",
        "Both together",
        "Disagreement",
    )
    drawing = charts.draw_bars(spans, build_axes(lesson, 1.0, words.score), caption)
    hidden = (("hatch", f"not shown: {NOBODY}"),) if None in gaps else ()
    return Section(
        "together",
        "Faces and writing together",
        message,
        (Panel("", "", drawing, blank=not any(gap is not None for gap in gaps)),),
        (("bar", "disagreement: 0 the same, 1 nothing in common"), *hidden),
        Table("Faces and writing per time window", columns, rows),
    )


def _shown_at(rows: Sequence[Row], head: str, lesson: Lesson) -> list[Row | None]:
    """What one channel shows in each window of the lesson."""
    by_start = {row["t0"]: row for row in rows}
    return [
        shown(by_start[row["t0"]], head, lesson.k) if row["t0"] in by_start else None
        for row in lesson.rows
    ]


def _texts(lesson: Lesson, writing: Mapping[str, Any]) -> Section:
    values = [float(row["readings"]) for row in lesson.rows]
    spans = [
        charts.Span(
            row["t0"], row["t1"], n, note=f"{lesson.span(row)}: {words.plural(n, 'text', 'texts')}"
        )
        for row, n in zip(lesson.rows, values, strict=True)
    ]
    total = words.plural(sum(values), "text was", "texts were")
    message = f"{total} written, {words.count(max(values))} in the busiest window."
    caption = build_caption(lesson, "texts", "Texts over time", message, spans)
    axes = build_axes(lesson, charts.round_top(max(values)), words.count)
    rows = tuple(
        (lesson.span(row), words.count(row["readings"]), words.count(row["abstained"]))
        for row in lesson.rows
    )
    return Section(
        "texts",
        "How much was written",
        message,
        (Panel("", "", charts.draw_bars(spans, axes, caption)),),
        (("bar", "texts in the window"),),
        Table("Texts per time window", ("Time", "Texts", "Without a statement"), rows),
        _reasons(writing),
    )


def _reasons(writing: Mapping[str, Any]) -> Table | None:
    counts = writing["counts"]
    found = {**counts["reasons"], **{f"left out: {k}": n for k, n in counts["left_out"].items()}}
    rows = tuple((words.label(why), words.count(n)) for why, n in found.items())
    return Table("Texts about which nothing is said", ("Reason", "Texts"), rows) if rows else None


def _whole(writing: Mapping[str, Any], head: str, k: int) -> Section:
    """Mean scores of the whole as a table."""
    found = shown(writing["overall"], head, k)
    order = sorted(found or (), key=lambda name: -float(found[name]["value"]) if found else 0.0)
    message = _whole_message(found, order, _why_hidden(writing, k))
    shares = [(name, found[name]) for name in order] if found else []
    rows = tuple(
        (words.label(name), words.percent(one["value"]), words.percent_interval(one))
        for name, one in shares
    )
    table = Table(f"{HEADINGS[head]}: mean scores", ("Read as", "Mean score", words.INTERVAL), rows)
    extra = _reasons(writing) if head != STATES else None
    return Section(head, HEADINGS[head], message, (), (), table, extra)


def _whole_message(found: Row | None, order: Sequence[str], why: str) -> str:
    if found is None:
        return f"Not shown: {why}."
    first, second = order[:2]
    return (
        f"Texts were read most strongly as {first} (mean score "
        f"{words.percent(found[first]['value'])}), then {second} "
        f"({words.percent(found[second]['value'])}). The file does not say when."
    )


def _together_message(known: Sequence[float], contested: float) -> str:
    if not known:
        return f"Not shown in any time window: {NOBODY}."
    apart = sum(gap > contested for gap in known)
    if apart == 0:
        return (
            f"In all {len(known)} windows that have both, faces and writing could be read together."
        )
    return (
        f"In {apart} of {len(known)} windows that have both, faces and writing contradict each "
        "other: no common answer is given there. Who writes may not be who is seen."
    )


def _gap_text(gap: float | None) -> str:
    return "not shown" if gap is None else words.score(gap)


def _top(shares: Row | None) -> str:
    if shares is None:
        return "not shown"
    first = max(shares, key=lambda name: float(shares[name]["value"]))
    return f"{first} ({words.percent(shares[first]['value'])})"


def _common(pooled: Row | None, space: str) -> str:
    if pooled is None or not pooled["channels"]:
        return "not shown"
    if pooled[space] is None:
        return "they contradict each other"
    alone = {FACE: ", faces alone", TEXT: ", writing alone"}
    which = alone[pooled["channels"][0]] if len(pooled["channels"]) == 1 else ""
    return f"{_top(pooled[space])}{which}"
