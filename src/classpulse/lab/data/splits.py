"""Splits by the name of a protocol, and manifests that let anyone check them.

A protocol is a function from what is known of the rows to named parts. Row numbers count from 0 in
the order of the source file, so a manifest means the same rows on every machine.
"""

import hashlib
import json
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedKFold, train_test_split

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.fer2013 import USAGES

FORMAT = 1  # of the manifest
FOLD = "fold-"  # how the parts of a k-fold protocol begin
SEED = 42  # of the thesis; every protocol that draws uses it unless told otherwise


@dataclass(frozen=True, slots=True)
class Rows:
    """What a protocol may look at.

    Args:
        labels: (n,) int64.
        part: (n,) Usage part, or None.
        subject: (n,) who is in the picture, or None.
        further: (n,) bool, rows of data sets that were merged into the first one; None without.
    """

    labels: NDArray[np.int64]
    part: NDArray[np.str_] | None = None
    subject: NDArray[np.str_] | None = None
    further: NDArray[np.bool_] | None = None


Parts = dict[str, NDArray[np.int64]]
Protocol = Callable[..., Parts]
PROTOCOLS: Registry[Protocol] = Registry("split protocol")


ROLES: dict[str, tuple[str, ...]] = {
    "train": (USAGES[0], "train", "train_set"),
    "valid": (USAGES[1], "validation", "val_set"),
    "test": (USAGES[2], "test"),
}
"""What the parts of FER2013 (CSV and folders), RAF-DB and AffectNet are for."""


@PROTOCOLS.register("official")
def split_official(rows: Rows, *, seed: int = SEED) -> Parts:
    """The publisher's own parts, by their roles in `ROLES`; parts without rows are left out."""
    role = _roles(rows, "official")
    return {name: np.flatnonzero(role == name) for name in ROLES if name in role}


@PROTOCOLS.register("thesis-stratified")
def split_thesis(rows: Rows, *, seed: int = SEED) -> Parts:
    """The thesis' insert-balancing runs: 80/20 stratified of Training, both test parts as test."""
    pool, test = _pool(rows)
    train, valid = train_test_split(
        pool, test_size=0.2, stratify=rows.labels[pool], random_state=seed
    )
    return {"train": np.sort(train), "valid": np.sort(valid), "test": test}


@PROTOCOLS.register("thesis-own-valid")
def split_thesis_own(rows: Rows, *, seed: int = SEED) -> Parts:
    """The same, but what was merged into the first set is for training only.

    The thesis merges CK+48 before it splits, so 96 % of the validation pictures from CK+48 have a
    neighbor of the same sequence in training (seed-thesis E.1). The rows of the first set fall as
    in ``thesis-stratified`` without the others, so networks of both have one validation part.
    """
    if rows.further is None:
        return split_thesis(rows, seed=seed)
    own, others = np.flatnonzero(~rows.further), np.flatnonzero(rows.further)
    part = _need(rows.part, "thesis-own-valid", "parts")
    parts = split_thesis(Rows(rows.labels[own], part[own]), seed=seed)
    mine = {name: own[places] for name, places in parts.items()}
    labelled = others[rows.labels[others] >= 0]
    return {**mine, "train": np.sort(np.concatenate([mine["train"], labelled]))}


@PROTOCOLS.register("thesis-class-weights")
def split_thesis_first(rows: Rows, *, seed: int = SEED) -> Parts:
    """The thesis' class-weight runs: the first 20 % of each class are validation, none drawn.

    Keras takes them in the order of file names; the pictures here have none, so row order stands
    for it: the counts are the thesis', the pictures need not be.
    """
    pool, test = _pool(rows)
    valid = [
        mine[: int(0.2 * len(mine))]
        for label in np.unique(rows.labels[pool])
        for mine in (pool[rows.labels[pool] == label],)
    ]
    chosen = np.sort(np.concatenate(valid))
    return {"train": np.setdiff1d(pool, chosen), "valid": chosen, "test": test}


