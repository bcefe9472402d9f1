"""Every feature that a classic recipe can name keeps scikit-learn's own rules."""

from typing import Any

import pytest

pytest.importorskip("skl2onnx")

from sklearn.utils.estimator_checks import parametrize_with_checks

from classpulse.lab.classic.kinds import ESTIMATORS
from classpulse.lab.classic.transformers import GaussianDenoise, MinMaxPicture

SLOW = ("embedding",)  # a network of 13 MB
QUICK = [estimator() for name, estimator in ESTIMATORS.items() if name not in SLOW]


@parametrize_with_checks([MinMaxPicture(), GaussianDenoise(), *QUICK])
def test_an_estimator_keeps_the_rules(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([ESTIMATORS[name]() for name in SLOW])
def test_a_slow_estimator_keeps_the_rules(estimator: Any, check: Any) -> None:
    check(estimator)
