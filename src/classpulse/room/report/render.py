"""`summary.json` -> one HTML file that a teacher understands; no network, no script.

The page says what was seen, what it does not mean and how it was made. `sections` builds the
charts of a `lesson`, `charts` draws them, `words` spells numbers, `template.html.j2` and
`style.css` are the page. The result depends on the summary alone: no clock, no random ids.
"""

from collections.abc import Mapping
from typing import Any

from classpulse.core.errors import InputError
from classpulse.page import Card, Table, build_environment
from classpulse.room.report import words
from classpulse.room.report.lesson import Lesson, Row, Section, shown
from classpulse.room.report.sections import (
    build_abstentions,
    build_engagement,
    build_presence,
    build_shares,
)

SUMMARY_FORMAT = 1
KEYS = (
    "classpulse",
    "session",
    "model",
    "detector",
    "spaces",
    "counts",
    "overall",
    "windows",
    "caveats",
)
NEVER = (
    (
        "Not what anyone feels, thinks or has learned.",
        "A quiet, serious face may belong to a child who is deep in thought, and a smile to one "
        "who is lost.",
    ),
    (
        "Nothing about one person.",
        "Do not use it for grades, reports, discipline or parents' evenings, and not to assess a "
        "teacher.",
    ),
    (
        "Not why something changed.",
        "A film, a noise in the corridor or the sun on the camera can all move a line.",
    ),
    (
        "Small ups and downs mean nothing.",
        "Where the shaded bands overlap, the difference may be chance. In many windows some will "
        "stand out by chance alone.",
    ),
    (
        "Not shown does not mean zero.",
        "It means that the group was too small, or the faces too unclear, to say anything.",
    ),
    (
        "No comparison of classes, teachers or rooms.",
        "Light, seats and cameras change the numbers, and such programs are known to read some "
        "faces less well than others (by age, skin tone, culture, disability or covering).",
    ),
)


def render_report(summary: Mapping[str, Any]) -> str:
    """The report of one session as a complete HTML page.

    Args:
        summary: content of `summary.json`, format 1. Times in seconds, shares in [0, 1].

    Raises:
        InputError: another format, or a part is missing.
    """
    _check(summary)
    page = build_environment("classpulse.room.report").get_template("template.html.j2")
    return page.render(_context(summary)) + "\n"


def _check(summary: Mapping[str, Any]) -> None:
    if summary.get("format") != SUMMARY_FORMAT:
        raise InputError(
            f"the summary has format {summary.get('format')!r}, this version reads "
            f"{SUMMARY_FORMAT}: run the session again or update classpulse"
        )
    missing = [key for key in KEYS if key not in summary]
    if missing:
        raise InputError(f"the summary lacks {', '.join(missing)}: run the session again")


def _context(summary: Mapping[str, Any]) -> dict[str, Any]:
    session, counts = summary["session"], summary["counts"]
    lesson = Lesson(_clipped_windows(summary), summary["overall"], session["k"])
    empty = _empty_message(summary)
    return {
        "version": summary["classpulse"],
        "session": session,
        "lead": _lead(summary),
        "facts": _facts(session, counts),
        "few": words.few(session["k"]),
        "analyzed": words.duration(summary["overall"]["t1"]),
        "estimates": summary["model"] is not None,
        "empty": empty,
        "cards": [] if counts["sightings"] == 0 else _cards(summary, lesson),
        "sections": [] if empty else _sections(summary, lesson),
        "time_unit": lesson.time_unit if lesson.rows else "",
        "never": NEVER,
        "caveats": summary["caveats"],
        "made": _made(summary),
        "model": summary["model"],
        "metrics": _metrics(summary["model"]) if summary["model"] else None,
        "hits": _hits(summary["model"]) if summary["model"] else [],
    }


def _empty_message(summary: Mapping[str, Any]) -> str:
    """A friendly sentence if there is nothing to draw, otherwise empty."""
    if summary["counts"]["sightings"] == 0:
        return (
            "No faces were found in this recording, so there is nothing to show. Faces may be too "
            "far away, turned from the camera or in the dark: a closer camera at eye level and "
            "light from the front usually help."
        )
    if not summary["windows"]:
        return "The recording was too short for a single time window, so there are no charts."
    return ""


def _clipped_windows(summary: Mapping[str, Any]) -> list[Row]:
    """The windows, the last one cut where the analysis ended: an axis must not outlive it."""
    end = summary["overall"]["t1"]
    return [{**row, "t1": min(row["t1"], max(end, row["t0"]))} for row in summary["windows"]]