@PROTOCOLS.register("aieducation")
def split_aieducation(rows: Rows, *, seed: int = SEED) -> Parts:
    """A.I.ducation Analytics: 70/15/15 at random over all labelled rows, parts ignored."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(rows.labels >= 0))
    n_train, n_valid = round(0.7 * len(order)), round(0.15 * len(order))
    train, valid, test = np.split(order, [n_train, n_train + n_valid])
    return {"train": np.sort(train), "valid": np.sort(valid), "test": np.sort(test)}


@PROTOCOLS.register("paper")
def split_paper(rows: Rows, *, seed: int = SEED) -> Parts:
    """The parallel engagement paper: 80/20 at random over all labelled rows."""
    labelled = np.flatnonzero(rows.labels >= 0)
    train, test = train_test_split(labelled, test_size=0.2, random_state=seed)
    return {"train": np.sort(train), "test": np.sort(test)}


@PROTOCOLS.register("paper-stratified")
def split_paper_stratified(rows: Rows, *, seed: int = SEED) -> Parts:
    """The same by class: 80/20 at random, every class with its share in both parts."""
    labelled = np.flatnonzero(rows.labels >= 0)
    train, test = train_test_split(
        labelled, test_size=0.2, stratify=rows.labels[labelled], random_state=seed
    )
    return {"train": np.sort(train), "test": np.sort(test)}


@PROTOCOLS.register("kfold-10")
def split_kfold(rows: Rows, *, seed: int = SEED) -> Parts:
    """Ten stratified folds of all labelled rows: parts ``fold-0`` ... ``fold-9``, disjoint."""
    labelled = np.flatnonzero(rows.labels >= 0)
    folds = StratifiedKFold(10, shuffle=True, random_state=seed)
    parts = folds.split(labelled, rows.labels[labelled])
    return {f"{FOLD}{i}": np.sort(labelled[test]) for i, (_, test) in enumerate(parts)}


@PROTOCOLS.register("subject-disjoint")
def split_subjects(rows: Rows, *, seed: int = SEED) -> Parts:
    """About 70/15/15, and nobody is in two parts: the honest split of CK+."""
    subject = _need(rows.subject, "subject-disjoint", "subjects")
    labelled = np.flatnonzero(rows.labels >= 0)
    first = GroupShuffleSplit(1, test_size=0.3, random_state=seed)
    train, rest = next(first.split(labelled, groups=subject[labelled]))
    left = labelled[rest]
    second = GroupShuffleSplit(1, test_size=0.5, random_state=seed)
    valid, test = next(second.split(left, groups=subject[left]))
    return {"train": labelled[train], "valid": left[valid], "test": left[test]}


def _need(column: NDArray[np.str_] | None, protocol: str, what: str) -> NDArray[np.str_]:
    if column is None:
        raise InputError(f"the split '{protocol}' needs {what}, which this data does not have")
    return column


def _pool(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the training part, and of everything else, as the thesis' folders have them."""
    role = _roles(rows, "thesis")
    return np.flatnonzero(role == "train"), np.flatnonzero(role != "train")


def _roles(rows: Rows, protocol: str) -> NDArray[np.str_]:
    """(n,) train, valid or test by the name of each row's part."""
    part = _need(rows.part, protocol, "parts (a Usage column, or folders train and test)")
    known = {name: role for role, names in ROLES.items() for name in names}
    strange = sorted(set(part.tolist()) - known.keys())
    if strange:
        raise InputError(
            f"the split '{protocol}' does not know the part '{strange[0]}'; parts are called "
            f"{', '.join(known)}"
        )
    return np.array([known[name] for name in part.tolist()])


def draw_split(protocol: str, rows: Rows, *, seed: int, name: str) -> Parts:
    """The parts of `rows` by the protocol of that name.

    Args:
        name: of the data, for messages.

    Raises:
        InputError: an unknown protocol, data that lacks what it needs, or too few rows.
    """
    split = PROTOCOLS.get(protocol)
    try:
        return split(rows, seed=seed)
    except InputError:
        raise
    except ValueError as error:  # scikit-learn's word for too few rows
        raise InputError(
            f"{name} cannot be split by '{protocol}': {error}; add data, or choose another protocol"
        ) from None


