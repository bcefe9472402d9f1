"""The quality gate: limits are read off the curves, and what is no measured limit is said."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import GATE, HEADS, FakeModel, build_card
from numpy.typing import NDArray

pytest.importorskip("sklearn")

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import model_page

from classpulse.core.card import Metric
from classpulse.core.labels import FER2013_7
from classpulse.core.records import Scores
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate import gate
from classpulse.lab.evaluate.gate import PROFILE, Row, find_bad_turns, fit_light, read_gate

METRIC = Metric("accuracy", "emotion", 0.7, 0.69, 0.71, 3589, "FER2013 PublicTest")


def curves(**changed: list[Row]) -> dict[str, list[Row]]:
    """Curves of a network that is right on .7 of the clean pictures, so the floor is .63."""
    found = {
        "size": [
            {"at": 16, "accuracy": 0.5, "sharpness": 0.04},
            {"at": 24, "accuracy": 0.64, "sharpness": 0.14},
        ],
        "blur": [
            {"at": 0.5, "accuracy": 0.7, "sharpness": 0.36},
            {"at": 1.0, "accuracy": 0.63, "sharpness": 0.07},
            {"at": 2.0, "accuracy": 0.4, "sharpness": 0.01},
        ],
        "light": [
            {"at": 0.05, "accuracy": 0.4, "n": 900.0, "unchanged": 0.0},
            {"at": 0.1, "accuracy": 0.62, "n": 900.0, "unchanged": 9.0},  # below it by chance
            {"at": 0.35, "accuracy": 0.7, "n": 900.0, "unchanged": 400.0},
            {"at": 0.4, "accuracy": 0.7, "n": 900.0, "unchanged": 500.0},
            {"at": 0.65, "accuracy": 0.64, "n": 900.0, "unchanged": 90.0},
            {"at": 0.7, "accuracy": 0.5, "n": 900.0, "unchanged": 0.0},
            {"at": 0.75, "accuracy": 0.7, "n": 40.0, "unchanged": 1.0},  # beyond what is read
        ],
        "turn": [{"at": 0.2, "accuracy": 0.73, "n": 2000.0}],
        "confidence": [
            {"at": 0.4, "accuracy": 0.73, "coverage": 0.9},
            {"at": 0.5, "accuracy": 0.77, "coverage": 0.8},
        ],
    }
    return found | changed


def turned(accuracy: float, n: float) -> list[Row]:
    return [
        {"at": 0.2, "accuracy": 0.73, "n": 2000.0},
        {"at": 0.7, "accuracy": accuracy, "n": n},
    ]


def test_each_limit_is_where_accuracy_falls_below_the_floor() -> None:
    found = read_gate(curves(), accuracy=0.7)
    assert (found.min_face_px, found.min_sharpness, found.min_confidence) == (18.7, 0.07, 0.5)
    assert (found.min_light, found.max_light) == (0.1, 0.7)


def test_light_that_is_never_enough_limits_nothing() -> None:
    few = read_gate(curves(light=[]), accuracy=0.7)
    assert (few.min_light, few.max_light) == (0.0, 1.0)
    rows = [row | {"accuracy": 0.1} for row in curves()["light"]]
    found = read_gate(curves(light=rows), accuracy=0.7)
    assert (found.min_light, found.max_light) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("rows", "limit"),
    [(turned(0.5, 400), 0.6), (turned(0.4, 40), 0.6), (turned(0.6, 40), PROFILE)],
    ids=["worse", "worse in few", "worse by chance"],
)
def test_a_turn_is_limited_where_it_is_worse_beyond_chance(rows: list[Row], limit: float) -> None:
    assert read_gate(curves(turn=rows), accuracy=0.7).max_turn == limit
    assert bool(find_bad_turns(rows, accuracy=0.7)) == (limit < PROFILE)


# --- limits of light for a gate from before there were any --------------------------------------


def grey_faces() -> FaceSet:
    """100 happy faces: two greys that are neither dark nor bright, in equal parts."""
    images = np.full((100, 48, 48), 100, np.uint8)
    images[:, ::2] = 120
    labels = np.full(100, FER2013_7.index("happy"))
    return FaceSet(images, labels, FER2013_7, "made up")


def afraid_of(low: float, high: float) -> FakeModel:
    """Right on faces whose prepared mean lies in a range, and wrong outside."""

    def answer(batch: NDArray[np.float32]) -> dict[str, Scores]:
        mean = batch.mean(axis=(1, 2, 3)) * 0.25 + 0.5
        top = np.where((mean > low) & (mean < high), FER2013_7.index("happy"), 0)
        return {"emotion": Scores(np.eye(7, dtype=np.float32)[top], FER2013_7)}

    return FakeModel(answer, heads=HEADS[:1], gate=GATE)


def test_limits_of_light_are_added_and_the_others_kept() -> None:
    model: Any = afraid_of(0.15, 0.7)
    found, rows = fit_light(model, grey_faces())
    assert replace(found, min_light=0.0, max_light=1.0) == GATE
    assert sum(row["n"] for row in rows) == 100 * len(gate.GAINS)
    right = {row["at"]: row["accuracy"] for row in rows}
    assert right[0.0] == right[0.4] == 0.0 and right[0.1] == right[0.35] == 1.0
    assert (found.min_light, found.max_light) == (0.1, 0.4)


def test_more_and_less_light_than_was_tried_is_refused_too() -> None:
    model: Any = afraid_of(0.0, 1.1)
    found, rows = fit_light(model, grey_faces())
    assert (found.min_light, found.max_light) == (rows[0]["at"], rows[-1]["at"] + gate.STEP)


# --- what the model's page says ------------------------------------------------------------------


def gate_text(given: dict[str, list[Row]]) -> str:
    card = build_card(metrics=(METRIC,), gate=read_gate(curves(**given), accuracy=0.7))
    return "\n".join(model_page._gate(card, curves(**given)))


def test_the_page_says_when_the_limit_of_turn_is_no_measured_one() -> None:
    assert "**The limit of turn, 0.9, is a constant and not fitted**" in gate_text({})
    fitted = gate_text({"turn": turned(0.5, 400)})
    assert "The limit of turn, 0.6, is where accuracy is below" in fitted
    assert "constant" not in fitted


def test_the_page_has_the_limits_of_light_and_their_curve() -> None:
    text = gate_text({})
    assert "its light below 0.1 or above 0.7" in text
    assert "**light**\n\n| at | accuracy | n | unchanged |" in text


def test_the_page_of_a_gate_without_light_names_none() -> None:
    old = {name: rows for name, rows in curves().items() if name != "light"}
    text = "\n".join(model_page._gate(build_card(metrics=(METRIC,)), old))
    assert "light" not in text and "exposure" not in text


def test_the_page_says_of_every_limit_whether_it_was_fitted() -> None:
    text = gate_text({})
    assert "| turn | at most 0.9 | constant, not fitted |" in text
    assert "| turn | at most 0.6 | fitted, see below |" in gate_text({"turn": turned(0.5, 400)})
    for limit in (
        "face box, shorter side, px",
        "sharpness",
        "light, 0 black, 1 blown out",
        "confidence",
    ):
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {limit} |"))
        assert "| fitted: " in row


def test_a_limit_whose_curve_never_reaches_the_floor_is_no_fitted_one() -> None:
    text = gate_text({"size": [{"at": 40, "accuracy": 0.5, "sharpness": 0.3}]})
    assert "| at least 37.4 | constant, not fitted: no step tried reaches 0.63 |" in text


def test_the_page_has_the_sure_answers_of_the_card() -> None:
    where = "FER2013 PublicTest, confidence from 0.78, cross-fitted"
    pair = (
        Metric("selective accuracy", "emotion", 0.9012, 0.89, 0.92, 1784, where),
        Metric("coverage", "emotion", 0.4971, 0.48, 0.51, 3589, where),
    )
    text = "\n".join(model_page._sure(build_card(metrics=(METRIC, *pair))))
    assert (
        "| emotion | 0.9012 [0.8900, 0.9200] | 0.4971 [0.4800, 0.5100] | 1,784 of 3,589 "
        f"| {where} |" in text
    )
    other = build_card().heads[1].name
    assert f"| {other} | not in the card | not in the card |" in text
