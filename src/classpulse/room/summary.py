"""The summary of a session: what `summary.json` holds and the report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import classpulse
from classpulse.core.card import Card
from classpulse.core.records import Aggregate, Interval, Report
from classpulse.engage.fusion_weights import FusionWeights
from classpulse.engage.windows import WindowAggregator, WindowSummary
from classpulse.room.channels import Collected, FaceChannel, TextChannel
from classpulse.room.privacy import Privacy
from classpulse.room.table import FACE, TEXT
from classpulse.room.together import pool_channels
from classpulse.room.writing.reader import text_heads

FORMAT = 5  # of summary.json; docs/privacy.md says what n and people are

SUBJECT_CAVEAT = (
    "A subject is a face followed through the picture. Someone who leaves and comes back is "
    "another subject{in_the_means}."
)
GROUP_CAVEAT = " The smallest group counts only faces that one picture shows together."
CAVEATS = (  # where expressions are read
    "An expression is what a face shows, not what a person feels: the same face can mean many "
    "things, and people differ.",
    "Engagement here is a weighted sum of expression probabilities that was chosen, not fitted to "
    "learning; it must not be used to grade, rank or discipline anyone.",
    "The network was trained on web pictures of mostly adult faces; how well it reads {whom} has "
    "not been measured.",
)
STATE_CAVEAT = (
    "Learning states are named only for faces that look neutral, sad or angry: the votes they were "
    "learned from say nothing about a smiling or surprised face."
)
NEGATION = (
    'The model often misses "not" and "any more": in a test with sentences such as "I am not '
    'scared any more", more than half were read as the feeling that they deny.'
)
TEXT_CAVEATS = (
    "What somebody writes is not what they feel: irony, quotations and jokes are read as they "
    "stand, and most of a class writes nothing.",
    NEGATION,
    "The network learned from adults' reports, television dialogues and posts of a web forum; how "
    "well it reads pupils, learners of English or your class's slang has not been measured.",
)
NAMELESS = (
    "The file does not say who wrote what, and one person may have written every text without a "
    "name: the smallest group counts the names only. A number of writers can be stated with "
    "--writers."
)
STATED = (
    "The file does not say who wrote what: every text without a name counts as one person's in the "
    "means. That {n} people wrote was stated by whoever ran this session."
)
VOUCHED = (
    "That this session shows one person, {who}, was stated by whoever ran it. Faces "
    "are not recognized: {n} followed one after the other may be one person's or not."
)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """Facts of one session.

    Args:
        id: identifier; source: name of the source without folders or credentials.
        created: ISO time of the analysis; duration: seconds analyzed.
        every: seconds between analyzed frames, 0 of a session without pictures.
        window: seconds per window; window_why: how that was chosen, see `room.window`.
        complete: False when the run was interrupted.
    """

    id: str
    source: str
    created: str
    duration: float
    every: float
    window: float
    window_why: str
    complete: bool


def build_summary(
    info: SessionInfo,
    collected: Mapping[str, Collected],
    *,
    face: FaceChannel | None,
    text: TextChannel | None,
    privacy: Privacy,
    fusion: FusionWeights | None = None,
) -> dict[str, Any]:
    """The content of `summary.json`, group sizes enforced.

    Args:
        collected: of both channels, by name; that of one that is not read is empty.
        face, text: what was read.
        fusion: fitted weights of the two, None for those of their cards.

    Raises:
        ShapeError: an aggregate would show fewer subjects than the rules allow.
    """
    shown: list[Aggregate] = []
    faces = _face_part(face, collected[FACE], info, shown)
    writing = None if text is None else _text_part(text, collected[TEXT], info, shown)
    caveats = _caveats(face, text, privacy, subjects=len(collected[FACE].tally.subjects))
    report = Report(info.id, 0.0, info.duration, privacy.group, tuple(shown), caveats)
    return {
        "format": FORMAT,
        "classpulse": classpulse.__version__,
        "session": {
            **asdict(info),
            "channels": [*([FACE] if face else []), *([TEXT] if text else [])],
            "frames": collected[FACE].tally.frames,
            "profile": privacy.profile,
            "profile_text": privacy.rules.text,
            "k": privacy.group,
            "single_subject": privacy.single_subject,
            "consent": privacy.consent,
        },
        **faces,
        "writing": writing,
        "together": _together(faces, writing, face, text, fusion),
        "notice": None,
        "caveats": list(report.caveats),
    }


def _caveats(
    face: FaceChannel | None, text: TextChannel | None, privacy: Privacy, *, subjects: int
) -> tuple[str, ...]:
    found = [*(_face_caveats(face, privacy) if face else ()), *(TEXT_CAVEATS if text else ())]
    if face and "state" in (head.name for head in face.heads):
        found.append(STATE_CAVEAT)
    if face and privacy.alone:
        who = "who has consented" if privacy.single_subject else "themselves"
        found.append(VOUCHED.format(who=who, n=subjects))
    if text and not text.posts.named:
        stated = text.posts.writers
        found.append(NAMELESS if stated is None else STATED.format(n=stated))
    return tuple(found)


def _face_caveats(face: FaceChannel, privacy: Privacy) -> list[str]:
    """What holds of faces in this session: of what was read, and of a group or of one person."""
    read = face.card is not None
    followed = SUBJECT_CAVEAT.format(in_the_means=" in the means" if read else "")
    if read and not privacy.single_subject:
        followed += GROUP_CAVEAT
    whom = "children, or this person," if privacy.alone else "children, or any group of your class,"
    told = [text.format(whom=whom) for text in CAVEATS] if read else []
    return [*told, followed]


def _face_part(
    face: FaceChannel | None, found: Collected, info: SessionInfo, shown: list[Aggregate]
) -> dict[str, Any]:
    card = face.card if face else None
    spaces = {h.name: list(h.label_space.names) for h in face.heads} if face else {}
    return {
        "model": None if card is None else _model(card),
        "detector": face.detector if face else None,
        "preset": face.preset if face else None,
        "spaces": spaces,
        "counts": found.tally.to_dict(),
        **_rows(found.windows, info, tuple(spaces), shown),
    }


def _text_part(
    text: TextChannel, found: Collected, info: SessionInfo, shown: list[Aggregate]
) -> dict[str, Any]:
    heads = {head.name: head for head in text_heads(text.model.card)}
    counts = found.tally.to_dict()
    rows = _rows(found.windows, info, tuple(heads), shown)
    return {
        "model": _model(text.model.card),
        "source": text.source,
        "timed": text.posts.timed,
        "named": text.posts.named,
        "stated_writers": text.posts.writers,
        "spaces": {name: list(head.label_space.names) for name, head in heads.items()},
        "counts": {
            "texts": counts["readings"],
            "abstained": counts["abstained"],
            "writers": counts["subjects"],
            "reasons": counts["reasons"],
            "left_out": dict(text.posts.left_out),
        },
        "overall": rows["overall"],
        "windows": rows["windows"] if text.posts.timed else [],
    }


def _together(
    faces: Mapping[str, Any],
    writing: Mapping[str, Any] | None,
    face: FaceChannel | None,
    text: TextChannel | None,
    fusion: FusionWeights | None,
) -> dict[str, Any] | None:
    if face is None or face.card is None or text is None or writing is None:
        return None
    return pool_channels(faces, writing, face=face.card, text=text.model.card, weights=fusion)


def _rows(
    windows: WindowAggregator, info: SessionInfo, heads: Sequence[str], shown: list[Aggregate]
) -> dict[str, Any]:
    """`overall` and `windows`; their aggregates are added to `shown`."""
    overall = windows.overall(end=info.duration)
    parts = windows.windows(end=info.duration)
    shown.extend(a for part in (overall, *parts) for a in part.aggregates)
    return {
        "overall": _window(overall, heads),
        "windows": [_window(part, heads) for part in parts],
    }


def _model(card: Card) -> dict[str, Any]:
    full = asdict(card)
    return {
        **{key: full[key] for key in ("name", "sha256", "summary", "gate")},
        **{key: list(full[key]) for key in ("metrics", "limits")},
    }


def _window(part: WindowSummary, heads: Sequence[str]) -> dict[str, Any]:
    by_name = {a.name: a for a in part.aggregates}
    gauge = by_name.get("engagement")
    # of a hidden quantity not even how many count in it: in a small group that would tell a label
    counted = {
        a.name.partition(":")[0]: {"n": a.n, "people": a.people} for a in part.aggregates if a.value
    }
    return {
        "t0": part.t0,
        "t1": part.t1,
        "n": part.n,
        "people": part.people,
        "counted": counted,
        "present": round(part.present, 3),
        "readings": part.readings,
        "abstained": part.abstained,
        "engagement": _interval(gauge.value) if gauge and gauge.value else None,
        **{head: _shares(by_name, head) for head in heads},
    }


def _shares(aggregates: Mapping[str, Aggregate], head: str) -> dict[str, Any] | None:
    prefix = f"{head}:"
    shares = {
        name.removeprefix(prefix): _interval(a.value)
        for name, a in aggregates.items()
        if name.startswith(prefix) and a.value
    }
    return shares or None


def _interval(value: Interval) -> dict[str, float]:
    return {key: round(number, 4) for key, number in asdict(value).items()}
