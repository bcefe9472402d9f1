"""Mixup and CutMix: shares, rectangles, determinism, and the draws of the loop as it was."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.augment import Augment, draw_beta, draw_mixup  # noqa: E402
from classpulse.lab.train.mixing import (  # noqa: E402
    cutmix,
    draw_partners,
    mix_batch,
    mixup,
)

torch.set_num_threads(1)

B, SIDE = 6, 12
PARTNER = torch.tensor([1, 2, 3, 4, 5, 0])


def random(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


def batch() -> tuple[Any, dict[str, Any]]:
    """Picture i is i everywhere; the head "some" has no labels in its second half."""
    x = torch.arange(float(B)).view(B, 1, 1, 1).expand(B, 2, SIDE, SIDE).clone()
    some = torch.eye(3)[torch.arange(B) % 3]
    some[B // 2 :] = 0
    return x, {"all": torch.eye(B), "some": some}


def test_mixup_by_hand() -> None:
    x, targets = batch()
    mixed, wanted = mixup(x, targets, 0.75, PARTNER)
    assert mixed[0].unique().tolist() == [0.25] and mixed[5].unique().tolist() == [3.75]
    assert wanted["all"][0].tolist() == [0.75, 0.25, 0, 0, 0, 0]
    assert wanted["some"].sum(dim=1).tolist() == [1, 1, 0.75, 0, 0, 0.25]


@pytest.mark.parametrize("seed", range(5))
def test_mixing_makes_the_loops_draws(seed: int) -> None:
    """As written in loop._train_epoch before: the share, then the partners."""
    x, targets = batch()
    how, old, new = Augment(), random(seed), random(seed)
    share = draw_mixup(how, old)
    expected = x
    if share < 1.0:
        partner = torch.randperm(B, generator=old)
        expected = share * x + (1 - share) * x[partner]
    mixed, _ = mix_batch(x, targets, how, new)
    assert torch.equal(mixed, expected) and torch.equal(old.get_state(), new.get_state())


@pytest.mark.parametrize("how", [Augment(mixup_share=0), Augment(mixup=0)])
def test_mixing_can_be_turned_off(how: Augment) -> None:
    x, targets = batch()
    mixed, wanted = mix_batch(x, targets, how, random())
    assert mixed is x and wanted == targets


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_cutmix_mixes_targets_by_the_area(seed: int, kept: float) -> None:
    x, targets = batch()
    mixed, wanted = cutmix(x, targets, kept, PARTNER, random(seed))
    own = (mixed == x).all(dim=1)  # (b, h, w): pictures differ everywhere
    assert torch.equal(own, own[:1].expand_as(own))  # the same rectangle in every picture
    assert torch.equal(mixed, torch.where(own.unsqueeze(1), x, x[PARTNER]))
    share = own[0].float().mean().item()
    assert wanted["all"][0].tolist() == pytest.approx([share, 1 - share, 0, 0, 0, 0], abs=1e-6)
    rows, columns = (~own[0]).any(dim=1).sum(), (~own[0]).any(dim=0).sum()
    assert int(rows * columns) == int((~own[0]).sum())  # a rectangle
    side = np.sqrt(1 - kept) * SIDE
    assert max(rows, columns) <= side + 1


def test_cutmix_keeps_the_wanted_area_on_average() -> None:
    x = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 48, 48)
    swap = torch.tensor([1, 0])
    shares = [
        cutmix(x, {"a": torch.eye(2)}, 0.91, swap, random(s))[1]["a"][0, 0].item()
        for s in range(200)
    ]
    assert min(shares) == pytest.approx(0.91, abs=0.02)  # no more than 9 % is cut
    # each axis keeps 1 - 0.3 / 4 of its span: a center near an edge cuts half of it off
    assert np.mean(shares) == pytest.approx(1 - 0.09 * (1 - 0.3 / 4) ** 2, abs=0.005)


def test_cutmix_at_the_ends() -> None:
    x, targets = batch()
    mixed, wanted = cutmix(x, targets, 1.0, PARTNER, random())
    assert torch.equal(mixed, x) and torch.equal(wanted["all"], targets["all"])


def test_cutmix_comes_before_mixup() -> None:
    x, targets = batch()
    how = Augment(cutmix_share=1.0, mixup_share=1.0)
    for seed in range(10):
        mixed, _ = mix_batch(x, targets, how, random(seed))
        assert torch.equal(mixed, mixed.round())  # whole pixels of one picture or the other


def test_shares_are_probabilities() -> None:
    x, targets = batch()
    how = Augment(cutmix_share=0.5, mixup_share=0.5)
    generator, kinds = random(), {"cut": 0, "mixed": 0, "neither": 0}
    for _ in range(400):
        mixed, _ = mix_batch(x, targets, how, generator)
        whole = torch.equal(mixed, mixed.round())
        kinds["neither" if mixed is x else "cut" if whole else "mixed"] += 1
    assert kinds["cut"] == pytest.approx(200, abs=40) and kinds["mixed"] == pytest.approx(
        100, abs=35
    )


@pytest.mark.parametrize("how", [Augment(mixup_share=1), Augment(cutmix_share=1)])
def test_mixing_is_determined_by_the_generator_and_leaves_the_batch(how: Augment) -> None:
    x, targets = batch()
    before = x.clone(), {head: t.clone() for head, t in targets.items()}
    one, two = (mix_batch(x, targets, how, random(3)) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert all(torch.equal(one[1][head], two[1][head]) for head in targets)
    assert torch.equal(x, before[0])
    assert all(torch.equal(targets[head], before[1][head]) for head in targets)
    assert not torch.equal(one[0], mix_batch(x, targets, how, random(4))[0])


@given(st.integers(0, 1000))
def test_masses_stay_between_those_of_the_pair(seed: int) -> None:
    x, targets = batch()
    _, wanted = mix_batch(x, targets, Augment(cutmix_share=0.5, mixup_share=1), random(seed))
    assert wanted["all"].sum(dim=1).tolist() == pytest.approx([1] * B)
    mass = wanted["some"].sum(dim=1)
    assert mass.min() >= 0 and mass.max() <= 1 + 1e-6
    assert mass.sum().item() == pytest.approx(B // 2, abs=1e-5)


def test_partners_are_all_rows() -> None:
    assert sorted(draw_partners(9, random()).tolist()) == list(range(9))


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_beta_has_its_mean_and_variance(alpha: float) -> None:
    generator = random()
    drawn = [draw_beta(alpha, generator) for _ in range(3000)]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.025)
    assert np.var(drawn) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.01)


@pytest.mark.parametrize("name", ["cutmix_share", "mixup_share"])
def test_a_share_is_a_probability(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} = 1\.5: needs a number from 0 to 1"):
        Augment(**{name: 1.5})


def test_cutmix_needs_an_alpha() -> None:
    with pytest.raises(InputError, match=r"cutmix = 0: needs a number from 0\.001"):
        Augment(cutmix=0)
