"""Numbers, times and dates of the report as a teacher reads them (American English)."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

NBSP = "\u00a0"  # keeps a number and its unit on one line
DASH = "\u2013"
INTERVAL = f"95{NBSP}% interval"
HOUR = 3600.0


def percent(share: float) -> str:
    """A share in [0, 1] as whole percent; never "0" or "100" unless it is exactly that."""
    whole = math.floor(100 * share + 0.5)
    if whole == 0 and share > 0:
        return f"<1{NBSP}%"
    if whole == 100 and share < 1:
        return f">99{NBSP}%"
    return f"{whole}{NBSP}%"


def score(value: float) -> str:
    """A score in [0, 1] with two decimals."""
    return f"{value:.2f}"


def mean_count(value: float) -> str:
    """A mean number of faces, one decimal."""
    return f"{value:,.1f}"


def count(number: float) -> str:
    """A whole number with thousands separators."""
    return f"{number:,.0f}"


def plural(number: float, one: str, many: str) -> str:
    """`number` with the noun that fits: "1 face", "1,204 faces"."""
    return f"{count(number)}{NBSP}{one if number == 1 else many}"


def percent_interval(estimate: Mapping[str, float]) -> str:
    """ "42 to 48 %" of a mapping with `low` and `high` in [0, 1]."""
    return f"{percent(estimate['low']).removesuffix(f'{NBSP}%')} to {percent(estimate['high'])}"


def score_interval(estimate: Mapping[str, float]) -> str:
    """ "0.58 to 0.66" of a mapping with `low` and `high`."""
    return f"{score(estimate['low'])} to {score(estimate['high'])}"


def clock(t: float, *, hours: bool) -> str:
    """Seconds as "12:05" (min:s), or as "1:05" (h:min) if `hours`; with seconds if not whole."""
    whole = round(t)
    if not hours:
        return f"{whole // 60}:{whole % 60:02d}"
    text = f"{whole // 3600}:{whole % 3600 // 60:02d}"
    return text if whole % 60 == 0 else f"{text}:{whole % 60:02d}"


def clock_span(t0: float, t1: float, *, hours: bool) -> str:
    """ "12:00-13:00" for a window of seconds."""
    return f"{clock(t0, hours=hours)}{DASH}{clock(t1, hours=hours)}"


def duration(seconds: float) -> str:
    """Seconds as "1 h 30 min", "2 min 5 s" or "0.5 s"."""
    if seconds < 10:
        return f"{seconds:.3g}{NBSP}s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s"))
    # beyond an hour nobody asks for seconds
    kept = [f"{n}{NBSP}{unit}" for n, unit in parts if n and not (unit == "s" and whole >= HOUR)]
    return " ".join(kept)


def moment(iso: str) -> str:
    """An ISO 8601 time as "November 22, 2026, 03:15 UTC"; text that is not one stays as it is."""
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    zone = f" {at.tzname()}" if at.tzinfo else ""
    return f"{at:%B} {at.day}, {at.year}, {at:%H:%M}{zone}"


def few(k: int) -> str:
    """Why a window with n < k people is not shown, without telling n."""
    return "nobody to describe" if k <= 1 else f"fewer than {k} people"


def listing(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def label(name: Any) -> str:
    """A label name for a heading: "not_sure" becomes "Not sure"."""
    text = str(name).replace("_", " ")
    return text[:1].upper() + text[1:]
