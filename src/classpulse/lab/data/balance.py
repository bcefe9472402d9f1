"""Balancing of the classes of a training set: new pictures, weights in the loss, or sampling.

balanced = BALANCINGS.get("insert")(train, seed=42)
balanced.faces, balanced.class_weights, balanced.sampled  # what the training loop needs
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.registry import Registry
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.jitter import jitter, save_as_keras
from classpulse.lab.data.splits import SEED

if TYPE_CHECKING:
    import torch

Labels = NDArray[np.int64]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Balanced:
    """A training set after balancing; rows that are not inserted come first, in their old order.

    Args:
        faces: n pictures.
        source: (n,) int64 position in the set that was balanced of the picture each one is, or was
            made from.
        inserted: (n,) bool, True for pictures that were made.
        class_weights: (k,) float32 factor of each class in the loss; all 1 without weighting.
        sampled: whether epochs draw their rows with `draw_balanced`, not as a permutation.
    """

    faces: FaceSet
    source: Labels
    inserted: NDArray[np.bool_]
    class_weights: NDArray[np.float32]
    sampled: bool = False

    @property
    def row_weights(self) -> NDArray[np.float32]:
        """(n,) factor of each row in the loss, 0 without a label.

        Keras adds up weight * loss over a batch and divides by its rows, not by its weights.
        """
        labels = self.faces.labels
        weights = self.class_weights[np.maximum(labels, 0)]
        return np.where(labels >= 0, weights, np.float32(0)).astype(np.float32)


BALANCINGS: Registry[Callable[..., Balanced]] = Registry("balancing")
"""Name -> (faces, *, seed) -> `Balanced`. Classes without rows stay empty."""


@BALANCINGS.register("none")
def balance_none(faces: FaceSet, *, seed: int = SEED) -> Balanced:
    """The set as it is."""
    _count(faces.labels, len(faces.space))
    n, k = len(faces), len(faces.space)
    ones = np.ones(k, dtype=np.float32)
    return Balanced(faces, np.arange(n, dtype=np.int64), np.zeros(n, dtype=np.bool_), ones)


@BALANCINGS.register("class-weights")
def balance_weights(faces: FaceSet, *, seed: int = SEED) -> Balanced:
    """`class_weights` in the loss, the thesis' second method (seed-thesis A.6)."""
    weights = class_weights(faces.labels, len(faces.space))
    return replace(balance_none(faces), class_weights=weights)


@BALANCINGS.register("sampler")
def balance_sampler(faces: FaceSet, *, seed: int = SEED) -> Balanced:
    """Every epoch draws its rows with `draw_balanced`."""
    return replace(balance_none(faces), sampled=True)


@BALANCINGS.register("insert")
def balance_insert(faces: FaceSet, *, seed: int = SEED) -> Balanced:
    """The thesis' offline augmentation up to the largest class (seed-thesis A.5), as Keras does it.

    The rows are those of `plan_insert`. Each new picture is jittered, stretched to 0..255 and
    re-encoded as JPEG, also where its source was made that way itself; sources are never changed.
    """
    plan = plan_insert(faces.labels, len(faces.space))
    return insert_copies(faces, plan, save_as_keras, "insert", np.random.default_rng(seed))


@BALANCINGS.register("insert-corrected")
def balance_insert_corrected(faces: FaceSet, *, seed: int = SEED) -> Balanced:
    """The same counts and jitter from sources at random, without what tells new pictures apart.

    No contrast stretch, no JPEG, and only pictures of the set itself as sources.
    """
    random = np.random.default_rng(seed)
    plan = plan_corrected(faces.labels, len(faces.space), random)
    return insert_copies(faces, plan, round_pixels, "insert-corrected", random)


# --- which pictures ----------------------------------------------------------------------------


def plan_insert(labels: Labels, k: int) -> Labels:
    """Source of each picture that the thesis' loop inserts, class by class in label order.

    List the class, make one copy of each listed picture in order, list again, until the class has
    as many as the largest: a class that needs less than one pass gets copies of its first pictures
    only, and a small one gets copies of copies. The thesis lists files in the order of the file
    system; here the class' rows come first, then its copies in the order they were made.

    Args:
        labels: (n,) int64, -1 for none.
        k: number of classes.

    Returns:
        (m,) int64 positions: below n a row of `labels`, n + i the i-th inserted picture.

    Raises:
        InputError: no row has a label.
    """
    plan: list[int] = []
    for members, missing in _gaps(labels, k):
        listed = members.tolist()
        while missing:
            chosen = listed[:missing]
            made = range(len(labels) + len(plan), len(labels) + len(plan) + len(chosen))
            plan += chosen
            listed += made
            missing -= len(chosen)
    return np.array(plan, dtype=np.int64)


