"""How much worse does a model get when pictures do? Seven ways to spoil one, and the curves.

Each degradation is a pure function of a picture (h, w) or (h, w, 3) uint8 that gives the same
shape; how far it goes is data. The random ones take their generator, one for each picture, so a
picture is spoiled alike in every run and for every model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.records import Interval
from classpulse.core.registry import Registry
from classpulse.lab.evaluate.classification import labeled_rows
from classpulse.lab.evaluate.resample import (
    RESAMPLES,
    Labels,
    accuracy_of,
    count_confusion,
    draw_paired,
    interval_of,
    macro_f1_of,
)
from classpulse.vision.image import resize

Image = NDArray[np.uint8]
Change = Callable[[Image, float, np.random.Generator], Image]
Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

ENLARGED = (64, 96, 192)  # pixels, of pictures of 48: what a camera gives of a near face
FLATTEST, WIDEST = 0.5, 2.0  # shapes of an occluding rectangle, width over height of the picture


@dataclass(frozen=True, slots=True)
class Degradation:
    """One way to spoil a picture.

    Args:
        title: for a plot's heading.
        unit: what a level counts, for a plot's axis.
        levels: what a curve measures.
        clean: the level that changes nothing; infinite for "the picture's own side".
        change: picture, level, generator -> picture of the same shape.
    """

    title: str
    unit: str
    levels: tuple[float, ...]
    clean: float
    change: Change


@dataclass(frozen=True, slots=True)
class RobustnessRow:
    """A model at one level of one degradation.

    Args:
        degradation: name in `DEGRADATIONS`; `title` and `unit` are copied from there.
        level: in `unit`; the first row of a degradation is its clean level.
        n: pictures.
        accuracy, macro_f1: with 95 % bootstrap intervals.
        drop: accuracy on the clean pictures minus accuracy here, paired by picture.
    """

    degradation: str
    title: str
    unit: str
    level: float
    n: int
    accuracy: Interval
    macro_f1: Interval
    drop: Interval


def blur(image: Image, sigma: float) -> Image:
    """Gaussian blur, sigma in pixels; 0 changes nothing."""
    if sigma == 0:
        return image.copy()
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.uint8)


def add_noise(image: Image, sd: float, *, random: np.random.Generator) -> Image:
    """Gaussian noise of `sd` gray levels, independent in every pixel and channel."""
    return _to_pixels(image + random.normal(0.0, sd, image.shape))


def change_light(image: Image, gain: float) -> Image:
    """Exposure: every pixel times `gain`; what gets brighter than 255 is lost."""
    return _to_pixels(image * float(gain))


def change_contrast(image: Image, factor: float) -> Image:
    """Distances from the picture's mean (of each channel) times `factor`."""
    mean = image.mean(axis=(0, 1))
    return _to_pixels(mean + (image - mean) * factor)


def rotate(image: Image, degrees: float) -> Image:
    """Turn counter-clockwise around the middle; the border is repeated into the corners."""
    h, w = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(
        image, turn, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, dtype=np.uint8)


def occlude(image: Image, share: float, *, random: np.random.Generator) -> Image:
    """Cover a rectangle of `share` of the area, in [0, 1], at random, in the picture's mean."""
    h, w = image.shape[:2]
    side = float(np.sqrt(share))
    if side == 0:
        return image.copy()
    # both sides of the rectangle must fit: side * stretch <= 1 and side / stretch <= 1
    narrowest, widest = max(side, np.sqrt(FLATTEST)), min(1 / side, np.sqrt(WIDEST))
    stretch = float(np.exp(random.uniform(np.log(narrowest), np.log(widest))))
    wide, high = max(1, round(w * side * stretch)), max(1, round(h * side / stretch))
    x, y = int(random.integers(0, w - wide + 1)), int(random.integers(0, h - high + 1))
    covered = image.copy()
    covered[y : y + high, x : x + wide] = np.round(image.mean(axis=(0, 1)))
    return covered


