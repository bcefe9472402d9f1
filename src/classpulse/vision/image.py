"""The only preprocessing: from a face in a picture to the array a network eats.

Training and inference both call `prepare`; a parity test holds them together. Pictures are
(h, w, 3) uint8 RGB, or (h, w) uint8 grey where a data set is grey from the start.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import InputSpec
from classpulse.core.errors import ShapeError


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) RGB or (h, w) grey, uint8 -> (h, w) uint8 by ITU-R BT.601 luma."""
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) grey or (h, w, 3) RGB, uint8 -> (h, w, 3) uint8."""
    if image.ndim == 3:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def resize(image: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """Area averaging when shrinking (no aliasing), cubic when enlarging; equal size is a no-op."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)


def prepare(face: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """One face crop -> network input.

    Args:
        face: (h, w, 3) RGB or (h, w) grey uint8; the crop, already framed (see `crop_face`).
        spec: the network's input.

    Returns:
        (channels, height, width) float32, C-contiguous: (pixel / 255 - mean) / std.

    Raises:
        ShapeError: not uint8, not two- or three-dimensional, or empty.
    """
    if face.dtype != np.uint8 or face.ndim not in (2, 3) or 0 in face.shape:
        raise ShapeError(f"a face is (h, w, 3) or (h, w) uint8, not {face.shape} {face.dtype}")
    colored = to_grey(face) if spec.channels == 1 else to_rgb(face)
    sized = resize(colored, width=spec.width, height=spec.height)
    planes = np.atleast_3d(sized).transpose(2, 0, 1)  # (h, w, c) -> (c, h, w)
    mean = np.asarray(spec.mean, dtype=np.float32)[:, None, None]
    std = np.asarray(spec.std, dtype=np.float32)[:, None, None]
    scaled = planes.astype(np.float32) / np.float32(255.0)
    return np.ascontiguousarray((scaled - mean) / std, dtype=np.float32)
