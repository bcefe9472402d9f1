"""Early stopping with Keras' semantics."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.recipe import load_recipe, recipe_table  # noqa: E402
from classpulse.lab.train.folder import CHECKPOINT, RESOLVED, check_run  # noqa: E402
from classpulse.lab.train.stopping import EarlyStopping, Stopping  # noqa: E402

THESIS = Stopping(monitor="val_loss", patience=10)


def run(how: Stopping, values: list[float]) -> tuple[int, EarlyStopping]:
    """Epochs run, and the object."""
    stop = EarlyStopping(how)
    for value in values:
        if stop.update({how.monitor: value}):
            break
    return stop.epoch, stop


def test_it_stops_after_patience_epochs_without_improvement() -> None:
    epochs, stop = run(Stopping(patience=2), [3.0, 2.0, 2.5, 2.0, 1.0])
    assert (epochs, stop.stopped, stop.best, stop.best_epoch) == (4, True, 2.0, 2)


def test_the_thesis_waits_ten_epochs() -> None:
    epochs, stop = run(THESIS, [1.0, 0.5, *[0.6] * 20])
    assert (epochs, stop.best_epoch) == (12, 2)


def test_an_improvement_starts_the_count_again() -> None:
    epochs, stop = run(Stopping(patience=2), [3.0, 3.0, 2.0, 2.0, 1.0])
    assert (epochs, stop.stopped, stop.wait) == (5, False, 0)


def test_the_mode_can_be_max() -> None:
    how = Stopping(monitor="val_accuracy", mode="max", patience=2)
    epochs, stop = run(how, [0.5, 0.7, 0.6, 0.7, 0.9])
    assert (epochs, stop.best_epoch) == (4, 2)


def test_an_improvement_is_larger_than_min_delta() -> None:
    assert run(Stopping(patience=1, min_delta=0.1), [1.0, 0.95, 0.5])[0] == 2
    assert run(Stopping(patience=1, min_delta=0.1), [1.0, 0.85, 0.5])[0] == 3


def test_by_default_nothing_stops() -> None:
    epochs, stop = run(Stopping(), [1.0] * 50)
    assert epochs == 50 and not stop.stopped


def test_the_first_epoch_never_stops_and_nan_is_no_improvement() -> None:
    epochs, stop = run(Stopping(patience=1), [math.nan] * 5)
    assert (epochs, stop.best_epoch) == (2, 0)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, math.nan]), min_size=1, max_size=15), st.data())
def test_it_resumes(values: list[float], data: st.DataObject) -> None:
    how = Stopping(patience=3)
    epochs, whole = run(how, values)
    cut = data.draw(st.integers(0, epochs))
    stop = EarlyStopping(how)
    for epoch, value in enumerate(values[:epochs], start=1):
        if epoch - 1 == cut:
            state = stop.state_dict()
            stop = EarlyStopping(how)
            stop.load_state_dict(state)
        stop.update({"val_loss": value})
    assert stop.state_dict() == whole.state_dict()


def test_its_state_survives_a_checkpoint_also_that_of_an_older_version(tmp_path: Any) -> None:
    _, stop = run(THESIS, [1.0, 0.5, 0.6])
    torch.save(stop.state_dict() | {"weights": None}, tmp_path / "s.pt")
    other = EarlyStopping(THESIS)
    other.load_state_dict(torch.load(tmp_path / "s.pt", weights_only=True))
    assert (other.wait, other.best_epoch, other.best) == (1, 2, 0.5)


def test_a_run_of_a_version_with_more_settings_goes_on(tmp_path: Path) -> None:
    recipe = load_recipe("face-base")
    table = recipe_table(recipe)
    table["stopping"]["restore_best"] = True
    (tmp_path / RESOLVED).write_text(json.dumps(table))
    (tmp_path / CHECKPOINT).touch()
    check_run(tmp_path, recipe, resume=True)
    assert recipe_table(load_recipe(str(tmp_path / RESOLVED))) == recipe_table(recipe)
    with pytest.raises(InputError, match="restore_best"):
        load_recipe("face-base", changes=["stopping.restore_best=true"])


def test_a_missing_metric_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown metric 'val_loss'; known: accuracy, loss"):
        EarlyStopping(THESIS).update({"loss": 1.0, "accuracy": 0.5})


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
