"""`summary.json` -> one HTML file that a teacher understands; no network, no script.

The page says what was seen, what it does not mean and how it was made. `sections` builds the
charts of a `lesson`, `charts` draws them, `words` spells numbers, `template.html.j2` and
`style.css` are the page. The result depends on the summary alone: no clock, no random ids.
"""

from collections.abc import Mapping
from typing import Any

from classpulse.core.errors import InputError
from classpulse.page import Card, build_environment
from classpulse.room.heads import VOTES, told_heads
from classpulse.room.report import words
from classpulse.room.report.lesson import Lesson, Row, Section, fill_gaps, shown
from classpulse.room.report.model import describe_model
from classpulse.room.report.sections import (
    build_abstentions,
    build_engagement,
    build_presence,
    build_shares,
)
from classpulse.room.report.writing import build_together, build_writing, writing_cards
from classpulse.room.summary import FORMAT
from classpulse.room.table import FACE
from classpulse.room.window import GIVEN, LENGTH, WRITERS

KEYS = (
    "classpulse",
    "session",
    "model",
    "detector",
    "spaces",
    "counts",
    "overall",
    "windows",
    "writing",
    "together",
    "notice",
    "caveats",
)
HEADINGS = {
    "state": "Learning states",
    "emotion": "Facial expressions",
    VOTES: "Facial expressions",
}
NO_PERSON = (
    "Nothing about one person.",
    "Do not use it for grades, reports, discipline or parents' evenings, and not to assess a "
    "teacher.",
)
COUNTED_ONLY = (  # where nothing is read
    NO_PERSON,
    (
        "Not who was there.",
        "A face that leaves and returns may count twice, and one that is turned away or covered "
        "may not count at all.",
    ),
)
NEVER = (  # heading, what follows for every report, for faces, for writing
    (
        "Not what anyone feels, thinks or has learned.",
        "",
        "A quiet, serious face may belong to a child who is deep in thought, and a smile to one "
        "who is lost.",
        "A cheerful line may hide a worry, and most of those who are lost write nothing.",
    ),
    (*NO_PERSON, "", ""),
    (
        "Not why something changed.",
        "",
        "A film, a noise in the corridor or the sun on the camera can all move a line.",
        "A joke that everybody answers can move a line.",
    ),
    (
        "Small ups and downs mean nothing.",
        "Where the shaded bands overlap, the difference may be chance. In many windows some will "
        "stand out by chance alone.",
        "",
        "",
    ),
    (
        "Not shown does not mean zero.",
        "It means that what was read was too unclear, or of too few people, to say anything.",
        "",
        "",
    ),
    (
        "No comparison of classes, teachers or rooms.",
        "",
        "Light, seats and cameras change the numbers, and such programs are known to read some "
        "faces less well than others (by age, skin tone, culture, disability or covering).",
        "Tasks and habits change how people write, and such programs read some ways of writing "
        "less well than others (by age, first language or dialect).",
    ),
)


def render_report(summary: Mapping[str, Any]) -> str:
    """The report of one session as a complete HTML page.

    Args:
        summary: content of `summary.json`. Times in seconds, shares in [0, 1].

    Raises:
        InputError: another format, or a part is missing.
    """
    _check(summary)
    page = build_environment("classpulse.room.report").get_template("template.html.j2")
    return page.render(_context(summary)) + "\n"


def _check(summary: Mapping[str, Any]) -> None:
    if summary.get("format") != FORMAT:
        raise InputError(
            f"the summary has format {summary.get('format')!r}, this version reads "
            f"{FORMAT}: run the session again or update classpulse"
        )
    missing = [key for key in KEYS if key not in summary]
    if missing:
        raise InputError(f"the summary lacks {', '.join(missing)}: run the session again")


def _context(summary: Mapping[str, Any]) -> dict[str, Any]:
    session, writing = summary["session"], summary["writing"]
    lesson = Lesson(summary["windows"], summary["overall"], session["k"])
    faces = FACE in session["channels"]
    empty = _empty_message(summary) if faces else ""
    rows = lesson.rows if faces else fill_gaps(writing["windows"], session["duration"])
    timed = faces or bool(writing["windows"])
    clock = Lesson(rows, summary["overall"], session["k"]) if rows and timed else None
    models = [summary["model"], writing and writing["model"]]
    return {
        "version": summary["classpulse"],
        "session": session,
        "faces": faces,
        "writing": writing,
        "lead": _lead(summary),
        "facts": _facts(summary),
        "few": words.few(session["k"]),
        "analyzed": words.duration(session["duration"]),
        "estimates": summary["model"] is not None,
        "empty": empty,
        "cards": _all_cards(summary, lesson),
        "sections": _sections(summary, lesson, faces=faces and not empty),
        "time_unit": clock.time_unit if clock else "",
        "never": _never(faces=summary["model"] is not None, writing=bool(writing)),
        "notice": summary["notice"],
        "caveats": summary["caveats"],
        "made": _made(summary),
        "models": [describe_model(model) for model in models if model],
    }


def _never(*, faces: bool, writing: bool) -> list[tuple[str, str]]:
    """What not to conclude, as far as it concerns what was read."""
    if not faces and not writing:
        return list(COUNTED_ONLY)
    return [
        (head, " ".join((all_, of_faces if faces else "", of_writing if writing else "")).strip())
        for head, all_, of_faces, of_writing in NEVER
    ]


