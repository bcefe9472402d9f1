"""Local webcams through OpenCV."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.vision.live import Feed, LiveSource, LostError
from classpulse.vision.quiet import quiet_opencv


def open_camera(number: int, *, every: float | None = None, reconnect: float = 30.0) -> LiveSource:
    """Webcam `number`, from 0, as a live source; see `LiveSource` for the errors."""
    return LiveSource(
        partial(read_camera, number),
        name=f"camera:{number}",
        advice=_advice(),
        every=every,
        reconnect=reconnect,
    )


def read_camera(number: int) -> Feed:
    """Feed of a webcam.

    Raises:
        LostError: the camera does not open or gives no picture any more.
    """
    with quiet_opencv():
        capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise LostError("it is missing, busy or not permitted")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # old pictures in the driver are of no use
        while capture.grab():
            yield partial(_retrieve, capture)
        raise LostError("it gives no more pictures")
    finally:
        capture.release()


def _retrieve(capture: cv2.VideoCapture) -> NDArray[np.uint8]:
    good, image = capture.retrieve()
    if not good:
        raise LostError("a picture could not be decoded")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _advice() -> str:
    """What to check, with the devices that exist (Linux lists them under /dev)."""
    devices = sorted(str(path) for path in Path("/dev").glob("video*"))
    found = ", ".join(devices) if devices else "none"
    return (
        f"devices found: {found}; camera:N means /dev/videoN; plug it in, close other programs "
        "that use it, check the rights of your user"
    )
