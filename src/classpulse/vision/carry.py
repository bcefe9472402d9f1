"""Faces between two detections: the same faces, moved to where they are in the next frame.

Finding faces costs as much as reading ten of them, following them almost nothing.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.records import Faces, Frame
from classpulse.vision.image import FRAMINGS, resize, to_grey

PIXELS = 640 * 360  # larger pictures are reduced to this area, in which motion is seen as well
WINDOW = (21, 21)  # pixels around a point that are compared
LEVELS = 3  # halvings: motion of up to 8 windows is found


def carry_faces(before: Frame, faces: Faces, frame: Frame) -> Faces:
    """The faces of `before` at their places in `frame`, a moment later in the same video.

    The five landmarks of a face (without landmarks: their usual places in the box) are followed
    with pyramidal Lucas-Kanade optical flow (Bouguet 2001); box and landmarks move by the median
    of their shifts, which one or two lost points cannot spoil. A face of which no point is found
    again stays in its place. Size and turn stay as detected.

    Returns:
        Faces in the order of `faces`, with the same scores and track numbers.
    """
    if not len(faces) or before.image.shape != frame.image.shape:
        return faces
    scale = min((PIXELS / (frame.image.shape[0] * frame.image.shape[1])) ** 0.5, 1.0)
    points = _points(faces)  # (n, 5, 2)
    start = (points * np.float32(scale)).reshape(-1, 1, 2)
    pictures = (_reduced(before.image, scale), _reduced(frame.image, scale))
    found, known, _ = cv2.calcOpticalFlowPyrLK(
        *pictures, start, start.copy(), winSize=WINDOW, maxLevel=LEVELS
    )
    shift = (found - start).reshape(-1, 5, 2) / scale
    near = np.abs(shift).max(axis=2) <= faces.side[:, None]  # a longer way is a wrong match
    move = _medians(shift, (known.reshape(-1, 5) == 1) & near)
    marks = None if faces.landmarks is None else faces.landmarks + move[:, None]
    return Faces(faces.box + np.tile(move, 2), faces.score, marks, faces.track)


def _points(faces: Faces) -> NDArray[np.float32]:
    """(n, 5, 2) landmarks, or where they usually lie in the boxes."""
    if faces.landmarks is not None:
        return faces.landmarks
    corner, extent = faces.box[:, None, :2], faces.box[:, None, 2:] - faces.box[:, None, :2]
    return np.asarray(corner + FRAMINGS["fer2013"] * extent, dtype=np.float32)


def _reduced(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    return resize(to_grey(image), width=width, height=height)


def _medians(shift: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n, 2) medians of the shifts (n, 5, 2) of the good (n, 5) points; 0 where none is good."""
    rows = zip(shift, good, strict=True)
    moves = [np.median(one[ok], axis=0) if ok.any() else np.zeros(2) for one, ok in rows]
    return np.array(moves, dtype=np.float32)