def build_manifest(
    protocol: str,
    parts: Parts,
    rows: Rows,
    *,
    data: str,
    seed: int,
    labels: Sequence[str] = (),
    row: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """A manifest: counts per part and class, row numbers and their SHA-256.

    Args:
        parts: name -> positions in `rows`.
        data: SHA-256 of the data file, so that the row numbers have something to refer to.
        labels: names of the classes, in the order of the counts.
        row: (n,) row in the source of each position; None if they are the same.
    """
    numbers = np.arange(len(rows.labels), dtype=np.int64) if row is None else row
    return {
        "format": FORMAT,
        "protocol": protocol,
        "seed": seed,
        "data_sha256": data,
        "labels": list(labels),
        "parts": {
            name: {
                "n": len(part),
                "classes": _class_counts(rows.labels[part], len(labels)),
                "sha256": hash_rows(numbers[part]),
                "rows": numbers[part].tolist(),
            }
            for name, part in parts.items()
        },
    }


def _class_counts(labels: NDArray[np.int64], k: int) -> list[int]:
    counts: list[int] = np.bincount(labels[labels >= 0], minlength=k).tolist()
    return counts


def hash_rows(part: NDArray[np.int64]) -> str:
    """SHA-256 of sorted row numbers as little-endian int64: equal for equal sets of rows."""
    return hashlib.sha256(np.sort(part).astype("<i8").tobytes()).hexdigest()


def load_manifest(path: Path) -> Parts:
    """Parts of a manifest, checked against their own hashes: name -> row numbers of the source.

    Raises:
        InputError: no such file, not a manifest, or rows that do not match their hash.
    """
    return _load_manifest(path)[0]


def _load_manifest(path: Path) -> tuple[Parts, str]:
    """Parts and the SHA-256 of the data they refer to."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        parts = {n: np.array(p["rows"], dtype=np.int64) for n, p in raw["parts"].items()}
        stated = {n: p["sha256"] for n, p in raw["parts"].items()}
        data = str(raw["data_sha256"])
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and rights") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} is not a split manifest: {error!r}") from None
    for name, part in parts.items():
        if part.ndim != 1 or hash_rows(part) != stated[name]:
            raise InputError(f"{path}: the rows of '{name}' do not match their hash; split again")
    return parts, data


class Numbered(typing.Protocol):
    """Faces or texts: `row` has (n,) int64, the row of each in the source."""

    @property
    def name(self) -> str: ...

    @property
    def row(self) -> NDArray[np.int64]: ...


def take_split(faces: FaceSet, spec: str) -> FaceSet:
    """The rows of one part of a manifest, in its order.

    Args:
        faces: the whole data set from which the manifest was made.
        spec: ``manifest.json:part``.

    Raises:
        InputError: as `find_part`.
    """
    places, name = find_part(faces, spec, sha256=faces.sha256)
    return faces.take(places, name=name)


def find_part(data: Numbered, spec: str, *, sha256: str) -> tuple[NDArray[np.int64], str]:
    """Positions (m,) int64 in `data` of one part of a manifest, and what to call them.

    Args:
        data: the whole data set from which the manifest was made.
        spec: ``manifest.json:part``.
        sha256: of the source of `data`; "" if it has none.

    Raises:
        InputError: the manifest cannot be used, lacks the part, was made from other data (told by
            SHA-256), or names rows that are not there.
    """
    file, _, name = spec.rpartition(":")
    if not file or not name:
        raise InputError(f"'{spec}' is not a part of a manifest: give manifest.json:part")
    parts, made_from = _load_manifest(Path(file))
    if name not in parts:
        raise InputError(f"{file} has no part '{name}'; it has {', '.join(parts) or 'none'}")
    if not sha256 or sha256 != made_from:
        raise InputError(
            f"{file} was made from data with SHA-256 {made_from[:12]}..., {data.name} has "
            f"{sha256[:12] or 'none'}...: give the same file, or split this one"
        )
    places = rows_at(data, parts[name], source=file)
    return places, f"{data.name} {name} of {Path(file).name}"


def rows_at(data: Numbered, rows: NDArray[np.int64], *, source: str) -> NDArray[np.int64]:
    """Positions (m,) int64 in `data` of rows of its source.

    Raises:
        InputError: a row is not among the data; `source` is who names it, for the message.
    """
    order = np.argsort(data.row, kind="stable")
    ranked = data.row[order]
    at = np.minimum(np.searchsorted(ranked, rows), max(len(ranked) - 1, 0))
    absent = rows[ranked[at] != rows] if len(ranked) else rows
    if len(absent):
        raise InputError(
            f"{source} names {len(absent)} rows that {data.name} does not have, for example "
            f"{absent[0]}: load the whole data set, not one part of it"
        )
    return np.asarray(order[at], dtype=np.int64)


def overlaps(parts: Parts) -> Iterator[tuple[str, str, int]]:
    """Pairs of parts that share rows, with how many: none for a sound split."""
    names = list(parts)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = len(np.intersect1d(parts[a], parts[b]))
            if shared:
                yield a, b, shared
