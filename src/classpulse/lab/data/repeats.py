"""`classpulse data dedup`: which training pictures stand in a held-out part too."""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.lab.data.dedup import Repeats, find_repeats, to_grey
from classpulse.lab.data.faces import FaceSet, is_blank
from classpulse.lab.data.splits import Rows, build_manifest
from classpulse.lab.terminal import OnStep

KINDS = ("identical", "similar", "mirrored")
TRAINING = ("Training", "train")  # what sources call the part to learn from


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of faces and the pictures that stand in both.

    Args:
        train, held_out: the two sets.
        repeats: rows of the first (left) and of the second (right).
    """

    train: FaceSet
    held_out: FaceSet
    repeats: Repeats


def choose_sides(
    faces: FaceSet,
    *,
    train: str | None = None,
    held_out: Sequence[str] = (),
    against: FaceSet | None = None,
) -> tuple[FaceSet, FaceSet]:
    """The faces to learn from, and those that must not be among them.

    Args:
        train: a part of `faces`; None is its training part, or all of it with `against`.
        held_out: parts of the other side; none is every other part.
        against: another data set as the other side; None is `faces` itself.

    Raises:
        InputError: the data have no parts, or not these.
    """
    if against is not None:
        mine = faces if train is None else faces.take_part(train)
        return mine, against if not held_out else _parts(against, held_out)
    known = [] if faces.part is None else list(dict.fromkeys(faces.part.tolist()))
    train = train or next((name for name in TRAINING if name in known), None)
    if train is None or len(known) < 2:
        there = f"the parts {', '.join(known)}" if known else "no parts"
        raise InputError(
            f"{faces.name} has {there}: say which one is trained on with --train, or give other "
            "data with --against"
        )
    others = tuple(held_out) or tuple(name for name in known if name != train)
    if train in others:
        raise InputError(f"'{train}' cannot be the training and the held-out part")
    return faces.take_part(train), _parts(faces, others)


def _parts(faces: FaceSet, names: Sequence[str]) -> FaceSet:
    chosen = [faces.take_part(name) for name in names]
    if len(chosen) == 1:
        return chosen[0]
    assert faces.part is not None  # take_part has looked
    return faces.take(np.isin(faces.part, names), name=f"{faces.name} {' + '.join(names)}")


def compare_sides(train: FaceSet, held_out: FaceSet, *, on_step: OnStep) -> Comparison:
    """Every picture of `train` that stands in `held_out`, by `find_repeats`.

    Raises:
        InputError: one side has no pictures.
    """
    for side in (train, held_out):
        if not len(side):
            raise InputError(f"{side.name} has no pictures to compare")
    found = find_repeats(to_grey(train.images), to_grey(held_out.images),
                         on_progress=functools.partial(on_step, "comparing"))  # fmt: skip
    return Comparison(train, held_out, found)


def report_repeats(
    compared: Comparison,
    *,
    examples: int = 5,
    out: Path | None = None,
    manifest: Path | None = None,
) -> dict[str, Any]:
    """Counts by kind, and examples by row number of the source.

    ``train_pictures`` and ``held_out_pictures`` count rows that are in a pair; ``other_label``
    counts pairs whose two rows have different labels (only if both sides have one label space);
    ``blank`` counts pairs of pictures without content, which are identical to each other.

    Args:
        examples: pairs of each kind to list.
        out: the same as JSON with every pair in ``pairs``.
        manifest: of `save_clean`; its row counts are in ``clean``.

    Raises:
        OutputError: a file cannot be written.
    """
    repeats = compared.repeats
    everything = np.ones(len(repeats), dtype=np.bool_)
    masks = {kind: repeats.kind == kind for kind in KINDS}
    report: dict[str, Any] = {
        "train": _side(compared.train),
        "held_out": _side(compared.held_out),
        "kinds": {kind: _counts(compared, mask) for kind, mask in masks.items()},
        "all": _counts(compared, everything),
        "examples": [
            pair
            for mask in masks.values()
            for pair in _pairs(compared, np.flatnonzero(mask)[: max(examples, 0)])
        ],
    }
    if manifest is not None:
        report["clean"] = save_clean(compared, manifest)
    if out is not None:
        whole = report | {"pairs": _pairs(compared, np.flatnonzero(everything))}
        save_text(json.dumps(whole, indent=1) + "\n", out)
    return report


def _side(faces: FaceSet) -> dict[str, Any]:
    return {"name": faces.name, "rows": len(faces), "data_sha256": faces.sha256}


def _counts(compared: Comparison, mask: NDArray[np.bool_]) -> dict[str, Any]:
    left, right = compared.repeats.left[mask], compared.repeats.right[mask]
    differs = _differs(compared, left, right)
    blank = is_blank(compared.held_out.images[right])
    return {
        "pairs": len(left),
        "train_pictures": len(np.unique(left)),
        "held_out_pictures": len(np.unique(right)),
        "other_label": None if differs is None else int(differs.sum()),
        "blank": int(blank.sum()),
        "blank_other_label": None if differs is None else int((blank & differs).sum()),
        "held_out_other_label": None if differs is None else len(np.unique(right[differs])),
    }


def _differs(
    compared: Comparison, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    if compared.train.space != compared.held_out.space:
        return None
    return np.asarray(compared.train.labels[left] != compared.held_out.labels[right])


def _pairs(compared: Comparison, chosen: NDArray[np.int64]) -> list[dict[str, Any]]:
    train, held_out, repeats = compared.train, compared.held_out, compared.repeats
    return [
        {
            "kind": str(repeats.kind[i]),
            "train_row": int(train.row[a]),
            "held_out_row": int(held_out.row[b]),
            "train_label": _label(train, a),
            "held_out_label": _label(held_out, b),
        }
        for i, a, b in zip(chosen, repeats.left[chosen], repeats.right[chosen], strict=True)
    ]


def _label(faces: FaceSet, place: np.int64) -> str | None:
    label = int(faces.labels[place])
    return faces.space.names[label] if label >= 0 else None


def save_clean(compared: Comparison, path: Path) -> dict[str, int]:
    """A manifest whose ``train`` leaves the repeats out; ``held-out`` if it is of the same data.

    Returns:
        Rows of each part.

    Raises:
        OutputError: it cannot be written.
    """
    train, held_out = compared.train, compared.held_out
    kept = np.setdiff1d(np.arange(len(train)), compared.repeats.left)
    sides = {"train": train.take(kept, name="train")}
    if held_out.sha256 == train.sha256:
        sides["held-out"] = held_out
    row = np.concatenate([side.row for side in sides.values()])
    ends = np.cumsum([0, *map(len, sides.values())])
    parts = {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(sides)}
    rows = Rows(np.concatenate([side.labels for side in sides.values()]))
    manifest = build_manifest(
        "dedup", parts, rows, data=train.sha256, seed=0, labels=train.space.names, row=row
    )
    save_text(json.dumps(manifest) + "\n", path)
    return {name: len(part) for name, part in parts.items()}
