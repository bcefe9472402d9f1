"""Averages of weights by hand, and batch-norm statistics that are estimated anew."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.models.base import BodyAndHeads, freeze  # noqa: E402
from classpulse.lab.train.average import (  # noqa: E402
    Averaging,
    WeightAverage,
    update_norms,
)

torch.set_num_threads(1)

WEIGHTS = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0]


def build_number(value: float = 0.0) -> Any:
    model = nn.Linear(1, 1, bias=False)
    set_number(model, value)
    return model


def set_number(model: Any, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)


def mean_of(decay: float, values: list[float]) -> float:
    model = build_number()
    average = WeightAverage(Averaging(decay=decay), model)
    for value in values:
        set_number(model, value)
        average.update(model)
    return float(average.apply(model).weight.item())


# --- the mean ------------------------------------------------------------------------------------


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=12), st.floats(0.01, 0.999))
def test_the_moving_average_is_adams_without_bias(values: list[float], decay: float) -> None:
    m = 0.0
    for value in values:
        m = decay * m + (1 - decay) * value
    assert mean_of(decay, values) == pytest.approx(m / (1 - decay ** len(values)), abs=1e-4)


def test_decay_1_is_the_plain_mean() -> None:
    assert mean_of(1.0, WEIGHTS) == pytest.approx(np.mean(WEIGHTS), abs=1e-6)


def test_decay_0_is_the_last_weights() -> None:
    assert mean_of(0.0, WEIGHTS) == 9.0


def test_the_first_weights_are_not_mixed_with_the_initial_ones() -> None:
    assert mean_of(0.999, [7.0]) == 7.0


def test_the_network_itself_is_left_alone() -> None:
    model = build_number(1.0)
    average = WeightAverage(Averaging(decay=0.9), model)
    average.update(model)
    set_number(model, 5.0)
    set_number(average.apply(model), 99.0)
    assert model.weight.item() == 5.0 and average.apply(model).weight.item() == 1.0


def test_an_average_resumes_bit_by_bit(tmp_path: Any) -> None:
    how = Averaging(decay=0.9)
    model = build_number()
    whole, part = WeightAverage(how, model), WeightAverage(how, model)
    for value in WEIGHTS[:3]:
        set_number(model, value)
        whole.update(model)
        part.update(model)
    torch.save(part.state_dict(), tmp_path / "a.pt")
    resumed = WeightAverage(how, build_number())
    resumed.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))
    for value in WEIGHTS[3:]:
        set_number(model, value)
        whole.update(model)
        resumed.update(model)
    assert torch.equal(whole.apply(model).weight, resumed.apply(model).weight)


def test_nothing_to_average_is_refused() -> None:
    model = build_number()
    with pytest.raises(InputError, match="no weights were averaged yet"):
        WeightAverage(Averaging(decay=0.9), model).apply(model)


@pytest.mark.parametrize(("last", "expected"), [(0, 1), (3, 8), (10, 1), (12, 1)])
def test_late_averages_begin_before_the_end(last: int, expected: int) -> None:
    assert Averaging(decay=1.0, last=last).begins(10) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": 1.1}, r"decay = 1\.1: needs a number from 0 to 1"),
        ({"last": -1}, "last = -1"),
        ({"each": "day"}, "each = 'day': needs step or epoch"),
        ({"norms": "none"}, "norms = 'none': needs estimate or copy"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Averaging(**settings)


# --- batch-norm statistics -----------------------------------------------------------------------


def build_face() -> BodyAndHeads:
    """A frozen norm, a dropout, and a norm that is trained."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6, momentum=0.3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    model = BodyAndHeads(body, {"emotion": 3}, width=6, dropout=0.5)
    freeze(model, ["body.0", "body.1"])
    return model


def batches_of(n: int = 3) -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    return [2 + torch.randn(8, 1, 8, 8, generator=generator) for _ in range(n)]


