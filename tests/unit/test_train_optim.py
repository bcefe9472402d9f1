"""Optimizers: the paper's equations by hand, parameter groups, settings, resuming."""

import copy
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.kinds import parse_choice  # noqa: E402
from classpulse.lab.train.optim import (  # noqa: E402
    OPTIMIZERS,
    Adam,
    AdamW,
    PaperRmsprop,
    RmsProp,
    RmsPropPaper,
    Sgd,
    build_optimizer,
    parameter_groups,
    set_lr,
)

torch.set_num_threads(1)

LR, STEPS = 0.01, 6
GRADIENTS = np.random.default_rng(0).normal(0, [1.0, 1e-3, 1e-6], (STEPS, 3))
START = np.array([0.5, -1.0, 2.0])


def run(settings: Any, *, lr: float = LR) -> Any:
    """Weights after one step with each of the `GRADIENTS`, float64."""
    w = torch.nn.Parameter(torch.from_numpy(START.copy()))
    optimizer = settings.build([{"params": [w], "weight_decay": settings.weight_decay}])
    set_lr(optimizer, lr)
    for gradient in GRADIENTS:
        w.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return w.detach().numpy()


def assert_same(found: Any, expected: Any) -> None:
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-14)


# --- the paper's equations, in numpy -------------------------------------------------------------


def test_plain_sgd_is_equation_9() -> None:
    expected = START - LR * GRADIENTS.sum(axis=0)
    assert_same(run(Sgd(momentum=0, nesterov=False)), expected)


@pytest.mark.parametrize("eps", [1e-8, 1e-7, 1e-3])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.95)])
def test_adam_is_the_papers(betas: tuple[float, float], eps: float) -> None:
    w, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        w -= LR * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    assert_same(run(Adam(betas=betas, eps=eps)), w)


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("rho", [0.9, 0.99])
def test_rmsprop_is_the_papers_with_epsilon_inside_the_root(rho: float, eps: float) -> None:
    w, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        v = rho * v + (1 - rho) * g**2
        w -= LR * g / np.sqrt(v + eps)
    assert_same(run(RmsPropPaper(rho=rho, eps=eps)), w)


def test_torchs_rmsprop_has_epsilon_outside() -> None:
    w, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        v = 0.99 * v + 0.01 * g**2
        w -= LR * g / (np.sqrt(v) + 1e-8)
    assert_same(run(RmsProp()), w)


def test_the_two_rmsprops_part_where_gradients_are_small() -> None:
    inside, outside = run(RmsPropPaper(rho=0.99)), run(RmsProp())
    assert inside[0] == pytest.approx(outside[0], abs=1e-5)
    assert abs(inside[2] - START[2]) < 1e-3 < abs(outside[2] - START[2])


def test_adamax_by_hand() -> None:
    w, m, u = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, start=1):
        m = 0.9 * m + 0.1 * g
        u = np.maximum(0.999 * u, np.abs(g) + 1e-8)
        w -= LR / (1 - 0.9**t) * m / u
    assert_same(run(OPTIMIZERS.get("adamax")()), w)


def test_nesterov_by_hand() -> None:
    w, velocity = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        velocity = 0.9 * velocity + g
        w -= LR * (g + 0.9 * velocity)
    assert_same(run(Sgd()), w)


def test_adamw_decays_apart_from_the_gradient() -> None:
    plain, decayed = run(AdamW(weight_decay=0.0), lr=0.0), run(AdamW(weight_decay=0.5), lr=0.0)
    assert_same(plain, decayed)  # with no learning rate there is no decay either
    w, m, v = START.copy(), np.zeros(3), np.zeros(3)
    for t, g in enumerate(GRADIENTS, start=1):
        w *= 1 - LR * 0.5
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w -= LR * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert_same(run(AdamW(weight_decay=0.5)), w)


def test_the_papers_rmsprop_decays_in_the_gradient() -> None:
    w, v = START.copy(), np.zeros(3)
    for g in GRADIENTS:
        g = g + 0.1 * w
        v = 0.9 * v + 0.1 * g**2
        w = w - LR * g / np.sqrt(v + 1e-8)
    assert_same(run(RmsPropPaper(weight_decay=0.1)), w)


