"""Training targets: for every head a soft distribution, all zero where a row has no label."""

import numpy as np
from numpy.typing import NDArray

from classpulse.core.labels import (
    FER2013_7,
    FERPLUS_8,
    LEARNING_STATE_4,
    VALENCE_3,
    LabelSpace,
    ferplus_distribution,
)
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.data.valence import valence_shares

HEAD_SPACES: dict[str, LabelSpace] = {
    "emotion": FER2013_7,
    "votes": FERPLUS_8,
    "state": LEARNING_STATE_4,
    "valence": VALENCE_3,
}


HEAD_GIVEN: dict[str, tuple[str, ...]] = {
    # the decision list names states for faces voted neutral, sad or angry and drops all others
    "state": ("votes:neutral", "votes:sadness", "votes:anger"),
}


def hard_labels(faces: FaceSet, head: str) -> NDArray[np.int64]:
    """(n,) label of every picture for `head`, -1 where it has none; rules as in `truth_in`.

    Raises:
        InputError: the head needs FER+ votes and the set has none.
    """
    return truth_in(faces, HEAD_SPACES[head])


def soft_targets(faces: FaceSet, head: str, *, smoothing: float) -> NDArray[np.float32]:
    """(n, k) float32 targets for `head`; rows sum to 1, or to 0 where there is no label.

    One-hot labels are smoothed by `smoothing`; FER+ vote distributions, and valence by them, are
    soft already, and a set without votes gives its own labels instead of them.
    """
    if head == "votes" and faces.votes is not None:
        return ferplus_distribution(faces.votes)
    if head == "valence" and faces.votes is not None:
        return valence_shares(faces.votes)
    k = len(HEAD_SPACES[head])
    labels = hard_labels(faces, head)
    targets = np.zeros((len(labels), k), dtype=np.float32)
    known = labels >= 0
    targets[known] = smoothing / k
    targets[known, labels[known]] += 1.0 - smoothing
    return targets