def test_estimated_statistics_are_the_mean_over_batches() -> None:
    model, batches = build_face(), batches_of()
    update_norms(model, batches)
    model.eval()
    with torch.no_grad():
        seen = [model.body[:4](batch) for batch in batches]  # what the trained norm reads
    mean = torch.stack([z.mean(dim=(0, 2, 3)) for z in seen]).mean(dim=0)
    variance = torch.stack([z.var(dim=(0, 2, 3)) for z in seen]).mean(dim=0)
    assert torch.allclose(model.body[4].running_mean, mean, atol=1e-5)
    assert torch.allclose(model.body[4].running_var, variance, atol=1e-5)


def test_estimating_forgets_what_was_there() -> None:
    one, other = build_face(), build_face()
    other.body[4].running_mean.fill_(1e6)
    for model in (one, other):
        update_norms(model, batches_of())
    assert torch.equal(one.body[4].running_mean, other.body[4].running_mean)


def test_frozen_parts_keep_their_statistics() -> None:
    model = build_face()
    model.body[1].running_mean.fill_(0.7)
    update_norms(model, batches_of())
    assert (model.body[1].running_mean == 0.7).all()
    assert model.body[1].num_batches_tracked == 0


@pytest.mark.parametrize("training", [True, False])
def test_the_network_keeps_its_mode_momentum_and_weights(training: bool) -> None:
    model = build_face().train(training)
    before = {name: p.clone() for name, p in model.named_parameters()}
    update_norms(model, batches_of())
    assert model.training == model.body[4].training == training
    assert not model.body[1].training and model.body[4].momentum == 0.3
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert model.body[4].running_mean.grad_fn is None


def test_estimating_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    model, batches = build_face(), batches_of()
    before = torch.get_rng_state()
    update_norms(model.train(), batches)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_batches_are_refused_and_nothing_is_lost() -> None:
    model = build_face()
    update_norms(model, batches_of())
    before = model.body[4].running_mean.clone()
    with pytest.raises(InputError, match="no batches to estimate"):
        update_norms(model, [])
    assert torch.equal(model.body[4].running_mean, before) and model.body[4].momentum == 0.3


def test_a_network_without_norms_reads_no_batch() -> None:
    update_norms(build_number(), iter(()))


def test_the_mean_of_a_face_network_leaves_frozen_parts_and_copies_statistics() -> None:
    model = build_face()
    average = WeightAverage(Averaging(decay=0.5), model)
    for scale in (1.0, 3.0):
        with torch.no_grad():
            model.body[3].weight.fill_(scale)
        average.update(model)
    model.body[4].running_mean.fill_(0.25)
    smooth = average.apply(model)
    assert smooth.body[3].weight.flatten()[0].item() == pytest.approx((1.0 + 2 * 3.0) / 3)
    assert torch.equal(smooth.body[0].weight, model.body[0].weight)
    assert (smooth.body[4].running_mean == 0.25).all() and smooth.frozen == model.frozen
    assert "body.0.weight" not in average.state_dict()["mean"]
    update_norms(smooth, batches_of())
    assert not (smooth.body[4].running_mean == 0.25).any()
    assert (model.body[4].running_mean == 0.25).all()


def test_estimated_statistics_fit_averaged_weights() -> None:
    """Two networks of opposite weights: their mean's copied statistics are far off."""
    model, batches = build_face(), batches_of()
    average = WeightAverage(Averaging(decay=1.0), model)
    for sign in (1.0, -0.9):
        with torch.no_grad():
            model.body[3].weight.copy_(sign * model.body[3].weight.abs())
        update_norms(model, batches)
        average.update(model)
    copied = average.apply(model).eval()
    estimated = average.apply(model).eval()
    update_norms(estimated, batches)
    with torch.no_grad():
        normed = {n: m.body[:5](batches[0]) for n, m in (("c", copied), ("e", estimated))}
    assert normed["e"].mean().abs() < 0.2 < normed["c"].mean().abs()
