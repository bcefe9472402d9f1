"""Features and faces found by several workers are those of one, to the bit."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from builders import build_frame, load_portrait, noise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.classic.features import FEATURES
from classpulse.lab.parallel.detection import (
    CUT_TO,
    TILE,
    _cut_tiles,
    _search_tile,
    detect_tiles,
)
from classpulse.lab.parallel.features import extract_batch, extract_windows
from classpulse.lab.parallel.workers import Workers
from classpulse.vision.detect import Haar

LOOSE = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NAMES = st.sampled_from(list(FEATURES))


@pytest.fixture(scope="module", params=[(2, "processes"), (3, "threads")], ids=str)
def pool(request: pytest.FixtureRequest) -> Iterator[Workers]:
    count, kind = request.param
    with Workers(count, kind=kind) as workers:
        yield workers


@LOOSE
@given(
    feature=NAMES,
    shape=st.tuples(st.integers(1, 7), st.integers(2, 40), st.integers(2, 40)),
    batch=st.none() | st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_a_batch_equals_the_serial_run(
    pool: Workers, feature: str, shape: tuple[int, int, int], batch: int | None, seed: int
) -> None:
    pictures = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    rows, load = extract_batch(pictures, feature, pool=pool, batch=batch)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, FEATURES[feature](pictures))
    assert len(load.tasks) <= pool.count


@LOOSE
@given(
    feature=NAMES,
    sides=st.tuples(st.integers(16, 50), st.integers(16, 50)),
    window=st.integers(2, 16),
    step=st.integers(7, 20),
    strip=st.none() | st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_blocks_of_a_picture_equal_the_serial_run(
    pool: Workers,
    feature: str,
    sides: tuple[int, int],
    window: int,
    step: int,
    strip: int | None,
    seed: int,
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, sides, dtype=np.uint8)
    cut, _ = extract_windows(picture, feature, pool=pool, window=window, step=step, strip=strip)
    whole, _ = extract_windows(picture, feature, window=window, step=step)
    assert np.array_equal(cut, whole)
    last = picture[None, (len(cut) - 1) * step :][:, :window, :window].copy()
    assert np.array_equal(cut[-1, 0], FEATURES[feature](last)[0])


@pytest.mark.parametrize(
    ("shape", "how", "error", "message"),
    [
        ((9, 9), {"feature": "sift"}, InputError, "unknown feature 'sift'; known: lbp, hog"),
        ((9, 9), {"window": 10}, ShapeError, "windows of 10 x 10 need"),
        ((1, 9, 9), {}, ShapeError, "a grey picture"),
        ((9, 9), {"step": 0}, InputError, "one pixel or more"),
        ((9, 9), {"strip": 0}, InputError, "strip is one or more"),
    ],
)
def test_refused_windows(
    shape: tuple[int, ...], how: dict[str, Any], error: type[Exception], message: str
) -> None:
    options = {"feature": "lbp", "window": 4, "step": 2} | how
    with Workers(1, kind="threads") as pool, pytest.raises(error, match=message):
        extract_windows(np.zeros(shape, np.uint8), pool=pool, **options)


@pytest.mark.parametrize("pictures", [np.zeros((0, 8, 8)), np.zeros((8, 8)), np.array("abc")])
def test_refused_batches(pictures: Any) -> None:
    with Workers(1, kind="threads") as pool, pytest.raises(ShapeError, match="take grey pictures"):
        extract_batch(pictures, "lbp", pool=pool)


# --- Viola-Jones ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["processes", "threads"])
@pytest.mark.parametrize(
    ("factor", "neighbors", "min_side"), [(1.1, 5, 20), (1.3, 1, 60), (2.0, 1, 20)]
)
def test_tiles_find_the_boxes_of_the_serial_detector(
    kind: str, factor: float, neighbors: int, min_side: int
) -> None:
    serial = Haar(scale_factor=factor, neighbors=neighbors, min_side=min_side)
    with Workers(2, kind=kind) as pool:
        for image in (load_portrait("astronaut"), noise(90, 130), noise(20, 300)):
            frame = build_frame(image=image)
            boxes, _ = detect_tiles(
                frame, pool=pool, scale_factor=factor, neighbors=neighbors, min_side=min_side
            )
            wanted = serial(frame).box  # its order depends on OpenCV's threads
            assert sorted(boxes.tolist()) == sorted(wanted.tolist())
            assert len(boxes) or image.shape != load_portrait("astronaut").shape


def test_every_window_of_a_tile_is_one_of_the_whole_level() -> None:
    image = noise(2 * TILE + 90, 310)
    image[60:260, 40:240] = load_portrait("astronaut", scale=0.4)[:200, :200]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    tiles = _cut_tiles(grey.shape, 1.25, 20)
    levels = {tile.window: tile._replace(top=0, bottom=0) for tile in tiles}
    assert len(tiles) > len(levels)
    assert any(not tile.bottom and tile.factor >= CUT_TO for tile in tiles)
    found = 0
    for window, level in levels.items():
        cut = [_search_tile(grey, tile) for tile in tiles if tile.window == window]
        whole = _search_tile(grey, level)
        found += len(whole)
        assert sorted(map(tuple, np.concatenate(cut))) == sorted(map(tuple, whole))
    assert found


def test_windows_at_the_border_are_grouped_before_they_are_cut() -> None:
    portrait, serial = load_portrait("astronaut", scale=0.5), Haar(neighbors=1)
    with Workers(1, kind="threads") as pool:
        for cut in range(70, 100, 2):  # the face ends near row 90
            frame = build_frame(image=np.ascontiguousarray(portrait[:cut]))
            boxes, _ = detect_tiles(frame, pool=pool, neighbors=1)
            assert np.array_equal(boxes, serial(frame).box)


def test_a_smallest_face_above_the_frame_is_treated_as_opencv_does() -> None:
    frame = build_frame(image=load_portrait("astronaut", scale=0.5))
    with Workers(1, kind="threads") as pool:
        boxes, _ = detect_tiles(frame, pool=pool, min_side=5000, neighbors=1)
    assert np.array_equal(boxes, Haar(min_side=5000, neighbors=1)(frame).box)


@pytest.mark.parametrize("how", [{"scale_factor": 1.0}, {"neighbors": 0}, {"min_side": 0}])
def test_refused_searches(how: dict[str, Any]) -> None:
    with Workers(1, kind="threads") as pool, pytest.raises(InputError, match="above 1"):
        detect_tiles(build_frame(), pool=pool, **how)
