"""Transcripts of meetings as Word files, which is how Teams gives them beside WebVTT.

A paragraph is a turn, a line ``Ada Byron   0:03`` and what was said in the lines after it, or it is
an event of the meeting. Older files have ``0:0:3.120 --> 0:0:5.480``, the name, and the text. Where
such a beginning stands alone in its paragraph, the ones up to the next turn belong to it, but for
events. Teams writes these in the language of whoever saves the file ("Ms Hopper hat die
Transkription beendet"), so they are not known by their words: the first of them stands before the
first turn, and another one, of a line at the end of a turn, is much like it, see `_is_event`.
"""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.room.writing.chats import HEAD
from classpulse.room.writing.message import EMPTY, Message, Messages
from classpulse.room.writing.times import parse_time_at
from classpulse.room.writing.word import Paragraph, read_paragraphs

# the author ends in no space: many of them are tried once, not from each
_TURN = re.compile(r"(?P<author>(?:\S.*)?\S)\s{2,}(?P<at>(?:\d{1,2}:)?\d{1,2}:\d{2})")
_SPAN = re.compile(r"(?P<at>\d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d{1,3})?)\s+-->\s+[\d:.,]+")
_EVENT = re.compile(r".{1,200} (?:started|stopped) transcription")

ALIKE = 0.5  # share of an event's characters that begin and end it as the first event does
STOPS = tuple(".!?\u2026\u3002\uff01\uff1f\u061f")  # of what is said


@dataclass(slots=True)
class _Turn:
    """What one person said at a stretch.

    Args:
        line: of the document's text on which it begins, empty ones not counted.
        words: lines; the first is the name where there is no author.
        more: paragraphs that follow, and belong to it if they are no events.
    """

    line: int
    at: str
    author: str | None
    words: list[str]
    more: list[Paragraph] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All of it, the author first."""
        author = [] if self.author is None else [self.author]
        return [*author, *self.words, *(line for paragraph in self.more for line in paragraph)]


def read_document(path: Path) -> Messages:
    """Utterances of a Teams transcript that was saved as ``.docx``.

    Raises:
        InputError: as `word.read_paragraphs`; there is no turn, or a time is none (the line is
            named).
    """
    turns, event = _gather(read_paragraphs(path))
    if not turns:
        raise InputError(
            f"{path} has no line such as 'Ada Byron   0:03' of a Teams transcript: give it as "
            "Teams saves it (.docx or .vtt), or the text as .txt"
        )
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    speakers = {line for turn in turns for line in turn.lines()[:1]}
    for turn in turns:
        while turn.more and _is_event(turn.more[-1], event, speakers):
            turn.more.pop()
        author, *words = turn.lines() or [""]
        if not words:
            left_out[EMPTY] += 1
            continue
        at = parse_time_at(_clock(turn.at), path, turn.line)
        found.append(Message(turn.line, "\n".join(words), author, at))
    return Messages(tuple(found), left_out)


def _gather(paragraphs: list[Paragraph]) -> tuple[list[_Turn], str]:
    """The turns, and what stands before the first: the event that begins the transcript."""
    turns: list[_Turn] = []
    line, alone, event = 1, False, ""
    for first, *more in paragraphs:
        head = first if len(first) <= HEAD else ""
        if span := _SPAN.fullmatch(head):
            turns.append(_Turn(line, span["at"], None, more))
            alone = len(more) < 2
        elif turn := _TURN.fullmatch(head):
            turns.append(_Turn(line, turn["at"], turn["author"], more))
            alone = not more
        elif alone and not _EVENT.fullmatch(head):
            turns[-1].more.append((first, *more))
        elif not turns:
            event = (first, *more)[-1]
        line += 1 + len(more)
    return turns, event


def _is_event(paragraph: Paragraph, first: str, speakers: Collection[str]) -> bool:
    """Whether a paragraph is an event like the first one of the file.

    Without the names of speakers at their beginning, both begin and end with the same characters,
    by at least `ALIKE` of the longer one, and unlike what is said they are no sentences (or both).
    So it is not found where whoever stops the transcription is not the one who started it, and one
    of the two says nothing at all.
    """
    if len(paragraph) > 1 or max(len(paragraph[0]), len(first)) > HEAD:
        return False
    one, other = (_without_name(line, speakers) for line in (paragraph[0], first))
    if one.endswith(STOPS) != other.endswith(STOPS):
        return False
    start = _alike(one, other)
    end = _alike(one[start:][::-1], other[start:][::-1])
    return start + end >= ALIKE * max(len(one), len(other), 1)


def _alike(one: str, other: str) -> int:
    """Characters with which both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _without_name(line: str, speakers: Collection[str]) -> str:
    """A line without the longest name that it begins with."""
    longest = next((n for n in range(len(line), 0, -1) if line[:n] in speakers), 0)
    return line[longest:].strip()


def _clock(at: str) -> str:
    """``0:03`` or ``0:0:3.120`` as the clock ``0:00:03.120``."""
    *hours, minutes, seconds = at.replace(",", ".").split(":")
    return f"{int(hours[0]) if hours else 0}:{int(minutes):02d}:{float(seconds):06.3f}"
