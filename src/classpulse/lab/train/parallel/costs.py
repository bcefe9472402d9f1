"""What an epoch of a parallel training cost: computing, sending, waiting, staleness."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one epoch.

    Args:
        scheme, workers: who trained.
        steps: updates of the weights.
        step_seconds: wall time of the epoch's training by its steps.
        compute_seconds: processor time of one worker for its part of a step, in its own thread:
            what a step takes when nobody waits and nobody disturbs, if workers have one thread.
        update_seconds: processor time of the server for a step; 0 without one.
        step_bytes: that one worker sends for a step, and receives from a server; on average.
        staleness: updates between reading the weights and changing them -> how often.
    """

    scheme: str
    workers: int
    steps: int
    step_seconds: float
    compute_seconds: float
    update_seconds: float = 0.0
    step_bytes: float = 0.0
    staleness: Mapping[int, int] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As plain values, for logs and checkpoints; staleness as (updates, how often) pairs."""
        table = asdict(self)
        return table | {
            "staleness": sorted([age, times] for age, times in self.staleness.items()),
            "mean_staleness": mean_age(self.staleness),
        }


def mean_age(staleness: Mapping[int, int]) -> float:
    """Mean staleness; 0 without any."""
    total = sum(staleness.values())
    return sum(age * times for age, times in staleness.items()) / total if total else 0.0
