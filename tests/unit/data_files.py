"""Data sets in small, for the tests of the `classpulse data` commands."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from builders import votes
from numpy.typing import NDArray

from classpulse.core.labels import FERPLUS_VOTES

TRAINING, PUBLIC, PRIVATE = 24, 6, 6
ANGER, NEUTRAL, SAD = votes(anger=9, fear=1), votes(neutral=10), votes(sadness=7, neutral=3)
NO_FACE = votes(NF=10)


def pictures(n: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth random pictures (n, 48, 48), all different."""
    noise = np.random.default_rng(seed).random((n, 48, 48)).astype(np.float32)
    smooth = [cv2.GaussianBlur(image, (0, 0), 4) for image in noise]
    return np.stack(
        [cv2.normalize(s, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8) for s in smooth]
    )


def write_fer(path: Path) -> Path:
    """FER2013 in small: 24 + 6 + 6 rows; row 24 is row 0 with another label, 25 mirrors 1.

    Row 2 is blank.
    """
    images = pictures(TRAINING + PUBLIC + PRIVATE)
    images[2] = 0
    images[24], images[25] = images[0], images[1, :, ::-1]
    usage = ["Training"] * TRAINING + ["PublicTest"] * PUBLIC + ["PrivateTest"] * PRIVATE
    labels = [i % 3 for i in range(len(usage))]
    labels[24] = 6
    with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("emotion", "pixels", "Usage"))
        for label, image, part in zip(labels, images, usage, strict=True):
            writer.writerow((label, " ".join(map(str, image.ravel())), part))
    return path


def write_votes(path: Path, *, training: int = TRAINING) -> Path:
    """A FER+ file whose rows take turns: angry, focused, sad (bored), not a face."""
    usage = ["Training"] * training + ["PublicTest"] * PUBLIC + ["PrivateTest"] * PRIVATE
    turns = (ANGER, NEUTRAL, SAD, NO_FACE)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("Usage", "Image name", *FERPLUS_VOTES))
        for i, part in enumerate(usage):
            writer.writerow((part, f"fer{i:07d}.png", *turns[i % 4]))
    return path


def write_texts(path: Path) -> Path:
    """43 texts of two labels: one twice with both, one in brackets, one without a word."""
    rows = "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(40))
    path.write_text(f"text,label\n{rows}Text number 0!,b\n[No response.],a\n...,a\n")
    return path


def read(result: Any) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)
