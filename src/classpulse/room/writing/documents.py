"""Transcripts of meetings as Word files, which is how Teams gives them beside WebVTT.

A paragraph is a turn, a line ``Ada Byron   0:03`` and what was said in the lines after it, or it is
an event of the meeting. Older files have ``0:0:3.120 --> 0:0:5.480``, the name, and the text. Where
such a beginning stands alone in its paragraph, the ones up to the next turn belong to it.
"""

import re
from collections import Counter
from dataclasses import dataclass
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


@dataclass(slots=True)
class _Turn:
    """What one person said at a stretch.

    Args:
        line: of the document's text on which it begins, empty ones not counted.
        words: lines; the first is the name where there is no author.
    """

    line: int
    at: str
    author: str | None
    words: list[str]


def read_document(path: Path) -> Messages:
    """Utterances of a Teams transcript that was saved as ``.docx``.

    Raises:
        InputError: as `word.read_paragraphs`; there is no turn, or a time is none (the line is
            named).
    """
    turns = _gather(read_paragraphs(path))
    if not turns:
        raise InputError(
            f"{path} has no line such as 'Ada Byron   0:03' of a Teams transcript: give it as "
            "Teams saves it (.docx or .vtt), or the text as .txt"
        )
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for turn in turns:
        author, words = turn.author, turn.words
        if author is None and words:
            author, *words = words
        if not words:
            left_out[EMPTY] += 1
            continue
        at = parse_time_at(_clock(turn.at), path, turn.line)
        found.append(Message(turn.line, "\n".join(words), author, at))
    return Messages(tuple(found), left_out)


def _gather(paragraphs: list[Paragraph]) -> list[_Turn]:
    turns: list[_Turn] = []
    line, alone = 1, False
    for first, *more in paragraphs:
        head = first if len(first) <= HEAD else ""
        if span := _SPAN.fullmatch(head):
            turns.append(_Turn(line, span["at"], None, more))
            alone = len(more) < 2
        elif turn := _TURN.fullmatch(head):
            turns.append(_Turn(line, turn["at"], turn["author"], more))
            alone = not more
        elif alone and not _EVENT.fullmatch(head):
            turns[-1].words += [first, *more]
        line += 1 + len(more)
    return turns


def _clock(at: str) -> str:
    """``0:03`` or ``0:0:3.120`` as the clock ``0:00:03.120``."""
    *hours, minutes, seconds = at.replace(",", ".").split(":")
    return f"{int(hours[0]) if hours else 0}:{int(minutes):02d}:{float(seconds):06.3f}"
