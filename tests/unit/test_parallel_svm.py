"""Parallel SVMs beside scikit-learn's serial ones."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from classpulse.core.errors import InputError
from classpulse.lab.parallel.cascade import CascadeSVC, deal
from classpulse.lab.parallel.svm import ParallelSVC
from classpulse.lab.parallel.workers import Workers

Array = NDArray[Any]
KERNELS = [
    {"kernel": "rbf"},
    {"kernel": "rbf", "gamma": "auto", "C": 10.0},
    {"kernel": "linear"},
    {"kernel": "poly", "degree": 2, "coef0": 1.0, "gamma": 0.1},
    {"class_weight": "balanced", "break_ties": True},
]


@pytest.fixture(scope="module")
def pool() -> Iterator[Workers]:
    with Workers(2) as workers:
        yield workers


def blobs(seed: int, *, classes: int = 4) -> tuple[Array, Array, Array]:
    """Overlapping classes: training data, labels that are words, and other data."""
    x, y = make_classification(
        500, 6, n_informative=5, n_redundant=0, n_classes=classes, class_sep=0.8, random_state=seed
    )
    words = np.array(["sad", "happy", "angry", "calm", "bored"])[y]
    return x[:300], words[:300], x[300:]


@parametrize_with_checks([ParallelSVC(), ParallelSVC(scheme="one-vs-rest"), CascadeSVC()])
def test_is_an_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("settings", KERNELS, ids=str)
@pytest.mark.parametrize("classes", [2, 5])
def test_one_against_one_is_the_machine_of_svc(
    pool: Workers, settings: dict[str, Any], classes: int
) -> None:
    x, y, other = blobs(1, classes=classes)
    serial = SVC(**settings).fit(x, y)
    ours = ParallelSVC(**settings).fit_with(x, y, pool)
    assert np.array_equal(ours.support_, np.sort(serial.support_))
    assert np.array_equal(ours.predict(other), serial.predict(other))
    values = serial.decision_function(other)
    assert np.array_equal(ours.svc_.decision_function(other), values)  # to the bit
    learned = {name for name in vars(serial) if name.endswith("_")} - {"classes_"}  # ours are codes
    assert all(np.array_equal(getattr(ours.svc_, n), getattr(serial, n)) for n in learned)
    assert vars(ours.svc_).keys() == vars(serial).keys()
    here = clone(ours).fit(x, y)
    assert np.array_equal(here.support_, ours.support_)
    assert np.array_equal(here.predict(other), ours.predict(other))


@pytest.mark.parametrize("classes", [2, 4])
def test_one_against_rest_is_that_of_scikit_learn(pool: Workers, classes: int) -> None:
    x, y, other = blobs(2, classes=classes)
    gamma = 1 / (x.shape[1] * x.var())
    serial = OneVsRestClassifier(SVC(gamma=gamma)).fit(x, y)
    ours = ParallelSVC(scheme="one-vs-rest").fit_with(x, y, pool)
    assert np.array_equal(ours.predict(other), serial.predict(other))


@pytest.mark.parametrize("settings", KERNELS[:3], ids=str)
def test_a_cascade_comes_to_the_machine_of_all_data(
    pool: Workers, settings: dict[str, Any]
) -> None:
    x, y, other = blobs(3)
    tight = settings | {"tol": 1e-6}
    serial = SVC(**tight).fit(x, y)
    ours = CascadeSVC(**tight, parts=3, rounds=9).fit_with(x, y, pool)
    assert ours.converged_ and 2 <= ours.rounds_ < 9
    assert np.array_equal(ours.support_, np.sort(serial.support_))
    assert np.array_equal(ours.predict(other), serial.predict(other))
    assert len(ours.loads_) == 2 * ours.rounds_  # three parts are two layers before the last


def test_one_round_is_close_and_says_that_it_is_not_all() -> None:
    x, y, other = blobs(4)
    ours = CascadeSVC(rounds=1).fit(x, y)
    assert not ours.converged_ and ours.rounds_ == 1
    assert np.mean(ours.predict(other) == SVC().fit(x, y).predict(other)) > 0.9


def test_deal_shares_out_every_class() -> None:
    codes = np.array([0] * 10 + [1] * 5 + [2])
    parts = deal(codes, 3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(16))
    assert {tuple(np.bincount(codes[p], minlength=2)[:2]) for p in parts} <= {(4, 1), (3, 2)}
    assert len(deal(np.zeros(2, int), 9)) == 2


@pytest.mark.slow
def test_fit_opens_its_own_pool() -> None:
    x, y, other = blobs(5)
    ours = ParallelSVC(workers=1).fit(x, y)
    assert np.array_equal(ours.predict(other), SVC().fit(x, y).predict(other))
    assert sum(ours.load_.tasks) == 6


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (ParallelSVC(kernel="sigmoid"), "unknown kernel 'sigmoid'; known: linear, poly, rbf"),
        (ParallelSVC(gamma="much"), "gamma is 'scale', 'auto' or a positive number, not 'much'"),
        (ParallelSVC(gamma=0), "gamma is"),
        (ParallelSVC(scheme="ovo"), "unknown scheme 'ovo'"),
        (ParallelSVC(workers=0), "a pool needs one worker or more, not 0"),
        (CascadeSVC(parts=1), "two parts or more"),
        (CascadeSVC(rounds=0), "a round or more"),
    ],
    ids=str,
)
def test_refusals(estimator: Any, message: str) -> None:
    x, y, _ = blobs(0)
    with pytest.raises(InputError, match=message):
        estimator.fit(x, y)
