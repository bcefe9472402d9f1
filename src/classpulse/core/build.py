"""From parsed JSON or TOML to frozen dataclasses, every name and type checked on the way."""

import dataclasses
import types
import typing
from typing import Any

from classpulse.core.errors import ClassPulseError

LATER = types.MappingProxyType({"later": True})
"""Metadata of a field with a default that files of earlier versions do not have."""


def build_dataclass(
    kind: type, value: Any, *, where: str, error: type[ClassPulseError], partial: bool = False
) -> Any:
    """Build the dataclass `kind` from a table of plain values.

    Fields may be dataclasses, tuples (from lists), dicts with text keys, numbers, text or bool, or
    one of these or None; a whole number is taken for a float.

    Args:
        kind: a dataclass type with annotations of those kinds.
        value: what a JSON or TOML parser gave.
        where: name of the file, to start messages with.
        error: what to raise; the message names the field.
        partial: fields with a default may be missing; without, only those that are `LATER`.
    """
    if not isinstance(value, dict):
        raise error(f"{where}: expected a table of fields, found {type(value).__name__}")
    hints = typing.get_type_hints(kind)
    needed = {f.name for f in dataclasses.fields(kind) if not _may_miss(f, partial=partial)}
    missing, unknown = needed - value.keys(), value.keys() - hints.keys()
    if missing or unknown:
        raise error(
            f"{where}: missing {sorted(missing)}, unknown {sorted(unknown)}; "
            f"known: {', '.join(hints)}"
        )
    fields = {
        name: _convert(hints[name], given, where=f"{where}: {name}", error=error, partial=partial)
        for name, given in value.items()
    }
    return kind(**fields)


def _may_miss(field: dataclasses.Field[Any], *, partial: bool) -> bool:
    missing = dataclasses.MISSING
    has_default = field.default is not missing or field.default_factory is not missing
    return has_default and (partial or "later" in field.metadata)


def _convert(
    hint: Any, value: Any, *, where: str, error: type[ClassPulseError], partial: bool
) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):  # X | None
        if value is None:
            return None
        [hint] = [one for one in inner if one is not types.NoneType]
        return _convert(hint, value, where=where, error=error, partial=partial)
    if dataclasses.is_dataclass(hint):
        return build_dataclass(
            typing.cast("type", hint), value, where=where, error=error, partial=partial
        )
    if origin is tuple:
        return _convert_list(inner, value, where=where, error=error, partial=partial)
    if origin is dict:
        if not isinstance(value, dict):
            raise error(f"{where}: expected a table, found {value!r}")
        return {
            key: _convert(inner[1], item, where=f"{where}: {key}", error=error, partial=partial)
            for key, item in value.items()
        }
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise error(f"{where}: expected {hint.__name__}, found {value!r}")
    return value


def _convert_list(
    inner: tuple[Any, ...],
    value: Any,
    *,
    where: str,
    error: type[ClassPulseError],
    partial: bool,
) -> tuple[Any, ...]:
    """`tuple[X, ...]` of any length, or `tuple[X, Y]` of exactly that."""
    if not isinstance(value, list):
        raise error(f"{where}: expected a list, found {type(value).__name__}")
    kinds = (inner[0],) * len(value) if inner[-1] is Ellipsis else inner
    if len(kinds) != len(value):
        raise error(f"{where}: expected {len(kinds)} values, found {len(value)}")
    return tuple(
        _convert(kind, item, where=where, error=error, partial=partial)
        for kind, item in zip(kinds, value, strict=True)
    )
