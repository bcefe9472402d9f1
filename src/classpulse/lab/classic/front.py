"""From pictures to features: nothing here is learned from data, so pictures can be shared out."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from classpulse.lab.classic.embedding import BATCH
from classpulse.lab.classic.kinds import Steps, build_features
from classpulse.lab.classic.recipe import ClassicRecipe
from classpulse.lab.classic.transformers import GaussianDenoise, MinMaxPicture, transform_pictures
from classpulse.lab.parallel.features import extract_rows
from classpulse.lab.parallel.workers import Workers, use_pool

CHUNK = 2048  # pictures that are shared out at once; a multiple of `BATCH`

Images = NDArray[np.uint8]
Rows = NDArray[np.float32]


def build_front(recipe: ClassicRecipe) -> Pipeline:
    """The steps before the features and the features, ready for pictures of the recipe's size."""
    steps: Steps = [("minmax", MinMaxPicture())] if recipe.minmax else []
    steps += [("denoise", GaussianDenoise(sigma=recipe.sigma))] if recipe.sigma else []
    steps += build_features(recipe.features.kind, recipe.features.settings)
    front = Pipeline(steps or [("pixels", "passthrough")])
    return front.fit(np.zeros((1, recipe.side**2), dtype=np.float32))  # it looks at the size alone


def make_features(recipe: ClassicRecipe, images: Images, *, pool: Workers | None = None) -> Rows:
    """(n, d) features of pictures (n, h, w) or (n, h, w, 3) uint8, the same bits with any pool.

    A network's answer may depend on how many pictures it gets at once, so tasks are whole batches.
    """
    make = partial(transform_pictures, build_front(recipe), recipe.input)
    with use_pool(pool) as workers:
        return np.concatenate(
            [
                extract_rows(images[start : start + CHUNK], make, pool=workers, block=BATCH)[0]
                for start in range(0, len(images), CHUNK)
            ]
        )
