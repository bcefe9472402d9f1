"""Tiled convolution equals torch's, whatever the kernel, the tiles and the workers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.parallel.convolution import conv2d
from classpulse.lab.parallel.workers import Workers


@pytest.fixture(scope="module", params=["processes", "threads", None])
def pool(request: pytest.FixtureRequest) -> Iterator[Workers | None]:
    if request.param is None:
        yield None
        return
    with Workers(2, kind=request.param) as workers:
        yield workers


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """A convolution of any shape that has an output."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups, stride, dilation = draw(st.integers(1, 3)), draw(pairs), draw(pairs)
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    sides = [
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 14))
        for d, k, p in zip(dilation, kernel, padding, strict=True)
    ]
    inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    channels, outputs = inner * groups, outer * groups
    return {
        "x": rng.normal(size=(draw(st.integers(0, 2)), channels, *sides)).astype(np.float32),
        "weight": rng.normal(size=(outputs, inner, *kernel)).astype(np.float32),
        "bias": rng.normal(size=outputs).astype(np.float32) if draw(st.booleans()) else None,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "tile": draw(st.none() | st.tuples(st.integers(1, 6), st.integers(1, 6))),
    }


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(case=convolutions())
def test_equals_torch(pool: Workers | None, case: dict[str, Any]) -> None:
    ours, split = conv2d(**case, pool=pool)
    tensors = {
        name: None if case[name] is None else torch.from_numpy(case[name])
        for name in ("x", "weight", "bias")
    }
    options = {name: case[name] for name in ("stride", "padding", "dilation", "groups")}
    x = tensors.pop("x")
    theirs = functional.conv2d(x, **tensors, **options).numpy()  # type: ignore[arg-type]
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert sum(split.load.tasks) == split.tiles
    assert split.halo >= 0


@pytest.mark.parametrize(
    ("sides", "tile"),
    [((300, 130), (56, 65)), ((300, 20), (182, 20)), ((7, 512), (7, 128)), ((3, 1), (3, 1))],
)
def test_tiles_by_default_fit_the_cache_in_even_columns(
    sides: tuple[int, int], tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classpulse.lab.parallel.convolution.COLUMNS", 9 * 3650)
    x, weight = np.zeros((1, 1, *sides), np.float32), np.zeros((1, 1, 3, 3), np.float32)
    assert conv2d(x, weight, padding=1)[1].tile == tile


def test_tiles_do_not_change_the_result(pool: Workers | None) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 3, 33, 29)), rng.normal(size=(4, 3, 5, 5))
    whole, one = conv2d(x, weight, tile=(29, 25))
    cut, many = conv2d(x, weight, pool=pool, tile=(7, 9))
    np.testing.assert_allclose(cut, whole, rtol=1e-12)
    assert one.tiles == 2 and one.halo == 0
    assert many.tiles == 2 * 5 * 3
    # 29 rows in tiles of 7, 7, 7, 7, 1 and 25 columns in 9, 9, 7, each with 4 more
    assert many.halo == pytest.approx((29 + 4 * 5) * (25 + 4 * 3) / (33 * 29) - 1)
    assert 1 <= len(many.load.tasks) <= 2


def test_a_one_by_one_kernel_reads_nothing_twice() -> None:
    x, weight = np.ones((1, 2, 9, 9), np.float32), np.ones((1, 2, 1, 1), np.float32)
    assert conv2d(x, weight, tile=(2, 4))[1].halo == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": np.ones((3, 8, 8), np.float32)}, ShapeError, r"x \(n, c, h, w\)"),
        ({"x": np.ones((1, 2, 8, 8), np.int64)}, ShapeError, "float32 or float64"),
        ({"x": np.ones((1, 2, 2, 8), np.float32)}, ShapeError, "does not fit an input of 2 x 8"),
        ({"weight": np.ones((4, 3, 3, 3), np.float32)}, ShapeError, "1 groups do not divide"),
        ({"groups": 0}, ShapeError, "0 groups"),
        ({"bias": np.ones(3, np.float32)}, ShapeError, "one number for each of 4"),
        ({"stride": 0}, InputError, "stride is 1 or more"),
        ({"padding": -1}, InputError, "padding is 0 or more"),
        ({"dilation": (1, 0)}, InputError, "dilation is 1 or more"),
        ({"tile": (0, 3)}, InputError, "tile is 1 or more"),
    ],
)
def test_refusals(change: dict[str, Any], error: type[Exception], message: str) -> None:
    good = {"x": np.ones((1, 2, 8, 8), np.float32), "weight": np.ones((4, 2, 3, 3), np.float32)}
    with pytest.raises(error, match=message):
        conv2d(**(good | change))