def shrink_face(image: Image, side: float) -> Image:
    """Lose detail as if the picture's shorter side had been `side` pixels; its shape stays."""
    h, w = image.shape[:2]
    scale = side / min(h, w)
    if scale >= 1:
        return image.copy()
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _to_pixels(values: NDArray[np.floating]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _rotate_either_way(image: Image, degrees: float, random: np.random.Generator) -> Image:
    return rotate(image, degrees if random.random() < 0.5 else -degrees)


DEGRADATIONS: Registry[Degradation] = Registry("degradation")
DEGRADATIONS.register("blur")(
    Degradation(
        "Blur", "sigma, pixels", (0.5, 1.0, 1.5, 2.0, 3.0), 0.0, lambda i, at, _: blur(i, at)
    )
)
DEGRADATIONS.register("noise")(
    Degradation(
        "Noise",
        "standard deviation, gray levels",
        (5.0, 10.0, 20.0, 30.0, 50.0),
        0.0,
        lambda i, at, random: add_noise(i, at, random=random),
    )
)
DEGRADATIONS.register("light")(
    Degradation(
        "Light",
        "exposure, times",
        (0.2, 0.4, 0.7, 1.5, 2.0, 3.0),
        1.0,
        lambda i, at, _: change_light(i, at),
    )
)
DEGRADATIONS.register("contrast")(
    Degradation(
        "Contrast",
        "factor",
        (0.7, 0.5, 0.3, 0.2, 0.1),
        1.0,
        lambda i, at, _: change_contrast(i, at),
    )
)
DEGRADATIONS.register("rotation")(
    Degradation(
        "Rotation", "degrees, either way", (5.0, 10.0, 20.0, 30.0, 45.0), 0.0, _rotate_either_way
    )
)
DEGRADATIONS.register("occlusion")(
    Degradation(
        "Occlusion",
        "share of the picture",
        (0.05, 0.1, 0.2, 0.3, 0.4),
        0.0,
        lambda i, at, random: occlude(i, at, random=random),
    )
)
DEGRADATIONS.register("size")(
    Degradation(
        "Size of the picture",
        "side, pixels",
        (40.0, 32.0, 24.0, 20.0, 16.0, 12.0),
        float("inf"),
        lambda i, at, _: shrink_face(i, at),
    )
)


def degrade(images: NDArray[np.uint8], name: str, level: float, *, seed: int = 0) -> Image:
    """A degradation of every picture of (n, h, w) or (n, h, w, 3); a new array.

    Raises:
        InputError: unknown name.
    """
    change = DEGRADATIONS.get(name).change
    changed = np.empty_like(images)
    for i, image in enumerate(images):
        changed[i] = change(image, level, np.random.default_rng((seed, i)))
    return changed


def robustness_curves(
    predict: Predict,
    images: NDArray[np.uint8],
    truth: Labels,
    *,
    names: Sequence[str] | None = None,
    levels: Mapping[str, Sequence[float]] | None = None,
    seed: int = 0,
) -> Iterator[RobustnessRow]:
    """Rows as they are measured: for every degradation the clean level, then each level.

    Args:
        predict: (n, h, w) or (n, h, w, 3) uint8 -> probabilities (n, k).
        images: of the shape `predict` takes.
        truth: (n,) labels, -1 for no label; such pictures are not predicted.
        names: degradations, all by default.
        levels: degradation -> levels, instead of its own.
        seed: of the degradations and the bootstrap.

    Raises:
        InputError: an unknown degradation.
        ShapeError: no picture has a label, or the lengths differ.
    """
    chosen = list(DEGRADATIONS) if names is None else list(names)
    kinds = {name: DEGRADATIONS.get(name) for name in chosen}  # all known, before the work starts
    known = labeled_rows(truth, int(np.max(truth, initial=0)) + 1, images)
    images, truth = images[known], truth[known]
    probs = predict(images)
    k, clean = probs.shape[1], probs.argmax(axis=1)
    labeled_rows(truth, k, probs)
    for name, kind in kinds.items():
        start = float(min(images.shape[1:3])) if np.isinf(kind.clean) else kind.clean
        yield _row(name, start, truth, clean, clean, k, seed)
        for level in (levels or {}).get(name, kind.levels):
            answers = predict(degrade(images, name, level, seed=seed)).argmax(axis=1)
            yield _row(name, level, truth, clean, answers, k, seed)


def enlargement_curve(
    predict: Predict,
    images: NDArray[np.uint8],
    truth: Labels,
    *,
    sides: Sequence[int] = ENLARGED,
    seed: int = 0,
) -> Iterator[RobustnessRow]:
    """Rows as they are measured of pictures enlarged to each side, pixels: no detail is lost.

    The model gets larger pictures and scales them to its input itself, so `predict` must take any
    size. The rows belong to the degradation "size", whose clean level they share.

    Args:
        predict, images, truth, seed: as `robustness_curves` takes them, all with a label.
    """
    clean = predict(images)
    for side in sides:
        large = np.stack([resize(image, width=side, height=side) for image in images])
        answers = predict(large).argmax(axis=1)
        yield _row("size", side, truth, clean.argmax(axis=1), answers, clean.shape[1], seed)


def _row(
    name: str, level: float, truth: Labels, clean: Labels, answers: Labels, k: int, seed: int
) -> RobustnessRow:
    kind = DEGRADATIONS.get(name)
    before, after = (count_confusion(truth, p, k) for p in (clean, answers))
    drawn_before, drawn_after = draw_paired(
        truth, clean, answers, k, seed=seed, resamples=RESAMPLES
    )
    drop = float(accuracy_of(before) - accuracy_of(after))
    return RobustnessRow(
        degradation=name,
        title=kind.title,
        unit=kind.unit,
        level=level,
        n=len(truth),
        accuracy=interval_of(float(accuracy_of(after)), accuracy_of(drawn_after)),
        macro_f1=interval_of(float(macro_f1_of(after)), macro_f1_of(drawn_after)),
        drop=interval_of(drop, accuracy_of(drawn_before) - accuracy_of(drawn_after)),
    )
