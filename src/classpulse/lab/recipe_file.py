"""Where a recipe is written: a TOML file, what it extends, and changes from the command line."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError

SUFFIX = ".toml"
RESOLVED = ".json"  # as a run keeps it
EXTENDS = "extends"
MEMBERS = "members"  # only the recipe of an ensemble has them
FEATURES = "features"  # only a classic recipe has them
ENCODE = "encode"  # only a recipe for texts has it
GONE = {"stopping": ("restore_best",)}
"""Settings by table that older versions knew, and that changed nothing in what was trained."""
OWN = ("name", "summary", "claims")  # of one recipe alone, never of those that extend it


def recipe_names() -> list[str]:
    """Names of the shipped recipes, sorted."""
    return _names(_shipped())


def read_recipe_text(name: str) -> str:
    """The file of a shipped recipe.

    Raises:
        InputError: there is no such recipe; the shipped ones are listed.
    """
    if name not in recipe_names():
        raise InputError(f"no recipe '{name}'; shipped: {', '.join(recipe_names())}")
    return (_shipped() / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def read_table(name_or_path: str, *, changes: Sequence[str] = ()) -> dict[str, Any]:
    """The whole table of a recipe: what it extends, then its own keys, then the changes.

    Tables are merged key by key, but one that names another `kind` begins anew, since settings
    belong to their kind. Name, summary and claims are not inherited.

    Args:
        name_or_path: a shipped recipe, a .toml file, or the recipe.json of a run; ``extends`` in
            it likewise names a shipped recipe, a base of the shipped ones, or a file beside it.
        changes: ``a.b=value`` with a value as in TOML; what is no TOML is taken for text.

    Raises:
        InputError: no such recipe, a file that is no TOML, a circle of extensions, or a change
            that is not of that form.
    """
    table = _read_extended(name_or_path, Path(), ())
    for change in changes:
        table = _merge(table, _parse_change(change))
    return table


def is_ensemble(table: Mapping[str, Any]) -> bool:
    """Whether the table is the recipe of an ensemble, not of one network."""
    return MEMBERS in table


def is_classic(table: Mapping[str, Any]) -> bool:
    """Whether the table is the recipe of a classical pipeline."""
    return FEATURES in table


def is_of_text(table: Mapping[str, Any]) -> bool:
    """Whether the table is the recipe of a network for texts."""
    return ENCODE in table


def _read_extended(name: str, folder: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    path = folder / name
    if name in seen:
        raise InputError(f"recipe {seen[0]} extends itself: {' -> '.join([*seen, name])}")
    if path.suffix in (SUFFIX, RESOLVED):
        text, folder = _read_file(path), path.parent
    else:
        text, folder = _read_shipped(name, bases=bool(seen)), Path()
    table = _parse(text, name)
    parent = table.pop(EXTENDS, None)
    if parent is None:
        return table
    if not isinstance(parent, str):
        raise InputError(f"recipe {name}: {EXTENDS}: expected str, found {parent!r}")
    inherited = _read_extended(parent, folder, (*seen, name))
    return _merge({k: v for k, v in inherited.items() if k not in OWN}, table)


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        if not name.endswith(RESOLVED):
            return tomllib.loads(text)
        table = json.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"recipe {name} is not valid TOML: {error}") from None
    except ValueError as error:
        raise InputError(f"recipe {name} is not valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise InputError(f"recipe {name}: expected a table, found {type(table).__name__}")
    return {key: _without_gone(key, value) for key, value in table.items()}


def _without_gone(key: str, value: Any) -> Any:
    if key not in GONE or not isinstance(value, dict):
        return value
    return {name: one for name, one in value.items() if name not in GONE[key]}


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read recipe {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"recipe {path} is not UTF-8 text: {error}") from None


def _read_shipped(name: str, *, bases: bool) -> str:
    base = _shipped() / "bases"
    if bases and name in _names(base):
        return (base / f"{name}{SUFFIX}").read_text(encoding="utf-8")
    return read_recipe_text(name)


def _shipped() -> Traversable:
    return resources.files("classpulse.lab") / "recipes"


def _names(folder: Traversable) -> list[str]:
    names = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and _same_kind(old, value):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "kind" not in new or old.get("kind") == new["kind"]


def _parse_change(change: str) -> dict[str, Any]:
    """``a.b=value`` -> {"a": {"b": value}}."""
    key, sign, text = change.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not sign or not all(names):
        raise InputError(f"--set {change}: needs KEY=VALUE, for example schedule.batch=32")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for name in reversed(names):
        value = {name: value}
    return dict(value)