def _lead(summary: Mapping[str, Any]) -> str:
    session = summary["session"]
    looked = words.plural(session["frames"], "picture", "pictures")
    length = words.duration(summary["overall"]["t1"] - summary["overall"]["t0"])
    faces = summary["counts"]["subjects"]
    seen = words.plural(faces, "face", "faces") if faces else "no faces"
    return (
        f"ClassPulse looked at {length} of the recording, one picture every "
        f"{words.duration(session['every'])}: {looked} in all. It followed {seen}."
    )


def _facts(session: Mapping[str, Any], counts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Recording", session["source"]),
        ("Analyzed on", words.moment(session["created"])),
        ("Length", words.duration(session["duration"])),
        ("Faces followed", words.count(counts["subjects"])),
        ("Consent", session["consent"] or "no reference recorded"),
    ]


def _cards(summary: Mapping[str, Any], lesson: Lesson) -> list[Card]:
    counts, overall = summary["counts"], summary["overall"]
    cards = [_presence_card(overall, counts)]
    if summary["model"] is None:
        return cards
    cards.insert(0, _engagement_card(overall, lesson))
    said = counts["readings"] - counts["abstained"]
    if counts["readings"]:
        cards.append(
            Card(
                "Readable faces",
                words.percent(said / counts["readings"]),
                f"{words.count(said)} of {words.count(counts['readings'])} looks at a face; "
                "otherwise the program said nothing.",
            )
        )
    if lesson.rows:
        seen = sum(shown(row, "engagement", lesson.k) is not None for row in lesson.rows)
        cards.append(
            Card(
                "Time windows shown",
                f"{seen} of {len(lesson.rows)}",
                f"Each is up to {words.duration(summary['session']['window'])} long. A window with "
                f"{words.few(lesson.k)} is not shown.",
            )
        )
    return cards


def _presence_card(overall: Row, counts: Mapping[str, Any]) -> Card:
    return Card(
        "Faces in view",
        words.mean_count(overall["present"]),
        f"on average per picture, {words.count(counts['subjects'])} followed in all. A face that "
        "leaves and returns may count twice.",
    )


def _engagement_card(overall: Row, lesson: Lesson) -> Card:
    one = shown(overall, "engagement", lesson.k)
    if one is None:
        return Card("Engagement", "not shown", f"Reason: {lesson.why_hidden([overall])}.")
    return Card(
        "Engagement",
        words.score(one["value"]),
        f"on a scale from 0 to 1; {words.INTERVAL} {words.score_interval(one)}, "
        f"{words.plural(overall['n'], 'person', 'people')}.",
        (100 * one["low"], 100 * one["value"], 100 * one["high"]),
    )


def _sections(summary: Mapping[str, Any], lesson: Lesson) -> list[Section]:
    sections = []
    if summary["model"] is not None:
        spaces = summary["spaces"]
        sections = [
            build_engagement(lesson),
            build_shares(lesson, "state", spaces["state"], "Learning states"),
            build_shares(lesson, "emotion", spaces["emotion"], "Facial expressions"),
        ]
    sections.append(build_presence(lesson))
    if summary["model"] is not None and summary["counts"]["readings"]:
        sections.append(build_abstentions(lesson, summary["counts"]))
    return sections


def _made(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    session, model = summary["session"], summary["model"]
    k = session["k"]
    return [
        ("Finding faces", summary["detector"]),
        ("Reading faces", f"{model['name']}: {model['summary']}" if model else "not done"),
        ("Pictures analyzed", f"one every {words.duration(session['every'])}"),
        ("Time window", words.duration(session["window"])),
        ("Smallest group shown", words.plural(k, "person", "people")),
        ("Legal profile", session["profile"]),
        ("Session", session["id"]),
        ("Program", f"ClassPulse {summary['classpulse']}"),
        *((("Model file (SHA-256)", model["sha256"]),) if model else ()),
    ]


def _metrics(model: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            f"{words.label(one['name'])} ({one['head']})",
            words.score(one["value"]),
            words.score_interval(one),
            words.count(one["n"]),
            one["data"],
        )
        for one in model["metrics"]
    )
    columns = ("Measure (output)", "Value", words.INTERVAL, "Test faces", "Test data")
    return Table("How well the model does on faces it has never seen", columns, rows)


def _hits(model: Mapping[str, Any]) -> list[str]:
    """Accuracy in words: a share of 100 faces says more than two decimals."""
    return [
        f"On {one['data']} the {one['head']} output was right for about "
        f"{round(100 * one['value'])} of 100 faces."
        for one in model["metrics"]
        if one["name"] == "accuracy"
    ]
