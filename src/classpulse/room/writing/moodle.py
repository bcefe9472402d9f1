"""Tables in which Moodle writes a row for a person and a column for each question.

Two are known by their headers, as Moodle in English writes them: the Responses report of a quiz
(its ``mod/quiz/report/responses``) and the responses of a feedback (``mod/feedback``), which may be
anonymous. Neither says which questions are open, so every answer with words is a text.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.room.writing.message import EMPTY, Message, Messages, plain_text
from classpulse.room.writing.times import Moment, parse_time_at
from classpulse.text.tables import Table

BARE = "number or letter"
BLANK = ("", "-")  # no answer, or no time

# Newer versions of Moodle have other words for the same columns.
STATE = ("state", "status")
STARTED = ("started on", "started")
COMPLETED = ("completed",)
NAMES = (("first name",), ("last name", "surname"))
FULL_NAME = ("full name", "user full name")
NUMBERED = ("response number",)  # of an anonymous feedback: who it is, without name and date
COURSE = ("course",)  # of whoever answers a feedback of the whole site

_RESPONSE = re.compile(r"response \S+")  # a question's number may be 1a
_BARE = re.compile(  # :D is no letter
    r"(?![:;=])\W*[^\W\d_]\W*|[-+\u2212]?\d[\d.,'\s]*(?:e[-+]?\d+)?%?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the columns of such a table are for, by their headers.

    Args:
        texts: answers to a question each.
        names: the writer, put together with spaces; a row without is somebody of its own.
        times: the first that is filled in counts; none where the table has no times.
        escaped: whether a sign of HTML is written as ``&lt;``, as a feedback does.
    """

    texts: tuple[str, ...]
    names: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    escaped: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.texts, *self.names, *self.times)))


def find_answers(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> Answers | None:
    """What is what in a table of Moodle, or None where the header is that of another table.

    Args:
        columns: what was chosen, as in `tables.read_table`: a ``text`` is the one question to read,
            with an ``author`` or a ``time`` the table is read like any other.

    Raises:
        InputError: a quiz without responses, or a feedback without questions.
    """
    if not set(columns) <= {"text"}:
        return None
    found = _find_quiz(path, header) or _find_feedback(path, header)
    if found is None or not columns:
        return found
    return replace(found, texts=(columns["text"],))


def read_answers(table: Table, answers: Answers) -> Messages:
    """Each answer with words as a message, row by row.

    Raises:
        InputError: the time of an answer is none, or missing (the line is named).
    """
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for i, line in enumerate(table.line):
        cells = {name: table.columns[name][i].strip() for name in answers.columns}
        # a row is one person: each answer counted as somebody else would make a group of two six
        author = " ".join(cells[name] for name in answers.names if cells[name]) or f"row {line}"
        for name in answers.texts:
            text = plain_text(unescape(cells[name]) if answers.escaped else cells[name])
            if text in BLANK or _BARE.fullmatch(text):
                left_out[EMPTY if text in BLANK else BARE] += 1
                continue
            at = _moment([cells[one] for one in answers.times], table.path, line)
            found.append(Message(line, text, author, at))
    return Messages(tuple(found), left_out)


def _find_quiz(path: Path, header: Sequence[str]) -> Answers | None:
    started, completed = _named(header, STARTED), _named(header, COMPLETED)
    if not (started and completed and _named(header, STATE)):
        return None
    texts = tuple(name for name in header if _RESPONSE.fullmatch(name.casefold()))
    if not texts:
        raise InputError(
            f"{path} is a report of a Moodle quiz without a column 'Response 1': download the "
            "quiz's Responses report with 'response' ticked, not its grades"
        )
    names = tuple(name for one in NAMES for name in _named(header, one))
    return Answers(texts, names, (*completed, *started))


def _find_feedback(path: Path, header: Sequence[str]) -> Answers | None:
    """Questions stand behind the date; of an anonymous response, behind number and course."""
    first = header[0].casefold() if header else ""
    times = () if first in NUMBERED else _named(header, ("date",))
    known = header[: header.index(times[0]) + 1] if times else header[:1]
    if first in NUMBERED:
        known = [*known, *_named(header[1:2], COURSE)]
    if first not in NUMBERED and not (first in FULL_NAME and times and _named(known, ("groups",))):
        return None
    texts = tuple(name for name in header[len(known) :] if name)  # Excel adds columns without one
    if not texts:
        raise InputError(
            f"{path} is a Moodle feedback without a question: download its responses once more"
        )
    return Answers(texts, tuple(header[:1]), times, escaped=True)


def _named(header: Sequence[str], words: Sequence[str]) -> tuple[str, ...]:
    """The first column that is called so, in any capitals; none if there is none."""
    return tuple(name for name in header if name.casefold() in words)[:1]


def _moment(times: Sequence[str], path: Path, line: int) -> Moment | None:
    if not times:
        return None
    said = next((time for time in times if time not in BLANK), None)
    if said is None:
        raise InputError(f"{path}, line {line}: an answer without a time; fill it in or remove it")
    return parse_time_at(said, path, line)
