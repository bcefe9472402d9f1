"""Several workers train one network: what they compute together, and that it goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from toy_training import (  # noqa: E402
    EPOCHS,
    EVERYTHING,
    LONGER,
    PLAIN,
    STEPS,
    STILL,
    build_data,
    train,
    weights,
)

from classpulse.core.errors import InputError, WorkerError  # noqa: E402
from classpulse.lab.models.residual import ResidualSettings  # noqa: E402
from classpulse.lab.train.average import Averaging  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.loop import Training, fit  # noqa: E402
from classpulse.lab.train.optim import OPTIMIZERS, Sgd  # noqa: E402
from classpulse.lab.train.parallel.scheme import open_scheme  # noqa: E402
from classpulse.lab.train.parallel.settings import Parallel  # noqa: E402
from classpulse.lab.train.run import build_network  # noqa: E402
from classpulse.lab.train.schedule import Constant  # noqa: E402

torch.set_num_threads(1)

FIRST_BUCKET = 1 << 20  # bytes; what is more begins another one


def assert_equal(one: Any, other: Any) -> None:
    """The same to the bit, but for times."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one.keys() - {"seconds", "costs"}:
            assert_equal(one[name], other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


def is_equal(one: Any, other: Any) -> bool:
    try:
        assert_equal(one, other)
    except AssertionError:
        return False
    return True


# --- in step -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "workers"),
    [(name, 2) for name in ("sgd", "adam", "adamw", "rmsprop", "rmsprop-paper")] + [("sgd", 4)],
)
def test_workers_in_step_are_one_worker_with_all_rows(
    name: str, workers: int, tmp_path: Path
) -> None:
    # eps is large enough that a gradient of rounding errors alone moves nothing
    settings = Sgd() if name == "sgd" else OPTIMIZERS.get(name)(eps=1e-3)  # type: ignore[call-arg]
    recipe = replace(PLAIN, optimizer=Choice(name, settings))
    alone, together = tmp_path / "alone.pt", tmp_path / "together.pt"
    loss = train(recipe, None, alone)[0].loss
    found = train(recipe, Parallel("ddp", workers), together)[0]
    assert found.loss == pytest.approx(loss, rel=1e-5) and found.costs["steps"] == STEPS
    start = torch.cat([t.flatten() for t in build_network(recipe).state_dict().values()])
    moved = (weights(alone) - start).abs().max().item()
    assert moved > 1e-3
    assert torch.allclose(weights(together), weights(alone), rtol=0, atol=1e-3 * moved)


def test_one_worker_is_none_to_the_bit(tmp_path: Path) -> None:
    train(EVERYTHING, None, tmp_path / "none.pt")
    train(EVERYTHING, Parallel("ddp", 1), tmp_path / "one.pt")
    none, one = (torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("none", "one"))
    for state in (none, one):
        for numbers in state["history"]:
            numbers.pop("costs", None)
    assert_equal(none, one)


def test_workers_in_step_go_on_to_the_bit(tmp_path: Path) -> None:
    how = Parallel("ddp", 2)
    train(EVERYTHING, how, tmp_path / "straight.pt")
    train(EVERYTHING, how, tmp_path / "cut.pt", epochs=2)
    train(EVERYTHING, how, tmp_path / "cut.pt")
    straight, cut = (
        torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("straight", "cut")
    )
    assert straight["epoch"] == EPOCHS
    assert_equal(straight, cut)


