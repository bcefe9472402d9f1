"""Cross-validation: every row validates once, and the interval over folds."""

import numpy as np
import pytest

from classpulse.core.errors import InputError
from classpulse.lab.data.splits import Rows
from classpulse.lab.search.study import iterate_folds, mean_over_folds

AIEDUCATION = (0.6482, 0.6528, 0.6361, 0.6459, 0.6331, 0.6482, 0.6255, 0.6338, 0.6619, 0.6368)


def test_every_labelled_row_validates_once() -> None:
    labels = np.append(np.arange(200) % 4, [-1, -1]).astype(np.int64)
    folds = list(iterate_folds(Rows(labels), seed=1))
    assert [fold.number for fold in folds] == list(range(10))
    for fold in folds:
        assert not np.intersect1d(fold.train, fold.valid).size
        assert np.array_equal(np.union1d(fold.train, fold.valid), np.arange(200))
        assert np.bincount(labels[fold.valid]).tolist() == [5, 5, 5, 5]
    assert np.array_equal(np.sort(np.concatenate([f.valid for f in folds])), np.arange(200))
    again = next(iterate_folds(Rows(labels), seed=1))
    assert np.array_equal(again.valid, folds[0].valid)


def test_the_mean_of_the_source_and_its_interval() -> None:
    found = mean_over_folds(AIEDUCATION)
    assert round(found.value, 4) == 0.6422
    plain = np.std(AIEDUCATION, ddof=1) / 10**0.5 * 2.2622  # t with 9 degrees of freedom
    assert found.high - found.value == pytest.approx(plain * (1 + 10 / 9) ** 0.5, rel=1e-3)
    assert found.value - found.low == pytest.approx(found.high - found.value)


@pytest.mark.parametrize("values", [(), (0.5,), (0.5, float("nan"))])
def test_too_few_values_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="two or more finite numbers"):
        mean_over_folds(values)
