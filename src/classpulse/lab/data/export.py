"""`classpulse data export`: a data set in a form that other programs read."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.files import new_folder
from classpulse.core.labels import FER2013_7
from classpulse.lab.data.cache import OnProgress, ignore_progress
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.fer2013 import COLUMNS, SIDE, USAGES
from classpulse.lab.data.partition import Labelled
from classpulse.lab.data.splits import take_split
from classpulse.lab.data.texts import TextSet

REPORT_EVERY = 500  # pictures between two reports of progress
_USAGE = {**{name: name for name in USAGES}, **dict(zip(("train", "valid", "test"), USAGES,
                                                         strict=True))}  # fmt: skip


def export_data(
    labelled: Labelled,
    out: Path,
    *,
    form: str,
    split: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> dict[str, Any]:
    """Write a data set to a new folder, with ``export.json`` that says what it is.

    Faces: ``csv`` (`faces.csv`, see `_save_csv`), ``folders`` (a PNG per picture) or ``npz``;
    rows without a label are left out. Texts: ``csv`` or ``jsonl`` with text and label.

    Args:
        form: one of the above.
        split: ``manifest.json:part``; of faces only.

    Returns:
        What ``export.json`` holds: format, rows, classes, the data's SHA-256, the files and notes.

    Raises:
        InputError: an unknown format for this data, or a manifest of other data.
        OutputError: the folder is not empty or cannot be written.
    """
    data = labelled.data
    writers = _TEXT_WRITERS if isinstance(data, TextSet) else _FACE_WRITERS
    if form not in writers:
        kind = "texts" if isinstance(data, TextSet) else "faces"
        raise InputError(f"{kind} are not exported as '{form}'; known: {', '.join(writers)}")
    chosen = _chosen(labelled, split)
    with new_folder(out) as folder:
        notes = writers[form](chosen, folder, on_progress)
        files = sum(file.is_file() for file in folder.rglob("*"))
        facts = {
            "name": chosen.name,
            "format": form,
            "rows": len(chosen),
            "space": chosen.space.name,
            "classes": dict(zip(chosen.space.names, np.bincount(
                chosen.labels, minlength=len(chosen.space)).tolist(), strict=True)),
            "left_out": labelled.dropped + (len(data) - len(chosen) if split is None else 0),
            "split": split,
            "data_sha256": labelled.sha256,
            "files": files,
            "notes": notes,
        }  # fmt: skip
        (folder / "export.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts | {"out": str(out)}


def _chosen(labelled: Labelled, split: str | None) -> Any:
    """The rows to write, all of them with a label."""
    data = labelled.data
    if isinstance(data, TextSet):
        if split is not None:
            raise InputError("manifests choose faces; export texts whole, without --split")
        return data
    named = replace(data, labels=labelled.labels, space=labelled.space)
    if split is not None:
        named = take_split(named, split)
    kept = named.take(named.labels >= 0, name=named.name)
    if not len(kept):
        raise InputError(f"{named.name} has no row with a label in {labelled.space.name}")
    return kept


# --- faces ---------------------------------------------------------------------------------------


def _save_csv(faces: FaceSet, folder: Path, report: OnProgress) -> list[str]:
    """FER2013's own columns where the data fit them, so that every reader of FER2013 reads it.

    Else ``label,pixels,Usage,row`` with the label by name, which nobody can mistake for a number
    of FER2013. Pixels are row by row, of colour pictures red, green, blue in turn.
    """
    usage = _usages(faces)
    fits = faces.space == FER2013_7 and faces.images.shape[1:] == (SIDE, SIDE)
    fits = fits and all(part in USAGES for part in usage)
    with (folder / "faces.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS if fits else ("label", *COLUMNS[1:], "row"))
        for i, image in _counted(faces, report):
            pixels = " ".join(map(str, image.ravel().tolist()))
            label = int(faces.labels[i])
            named = (faces.space.names[label], pixels, usage[i], int(faces.row[i]))
            writer.writerow((label, pixels, usage[i]) if fits else named)
    notes = ["faces.csv holds pictures of people: keep it as safe as the original"]
    if faces.part is None:
        notes.append(f"the data have no parts: Usage is {USAGES[0]} in every row")
    if not fits:
        notes.append("not FER2013's classes, size or parts: the columns are label,pixels,Usage,row")
    return notes


def _usages(faces: FaceSet) -> list[str]:
    if faces.part is None:
        return [USAGES[0]] * len(faces)
    return [_USAGE.get(part, part) for part in faces.part.tolist()]


def _save_folders(faces: FaceSet, folder: Path, report: OnProgress) -> list[str]:
    """``[<part>/]<class>/<row>.png``, rows of the source from 0."""
    for i, image in _counted(faces, report):
        part = [] if faces.part is None else [str(faces.part[i])]
        place = folder.joinpath(*part, faces.space.names[int(faces.labels[i])])
        place.mkdir(parents=True, exist_ok=True)
        stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        data = cv2.imencode(".png", stored)[1].tobytes()
        (place / f"{int(faces.row[i]):07d}.png").write_bytes(data)
    return [f"{len(faces)} pictures of people were written: delete them when they are not needed"]


def _save_npz(faces: FaceSet, folder: Path, report: OnProgress) -> list[str]:
    """``faces.npz``: images, labels, names, row and, where there are, part, subject and votes."""
    columns: dict[str, Any] = {
        "images": faces.images,
        "labels": faces.labels,
        "names": np.array(faces.space.names),
        "row": faces.row,
        "part": faces.part,
        "subject": faces.subject,
        "votes": faces.votes,
    }
    there = {name: values for name, values in columns.items() if values is not None}
    np.savez_compressed(folder / "faces.npz", **there)
    report(len(faces), len(faces))
    return ["faces.npz holds pictures of people: keep it as safe as the original"]


def _counted(faces: FaceSet, report: OnProgress) -> Iterable[tuple[int, Any]]:
    for i, image in enumerate(faces.images):
        yield i, image
        if i % REPORT_EVERY == 0 or i + 1 == len(faces):
            report(i + 1, len(faces))


# --- texts ---------------------------------------------------------------------------------------


def _save_text_csv(texts: TextSet, folder: Path, report: OnProgress) -> list[str]:
    with (folder / "texts.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("text", "label", "source", "row"))
        writer.writerows(_text_rows(texts))
    return _TEXT_NOTES


def _save_text_json(texts: TextSet, folder: Path, report: OnProgress) -> list[str]:
    keys = ("text", "label", "source", "row")
    with (folder / "texts.jsonl").open("w", encoding="utf-8", newline="") as stream:
        for row in _text_rows(texts):
            item = dict(zip(keys, row, strict=True))
            stream.write(json.dumps(item, ensure_ascii=False) + "\n")
    return _TEXT_NOTES


_TEXT_NOTES = ["texts keep the terms of their corpus"]


def _text_rows(texts: TextSet) -> Iterable[tuple[str, str, str, int]]:
    """Text, name of its label, corpus and row in the corpus' file."""
    names = [texts.space.names[label] for label in texts.labels]
    return zip(texts.texts, names, texts.source, texts.row.tolist(), strict=True)


_FACE_WRITERS: dict[str, Callable[[FaceSet, Path, OnProgress], list[str]]] = {
    "csv": _save_csv,
    "folders": _save_folders,
    "npz": _save_npz,
}
_TEXT_WRITERS: dict[str, Callable[[TextSet, Path, OnProgress], list[str]]] = {
    "csv": _save_text_csv,
    "jsonl": _save_text_json,
}
