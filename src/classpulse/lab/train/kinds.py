"""A table of a recipe that names its kind: `kind = "adam"` and the settings of that kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from classpulse.core.build import build_dataclass
from classpulse.core.errors import InputError
from classpulse.core.registry import Registry

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Choice(Generic[S]):
    """One thing of a registry.

    Args:
        kind: its name there.
        settings: an instance of the class registered under that name.
    """

    kind: str
    settings: S


def parse_choice(registry: Registry[type[S]], table: Any, *, default: str, where: str) -> Choice[S]:
    """Read `{kind = "...", setting = value, ...}`; what is not given has its default.

    Args:
        default: the kind of a table that names none.
        where: starts every message.

    Raises:
        InputError: the kind is unknown (the known ones are listed), or a setting is unknown, of
            the wrong type or out of range.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"{where}: expected a table of fields, found {type(table).__name__}")
    given = dict(table)
    kind = given.pop("kind", default)
    if not isinstance(kind, str):
        raise InputError(f"{where}: kind: expected str, found {kind!r}")
    settings: S = build_dataclass(
        registry.get(kind), given, where=where, error=InputError, partial=True
    )
    return Choice(kind, settings)


def check_ranges(**values: tuple[float, float, float]) -> None:
    """Every `name=(value, low, high)` lies in [low, high]; `InputError` names the first that
    does not, NaN included."""
    for name, (value, low, high) in values.items():
        if not low <= value <= high:
            raise InputError(f"{name} = {value}: needs a number from {low:g} to {high:g}")
