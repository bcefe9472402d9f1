"""Tracks: which face of this frame is which face of the last one, from boxes alone.

Two-stage association after ByteTrack (Zhang et al. 2022): strong boxes are matched first, weak
ones may only continue a track. The overlap is a buffered IoU (Yang et al. 2023), because small
faces at a few frames a second overlap little. No face embedding is computed: a subject number is
a place in the picture followed through time, valid within one session only.
"""

from dataclasses import dataclass, field

import lap
import numpy as np
from numpy.typing import NDArray

from classpulse.core.records import Faces
from classpulse.vision.detect import iou

UNCONFIRMED = -1


@dataclass(slots=True, eq=False)
class _Track:
    box: NDArray[np.float32]
    seen: float
    hits: int = 1
    number: int = UNCONFIRMED
    velocity: NDArray[np.float32] = field(default_factory=lambda: np.zeros(4, np.float32))

    def predict(self, t: float, *, horizon: float) -> NDArray[np.float32]:
        """Box expected at time t; motion is trusted for `horizon` seconds only."""
        return self.box + self.velocity * np.float32(min(t - self.seen, horizon))

    def update(self, box: NDArray[np.float32], t: float) -> None:
        """Take a matched box; the velocity is an exponential mean of center motion."""
        elapsed = max(t - self.seen, 1e-3)
        moved = (box[:2] + box[2:] - self.box[:2] - self.box[2:]) / 2
        speed = np.tile(moved / elapsed, 2).astype(np.float32)
        self.velocity = (self.velocity + speed) / np.float32(2)
        self.box, self.seen = box, t
        self.hits += 1


class Tracker:
    """Gives faces stable subject numbers 1, 2, 3, ... within one session.

    Args:
        start_score: a new track needs a box at least this sure.
        confirm: sightings before a track becomes a subject (1 for independent pictures).
        max_gap: seconds a subject may be out of sight and still be the same one.
        buffer: each box grows by this share of its size on every side before the overlap.
        min_overlap: buffered IoU below which two boxes are not the same face.
    """

    def __init__(
        self,
        *,
        start_score: float = 0.9,
        confirm: int = 2,
        max_gap: float = 3.0,
        buffer: float = 0.4,
        min_overlap: float = 0.2,
    ) -> None:
        self.start_score = start_score
        self.confirm = confirm
        self.max_gap = max_gap
        self.buffer = buffer
        self.min_overlap = min_overlap
        self.subjects = 0
        self._last = 0.0
        self._tracks: list[_Track] = []

    def update(self, faces: Faces, t: float) -> Faces:
        """The same faces with `track` numbers; -1 where a track is not confirmed yet.

        Args:
            faces: detections of one frame.
            t: seconds; must not decrease from call to call.
        """
        self._drop_lost(t)
        numbers = np.full(len(faces), UNCONFIRMED, dtype=np.int64)
        strong = faces.score >= self.start_score
        free = list(self._tracks)
        started: list[_Track] = []
        for stage in (np.flatnonzero(strong), np.flatnonzero(~strong)):
            matched, left = self._match(faces, stage, free, t)
            for row, track in matched:
                track.update(faces.box[row], t)
                numbers[row] = self._number(track)
                free.remove(track)
            for row in left:
                if strong[row]:
                    track = _Track(faces.box[row], t)
                    numbers[row] = self._number(track)
                    started.append(track)
        self._tracks += started
        return Faces(faces.box, faces.score, faces.landmarks, numbers)

    def _drop_lost(self, t: float) -> None:
        """Forget who is out of sight too long; a box seen once and then missed was no face.

        What was seen in the last frame always stays, however long ago that was.
        """
        self._tracks = [
            tr
            for tr in self._tracks
            if tr.seen >= self._last or (tr.number > 0 and t - tr.seen <= self.max_gap)
        ]
        self._last = t

    def forget(self) -> None:
        """Drop all tracks: faces seen next are new subjects. Numbers go on."""
        self._tracks = []

    def _number(self, track: _Track) -> int:
        if track.number == UNCONFIRMED and track.hits >= self.confirm:
            self.subjects += 1
            track.number = self.subjects
        return track.number

    def _match(
        self, faces: Faces, rows: NDArray[np.int64], tracks: list[_Track], t: float
    ) -> tuple[list[tuple[int, _Track]], list[int]]:
        """Assign rows of `faces` to tracks; returns the pairs and the rows left over."""
        if not len(rows) or not tracks:
            return [], rows.tolist()
        expected = np.stack([tr.predict(t, horizon=self.max_gap / 3) for tr in tracks])
        overlap = iou(_grow(faces.box[rows], self.buffer), _grow(expected, self.buffer))
        cost = (1.0 - overlap).astype(np.float64)
        _, column, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - self.min_overlap)
        pairs = [(int(rows[i]), tracks[j]) for i, j in enumerate(column) if j >= 0]
        left = [int(rows[i]) for i, j in enumerate(column) if j < 0]
        return pairs, left


def _grow(box: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """(n, 4) boxes larger by `share` of their size on every side."""
    margin = np.tile((box[:, 2:] - box[:, :2]) * share, 2) * np.array([-1, -1, 1, 1])
    grown: NDArray[np.float32] = (box + margin).astype(np.float32)
    return grown


def pseudonym(number: int) -> str:
    """Subject number -> pseudonym: 7 -> "S07"."""
    return f"S{number:02d}"
