"""Every layout in which a face data set comes, behind one call.

A layout is found by what the path holds; the registry lists them, and each names its source. Video
data sets have layouts of their own in `clip_layouts`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.data.affectnet import hash_affectnet, load_affectnet, matches_affectnet
from classpulse.lab.data.cache import OnProgress, hash_source, ignore_progress
from classpulse.lab.data.ckplus import load_ckplus, matches_ckplus
from classpulse.lab.data.clip_layouts import find_clip_layout
from classpulse.lab.data.face_folders import (
    load_class_folders,
    load_fer2013_folders,
    load_unlabeled,
    matches_class_folders,
    matches_fer2013_folders,
    matches_unlabeled,
)
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.fer2013 import join_votes, load_fer2013, matches_fer2013
from classpulse.lab.data.groups import join_groups
from classpulse.lab.data.pictures import hash_pictures
from classpulse.lab.data.rafdb import hash_rafdb, load_rafdb, matches_rafdb


@dataclass(frozen=True, slots=True)
class Layout:
    """One way in which pictures and labels are laid out on disk.

    Args:
        summary: what it is, who published it and on what terms, for `classpulse data ls`.
        matches: does this path look like it? Reads names and first bytes, never everything.
        load: (path, on_progress=...) -> the whole set; also side=... where it is `scaled`.
        hash: path -> `sha256` of what `load` gives, without parsing or caching it.
        scaled: pictures come in any size and are scaled to a side.
        voted: FER+ votes can be joined.
    """

    summary: str
    matches: Callable[[Path], bool]
    load: Callable[..., FaceSet]
    hash: Callable[[Path], str]
    scaled: bool = False
    voted: bool = False


LAYOUTS: Registry[Layout] = Registry("face data layout")


def load_faces(
    path: Path,
    *,
    layout: str | None = None,
    part: str | None = None,
    votes: Path | None = None,
    groups: Path | None = None,
    side: int | None = None,
    on_progress: OnProgress = ignore_progress,
) -> FaceSet:
    """A face data set in any layout of `LAYOUTS`; parsed once, then memory-mapped.

    Args:
        path: file or folder.
        layout: name in `LAYOUTS`; None finds it.
        part: one of the set's own parts; None is all of it.
        votes: ``fer2013new.csv``, for FER2013 as CSV only.
        groups: CSV of annotations, see `groups.join_groups`.
        side: of the pictures in pixels, for layouts with pictures of any size; None is the
            layout's own: 48, and 96 for AffectNet.
        on_progress: called while the set is parsed for the first time.

    Raises:
        InputError: nothing there, no layout fits, the data are malformed, or votes or a side are
            given where the layout has no use for them.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give a file or folder with labelled faces")
    name = layout or find_layout(path)
    found = LAYOUTS.get(name)
    if votes is not None and not found.voted:
        raise InputError(f"FER+ votes go with the rows of fer2013.csv; {path} is in '{name}'")
    if side is not None and not found.scaled:
        raise InputError(f"pictures of the layout '{name}' have one size; leave out side = {side}")
    options: dict[str, Any] = {} if side is None else {"side": side}
    faces = found.load(path, on_progress=on_progress, **options)
    if votes is not None:
        faces = join_votes(faces, votes, only=part)
    if groups is not None:
        faces = join_groups(faces, groups)
    return faces if part is None else faces.take_part(part)


def hash_faces(path: Path) -> str:
    """SHA-256 of a face data set as `FaceSet.sha256` has it: which files count its layout knows.

    Raises:
        InputError: no layout fits, or files of it are missing or cannot be read.
    """
    return LAYOUTS.get(find_layout(path)).hash(path)


def find_layout(path: Path) -> str:
    """Name of the first layout that the path looks like.

    Raises:
        InputError: none; the known ones are listed.
    """
    for name in LAYOUTS:
        if LAYOUTS.get(name).matches(path):
            return name
    clips = find_clip_layout(path)
    if clips is not None:
        raise InputError(
            f"{path} is '{clips}': video clips with several targets each, not face crops; "
            "clip_layouts.load_clips reads them"
        )
    raise InputError(
        f"{path} is in no known layout of labelled faces: {', '.join(LAYOUTS)}; "
        "classpulse data ls describes them"
    )


LAYOUTS.register("fer2013-csv")(
    Layout(
        "FER2013 as Kaggle's CSV (emotion,pixels,Usage), plain, .gz or .zip (Goodfellow et al. "
        "2013; rights to the pictures unresolved)",
        matches_fer2013,
        load_fer2013,
        hash_source,
        voted=True,
    )
)
LAYOUTS.register("ckplus")(
    Layout(
        "CK+48, <class>/S<subject>_<sequence>_<frame>.png in folders or a zip file (Lucey et al. "
        "2010; research use)",
        matches_ckplus,
        load_ckplus,
        hash_pictures,
    )
)
LAYOUTS.register("rafdb")(
    Layout(
        "RAF-DB, basic emotions: Image/aligned and EmoLabel (Li et al. 2017; on request, "
        "research use)",
        matches_rafdb,
        load_rafdb,
        hash_rafdb,
    )
)
LAYOUTS.register("affectnet")(
    Layout(
        "AffectNet with eight labels: train_set|val_set with images and annotations "
        "(Mollahosseini et al. 2019; on request, research use)",
        matches_affectnet,
        load_affectnet,
        hash_affectnet,
        scaled=True,
    )
)
LAYOUTS.register("fer2013-folders")(
    Layout(
        "FER2013 as pictures, train|test|validation/<class>/* (passed on at Kaggle; terms as "
        "fer2013-csv)",
        matches_fer2013_folders,
        load_fer2013_folders,
        hash_pictures,
    )
)
LAYOUTS.register("face-folders")(
    Layout(
        "your own face crops of any size, <class>/* named after labels",
        matches_class_folders,
        load_class_folders,
        hash_pictures,
        scaled=True,
    )
)
LAYOUTS.register("face-pictures")(
    Layout(
        "your own face crops of any size in one folder, without labels",
        matches_unlabeled,
        load_unlabeled,
        hash_pictures,
        scaled=True,
    )
)