def plan_corrected(labels: Labels, k: int, random: np.random.Generator) -> Labels:
    """(m,) int64 rows to copy, as many as `plan_insert`: all rows of a class before any again."""
    plan = [cycle_rows(members, missing, random) for members, missing in _gaps(labels, k)]
    return np.concatenate(plan).astype(np.int64)


def cycle_rows(members: Labels, n: int, random: np.random.Generator) -> Labels:
    """(n,) members in one random order after another."""
    rounds = [random.permutation(members) for _ in range(-(-n // len(members)))]
    return np.concatenate([*rounds, members[:0]])[:n]


def _gaps(labels: Labels, k: int) -> Iterator[tuple[Labels, int]]:
    """Rows of every class that has some, and how many it lacks to the largest."""
    counts = _count(labels, k)
    for label in np.flatnonzero(counts):
        yield np.flatnonzero(labels == label), int(counts.max() - counts[label])


def _count(labels: Labels, k: int) -> Labels:
    """(k,) rows of each class."""
    known = labels[labels >= 0]
    if not len(known):
        raise InputError("no row has a label: there is nothing to balance")
    if known.max() >= k:
        raise ShapeError(f"label {known.max()} with {k} classes: needs 0..{k - 1}, -1 for none")
    return np.bincount(known, minlength=k).astype(np.int64)


# --- how they are made -------------------------------------------------------------------------


def insert_copies(
    faces: FaceSet,
    plan: Labels,
    save: Callable[[NDArray[np.float32]], Picture],
    name: str,
    random: np.random.Generator,
) -> Balanced:
    """`faces` and behind them the pictures of a plan; columns are those of the first source."""
    n = len(faces)
    source = np.concatenate([np.arange(n, dtype=np.int64), plan])
    images = np.empty((len(source), *faces.images.shape[1:]), dtype=np.uint8)
    images[:n] = faces.images
    for place in range(n, len(source)):
        images[place] = save(jitter(images[source[place]], random))
        source[place] = source[source[place]]  # a copy of a copy: the first of the chain
    rows = faces.take(source, name=f"{faces.name} balanced by {name}")
    # without the source's hash: a manifest over its rows does not describe these
    whole = replace(rows, images=images, sha256="")
    ones = np.ones(len(faces.space), dtype=np.float32)
    return Balanced(whole, source, np.arange(len(source)) >= n, ones)


def round_pixels(image: NDArray[np.float32]) -> Picture:
    """(h, w) or (h, w, 3) float32 in 0..255 -> uint8 of the same shape."""
    return np.rint(image).astype(np.uint8)


# --- weights and sampling ----------------------------------------------------------------------


def class_weights(labels: Labels, k: int) -> NDArray[np.float32]:
    """(k,) float32 N / (classes with rows * n_c), scikit-learn's ``balanced``; 0 for n_c = 0.

    Raises:
        InputError: no row has a label.
    """
    counts = _count(labels, k)
    share = counts.sum() / np.count_nonzero(counts)
    return np.where(counts > 0, share / np.maximum(counts, 1), 0).astype(np.float32)


def draw_balanced(labels: Labels, generator: "torch.Generator") -> "torch.Tensor":
    """Rows of one epoch, (n,) int64 for n labelled rows: each class as often as any other, +-1.

    Within a class every row comes before any comes again, so a large class loses a random part of
    its rows in each epoch and a small one repeats. Which classes get the remainder is drawn too.

    Raises:
        InputError: no row has a label.
    """
    import torch

    counts = _count(labels, int(labels.max(initial=0)) + 1)
    present = np.flatnonzero(counts)
    quota, rest = divmod(int(counts.sum()), len(present))
    extra = set(torch.randperm(len(present), generator=generator)[:rest].tolist())
    chosen = []
    for i, label in enumerate(present):
        rows = torch.from_numpy(np.flatnonzero(labels == label))
        wanted = quota + (i in extra)
        rounds = -(-wanted // len(rows))
        orders = [torch.randperm(len(rows), generator=generator) for _ in range(rounds)]
        chosen.append(rows[torch.cat(orders)[:wanted]] if rounds else rows[:0])
    drawn = torch.cat(chosen)
    return drawn[torch.randperm(len(drawn), generator=generator)]
