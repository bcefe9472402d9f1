"""Classical features: against scikit-image and by hand, for any size, row by row."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("skimage")

from classic_data import striped
from skimage.feature import haar_like_feature, haar_like_feature_coord, hog
from skimage.transform import integral_image

from classpulse.core.errors import InputError, ShapeError
from classpulse.lab.classic import features
from classpulse.lab.classic.features import FEATURES
from classpulse.lab.classic.transformers import (
    GaussianDenoise,
    MinMaxPicture,
    gaussian,
    minmax,
    picture_shape,
)

IMAGES, _ = striped(6)
every = pytest.mark.parametrize("name", list(FEATURES))


@every
def test_a_row_is_of_its_own_picture_alone(name: str) -> None:
    whole = FEATURES[name](IMAGES)
    parts = np.concatenate([FEATURES[name](IMAGES[:1]), FEATURES[name](IMAGES[1:])])
    assert np.array_equal(whole, parts) and whole.dtype == np.float32


@every
def test_pictures_are_not_changed(name: str) -> None:
    before = IMAGES.astype(np.float64)
    given = before.copy()
    FEATURES[name](given)
    assert np.array_equal(given, before)


@every
@settings(max_examples=15)
@given(st.integers(1, 20), st.integers(2, 20), st.integers(0, 9))
def test_pictures_of_any_size_give_finite_numbers(name: str, h: int, w: int, seed: int) -> None:
    images = np.random.default_rng(seed).normal(size=(2, h, w))
    found = FEATURES[name](images)
    assert found.shape[0] == 2 and found.shape[1] > 0 and np.isfinite(found).all()


@every
def test_settings_at_the_ends_of_their_ranges_work_and_beyond_are_refused(name: str) -> None:
    for setting, ends in features.RANGES[name].items():
        for end, step in zip(ends, (-1, 1), strict=True):
            for value, fits in ((end, True), (end + step, False)):
                given = (float(value),) if setting == "wavelengths" else value
                if fits:
                    found = FEATURES[name](IMAGES[:1], **{setting: given})
                    assert np.isfinite(found).all() and found.shape[1] > 0
                else:
                    with pytest.raises(InputError, match=f"{setting} = .*: needs a number from"):
                        FEATURES[name](IMAGES[:1], **{setting: given})


@every
@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4)), np.zeros((0, 4, 4)), np.array([[["a"]]]), np.zeros((1, 2, 2)) > 0]
)
def test_what_is_no_stack_of_pictures_is_refused(name: str, bad: Any) -> None:
    with pytest.raises(ShapeError, match="features take grey pictures"):
        FEATURES[name](bad)


@pytest.mark.parametrize("name", ["lbp", "hog", "haar"])
def test_light_and_contrast_do_not_count(name: str) -> None:
    changed = IMAGES.astype(np.float64) * 0.25 + 40
    near = np.abs(FEATURES[name](changed) - FEATURES[name](IMAGES)) < 1e-3
    assert near.all() if name != "lbp" else near.mean() > 0.99  # a tie may turn by rounding


@pytest.mark.parametrize("name", ["hog", "gabor", "haar"])
def test_a_flat_picture_has_nothing(name: str) -> None:
    assert np.abs(FEATURES[name](np.full((1, 48, 48), 200, np.uint8))).max() < 1e-4


def test_lbp_is_a_histogram_in_every_cell() -> None:
    found = features.lbp(IMAGES).reshape(len(IMAGES), 36, 59)
    assert np.allclose(found.sum(axis=2), 1) and found.min() >= 0


def test_lbp_of_a_flat_picture_is_the_pattern_of_equal_neighbors() -> None:
    found = features.lbp(np.full((1, 12, 12), 7), grid=1)
    assert sorted(found[0])[-1] == 1.0 and np.count_nonzero(found) == 1


def test_hog_is_that_of_scikit_image() -> None:
    own = hog(IMAGES[0].astype(float), pixels_per_cell=(8, 8), cells_per_block=(2, 2))
    assert np.allclose(features.hog(IMAGES)[0], own, atol=1e-6) and own.shape == (900,)


@pytest.mark.parametrize("kind", ["type-2-x", "type-2-y", "type-4"])
def test_haar_is_that_of_scikit_image(kind: str) -> None:
    picture = np.random.default_rng(0).normal(size=(6, 6))
    _, all_kinds = haar_like_feature_coord(6, 6)
    coordinates, kinds = haar_like_feature_coord(6, 6, kind)
    sums = haar_like_feature(integral_image(picture), 0, 0, 6, 6, kinds, coordinates)
    areas = np.array([_pixels(c) / 2 for c in coordinates])
    found = features.haar(picture[None], grid=6)[0]
    assert found.shape == (669,)
    wanted = -sums / areas / picture.std()  # there the first rectangle is the dark one
    assert np.allclose(found[all_kinds == kind], wanted, atol=1e-5)


def _pixels(rectangles: Any) -> int:
    return sum((b - t + 1) * (r - left + 1) for (t, left), (b, r) in rectangles)


def test_haar_of_three_rectangles_compares_their_means() -> None:
    picture = np.array([[[1.0, 5.0, 3.0]]])
    found = features.haar(picture, grid=3)[0] * picture.std()
    assert np.allclose(sorted(found), sorted([1 - 5, 5 - 3, (1 + 3) / 2 - 5]))


def test_one_pixel_has_no_haar_features() -> None:
    with pytest.raises(ShapeError, match="n_features = 1"):
        features.haar(np.ones((1, 1, 1)))


def test_gabor_answers_most_to_its_own_stripes() -> None:
    x = np.tile(np.sin(np.arange(48) * 2 * np.pi / 6), (48, 1))  # wavelength 6, along x
    strength = features.gabor(np.stack([x, x.T])).reshape(2, 3, 6, 36).mean(axis=3)
    assert np.unravel_index(strength[0].argmax(), (3, 6)) == (1, 0)
    assert np.unravel_index(strength[1].argmax(), (3, 6)) == (1, 3)


def test_minmax_is_exact_and_knows_a_flat_picture() -> None:
    scaled = minmax(np.array([[[2.0, 4.0], [3.0, 6.0]], [[5.0, 5.0], [5.0, 5.0]]]))
    assert scaled.tolist() == [[[0.0, 0.5], [0.25, 1.0]], [[0.0, 0.0], [0.0, 0.0]]]


def test_the_gaussian_keeps_the_mean_and_calms_noise() -> None:
    noise = np.random.default_rng(0).normal(size=(1, 48, 48))
    impulse = np.zeros((1, 31, 31))
    impulse[0, 15, 15] = 1
    spread = gaussian(impulse, sigma=2.0)[0]
    assert spread.sum() == pytest.approx(1) and spread[15, 15] == pytest.approx(
        1 / (8 * np.pi), rel=0.02
    )
    assert gaussian(noise, sigma=1.0).std() < 0.4 * noise.std()
    assert gaussian(noise, sigma=0.0) is noise


@pytest.mark.parametrize("sigma", [-1.0, float("nan")])
def test_a_sigma_is_zero_or_more(sigma: float) -> None:
    with pytest.raises(ShapeError, match="needs 0 or more pixels"):
        GaussianDenoise(sigma=sigma).fit_transform(np.zeros((2, 9)))


def test_a_row_of_pixels_has_a_shape() -> None:
    assert [picture_shape(n, None) for n in (2304, 10, 7)] == [(48, 48), (2, 5), (1, 7)]
    assert picture_shape(12, 6) == (6, 2)
    with pytest.raises(ShapeError, match="cannot have height 5"):
        MinMaxPicture(height=5).fit(np.zeros((2, 9)))
