"""Bottlenecks made from full convolutions: what they keep, and how a training begins with them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from builders import tiny_recipe  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.models.low_rank import LowRankConv, factorized  # noqa: E402
from classpulse.lab.models.mobilenet import (  # noqa: E402
    MobileNetFace,
    MobileNetSettings,
    build_mobilenet,
)
from classpulse.lab.recipe import load_recipe  # noqa: E402
from classpulse.lab.train.run import build_network  # noqa: E402

torch.set_num_threads(1)
NETWORK = """[network]
kind = "mobilenet-v1"
outputs = [6, 8]
strides = [1, 2]
stem = 4
side = 48
"""
FULL = MobileNetSettings((6, 8), (1, 2), stem=4, side=48, dropout=0.0)


def tiny_mobilenet(*, start: str = "", ranks: str = "[]") -> str:
    """The tiny recipe with this network instead of its own."""
    head, _, rest = tiny_recipe(1).partition("[network]")
    schedule = rest[rest.index("[schedule]") :]
    begins = f'start = "{start}"\n' if start else ""
    return begins + head.lstrip() + NETWORK + f"ranks = {ranks}\n" + schedule


def build(settings: MobileNetSettings) -> MobileNetFace:
    torch.manual_seed(3)
    model = build_mobilenet(settings, {"emotion": 7}, 1, 48).eval()
    for block in model.blocks:  # statistics of a network that has learned something
        block.norm2.running_mean.uniform_(-1, 1)
        block.norm2.running_var.uniform_(0.5, 2)
    return model


def take_over(ranks: tuple[int, ...], faces: torch.Tensor) -> tuple[MobileNetFace, MobileNetFace]:
    full, model = build(FULL), build(replace(FULL, ranks=ranks))
    model.load_state_dict(factorized(model, full, faces))
    return full, model


def answer_of(network: MobileNetFace, faces: torch.Tensor) -> torch.Tensor:
    """What the last pointwise convolution says."""
    answers: list[torch.Tensor] = []
    hook = network.blocks[1].point.register_forward_hook(
        lambda module, given, answer: answers.append(answer)
    )
    with torch.no_grad():
        network(faces)
    hook.remove()
    return answers[0]


def test_what_one_direction_holds_needs_one_channel() -> None:
    """Rank 1 is enough for answers along a line, wherever that line lies."""
    faces = torch.randn(70, 1, 48, 48)  # more than one batch
    full, model = build(FULL), build(replace(FULL, ranks=(0, 1)))
    point = full.blocks[1].point
    assert isinstance(point, torch.nn.Conv2d)
    with torch.no_grad():  # d filters that are multiples of one
        lines = torch.outer(torch.arange(1.0, 9), point.weight[0].flatten())
        point.weight.copy_(lines[:, :, None, None])
    model.load_state_dict(factorized(model, full, faces))
    with torch.no_grad():
        torch.testing.assert_close(model.embed(faces), full.embed(faces), rtol=1e-4, atol=1e-4)


def test_the_mean_is_kept_and_more_ranks_keep_more() -> None:
    faces, gaps = torch.randn(64, 1, 48, 48), []
    for rank in (1, 3, 7):
        full, model = take_over((0, rank), faces)
        wanted, found = (answer_of(network, faces) for network in (full, model))
        torch.testing.assert_close(found.mean((0, 2, 3)), wanted.mean((0, 2, 3)), atol=1e-5, rtol=0)
        gaps.append(float((found - wanted).square().mean() / wanted.var(dim=0).mean()))
    assert gaps[0] > gaps[1] > gaps[2] and gaps[0] < 1


def test_the_full_network_stays_as_it_was() -> None:
    full = build(FULL).train()
    before = {name: values.clone() for name, values in full.state_dict().items()}
    factorized(build(replace(FULL, ranks=(2, 0))), full, torch.randn(8, 1, 48, 48))
    assert full.training
    for name, values in full.state_dict().items():
        assert torch.equal(values, before[name]), name
    assert not full.blocks[0].point._forward_hooks


@pytest.mark.parametrize(
    ("ranks", "why"),
    [
        ((2,), "1 ranks and 2 blocks"),
        ((2, 8), "fewer than the 8 channels"),
        ((-1, 2), "needs 0"),
    ],
)
def test_ranks_that_cannot_be_are_refused(ranks: tuple[int, ...], why: str) -> None:
    with pytest.raises(InputError, match=why):
        replace(FULL, ranks=ranks)


def test_a_file_of_full_weights_is_refused() -> None:
    with pytest.raises(InputError, match="give the run as start"):
        build_mobilenet(replace(FULL, ranks=(2, 2), weights="m.json"), {"emotion": 7}, 1, 48)


def test_a_run_begins_with_another_ones_answers(
    command: Callable[..., Any], fer: Path, tmp_path: Path
) -> None:
    """Train a full network, then one with ranks from it: as a recipe says, and published."""
    recipe, small = tmp_path / "full.toml", tmp_path / "small.toml"
    recipe.write_text(tiny_mobilenet())
    data = ("--data", f"fer2013={fer}")
    assert command("train", recipe, *data, "--run", tmp_path / "full").code == 0
    small.write_text(tiny_mobilenet(start=str(tmp_path / "full"), ranks="[0, 3]"))
    words = (small, *data, "--run", tmp_path / "small")
    done = command("train", *words)
    assert done.code == 0, done.err
    made = command("publish", *words, "--out", tmp_path / "out", "--no-gate")
    assert made.code == 0, made.err
    assert "initial weights: run full, best.pt" in (tmp_path / "out" / "card.json").read_text()
    again = replace(load_recipe(str(small)), start=str(tmp_path / "small"))
    model = build_network(again)  # the same ranks: its weights as they are
    assert any(isinstance(module, LowRankConv) for module in model.modules())
    with pytest.raises(InputError, match="has other ranks than this network"):
        build_network(load_recipe(str(small)))
