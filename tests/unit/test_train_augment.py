"""The newer random changes, and that a recipe without them trains on the faces it did before."""

import hashlib
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.augment import Augment, augment_batch, draw_mixup  # noqa: E402

torch.set_num_threads(1)

NOTHING = Augment(rotation=0, shift=0, zoom=(1, 1), shear=0, flip=0, light=0, erase=0)
STRONG = Augment(rotation=30, shift=0.2, zoom=(0.8, 1.2), shear=0, light=0.5, erase=1)


def random(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


def faces_of(n: int = 4, side: int = 16, channels: int = 1) -> Any:
    return torch.randn(n, channels, side, side, generator=random(3))


# --- as it was -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "side", "channels", "total", "first"),
    [
        (Augment(), 16, 1, -88.92085744, (1.50171554, 1.39651215, 1.29130876, 1.18610537)),
        (Augment(), 12, 1, -57.98063314, (1.12162757, 1.24037957, 1.21952915, 0.86668760)),
        (STRONG, 16, 3, -481.57397790, (-1.52250467, -2.19815128, -2.87379955, -1.59292758)),
    ],
)
def test_strengths_of_0_change_no_face_and_no_draw(
    how: Augment, side: int, channels: int, total: float, first: tuple[float, ...]
) -> None:
    """Pinned before noise, blur, gamma and the shifts of one axis came; bit-identical then."""
    generator = random(5)
    faces = augment_batch(faces_of(channels=channels), how, side, generator)
    assert draw_mixup(how, generator) == pytest.approx(0.8664022753085912)
    state = hashlib.sha256(generator.get_state().numpy().tobytes()).hexdigest()
    assert state[:16] == "f60d38cd54cb1a0c"
    assert faces.double().sum().item() == pytest.approx(total, abs=1e-3)
    assert faces.flatten()[:4].tolist() == pytest.approx(first, abs=1e-4)


def test_mixup_draws_what_it_drew() -> None:
    drawn = [draw_mixup(Augment(mixup_share=1), random(seed)) for seed in range(3)]
    assert drawn == pytest.approx([0.5271495356437264, 0.9508847680111093, 0.9381697355055718])


# --- gamma ---------------------------------------------------------------------------------------


def test_gamma_bends_between_the_darkest_and_the_brightest() -> None:
    x = torch.linspace(-2, 2, 16 * 16).view(1, 1, 16, 16).repeat(64, 1, 1, 1)
    bent = augment_batch(x, replace(NOTHING, gamma=0.5), 16, random())
    low, high, middle = bent.amin((1, 2, 3)), bent.amax((1, 2, 3)), bent.flatten(1).mean(dim=1)
    assert low.tolist() == pytest.approx([-2] * 64, abs=1e-3)
    assert high.tolist() == pytest.approx([2] * 64, abs=1e-3)
    # the mean of t^e over 0..1 is 1 / (1 + e)
    bounds = [-2 + 4 / (1 + math.exp(u)) for u in (0.5, -0.5)]
    assert bounds[0] - 0.01 < middle.min() < -0.1 and 0.1 < middle.max() < bounds[1] + 0.01
    assert (bent.flatten(1).diff(dim=1) >= -1e-4).all()  # what was brighter is brighter


def test_gamma_leaves_a_blank_picture() -> None:
    blank = torch.full((2, 1, 8, 8), 0.3)
    assert torch.allclose(augment_batch(blank, replace(NOTHING, gamma=1), 8, random()), blank)


# --- blur ----------------------------------------------------------------------------------------


