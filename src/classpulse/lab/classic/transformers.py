"""Preprocessing and features of pictures as scikit-learn transformers.

A row is a picture: (n, h * w) numbers, row by row of pixels. `height` says how many rows of pixels
a picture has; None takes it for the square it usually is, or the shape nearest to one.
"""

import math
from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from classpulse.core.card import InputSpec
from classpulse.core.errors import ShapeError
from classpulse.lab.classic.features import gabor, haar, hog, lbp
from classpulse.vision.image import prepare

Values = NDArray[np.floating[Any]]
KERNEL_REACH = 4.0  # standard deviations at which the Gaussian filter is cut off


def picture_shape(pixels: int, height: int | None) -> tuple[int, int]:
    """Height and width of a picture of so many pixels.

    Raises:
        ShapeError: the height does not divide the number of pixels.
    """
    if height is None:
        rows = (h for h in range(math.isqrt(pixels), 0, -1) if not pixels % h)
        height = next(rows)
    if height < 1 or pixels % height:
        raise ShapeError(f"pictures of {pixels} pixels cannot have height {height}: give another")
    return height, pixels // height


def minmax(pictures: Values) -> Values:
    """Each picture (n, h, w) scaled to [0, 1] (paper, eq. 2); one without contrast becomes 0."""
    low = pictures.min(axis=(1, 2), keepdims=True)
    span = pictures.max(axis=(1, 2), keepdims=True) - low
    return np.asarray((pictures - low) / np.where(span > 0, span, 1), dtype=pictures.dtype)


def gaussian(pictures: Values, *, sigma: float) -> Values:
    """Each picture (n, h, w) blurred by a Gaussian of `sigma` pixels (paper, eq. 3).

    Pixels are mirrored at the border, around the last one. A sigma of 0 changes nothing.
    """
    if not sigma >= 0:  # true for NaN too
        raise ShapeError(f"sigma = {sigma}: a Gaussian filter needs 0 or more pixels")
    if sigma == 0:
        return pictures
    return np.asarray(
        gaussian_filter(pictures, sigma, axes=(1, 2), mode="mirror", truncate=KERNEL_REACH)
    )


def transform_pictures(
    front: Pipeline, spec: InputSpec, images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """(n, h, w) or (n, h, w, 3) uint8, prepared as `spec` says, by fitted steps to (n, d).

    It stands here, away from the recipes, so that a worker imports little.
    """
    pixels = np.stack([prepare(image, spec).ravel() for image in images])
    return np.asarray(front.transform(pixels), dtype=np.float32)


class PictureTransformer(TransformerMixin, BaseEstimator):
    """Rows of pixels to rows of numbers, each picture by itself; subclasses say how."""

    height: int | None

    @abstractmethod
    def _apply(self, pictures: Values) -> Values:
        """(n, h, w) pictures to (n, h, w) or (n, d)."""

    def fit(self, X: Any, y: Any = None) -> "PictureTransformer":  # noqa: N803
        """Look at the size of the pictures (n, h * w); nothing else is learned."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        self.shape_ = picture_shape(X.shape[1], self.height)
        self._look(X.dtype)
        return self

    def transform(self, X: Any) -> Values:  # noqa: N803
        """(n, h * w) pixels to (n, d) numbers."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self._apply(X.reshape(-1, *self.shape_)).reshape(len(X), -1)

    def _look(self, dtype: Any) -> None:
        """What `fit` does besides."""


class MinMaxPicture(OneToOneFeatureMixin, PictureTransformer):
    """`minmax` of every picture."""

    def __init__(self, *, height: int | None = None) -> None:
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        return minmax(pictures)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class GaussianDenoise(OneToOneFeatureMixin, PictureTransformer):
    """`gaussian` of every picture."""

    def __init__(self, *, sigma: float = 1.0, height: int | None = None) -> None:
        self.sigma = sigma
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        return gaussian(pictures, sigma=self.sigma)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class PictureFeatures(ClassNamePrefixFeaturesOutMixin, PictureTransformer):
    """Features (n, d) float32, whatever the pixels are."""

    def _look(self, dtype: Any) -> None:
        self._n_features_out = self._apply(np.zeros((1, *self.shape_), dtype=dtype)).shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


class LbpFeatures(PictureFeatures):
    """`features.lbp`, with its settings."""

    def __init__(self, *, radius: float = 1.0, grid: int = 6, height: int | None = None) -> None:
        self.radius = radius
        self.grid = grid
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        return lbp(pictures, radius=self.radius, grid=self.grid)


class HogFeatures(PictureFeatures):
    """`features.hog`, with its settings."""

    def __init__(
        self, *, orientations: int = 9, cell: int = 8, block: int = 2, height: int | None = None
    ) -> None:
        self.orientations = orientations
        self.cell = cell
        self.block = block
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        how = {"orientations": self.orientations, "cell": self.cell, "block": self.block}
        return hog(pictures, **how)


class GaborFeatures(PictureFeatures):
    """`features.gabor`, with its settings."""

    def __init__(
        self,
        *,
        wavelengths: tuple[float, ...] = (4.0, 6.0, 9.0),
        orientations: int = 6,
        grid: int = 6,
        height: int | None = None,
    ) -> None:
        self.wavelengths = wavelengths
        self.orientations = orientations
        self.grid = grid
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        how = {"orientations": self.orientations, "grid": self.grid}
        return gabor(pictures, wavelengths=self.wavelengths, **how)


class HaarFeatures(PictureFeatures):
    """`features.haar`, with its settings."""

    def __init__(self, *, grid: int = 8, height: int | None = None) -> None:
        self.grid = grid
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        return haar(pictures, grid=self.grid)
