"""Balancing: the counts of the thesis to the picture, its weights, and its picture files."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from data_files import pictures
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError, ShapeError  # noqa: E402
from classpulse.core.labels import FER2013_7  # noqa: E402
from classpulse.lab.data.balance import (  # noqa: E402
    BALANCINGS,
    class_weights,
    draw_balanced,
    plan_corrected,
    plan_insert,
)
from classpulse.lab.data.faces import FaceSet  # noqa: E402
from classpulse.lab.data.jitter import jitter, save_as_keras  # noqa: E402

# angry, disgust, fear, happy, neutral, sad, surprise: the thesis' order (seed-thesis A.3, A.5, A.6)
FER = (3196, 349, 3277, 5772, 3972, 3864, 2537)
FER_CK = (3304, 490, 3338, 5937, 3972, 3931, 2736)
FER_INSERTED = (2576, 5423, 2495, 0, 1800, 1908, 3235)
FER_CK_INSERTED = (2633, 5447, 2599, 0, 1965, 2006, 3201)
FER_WEIGHTED = (3196, 349, 3278, 5772, 3972, 3864, 2537)  # first 20 % of each class held out
FER_CK_WEIGHTED = (3304, 491, 3338, 5938, 3972, 3932, 2736)


def labels_of(counts: Sequence[int], *, seed: int = 0) -> NDArray[np.int64]:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels).astype(np.int64)


def small_set(counts: Sequence[int] = (5, 1, 2, 0, 3), *, colored: bool = False) -> FaceSet:
    labels = np.append(labels_of(counts), -1)
    n = len(labels)
    images = pictures(n, seed=2) // 2 + 40  # no picture reaches 0 or 255
    if colored:
        images = np.stack([images, images // 2, 255 - images], axis=-1)
    return FaceSet(
        images,
        labels,
        FER2013_7,
        "small",
        row=np.arange(100, 100 + n),
        subject=np.array([f"S{i}" for i in range(n)]),
        groups={"age": np.array(["adult"] * n)},
        sha256="ab",
    )


@pytest.mark.parametrize(
    ("counts", "inserted", "largest", "total"),
    [(FER, FER_INSERTED, 5772, 40_404), (FER_CK, FER_CK_INSERTED, 5937, 41_559)],
)
def test_plans_have_the_counts_of_the_thesis(
    counts: tuple[int, ...], inserted: tuple[int, ...], largest: int, total: int
) -> None:
    labels = labels_of(counts)
    grown = np.concatenate([labels, np.zeros(sum(inserted), dtype=np.int64)])
    plan = plan_insert(labels, 7)
    for i, source in enumerate(plan):
        grown[len(labels) + i] = grown[source]
    assert np.bincount(grown[len(labels) :], minlength=7).tolist() == list(inserted)
    assert np.bincount(grown).tolist() == [largest] * 7 and len(grown) == total
    again = plan_corrected(labels, 7, np.random.default_rng(0))
    assert np.bincount(labels[again], minlength=7).tolist() == list(inserted)


def test_insert_copies_the_first_pictures_and_then_copies_of_copies() -> None:
    labels = labels_of(FER)
    plan = plan_insert(labels, 7)
    angry, disgust = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    assert plan[:2576].tolist() == angry[:2576].tolist()  # less than one pass: the first ones
    made = np.arange(len(labels) + 2576, len(labels) + 2576 + 5423)
    listed = np.concatenate([disgust, made])
    passes = [(349, 349), (698, 698), (1396, 1396), (2792, 2792), (5584, 188)]  # 5 passes, to 5772
    expected = [listed[:chosen] for _, chosen in passes]
    assert plan[2576 : 2576 + 5423].tolist() == np.concatenate(expected).tolist()


def test_corrected_sources_are_originals_used_evenly() -> None:
    labels = labels_of((10, 3, 0, 4))
    plan = plan_corrected(labels, 4, np.random.default_rng(1))
    assert len(plan) == 7 + 6 and plan.max() < len(labels)
    uses = np.bincount(plan, minlength=len(labels))
    assert sorted(uses[labels == 1]) == [2, 2, 3] and set(uses[labels == 3]) == {1, 2}
    other = plan_corrected(labels, 4, np.random.default_rng(2))
    assert plan.tolist() != other.tolist()


@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize("name", ["insert", "insert-corrected"])
def test_inserting_gives_a_face_set_with_provenance(name: str, colored: bool) -> None:
    faces = small_set(colored=colored)
    balanced = BALANCINGS.get(name)(faces, seed=3)
    n, whole = len(faces), balanced.faces
    assert np.bincount(whole.labels[whole.labels >= 0]).tolist() == [5, 5, 5, 0, 5]
    assert balanced.inserted.tolist() == [False] * n + [True] * (4 + 3 + 2)
    assert np.array_equal(whole.images[:n], faces.images)
    assert np.array_equal(balanced.source[:n], np.arange(n)) and balanced.source.max() < n
    assert np.array_equal(whole.labels, faces.labels[balanced.source])
    assert np.array_equal(whole.row, faces.row[balanced.source])
    assert faces.subject is not None and whole.subject is not None
    assert np.array_equal(whole.subject, faces.subject[balanced.source])
    assert whole.name == f"small balanced by {name}" and not whole.sha256
    lows = whole.images[n:].reshape(9, -1).min(axis=1)
    stretched = name == "insert"
    assert (lows < 10).all() if stretched else (lows >= faces.images.min()).all()
    for image, source in zip(whole.images[n:], balanced.source[n:], strict=True):
        assert not np.array_equal(image, faces.images[source])
        seen, expected = (a.astype(float).ravel() for a in (image, faces.images[source]))
        assert np.corrcoef(seen, expected)[0, 1] > 0.9  # a small change of the same picture


@pytest.mark.parametrize("name", ["insert", "insert-corrected"])
def test_inserting_is_deterministic_by_seed(name: str) -> None:
    faces = small_set()
    first, again, other = (BALANCINGS.get(name)(faces, seed=s).faces.images for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_balanced_set_is_left_as_it_is() -> None:
    faces = small_set((2, 2, 2))
    for name in ("insert", "insert-corrected", "none"):
        balanced = BALANCINGS.get(name)(faces)
        assert not balanced.inserted.any() and len(balanced.faces) == len(faces)


def test_saving_is_what_pillow_gives_keras() -> None:
    image_of = pytest.importorskip("PIL.Image")
    grey = pictures(1)[0].astype(np.float32) * 0.6 + 30.3
    scaled = grey - grey.min()
    cut = (scaled / scaled.max() * 255).astype(np.uint8)
    for pixels, given in [(np.stack([cut] * 3, axis=-1), grey), (cut, grey)]:
        file = io.BytesIO()
        image_of.fromarray(pixels).save(file, format="jpeg")
        expected = np.asarray(image_of.open(file))
        expected = expected[..., 0] if expected.ndim == 3 else expected
        assert np.abs(save_as_keras(given).astype(int) - expected).max() <= 1
    assert save_as_keras(np.full((8, 8), 77.0, dtype=np.float32)).max() == 0  # as Keras: black


def test_jitter_is_small_and_keeps_flat_pictures() -> None:
    random = np.random.default_rng(0)
    flat = np.full((48, 48), 90, dtype=np.uint8)
    assert np.allclose(jitter(flat, random), 90)
    ramp = np.tile(np.arange(48, dtype=np.uint8) * 4, (48, 1))
    moved = np.stack([jitter(ramp, random) for _ in range(50)])
    offsets = (moved - ramp)[:, 12:36, 12:36] / 4  # pixels
    assert 0.3 < np.abs(offsets).max() < 0.96 + 0.24 + 0.42  # shift, zoom and turn of 12 pixels
    assert abs(float(offsets.mean())) < 0.3


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (FER_WEIGHTED, (1.02664, 9.40156, 1.00096, 0.56846, 0.82607, 0.84916, 1.29332)),
        (FER_CK_WEIGHTED, (1.02521, 6.89875, 1.01477, 0.57044, 0.85279, 0.86147, 1.23804)),
    ],
)
def test_class_weights_are_those_of_the_thesis(
    counts: tuple[int, ...], expected: tuple[float, ...]
) -> None:
    found = class_weights(labels_of(counts), 7)
    assert np.round(found.astype(float), 5).tolist() == pytest.approx(expected, abs=1.1e-5)


def test_row_weights_follow_the_labels() -> None:
    balanced = BALANCINGS.get("class-weights")(small_set())
    assert balanced.class_weights[3] == 0 and balanced.class_weights[5] == 0  # classes without rows
    known = balanced.faces.labels >= 0
    assert balanced.row_weights[~known].tolist() == [0]
    assert float(balanced.row_weights.sum()) == pytest.approx(11)  # as many as labelled rows
    sums = [float(balanced.row_weights[balanced.faces.labels == c].sum()) for c in (0, 1, 2, 4)]
    assert sums == pytest.approx([11 / 4] * 4)


def test_sampling_draws_every_class_equally_often() -> None:
    labels = np.append(labels_of((50, 3, 0, 8)), -1)
    assert BALANCINGS.get("sampler")(small_set()).sampled
    draws = [draw_balanced(labels, torch.Generator().manual_seed(s)).numpy() for s in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])
    counts = np.bincount(labels[draws[0]], minlength=4)
    assert counts.sum() == 61 and sorted(counts) == [0, 20, 20, 21]
    uses = np.bincount(draws[0], minlength=len(labels))
    assert uses[-1] == 0 and uses[labels == 0].max() == 1 and set(uses[labels == 3]) == {2, 3}


def test_an_epoch_reaches_further_rows_of_a_large_class_each_time() -> None:
    labels = labels_of((40, 4))
    generator = torch.Generator().manual_seed(0)
    first, second = (set(draw_balanced(labels, generator).tolist()) for _ in range(2))
    assert second - first


def test_refusals() -> None:
    none = np.full(3, -1, dtype=np.int64)
    with pytest.raises(InputError, match="no row has a label"):
        plan_insert(none, 7)
    with pytest.raises(InputError, match="no row has a label"):
        draw_balanced(none, torch.Generator())
    with pytest.raises(ShapeError, match=r"label 9 with 7 classes: needs 0\.\.6"):
        class_weights(np.array([0, 9]), 7)
    with pytest.raises(InputError, match="known: none, class-weights, sampler, insert"):
        BALANCINGS.get("smote")
