"""Early stopping with Keras' semantics, on a network of one number."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.train.stopping import EarlyStopping, Stopping  # noqa: E402

THESIS = Stopping(monitor="val_loss", patience=10, restore_best=True)


def build(number: float = 0.0) -> Any:
    model = torch.nn.Linear(1, 1, bias=False)
    set_number(model, number)
    return model


def set_number(model: Any, number: float) -> None:
    with torch.no_grad():
        model.weight.fill_(number)


def run(how: Stopping, values: list[float]) -> tuple[int, EarlyStopping, Any]:
    """Epochs run, the object, and a network whose number is its epoch."""
    stop, model = EarlyStopping(how), build()
    for epoch, value in enumerate(values, start=1):
        set_number(model, epoch)
        if stop.update({how.monitor: value}, model):
            break
    return epoch, stop, model


def test_it_stops_after_patience_epochs_without_improvement() -> None:
    epochs, stop, _ = run(Stopping(patience=2), [3.0, 2.0, 2.5, 2.0, 1.0])
    assert (epochs, stop.stopped, stop.best, stop.best_epoch) == (4, True, 2.0, 2)


def test_the_thesis_waits_ten_epochs_and_restores_the_best() -> None:
    epochs, stop, model = run(THESIS, [1.0, 0.5, *[0.6] * 20])
    assert (epochs, model.weight.item()) == (12, 12)
    assert stop.restore(model) and model.weight.item() == 2


def test_an_improvement_starts_the_count_again() -> None:
    epochs, stop, _ = run(Stopping(patience=2), [3.0, 3.0, 2.0, 2.0, 1.0])
    assert (epochs, stop.stopped, stop.wait) == (5, False, 0)


def test_the_mode_can_be_max() -> None:
    how = Stopping(monitor="val_accuracy", mode="max", patience=2, restore_best=True)
    epochs, stop, _ = run(how, [0.5, 0.7, 0.6, 0.7, 0.9])
    assert (epochs, stop.best_epoch) == (4, 2)


def test_an_improvement_is_larger_than_min_delta() -> None:
    assert run(Stopping(patience=1, min_delta=0.1), [1.0, 0.95, 0.5])[0] == 2
    assert run(Stopping(patience=1, min_delta=0.1), [1.0, 0.85, 0.5])[0] == 3


def test_patience_0_never_stops_but_keeps_the_best() -> None:
    epochs, stop, model = run(Stopping(restore_best=True), [1.0, 0.5, *[2.0] * 50])
    assert epochs == 52 and stop.restore(model) and model.weight.item() == 2


def test_by_default_nothing_happens() -> None:
    epochs, stop, model = run(Stopping(), [1.0] * 50)
    assert epochs == 50 and not stop.restore(model) and model.weight.item() == 50


def test_the_first_epoch_never_stops_and_nan_is_no_improvement() -> None:
    epochs, stop, model = run(Stopping(patience=1, restore_best=True), [math.nan] * 5)
    assert (epochs, stop.best_epoch) == (2, 0)
    assert stop.restore(model) and model.weight.item() == 1


def test_the_kept_weights_are_a_copy() -> None:
    _, stop, model = run(THESIS, [1.0])
    set_number(model, 9)
    stop.restore(model)
    assert model.weight.item() == 1
    set_number(model, 7)
    stop.restore(model)
    assert model.weight.item() == 1


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, math.nan]), min_size=1, max_size=15), st.data())
def test_it_resumes(values: list[float], data: st.DataObject) -> None:
    how = Stopping(patience=3, restore_best=True)
    epochs, whole, _ = run(how, values)
    cut = data.draw(st.integers(0, epochs))
    stop, model = EarlyStopping(how), build()
    for epoch, value in enumerate(values[:epochs], start=1):
        if epoch - 1 == cut:
            state = stop.state_dict()
            stop = EarlyStopping(how)
            stop.load_state_dict(state)
        set_number(model, epoch)
        stop.update({"val_loss": value}, model)
    found, expected = stop.state_dict(), whole.state_dict()
    assert torch.equal(found.pop("weights")["weight"], expected.pop("weights")["weight"])
    assert found == expected


def test_its_state_survives_a_checkpoint(tmp_path: Any) -> None:
    _, stop, model = run(THESIS, [1.0, 0.5, 0.6])
    torch.save(stop.state_dict(), tmp_path / "s.pt")
    other = EarlyStopping(THESIS)
    other.load_state_dict(torch.load(tmp_path / "s.pt", weights_only=True))
    assert (other.wait, other.best_epoch, other.best) == (1, 2, 0.5)
    assert other.restore(model) and model.weight.item() == 2


def test_a_missing_metric_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown metric 'val_loss'; known: accuracy, loss"):
        EarlyStopping(THESIS).update({"loss": 1.0, "accuracy": 0.5}, build())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "auto"}, "mode = 'auto': needs min or max"),
        ({"patience": -1}, "patience = -1"),
        ({"min_delta": -0.1}, "min_delta = -0.1"),
        ({"min_delta": math.nan}, "min_delta = nan"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Stopping(**settings)
