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
        ShapeError: not uint8, another shape, or empty.
    """
    fits = face.ndim == 2 or (face.ndim == 3 and face.shape[2] == 3)
    if face.dtype != np.uint8 or not fits or 0 in face.shape:
        raise ShapeError(f"a face is (h, w, 3) or (h, w) uint8, not {face.shape} {face.dtype}")
    colored = to_grey(face) if spec.channels == 1 else to_rgb(face)
    sized = resize(colored, width=spec.width, height=spec.height)
    planes = np.atleast_3d(sized).transpose(2, 0, 1)  # (h, w, c) -> (c, h, w)
    mean = np.asarray(spec.mean, dtype=np.float32)[:, None, None]
    std = np.asarray(spec.std, dtype=np.float32)[:, None, None]
    scaled = planes.astype(np.float32) / np.float32(255.0)
    return np.ascontiguousarray((scaled - mean) / std, dtype=np.float32)


FRAMINGS: dict[str, NDArray[np.float32]] = {
    # median landmarks of 1,137 FER2013 Training pictures, made symmetric; LOG 2026-11-22
    "fer2013": np.array(
        [[15.1, 18.6], [32.9, 18.6], [24.0, 28.6], [17.1, 36.5], [30.9, 36.5]], dtype=np.float32
    )
    / 48.0
}
"""Where the five landmarks lie in a crop, as fractions of its side, by name of the framing."""

MAX_OVERSAMPLE = 8  # a crop is cut at the picture's own resolution, up to 8 x the network's input


def crop_face(
    image: NDArray[np.uint8],
    box: NDArray[np.float32],
    landmarks: NDArray[np.float32] | None,
    spec: InputSpec,
) -> NDArray[np.uint8]:
    """Cut one face out of a frame, upright and framed as the network was trained.

    With landmarks, a similarity transform (rotation, scale, shift; Umeyama 1991) moves the five
    points onto the template of `spec.framing`; without, the box is widened to a square. The crop
    has the picture's own resolution, so `prepare` averages when it shrinks and nothing aliases.

    Args:
        image: (h, w, 3) uint8 RGB.
        box: (4,) xyxy pixels.
        landmarks: (5, 2) pixels, or None.

    Returns:
        (s, s, 3) uint8; outside the frame the border pixels are repeated.

    Raises:
        ShapeError: the framing is unknown.
    """
    if spec.framing not in FRAMINGS:
        raise ShapeError(f"unknown framing '{spec.framing}'; known: {', '.join(FRAMINGS)}")
    if landmarks is None:
        center, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
        unit = np.array([[side, 0.0, center[0] - side / 2], [0.0, side, center[1] - side / 2]])
    else:
        unit = _similarity(FRAMINGS[spec.framing], landmarks)  # template units -> pixels
        side = float(np.hypot(unit[0, 0], unit[1, 0]))
    size = int(np.clip(np.ceil(side), spec.width, MAX_OVERSAMPLE * spec.width))
    to_pixels = unit.copy()
    to_pixels[:, :2] /= size  # crop pixels -> frame pixels
    return np.asarray(
        cv2.warpAffine(
            image,
            to_pixels,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )


def _similarity(source: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, 3) least-squares rotation, uniform scale and shift that move source onto target.

    In two dimensions a similarity is one complex factor, so no SVD is needed.
    """
    s, t = source.astype(np.float64), target.astype(np.float64)
    s_mean, t_mean = s.mean(axis=0), t.mean(axis=0)
    z, w = (s - s_mean) @ [1, 1j], (t - t_mean) @ [1, 1j]
    factor = np.vdot(z, w) / np.vdot(z, z).real
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, t_mean - turn @ s_mean])
