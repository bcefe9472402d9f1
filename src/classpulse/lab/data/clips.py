"""Labelled video clips in memory: paths and several targets each, no decoded pictures."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.data.rows import as_rows


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Video clips with k numbers each, struct of arrays.

    Args:
        paths: n video files.
        targets: (n, k) float64.
        names: the k targets in column order.
        limits: (k, 2) float64, least and greatest possible value of each target.
        name: what it is, for cards and messages.
        row: (n,) int64 row in the label file of its part, from 0, the header not counted.
        part: (n,) the source's own parts.
        subject: (n,) who is in the clip, or None.
        missing: clips that are labelled but not on this disk, as their part and name.
        sha256: of the label files; videos are not hashed.

    Raises:
        ShapeError: columns of another length, or a target outside its limits.
    """

    paths: tuple[Path, ...]
    targets: NDArray[np.float64]
    names: tuple[str, ...]
    limits: NDArray[np.float64]
    name: str
    row: NDArray[np.int64]
    part: NDArray[np.str_]
    subject: NDArray[np.str_] | None = None
    missing: tuple[str, ...] = ()
    sha256: str = ""

    def __post_init__(self) -> None:
        n, k = len(self.paths), len(self.names)
        if self.targets.shape != (n, k) or self.limits.shape != (k, 2):
            raise ShapeError(
                f"{self.name}: {n} clips need targets ({n}, {k}) and limits ({k}, 2), not "
                f"{self.targets.shape} and {self.limits.shape}"
            )
        for column, values in {"row": self.row, "part": self.part, "subject": self.subject}.items():
            if values is not None and values.shape != (n,):
                raise ShapeError(f"{self.name}: {column} has shape {values.shape}, needs ({n},)")
        inside = (self.targets >= self.limits[:, 0]) & (self.targets <= self.limits[:, 1])
        if not inside.all():
            i, j = np.argwhere(~inside)[0]
            raise ShapeError(
                f"{self.name}: {self.names[j]} of {self.paths[i].name} is {self.targets[i, j]}, "
                f"needs {self.limits[j, 0]:g}..{self.limits[j, 1]:g}"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64], *, name: str) -> "ClipSet":
        """Some rows under a new name, by mask (n,) bool or by position (m,) int64, in that order.

        Raises:
            ShapeError: a mask of another length, a position that is not there, or another dtype.
        """
        rows = as_rows(rows, len(self))
        return replace(
            self,
            paths=tuple(self.paths[i] for i in rows),
            targets=self.targets[rows],
            row=self.row[rows],
            part=self.part[rows],
            subject=None if self.subject is None else self.subject[rows],
            name=name,
        )

    def take_part(self, part: str) -> "ClipSet":
        """The rows of one part; `InputError` lists the parts there are."""
        if part not in self.part:
            known = ", ".join(sorted(set(self.part.tolist()))) or "none"
            raise InputError(f"{self.name} has no part '{part}': it has {known}")
        return self.take(self.part == part, name=f"{self.name} {part}")

    def column(self, target: str) -> NDArray[np.float64]:
        """(n,) values of one target; `InputError` lists the targets there are."""
        if target not in self.names:
            raise InputError(f"{self.name} has no target '{target}': {', '.join(self.names)}")
        return self.targets[:, self.names.index(target)]
