"""CK+48: the last three frames of the emotion sequences of CK+, cut to 48 x 48 grey.

Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)"; the 48 x 48 cut is passed on without a
paper of its own (Kaggle, shawon10/ckplus). Files are ``<class>/S<subject>_<sequence>_<frame>.png``.
"""

import re
import zipfile
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import CKPLUS_7
from classpulse.lab.data.cache import Arrays, OnProgress, ignore_progress, load_cached
from classpulse.lab.data.class_names import match_label, match_labels
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.pictures import Tree, list_pictures, load_pictures, open_tree

SIDE = 48  # pixels
_FILE = re.compile(r"(S[0-9]{3})_([0-9]{3})_([0-9]{8})\.png")
_NESTED = (".", "CK+48", "CK+48/CK+48")  # what unpacking the zip file gives


def matches_ckplus(path: Path) -> bool:
    """Is there a picture named as in CK+ in a class of CK+, in the folder or zip file?"""
    try:
        if path.is_dir():
            first = (
                f"{label}/{file.name}"
                for inner in _NESTED
                for label in CKPLUS_7.names
                if (path / inner / label).is_dir()
                for file in islice(list_pictures(path / inner / label), 1)
            )
            return any(map(_is_ckplus, first))
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                return any(map(_is_ckplus, archive.namelist()))
    except (OSError, zipfile.BadZipFile):
        pass
    return False


def load_ckplus(
    path: Path, *, contempt: bool = True, on_progress: OnProgress = ignore_progress
) -> FaceSet:
    """CK+48 from its zip file, which is not unpacked, or from folders.

    The subject is ``S010``; the group column `sequence` counts within a subject (``004``). The
    three frames of a sequence are near copies: split by subject.

    Args:
        contempt: keep these 54 faces; FER2013 has no such class, and `truth_in` drops them.

    Raises:
        InputError: it cannot be opened, a class or a file name is not one of CK+, or a picture is
            damaged or not 48 x 48.
    """
    with open_tree(path) as tree:
        sha256 = tree.hash_pictures()
        arrays = load_cached(sha256, "ckplus", lambda: _parse(tree, on_progress), path=path)
    faces = FaceSet(
        images=arrays["images"],
        labels=arrays["labels"],
        space=CKPLUS_7,
        name="CK+48",
        subject=arrays["subject"],
        file=arrays["file"],
        groups={"sequence": arrays["sequence"]},
        sha256=sha256,
    )
    if contempt:
        return faces
    dropped = CKPLUS_7.index("contempt")
    return faces.take(faces.labels != dropped, name="CK+48 without contempt")


def parse_name(name: str) -> tuple[str, str, int]:
    """Subject, sequence and number of the frame: ``S010_004_00000017.png`` -> S010, 004, 17.

    Raises:
        InputError: another name.
    """
    found = _FILE.fullmatch(name)
    if found is None:
        raise InputError(
            f"'{name}' is not a picture of CK+: needs S<subject>_<sequence>_<frame>.png with 3, 3 "
            "and 8 digits, as S010_004_00000017.png"
        )
    return found[1], found[2], int(found[3])


def _is_ckplus(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or _FILE.fullmatch(parts[-1]) is None:
        return False
    return match_label(parts[-2], CKPLUS_7) is not None


def _parse(tree: Tree, on_progress: OnProgress) -> Arrays:
    paths = [PurePosixPath(name) for name in tree.pictures]
    for path in paths:
        try:
            parse_name(path.name)
        except InputError as error:
            raise InputError(f"{tree.path}, {path}: {error}") from None
    labels = match_labels((path.parent.name for path in paths), CKPLUS_7, tree.path)
    parsed = [parse_name(path.name) for path in paths]
    return {
        "images": load_pictures(
            tree, tree.pictures, side=SIDE, color=False, scaled=False, on_progress=on_progress
        ),
        "labels": np.array([labels[path.parent.name] for path in paths], dtype=np.int64),
        "subject": np.array([subject for subject, _, _ in parsed]),
        "sequence": np.array([sequence for _, sequence, _ in parsed]),
        "file": np.array(tree.pictures),
    }
