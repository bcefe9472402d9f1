"""The parts of parallel training by themselves: settings, sparse gradients, shared tensors."""

import pickle
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.optim import OPTIMIZERS, build_optimizer  # noqa: E402
from classpulse.lab.train.parallel.arena import (  # noqa: E402
    Arena,
    open_arenas,
    place_weights,
    weights_of,
)
from classpulse.lab.train.parallel.compress import (  # noqa: E402
    COMPRESSIONS,
    mean_of_sparse,
    take_largest,
)
from classpulse.lab.train.parallel.costs import Costs  # noqa: E402
from classpulse.lab.train.parallel.hogwild import begin_state, place_state, state_of  # noqa: E402
from classpulse.lab.train.parallel.server import arenas, damp  # noqa: E402
from classpulse.lab.train.parallel.settings import Parallel, choose_parallel  # noqa: E402
from classpulse.lab.train.parallel.setup import worker_seed  # noqa: E402

torch.set_num_threads(1)


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("mpi", 2), "unknown parallel scheme 'mpi'; known: ddp, async, hogwild"),
        (("ddp", 0), "workers = 0: needs 1 or more"),
        (("ddp", 2, "zip"), "unknown compression 'zip'; known: none, fp16, bf16, powersgd, topk"),
        (("async", 2, "fp16"), "only 'ddp' sends gradients that can be compressed"),
        (("ddp", 2, "none", 0), "threads = 0"),
        (("ddp", 2, "none", 1, 0.0), "patience = 0.0"),
    ],
)
def test_impossible_settings_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Parallel(*settings)


def test_options_need_a_scheme() -> None:
    assert choose_parallel(None) is None
    with pytest.raises(InputError, match="need --parallel SCHEME"):
        choose_parallel(None, workers=2)
    with pytest.raises(InputError, match="workers = 0: needs 1 or more"):
        choose_parallel("async", workers=0)
    found = choose_parallel("ddp", workers=3, compress="topk")
    assert found == Parallel("ddp", 3, "topk")


def test_torchrun_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert choose_parallel("ddp") == Parallel("ddp", 4)
    for scheme, workers in (("async", None), ("ddp", 2), (None, None)):
        with pytest.raises(InputError, match="torchrun started 4 workers for 'ddp'"):
            choose_parallel(scheme, workers=workers)


def test_what_there_was_room_for_is_freed_when_there_is_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed: list[str] = []
    room = iter(range(2))

    class Small:
        @classmethod
        def of(cls, tensors: Any) -> "Small":
            if next(room, None) is None:
                raise InputError("no shared memory for 8 bytes")
            return cls()

        def close(self) -> None:
            closed.append("closed")

    monkeypatch.setattr("classpulse.lab.train.parallel.server.Arena", Small)
    with pytest.raises(InputError, match="no shared memory"), ExitStack() as owned:
        arenas({"weight": torch.zeros(2)}, 3, owned)
    assert closed == ["closed", "closed"]


def test_no_two_workers_draw_the_same() -> None:
    seeds = {worker_seed(42, number, rank) for number in range(20) for rank in range(20)}
    assert len(seeds) == 400 and all(0 <= seed < 2**63 for seed in seeds)


# --- sparse gradients ----------------------------------------------------------------------------


@given(st.integers(1, 200), st.sampled_from([0.01, 0.1, 0.5, 1.0]), st.integers(0, 99))
def test_the_largest_and_the_rest_are_the_whole(n: int, share: float, seed: int) -> None:
    whole = torch.randn(n, generator=torch.Generator().manual_seed(seed))
    rest = whole.clone()
    values, places = take_largest(rest, share)
    assert len(values) == len(places) == max(round(share * n), 1)
    assert rest.abs().max() <= values.abs().min()
    sent = mean_of_sparse([torch.cat([values, places.view(torch.float32)])], n)
    assert torch.equal(sent + rest, whole)


def test_the_mean_of_sparse_vectors_adds_where_they_meet() -> None:
    def pack(values: list[float], places: list[int]) -> Any:
        return torch.cat(
            [torch.tensor(values), torch.tensor(places, dtype=torch.int32).view(torch.float32)]
        )

    found = mean_of_sparse([pack([4.0, 2.0], [0, 2]), pack([6.0, -2.0], [3, 2])], 4)
    assert found.tolist() == [2.0, 0.0, 0.0, 3.0]


def test_every_compression_is_known_by_name() -> None:
    assert list(COMPRESSIONS) == ["none", "fp16", "bf16", "powersgd", "topk"]


# --- staleness -----------------------------------------------------------------------------------


def test_stale_gradients_take_shorter_steps() -> None:
    assert [damp(0.6, age) for age in (0, 1, 2, 6)] == pytest.approx([0.6, 0.6, 0.3, 0.1])


def test_costs_are_plain_values() -> None:
    table = Costs("async", 2, 4, 1.0, 0.5, staleness={2: 3, 0: 1}).plain()
    assert table["staleness"] == [[0, 1], [2, 3]] and table["mean_staleness"] == 1.5
    assert Costs("ddp", 2, 4, 1.0, 0.5).plain()["mean_staleness"] == 0.0


# --- shared tensors ------------------------------------------------------------------------------


def build_network() -> Any:
    torch.manual_seed(0)
    parts = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten()
    network = torch.nn.Sequential(*parts, torch.nn.Linear(16, 2))
    return network.to(memory_format=torch.channels_last)


def take_step(network: Any, optimizer: Any, seed: int) -> None:
    x = torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    network(x).square().sum().backward()
    optimizer.step()


def test_shared_tensors_keep_layout_and_are_seen_by_all() -> None:
    network = build_network()
    arena = Arena.of(weights_of(network) | {"clock": torch.zeros((), dtype=torch.int64)})
    (other,) = open_arenas(pickle.loads(pickle.dumps(arena.key)))
    for name, tensor in weights_of(network).items():
        assert torch.equal(other[name], tensor) and other[name].stride() == tensor.stride()
    place_weights(network, arena.tensors)
    with torch.no_grad():
        network[0].weight[1, 2, 0, 1] = 77.0
    arena.tensors["clock"] += 3
    assert other["0.weight"][1, 2, 0, 1] == 77.0 and other["clock"] == 3
    arena.close()
    assert other["0.weight"][1, 2, 0, 1] == 77.0  # whoever holds a tensor may go on using it


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_begun_and_shared_state_changes_no_step(name: str) -> None:
    plain, shared = build_network(), build_network()
    settings = OPTIMIZERS.get(name)(weight_decay=0.1)
    one, other = build_optimizer(settings, plain), build_optimizer(settings, shared)
    begin_state(other)
    arena = Arena.of(state_of(other) | {"something": torch.zeros(1)})
    place_state(other, arena.tensors)
    for seed in range(3):
        take_step(plain, one, seed)
        take_step(shared, other, seed)
    pairs = zip(plain.parameters(), shared.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    state = state_of(other)
    assert all(torch.equal(arena.tensors[key], value) for key, value in state.items())
    assert bool(state) == any(one.state.values())
    arena.close()
