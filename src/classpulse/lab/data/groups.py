"""Annotations of faces from a CSV file: age, gender, glasses, light, whatever a column holds."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.lab.data.faces import FaceSet
from classpulse.text.heads import head_text, header_fields, read_head
from classpulse.text.tables import Table, load_table

KEYS = ("row", "file")
MISSING = ("", "na", "n/a", "nan", "null", "?")  # not "none", which "glasses" may mean
SHOWN = 6  # groups of a column that a message lists


def join_groups(faces: FaceSet, path: Path) -> FaceSet:
    """The faces with every other column of a CSV file as a group column.

    Faces that the file does not name, and empty cells, have an empty annotation. Join before rows
    are taken out: a line about a picture that is not there is an error.

    Args:
        path: CSV with a header and one key column: `row`, the row in the source from 0, or `file`,
            the path of the picture inside the source as in `FaceSet.file`.

    Raises:
        InputError: the file cannot be read, has no or two key columns, no other column or one that
            the faces have already; or a line names an unknown picture, or one a second time.
    """
    names = header_fields(head_text(read_head(path)), ",")
    key = _only_key(names, path)
    columns = [name for name in names if name != key]
    taken = [name for name in columns if name in faces.groups or not name]
    if not columns or taken:
        why = f"'{taken[0]}' is empty or there already" if taken else "there is no other column"
        raise InputError(f"{path}, line 1: annotations need a column of their own: {why}")
    table = load_table(path, columns=names)
    places = _places(faces, table, key)
    return replace(
        faces,
        groups={
            **faces.groups,
            **{name: _spread(table.columns[name], places, len(faces)) for name in columns},
        },
    )


class Groups(NamedTuple):
    """A column: names in order, (n,) int64 place of each row's or -1, labeled rows of each."""

    names: tuple[str, ...]
    codes: NDArray[np.int64]
    sizes: tuple[int, ...]


def group_name(value: str | float | None) -> str:
    """The group that an annotation names, empty for `MISSING` words, None and NaN."""
    text = "" if value is None else str(value).strip()
    return "" if text.lower() in MISSING else text


def read_column(faces: FaceSet, column: str) -> NDArray[np.str_]:
    """(n,) the group of every face, empty where it is unknown.

    Raises:
        InputError: the faces have no annotations, or not this column; those there are listed.
    """
    if not faces.groups:
        raise InputError(f"{faces.name} has no annotations: give a CSV file of them with --groups")
    if column not in faces.groups:
        there = (f"{name} ({list_groups(values)})" for name, values in faces.groups.items())
        raise InputError(f"{faces.name} has no column '{column}'; it has {', '.join(there)}")
    return np.array([group_name(value) for value in faces.groups[column].tolist()], dtype=np.str_)


def read_groups(faces: FaceSet, column: str, group: str = "") -> Groups:
    """The groups of a column; with `group`, one that has to be among them.

    Raises:
        InputError: as `read_column`, the column has fewer than two groups, or not this one.
    """
    values = read_column(faces, column)
    names, codes = np.unique(values, return_inverse=True)
    unknown = int(len(names) > 0 and not names[0])  # the empty name comes first
    groups = tuple(names[unknown:].tolist())
    where, there = f"column '{column}' of {faces.name}", list_groups(values)
    if len(groups) < 2:
        raise InputError(f"{where} has {there or 'no group'}: balancing needs two groups")
    if group and group not in groups:
        raise InputError(f"{where} has no group '{group}'; it has {there}")
    codes = codes.astype(np.int64) - unknown
    labeled = codes[(codes >= 0) & (faces.labels >= 0)]
    sizes = np.bincount(labeled, minlength=len(groups))
    return Groups(groups, codes, tuple(sizes.tolist()))


def list_groups(values: NDArray[np.str_]) -> str:
    """ "adult 12, child 30": groups and rows, the largest first if there are many."""
    counts = Counter(name for value in values.tolist() if (name := group_name(value)))
    few = sorted(counts.items()) if len(counts) <= SHOWN else counts.most_common(SHOWN)
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    return ", ".join(f"{name} {n:,}" for name, n in few) + more


def _only_key(names: list[str], path: Path) -> str:
    keys = [key for key in KEYS if key in names]
    if len(keys) != 1:
        raise InputError(
            f"{path}, line 1: needs one column that says which picture a line is about, 'row' "
            f"(from 0) or 'file'; it has {len(keys)} of them: {', '.join(names)[:200] or 'nothing'}"
        )
    return keys[0]


def _places(faces: FaceSet, table: Table, key: str) -> NDArray[np.int64]:
    """(m,) the position in `faces` that each line is about."""
    if key == "file" and faces.file is None:
        raise InputError(f"{faces.name} has no file names; annotate by 'row' in {table.path}")
    known = _index(faces, key)
    seen: dict[int, int] = {}
    for line, cell in zip(table.line, table.columns[key], strict=True):
        name = _plain(cell, key)
        if name not in known:
            raise InputError(
                f"{table.path}, line {line}: {key} '{cell[:80]}' is not in {faces.name}, which "
                f"has {_examples(known)}"
            )
        if known[name] in seen:
            raise InputError(
                f"{table.path}, line {line}: {key} '{cell[:80]}' is on line {seen[known[name]]} "
                "already; keep one"
            )
        seen[known[name]] = line
    return np.fromiter(seen, dtype=np.int64)


def _index(faces: FaceSet, key: str) -> dict[str, int]:
    """Key of each face, as `_plain` writes it -> position."""
    values: Iterable[object] = faces.row if key == "row" or faces.file is None else faces.file
    known = {_plain(str(value), key): i for i, value in enumerate(values)}
    if len(known) != len(faces):
        raise InputError(
            f"{faces.name} has pictures with the same {key}: annotate each source before joining"
        )
    return known


def _plain(cell: str, key: str) -> str:
    text = unicodedata.normalize("NFC", cell.strip())
    if key == "file":
        return text.replace("\\", "/").removeprefix("./")
    return text.lstrip("0") or "0" if text.isascii() and text.isdecimal() else text


def _examples(known: dict[str, int]) -> str:
    names = list(known)
    return f"'{names[0]}' to '{names[-1]}'" if names else "no pictures"


def _spread(values: tuple[str, ...], places: NDArray[np.int64], n: int) -> NDArray[np.str_]:
    """(m,) values at their places among (n,), empty elsewhere."""
    width = max((len(value.strip()) for value in values), default=0)
    column = np.full(n, "", dtype=f"<U{max(width, 1)}")
    column[places] = [value.strip() for value in values]
    return column
