"""Small random changes of one picture, and how Keras 2.10 stores the result.

What the thesis' offline augmentation does to each picture it inserts; `lab.data.balance` says to
which pictures.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

ROTATION = 2.0  # degrees, uniform in +-; this and the next two: thesis notebook 1, cells 17 and 118
SHIFT = 0.02  # of the side, uniform in +-
ZOOM = 0.02  # of each axis by itself, uniform in 1 +-
JPEG_QUALITY = 75  # of Pillow, with which Keras saves


def jitter(image: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.float32]:
    """(h, w) or (h, w, 3) uint8 -> float32 of the same shape: a little turned, shifted and zoomed.

    As `ImageDataGenerator` of Keras 2.10: rotation, then shift, then zoom about the middle, each
    drawn anew, linear interpolation, border pixels repeated.
    """
    from scipy.ndimage import affine_transform

    size = np.array(image.shape[:2], dtype=np.float64)
    angle = np.deg2rad(random.uniform(-ROTATION, ROTATION))
    shift = random.uniform(-SHIFT, SHIFT, 2) * size  # rows, columns
    zoom = random.uniform(1 - ZOOM, 1 + ZOOM, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix, middle = turn * zoom, (size - 1) / 2  # output pixel -> source pixel
    offset = turn @ shift + middle - matrix @ middle
    planes = np.atleast_3d(image).astype(np.float32)  # (h, w, 1 or 3)
    moved = [
        affine_transform(planes[:, :, c], matrix, offset, order=1, mode="nearest")
        for c in range(planes.shape[2])
    ]
    return np.stack(moved, axis=2).reshape(image.shape)


def save_as_keras(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What is read back after `save_to_dir` of Keras 2.10: min-max stretch, truncation, JPEG."""
    stretched = image - image.min()
    if stretched.max() > 0:
        stretched = stretched / stretched.max()
    cut = (stretched * np.float32(255)).astype(np.uint8)
    quality = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
    stored = cv2.imencode(".jpg", cut[..., ::-1] if cut.ndim == 3 else cut, quality)[1]  # BGR
    seen = np.asarray(cv2.imdecode(stored, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
    return seen[..., ::-1] if cut.ndim == 3 else seen
