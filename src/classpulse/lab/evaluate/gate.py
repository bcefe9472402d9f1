"""Fit the quality gate: where does a network stop being worth listening to?

Each limit is the point at which accuracy on a validation set falls below `KEEP` of its full value
when faces get smaller, blurrier, darker, brighter or more turned, and the confidence at which the
answers that are left are right `SELECTIVE` of the time. Light and turn are judged by what the gate
measures in a picture, whatever made it so: a face in front of a window is not an overexposed one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import QualityGate
from classpulse.core.records import Faces, Frame, Scores
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.data.fer2013 import SIDE
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.evaluate.robustness import blur, change_light, shrink_face
from classpulse.runtime.model import OnnxModel
from classpulse.vision.detect import build_detector
from classpulse.vision.features import light, sharpness, turn
from classpulse.vision.image import to_rgb

KEEP = 0.9
SELECTIVE = 0.75
SIZES = (10, 12, 14, 16, 18, 20, 24, 28, 32, 40)  # pixels of the 48-pixel crop
BLURS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)  # sigma in pixels of the 48-pixel crop
GAINS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)  # exposure, times
TURNS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
STEP = 0.05  # width of a bin of light
BOX_SHARE = 0.78  # shorter side of a face box over the side of a FER2013 crop, LOG 2026-11-22
PROFILE = 0.9
FEWEST = 40  # pictures in a bin whose accuracy is believed
SAMPLE = 1000  # pictures for the curves of size, blur and light, which take 31 passes

Row = dict[str, float]
Change = Callable[[NDArray[np.uint8], float], NDArray[np.uint8]]


def fit_gate(model: OnnxModel, faces: FaceSet) -> tuple[QualityGate, dict[str, list[Row]]]:
    """The gate and the curves it was read off, for the LOG.

    Args:
        model: artefact with any gate.
        faces: validation set with FER2013 framing.
    """
    faces, truth = _labeled(model, faces)
    scores = _first(predict_heads(model, faces.images))
    right = scores.top == truth
    curves = {
        "size": _degraded(model, faces, truth, SIZES, shrink_face),
        "blur": _degraded(model, faces, truth, BLURS, blur),
        "light": _by_light(model, faces, truth),
        "turn": _by_turn(faces, right),
        "confidence": _by_confidence(scores, right),
    }
    return read_gate(curves, accuracy=float(right.mean())), curves


def fit_light(model: OnnxModel, faces: FaceSet) -> tuple[QualityGate, list[Row]]:
    """The model's own gate with limits of light, for one that was fitted before there were any.

    Args:
        model, faces: as `fit_gate` takes them; the limits are those that it would find.

    Returns:
        The gate, and the curve of light as in the curves of `fit_gate`.
    """
    faces, truth = _labeled(model, faces)
    accuracy = float((_first(predict_heads(model, faces.images)).top == truth).mean())
    rows = _by_light(model, faces, truth)
    darkest, brightest = _read_light(rows, floor=KEEP * accuracy)
    return replace(model.card.gate, min_light=darkest, max_light=brightest), rows


def read_gate(curves: dict[str, list[Row]], *, accuracy: float) -> QualityGate:
    """Read the gate off its curves.

    A turn or a light counts as bad where accuracy is below the floor beyond chance (95 %); a turn
    in any case from `PROFILE` on, where the nose hides an eye and landmarks cannot frame the face.

    Args:
        curves: as `fit_gate` returns them.
        accuracy: of the network on the unchanged pictures.
    """
    floor = KEEP * accuracy
    good_sizes = [row["at"] for row in curves["size"] if row["accuracy"] >= floor]
    good_blurs = [row["sharpness"] for row in curves["blur"] if row["accuracy"] >= floor]
    darkest, brightest = _read_light(curves["light"], floor=floor)
    sure = [row["at"] for row in curves["confidence"] if row["accuracy"] >= SELECTIVE]
    return QualityGate(
        min_face_px=round(BOX_SHARE * min(good_sizes, default=SIDE), 1),
        min_sharpness=round(min(good_blurs, default=0.0), 4),
        max_turn=round(min([*find_bad_turns(curves["turn"], accuracy=accuracy), PROFILE]), 2),
        min_confidence=round(min(sure, default=0.5), 2),
        min_light=darkest,
        max_light=brightest,
    )


def find_bad_turns(rows: Sequence[Row], *, accuracy: float) -> list[float]:
    """Where the bins begin whose accuracy is below the floor beyond chance; mostly there is none.

    Args:
        rows: the curve of turn.
        accuracy: of the network on the unchanged pictures.
    """
    return [row["at"] - 0.1 for row in rows if _upper(row) < KEEP * accuracy]


def _read_light(rows: Sequence[Row], *, floor: float) -> tuple[float, float]:
    """How far accuracy holds from the light of most unchanged pictures on, to both sides.

    What is darker or brighter than all that was tried is refused too; 0 and 1 refuse nothing, where
    not even usual light is enough, or no bin has pictures enough to be believed.
    """
    if not rows:
        return 0.0, 1.0
    usual = max(range(len(rows)), key=lambda i: rows[i]["unchanged"])
    sides = (rows[usual::-1], rows[usual:])
    dark, bright = (list(takewhile(lambda row: _upper(row) >= floor, side)) for side in sides)
    if not dark:
        return 0.0, 1.0
    return dark[-1]["at"], round(min(bright[-1]["at"] + STEP, 1.0), 2)


def _labeled(model: OnnxModel, faces: FaceSet) -> tuple[FaceSet, NDArray[np.int64]]:
    """The pictures that have a label of the first head, and these labels."""
    truth = truth_in(faces, model.card.heads[0].label_space)
    return faces.take(truth >= 0, name=faces.name), truth[truth >= 0]


def _upper(row: Row) -> float:
    """Upper end of the 95 % interval of a bin's accuracy."""
    share = row["accuracy"]
    return share + 1.96 * float(np.sqrt(share * (1 - share) / row["n"]))


