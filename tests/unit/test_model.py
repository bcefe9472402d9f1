"""Artefacts at run time: what they answer, and which ones are refused."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import HEADS, SPEC, write_artefact, write_onnx

from classpulse.core.card import InputSpec
from classpulse.core.errors import ModelError, ShapeError
from classpulse.runtime.model import OnnxModel, find_model, shipped_models

BIAS = {"emotion_probs": [0, 0, 0, 2, 0, 0, 0], "state_probs": [0.0, 0, 1, 0]}


def batch(n: int = 2, *, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).normal(0, 1, (n, 1, 48, 48)).astype(np.float32)


def answers(tmp_path: Path, outputs: dict[str, list[float]], **how: Any) -> Any:
    """What a network with these outputs says to two faces."""
    folder = write_artefact(tmp_path / "tiny", outputs, **how)
    return OnnxModel(str(folder)).predict(batch())


# --- answers -------------------------------------------------------------------------------------


def test_every_head_answers_in_its_space(tmp_path: Path) -> None:
    scores = answers(tmp_path, BIAS)
    assert {name: s.space.name for name, s in scores.items()} == {
        "emotion": "fer2013-7", "state": "learning-state-4"
    }  # fmt: skip


def test_the_probabilities_are_those_of_the_network(tmp_path: Path) -> None:
    expected = np.exp(BIAS["state_probs"]) / np.exp(BIAS["state_probs"]).sum()
    assert answers(tmp_path, BIAS)["state"].probs[1] == pytest.approx(expected, abs=1e-6)


def test_outputs_are_taken_by_name_and_not_by_place(tmp_path: Path) -> None:
    scores = answers(tmp_path, dict(reversed(BIAS.items())))
    assert scores["emotion"].top.tolist() == [3, 3]


def test_outputs_that_the_card_does_not_name_are_ignored(tmp_path: Path) -> None:
    assert answers(tmp_path, BIAS | {"embedding": [1.0, 2.0]}).keys() == {"emotion", "state"}


def test_no_faces_give_no_scores(tmp_path: Path) -> None:
    model = OnnxModel(str(write_artefact(tmp_path / "tiny")))
    scores = model.predict(batch(0))
    assert {name: s.probs.shape for name, s in scores.items()} == {
        "emotion": (0, 7), "state": (0, 4)
    }  # fmt: skip


def test_a_batch_is_its_faces_one_by_one(tmp_path: Path) -> None:
    model = OnnxModel(str(write_artefact(tmp_path / "tiny", BIAS, seed=1)))
    faces = batch(5)
    alone = np.concatenate([model.predict(faces[i : i + 1])["emotion"].probs for i in range(5)])
    assert np.allclose(model.predict(faces)["emotion"].probs, alone, atol=1e-5)
    assert np.ptp(alone, axis=0).max() > 0.01  # the faces do differ


def test_the_card_comes_with_the_model(tmp_path: Path) -> None:
    assert OnnxModel(str(write_artefact(tmp_path / "tiny"))).card.heads == HEADS


@pytest.mark.parametrize("shape", [(1, 48, 48), (2, 3, 48, 48), (2, 1, 48, 40), (2, 48, 48, 1)])
def test_a_batch_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = OnnxModel(str(write_artefact(tmp_path / "tiny")))
    with pytest.raises(ShapeError, match=r"takes \(n, 1, 48, 48\)"):
        model.predict(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [(np.nan, np.float32, "with NaN or infinity"), (0.5, np.float64, "not float64")],
)
def test_a_batch_of_other_numbers_is_refused(
    tmp_path: Path, value: float, kind: type, message: str
) -> None:
    model = OnnxModel(str(write_artefact(tmp_path / "tiny")))
    with pytest.raises(ShapeError, match=message):
        model.predict(np.full((1, 1, 48, 48), value, dtype=kind))


# --- refused artefacts ---------------------------------------------------------------------------


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "tiny")
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match="is not the file that card 'tiny' describes"):
        OnnxModel(str(folder))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "tiny")
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"cannot read .*model\.onnx"):
        OnnxModel(str(folder))


@pytest.mark.parametrize("content", [b"", b"not a network", bytes(1000)])
def test_what_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    folder = write_artefact(tmp_path / "tiny", sha256=found)
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"not a usable ONNX file|lacks the outputs"):
        OnnxModel(str(folder))


def test_a_missing_output_is_named(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "tiny", {"emotion_probs": [0.0] * 7})
    with pytest.raises(ModelError, match=r"lacks the outputs \['state_probs'\]"):
        OnnxModel(str(folder))


def test_a_missing_card_lists_the_shipped_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model .*or one of"):
        OnnxModel(str(tmp_path))


def test_another_input_than_the_cards_is_an_error_of_the_model(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "tiny", input=InputSpec(40, 40, 1, (0.5,), (0.25,), "x"))
    with pytest.raises(ModelError, match="export it again"):
        OnnxModel(str(folder)).predict(np.zeros((1, 1, 40, 40), np.float32))


# --- impossible answers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bias", "softmax"),
    [
        ([np.nan, 0, 0, 0], True),
        ([np.nan, 0, 0, 0], False),
        ([np.inf, 0, 0, 0], False),
        ([0.5, 0.6, -0.1, 0], False),
        ([0.5, 0.4, 0, 0], False),
        ([0.0, 0, 0], True),
        ([0.0, 0, 0, 0, 0], True),
    ],
    ids=str,
)
def test_an_impossible_answer_is_an_error(tmp_path: Path, bias: list[float], softmax: bool) -> None:
    emotion = [0.0] * 7 if softmax else [1.0, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ModelError, match="'tiny', head 'state' gave an impossible answer"):
        answers(tmp_path, {"emotion_probs": emotion, "state_probs": bias}, softmax=softmax)


def test_another_number_of_rows_is_an_error(tmp_path: Path) -> None:
    model = OnnxModel(str(write_artefact(tmp_path / "tiny")))

    class Short:
        def run(self, outputs: list[str], inputs: dict[str, Any]) -> list[Any]:
            return [np.full((1, 7), 1 / 7, np.float32), np.full((1, 4), 1 / 4, np.float32)]

    model._session = Short()
    with pytest.raises(ModelError, match="rows"):
        model.predict(batch(3))


# --- the store -----------------------------------------------------------------------------------


def test_shipped_models_have_both_files() -> None:
    for name, folder in shipped_models().items():
        assert folder.name == name and (folder / "card.json").is_file()


def test_a_folder_with_a_card_is_a_model(tmp_path: Path) -> None:
    folder = write_artefact(tmp_path / "tiny")
    assert find_model(str(folder)) == folder


def test_a_file_is_not_a_model(tmp_path: Path) -> None:
    write_onnx(tmp_path / "model.onnx", {"a": [0.0, 1.0]}, spec=SPEC)
    with pytest.raises(ModelError, match=r"give a folder with card.json and model.onnx"):
        find_model(str(tmp_path / "model.onnx"))
