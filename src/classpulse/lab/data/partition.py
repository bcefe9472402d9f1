"""`classpulse data split`: a manifest of a data set by the name of a protocol."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.core.labels import RELABELS, SPACES, LabelSpace
from classpulse.lab.data import text_sets
from classpulse.lab.data.cache import OnProgress, ignore_progress
from classpulse.lab.data.clip_layouts import CLIP_LAYOUTS
from classpulse.lab.data.contents import CLIP, VOTES, find_reader
from classpulse.lab.data.corpora import CORPORA, hash_texts, load_texts
from classpulse.lab.data.faces import KINDS, FaceSet, truth_in
from classpulse.lab.data.layouts import load_faces
from classpulse.lab.data.splits import SEED, Parts, Rows, build_manifest, draw_split, overlaps
from classpulse.lab.data.texts import MultiTextSet, TextSet, relabel_texts

__all__ = ["Labelled", "load_labelled", "split_data", "text_sets"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A data set of faces or of texts, with labels in the space that was asked for.

    Args:
        data: the faces or texts.
        labels: (n,) int64 in `space`, -1 for none.
        sha256: of the file or folder.
        dropped: texts that were left out, with several labels or one that has no place in `space`.
    """

    data: FaceSet | TextSet
    labels: NDArray[np.int64]
    space: LabelSpace
    sha256: str
    dropped: int = 0


def load_labelled(
    path: Path,
    *,
    labels: str | None = None,
    reader: str | None = None,
    votes: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Labelled:
    """Faces or texts in any layout or corpus, with the labels that were asked for.

    Args:
        labels: of faces a word of `KINDS`, of texts the name of a label space that a rule leads
            to; None is the data's own.
        reader: name of a layout or corpus; None finds it.
        votes: ``fer2013new.csv``, for FER2013.

    Raises:
        InputError: the data cannot be read, are votes or a clip, or have no such labels.
    """
    name = find_reader(path, name=reader)
    if name in (VOTES, CLIP, *CLIP_LAYOUTS):
        raise InputError(f"{path} holds {name}: give labelled faces or texts")
    if name in CORPORA:
        if votes is not None:
            raise InputError(f"{path} holds texts: they have no FER+ votes, leave --votes out")
        whole = load_texts(path, name)
        texts = _relabelled(whole.single() if isinstance(whole, MultiTextSet) else whole, labels)
        dropped = len(whole) - len(texts)
        return Labelled(texts, texts.labels, texts.space, hash_texts(path), dropped)
    faces = load_faces(path, layout=name, votes=votes, on_progress=on_progress)
    space = faces.space if labels is None else _face_space(labels)
    return Labelled(faces, truth_in(faces, space), space, faces.sha256)


def _face_space(labels: str) -> LabelSpace:
    known = KINDS | SPACES
    if labels not in known:
        raise InputError(f"unknown labels '{labels}' for faces; known: {', '.join(known)}")
    return known[labels]


def _relabelled(texts: TextSet, labels: str | None) -> TextSet:
    if labels is None or labels == texts.space.name:
        return texts
    rules = {r.target.name: r for r in RELABELS.values() if r.source == texts.space}
    if labels not in rules:
        known = ", ".join((texts.space.name, *rules))
        raise InputError(f"{texts.name} cannot have the labels '{labels}'; it can have {known}")
    return relabel_texts(texts, rules[labels])


def split_data(
    labelled: Labelled, protocol: str, *, seed: int = SEED, out: Path | None = None
) -> dict[str, Any]:
    """Split by a protocol, check that no row is in two parts, and write the manifest.

    Returns:
        The manifest without its row numbers, with ``classes`` by name, ``unlabelled`` of each
        part, ``overlaps`` (none), and ``subjects`` of each part where they are known.

    Raises:
        InputError: an unknown protocol, data that lacks what it needs, too few rows to split, or
            a protocol whose parts share rows.
        OutputError: the manifest cannot be written.
    """
    data = labelled.data
    rows = Rows(labelled.labels, getattr(data, "part", None), getattr(data, "subject", None))
    parts = draw_split(protocol, rows, seed=seed, name=data.name)
    check_parts(parts, protocol)
    manifest = build_manifest(
        protocol, parts, rows, data=labelled.sha256, seed=seed, labels=labelled.space.names,
        row=data.row,
    )  # fmt: skip
    if out is not None:
        save_text(json.dumps(manifest) + "\n", out)
    return manifest | {
        "name": data.name,
        "space": labelled.space.name,
        "parts": {name: _summary(manifest["parts"][name], parts[name], rows, labelled.space)
                  for name in parts},
        "overlaps": [],
        "notes": [*_notes(labelled, parts)],
        "shared_subjects": _shared_subjects(parts, rows),
    }  # fmt: skip


def _notes(labelled: Labelled, parts: Parts) -> Iterator[str]:
    for name, part in parts.items():
        if not len(part):
            yield f"the part '{name}' is empty: the data have no rows for it"
    if labelled.dropped:
        yield f"{labelled.dropped:,} texts without exactly one label in this space are left out"
    if isinstance(labelled.data, TextSet):
        yield _TEXT_NOTE


_TEXT_NOTE = (
    "drawn over the rows that this file has; the thesis' own text sets, composed of several files "
    "of which some lack rows, are split by classpulse.lab.data.text_sets.split_composed"
)


def check_parts(parts: Parts, source: str) -> None:
    """`InputError` if a row is in two parts; `source` is what made them."""
    shared = [f"{a} and {b} share {n} rows" for a, b, n in overlaps(parts)]
    if shared:
        raise InputError(f"'{source}' gives no sound split: {'; '.join(shared)}")


def _summary(
    entry: dict[str, Any], part: NDArray[np.int64], rows: Rows, space: LabelSpace
) -> dict[str, Any]:
    people = None if rows.subject is None else len(set(rows.subject[part].tolist()))
    return {
        "n": entry["n"],
        "classes": dict(zip(space.names, entry["classes"], strict=True)),
        "unlabelled": int((rows.labels[part] < 0).sum()),
        "subjects": people,
        "sha256": entry["sha256"],
    }


def _shared_subjects(parts: Parts, rows: Rows) -> int | None:
    """How many people are in more than one part; None where nobody is named."""
    if rows.subject is None:
        return None
    seen = [set(rows.subject[part].tolist()) - {""} for part in parts.values()]
    return sum(sum(who in people for people in seen) > 1 for who in set().union(*seen))
