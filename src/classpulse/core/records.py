"""The types that flow: frozen, validated once when they are made, trusted afterwards.

Arrays are C-contiguous and read-only after construction. Times are seconds on the source's clock,
boxes are xyxy in pixels of the full frame, images are RGB uint8. Legend: h, w pixels; n rows;
k labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import ShapeError
from classpulse.core.labels import LabelSpace

PROB_TOLERANCE = 1e-3  # float32 softmax over 28 labels stays far below this


def _array(value: ArrayLike, dtype: type, shape: tuple[int | None, ...], name: str) -> NDArray[Any]:
    """`value` as a read-only C-contiguous array of `dtype`; None in `shape` allows any length."""
    array: NDArray[Any] = np.ascontiguousarray(value, dtype=dtype)
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = tuple("any" if s is None else s for s in shape)
        raise ShapeError(f"{name} has shape {array.shape}, needs {wanted}")
    if array is value:
        array = array.view()
    array.flags.writeable = False
    return array


def _finite(array: NDArray[Any], name: str) -> None:
    if not np.isfinite(array).all():
        raise ShapeError(f"{name} must be finite, but has NaN or infinite values")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Args:
        image: (h, w, 3) uint8 RGB.
        t: seconds from the start of the source, by the decoder's clock.
        index: number of the frame in the source, from 0, counting frames that were skipped.
        source: name of the source, for messages.
    """

    image: NDArray[np.uint8]
    t: float
    index: int
    source: str

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8:
            raise ShapeError(f"Frame.image is uint8 RGB, not {self.image.dtype}")
        object.__setattr__(self, "image", _array(self.image, np.uint8, (None, None, 3), "image"))
        if 0 in self.image.shape:
            raise ShapeError(f"Frame.image is empty: {self.image.shape}")
        if not np.isfinite(self.t) or self.t < 0 or self.index < 0:
            raise ShapeError(f"Frame needs t >= 0 and index >= 0, not {self.t}, {self.index}")


@dataclass(frozen=True, slots=True)
class Faces:
    """Faces of one frame, struct of arrays; index it with a mask or rows to take some.

    Args:
        box: (n, 4) float32 xyxy pixels with x0 < x1 and y0 < y1; may reach past the frame.
        score: (n,) float32 in [0, 1].
        landmarks: (n, 5, 2) float32 pixels (right eye, left eye, nose, right and left mouth
            corner, as seen from the face's owner) or None.
        track: (n,) int64 subject numbers, -1 for not yet confirmed, or None before tracking.
    """

    box: NDArray[np.float32]
    score: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None
    track: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        given = self.box if np.size(self.box) else np.zeros((0, 4), np.float32)
        box = _array(given, np.float32, (None, 4), "box")
        n = len(box)
        score = _array(self.score, np.float32, (n,), "score")
        _finite(box, "box")
        _finite(score, "score")
        if n and (np.any(box[:, :2] >= box[:, 2:]) or score.min() < 0 or score.max() > 1):
            raise ShapeError("Faces needs x0 < x1, y0 < y1 and scores in [0, 1]")
        object.__setattr__(self, "box", box)
        object.__setattr__(self, "score", score)
        if self.landmarks is not None:
            marks = _array(self.landmarks, np.float32, (n, 5, 2), "landmarks")
            _finite(marks, "landmarks")
            object.__setattr__(self, "landmarks", marks)
        if self.track is not None:
            object.__setattr__(self, "track", _array(self.track, np.int64, (n,), "track"))

    def __len__(self) -> int:
        return len(self.box)

    def __getitem__(self, rows: Any) -> "Faces":
        """The faces at a boolean mask, an index array or a slice."""
        landmarks = None if self.landmarks is None else self.landmarks[rows]
        track = None if self.track is None else self.track[rows]
        return Faces(self.box[rows], self.score[rows], landmarks, track)

    @property
    def side(self) -> NDArray[np.float32]:
        """(n,) shorter side of each box, pixels."""
        size: NDArray[np.float32] = (self.box[:, 2:] - self.box[:, :2]).min(axis=1)
        return size

    @staticmethod
    def none() -> "Faces":
        """No faces, with (0, 5, 2) landmarks."""
        empty = np.zeros(0, dtype=np.float32)
        return Faces(empty.reshape(0, 4), empty, empty.reshape(0, 5, 2))


@dataclass(frozen=True, slots=True)
class Utterance:
    """A line of writing or speech: text, start and end in seconds, pseudonym of the speaker."""

    text: str
    t0: float
    t1: float
    speaker: str

    def __post_init__(self) -> None:
        if not (np.isfinite(self.t0) and np.isfinite(self.t1) and 0 <= self.t0 <= self.t1):
            raise ShapeError(f"Utterance needs 0 <= t0 <= t1 in seconds: {self.t0}, {self.t1}")


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities of n items over the k labels of one space.

    Args:
        probs: (n, k) float32, rows >= 0 that sum to 1 within `PROB_TOLERANCE`.
        space: the label space.
        exclusive: exactly one label holds of each item; without it every probability stands for
            itself in [0, 1], and rows need not sum to 1.

    Raises:
        ShapeError: wrong shape, NaN, outside [0, 1], or a row that does not sum to 1.
    """

    probs: NDArray[np.float32]
    space: LabelSpace
    exclusive: bool = True

    def __post_init__(self) -> None:
        probs = _array(self.probs, np.float32, (None, len(self.space)), f"{self.space.name} probs")
        _finite(probs, f"{self.space.name} probs")
        _in_range(probs, self.space.name, exclusive=self.exclusive)
        object.__setattr__(self, "probs", probs)

    def __len__(self) -> int:
        return len(self.probs)

    @property
    def top(self) -> NDArray[np.int64]:
        """(n,) column of the most probable label."""
        return np.asarray(self.probs.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n,) probability of the most probable label."""
        best: NDArray[np.float32] = self.probs.max(axis=1)
        return best