def test_the_papers_rmsprop_takes_a_closure_and_skips_what_has_no_gradient() -> None:
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = PaperRmsprop([used, unused], lr=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = used.square().sum()
        loss.backward()
        return float(loss.item())

    assert optimizer.step(closure) == pytest.approx(2.0)
    assert unused.tolist() == [1, 1] and used[0].item() == pytest.approx(1 - 0.1 * 10**0.5)


# --- networks ------------------------------------------------------------------------------------


def build_network() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(4 * 36, 3),
    )


def steps(model: Any, optimizer: Any, *, first: int, last: int) -> None:
    for seed in range(first, last):
        x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        set_lr(optimizer, 1e-3 * (seed + 1))
        optimizer.step()


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_an_optimizer_resumes_bit_by_bit(name: str, tmp_path: Any) -> None:
    settings = OPTIMIZERS.get(name)()
    model = build_network()
    optimizer = build_optimizer(settings, model)
    steps(model, optimizer, first=0, last=2)
    resumed = copy.deepcopy(model)
    torch.save(optimizer.state_dict(), tmp_path / "o.pt")
    steps(model, optimizer, first=2, last=4)

    other = build_optimizer(settings, resumed)
    other.load_state_dict(torch.load(tmp_path / "o.pt", weights_only=True))
    steps(resumed, other, first=2, last=4)
    pairs = zip(model.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_only_kernels_are_decayed(name: str) -> None:
    model = build_network()
    settings = OPTIMIZERS.get(name)(weight_decay=0.25)
    decayed, free = build_optimizer(settings, model).param_groups
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[4].weight)}
    norm = (model[1].weight, model[1].bias)
    assert {id(p) for p in free["params"]} == {id(p) for p in (model[0].bias, *norm, model[4].bias)}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.25, 0.0)


def test_frozen_parameters_are_left_out_and_stay() -> None:
    model = build_network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = build_optimizer(AdamW(), model)
    assert all(p.requires_grad for group in optimizer.param_groups for p in group["params"])
    steps(model, optimizer, first=0, last=2)
    assert torch.equal(model[0].weight, before)


def test_a_frozen_network_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to train"):
        parameter_groups(build_network().requires_grad_(False), weight_decay=0.0)


# --- settings ------------------------------------------------------------------------------------


def test_a_recipe_names_the_kind_and_its_settings() -> None:
    choice = parse_choice(
        OPTIMIZERS, {"kind": "adam", "eps": 1e-7, "betas": [0.9, 0.99]}, default="sgd", where="t"
    )
    assert (choice.kind, choice.settings) == ("adam", Adam(betas=(0.9, 0.99), eps=1e-7))
    assert parse_choice(OPTIMIZERS, {}, default="sgd", where="t").settings == Sgd()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "lion"}, "unknown optimizer 'lion'; known: sgd, adam, adamw, adamax, rmsprop"),
        ({"kind": 3}, "t: kind: expected str, found 3"),
        ({"kind": "sgd", "eps": 1.0}, r"t: missing \[\], unknown \['eps'\]; known: momentum"),
        ({"momentum": "x"}, "momentum: expected float, found 'x'"),
        ({"momentum": 1.0, "nesterov": False}, "momentum = 1.0: needs a number from 0"),
        ({"momentum": 0}, "nesterov = true: needs a momentum above 0"),
        ({"weight_decay": -1}, "weight_decay = -1"),
        ({"kind": "adam", "betas": [0.9, 1.0]}, "betas = 1.0"),
        ({"kind": "adam", "eps": 0}, "eps = 0.0"),
        ({"kind": "rmsprop", "rho": -0.1}, "rho = -0.1"),
        ({"kind": "rmsprop-paper", "eps": 0}, "eps = 0.0"),
        ([], "t: expected a table of fields, found list"),
    ],
)
def test_impossible_settings_are_refused(table: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_choice(OPTIMIZERS, table, default="sgd", where="t")
