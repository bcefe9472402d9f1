"""Face crops in folders: FER2013 by part and class, any crops by class, and crops without labels.

A row is the place of a picture among the sorted relative paths. Folders with train and test are how
FER2013 is passed on as JPEG or PNG files (for example on Kaggle, msambare/fer2013): the numbers of
the CSV file's rows are lost there, so FER+ votes cannot be joined.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import (
    FER2013_7,
    FERPLUS_8,
    LEARNING_STATE_4,
    UNLABELED,
    LabelSpace,
)
from classpulse.lab.data.cache import Arrays, OnProgress, ignore_progress, load_cached
from classpulse.lab.data.class_names import match_label, match_labels
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.fer2013 import SIDE
from classpulse.lab.data.pictures import (
    Tree,
    check_side,
    list_folders,
    list_pictures,
    load_pictures,
    open_tree,
)

PARTS = (
    "train", "test", "validation", "val", "valid", "training", "publictest", "privatetest"
)  # fmt: skip
SPACES = (FER2013_7, FERPLUS_8, LEARNING_STATE_4)  # tried in this order


def matches_fer2013_folders(path: Path) -> bool:
    """Is there a part with a folder named after an emotion in it?"""
    parts = _part_folders(path)
    return any(match_label(f.name, FER2013_7) is not None for p in parts for f in list_folders(p))


def load_fer2013_folders(path: Path, *, on_progress: OnProgress = ignore_progress) -> FaceSet:
    """FER2013 as ``train|test|validation/<class>/*``: (n, 48, 48) grey; the part is the folder.

    Raises:
        InputError: a picture lies elsewhere, is unreadable or not 48 x 48, or a class is unknown.
    """
    with open_tree(path) as tree:
        parts, classes = _split_names(tree, ("train|test|validation", "<class>"))
        strange = sorted(part for part in set(parts) if part.lower() not in PARTS)
        if strange:
            raise InputError(f"{path} has pictures in '{strange[0]}', needs {', '.join(PARTS)}")
        labels = match_labels(classes, FER2013_7, path)
        sha256 = tree.hash_pictures()
        arrays = load_cached(
            sha256,
            "fer2013-folders",
            lambda: {
                "images": load_pictures(
                    tree, tree.pictures, side=SIDE, color=False, scaled=False,
                    on_progress=on_progress,
                ),
            },
            path=path,
        )  # fmt: skip
        return FaceSet(
            images=arrays["images"],
            labels=np.array([labels[name] for name in classes], dtype=np.int64),
            space=FER2013_7,
            name="FER2013 in folders",
            part=np.array(parts),
            file=np.array(tree.pictures),
            sha256=sha256,
        )


def matches_class_folders(path: Path) -> bool:
    """Is there a folder named after a label, with a picture in it?"""
    if not path.is_dir():
        return False
    return any(
        any(match_label(folder.name, space) is not None for space in SPACES)
        and _has_picture(folder)
        for folder in list_folders(path)
    )


def load_class_folders(
    path: Path,
    *,
    side: int = SIDE,
    space: LabelSpace | None = None,
    on_progress: OnProgress = ignore_progress,
) -> FaceSet:
    """Face crops of any size as ``<class>/*``, scaled to one side.

    Args:
        side: of every picture in pixels; a crop that is not square is stretched.
        space: what the folders name; None takes the first of `SPACES` that has them all.

    Returns:
        (n, side, side) grey, or (n, side, side, 3) RGB if any picture has color.

    Raises:
        InputError: a picture lies elsewhere or is unreadable, or a class is unknown.
    """
    with open_tree(path) as tree:
        (classes,) = _split_names(tree, ("<class>",))
        chosen = space or _guess_space(classes)
        labels = match_labels(classes, chosen, path)
        images, sha256 = _any_pictures(tree, side, on_progress)
        return FaceSet(
            images=images,
            labels=np.array([labels[name] for name in classes], dtype=np.int64),
            space=chosen,
            name=path.resolve().name,
            file=np.array(tree.pictures),
            sha256=sha256,
        )


def matches_unlabeled(path: Path) -> bool:
    """Does the folder itself hold pictures, and no folder of it?"""
    if not path.is_dir() or not _has_picture(path):
        return False
    return not any(map(_has_picture, list_folders(path)))


def load_unlabeled(
    path: Path, *, side: int = SIDE, on_progress: OnProgress = ignore_progress
) -> FaceSet:
    """Face crops of any size directly in a folder: all labels are -1 (in `FER2013_7`).

    Raises:
        InputError: a picture is unreadable, or lies deeper.
    """
    with open_tree(path) as tree:
        _split_names(tree, ())
        images, sha256 = _any_pictures(tree, side, on_progress)
        return FaceSet(
            images=images,
            labels=np.full(len(tree.pictures), UNLABELED, dtype=np.int64),
            space=FER2013_7,
            name=path.resolve().name,
            file=np.array(tree.pictures),
            sha256=sha256,
        )


def _any_pictures(tree: Tree, side: int, on_progress: OnProgress) -> tuple[NDArray[np.uint8], str]:
    """The pictures at one size, and the hash of their source."""
    check_side(side)

    def build() -> Arrays:
        images = load_pictures(
            tree, tree.pictures, side=side, color=None, scaled=True, on_progress=on_progress
        )
        return {"images": images}

    sha256 = tree.hash_pictures()
    arrays = load_cached(sha256, "pictures", build, path=tree.path, settings=f"side {side}")
    return arrays["images"], sha256


def _split_names(tree: Tree, levels: Sequence[str]) -> list[list[str]]:
    """The folder of each picture at each level; a picture at another depth is an error."""
    folders = [PurePosixPath(name).parts[:-1] for name in tree.pictures]
    for name, found in zip(tree.pictures, folders, strict=True):
        if len(found) != len(levels):
            raise InputError(
                f"{tree.path / name}: pictures of this layout lie in "
                f"{'/'.join((*levels, 'a picture'))} below {tree.path}; move it or remove it"
            )
    return [[found[i] for found in folders] for i in range(len(levels))]


def _guess_space(classes: Sequence[str]) -> LabelSpace:
    for space in SPACES:
        if all(match_label(name, space) is not None for name in set(classes)):
            return space
    return SPACES[0]  # whose names the error will list


def _part_folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return [folder for folder in list_folders(path) if folder.name.lower() in PARTS]


def _has_picture(folder: Path) -> bool:
    return any(islice(list_pictures(folder), 1))
