"""What late fusion weighs each channel with, and the file in which fitted weights travel."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace
from classpulse.engage.fitted import read_fitted

FUSION_FORMAT = 1
SUFFIX = ".json"
PRIOR_SLACK = 1e-3  # by which a prior may miss 1: it is written with six digits


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """How `fusion.pool` weighs the channels of one label space.

    Args:
        space: name of the label space.
        reliability: channel -> weight >= 0.
        prior: label -> probability before anything is seen; empty: all the same.
        origin: where the weights come from.
    """

    space: str
    reliability: Mapping[str, float]
    prior: Mapping[str, float]
    origin: str

    def prior_in(self, space: LabelSpace) -> list[float] | None:
        """The prior in the order of the space, None if it is even."""
        return [self.prior[label] for label in space.names] if self.prior else None


@dataclass(frozen=True, slots=True)
class _FusionFile:
    """What a file holds, see `FusionWeights`."""

    format: int
    space: str
    reliability: dict[str, float]
    prior: dict[str, float]
    origin: str


def load_fusion(path: Path, *, space: LabelSpace, channels: tuple[str, ...]) -> FusionWeights:
    """Read weights as `classpulse engage fuse` writes them.

    Args:
        space, channels: what the weights have to be for.

    Raises:
        InputError: the file is missing, is not JSON, a field is missing, unknown or of the wrong
            type, or the weights are of other labels or channels, or out of range.
    """
    again = "fit it with classpulse engage fuse"
    found: _FusionFile = read_fitted(
        path, _FusionFile, what="file of fusion weights", version=FUSION_FORMAT, again=again
    )
    if found.space != space.name or set(found.reliability) != set(channels):
        raise InputError(
            f"fusion weights {path} are for {', '.join(found.reliability)} in {found.space}, needs "
            f"{', '.join(channels)} in {space.name}: {again}"
        )
    weights = np.array([*found.reliability.values()])
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InputError(
            f"fusion weights {path}: a reliability is a number >= 0, and one is above; {again}"
        )
    _check_prior(found.prior, space, path)
    return FusionWeights(found.space, found.reliability, found.prior, found.origin)


def fusion_text(weights: FusionWeights) -> str:
    """The content of a file that `load_fusion` reads."""
    return json.dumps({"format": FUSION_FORMAT} | asdict(weights), indent=2) + "\n"


def _check_prior(prior: Mapping[str, float], space: LabelSpace, path: Path) -> None:
    if not prior:
        return
    values = np.array([*prior.values()])
    if set(prior) != set(space.names) or not (
        (values > 0).all() and abs(values.sum() - 1) < PRIOR_SLACK
    ):
        raise InputError(
            f"fusion weights {path}: the prior has a probability > 0 for each of "
            f"{', '.join(space.names)} that sum to 1, or nothing at all"
        )