def _degraded(
    model: OnnxModel,
    faces: FaceSet,
    truth: NDArray[np.int64],
    steps: Sequence[float],
    change: Change,
) -> list[Row]:
    """Accuracy on the first pictures at every step, and the median of their sharpness."""
    rows: list[Row] = []
    for at in steps:
        images, right = _changed(model, faces, truth, change, at)
        median = float(np.median([sharpness(image) for image in images]))
        share = round(float(right.mean()), 4)
        rows.append({"at": at, "accuracy": share, "sharpness": round(median, 4)})
    return rows


def _by_light(model: OnnxModel, faces: FaceSet, truth: NDArray[np.int64]) -> list[Row]:
    """Accuracy in bins of light, over the first pictures with every exposure.

    `n` pictures are in a bin, `unchanged` of them with the exposure that they have.
    """
    answered, found, plains = [], [], []
    for at in GAINS:
        images, right = _changed(model, faces, truth, change_light, at)
        answered.append(right)
        found.append([light(image) for image in images])
        plains.append(np.full(len(images), at == 1))
    answers, lights = np.concatenate(answered), np.concatenate(found)
    plain = np.concatenate(plains)
    rows: list[Row] = []
    for low in np.arange(0, 1, STEP):
        inside = (lights >= low) & ((lights < low + STEP) | (low + STEP > 1 - STEP / 2))
        if inside.sum() >= FEWEST:
            share = round(float(answers[inside].mean()), 4)
            row = {"at": round(float(low), 2), "accuracy": share, "n": float(inside.sum())}
            rows.append(row | {"unchanged": float((inside & plain).sum())})
    return rows


def _changed(
    model: OnnxModel, faces: FaceSet, truth: NDArray[np.int64], change: Change, at: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The first pictures after a change, and whether each is still read right."""
    some = faces.images[:SAMPLE]  # FER2013 rows are in no order
    images = np.stack([change(image, at) for image in some])
    return images, _first(predict_heads(model, images)).top == truth[:SAMPLE]


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
