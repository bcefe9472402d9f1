"""Losses by hand, against torch, and their gradients."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch.nn import functional  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.kinds import parse_choice  # noqa: E402
from classpulse.lab.train.losses import (  # noqa: E402
    LOSSES,
    CrossEntropy,
    Focal,
    Generalized,
    balanced_weights,
    multi_head_loss,
)

torch.set_num_threads(1)

ALL = [CrossEntropy(), Focal(), Focal(gamma=0.5), Generalized(), Generalized(q=1.0)]
# one row certain, one torn, one half labelled, one not at all
TARGETS = torch.tensor(
    [[0.0, 1.0, 0.0], [0.2, 0.3, 0.5], [0.5, 0.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64
)
WEIGHTS = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)


def logits_of(*, seed: int = 0, n: int = 4, k: int = 3, spread: float = 2.0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(n, k, generator=generator, dtype=torch.float64)


def log_of(*probs: float) -> Any:
    return torch.tensor([probs], dtype=torch.float64).log()


# --- one row by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CrossEntropy(), math.log(4)),
        (Focal(gamma=0.0), math.log(4)),
        (Focal(gamma=2.0), 0.75**2 * math.log(4)),
        (Focal(gamma=0.5), 0.75**0.5 * math.log(4)),
        (Generalized(q=1.0), 0.75),
        (Generalized(q=0.5), (1 - 0.25**0.5) / 0.5),
    ],
)
def test_the_true_label_at_a_quarter(loss: Any, expected: float) -> None:
    target = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    assert loss(log_of(0.25, 0.25, 0.5), target).item() == pytest.approx(expected)


def test_a_soft_target_is_the_mean_of_its_labels() -> None:
    target = torch.tensor([[0.4, 0.0, 0.6]], dtype=torch.float64)
    found = Focal(gamma=1.0)(log_of(0.25, 0.25, 0.5), target).item()
    assert found == pytest.approx(0.4 * 0.75 * math.log(4) + 0.6 * 0.5 * math.log(2))


def test_class_weights_scale_the_price_of_a_label() -> None:
    target = torch.tensor([[0.4, 0.0, 0.6]], dtype=torch.float64)
    found = CrossEntropy()(log_of(0.25, 0.25, 0.5), target, class_weights=WEIGHTS).item()
    assert found == pytest.approx(0.5 * 0.4 * math.log(4) + 1.0 * 0.6 * math.log(2))


# --- equalities ----------------------------------------------------------------------------------


def test_cross_entropy_is_torchs_on_labels() -> None:
    logits, labels = logits_of(n=16), torch.arange(16) % 3
    found = CrossEntropy()(logits, functional.one_hot(labels, 3).double())
    assert found.item() == pytest.approx(functional.cross_entropy(logits, labels).item())


def test_weighted_cross_entropy_is_keras_sum_over_rows() -> None:
    logits, labels = logits_of(n=16), torch.arange(16) % 3
    targets = functional.one_hot(labels, 3).double()
    each = functional.cross_entropy(logits, labels, reduction="none")
    found = CrossEntropy()(logits, targets, class_weights=WEIGHTS)
    assert found.item() == pytest.approx((WEIGHTS[labels] * each).mean().item())


def votes(n: int = 8, k: int = 5) -> Any:
    drawn = np.random.default_rng(0).multinomial(10, np.ones(k) / k, size=n)
    return torch.from_numpy(drawn / 10)


def test_on_votes_it_is_the_divergence_and_their_entropy() -> None:
    logits, shares = logits_of(n=8, k=5), votes()
    log_probs = functional.log_softmax(logits, dim=1)
    divergence = functional.kl_div(log_probs, shares, reduction="batchmean")
    entropy = torch.special.entr(shares).sum() / len(shares)
    assert CrossEntropy()(logits, shares).item() == pytest.approx((divergence + entropy).item())


def test_on_votes_it_has_the_gradient_of_the_divergence() -> None:
    logits, shares = logits_of(n=8, k=5).requires_grad_(), votes()
    (found,) = torch.autograd.grad(CrossEntropy()(logits, shares), logits)
    assert torch.allclose(found, (logits.softmax(dim=1) - shares) / len(shares))


def test_votes_cost_as_much_as_their_voters() -> None:
    logits, shares = logits_of(n=8, k=5), votes()
    voters = torch.cat([torch.eye(5).double()[row].repeat(10, 1) for row in [0]])
    assert voters.shape == (10, 5)
    rows, labels = torch.nonzero((shares * 10).round().long(), as_tuple=True)
    times = (shares * 10).round().long()[rows, labels]
    rows, labels = rows.repeat_interleave(times), labels.repeat_interleave(times)
    ballots = functional.cross_entropy(logits[rows], labels)
    assert CrossEntropy()(logits, shares).item() == pytest.approx(ballots.item())


@given(st.integers(0, 1000))
def test_generalized_lies_below_cross_entropy_and_tends_to_it(seed: int) -> None:
    logits = logits_of(seed=seed)
    entropy = CrossEntropy()(logits, TARGETS).item()
    found = [Generalized(q=q)(logits, TARGETS).item() for q in (1.0, 0.7, 0.3, 0.001)]
    assert found == sorted(found) and found[-1] <= entropy
    assert found[-1] == pytest.approx(entropy, rel=0.02)


@given(st.integers(0, 1000), st.floats(0, 5))
def test_focal_lies_below_cross_entropy(seed: int, gamma: float) -> None:
    logits = logits_of(seed=seed)
    focal, entropy = (f(logits, TARGETS).item() for f in (Focal(gamma=gamma), CrossEntropy()))
    assert 0 < focal <= entropy + 1e-12


# --- what every loss does ------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_gradients(loss: Any, weights: Any) -> None:
    logits = logits_of().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, TARGETS, class_weights=weights), logits)


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_rows_without_a_label_do_not_count(loss: Any) -> None:
    logits = logits_of().requires_grad_()
    whole = loss(logits, TARGETS)
    assert whole.item() == pytest.approx(loss(logits[:3], TARGETS[:3]).item())
    (gradient,) = torch.autograd.grad(whole, logits)
    assert gradient[3].abs().sum() == 0 and (gradient[:3].abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_a_batch_without_labels_costs_nothing(loss: Any) -> None:
    assert loss(logits_of(), torch.zeros(4, 3)).item() == 0


@pytest.mark.parametrize("loss", ALL, ids=repr)
def test_extreme_logits_stay_finite(loss: Any) -> None:
    logits = torch.tensor([[80.0, -80, 0], [-80, 80, 0]], requires_grad=True)
    value = loss(logits, torch.tensor([[1.0, 0, 0], [1, 0, 0]]))
    value.backward()
    assert value.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_half_precision_logits_are_computed_with_in_float32() -> None:
    logits = logits_of().bfloat16()
    found = CrossEntropy()(logits, TARGETS.float())
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(CrossEntropy()(logits.float(), TARGETS.float()).item())


def test_heads_are_weighted_and_may_have_class_weights() -> None:
    logits, targets = {"a": log_of(0.5, 0.5, 1e-9), "b": log_of(0.25, 0.25, 0.5)}, TARGETS[:1]
    both = {"a": targets, "b": targets}
    found = multi_head_loss(logits, both, {"a": 1.0, "b": 0.5, "c": 9.0})
    assert found.item() == pytest.approx(math.log(2) + 0.5 * math.log(4))
    found = multi_head_loss(
        logits, both, {"a": 1.0, "b": 0.5}, loss=Generalized(q=1.0), class_weights={"b": WEIGHTS}
    )
    assert found.item() == pytest.approx(0.5 + 0.5 * 2.0 * 0.75)


# --- weights -------------------------------------------------------------------------------------

# seed-thesis.md A.6: rows of Keras' validation_split, angry to surprise
FER2013 = (3196, 349, 3278, 5772, 3972, 3864, 2537)
FER_CK = (3304, 491, 3338, 5938, 3972, 3932, 2736)


@pytest.mark.parametrize(
    ("counts", "total", "expected"),
    [
        (FER2013, 22968, [1.02664, 9.40156, 1.00096, 0.56846, 0.82607, 0.84916, 1.29332]),
        (FER_CK, 23711, [1.02521, 6.89875, 1.01477, 0.57044, 0.85279, 0.86147, 1.23804]),
    ],
)
def test_the_thesis_class_weights(
    counts: tuple[int, ...], total: int, expected: list[float]
) -> None:
    assert sum(counts) == total
    assert balanced_weights(counts).tolist() == pytest.approx(expected, abs=5.1e-6)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=10))
def test_balanced_weights_are_1_on_average_and_level_the_classes(counts: list[int]) -> None:
    mass = balanced_weights(counts).numpy() * np.array(counts)
    assert mass == pytest.approx([sum(counts) / len(counts)] * len(counts), rel=1e-5)


def test_balanced_weights_are_scikit_learns() -> None:
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    labels = np.repeat(np.arange(4), [5, 1, 7, 2])
    expected = compute("balanced", classes=np.arange(4), y=labels)
    assert balanced_weights([5, 1, 7, 2]).tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("counts", [[], [3, 0, 2], [1, math.inf]])
def test_a_class_that_does_not_occur_has_no_weight(counts: list[float]) -> None:
    with pytest.raises(InputError, match="balanced weights need every label to occur"):
        balanced_weights(counts)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "hinge"}, "unknown loss 'hinge'; known: cross-entropy, focal, generalized"),
        ({"kind": "focal", "gamma": -1}, "gamma = -1"),
        ({"kind": "generalized", "q": 0}, "q = 0"),
        ({"gamma": 2.0}, r"unknown \['gamma'\]"),
    ],
)
def test_impossible_settings_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_choice(LOSSES, table, default="cross-entropy", where="t")
