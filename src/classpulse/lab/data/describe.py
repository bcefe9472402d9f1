"""What a data file holds, in numbers: faces, texts, FER+ votes or a clip."""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import FERPLUS_8, LEARNING_STATE_RULE, LabelSpace, ferplus_majority
from classpulse.lab.data.cache import hash_source
from classpulse.lab.data.clip_layouts import CLIP_LAYOUTS, load_clips
from classpulse.lab.data.clips import ClipSet
from classpulse.lab.data.contents import CLIP, VOTES, find_reader
from classpulse.lab.data.corpora import CORPORA, AnyTexts, hash_texts, load_parts
from classpulse.lab.data.faces import FaceSet, is_blank
from classpulse.lab.data.fer2013 import load_votes
from classpulse.lab.data.layouts import LAYOUTS, load_faces
from classpulse.lab.data.relabel import count_cleaning, count_labels
from classpulse.lab.data.text_duplicates import compare_key
from classpulse.lab.data.texts import MultiTextSet
from classpulse.lab.terminal import OnStep
from classpulse.vision.source import open_source

PERCENTILES = (5, 50, 95, 99)
SHOWN_VALUES = 20  # of an annotation column; the rest is counted together


def summarize_path(
    path: Path, *, reader: str | None = None, votes: Path | None = None, on_step: OnStep
) -> dict[str, Any]:
    """Everything that can be counted in a file or folder of data.

    Args:
        reader: name of `contents.reader_names`; None finds it by the content.
        votes: ``fer2013new.csv``, to describe faces together with their votes.

    Returns:
        ``path``, ``kind`` (faces, texts, votes, clips or clip), ``reader``, ``sha256``, and what
        `summarize_faces`, `summarize_texts`, `summarize_votes` or clips add.

    Raises:
        InputError: nothing there, nothing known, or malformed.
    """
    name = find_reader(path, name=reader)
    if votes is not None and name not in LAYOUTS:
        raise InputError(f"{path} is '{name}', no faces with FER+ votes: leave --votes out")
    head: dict[str, Any] = {"path": str(path), "reader": name}
    if name == CLIP:
        return head | {"kind": "clip", "sha256": hash_source(path)} | _summarize_clip(path)
    if name == VOTES:
        usage, table = load_votes(path)
        return head | {"kind": "votes", "sha256": hash_source(path)} | summarize_votes(usage, table)
    if name in CORPORA:
        parts = load_parts(path, name)
        head |= {"summary": CORPORA.get(name).summary, "kind": "texts", "sha256": hash_texts(path)}
        return head | summarize_texts(parts)
    if name in CLIP_LAYOUTS:
        head |= {"summary": CLIP_LAYOUTS.get(name).summary, "kind": "clips"}
        return head | _summarize_clips(load_clips(path, layout=name, missing_ok=True))
    progress = functools.partial(on_step, "reading")
    faces = load_faces(path, layout=name, votes=votes, on_progress=progress)
    head |= {"summary": LAYOUTS.get(name).summary, "kind": "faces", "sha256": faces.sha256}
    return head | summarize_faces(faces)


def summarize_faces(faces: FaceSet) -> dict[str, Any]:
    """Counts of a face set: classes, parts, subjects, groups, blank pictures, repeats, votes.

    ``repeats`` counts pictures with the same bytes as another: ``rows`` that have a twin, distinct
    ``pictures`` among them, and how many of these stand there with several labels. Blank pictures
    do not count.
    """
    blank = is_blank(faces.images)
    height, width = faces.images.shape[1:3]
    votes = faces.votes
    return {
        "name": faces.name,
        "rows": len(faces),
        "picture": {"width": width, "height": height, "channels": (*faces.images.shape, 1)[3]},
        "space": faces.space.name,
        "classes": count_labels(faces.labels, faces.space),
        "unlabelled": int((faces.labels < 0).sum()),
        "parts": {
            part: {
                "rows": int((faces.part == part).sum()),
                "blank": int(blank[faces.part == part].sum()),
                "classes": count_labels(faces.labels[faces.part == part], faces.space),
            }
            for part in ([] if faces.part is None else dict.fromkeys(faces.part.tolist()))
        },
        "blank": int(blank.sum()),
        "repeats": _count_repeats(faces, blank),
        "subjects": None if faces.subject is None else len(set(faces.subject.tolist()) - {""}),
        "groups": {column: _count_values(values) for column, values in faces.groups.items()},
        "votes": None if votes is None else _summarize_vote_table(votes),
    }


