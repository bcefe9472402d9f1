"""What becomes of labels before they are learned: FER+ votes, and pictures that occur twice.

how = Labeling(votes=0.5, repeats="mean")
targets = how.apply(targets, faces)

FER2013 has one label a picture, from a search word and a second look, and FER+ ten votes (Barsoum
et al. 2016), which agree with it on two thirds of the pictures.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import RELABELS, ferplus_distribution
from classpulse.lab.data.dedup import count_groups, group_repeats
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.train.kinds import check_ranges

Probs = NDArray[np.float32]

REPEATS = ("", "mean")
VOTED = "emotion"  # the head whose labels votes are mixed into

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Labeling:
    """The table `[labels]` of a recipe.

    Args:
        votes: share of the emotion target that FER+ votes give, from 0 (labels alone) to 1.
        repeats: "mean" gives all copies of one training picture (`find_repeats`: to the byte, to
            the eye, mirrored) the mean of their targets, of every head; empty leaves them be.

    Raises:
        InputError: a share out of range, or another word.
    """

    votes: float = 0.0
    repeats: str = ""

    def __post_init__(self) -> None:
        check_ranges(votes=(self.votes, 0, 1))
        if self.repeats not in REPEATS:
            raise InputError(f"repeats = '{self.repeats}': needs 'mean', or nothing")

    def apply(self, targets: Mapping[str, Probs], faces: FaceSet) -> dict[str, Probs]:
        """Targets (n, k) by head after votes and repeats; rows keep their mass.

        Raises:
            InputError: a share of votes, and the set has none.
        """
        found = dict(targets)
        if self.votes and VOTED in found:
            if faces.votes is None:
                raise InputError(
                    f"labels.votes = {self.votes:g}: {faces.name} has no FER+ votes: give the path "
                    "of fer2013new.csv, or sets that all have votes"
                )
            found[VOTED] = blend_votes(found[VOTED], faces.votes, share=self.votes)
        if self.repeats:
            groups = group_repeats(faces.images)
            logger.info("repeats in %s: %s", faces.name, count_groups(groups, faces.labels))
            found = {head: share_targets(t, groups) for head, t in found.items()}
        return found


def blend_votes(targets: Probs, votes: NDArray[np.int64], *, share: float) -> Probs:
    """Targets (n, 7) in FER2013's labels of which `share` is what ten people voted.

    Votes are those of `ferplus_distribution`, under FER2013's names: contempt has none, and what is
    left is made to sum to 1. A row keeps its target where no vote is left.

    Args:
        votes: (n, 10) FER+ votes.
    """
    voted = RELABELS["ferplus-to-fer2013"].apply(ferplus_distribution(votes))
    mixed = (1 - share) * targets + share * targets.sum(axis=1, keepdims=True) * voted
    usable = np.isfinite(voted).all(axis=1, keepdims=True)  # rows without a vote are NaN
    return np.where(usable, mixed, targets).astype(np.float32)


def share_targets(targets: Probs, groups: NDArray[np.int64]) -> Probs:
    """The same (n, k) with the mean of its group for every row; rows without a label stay empty.

    Args:
        groups: (n,) of `group_repeats`.
    """
    sums = np.zeros_like(targets)
    np.add.at(sums, groups, targets)
    mass = np.maximum(sums.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    repeated = np.bincount(groups, minlength=len(groups))[groups] > 1
    mean = (sums / mass)[groups] * targets.sum(axis=1, keepdims=True)
    return np.where(repeated[:, None], mean, targets).astype(np.float32)