def point(n: int, side: int = 17) -> Any:
    x = torch.zeros(n, 2, side, side)
    x[:, :, side // 2, side // 2] = 1
    return x


def test_blur_spreads_a_point_and_keeps_its_sum() -> None:
    blurred = augment_batch(point(64), replace(NOTHING, blur=1.5), 17, random())
    assert blurred.sum(dim=(2, 3)).flatten().tolist() == pytest.approx([1] * 128, abs=1e-3)
    top = blurred[:, 0, 8, 8]
    assert top.min() < 0.12 and top.max() > 0.7  # a peak of 1 / (2 pi 1.5^2) = 0.07 to 1
    assert torch.allclose(blurred, blurred.transpose(2, 3), atol=1e-4)
    assert torch.equal(blurred[:, 0], blurred[:, 1])  # the same for every channel


def test_the_blur_has_its_deviation() -> None:
    generator = random(1)
    blurred = augment_batch(point(1, 41), replace(NOTHING, blur=3), 41, generator)[0, 0]
    sigma = 3 * _blurs_draw(n=1, seed=1)
    offsets = torch.arange(41.0) - 20
    variance = (blurred.sum(dim=0) * offsets**2).sum().item()
    assert variance**0.5 == pytest.approx(sigma, rel=0.03)


def _blurs_draw(*, n: int, seed: int) -> float:
    """What the blur draws: eight numbers a picture come before, see `augment_batch`."""
    generator = random(seed)
    for size in (n, n, n, n, 2 * n, n, n):  # angle, zoom, shear, flip, shift, contrast, offset
        torch.rand(size, generator=generator)
    return float(torch.rand(n, generator=generator).item())


def test_a_blank_picture_stays_blank_under_blur() -> None:
    blank = torch.full((3, 1, 8, 8), 0.7)
    blurred = augment_batch(blank, replace(NOTHING, blur=10), 8, random())
    assert torch.allclose(blurred, blank, atol=1e-4)


# --- noise ---------------------------------------------------------------------------------------


def test_noise_has_up_to_its_deviation() -> None:
    x = torch.zeros(64, 1, 32, 32)
    spread = augment_batch(x, replace(NOTHING, noise=0.2), 32, random()).std(dim=(1, 2, 3))
    assert spread.max().item() == pytest.approx(0.2, abs=0.02) and spread.min() < 0.02
    assert spread.mean().item() == pytest.approx(0.1, abs=0.03)


# --- shifts of one axis --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "axis"), [("shift_x", 3), ("shift_y", 2)])
def test_an_axis_is_shifted_alone(name: str, axis: int) -> None:
    side = 20
    ramp = torch.arange(float(side))
    shape = [1, 1, 1, 1]
    shape[axis] = side
    along = ramp.view(shape).expand(256, 1, side, side).contiguous()
    across = along.transpose(2, 3).contiguous()
    how = replace(NOTHING, **{name: 0.25})
    assert torch.allclose(augment_batch(across, how, side, random()), across, atol=1e-3)
    moved = (augment_batch(along, how, side, random()) - along)[:, 0, side // 2, side // 2]
    assert 4 < moved.abs().max() <= 5.01 and moved.mean().abs() < 0.6  # a quarter of 20 pixels


def test_shifts_of_an_axis_are_added() -> None:
    x = torch.arange(20.0).view(1, 1, 1, 20).expand(256, 1, 20, 20).contiguous()
    both = augment_batch(x, replace(NOTHING, shift=0.1, shift_x=0.1), 20, random())
    moved = (both - x)[:, 0, 10, 10].abs().max()
    assert 3.5 < moved <= 4.01


def test_what_leaves_repeats_the_border() -> None:
    x = torch.full((64, 1, 16, 16), 0.7)
    moved = augment_batch(x, replace(NOTHING, shift=0.5, rotation=45), 16, random())
    assert torch.allclose(moved, x, atol=1e-4)  # Keras' fill "nearest": no zeros come in


# --- all together --------------------------------------------------------------------------------

EVERYTHING = Augment(shift_x=0.1, shift_y=0.2, gamma=0.4, blur=1.0, noise=0.1)


def test_everything_is_determined_by_the_generator() -> None:
    x = faces_of()
    before = x.clone()
    one, two = (augment_batch(x, EVERYTHING, 12, random(7)) for _ in range(2))
    assert torch.equal(one, two) and torch.equal(x, before)
    assert not torch.equal(one, augment_batch(x, EVERYTHING, 12, random(8)))


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(2, 24))
def test_everything_stays_finite_and_has_its_shape(seed: int, n: int, side: int) -> None:
    faces = augment_batch(faces_of(n, 24), EVERYTHING, side, random(seed))
    assert faces.shape == (n, 1, side, side) and faces.isfinite().all()


@pytest.mark.parametrize(("name", "strength"), [("gamma", 1.0), ("blur", 8.0), ("noise", 1.0)])
def test_pictures_get_different_strengths(name: str, strength: float) -> None:
    x = faces_of(1).repeat(4, 1, 1, 1)
    changed = augment_batch(x, replace(NOTHING, **{name: strength}), 16, random())
    assert len({row.sum().item() for row in (changed - x).abs()}) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotation": -1}, "rotation = -1"),
        ({"noise": -0.1}, "noise = -0.1"),
        ({"blur": 11.0}, r"blur = 11.0: needs a number from 0 to 10"),
        ({"gamma": math.nan}, "gamma = nan"),
        ({"shift_x": -0.1}, "shift_x = -0.1"),
        ({"flip": 2}, "flip = 2"),
        ({"zoom": (1.2, 0.8)}, r"zoom = \[1.2, 0.8\]: needs two scales above 0, the lower first"),
        ({"zoom": (0.0, 1.0)}, "zoom"),
    ],
)
def test_impossible_strengths_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Augment(**settings)
