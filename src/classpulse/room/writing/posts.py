"""A file of students' writing as utterances on the session's clock, names turned to pseudonyms."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from classpulse.core.defaults import TEXT_MODEL
from classpulse.core.errors import InputError
from classpulse.core.records import Utterance
from classpulse.room.writing.chats import read_chat, read_graph, read_transcript
from classpulse.room.writing.documents import read_document
from classpulse.room.writing.message import PRIVATE, Message, Messages, name_key
from classpulse.room.writing.tables import read_table
from classpulse.room.writing.times import DAY, Moment, parse_time

BEFORE = "before the recording"
AFTER = "after the recording"
EXCLUDED = "author left out"
MAX_BYTES = 256 << 20  # a term of a university's forum has a hundredth of that
LISTED = 10  # names in a message
LATE = 60.0  # seconds: the chat of a lesson outlives its recording a little

TABLES = (".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson")
READERS: Mapping[str, Callable[[Path], Messages]] = {
    ".txt": read_chat,
    ".vtt": read_transcript,
    ".docx": read_document,
    ".json": read_graph,
}
SUFFIXES = (*TABLES, *READERS)
PAGES = (".html", ".htm")  # of writing, but in no form that could be known


@dataclass(frozen=True, slots=True)
class Writing:
    """What of students' writing belongs to a session.

    Args:
        path: posts or chat, see `SUFFIXES`; a string or a `Path`.
        start: the time in the file at which the session begins, see `times.KNOWN`; None: with a
            recording 0:00:00, without one the first text.
        columns: ``text``, ``author``, ``time`` -> header of that column of a table.
        without: names of authors whose texts are left out, the teacher's for example; they are
            compared as `message.name_key` does.
        model: shipped name or artefact folder.
        keep_texts: also write `texts.csv` with every text and the words that spoke for its label.
        writers: how many people wrote, `without` not among them, for a file that does not name
            them: without it their texts are read, but not told of as a group.

    Raises:
        InputError: `writers` is below 1.
    """

    path: str | Path
    start: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    model: str = TEXT_MODEL
    keep_texts: bool = False
    writers: int | None = None

    def __post_init__(self) -> None:
        if self.writers is not None and self.writers < 1:
            raise InputError(
                f"writers = {self.writers} is not possible: give how many people wrote"
            )


@dataclass(frozen=True, slots=True)
class Posts:
    """Utterances in order of time.

    Args:
        utterances: times in seconds of the session; all 0 where `timed` is False.
        lines: of the file, one for each.
        timed: whether the file says when.
        unnamed: pseudonyms of texts that nobody signed; every one has its own.
        left_out: how many texts are not among them, by reason.
        writers: how many people wrote, as stated by whoever gave the file; None where nobody did.
        speakers: every pseudonym.
    """

    utterances: tuple[Utterance, ...]
    lines: tuple[int, ...]
    timed: bool
    unnamed: frozenset[str]
    left_out: Mapping[str, int]
    writers: int | None = None
    speakers: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        # once: `people_among` is asked for every window and label
        object.__setattr__(self, "speakers", frozenset(one.speaker for one in self.utterances))

    @property
    def named(self) -> bool:
        """Whether the file says of every text who wrote it."""
        return not self.unnamed

    @property
    def most_writers(self) -> int:
        """How many people may have written: never fewer than are named."""
        everybody = len(self.speakers)
        if self.writers is None:
            return everybody
        return max(len(self.speakers - self.unnamed), min(everybody, self.writers))

    def people_among(self, speakers: Collection[str]) -> int:
        """How many different people these pseudonyms are for certain.

        As many as are named, for all texts without a name may be one person's. With stated
        `writers`: each pseudonym and each left-out text that is not among these may be one of
        them, the others must be among these.
        """
        named = sum(one not in self.unnamed for one in speakers)
        certain = 0
        if self.writers is not None and self.unnamed:
            elsewhere = sum(self.left_out.get(why, 0) for why in (BEFORE, AFTER, PRIVATE))
            certain = self.writers - (len(self.speakers) - len(speakers)) - elsewhere
        return min(len(speakers), max(named, 1, certain))

    @property
    def end(self) -> float:
        """Seconds of the last utterance, 0 without any."""
        return max((one.t1 for one in self.utterances), default=0.0)


def is_writing(source: str | Path) -> bool:
    """Whether the name is that of a file of writing, not of pictures."""
    return Path(source).suffix.lower() in (*SUFFIXES, *PAGES) and "://" not in str(source)


def parse_columns(given: Sequence[str]) -> dict[str, str]:
    """``["text=Antwort"]`` as a mapping.

    Raises:
        InputError: an entry has no ``=``, or a use is given twice.
    """
    pairs = [entry.partition("=") for entry in given]
    if not all(use and sign and name for use, sign, name in pairs):
        raise InputError(f"--columns {' '.join(given)}: write it as text=NAME OF THE COLUMN")
    if len({use for use, _, _ in pairs}) < len(pairs):
        raise InputError(f"--columns {' '.join(given)}: one column for each use")
    return {use: name for use, _, name in pairs}


def load_posts(writing: Writing, *, recorded: float | None = None) -> Posts:
    """Read a file of writing.

    Args:
        recorded: seconds of the recording that it accompanies, None without one; infinite where
            the length is unknown.

    Raises:
        InputError: the file cannot be read, is too large, holds no text, has times in one part of
            its texts only, or none of its times falls into the recording.
        MissingExtraError: Excel files need the extra `lab`.
    """
    path = Path(writing.path)
    messages = _read(path, writing.columns)
    left_out = Counter(messages.left_out)
    kept = _without(messages.found, writing.without, path)
    left_out[EXCLUDED] += len(messages.found) - len(kept)
    if not kept:
        raise InputError(f"{path} has no text to read{_told(left_out)}")
    timed = _timed(kept, path)
    if recorded is not None and not timed:
        raise InputError(
            f"{path} does not say when its texts were written, so it cannot be laid beside the "
            "recording: give a chat with times, or analyze it alone"
        )
    seconds = _clock(kept, writing.start, recorded, path) if timed else [0.0] * len(kept)
    placed = _placed(kept, seconds, recorded, left_out, path)
    utterances = tuple(_named(placed))
    authors = zip(utterances, placed, strict=True)
    return Posts(
        utterances=utterances,
        lines=tuple(message.line for _, message in placed),
        timed=timed,
        unnamed=frozenset(one.speaker for one, (_, m) in authors if m.author is None),
        left_out={why: n for why, n in left_out.items() if n},
        writers=writing.writers,
    )


def _read(path: Path, columns: Mapping[str, str]) -> Messages:
    suffix = path.suffix.lower()
    if suffix in PAGES:
        raise InputError(
            f"{path} is a web page, which every program writes in its own way: copy the texts into "
            "a .txt, as a chat or one a line, or give a table"
        )
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is no file of writing: give one of {', '.join(SUFFIXES)}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None
    if size > MAX_BYTES:
        raise InputError(
            f"{path} has {size >> 20} MB; up to {MAX_BYTES >> 20} MB are read: split it"
        )
    if suffix in TABLES:
        return read_table(path, columns)
    if columns:
        raise InputError(f"{path} has no columns to choose from: leave --columns out")
    return READERS[suffix](path)


def _without(
    messages: Sequence[Message], names: Collection[str], path: Path
) -> tuple[Message, ...]:
    authors = {name_key(m.author): m.author for m in messages if m.author is not None}
    unknown = [name for name in names if name_key(name) not in authors]
    if unknown:
        there = sorted(authors.values())
        more = f" and {len(there) - LISTED} more" if len(there) > LISTED else ""
        told = f"it has {', '.join(there[:LISTED])}{more}" if there else "it names nobody"
        raise InputError(f"{path}: nobody called {', '.join(unknown)} writes there; {told}")
    left_out = {name_key(name) for name in names}
    return tuple(m for m in messages if m.author is None or name_key(m.author) not in left_out)


def _timed(messages: Sequence[Message], path: Path) -> bool:
    missing = [message.line for message in messages if message.at is None]
    if missing and len(missing) < len(messages):
        raise InputError(f"{path}, line {missing[0]}: no time, other texts have one; add it")
    dated = {message.at.dated for message in messages if message.at is not None}
    if len(dated) > 1:
        raise InputError(f"{path}: some times have a date, others have none; write all alike")
    return not missing


def _clock(
    messages: Sequence[Message], start: str | None, recorded: float | None, path: Path
) -> list[float]:
    """Seconds of the session for each message; before its start they are negative."""
    moments = [message.at for message in messages if message.at is not None]
    seconds = _past_midnight([moment.seconds for moment in moments], dated=moments[0].dated)
    if start is None:
        if recorded is None:
            return [t - min(seconds) for t in seconds]
        if moments[0].dated:
            raise InputError(
                f"{path} has dates: say at which of its times the recording begins, for example "
                "--chat-start 14:05:00"
            )
        return seconds
    begin = _begin(parse_time(start), moments[0], path)
    return [t - begin for t in seconds]


def _past_midnight(seconds: Sequence[float], *, dated: bool) -> list[float]:
    """A clock without dates that falls by more than half a day has passed midnight."""
    days, found = 0.0, [seconds[0]]
    for before, now in pairwise(seconds):
        days += DAY if not dated and before - now > DAY / 2 else 0.0
        found.append(now + days)
    return found


def _begin(start: Moment, first: Moment, path: Path) -> float:
    if start.dated and not first.dated:
        raise InputError(f"{path} has times without a date: give the start as a clock, 14:05:00")
    if first.dated and not start.dated:
        return first.seconds - first.seconds % DAY + start.seconds
    return start.seconds


def _placed(
    messages: Sequence[Message],
    seconds: Sequence[float],
    recorded: float | None,
    left_out: Counter[str],
    path: Path,
) -> list[tuple[float, Message]]:
    last = float("inf") if recorded is None else recorded + LATE
    placed = [(t, m) for t, m in zip(seconds, messages, strict=True) if 0 <= t <= last]
    left_out[BEFORE] += sum(t < 0 for t in seconds)
    left_out[AFTER] += sum(t > last for t in seconds)
    if not placed:
        length = (
            "" if math.isinf(last) else f", the recording from 0:00:00 to {_spoken(last - LATE)}"
        )
        raise InputError(
            f"{path}: its texts run from {_spoken(min(seconds))} to {_spoken(max(seconds))} of the "
            f"session{length}: say with --chat-start at which time of the file the session begins"
        )
    return sorted(placed, key=lambda one: one[0])


def _spoken(t: float) -> str:
    whole = round(abs(t))
    sign = "-" if t < 0 else ""
    return f"{sign}{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def _named(placed: Sequence[tuple[float, Message]]) -> list[Utterance]:
    """Pseudonyms by who writes first; one person is one whose name has one `name_key`, and who is
    not named is somebody of their own."""
    numbers: dict[str, int] = {}
    found = []
    for i, (t, message) in enumerate(placed):
        key = name_key(message.author) if message.author is not None else f"\0{i}"
        number = numbers.setdefault(key, len(numbers) + 1)
        found.append(Utterance(message.text, t, t, f"W{number:02d}"))
    return found


def _told(left_out: Mapping[str, int]) -> str:
    told = ", ".join(f"{n} {why}" for why, n in left_out.items() if n)
    return f" ({told})" if told else ""