def _count_repeats(faces: FaceSet, blank: NDArray[np.bool_]) -> dict[str, int]:
    labels: dict[bytes, list[int]] = {}
    for row in np.flatnonzero(~blank).tolist():
        labels.setdefault(faces.images[row].tobytes(), []).append(int(faces.labels[row]))
    twins = [of for of in labels.values() if len(of) > 1]
    return {
        "rows": sum(map(len, twins)),
        "pictures": len(twins),
        "several_labels": sum(len(set(of)) > 1 for of in twins),
    }


def _count_values(values: NDArray[np.str_]) -> dict[str, int]:
    """Rows per value, the most frequent first; '' is unknown, the rare ones are one entry."""
    counts = Counter(values.tolist()).most_common()
    rest = sum(n for _, n in counts[SHOWN_VALUES:])
    other = {f"{len(counts) - SHOWN_VALUES} other values": rest} if rest else {}
    return dict(counts[:SHOWN_VALUES]) | other


def summarize_votes(usage: NDArray[np.str_], votes: NDArray[np.int64]) -> dict[str, Any]:
    """Counts of a FER+ file: rows per part, the cleaning table, and what the rules give."""
    parts = Counter(usage.tolist())
    table = _summarize_vote_table(votes)
    return {"rows": len(usage), "parts": {p: {"rows": n} for p, n in parts.items()}} | table


def _summarize_vote_table(votes: NDArray[np.int64]) -> dict[str, Any]:
    majority = ferplus_majority(votes)
    state = LEARNING_STATE_RULE
    totals = Counter(votes.sum(axis=1).tolist())
    return {
        "votes_per_row": {str(total): totals[total] for total in sorted(totals, reverse=True)},
        "cleaning": count_cleaning(votes),
        "majority": count_labels(majority, FERPLUS_8),
        "no_majority": int((majority < 0).sum()),
        state.name.replace("-", "_"): count_labels(state.apply(votes), state.target),
    }


def summarize_texts(parts: dict[str, AnyTexts]) -> dict[str, Any]:
    """Counts of texts: classes, parts, labels a text, lengths, repeats, and odd ones.

    A reader refuses a row without a text or a label and names its line, so none is counted;
    ``odd`` has texts that a cleaning should look at: without any word, wholly in brackets (ISEAR's
    "[No response.]"), or with control or replacement characters.
    """
    first = next(iter(parts.values()))
    texts = [text for part in parts.values() for text in part.texts]
    whole = sum((_class_vector(part) for part in parts.values()), np.zeros(len(first.space), int))
    numbers = [_label_numbers(part) for part in parts.values()]
    return {
        "name": first.name,
        "rows": len(texts),
        "space": first.space.name,
        "classes": _by_name(whole, first.space),
        "labels_per_text": _count_sizes(np.concatenate(numbers)),
        "parts": {
            name: {"rows": len(part), "classes": _by_name(_class_vector(part), part.space)}
            for name, part in parts.items()
            if name
        },
        "length": {
            "characters": _spread([len(text) for text in texts]),
            "words": _spread([len(text.split()) for text in texts]),
        },
        "repeats": _count_text_repeats(list(parts.values())),
        "odd": {
            "without_words": sum(not re.search(r"[^\W_]", text) for text in texts),
            "in_brackets": sum(bool(re.fullmatch(r"\s*\[.*\]\s*", t, re.DOTALL)) for t in texts),
            "odd_characters": sum(bool(_ODD.search(text)) for text in texts),
        },
    }


