"""Text files that name who wrote, other than by meeting programs: WhatsApp on Android, `Ada: text`.

Whether the lines of a file are names and texts is judged over the whole file. What looks like a
chat and is in no known form is refused, for as plain lines its names would be read as texts and
kept with them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from classpulse.core.errors import InputError
from classpulse.room.writing.message import EMPTY, Message, Messages, name_key
from classpulse.room.writing.times import Moment, parse_time_at

FORMS = (
    "14:05:33 From Ada to Everyone: text (Zoom), [11/22/2026 2:05 PM] Ada: text (Teams, WhatsApp "
    "on iPhones), 22/11/2026, 14:05 - Ada: text (WhatsApp on Android), and Ada: text where every "
    "line has a name"
)
NEARLY_ALL = 0.9  # of the lines are Name: text, then all are read so
MANY = 0.3  # of them, then it is a chat that cannot be read
STAMPED = 0.2  # of the lines are, or begin with, a time: the same
FEWEST = 3  # lines; fewer are no chat
LONGEST = 40  # characters of a name alone on a line
EVENT = "notice of the program"

_DAY = r"(?P<a>\d{1,4})(?P<sep>[./-])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{1,4})"
_HALF = r"(?:[ \u00a0\u202f]?(?:[AaPp]\.?[ \u00a0]?[Mm]\.?))"
_ANDROID = re.compile(
    rf"{_DAY},? (?P<clock>\d{{1,2}}:\d{{2}}(?::\d{{2}})?)(?P<half>{_HALF})? [-\u2013] "
)
_QUOTES = '"\u201c-\u201f\u00ab\u00bb'  # around the name of a group, in none of a person
_AUTHOR = re.compile(rf"(?P<author>[^:{_QUOTES}]{{1,80}}?):(?:\s|$)")
_PARTICLES = frozenset(("bin", "da", "de", "del", "der", "di", "la", "van", "von"))
_NO_TEXT = re.compile(r"<[^<>]{3,40}>")  # <Media omitted>, in the language of the phone

_NAME = re.compile(r"(?P<author>[^\s:][^:\t]{0,39}?)\s?:\s+(?=\S)")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,6})?"
_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
_STAMP = rf"[\[(<]?(?:{_DATE},?\s+)?{_CLOCK}{_HALF}?[\])>]?"
_ONLY_STAMP = re.compile(rf"{_STAMP}(?:\s*(?:-->|[-,\u2013>])\s*{_STAMP})?")
_HEADS = re.compile(  # a name in front of a text, otherwise than Name: text
    r"<(?P<angles>[^<>]{1,40})>\s|(?P<tab>[^\t]{1,40})\t|(?P<dash>.{1,40}?) [-\u2013\u2014] \S"
    r"|(?P<alone>[^:]{1,40}):$"
)
_SURE = ("angles", "tab")  # no writing without names begins so: such names need not return
_STAMP_NAME = re.compile(rf"{_STAMP}\s*[-,|\u2013]?\s+(?P<author>[^:\t]{{1,60}}):(?:\s|$)")
_NAME_STAMP = re.compile(rf"(?P<author>[^:]{{1,60}}?)[\s,|]+{_STAMP}:?$")
_NO_NAME = re.compile(r"[?!;\"<>=+/\\%]|^\W*\d|^\W*$|[.,]$")  # signs that no name has
_LABELS = frozenset(  # words before a colon that are no names
    """answer answers a bad because but con cons difficult dislike easy example feedback good hard
    hint however idea less like liked minus more negative no note okay ok part plus point positive
    pro problem pros q question questions result reason so start step stop task therefore tip topic
    why yes""".split()
)


class _Head(NamedTuple):
    """The first line of a WhatsApp message: its parts, and where the text begins."""

    match: re.Match[str]
    author: str | None
    text: str


def read_android(lines: Sequence[str], path: Path) -> Messages:
    """Messages of a chat that WhatsApp exported on Android; one begins somewhere in the lines.

    What stands without a name (somebody joined, a call) is a notice of the program.

    Raises:
        InputError: a time is none, or the order of day and month is not the same in all lines.
    """
    heads = [(n, head) for n, line in enumerate(lines, start=1) if (head := _android(line))]
    times = _android_times([(n, head.match) for n, head in heads], path)
    ends = [n for n, _ in heads[1:]] + [len(lines) + 1]
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for (n, head), end, at in zip(heads, ends, times, strict=True):
        text = "\n".join([head.text, *lines[n : end - 1]]).strip()
        if head.author is None:
            left_out[EVENT] += 1
        elif not text or _NO_TEXT.fullmatch(text):
            left_out[EMPTY] += 1
        else:
            found.append(Message(n, text, head.author, at))
    return Messages(tuple(found), left_out)


def read_named(lines: Sequence[str]) -> Messages | None:
    """Messages of lines that are nearly all ``Name: text``, where names return; else None.

    A line without a name goes on with the text before it.
    """
    written = [(n, line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]
    parts = [(n, line, _split_name(line)) for n, line in written]
    names = [part[0] for _, _, part in parts if part is not None]
    nearly_all = len(names) >= max(NEARLY_ALL * len(parts), FEWEST)
    if not nearly_all or 2 * len({*map(name_key, names)}) > len(names) or parts[0][2] is None:
        return None
    found: list[Message] = []
    for n, line, part in parts:
        if part is not None:
            found.append(Message(n, part[1], part[0]))
        else:
            found[-1] = replace(found[-1], text=f"{found[-1].text}\n{line}")
    return Messages(tuple(found), Counter())


def check_plain(lines: Sequence[str], path: Path) -> None:
    """Refuse lines that look like a chat with names in no form that is known.

    Raises:
        InputError: many lines have a name or a time in front, or are a name or a time alone; or
            all have a name in front, be there two lines only.
    """
    plain = [line.strip() for line in lines if line.strip()]
    parts = [_split_name(line) for line in plain]
    named = [part is not None and _is_name(part[0]) for part in parts]
    stamped = sum(_is_stamped(i, plain, named) for i in range(len(plain)))
    most = max(sum(named), _count_heads(plain), _count_above(plain))
    is_chat = most >= max(MANY * len(plain), FEWEST) or (len(plain) > 1 and all(named))
    if is_chat or stamped >= max(STAMPED * len(plain), 2):
        raise InputError(
            f"{path} looks like a chat with names, in a form that is not known: as a text a line "
            f"its names would be read and kept. Forms that are read: {FORMS}. Bring it into one "
            "of them, or give a table (.csv) with the columns author, time and text; lines that "
            "hold no names go into a .csv with the column text alone"
        )


def starts_android(line: str) -> bool:
    """Whether a message, or a notice, of such a chat begins in this line."""
    return _android(line) is not None


def _android(line: str) -> _Head | None:
    plain = line.strip("\ufeff\u200e\u200f \r")
    match = _ANDROID.match(plain)
    if match is None:
        return None
    rest = plain[match.end() :]
    author = _AUTHOR.match(rest)
    if author is None:
        return _Head(match, None, rest)
    return _Head(match, author["author"].strip(), rest[author.end() :])


def _android_times(heads: Sequence[tuple[int, re.Match[str]]], path: Path) -> list[Moment]:
    """Times in the order of day and month that the whole file allows.

    Where both orders are dates, the one in which time does not run backwards; where that holds for
    both, with AM/PM the month stands first and without the day, as in `times`.
    """
    usual = (True, False) if heads[0][1]["half"] else (False, True)
    found: list[list[Moment]] = []
    errors: list[InputError] = []
    for month_first in usual:
        try:
            times = [_android_time(n, m, path, month_first=month_first) for n, m in heads]
        except InputError as wrong:
            errors.append(wrong)
            continue
        if times == sorted(times):
            return times
        found.append(times)
    if not found:
        raise errors[0]
    return found[0]


def _android_time(n: int, match: re.Match[str], path: Path, *, month_first: bool) -> Moment:
    a, b, c = match["a"], match["b"], match["c"]
    if len(a) == 4:
        year, month, day = a, b, c
    else:
        year = c if len(c) == 4 else f"20{c:0>2}"
        month, day = (a, b) if month_first else (b, a)
    half = re.sub(r"[^apm]", "", (match["half"] or "").lower())
    clock = parse_time_at(
        match["clock"] + half if half or match["clock"].count(":") == 2 else f"{match['clock']}:00",
        path,
        n,
    ).seconds
    date = parse_time_at(f"{year}-{month:0>2}-{day:0>2}T00:00:00", path, n)
    return Moment(date.seconds + clock, dated=True)


def _split_name(line: str) -> tuple[str, str] | None:
    """(name, text) of a line that has what may be a name in front, else None."""
    match = _NAME.match(line)
    if match is None:
        return None
    who = match["author"].strip()
    words = who.split()
    if words[0].casefold() in _LABELS or not (len(words) == 1 or _is_name(who)):
        return None
    return (who, line[match.end() :]) if _NO_NAME.search(who) is None else None


def _is_name(who: str) -> bool:
    """Whether there are few words and none but a particle begins with a small letter."""
    words = [word for word in who.split() if word not in _PARTICLES]
    return 1 <= len(words) <= 4 and not any(word[0].islower() for word in words)


def _may_be_name(text: str) -> bool:
    """Whether a whole piece of a line may be a name; words that are no names are none."""
    words = text.split()
    if not words or ":" in text or words[0].casefold() in _LABELS:
        return False
    return _is_name(text) and _NO_NAME.search(text) is None


def _count_heads(lines: Sequence[str]) -> int:
    """How many lines begin with a name that is set apart otherwise than by a colon: in <...> or
    before a tab, or a name that returns before a dash or, with a colon, alone."""
    found: list[tuple[str, str]] = []
    for line in lines:
        match = _HEADS.match(line[:120])
        form = match.lastgroup if match else None
        if match and form and _may_be_name(who := match[form].strip(" :")):
            found.append((form, name_key(who)))
    times = Counter(found)
    return sum(n for (form, _), n in times.items() if form in _SURE or n > 1)


def _count_above(lines: Sequence[str]) -> int:
    """How many lines are a name alone above a text.

    The first line is one, they return, and between two names there always is a text: in a list of
    short answers, equal ones also follow each other.
    """
    known = {name_key(line) for line in lines if len(line) <= LONGEST and _may_be_name(line)}
    keys = [name_key(line) for line in lines]
    times = Counter(key for key in keys if key in known)
    names = [times[key] > 1 for key in keys]
    apart = not any(one and other for one, other in pairwise([*names, True]))
    return sum(names) if apart and keys and keys[0] in known else 0


def _is_stamped(i: int, lines: Sequence[str], named: Sequence[bool]) -> bool:
    """Whether line `i` has a time beside a name: in one line, or a time alone next to a name."""
    line = lines[i]
    for form in (_STAMP_NAME, _NAME_STAMP):
        match = form.match(line[:120])
        if match and _is_name(match["author"]) and _NO_NAME.search(match["author"]) is None:
            return True
    if not _ONLY_STAMP.fullmatch(line[:80]):
        return False
    after = i + 1 < len(lines) and named[i + 1]
    before = i > 0 and _is_name(lines[i - 1]) and _NO_NAME.search(lines[i - 1]) is None
    return after or before
