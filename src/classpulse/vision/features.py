"""Measures of how much a face crop can be trusted: sharpness, light, turn of the head."""

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.vision.image import resize, to_grey

SHARPNESS_SIDE = 48  # pixels: sharpness is compared at one size, that of FER2013
BRIGHT_SHARE = 0.1  # of the pixels; this and other measures of light: LOG 2026-11-23
WHITE = 250  # grey level from which nothing is told apart any more, also after JPEG


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian over the variance of the picture, at 48x48 (Pech-Pacheco 2000).

    Near 0 for a blurred, enlarged or flat crop; independent of contrast. Crop: (h, w, 3) RGB or
    (h, w) grey uint8.
    """
    grey = resize(to_grey(crop), width=SHARPNESS_SIDE, height=SHARPNESS_SIDE).astype(np.float32)
    spread = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_32F).var()) / spread if spread > 1.0 else 0.0


def light(crop: NDArray[np.uint8]) -> float:
    """How much light a face got, in [0, 1]: 0 black, around 0.4 well lit, 1 blown out.

    The mean of two measures, each of the end where the mean of a picture says little: how bright
    the brightest tenth is, which a dark background or dark hair does not lower, and the share of
    pixels that are white. It rises with exposure. Crop: (h, w, 3) RGB or (h, w) grey uint8.
    """
    counts = np.bincount(to_grey(crop).ravel(), minlength=256)  # np.quantile takes 5 times as long
    share = np.cumsum(counts) / counts.sum()  # of the pixels up to each grey level
    brightest = float(np.searchsorted(share, 1 - BRIGHT_SHARE)) / 255
    return (brightest + 1.0 - float(share[WHITE - 1])) / 2


def turn(landmarks: NDArray[np.float32]) -> float:
    """How far a head is turned sideways, from 0 (frontal) to 1 (profile).

    The nose's place between the eyes along the line through them: 0 in the middle, 1 at or beyond
    an eye. Landmarks: (5, 2) pixels in the order of `core.records.Faces`.
    """
    right, left, nose = landmarks[0], landmarks[1], landmarks[2]
    axis = left - right
    length = float(axis @ axis)
    if length < 1e-6:
        return 1.0
    place = float((nose - right) @ axis) / length  # 0 at the right eye, 1 at the left
    return min(abs(2.0 * place - 1.0), 1.0)
