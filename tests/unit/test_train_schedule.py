"""Learning rates: values by hand, torch's and Keras' semantics, settings."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.kinds import parse_choice  # noqa: E402
from classpulse.lab.train.rate import Plateau  # noqa: E402
from classpulse.lab.train.schedule import (  # noqa: E402
    SCHEDULES,
    Constant,
    Cosine,
    OneCycle,
    Step,
)

RESTARTS = ((5, 1e-3), (11, 5e-4))


def test_constant_is_constant() -> None:
    assert {Constant(lr=0.3).lr_at(done, 9) for done in (0, 0.5, 9)} == {0.3}


# --- one cycle -----------------------------------------------------------------------------------


def test_one_cycle_by_hand() -> None:
    plan = OneCycle(peak_lr=1.0, warmup_share=0.25)
    assert plan.lr_at(0, 8) == pytest.approx(1 / 25)
    assert plan.lr_at(1, 8) == pytest.approx((1 + 1 / 25) / 2)  # half of the rise
    assert plan.lr_at(2, 8) == 1.0
    assert plan.lr_at(5, 8) == pytest.approx((1 + 1 / 25e4) / 2)  # half of the fall
    assert plan.lr_at(8, 8) == pytest.approx(1 / 25e4)


@pytest.mark.parametrize(
    ("plan", "epochs", "done", "expected"),
    [  # computed with the schedule of lab/recipe.py before it moved here
        (OneCycle(), 25, 0, 5.999999999999994e-05),
        (OneCycle(), 25, 0.5, 9.523930826748923e-05),
        (OneCycle(), 25, 7.25, 0.0014536436873678555),
        (OneCycle(), 25, 24.9, 9.852526865200419e-08),
        (OneCycle(restarts=((22, 1e-3),)), 46, 21.999, 6.0119482400659574e-09),
        (OneCycle(restarts=((22, 1e-3),)), 46, 22, 3.9999999999999996e-05),
        (OneCycle(restarts=((22, 1e-3),)), 46, 23.5, 0.00025332628815059096),
        (OneCycle(restarts=RESTARTS, warmup_share=0.3), 25, 4.9, 3.0252674264526843e-06),
        (OneCycle(restarts=RESTARTS, warmup_share=0.3), 25, 8, 0.0008117456539497629),
        (OneCycle(restarts=RESTARTS, warmup_share=0.3), 25, 20, 0.00025801386234133617),
    ],
)
def test_one_cycle_has_the_values_it_had(
    plan: OneCycle, epochs: int, done: float, expected: float
) -> None:
    assert plan.start(epochs).lr_at(done) == pytest.approx(expected, rel=1e-12)


def test_one_cycle_is_torchs() -> None:
    w = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([w], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=41, pct_start=10 / 41, cycle_momentum=False
    )
    plan, found, expected = OneCycle(peak_lr=0.3, warmup_share=9 / 40), [], []
    for step in range(41):
        expected.append(torchs.get_last_lr()[0])
        found.append(plan.lr_at(step, 40))
        optimizer.step()
        if step < 40:
            torchs.step()
    assert found == pytest.approx(expected, rel=1e-9)


@given(st.floats(0, 25), st.floats(0, 0.9))
def test_one_cycle_stays_between_its_floor_and_its_highest_peak(done: float, warm: float) -> None:
    lr = OneCycle(restarts=RESTARTS, warmup_share=warm).lr_at(done, 25)
    assert 5e-4 / 25e4 * (1 - 1e-9) <= lr <= 1.5e-3 * (1 + 1e-9)


# --- cosine, step --------------------------------------------------------------------------------


def test_cosine_by_hand() -> None:
    plan = Cosine(peak_lr=1.0, warmup_epochs=2, start_lr=0.2, final_lr=0.1)
    found = [plan.lr_at(done, 6) for done in (0, 1, 2, 4, 6)]
    assert found == pytest.approx([0.2, 0.6, 1.0, 0.55, 0.1])
    assert plan.lr_at(3, 6) == pytest.approx(0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2)


def test_cosine_without_warm_up_begins_at_its_peak() -> None:
    assert Cosine(peak_lr=0.5).lr_at(0, 3) == 0.5 and Cosine().lr_at(3, 3) == pytest.approx(0)


@given(st.floats(0, 30), st.floats(0, 30))
def test_cosine_falls_after_its_warm_up(one: float, other: float) -> None:
    plan = Cosine(warmup_epochs=5)
    early, late = sorted((one, other))
    if early >= 5:
        assert plan.lr_at(early, 30) >= plan.lr_at(late, 30)


def test_steps_by_hand() -> None:
    plan = Step(lr=0.4, milestones=(2, 5), factor=0.5)
    found = [plan.lr_at(done, 8) for done in (0, 1.99, 2, 4.5, 5, 8)]
    assert found == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1, 0.1])


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_rates_begin_from_defaults_and_take_metrics(name: str) -> None:
    rate = SCHEDULES.get(name)().start(4)
    first = rate.lr_at(1)
    rate.update({"val_loss": 1.0})
    assert rate.lr_at(1) == first > 0


# --- plateau -------------------------------------------------------------------------------------


def rates(plan: Plateau, values: list[float]) -> list[float]:
    """Learning rate after each epoch with these values of the metric."""
    rate, found = plan.start(len(values)), []
    for value in values:
        rate.update({plan.monitor: value})
        found.append(rate.lr_at(0))
    return found


def test_plateau_lowers_after_patience_epochs_without_improvement() -> None:
    plan = Plateau(lr=1.0, factor=0.5, patience=2, min_delta=0.0, min_lr=0.1)
    found = rates(plan, [1.0, 0.9, 0.95, 0.9, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])
    #     improvements   *    *               *
    assert found == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.1, 0.1]


def test_the_thesis_plateau() -> None:
    found = rates(Plateau(), [1.0] * 30)
    assert found[5] == pytest.approx(2e-5) and found[4] == 1e-4  # first epoch, then five worse ones
    assert found[10] == pytest.approx(4e-6)
    assert found[15] == 1e-6 == found[29]  # 0.8e-6 is below the least


def test_a_small_improvement_does_not_count() -> None:
    plan = Plateau(lr=1.0, patience=1, min_delta=0.1, min_lr=0)
    assert rates(plan, [1.0, 0.95]) == [1, 0.2]
    assert rates(plan, [1.0, 0.85]) == [1, 1]


def test_plateau_can_wait_for_a_maximum() -> None:
    plan = Plateau(lr=1.0, monitor="val_accuracy", mode="max", patience=1, min_lr=0)
    assert rates(plan, [0.5, 0.6, 0.55]) == pytest.approx([1, 1, 0.2])


def test_cooldown_epochs_do_not_count() -> None:
    plan = Plateau(lr=1.0, factor=0.5, patience=2, cooldown=2, min_lr=0)
    # lowered at 3; epoch 4 cools; 5 ends the cooldown and counts, 6 lowers
    assert rates(plan, [1.0] * 6) == [1, 1, 0.5, 0.5, 0.5, 0.25]


def test_nan_is_no_improvement() -> None:
    assert rates(Plateau(lr=1.0, patience=1, min_lr=0), [math.nan, 1.0, math.nan]) == [
        0.2,
        0.2,
        0.2 * 0.2,
    ]


@pytest.mark.parametrize("cut", range(8))
def test_a_plateau_resumes(cut: int) -> None:
    plan = Plateau(lr=1.0, patience=2, cooldown=1, min_lr=0.01)
    values = [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    rate = plan.start(8)
    for value in values[:cut]:
        rate.update({"val_loss": value})
    other = plan.start(8)
    other.load_state_dict(rate.state_dict())
    for value in values[cut:]:
        other.update({"val_loss": value})
    assert other.lr_at(8) == rates(plan, values)[-1]


def test_pure_rates_have_no_state() -> None:
    rate = OneCycle().start(9)
    rate.load_state_dict(rate.state_dict())
    assert rate.state_dict() == {}


def test_a_missing_metric_lists_the_known_ones() -> None:
    rate = Plateau(monitor="val_los").start(3)
    with pytest.raises(InputError, match="unknown metric 'val_los'; known: loss, val_loss"):
        rate.update({"val_loss": 1.0, "loss": 2.0})


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "linear"}, "unknown schedule 'linear'; known: constant, one-cycle, cosine, step"),
        ({"kind": "constant", "lr": 0}, "lr = 0.0: needs a learning rate above 0"),
        ({"peak_lr": math.nan}, "peak_lr = nan"),
        ({"restarts": [[3, -1.0]]}, "restarts = -1.0"),
        ({"warmup_share": 1.0}, "warmup_share = 1.0"),
        ({"kind": "cosine", "start_lr": 1.0}, "start_lr = 1.0"),
        ({"kind": "cosine", "warmup_epochs": -1}, "warmup_epochs = -1"),
        ({"kind": "step", "factor": 2}, "factor = 2"),
        ({"kind": "plateau", "mode": "best"}, "mode = 'best': needs min or max"),
        ({"kind": "plateau", "patience": 0}, "patience = 0"),
        ({"kind": "plateau", "factor": 1.0}, "factor = 1.0"),
        ({"kind": "plateau", "min_lr": 1.0}, "min_lr = 1.0"),
        ({"kind": "plateau", "min_delta": -1.0}, "min_delta = -1.0"),
        ({"kind": "plateau", "cooldown": -1}, "cooldown = -1"),
    ],
)
def test_impossible_settings_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_choice(SCHEDULES, table, default="one-cycle", where="t")


@pytest.mark.parametrize(
    ("plan", "epochs", "message"),
    [
        (Constant(), 0, "a schedule of 0 epochs"),
        (OneCycle(restarts=((5, 1e-3),)), 5, r"restarts come after epochs \[5\]"),
        (OneCycle(restarts=((5, 1e-3), (5, 1e-3))), 9, r"epochs \[5, 5\]"),
        (Step(milestones=(3, 2)), 9, r"milestones come after epochs \[3, 2\]"),
        (Cosine(warmup_epochs=3), 3, "warmup_epochs = 3: needs fewer than the 3 epochs"),
        (Plateau(), 0, "a schedule of 0 epochs"),
    ],
)
def test_a_schedule_must_fit_its_run(plan: Any, epochs: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan.start(epochs)
