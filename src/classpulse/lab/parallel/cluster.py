"""Time of an epoch of data-parallel training on machines that nobody has measured: a SIMULATION.

From the seconds of one training step on one worker and the bytes of its gradient, both measured,
and a link with a stated bandwidth and latency. Every worker has its own batch of one size, so that
an epoch has fewer steps the more workers there are: in rounds of all, the last of which may be for
few samples, where workers wait for each other; otherwise whoever is free takes the next batch.

* synchronous: compute, then a ring all-reduce (Patarasuk and Yuan 2009): 2 (p - 1) messages of
  1 / p of the gradient. Everybody waits for the slowest of p.
* asynchronous: a parameter server takes gradients one at a time and sends weights back; workers
  never wait for each other, only for the server's link once it is full.
* compressed: synchronous with fewer bytes and some seconds for making and reading them.

Not in the model: overlap of computing and sending, other traffic, loading of data, and whether the
training converges as well with larger batches or older gradients.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from classpulse.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Link:
    """What a machine is connected by.

    Args:
        bandwidth: bytes per second in each direction.
        latency: seconds of a message of no length.
    """

    bandwidth: float
    latency: float

    def __post_init__(self) -> None:
        if not (self.bandwidth > 0 and 0 <= self.latency < math.inf):
            raise InputError(
                f"a link has a positive bandwidth and a latency of 0 s or more, not "
                f"{self.bandwidth} bytes/s and {self.latency} s"
            )


@dataclass(frozen=True, slots=True)
class Step:
    """One training step of one worker.

    Args:
        compute: seconds without any sending, mean over steps.
        size: bytes of the gradient.
        batch: samples of a worker's batch.
        spread: standard deviation of `compute` over steps, seconds.
        compression: bytes that are sent / `size`, for the compressed scheme.
        coding: seconds to compress and restore a gradient.
    """

    compute: float
    size: float
    batch: int
    spread: float = 0.0
    compression: float = 0.5
    coding: float = 0.0

    def __post_init__(self) -> None:
        rest = (self.size, self.spread, self.coding)
        if not (self.compute > 0 and self.batch > 0 and min(rest) >= 0):
            raise InputError(f"a step has positive seconds and samples, nothing negative: {self}")
        if not 0 < self.compression <= 1:
            raise InputError(f"compression leaves a share in (0, 1], not {self.compression}")


def synchronous(step: Step, workers: int, link: Link) -> float:
    """Seconds until every worker has done a step and the weights are equal again."""
    return slowest(step, workers) + all_reduce(step.size, workers, link)


def compressed(step: Step, workers: int, link: Link) -> float:
    """As `synchronous` with a compressed gradient; alone there is nothing to compress."""
    coding = step.coding if workers > 1 else 0.0
    sent = all_reduce(step.size * step.compression, workers, link)
    return slowest(step, workers) + coding + sent


def asynchronous(step: Step, workers: int, link: Link) -> float:
    """Seconds between two steps of a worker that sends its gradient to a server, on average.

    The server's link carries one gradient in and one set of weights out for every step: when it
    is full, workers queue.
    """
    if workers == 1:
        return step.compute
    message = step.size / link.bandwidth
    return max(step.compute + 2 * (link.latency + message), workers * message)


SCHEMES: dict[str, Callable[[Step, int, Link], float]] = {
    "synchronous": synchronous,
    "asynchronous": asynchronous,
    "compressed": compressed,
}
"""Seconds of one step of each of `workers`."""
ROUNDS = ("synchronous", "compressed")  # schemes in which nobody begins a step before all are done


def epoch_seconds(scheme: str, step: Step, workers: int, link: Link, *, samples: int) -> float:
    """Seconds until `samples` samples have been seen by all workers together.

    Raises:
        InputError: no such scheme, or no workers.
    """
    if scheme not in SCHEMES:
        raise InputError(f"unknown scheme '{scheme}'; known: {', '.join(SCHEMES)}")
    if workers < 1:
        raise InputError(f"training needs one worker or more, not {workers}")
    if scheme in ROUNDS:
        rounds = math.ceil(samples / (step.batch * workers))
        return rounds * SCHEMES[scheme](step, workers, link)
    batches = math.ceil(samples / step.batch)
    busy = max(1, min(workers, batches))  # there may be more workers than batches
    return batches / busy * SCHEMES[scheme](step, busy, link)


def all_reduce(size: float, workers: int, link: Link) -> float:
    """Seconds of a ring all-reduce of `size` bytes."""
    messages = 2 * (workers - 1)
    return messages * (link.latency + size / workers / link.bandwidth)


def slowest(step: Step, workers: int) -> float:
    """Mean of the longest of `workers` computing times, if they are normal (Blom 1958)."""
    if workers == 1:
        return step.compute
    rank = (workers - 0.375) / (workers + 0.25)
    return step.compute + step.spread * NormalDist().inv_cdf(rank)


def fit_link(step: Step, pair: float, *, latency: float) -> Link:
    """The link with which `synchronous` says what was measured with two workers.

    Args:
        step: measured with one worker.
        pair: seconds of a synchronous step of two workers, measured.
        latency: of the link, seconds; one run cannot tell it from the bandwidth.

    Raises:
        InputError: two workers took no longer than computing and latency alone explain.
    """
    sending = pair - slowest(step, 2) - 2 * latency
    if sending <= 0:
        raise InputError(
            f"a step of two workers in {pair:g} s leaves nothing for sending: computing takes "
            f"{slowest(step, 2):g} s and two messages of latency {2 * latency:g} s"
        )
    return Link(step.size / sending, latency)