def _in_range(probs: NDArray[np.float32], name: str, *, exclusive: bool) -> None:
    if not probs.size:
        return
    if exclusive and (probs.min() < 0 or np.abs(probs.sum(axis=1) - 1.0).max() > PROB_TOLERANCE):
        raise ShapeError(f"{name} probs must be >= 0 and sum to 1 in every row")
    if probs.min() < 0 or probs.max() > 1 + PROB_TOLERANCE:
        raise ShapeError(f"{name} probs must lie in [0, 1]")


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its uncertainty: value inside [low, high]."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:  # false for NaN too
            raise ShapeError(f"interval needs low <= value <= high: {self}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen of one subject at one time: the atom that is stored. No pixels, no embeddings.

    Args:
        t: seconds from the start of the session.
        subject: pseudonym within this session, for example ``"S01"``.
        channel: ``"face"`` or ``"text"``.
        scores: head name -> (k,) probabilities with their space; empty when nothing was predicted.
        engagement: score in [0, 1] with its interval, or None.
        quality: measured facts of the input, for example ``{"face_px": 61.0}``.
        abstained: why no statement is made, or None when one is.

    Raises:
        ShapeError: a time before 0, an unnamed subject, or statements in an abstained reading.
    """

    t: float
    subject: str
    channel: str
    scores: Mapping[str, Scores] = field(default_factory=dict)
    engagement: Interval | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    abstained: str | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.t) or self.t < 0 or not self.subject or not self.channel:
            raise ShapeError("Reading needs t >= 0 seconds, a subject and a channel")
        if any(len(s) != 1 for s in self.scores.values()):
            raise ShapeError("Reading.scores hold exactly one row per head")
        if self.abstained is not None and (self.engagement is not None or self.scores):
            raise ShapeError("an abstained reading makes no statement: no scores, no engagement")
        if self.engagement is not None and not (
            self.engagement.low >= 0 and self.engagement.high <= 1
        ):
            raise ShapeError(f"engagement lies in [0, 1], not {self.engagement}")
        object.__setattr__(self, "scores", MappingProxyType(dict(self.scores)))
        object.__setattr__(self, "quality", MappingProxyType(dict(self.quality)))

    def label(self, head: str) -> str | None:
        """Most probable label of `head`, or None where the reading makes no statement."""
        scores = self.scores.get(head)
        return None if scores is None else scores.space.names[int(scores.top[0])]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A class-level number for one window, or the statement that it is not shown.

    Args:
        t0, t1: window in seconds.
        name: what is aggregated, for example ``"engagement"`` or ``"state:focused"``.
        n: subjects that count in it. A face that leaves and returns is another subject.
        people: how many of them are different people for certain, at most `n`.
        value: mean with its 95 % interval, or None when `people` is below the minimum group size.
    """

    t0: float
    t1: float
    name: str
    n: int
    people: int
    value: Interval | None

    def __post_init__(self) -> None:
        counted = 0 <= self.people <= self.n and (self.value is None or self.people > 0)
        if not 0 <= self.t0 < self.t1 or not counted:
            raise ShapeError(
                f"aggregate '{self.name}' needs 0 <= t0 < t1, 0 <= people <= n and a value only if "
                "people > 0"
            )


@dataclass(frozen=True, slots=True)
class Report:
    """What may be shown of a session: aggregates that respect the minimum group size.

    Args:
        session: identifier of the session.
        t0, t1: interval covered, seconds.
        k: minimum group size.
        aggregates: per window; none with a value for fewer than `k` people.
        caveats: sentences that must be printed with it.

    Raises:
        ShapeError: an aggregate shows a value of fewer than `k` people.
    """

    session: str
    t0: float
    t1: float
    k: int
    aggregates: tuple[Aggregate, ...]
    caveats: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.t0 <= self.t1 or self.k < 1:
            raise ShapeError(
                f"report needs 0 <= t0 <= t1 and k >= 1: {self.t0}, {self.t1}, {self.k}"
            )
        for aggregate in self.aggregates:
            if aggregate.value is not None and aggregate.people < self.k:
                raise ShapeError(
                    f"'{aggregate.name}' shows {aggregate.people} people, the minimum is {self.k}"
                )


class Detector(Protocol):
    """Finds faces in a frame."""

    def __call__(self, frame: Frame) -> Faces: ...


class Predictor(Protocol):
    """Scores a batch of prepared faces (n, c, h, w) float32, one `Scores` per head."""

    def predict(self, batch: NDArray[np.float32]) -> Mapping[str, Scores]: ...


class Source(Protocol):
    """Yields frames in order of time; a context manager that owns its file or device.

    `duration` is in seconds and None for a live source or an unknown length; `sequence` says
    whether frames follow each other in time (False for a folder of independent pictures).
    """

    name: str
    duration: float | None
    live: bool
    sequence: bool

    def __enter__(self) -> "Source": ...
    def __exit__(self, *exc: object) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...
