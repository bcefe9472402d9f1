"""AffectNet with eight labels, manually annotated, as its authors pass it on since 2021.

Mollahosseini, Hasani and Mahoor 2019, "AffectNet: A Database for Facial Expression, Valence, and
Arousal Computing in the Wild"; http://mohammadmahoor.com/affectnet, on request, research only::

    train_set|val_set/images/<id>.jpg                 224 x 224
    train_set|val_set/annotations/<id>_exp.npy        0..7; also _val.npy, _aro.npy, _lnd.npy

An annotation file holds one number, which is stored as text. The landmarks are not read.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import AFFECTNET_8
from classpulse.lab.data.cache import Arrays, OnProgress, hash_source, ignore_progress, load_cached
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.pictures import check_side, list_pictures, load_pictures, open_tree

SIDE = 96  # pixels: all 291,650 pictures are 8 GB then, and 44 GB at their own 224 x 224
PARTS = ("train_set", "val_set")
KINDS = ("exp", "val", "aro")
UNCERTAIN = -2.0  # valence and arousal where annotators gave none


def matches_affectnet(path: Path) -> bool:
    """Has a part both pictures and annotations?"""
    inside = ("images", "annotations")
    return any(all((path / part / name).is_dir() for name in inside) for part in PARTS)


def load_affectnet(
    path: Path, *, side: int = SIDE, on_progress: OnProgress = ignore_progress
) -> FaceSet:
    """AffectNet: (n, side, side, 3) RGB; parts train_set and val_set, as far as they are there.

    Valence and arousal, -1..1 or -2 for uncertain, are group columns of these names. The row is
    the place among the sorted relative paths.

    Args:
        side: in pixels, to which pictures are scaled.

    Raises:
        InputError: a part has no pictures, a picture has no annotation or is damaged, or a value
            is out of range (the file is named).
    """
    check_side(side)
    files, notes = _find_files(path)
    sha256 = _hash_files(path, files, notes)

    def build() -> Arrays:
        with open_tree(path) as tree:
            images = load_pictures(
                tree, files, side=side, color=True, scaled=True, on_progress=on_progress
            )
        return {
            "images": images,
            "labels": np.array([_load_label(note) for note in notes["exp"]], dtype=np.int64),
            "valence": _load_column(notes["val"]),
            "arousal": _load_column(notes["aro"]),
        }

    arrays = load_cached(sha256, "affectnet", build, path=path, settings=f"side {side}")
    return FaceSet(
        images=arrays["images"],
        labels=arrays["labels"],
        space=AFFECTNET_8,
        name="AffectNet",
        part=np.array([PurePosixPath(file).parts[0] for file in files]),
        file=np.array(files),
        groups={name: arrays[name] for name in ("valence", "arousal")},
        sha256=sha256,
    )


def hash_affectnet(path: Path) -> str:
    """SHA-256 of what `load_affectnet` reads, without its pictures being decoded.

    Raises:
        InputError: a part has no pictures, or a picture has no annotation.
    """
    return _hash_files(path, *_find_files(path))


def _find_files(path: Path) -> tuple[list[str], dict[str, list[Path]]]:
    """Pictures, and for each kind their annotations in the same order."""
    parts = [part for part in PARTS if (path / part).is_dir()]
    files = sorted(f"{part}/images/{name}" for part in parts for name in _names_in(path, part))
    notes = {kind: [_annotation(path, file, kind) for file in files] for kind in KINDS}
    missing = [note for kind in KINDS for note in notes[kind] if not note.is_file()]
    if missing:
        raise InputError(
            f"{path}: {len(missing)} annotations of {len(files)} pictures are missing, the first "
            f"is {missing[0]}; unpack the set again"
        )
    return files, notes


def _hash_files(path: Path, files: Sequence[str], notes: Mapping[str, Sequence[Path]]) -> str:
    return hash_source(path, files=[*(path / f for f in files), *chain(*notes.values())])


def _names_in(path: Path, part: str) -> list[str]:
    folder = path / part / "images"
    names = [file.name for file in list_pictures(folder)] if folder.is_dir() else []
    if not names:
        raise InputError(f"{folder} holds no pictures: needs <id>.jpg; unpack the set again")
    return names


def _annotation(path: Path, file: str, kind: str) -> Path:
    place = path / file
    return place.parents[1] / "annotations" / f"{place.stem}_{kind}.npy"


def _load_label(file: Path) -> int:
    value = _load_number(file)
    if value not in range(len(AFFECTNET_8)):
        raise InputError(f"{file} holds the label {value:g}, needs 0..{len(AFFECTNET_8) - 1}")
    return int(value)


def _load_column(files: list[Path]) -> NDArray[np.str_]:
    values = []
    for file in files:
        value = _load_number(file)
        if not (-1 <= value <= 1 or value == UNCERTAIN):
            raise InputError(f"{file} holds {value:g}, needs -1..1, or -2 for uncertain")
        values.append(str(value))
    return np.array(values)


def _load_number(file: Path) -> float:
    try:
        return float(np.load(file, allow_pickle=False).item())
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or 'not a .npy file'}") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{file} does not hold one number ({error}); unpack it again") from None
