"""Fit the quality gate: where does a network stop being worth listening to?

Each limit is the point at which accuracy on a validation set falls below `KEEP` of its full value
when faces get smaller, blurrier or more turned, and the confidence at which the answers that are
left are right `SELECTIVE` of the time.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import QualityGate
from classpulse.core.records import Faces, Frame, Scores
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.data.fer2013 import SIDE
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.evaluate.robustness import blur, shrink_face
from classpulse.runtime.model import OnnxModel
from classpulse.vision.detect import build_detector
from classpulse.vision.features import sharpness, turn
from classpulse.vision.image import to_rgb

KEEP = 0.9
SELECTIVE = 0.75
SIZES = (10, 12, 14, 16, 18, 20, 24, 28, 32, 40)  # pixels of the 48-pixel crop
BLURS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)  # sigma in pixels of the 48-pixel crop
TURNS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BOX_SHARE = 0.78  # shorter side of a face box over the side of a FER2013 crop, LOG 2026-11-22
PROFILE = 0.9
FEWEST = 40  # pictures in a bin whose accuracy is believed
SAMPLE = 1000  # pictures for the curves of size and blur, which take 18 passes

Row = dict[str, float]


def fit_gate(model: OnnxModel, faces: FaceSet) -> tuple[QualityGate, dict[str, list[Row]]]:
    """The gate and the curves it was read off, for the LOG.

    Args:
        model: artefact with any gate.
        faces: validation set with FER2013 framing.
    """
    truth = truth_in(faces, model.card.heads[0].label_space)
    faces, truth = faces.take(truth >= 0, name=faces.name), truth[truth >= 0]
    scores = _first(predict_heads(model, faces.images))
    right = scores.top == truth
    some, wanted = faces.images[:SAMPLE], truth[:SAMPLE]  # FER2013 rows are in no order
    curves = {
        "size": [_degraded(model, some, wanted, at, shrink_face) for at in SIZES],
        "blur": [_degraded(model, some, wanted, at, blur) for at in BLURS],
        "turn": _by_turn(faces, right),
        "confidence": _by_confidence(scores, right),
    }
    return read_gate(curves, accuracy=float(right.mean())), curves


def read_gate(curves: dict[str, list[Row]], *, accuracy: float) -> QualityGate:
    """Read the gate off its curves.

    A turn counts as bad where accuracy is below the floor beyond chance (95 %), and in any case
    from `PROFILE` on, where the nose hides an eye and the landmarks cannot frame the face.

    Args:
        curves: as `fit_gate` returns them.
        accuracy: of the network on the unchanged pictures.
    """
    floor = KEEP * accuracy
    good_sizes = [row["at"] for row in curves["size"] if row["accuracy"] >= floor]
    good_blurs = [row["sharpness"] for row in curves["blur"] if row["accuracy"] >= floor]
    bad_turns = [row["at"] - 0.1 for row in curves["turn"] if _upper(row) < floor]
    sure = [row["at"] for row in curves["confidence"] if row["accuracy"] >= SELECTIVE]
    return QualityGate(
        min_face_px=round(BOX_SHARE * min(good_sizes, default=SIDE), 1),
        min_sharpness=round(min(good_blurs, default=0.0), 4),
        max_turn=round(min([*bad_turns, PROFILE]), 2),
        min_confidence=round(min(sure, default=0.5), 2),
    )


def _upper(row: Row) -> float:
    """Upper end of the 95 % interval of a bin's accuracy."""
    share = row["accuracy"]
    return share + 1.96 * float(np.sqrt(share * (1 - share) / row["n"]))


def _degraded(
    model: OnnxModel,
    faces: NDArray[np.uint8],
    truth: NDArray[np.int64],
    at: float,
    change: Callable[[NDArray[np.uint8], float], NDArray[np.uint8]],
) -> Row:
    images = np.stack([change(image, at) for image in faces])
    right = _first(predict_heads(model, images)).top == truth
    clear = float(np.median([sharpness(image) for image in images]))
    return {"at": at, "accuracy": round(float(right.mean()), 4), "sharpness": round(clear, 4)}


def _first(scores: dict[str, Scores]) -> Scores:
    """Of the first head, which the gate is fitted for."""
    return next(iter(scores.values()))


def _by_turn(faces: FaceSet, right: NDArray[np.bool_]) -> list[Row]:
    """Accuracy in bins of the head's turn, as the detector's landmarks give it."""
    find = build_detector("retinaface")
    turns = np.array([_turn_of(find(_enlarged(image))) for image in faces.images])
    rows: list[Row] = []
    for low, high in zip((0.0, *TURNS[:-1]), TURNS, strict=True):
        inside = (turns >= low) & (turns <= high)
        if inside.sum() >= FEWEST:
            share = round(float(right[inside].mean()), 4)
            rows.append({"at": high, "accuracy": share, "n": float(inside.sum())})
    return rows


def _enlarged(image: NDArray[np.uint8]) -> Frame:
    """A 48-pixel crop as a frame in which a detector can find the face."""
    big = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(big, SIDE, SIDE, SIDE, SIDE, cv2.BORDER_REPLICATE)
    return Frame(to_rgb(np.asarray(framed, dtype=np.uint8)), 0.0, 0, "crop")


def _turn_of(found: Faces) -> float:
    """Turn of the strongest face; NaN without one."""
    if not len(found) or found.landmarks is None:
        return float("nan")
    return turn(found.landmarks[0])


def _by_confidence(scores: Scores, right: NDArray[np.bool_]) -> list[Row]:
    """Selective accuracy and coverage at rising thresholds of confidence."""
    rows: list[Row] = []
    for at in np.arange(0.2, 0.96, 0.05):
        kept = scores.confidence >= at
        if kept.sum() >= FEWEST:
            rows.append(
                {
                    "at": round(float(at), 2),
                    "accuracy": round(float(right[kept].mean()), 4),
                    "coverage": round(float(kept.mean()), 4),
                }
            )
    return rows
