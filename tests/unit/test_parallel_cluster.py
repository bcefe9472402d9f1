"""The simulated cluster: by hand, at its limits, and against a measured pair of runs."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.lab.parallel.cluster import (
    SCHEMES,
    Link,
    Step,
    all_reduce,
    epoch_seconds,
    fit_link,
    slowest,
)

STEP = Step(compute=0.1, size=4e6, batch=64)
LINK = Link(bandwidth=1e8, latency=1e-3)
WORKERS = st.integers(1, 256)


def test_ring_all_reduce_by_hand() -> None:
    # two workers: two messages of 2 MB, each 1 ms + 20 ms
    assert all_reduce(4e6, 2, LINK) == pytest.approx(0.042)
    # four: six messages of 1 MB
    assert all_reduce(4e6, 4, LINK) == pytest.approx(6 * 0.011)
    assert all_reduce(4e6, 1, LINK) == 0


def test_epochs_by_hand() -> None:
    assert epoch_seconds("synchronous", STEP, 2, LINK, samples=1280) == pytest.approx(10 * 0.142)
    packed = replace(STEP, compression=0.25, coding=0.003)
    assert epoch_seconds("compressed", packed, 2, LINK, samples=1280) == pytest.approx(
        10 * (0.1 + 0.003 + 2 * (0.001 + 0.005))
    )
    # gradient in and weights out: 2 * 41 ms, and the server is free enough for two
    assert epoch_seconds("asynchronous", STEP, 2, LINK, samples=1280) == pytest.approx(10 * 0.182)
    # 100 workers fill its link: 40 ms for each step of each
    assert epoch_seconds("asynchronous", STEP, 100, LINK, samples=6400) == pytest.approx(4.0)


def test_asynchronous_workers_share_batches_without_rounds() -> None:
    # 449 batches through a server that is busy for 40 ms with each, whoever sent it
    samples = 448 * 64 + 37
    for workers in (8, 32, 100, 256, 449):
        seconds = epoch_seconds("asynchronous", STEP, workers, LINK, samples=samples)
        assert seconds == pytest.approx(449 * 0.04), workers
    # while the server has time, each of 3 workers does a third of them: no whole 150
    third = epoch_seconds("asynchronous", STEP, 3, LINK, samples=samples)
    assert third == pytest.approx(449 / 3 * 0.182)


@given(workers=st.integers(2, 600), samples=st.integers(1, 40_000))
def test_one_more_asynchronous_worker_never_takes_longer(workers: int, samples: int) -> None:
    one, more = (
        epoch_seconds("asynchronous", STEP, n, LINK, samples=samples)
        for n in (workers, workers + 1)
    )
    assert more <= one * (1 + 1e-9)
    assert one >= epoch_seconds("asynchronous", STEP, 2, LINK, samples=64)  # a step, at least


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_worker_is_the_measured_run(scheme: str) -> None:
    step = replace(STEP, compression=0.1, coding=0.5, spread=0.01)
    assert epoch_seconds(scheme, step, 1, LINK, samples=641) == pytest.approx(11 * 0.1)


@given(
    compute=st.floats(1e-3, 1),
    spread=st.floats(0, 0.1),
    sending=st.floats(1e-4, 1),
    latency=st.floats(0, 1e-2),
)
def test_two_workers_are_the_measured_run(
    compute: float, spread: float, sending: float, latency: float
) -> None:
    step = Step(compute, 4e6, 32, spread=spread)
    pair = slowest(step, 2) + 2 * latency + sending
    link = fit_link(step, pair, latency=latency)
    steps = 1000 / 32 / 2
    measured = math.ceil(steps) * pair
    assert epoch_seconds("synchronous", step, 2, link, samples=1000) == pytest.approx(measured)


@given(workers=WORKERS, scheme=st.sampled_from(sorted(SCHEMES)))
def test_a_free_link_makes_all_schemes_ideal(workers: int, scheme: str) -> None:
    link = Link(bandwidth=math.inf, latency=0)
    samples = 64 * 256 * 3 * workers
    assert epoch_seconds(scheme, STEP, workers, link, samples=samples) == pytest.approx(
        samples / 64 / workers * STEP.compute
    )


@given(workers=WORKERS)
def test_sending_less_never_takes_longer_and_waiting_never_helps(workers: int) -> None:
    plain = SCHEMES["synchronous"](STEP, workers, LINK)
    assert SCHEMES["compressed"](STEP, workers, LINK) <= plain
    assert SCHEMES["synchronous"](replace(STEP, spread=0.02), workers, LINK) >= plain


def test_the_slowest_of_many_is_slower() -> None:
    step = replace(STEP, spread=0.01)
    # the mean of the largest of two standard normals is 1 / sqrt(pi)
    assert slowest(step, 2) == pytest.approx(0.1 + 0.01 / math.sqrt(math.pi), rel=0.01)
    assert slowest(step, 1) < slowest(step, 2) < slowest(step, 256) < 0.14


@pytest.mark.parametrize(("bandwidth", "latency"), [(0, 0), (-1, 0), (1, -1), (1, math.inf)])
def test_refused_links(bandwidth: float, latency: float) -> None:
    with pytest.raises(InputError, match="positive bandwidth"):
        Link(bandwidth, latency)


@pytest.mark.parametrize(
    "wrong",
    [{"compute": 0.0}, {"size": -1}, {"batch": 0}, {"spread": -1}, {"coding": -1}],
)
def test_refused_steps(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="positive seconds and samples"):
        replace(STEP, **wrong)  # type: ignore[arg-type]


def test_other_refusals() -> None:
    with pytest.raises(InputError, match="compression leaves a share"):
        replace(STEP, compression=0)
    with pytest.raises(InputError, match="unknown scheme 'gossip'; known: synchronous, async"):
        epoch_seconds("gossip", STEP, 2, LINK, samples=1)
    with pytest.raises(InputError, match="one worker or more, not 0"):
        epoch_seconds("synchronous", STEP, 0, LINK, samples=1)
    with pytest.raises(InputError, match="leaves nothing for sending"):
        fit_link(STEP, 0.1, latency=0)
