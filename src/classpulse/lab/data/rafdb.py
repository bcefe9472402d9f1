"""RAF-DB, basic emotions, aligned faces, as its authors lay it out.

Li, Deng and Du 2017, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression
Recognition in the Wild"; http://www.whdeng.cn/RAF/model1.html, on request, for research only::

    Image/aligned/{train,test}_00001_aligned.jpg      100 x 100
    EmoLabel/list_patition_label.txt                  train_00001.jpg 5
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import RAFDB_7
from classpulse.lab.data.cache import Arrays, OnProgress, hash_source, ignore_progress, load_cached
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.pictures import load_pictures, open_tree
from classpulse.text.tables import load_text

SIDE = 100  # pixels
LABELS = "EmoLabel/list_patition_label.txt"
_LINE = re.compile(r"((train|test)_[0-9]+)\.jpg\s+([0-9]+)")


def matches_rafdb(path: Path) -> bool:
    """Is the list of labels in its place?"""
    return path.is_dir() and (_root(path) / LABELS).is_file()


def load_rafdb(path: Path, *, on_progress: OnProgress = ignore_progress) -> FaceSet:
    """RAF-DB's aligned faces: (n, 100, 100, 3) RGB, parts train and test, rows of the label list.

    Args:
        path: the folder with ``Image`` and ``EmoLabel``, or the folder ``basic`` is in.

    Raises:
        InputError: a line of the label list is malformed (it is named) or its picture is missing,
            damaged or not 100 x 100.
    """
    root = _root(path)
    stems, labels = _load_labels(root / LABELS)
    files = _pictures_of(root, stems)
    sha256 = _hash_files(root, files)

    def build() -> Arrays:
        with open_tree(root) as tree:
            images = load_pictures(
                tree, files, side=SIDE, color=True, scaled=False, on_progress=on_progress
            )
        return {"images": images}

    return FaceSet(
        images=load_cached(sha256, "rafdb", build, path=root)["images"],
        labels=labels,
        space=RAFDB_7,
        name="RAF-DB",
        part=np.array([stem.partition("_")[0] for stem in stems]),
        file=np.array(files),
        sha256=sha256,
    )


def hash_rafdb(path: Path) -> str:
    """SHA-256 of what `load_rafdb` reads, without its pictures being decoded.

    Raises:
        InputError: a line of the label list is malformed, or a picture is missing.
    """
    root = _root(path)
    return _hash_files(root, _pictures_of(root, _load_labels(root / LABELS)[0]))


def _pictures_of(root: Path, stems: Sequence[str]) -> list[str]:
    files = [f"Image/aligned/{stem}_aligned.jpg" for stem in stems]
    missing = [file for file in files if not (root / file).is_file()]
    if missing:
        raise InputError(
            f"{root} lacks {len(missing)} of the {len(files)} pictures in {LABELS}, the first is "
            f"{missing[0]}: unpack aligned.zip into Image"
        )
    return files


def _hash_files(root: Path, files: Sequence[str]) -> str:
    return hash_source(root, files=[root / LABELS, *(root / file for file in files)])


def _root(path: Path) -> Path:
    return path / "basic" if (path / "basic" / LABELS).is_file() else path


def _load_labels(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Names without ending, and (n,) int64 labels."""
    found: dict[str, int] = {}
    for number, text in enumerate(load_text(path).splitlines(), start=1):
        if not text.strip():
            continue
        line = _LINE.fullmatch(text.strip())
        if line is None or not 1 <= int(line[3]) <= len(RAFDB_7):
            raise InputError(
                f"{path}, line {number}: '{text.strip()[:60]}', needs train_<number>.jpg or "
                f"test_<number>.jpg and a label 1..{len(RAFDB_7)}"
            )
        if line[1] in found:
            raise InputError(f"{path}, line {number}: {line[1]}.jpg has a label already")
        found[line[1]] = int(line[3]) - 1
    if not found:
        raise InputError(f"{path} is empty: it needs a picture and its label on each line")
    return list(found), np.array(list(found.values()), dtype=np.int64)
