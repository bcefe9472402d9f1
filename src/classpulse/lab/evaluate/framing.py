"""Does the room cut faces as the network saw them in training? FER2013 read twice.

Once as its pictures are, and once as the room would: the picture stands in a larger frame, the
detector finds the face, the aligner cuts it out again. The difference, paired by picture, is what
detection and alignment cost.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Detector, Faces, Frame, Interval
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.evaluate.predictors import FacePredictor, scores_in
from classpulse.lab.evaluate.resample import RESAMPLES, accuracy_of, draw_paired, interval_of
from classpulse.vision.image import crop_face, resize, to_grey, to_rgb

ENLARGE = 3  # a 48-pixel face is near the least that detectors find (LOG 2026-11-22)
BORDER = 0.5  # of the side, repeated around the picture: the detector wants some room


@dataclass(frozen=True, slots=True)
class Reframed:
    """Pictures cut out again.

    Args:
        images: (m, h, w) or (m, h, w, 3) uint8, of the size and colors they came in.
        rows: (m,) which of the given pictures they are; the others have no face that was found.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FramingCost:
    """Accuracy on the same pictures as they are and cut out by the room.

    Args:
        n: pictures with a label; `found` of them have a face that the detector found.
        given, reframed: accuracy on those found, with 95 % bootstrap intervals.
        drop: `given` less `reframed`, paired by picture.
    """

    n: int
    found: int
    given: Interval
    reframed: Interval
    drop: Interval


def reframe(images: NDArray[np.uint8], find: Detector, spec: InputSpec) -> Reframed:
    """Detect, align and cut the largest face of every picture (n, h, w) or (n, h, w, 3)."""
    cut, rows = [], []
    for row, image in enumerate(images):
        frame = Frame(_surround(image), t=0.0, index=row, source="reframe")
        faces = find(frame)
        if len(faces):
            cut.append(_cut(frame, faces, spec, like=image))
            rows.append(row)
    shape = (0, *images.shape[1:])
    whole = np.stack(cut) if cut else np.zeros(shape, dtype=np.uint8)
    return Reframed(whole, np.array(rows, dtype=np.int64))


def measure_framing(
    model: FacePredictor,
    faces: FaceSet,
    space: LabelSpace,
    *,
    find: Detector,
    spec: InputSpec,
    seed: int = 0,
) -> FramingCost:
    """What cutting the faces out again costs a model.

    Args:
        spec: input of the model, for the framing it was trained with.

    Raises:
        InputError: the model has no scores in `space`, the set no labels, or no face was found.
    """
    truth = truth_in(faces, space)
    some = faces.take(np.flatnonzero(truth >= 0), name=faces.name)
    again = reframe(some.images, find, spec)
    if not len(again.rows):
        raise InputError(f"{faces.name}: the detector finds no face in {len(some)} pictures")
    labels = truth_in(some, space)[again.rows]
    before, after = (
        _answers(model, images, space) for images in (some.images[again.rows], again.images)
    )
    drawn = draw_paired(labels, before, after, len(space), seed=seed, resamples=RESAMPLES)
    first, second = (accuracy_of(counts) for counts in drawn)
    right, kept = float(np.mean(before == labels)), float(np.mean(after == labels))
    return FramingCost(
        n=len(some),
        found=len(labels),
        given=interval_of(right, first),
        reframed=interval_of(kept, second),
        drop=interval_of(right - kept, first - second),
    )


def _answers(
    model: FacePredictor, images: NDArray[np.uint8], space: LabelSpace
) -> NDArray[np.int64]:
    scores = scores_in(model.predict(images), space)
    if scores is None:
        raise InputError(f"{model.name} has no scores of {space.name}")
    return scores.probs.argmax(axis=1)


def _surround(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) or (h, w, 3) -> RGB, enlarged, with its border repeated around it."""
    h, w = image.shape[:2]
    large = resize(to_rgb(image), width=w * ENLARGE, height=h * ENLARGE)
    pad = round(BORDER * ENLARGE * min(h, w))
    around = cv2.copyMakeBorder(large, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    return np.asarray(around, dtype=np.uint8)


def _cut(
    frame: Frame, faces: Faces, spec: InputSpec, *, like: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The largest face as the room cuts it, in the size and colors of the picture `like`."""
    row = int(np.argmax(faces.side))
    marks = None if faces.landmarks is None else faces.landmarks[row]
    crop = crop_face(frame.image, faces.box[row], marks, spec)
    sized = resize(crop, width=like.shape[1], height=like.shape[0])
    return sized if like.ndim == 3 else to_grey(sized)
