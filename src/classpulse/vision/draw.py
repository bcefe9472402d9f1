"""Drawing on frames: blurred faces, boxes and labels."""

import cv2
import numpy as np
from numpy.typing import NDArray

BLUR_BLOCKS = 6  # a face becomes 6 x 6 averaged blocks, then is smoothed: nothing to recover
BLOCK_PX = 5  # a small face becomes fewer blocks, each of at least this many pixels
GREY = (160, 160, 160)
GREEN = (40, 150, 90)


def draw_blur(image: NDArray[np.uint8], box: NDArray[np.float32]) -> None:
    """Blur one face in place: its box, a third larger on every side, down to a few blocks."""
    h, w = image.shape[:2]
    margin = (box[2:] - box[:2]) / 3
    x0, y0 = np.floor(np.clip(box[:2] - margin, 0, (w, h))).astype(int)
    x1, y1 = np.ceil(np.clip(box[2:] + margin, 0, (w, h))).astype(int)
    if x1 <= x0 or y1 <= y0:
        return
    patch = image[y0:y1, x0:x1]
    count = min(max(min(patch.shape[:2]) // BLOCK_PX, 1), BLUR_BLOCKS)
    blocks = cv2.resize(patch, (count, count), interpolation=cv2.INTER_AREA)
    image[y0:y1, x0:x1] = cv2.resize(blocks, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)


def draw_face(
    image: NDArray[np.uint8], box: NDArray[np.float32], label: str, *, sure: bool
) -> None:
    """Draw one box with its label above it, in place; grey where no statement is made."""
    color = GREEN if sure else GREY
    x0, y0, x1, y1 = (round(float(v)) for v in box)
    cv2.rectangle(image, (x0, y0), (x1, y1), color, 2)
    scale = 0.45
    (tw, th), base = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    top = max(y0 - th - base - 2, 0)
    cv2.rectangle(image, (x0, top), (x0 + tw + 4, top + th + base + 2), color, -1)
    cv2.putText(
        image,
        label,
        (x0 + 2, top + th + 1),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        (255, 255, 255),
        1,
        cv2.LINE_AA,
    )