@pytest.mark.parametrize("name", ["powersgd", "topk"])
def test_compressed_workers_go_on_to_the_bit(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With what each of them kept, and with several buckets in the order that they had before."""
    wide = ResidualSettings((64, 128), blocks=1, stem=8, dropout=0.3)
    recipe, how = replace(EVERYTHING, network=Choice("residual-se", wide)), Parallel("ddp", 2, name)
    assert sum(p.nbytes for p in build_network(recipe).parameters()) > FIRST_BUCKET
    train(recipe, how, tmp_path / "straight.pt", epochs=2)
    train(recipe, how, tmp_path / "cut.pt", epochs=1)
    kept = torch.load(tmp_path / "cut.pt", weights_only=True)["kept"]
    assert not is_equal(*kept["workers"])  # each its own
    train(recipe, how, tmp_path / "cut.pt", epochs=1)
    straight, cut = (
        torch.load(tmp_path / f"{n}.pt", weights_only=True) for n in ("straight", "cut")
    )
    assert straight["epoch"] == 2
    assert_equal(straight, cut)
    assert not caplog.records


@pytest.mark.parametrize("change", ["old", "workers", "compress", "torch"])
def test_errors_that_do_not_fit_begin_at_zero(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    how, checkpoint = Parallel("ddp", 2, "topk"), tmp_path / "c.pt"
    train(LONGER, how, checkpoint, epochs=1)
    state = torch.load(checkpoint, weights_only=True)
    if change == "old":  # of a version that kept none
        del state["kept"]
    elif change == "torch":
        state["kept"]["torch"] = "1.0"
    torch.save(state, checkpoint)
    how = {"workers": Parallel("ddp", 1, "topk"), "compress": Parallel("ddp", 2, "powersgd")}.get(
        change, how
    )
    assert [epoch.number for epoch in train(LONGER, how, checkpoint, epochs=1)] == [2]
    told = f"no errors that {how.workers} workers kept with '{how.compress}'"
    assert [told in record.message for record in caplog.records] == [True]
    kept = torch.load(checkpoint, weights_only=True)["kept"]
    assert len(kept["workers"]) == how.workers and kept["compress"] == how.compress


def test_another_scheme_forgets_the_errors(tmp_path: Path) -> None:
    train(LONGER, Parallel("ddp", 2, "topk"), tmp_path / "c.pt", epochs=1)
    assert torch.load(tmp_path / "c.pt", weights_only=True)["kept"]
    train(LONGER, None, tmp_path / "c.pt", epochs=1)
    assert torch.load(tmp_path / "c.pt", weights_only=True)["kept"] == {}


def test_statistics_of_all_workers_count(tmp_path: Path) -> None:
    """Batch normalization: the mean that the workers' rows moved is that of all the rows."""
    recipe = replace(EVERYTHING, augment=STILL, averaging=Averaging())
    recipe = replace(recipe, network=Choice("residual-se", ResidualSettings((8,), 1, 8, 0.0)))
    recipe = replace(recipe, rate=Choice("constant", Constant(lr=1e-12)))  # weights stay
    train(recipe, None, tmp_path / "alone.pt", epochs=1)
    train(recipe, Parallel("ddp", 2), tmp_path / "together.pt", epochs=1)
    alone, together = (
        torch.load(tmp_path / f"{n}.pt", weights_only=True)["model"] for n in ("alone", "together")
    )
    means = [name for name in alone if name.endswith("running_mean")]
    assert means and alone[means[0]].abs().max() > 1e-3
    assert torch.allclose(alone[means[0]], together[means[0]], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [(name, "adamw") for name in ("fp16", "bf16", "powersgd", "topk")]
    + [("topk", "sgd"), ("powersgd", "rmsprop-paper"), ("topk", "adam")],
)
def test_compressed_gradients_learn_too_and_are_smaller(
    name: str, optimizer: str, tmp_path: Path
) -> None:
    recipe = replace(LONGER, optimizer=Choice(optimizer, OPTIMIZERS.get(optimizer)()))
    whole = train(recipe, Parallel("ddp", 2), tmp_path / "whole.pt")
    found = train(recipe, Parallel("ddp", 2, name), tmp_path / "small.pt")
    parameters = sum(p.numel() for p in build_network(PLAIN).parameters())
    assert whole[-1].costs["step_bytes"] == 4 * parameters
    halves = 2 * parameters
    if name in ("fp16", "bf16"):
        assert found[-1].costs["step_bytes"] == halves
    else:
        assert 0 < found[-1].costs["step_bytes"] < halves
    # the rest of a compressed gradient comes with a later one, so the way is much the same
    assert found[-1].loss < found[0].loss
    assert found[-1].loss == pytest.approx(whole[-1].loss, rel=0.1)


# --- out of step ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["async", "hogwild"])
@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_workers_out_of_step_learn_and_go_on(scheme: str, name: str, tmp_path: Path) -> None:
    # who is first is chance here: the rate is so high that the loss falls whoever it is
    recipe = replace(EVERYTHING, rate=Choice("constant", Constant(lr=1e-2)))
    recipe = replace(recipe, optimizer=Choice(name, OPTIMIZERS.get(name)()))
    how, checkpoint = Parallel(scheme, 2), tmp_path / "c.pt"
    first = train(recipe, how, checkpoint, epochs=2)
    last = train(recipe, how, checkpoint)
    assert [epoch.number for epoch in first + last] == [1, 2, 3]
    assert last[-1].loss < first[0].loss
    for epoch in first + last:
        assert epoch.costs["steps"] == STEPS == sum(n for _, n in epoch.costs["staleness"])
        assert epoch.costs["compute_seconds"] > 0
    state = torch.load(checkpoint, weights_only=True)
    assert state["average"]["updates"] == EPOCHS * STEPS
    assert not torch.equal(state["model"]["stem.1.running_mean"], torch.zeros(8))


@pytest.mark.parametrize("scheme", ["async", "hogwild"])
def test_one_worker_out_of_step_takes_the_steps_of_none(scheme: str, tmp_path: Path) -> None:
    train(PLAIN, None, tmp_path / "none.pt")
    found = train(PLAIN, Parallel(scheme, 1), tmp_path / "one.pt")
    assert found[-1].costs["staleness"] == [[0, STEPS]]
    assert torch.allclose(weights(tmp_path / "one.pt"), weights(tmp_path / "none.pt"), atol=1e-6)


def test_a_run_may_change_its_scheme(tmp_path: Path) -> None:
    checkpoint, numbers = tmp_path / "c.pt", []
    for how in (None, Parallel("hogwild", 2), Parallel("ddp", 2)):
        numbers += [epoch.number for epoch in train(EVERYTHING, how, checkpoint, epochs=1)]
    assert numbers == [1, 2, 3]


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_worker_that_fails_is_one_error(tmp_path: Path) -> None:
    data, model = build_data(), build_network(PLAIN)
    broken = Training(data.x, {"votes": data.targets["emotion"]})  # a head that is not there
    with (
        pytest.raises(WorkerError, match=r"worker \d of 2 \(process \d+\) failed: KeyError"),
        open_scheme(Parallel("async", 2), model, broken, PLAIN) as one,
    ):
        next(fit(model, data, PLAIN, tmp_path / "c.pt", validate=lambda *_: {}, train_one=one))


def test_a_batch_must_be_shared_evenly(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"schedule.batch = 8 cannot be shared evenly by 3 .*=9"):
        train(PLAIN, Parallel("ddp", 3), tmp_path / "c.pt")
