"""What every page of ClassPulse has in common: the frame, the style, cards and tables.

Pages are single files that load nothing from a network, print, follow light and dark, and serve
keyboard and screen reader. A page's template extends ``base.html.j2`` and adds its own style.
"""

from dataclasses import dataclass

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True, slots=True)
class Card:
    """A headline number.

    Args:
        reach: (low, value, high) in percent for the little scale.
        quiet: `big` is words instead of a number, and must not shout.
    """

    label: str
    big: str
    text: str
    reach: tuple[float, float, float] | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Text cells; the first column holds the row headers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def build_environment(package: str) -> Environment:
    """Templates of `package` (dotted name) over those shared by all pages; text is escaped."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, "."), PackageLoader("classpulse.page", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
