"""Pictures that a classical pipeline can tell apart: one stripe pattern for every label."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LABELS = 7


def striped(
    n: int, *, seed: int = 0, side: int = 48
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """(n, side, side) noisy stripes and their labels (n,), in turns: the label is the angle."""
    draw = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int64) % LABELS
    y, x = np.mgrid[:side, :side]
    turn = np.pi * labels[:, None, None] / LABELS
    wave = np.sin((np.cos(turn) * x + np.sin(turn) * y) * 2 * np.pi / 6)
    noise = draw.normal(0, 20, (n, side, side))
    return np.clip(128 + 80 * wave + noise, 0, 255).astype(np.uint8), labels


def write_striped(path: Path, *, training: int = 98, public: int = 28) -> Path:
    """The same as a file of FER2013."""
    images, labels = striped(training + public)
    usage = ["Training"] * training + ["PublicTest"] * public
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("emotion", "pixels", "Usage"))
        for image, label, part in zip(images, labels.tolist(), usage, strict=True):
            writer.writerow((label, " ".join(map(str, image.ravel())), part))
    return path
