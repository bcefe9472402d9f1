"""The parts that a recipe trains, validates and tests on, out of the user's data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7
from classpulse.lab.data.dedup import find_repeats
from classpulse.lab.data.faces import FaceSet, concat_faces, truth_in, without_blank
from classpulse.lab.data.layouts import LAYOUTS, find_layout, load_faces
from classpulse.lab.data.splits import FOLD, ROLES, Rows, draw_split
from classpulse.lab.recipe import DataSpec, Recipe
from classpulse.lab.train.targets import HEAD_SPACES

NEEDED = ("train", "valid")


@dataclass(frozen=True, slots=True)
class FaceParts:
    """What a network learns from, what chooses its epoch and calibration, and what judges it."""

    train: FaceSet
    valid: FaceSet
    test: FaceSet | None = None


def parse_paths(given: Sequence[str]) -> dict[str, Path]:
    """``["fer2013=a.csv", ...]`` -> name -> path.

    Raises:
        InputError: a word without a name and a path, or a name twice.
    """
    paths: dict[str, Path] = {}
    for word in given:
        name, sign, path = word.partition("=")
        if not (name and sign and path) or name in paths:
            raise InputError(f"--data {word}: needs NAME=PATH, each name once")
        paths[name] = Path(path)
    return paths


def load_parts(
    recipe: Recipe,
    paths: Mapping[str, Path],
    votes: Path | None = None,
    *,
    groups: Path | None = None,
) -> FaceParts:
    """The parts of a recipe's split, blank training pictures left out.

    Sets after the first go to the training part unless they have parts of their own, as the thesis
    merges CK+48 into FER2013's train folder before it splits; several sets have FER2013's labels.

    Args:
        paths: name in ``[data] sets`` -> file or folder in any layout of `LAYOUTS`.
        votes: ``fer2013new.csv``, for the sets that have FER+ votes.
        groups: CSV of annotations of the first set, see `join_groups`; others have none.

    Raises:
        InputError: a set of the recipe has no path or a path no set, the data are malformed, the
            split gives no training or validation part, or there are annotations and the recipe
            has no use for them.
    """
    if groups is not None and recipe.groups is None:
        raise InputError(
            f"{groups} would change nothing: recipe {recipe.name} has no table [groups]; give "
            "--set groups.kind=weights --set groups.column=NAME, or leave --groups out"
        )
    head, seed = next(iter(recipe.heads)), recipe.schedule.seed
    return load_split(
        recipe.data, paths, votes, groups=groups, head=head, seed=seed, name=recipe.name
    )


def load_split(
    how: DataSpec,
    paths: Mapping[str, Path],
    votes: Path | None,
    *,
    groups: Path | None = None,
    head: str,
    seed: int,
    name: str,
) -> FaceParts:
    """As `load_parts`, by the labels of `head` for the recipe called `name`."""
    parts = load_roles(how, paths, votes, groups=groups, head=head, seed=seed, name=name)
    return FaceParts(parts["train"], parts["valid"], parts.get("test"))


def load_roles(
    how: DataSpec,
    paths: Mapping[str, Path],
    votes: Path | None,
    *,
    groups: Path | None = None,
    head: str,
    seed: int,
    name: str,
    needed: Sequence[str] = NEEDED,
) -> dict[str, FaceSet]:
    """As `load_split`: "train" and what else there is of "valid" and "test".

    Args:
        needed: parts without which there is nothing to do.
    """
    faces, further = load_merged(how, paths, votes, groups=groups, name=name)
    labels = truth_in(faces, HEAD_SPACES[head])
    rows = Rows(labels, faces.part, faces.subject, further)
    split = draw_split(how.split, rows, seed=seed, name=faces.name)
    parts = {
        role: faces.take(chosen, name=_name(faces, chosen, role, how.split))
        for role, chosen in split.items()
        if role in ROLES and len(chosen)
    }
    absent = [role for role in needed if role not in parts]
    if any(name.startswith(FOLD) for name in split):
        raise InputError(
            f"the split '{how.split}' has folds, no parts to learn from and to choose the epoch "
            "on: train it fold by fold with classpulse crossval"
        )
    if absent:
        raise InputError(
            f"the split '{how.split}' of {faces.name} gives no part '{absent[0]}' to "
            f"{'learn from' if absent[0] == 'train' else 'choose the epoch on'}; it gives "
            f"{', '.join(parts) or 'none'}"
        )
    train = without_blank(parts["train"])
    if how.dedup:
        train = without_repeats(train, [faces for role, faces in parts.items() if role != "train"])
    return {**parts, "train": train}


def load_merged(
    how: DataSpec,
    paths: Mapping[str, Path],
    votes: Path | None,
    *,
    groups: Path | None = None,
    name: str,
) -> tuple[FaceSet, NDArray[np.bool_] | None]:
    """The data sets of the recipe called `name` as one, and which rows (n,) are of further sets.

    Args:
        paths, votes, groups: as `load_parts` takes them.

    Raises:
        InputError: a set of the recipe has no path or a path no set, or the data are malformed.
    """
    if set(paths) != set(how.sets):
        needs = " ".join(f"--data {one}=PATH" for one in how.sets)
        raise InputError(f"recipe {name} needs {needs}, not {', '.join(paths) or 'nothing'}")
    annotated = [groups, *(None for _ in how.sets[1:])]
    sets = [_load(paths[name], votes, csv) for name, csv in zip(how.sets, annotated, strict=True)]
    if len(sets) == 1:
        return sets[0], None
    faces = _merge(sets)
    return faces, np.arange(len(faces)) >= len(sets[0])


def _load(path: Path, votes: Path | None, groups: Path | None) -> FaceSet:
    if not path.exists():
        raise InputError(f"{path} does not exist: give a file or folder with labelled faces")
    layout = find_layout(path)
    voted = votes if LAYOUTS.get(layout).voted else None
    return load_faces(path, layout=layout, votes=voted, groups=groups)


def _merge(sets: list[FaceSet]) -> FaceSet:
    named = [
        replace(faces, part=np.full(len(faces), ROLES["train"][0])) if faces.part is None else faces
        for faces in sets
    ]
    return concat_faces(named, space=FER2013_7, name=" + ".join(faces.name for faces in sets))


def _name(faces: FaceSet, rows: NDArray[np.int64], role: str, split: str) -> str:
    """ "FER2013 PublicTest" for a part of the source, else "FER2013 valid of thesis-stratified"."""
    if faces.part is not None:
        own = np.unique(faces.part[rows])
        if len(own) == 1 and int((faces.part == own[0]).sum()) == len(rows):
            return f"{faces.name} {own[0]}"
    return f"{faces.name} {role} of {split}"


def without_repeats(train: FaceSet, held_out: list[FaceSet]) -> FaceSet:
    """The training faces that do not stand in a held-out part, to the byte or to the eye."""
    repeated = np.zeros(len(train), dtype=np.bool_)
    for part in held_out:
        repeated[find_repeats(train.images, part.images).left] = True
    return train.take(~repeated, name=f"{train.name} without {int(repeated.sum())} repeats")
