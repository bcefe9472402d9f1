"""Points in time as people's programs write them: seconds, a clock, a date, nothing guessed."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from classpulse.core.errors import InputError

DAY = 86_400.0
EPOCH_FROM = 1e8  # seconds: a number above is one since 1970 (March 1973), below one of a recording
MILLIS_FROM = 1e11
FORMATS = (  # of dates that are not ISO 8601; with AM/PM the month stands first, without the day
    "%A, %d %B %Y, %I:%M %p",
    "%A, %d %B %Y, %H:%M",
    "%d %B %Y, %I:%M %p",
    "%d %B %Y, %H:%M",
    "%d %B %Y %I:%M:%S %p",
    "%d %B %Y %I:%M %p",
    "%d %B %Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y, %I:%M:%S %p",
    "%m/%d/%Y, %I:%M %p",
    "%m/%d/%y, %I:%M:%S %p",
    "%m/%d/%y, %I:%M %p",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y, %H:%M:%S",
    "%d/%m/%Y, %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y, %H:%M:%S",
    "%d.%m.%Y, %H:%M",
    "%d.%m.%y, %H:%M:%S",
    "%d.%m.%y, %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
)
KNOWN = (
    "seconds (75.5), a clock (0:01:15 or 2:05 PM), ISO 8601 (2026-11-22T14:05:00), a Unix time, "
    "or a date such as 22.11.2026 14:05"
)

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d{1,6})?))?\s*([AaPp]\.?[Mm]\.?)?")


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A point in time.

    Args:
        seconds: since 1970 if `dated`, else since midnight or since the recording began.
        dated: whether the day is known.
    """

    seconds: float
    dated: bool = False


def parse_time(text: str) -> Moment:
    """The moment that `text` names, see `KNOWN`; a date without a zone is taken as UTC.

    Raises:
        InputError: it is none, or could mean two (``12:05``: a clock, or minutes and seconds).
    """
    plain = " ".join(text.replace("\u202f", " ").split())  # before AM some programs put U+202F
    for read in (_number, _clock, _iso, _date):
        found = read(plain)
        if found is not None:
            return found
    raise InputError(f"'{text[:40]}' is not a time; known: {KNOWN}")


def parse_time_at(text: str, path: Path, line: int) -> Moment:
    """`parse_time` of what stands in a file; its errors name the line."""
    try:
        return parse_time(text)
    except InputError as error:
        raise InputError(f"{path}, line {line}: {error}") from None


def _number(text: str) -> Moment | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not 0 <= value < 1e14:
        raise InputError(f"'{text[:40]}' is not a time: give seconds >= 0")
    if value >= EPOCH_FROM:
        return Moment(value / 1000 if value >= MILLIS_FROM else value, dated=True)
    return Moment(value)


def _clock(text: str) -> Moment | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, half = match.groups()
    if seconds is None and half is None:
        raise InputError(
            f"'{text}' may be hours and minutes or minutes and seconds: write {text}:00 or 0:{text}"
        )
    hour = int(hours)
    if half is not None:
        if not 1 <= hour <= 12:
            raise InputError(f"'{text}' is not a time: with AM or PM hours go from 1 to 12")
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    rest = float((seconds or "0").replace(",", "."))
    if int(minutes) > 59 or rest >= 60:
        raise InputError(f"'{text}' is not a time: minutes and seconds go from 0 to 59")
    return Moment(3600.0 * hour + 60.0 * int(minutes) + rest)


def _iso(text: str) -> Moment | None:
    try:
        return _dated(datetime.fromisoformat(text)) if len(text) > 10 else None
    except ValueError:
        return None


def _date(text: str) -> Moment | None:
    for form in FORMATS:
        try:
            return _dated(datetime.strptime(text, form))
        except ValueError:
            continue
    return None


def _dated(at: datetime) -> Moment:
    zoned = at if at.tzinfo else at.replace(tzinfo=UTC)
    seconds = zoned.timestamp()
    if seconds < 0:
        raise InputError(f"{at:%Y-%m-%d} is before 1970: no lesson was written down then")
    return Moment(seconds, dated=True)
