"""Sharpness-aware steps: the paper's equation by hand, and that nothing else moves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from toy_training import PLAIN, train, weights  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.models.residual import ResidualSettings  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.parallel.settings import Parallel  # noqa: E402
from classpulse.lab.train.sharpness import Sharpness, climbed  # noqa: E402

torch.set_num_threads(1)


def test_the_gradient_is_that_of_the_place_above() -> None:
    a = torch.tensor([[3.0, 1.0], [1.0, 2.0]])
    model = torch.nn.Linear(2, 1, bias=False)
    start = torch.tensor([[1.0, -2.0]])

    def loss() -> Any:
        w = model.weight
        return 0.5 * (w @ a @ w.T).sum()

    with torch.no_grad():
        model.weight.copy_(start)
    loss().backward()
    plain = (start @ a).clone()
    with climbed(model, 0.1):
        above = start + 0.1 * plain / plain.norm()
        torch.testing.assert_close(model.weight.detach(), above)
        loss().backward()
    assert torch.equal(model.weight.detach(), start)
    torch.testing.assert_close(model.weight.grad, above @ a)


def test_nothing_else_learns_up_there_and_errors_come_back_down() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    x = torch.randn(4, 1, 3, 3)
    model(x).square().sum().backward()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    with pytest.raises(ZeroDivisionError), climbed(model, 0.5):
        assert not torch.equal(model[0].weight.detach(), before["0.weight"])
        model(x)
        raise ZeroDivisionError
    after = model.state_dict()
    for name in before.keys() - {"1.num_batches_tracked"}:
        assert torch.equal(after[name], before[name]), name
    assert model[1].momentum == 0.1


@pytest.mark.parametrize(
    ("how", "steps"), [(None, []), (Sharpness(every=1), [0, 1, 2, 3]), (Sharpness(every=3), [0, 3])]
)
def test_every_so_manieth_step_climbs(how: Sharpness | None, steps: list[int]) -> None:
    assert [step for step in range(4) if how and how.climbs(step)] == steps
    assert not Sharpness(rho=0).climbs(0)


def test_a_run_climbs_and_goes_elsewhere(tmp_path: Path) -> None:
    small, large = (replace(PLAIN, sharpness=Sharpness(rho=rho)) for rho in (1e-6, 0.5))
    train(PLAIN, None, tmp_path / "plain.pt", epochs=1)
    train(small, None, tmp_path / "small.pt", epochs=1)
    train(large, None, tmp_path / "large.pt", epochs=1)
    plain = weights(tmp_path / "plain.pt")
    near = (weights(tmp_path / "small.pt") - plain).abs().max()
    far = (weights(tmp_path / "large.pt") - plain).abs().max()
    assert near < 1e-4 < 1e-3 < far


def test_workers_in_step_climb_as_one(tmp_path: Path) -> None:
    recipe = replace(PLAIN, sharpness=Sharpness(rho=0.1, every=2))
    train(recipe, None, tmp_path / "alone.pt", epochs=1)
    train(recipe, Parallel("ddp", 2), tmp_path / "together.pt", epochs=1)
    assert torch.allclose(
        weights(tmp_path / "alone.pt"), weights(tmp_path / "together.pt"), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("scheme", ["async", "hogwild"])
def test_workers_out_of_step_cannot_climb(scheme: str, tmp_path: Path) -> None:
    recipe = replace(PLAIN, sharpness=Sharpness())
    with pytest.raises(InputError, match="train with ddp or alone"):
        train(recipe, Parallel(scheme, 2), tmp_path / "c.pt")


def test_a_recipe_that_climbs_goes_on_to_the_bit(tmp_path: Path) -> None:
    network = Choice("residual-se", ResidualSettings((8,), blocks=1, stem=8, dropout=0.3))
    plan = replace(PLAIN.schedule, sides=((2, 16),))
    recipe = replace(PLAIN, sharpness=Sharpness(every=2), network=network, schedule=plan)
    train(recipe, None, tmp_path / "straight.pt", epochs=2)
    train(recipe, None, tmp_path / "cut.pt", epochs=1)
    train(recipe, None, tmp_path / "cut.pt", epochs=1)
    assert torch.equal(weights(tmp_path / "straight.pt"), weights(tmp_path / "cut.pt"))


@pytest.mark.parametrize("values", [{"rho": -1.0}, {"every": 0}])
def test_impossible_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Sharpness(**values)
