"""Whether a face looks pleasant or not, by its FER+ votes: negative, neutral or positive.

Votes for anger, disgust, fear, sadness and contempt are added up before they are compared, so that
people who disagree about which of them it is agree here (`VALENCE_RULE`).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.labels import (
    FERPLUS_8,
    UNLABELED,
    VALENCE_3,
    VALENCE_RULE,
    ferplus_distribution,
    vote_columns,
)


def valence_labels(votes: ArrayLike) -> NDArray[np.int64]:
    """(n,) int64 the sign with more FER+ votes (n, 10) than any other choice.

    `UNLABELED` where the first place is shared, or votes without a sign (surprise, 'unknown', 'not
    a face') are as many.
    """
    signs, others = _count(votes)
    order = np.sort(signs, axis=1)
    clear = (order[:, -1] > order[:, -2]) & (order[:, -1] > others)
    return np.where(clear, signs.argmax(axis=1), UNLABELED).astype(np.int64)


def valence_shares(votes: ArrayLike) -> NDArray[np.float32]:
    """(n, 3) float32 shares of the signs, single votes left out as in `ferplus_distribution`.

    Rows are zero where votes without a sign are half of all or more, or no vote with one is left.
    """
    signs, others = _count(votes)
    shares = VALENCE_RULE.apply(ferplus_distribution(votes))  # NaN where nothing is left
    usable = np.isfinite(shares).all(axis=1) & (signs.sum(axis=1) > others)
    return np.where(usable[:, None], shares, 0).astype(np.float32)


def _count(votes: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(n, 3) votes of each sign, and (n,) those without one."""
    columns = vote_columns(votes)
    emotions = np.stack([columns[name] for name in FERPLUS_8.names], axis=1)  # (n, 8)
    signs = emotions @ VALENCE_RULE.matrix.astype(np.int64)
    assert signs.shape[1] == len(VALENCE_3)
    everything = np.stack(list(columns.values()), axis=1).sum(axis=1)
    return signs, everything - signs.sum(axis=1)
