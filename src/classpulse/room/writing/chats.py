"""Chats and transcripts as programs save them: Zoom, Teams, WhatsApp, WebVTT, and plain lines.

What is read of each is in docs/writing.md. Private messages are nobody else's: they are left out
and counted, as are reactions, which are no writing.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from classpulse.core.errors import InputError
from classpulse.room.writing.message import (
    EMPTY,
    PRIVATE,
    REACTION,
    Message,
    Messages,
    plain_text,
)
from classpulse.room.writing.named import check_plain, read_android, read_named, starts_android
from classpulse.room.writing.times import Moment, parse_time_at
from classpulse.text.tables import load_text

EARLY = "line before the first message"
HEAD = 300  # characters of a line in which a message may begin: hostile lines cost nothing

_DATE = r"(?:\d{4}-\d{2}-\d{2} )?"
_AT = rf"(?P<at>{_DATE}\d{{1,2}}:\d{{2}}:\d{{2}}(?:[ \u202f]?[AaPp][Mm])?)"
_ZOOM = re.compile(
    rf"{_AT}\s+From\s+(?P<author>[^:\t]+?)(?:\s+to\s+(?P<to>[^:\t]+?))?\s*:\s?", re.IGNORECASE
)
_ZOOM_TABS = re.compile(rf"{_AT}\t(?P<author>[^\t]+?):?\t")
_BRACKETS = re.compile(
    r"\[(?P<at>[^\]]*\d{1,2}:\d{2}[^\]]*)\]\s+(?P<author>[^:\t]{1,80}?)(?::\s?|$)"
)
_ANY_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?(?:\s*([AaPp][Mm]))?")
_TO_ALL = re.compile(r"\b(everyone|all|panelists|participants|attendees)\b", re.IGNORECASE)
_REACTED = re.compile(r'(reacted to ["\u201c].*|removed a .* reaction from .*)', re.IGNORECASE)
_REPLYING = re.compile(r'replying to ["\u201c].*["\u201d]\s*', re.IGNORECASE)
_SPAN = r"(?:\d{1,2}:)?\d{2}:\d{2}[.,]\d{3}"
_CUE = re.compile(rf"({_SPAN})\s+-->\s+{_SPAN}")
_CUE_ID = re.compile(r"\d{1,9}|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\S{0,40}")  # by Zoom, by Teams
_VOICE = re.compile(r"<v(?:\.[^ <>]*)? ([^<>]+)>")
_NAMED = re.compile(r"([^:]{1,60}): +(.+)", re.DOTALL)


_ANDROID = "WhatsApp on Android"
_PATTERNS = {"Zoom": _ZOOM, "Zoom with tabs": _ZOOM_TABS, "Teams": _BRACKETS}


class _Start(NamedTuple):
    """The first line of a message."""

    at: str
    author: str
    to: str | None
    text: str


def read_chat(path: Path) -> Messages:
    """Messages of a text file: a chat if its lines look like one, else a text a line.

    The form is that of the first line, for any message may quote one of another form; where the
    first line has none, that in which most messages begin.

    Raises:
        InputError: the file cannot be read or decoded, a time is none (the line is named), it
            looks like a chat in a form that is not known, or no fewer lines stand before its first
            message than there are messages.
    """
    lines = load_text(path).splitlines()
    form, begins = _find_form(lines)
    if any(begins):
        early = Counter({EARLY: _count_early(begins, lines, path)})
        chat = _read_form(form, lines, path)
        return replace(chat, left_out=chat.left_out + early)
    named = read_named(lines)
    if named is not None:
        return named
    check_plain(lines, path)
    found = [Message(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]
    return Messages(tuple(found), Counter())


def read_transcript(path: Path) -> Messages:
    """Utterances of a WebVTT transcript, by Teams (``<v Name>``) or Zoom (``Name: ...``).

    Raises:
        InputError: as `read_chat`; it is no WebVTT.
    """
    text = load_text(path)
    if not text.lstrip().startswith("WEBVTT"):
        raise InputError(f"{path} does not start with WEBVTT: give a transcript as .vtt, or a .txt")
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for line, at, body in _cues(text.splitlines()):
        voice = _VOICE.search(body)
        named = None if voice else _NAMED.fullmatch(body)
        author = voice[1] if voice else named[1] if named else None
        words = re.sub(r"<[^<>]*>", "", named[2] if named else body).strip()
        if not words:
            left_out[EMPTY] += 1
            continue
        found.append(Message(line, words, author, parse_time_at(at, path, line)))
    return Messages(tuple(found), left_out)


def read_graph(path: Path) -> Messages:
    """Messages that Microsoft Graph gives of a Teams chat: a list, or an object with ``value``.

    Raises:
        InputError: as `read_chat`; it is not such a JSON.
    """
    try:
        content = json.loads(load_text(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error})") from None
    items = content.get("value") if isinstance(content, dict) else content
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(
            f"{path}: needs a list of messages, or an object with such a list as 'value', each "
            "with 'body', 'from' and 'createdDateTime' as Microsoft Graph writes them"
        )
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for n, item in enumerate(items, start=1):
        text = plain_text(str(_deep(item, "body", "content") or ""))
        if item.get("messageType", "message") != "message" or not text:
            left_out[EMPTY] += 1
            continue
        author = _deep(item, "from", "user", "displayName")
        at = parse_time_at(str(item.get("createdDateTime", "")), path, n)
        found.append(Message(n, text, None if author is None else str(author), at))
    return Messages(tuple(found), left_out)


def _find_form(lines: list[str]) -> tuple[str, list[bool]]:
    """The form of a chat, and for every line whether a message of it begins there."""
    first = next((n for n, line in enumerate(lines) if line.strip()), None)
    found = {name: [*map(begins, lines)] for name, begins in _FORMS.items()}
    of_first = (name for name, begins in found.items() if first is not None and begins[first])
    name = next(of_first, None) or max(found, key=lambda name: sum(found[name]))
    return name, found[name]


def _read_form(name: str, lines: list[str], path: Path) -> Messages:
    if name == _ANDROID:
        return read_android(lines, path)
    starts = [(n, _start(_PATTERNS[name], line)) for n, line in enumerate(lines, start=1)]
    return _gathered(path, starts, lines)


def _count_early(begins: list[bool], lines: list[str], path: Path) -> int:
    """Lines with words before the first message.

    Args:
        begins: whether a message begins in each line; one does.

    Raises:
        InputError: they are not fewer than the messages: one of them may be a quotation.
    """
    first = begins.index(True)
    early = sum(1 for line in lines[:first] if line.strip())
    if early and early >= sum(begins):
        raise InputError(
            f"{path}, line {first + 1}: a message of a chat begins here, but {early} lines stand "
            "before the first message, so the file may be no chat: take them out, or the messages "
            "if they were copied into other texts"
        )
    return early


def _start(form: re.Pattern[str], line: str) -> _Start | None:
    plain = line.strip("\ufeff\u200e \r")
    match = form.match(plain[:HEAD])
    if match is None:
        return None
    parts = match.groupdict()
    return _Start(parts["at"], parts["author"].strip(), parts.get("to"), plain[match.end() :])


def _gathered(path: Path, starts: list[tuple[int, _Start | None]], lines: list[str]) -> Messages:
    """Each start with the lines up to the next one."""
    firsts = [(n, start) for n, start in starts if start is not None]
    ends = [n for n, _ in firsts[1:]] + [len(lines) + 1]
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for (n, start), end in zip(firsts, ends, strict=True):
        text = _REPLYING.sub("", "\n".join([start.text, *lines[n : end - 1]]).strip(), count=1)
        why = _why_left_out(start, text)
        if why is not None:
            left_out[why] += 1
            continue
        found.append(Message(n, text.strip(), start.author, _read_at(start.at, path, n)))
    return Messages(tuple(found), left_out)


def _read_at(text: str, path: Path, line: int) -> Moment:
    """The time of a start. Teams copies "Yesterday 10:02 AM": then the clock is what there is."""
    try:
        return parse_time_at(text, path, line)
    except InputError:
        clock = _ANY_CLOCK.search(text)
        if clock is None:
            raise
    plain = clock[0] if clock[1] or clock[2] else f"{clock[0]}:00"
    return parse_time_at(plain, path, line)


def _why_left_out(start: _Start, text: str) -> str | None:
    to = start.to or ""
    private = "(direct message)" in to.lower() or "(privately)" in to.lower()
    if private or (to and not _TO_ALL.search(to)):
        return PRIVATE
    if _REACTED.fullmatch(text):
        return REACTION
    return None if text.strip() else EMPTY


def _cues(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """(line, start time, text) of every cue, which ends at an empty line or where the next begins.

    A line before a time is the cue's identifier if it looks like one and the first cue has one
    too: a bare number may be what somebody said.
    """
    plain = [line.strip() for line in lines]
    times = [(n, cue) for n, line in enumerate(plain) if (cue := _CUE.match(line))]
    numbered = bool(times) and _is_cue_id(plain, times[0][0] - 1)
    nexts = [n - (numbered and _is_cue_id(plain, n - 1)) for n, _ in times[1:]]
    for (n, cue), last in zip(times, [*nexts, len(plain)], strict=True):
        at = cue[1] if cue[1].count(":") == 2 else f"0:{cue[1]}"
        yield n + 1, at, " ".join(takewhile(bool, plain[n + 1 : last]))


def _is_cue_id(lines: list[str], n: int) -> bool:
    return n > 0 and _CUE_ID.fullmatch(lines[n]) is not None


def _deep(item: dict[str, Any], *keys: str) -> Any:
    """A value inside nested objects, None where one is missing."""
    value: Any = item
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _begins(form: re.Pattern[str], line: str) -> bool:
    return _start(form, line) is not None


_FORMS: Mapping[str, Callable[[str], bool]] = {  # whether a message begins in a line
    **{name: partial(_begins, pattern) for name, pattern in _PATTERNS.items()},
    _ANDROID: starts_android,
}