_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f�]")


def _class_vector(texts: AnyTexts) -> NDArray[np.int64]:
    """(k,) texts that have each label."""
    if isinstance(texts, MultiTextSet):
        return texts.targets.sum(axis=0, dtype=np.int64)
    return np.bincount(texts.labels, minlength=len(texts.space)).astype(np.int64)


def _by_name(counts: NDArray[np.int64], space: LabelSpace) -> dict[str, int]:
    return dict(zip(space.names, counts.tolist(), strict=True))


def _label_numbers(texts: AnyTexts) -> NDArray[np.int64]:
    """(n,) how many labels each text has."""
    if isinstance(texts, MultiTextSet):
        return texts.targets.sum(axis=1, dtype=np.int64)
    return np.ones(len(texts), dtype=np.int64)


def _count_sizes(numbers: NDArray[np.int64]) -> dict[str, int]:
    sizes, counts = np.unique(numbers, return_counts=True)
    return {str(s): n for s, n in zip(sizes.tolist(), counts.tolist(), strict=True)}


def _spread(values: Sequence[int]) -> dict[str, float]:
    shares = np.percentile(values, PERCENTILES, method="nearest").tolist()
    named = {f"p{p}": int(value) for p, value in zip(PERCENTILES, shares, strict=True)}
    mean = round(float(np.mean(values)), 1)
    return {"min": min(values), **named, "max": max(values), "mean": mean}


def _count_text_repeats(parts: list[AnyTexts]) -> dict[str, int]:
    """Texts that occur more than once in all parts together, and how many have several labels.

    Two texts are the same as in `text_duplicates`; the labels of a text are compared as a set.
    """
    labels: dict[str, list[bytes]] = {}
    for part in parts:
        for i, text in enumerate(part.texts):
            of = part.targets[i] if isinstance(part, MultiTextSet) else part.labels[i]
            labels.setdefault(compare_key(text), []).append(of.tobytes())
    twins = [of for of in labels.values() if len(of) > 1]
    several = [of for of in twins if len(set(of)) > 1]
    return {
        "rows": sum(map(len, twins)),
        "texts": len(twins),
        "several_labels": len(several),
        "several_labels_rows": sum(map(len, several)),
    }


def _summarize_clip(path: Path) -> dict[str, Any]:
    """Frames, seconds and size; every frame is decoded, so a damaged clip tells itself."""
    times: list[float] = []
    size = (0, 0)
    with open_source(path) as source:
        for frame in source:
            times.append(frame.t)
            size = (frame.image.shape[1], frame.image.shape[0])
        announced = source.duration
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    return {
        "frames": len(times),
        "seconds": round(announced if announced is not None else times[-1] + step, 3),
        "frames_per_second": round(1 / step, 3) if step else None,
        "width": size[0],
        "height": size[1],
        "bytes": path.stat().st_size,
    }


def _summarize_clips(clips: ClipSet) -> dict[str, Any]:
    """Labelled clips: rows per part, each target's mean and range, labelled ones not on disk."""
    targets = {
        name: {
            "mean": round(float(clips.targets[:, i].mean()), 3) if len(clips) else None,
            "least": float(clips.limits[i, 0]),
            "greatest": float(clips.limits[i, 1]),
        }
        for i, name in enumerate(clips.names)
    }
    return {
        "name": clips.name,
        "rows": len(clips),
        "sha256": clips.sha256,
        "parts": {part: {"rows": n} for part, n in Counter(clips.part.tolist()).items()},
        "subjects": None if clips.subject is None else len(set(clips.subject.tolist())),
        "targets": targets,
        "missing": len(clips.missing),
    }
