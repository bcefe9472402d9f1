"""Labelled faces in memory: crops, labels, FER+ votes, subjects and groups, row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, LabelError, ShapeError
from classpulse.core.labels import (
    FER2013_7,
    FERPLUS_8,
    FERPLUS_VOTES,
    LEARNING_STATE_4,
    LEARNING_STATE_RULE,
    RELABELS,
    UNLABELED,
    VALENCE_3,
    LabelSpace,
    ferplus_majority,
)
from classpulse.lab.data.rows import as_rows
from classpulse.lab.data.valence import valence_labels

KINDS: dict[str, LabelSpace] = {
    "emotion": FER2013_7,
    "ferplus": FERPLUS_8,
    "learning-state": LEARNING_STATE_4,
    "valence": VALENCE_3,
}
"""What a face can be labelled with, by the word that commands use."""


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Labelled face crops, struct of arrays.

    Args:
        images: (n, h, w) uint8 grey or (n, h, w, 3) uint8 RGB; may be memory-mapped.
        labels: (n,) int64, columns of `space`, -1 for none.
        space: what the labels mean.
        name: what it is, for cards and messages.
        votes: (n, 10) int64 FER+ votes in the order of `FERPLUS_VOTES`, or None.
        row: (n,) int64 row in the source, from 0, the header not counted; 0 .. n-1 by default.
        part: (n,) the source's own parts ("Training"), or None.
        subject: (n,) who is in the picture, or None.
        file: (n,) path of the picture inside its source, ``/`` between folders, or None.
        groups: column of annotations -> (n,) values, empty where unknown.
        sha256: of the source, as `cache.hash_source` gives it; empty if there is none.

    Raises:
        ShapeError: columns of another length, shape or dtype.
        LabelError: a label outside -1 .. k-1.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    space: LabelSpace
    name: str
    votes: NDArray[np.int64] | None = None
    row: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    part: NDArray[np.str_] | None = None
    subject: NDArray[np.str_] | None = None
    file: NDArray[np.str_] | None = None
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    sha256: str = ""

    def __post_init__(self) -> None:
        n, shape = len(self.labels), self.images.shape
        if n and not len(self.row):
            object.__setattr__(self, "row", np.arange(n, dtype=np.int64))
        fits = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
        if not fits or self.images.dtype != np.uint8 or shape[0] != n:
            raise ShapeError(
                f"{self.name}: {n} faces need images ({n}, h, w) or ({n}, h, w, 3) uint8, "
                f"not {shape} {self.images.dtype}"
            )
        columns = {"labels": self.labels, "row": self.row, "part": self.part}
        columns |= {"subject": self.subject, "file": self.file, **self.groups}
        for column, values in columns.items():
            if values is not None and values.shape != (n,):
                raise ShapeError(f"{self.name}: {column} has shape {values.shape}, needs ({n},)")
        if self.votes is not None and self.votes.shape != (n, len(FERPLUS_VOTES)):
            needs = (n, len(FERPLUS_VOTES))
            raise ShapeError(f"{self.name}: votes have shape {self.votes.shape}, need {needs}")
        if n and not UNLABELED <= self.labels.min() <= self.labels.max() < len(self.space):
            raise LabelError(
                f"{self.name}: labels {self.labels.min()}..{self.labels.max()}, "
                f"{self.space.name} has 0..{len(self.space) - 1} and -1 for none"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64], *, name: str) -> "FaceSet":
        """Some rows under a new name, by mask (n,) bool or by position (m,) int64, in that order.

        Raises:
            ShapeError: a mask of another length, a position that is not there, or another dtype.
        """
        rows = as_rows(rows, len(self))
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            votes=None if self.votes is None else self.votes[rows],
            row=self.row[rows],
            part=None if self.part is None else self.part[rows],
            subject=None if self.subject is None else self.subject[rows],
            file=None if self.file is None else self.file[rows],
            groups={column: values[rows] for column, values in self.groups.items()},
            name=name,
        )

    def take_part(self, part: str) -> "FaceSet":
        """The rows of one of the source's own parts.

        Raises:
            InputError: the source has no parts, or not this one (those there are listed).
        """
        known = [] if self.part is None else sorted(set(self.part.tolist()))
        if self.part is None or part not in known:
            there = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{self.name} has no part '{part}': {there}")
        return self.take(self.part == part, name=f"{self.name} {part}")


def truth_in(faces: FaceSet, space: LabelSpace) -> NDArray[np.int64]:
    """(n,) labels of every face in `space`, -1 where it has none.

    FER+ labels and valence are the majority of the votes and learning states come from the decision
    list over them, never from other labels; for every other space the set's own labels are renamed
    by a rule of `RELABELS`.

    Raises:
        InputError: the set has neither votes nor a rule that leads to `space`.
    """
    if faces.votes is not None and space == LEARNING_STATE_4:
        return LEARNING_STATE_RULE.apply(faces.votes)
    if faces.votes is not None and space == FERPLUS_8:
        return ferplus_majority(faces.votes)
    if faces.votes is not None and space == VALENCE_3:
        return valence_labels(faces.votes)
    if faces.space == space:
        return faces.labels
    if space in (LEARNING_STATE_4, FERPLUS_8, VALENCE_3):
        raise InputError(
            f"{faces.name} has no votes, and {space.name} needs FER+ votes: give the path of "
            "fer2013new.csv"
        )
    rule = find_relabel(faces.space, space)
    if rule is None:
        raise InputError(
            f"{faces.name} is labelled in {faces.space.name}, and no rule leads to {space.name}; "
            f"rules lead to: {', '.join(_targets_of(faces.space)) or 'nothing'}"
        )
    known = faces.labels >= 0
    labels = np.full(len(faces), UNLABELED, dtype=np.int64)
    labels[known] = rule[faces.labels[known]]
    return labels


def _targets_of(source: LabelSpace) -> list[str]:
    return [rule.target.name for rule in RELABELS.values() if rule.source == source]


def find_relabel(source: LabelSpace, target: LabelSpace) -> NDArray[np.int64] | None:
    """(k,) the label in `target` of each label in `source`, -1 for dropped; None without a rule."""
    for rule in RELABELS.values():
        if rule.source == source and rule.target == target:
            kept = rule.matrix.sum(axis=1) > 0
            return np.where(kept, rule.matrix.argmax(axis=1), UNLABELED).astype(np.int64)
    return None


def concat_faces(sets: list[FaceSet], *, space: LabelSpace, name: str) -> FaceSet:
    """Several sets as one, labels renamed to `space`; faces without a label there are left out.

    Votes stay only if every set has them; `part`, `subject` and `file` of a set without them are
    empty. `row` keeps counting within each source.

    Raises:
        InputError: no rule leads from a set's labels to `space`, or the pictures differ in size.
    """
    shapes = {faces.images.shape[1:] for faces in sets}
    if len(shapes) != 1:
        raise InputError(f"the pictures of {name} differ in size: {sorted(shapes)}; resize first")
    named = [replace(faces, labels=truth_in(faces, space), space=space) for faces in sets]
    kept = [faces.take(faces.labels >= 0, name=faces.name) for faces in named]
    votes = [faces.votes for faces in kept if faces.votes is not None]
    columns = sorted({column for faces in kept for column in faces.groups})
    return FaceSet(
        images=np.concatenate([faces.images for faces in kept]),
        labels=np.concatenate([faces.labels for faces in kept]),
        space=space,
        name=name,
        votes=np.concatenate(votes) if len(votes) == len(kept) else None,
        row=np.concatenate([faces.row for faces in kept]),
        part=_joined([(faces.part, len(faces)) for faces in kept]),
        subject=_joined([(faces.subject, len(faces)) for faces in kept]),
        file=_joined([(faces.file, len(faces)) for faces in kept]),
        groups={
            column: _filled([(faces.groups.get(column), len(faces)) for faces in kept])
            for column in columns
        },
    )


def _joined(columns: list[tuple[NDArray[np.str_] | None, int]]) -> NDArray[np.str_] | None:
    """One column out of many, None if no set has it."""
    return None if all(column is None for column, _ in columns) else _filled(columns)


def _filled(columns: list[tuple[NDArray[np.str_] | None, int]]) -> NDArray[np.str_]:
    return np.concatenate([np.full(n, "") if c is None else c for c, n in columns])


def without_blank(faces: FaceSet) -> FaceSet:
    """Drop pictures of one flat colour: they carry a label but no face."""
    return faces.take(~is_blank(faces.images), name=faces.name)


def is_blank(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n,) True for pictures (n, h, w) or (n, h, w, 3) of one flat colour or shade."""
    axes = (1, 2)
    flat = images.max(axis=axes, initial=0) == images.min(axis=axes, initial=255)  # (n,) or (n, 3)
    return np.asarray(flat if images.ndim == 3 else flat.all(axis=1), dtype=np.bool_)


def repeated_in(faces: FaceSet, other: FaceSet) -> NDArray[np.bool_]:
    """(n,) True where a picture of `faces` is byte-identical to one of `other`."""
    known = {image.tobytes() for image in other.images}
    return np.fromiter((image.tobytes() in known for image in faces.images), dtype=np.bool_)