def _all_cards(summary: Mapping[str, Any], lesson: Lesson) -> list[Card]:
    cards = _cards(summary, lesson) if summary["counts"]["sightings"] else []
    return cards + (writing_cards(summary["writing"], lesson.k) if summary["writing"] else [])


def _empty_message(summary: Mapping[str, Any]) -> str:
    """A friendly sentence if there is nothing to draw of faces, otherwise empty."""
    if summary["counts"]["sightings"] == 0:
        return (
            "No faces were found in this recording, so there is nothing to show of them. Faces may "
            "be too far away, turned from the camera or in the dark: a closer camera at eye level "
            "and light from the front usually help."
        )
    if not summary["windows"]:
        return "The recording was too short for a single time window, so there are no charts."
    return ""


def _lead(summary: Mapping[str, Any]) -> str:
    session, writing = summary["session"], summary["writing"]
    said = []
    if FACE in session["channels"]:
        looked = words.plural(session["frames"], "picture", "pictures")
        length = words.duration(summary["overall"]["t1"] - summary["overall"]["t0"])
        faces = summary["counts"]["subjects"]
        seen = words.plural(faces, "face", "faces") if faces else "no faces"
        said.append(
            f"ClassPulse looked at {length} of the recording, one picture every "
            f"{words.duration(session['every'])}: {looked} in all. It followed {seen}."
        )
    if writing:
        read = words.plural(writing["counts"]["texts"], "text", "texts")
        said.append(f"{'It' if said else 'ClassPulse'} read {read} of {writing['source']}.")
    return " ".join(said)


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    session, writing = summary["session"], summary["writing"]
    faces = FACE in session["channels"]
    return [
        ("Recording" if faces else "Writing", session["source"]),
        *((("Writing", writing["source"]),) if writing and faces else ()),
        ("Analyzed on", words.moment(session["created"])),
        *((("Length", words.duration(session["duration"])),) if session["duration"] else ()),
        *((("Faces followed", words.count(summary["counts"]["subjects"])),) if faces else ()),
        *((("Texts read", words.count(writing["counts"]["texts"])),) if writing else ()),
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
        why = f"Reason: {lesson.why_hidden([overall])}."
        return Card("Engagement", "not shown", why, quiet=True)
    return Card(
        "Engagement",
        words.score(one["value"]),
        f"on a scale from 0 to 1; {words.INTERVAL} {words.score_interval(one)}, "
        f"{_group(overall['counted']['engagement'])}.",
        (100 * one["low"], 100 * one["value"], 100 * one["high"]),
    )


def _group(counted: Mapping[str, int]) -> str:
    """Whom a mean over faces is of."""
    people = words.plural(counted["people"], "person", "people")
    if counted["n"] == counted["people"]:
        return people
    return f"at least {people}, {words.plural(counted['n'], 'face', 'faces')} followed"


def _sections(summary: Mapping[str, Any], lesson: Lesson, *, faces: bool) -> list[Section]:
    sections = _face_sections(summary, lesson) if faces else []
    if summary["together"] and faces:
        sections.append(build_together(lesson, summary))
    if summary["writing"]:
        end = summary["session"]["duration"]
        sections += build_writing(summary["writing"], lesson.k, end=end)
    return sections


def _face_sections(summary: Mapping[str, Any], lesson: Lesson) -> list[Section]:
    sections = []
    if summary["model"] is not None:
        spaces = summary["spaces"]
        sections = [
            build_engagement(lesson),
            *(
                build_shares(lesson, head, spaces[head], HEADINGS.get(head, words.label(head)))
                for head in told_heads(spaces)
            ),
        ]
    sections.append(build_presence(lesson))
    if summary["model"] is not None and summary["counts"]["readings"]:
        sections.append(build_abstentions(lesson, summary["counts"]))
    return sections


def _made(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    session, model, writing = summary["session"], summary["model"], summary["writing"]
    both = summary["together"]
    reader = writing and writing["model"]
    timed = FACE in session["channels"] or writing["timed"]
    faces = (
        ("Finding faces", summary["detector"]),
        ("Reading faces", f"{model['name']}: {model['summary']}" if model else "not done"),
        ("Pictures analyzed", f"one every {words.duration(session['every'])}"),
    )
    return [
        *(faces if FACE in session["channels"] else ()),
        *((("Reading texts", f"{reader['name']}: {reader['summary']}"),) if reader else ()),
        *((("Time window", _window_text(session)),) if timed else ()),
        *((("Faces and writing weighed by", both["weights"]),) if both else ()),
        ("Smallest group shown", words.plural(session["k"], "person", "people")),
        ("Legal profile", session["profile"]),
        ("Session", session["id"]),
        ("Program", f"ClassPulse {summary['classpulse']}"),
        *((("Face model file (SHA-256)", model["sha256"]),) if model else ()),
        *((("Text model file (SHA-256)", reader["sha256"]),) if reader else ()),
    ]


def _window_text(session: Mapping[str, Any]) -> str:
    """The length of a window, and how it was chosen."""
    people = words.plural(session["k"], "person", "people")
    why = {
        GIVEN: "as asked for",
        LENGTH: "chosen from the length of the session",
        WRITERS: f"the shortest in which {people} write in half of the windows or more",
    }
    return f"{words.duration(session['window'])}: {why[session['window_why']]}"
