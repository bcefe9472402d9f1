"""Cross-validation as a plain loop: folds in, one number with an interval out.

values = [train_and_score(fold.train, fold.valid) for fold in iterate_folds(rows, seed=42)]
result = mean_over_folds(values)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Interval
from classpulse.lab.data.splits import FOLD, SEED, Rows, draw_split

KFOLD = "kfold-10"


@dataclass(frozen=True, slots=True)
class Fold:
    """One turn: number from 0, sorted positions (r,) int64 to train on and to validate on."""

    number: int
    train: NDArray[np.int64]
    valid: NDArray[np.int64]


def iterate_folds(
    rows: Rows, *, protocol: str = KFOLD, seed: int = SEED, name: str = "the data"
) -> Iterator[Fold]:
    """Every part of a k-fold protocol is validation once, the others train.

    Rows without a label are in no fold.

    Args:
        name: of the data, for messages.

    Raises:
        InputError: the protocol is unknown or has no folds, or there are too few rows.
    """
    split = draw_split(protocol, rows, seed=seed, name=name)
    if not all(part.startswith(FOLD) for part in split):
        raise InputError(
            f"the split '{protocol}' has no folds but {', '.join(split)}: choose '{KFOLD}', for "
            f"example with --set data.split={KFOLD}"
        )
    parts = list(split.values())
    for number, valid in enumerate(parts):
        others = [part for i, part in enumerate(parts) if i != number]
        yield Fold(number, np.sort(np.concatenate(others)), valid)


def mean_over_folds(values: Sequence[float], *, ratio: float | None = None) -> Interval:
    """Mean of k values with the 95 % interval of the corrected resampled t-test.

    The folds share most of their training rows, so their values are not independent and the usual
    s / sqrt(k) is too small: the variance is multiplied by 1/k + 1/(k - 1), the second term being
    validation rows over training rows (Nadeau and Bengio 2003, section 3.3).

    Args:
        ratio: validation rows over training rows, if the values are of some of the folds only.

    Raises:
        InputError: fewer than two values, or one that is not finite.
    """
    from scipy.stats import t

    k = len(values)
    if k < 2 or not np.isfinite(values).all():
        raise InputError(f"values {list(values)}: an interval needs two or more finite numbers")
    mean = float(np.mean(values))
    shared = 1 / (k - 1) if ratio is None else ratio
    error = float(np.std(values, ddof=1)) * (1 / k + shared) ** 0.5
    reach = float(t.ppf(0.975, k - 1)) * error
    return Interval(mean, mean - reach, mean + reach)
