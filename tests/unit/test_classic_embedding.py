"""The embedding of an artefact: what its last linear layers read."""

import pickle
from pathlib import Path

import numpy as np
import onnx
import pytest
from builders import SPEC, write_artefact
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from classpulse.core.errors import ModelError
from classpulse.lab.classic.embedding import ArtefactEmbedding, cut_embedding, load_embedding
from classpulse.lab.ensemble.merge import INPUT
from classpulse.lab.evaluate.calibration import calibration_of
from classpulse.runtime.model import OnnxModel, find_model

PIXELS = np.random.default_rng(0).random((3, 48 * 48))


def test_the_embedding_of_a_linear_network_is_its_input(tmp_path: Path) -> None:
    model = str(write_artefact(tmp_path, seed=1))
    found = ArtefactEmbedding(model=model).fit_transform(PIXELS)
    assert np.allclose(found, (PIXELS - SPEC.mean[0]) / SPEC.std[0], atol=1e-5)


@pytest.mark.parametrize("model", ["face-base", "face-flagship", "face-lite"])
def test_the_shipped_heads_answer_from_the_embedding_as_the_network_does(model: str) -> None:
    """Also where the network averages a face with its mirror image, in two passes or in one, and
    over several places, in integers."""
    card, _ = load_embedding(model)
    pixels = PIXELS.astype(np.float32)
    embedded = ArtefactEmbedding(model=model).fit_transform(pixels)
    assert len(embedded) == len(pixels)
    batch = (pixels.reshape(-1, 1, 48, 48) - card.input.mean[0]) / card.input.std[0]
    answers = OnnxModel(model).predict(batch.astype(np.float32))
    weights = _constants(onnx.load(str(find_model(model) / "model.onnx")))
    for head in card.heads:
        kernel = weights[f"network.heads.{head.name}.weight"]
        logits = embedded @ kernel.T + weights[f"network.heads.{head.name}.bias"]
        heated = np.exp(logits)
        plain = (heated / heated.sum(axis=1, keepdims=True)).astype(np.float32)
        probs = calibration_of(head).apply(plain)
        assert np.allclose(probs, answers[head.name].probs, atol=1e-4)


def _constants(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """Name -> values, those stored as float16 by their own names."""
    return {
        tensor.name.removesuffix("_half"): numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in model.graph.initializer
    }


def test_the_embedding_stays_when_heads_are_kept() -> None:
    _, graph = load_embedding("face-base", without="emotion")
    names = [output.name for output in graph.graph.output]
    assert names == ["embedding", "votes_probs", "state_probs"]


def test_pictures_of_another_size_are_scaled(tmp_path: Path) -> None:
    model = str(write_artefact(tmp_path, seed=1))
    large = np.repeat(np.repeat(PIXELS.reshape(-1, 48, 48), 2, axis=1), 2, axis=2)
    embedding = ArtefactEmbedding(model=model)
    own = embedding.fit_transform(PIXELS)
    assert np.allclose(
        ArtefactEmbedding(model=model).fit_transform(large.reshape(3, -1)), own, atol=1e-5
    )


def test_an_embedding_can_be_pickled(tmp_path: Path) -> None:
    embedding = ArtefactEmbedding(model=str(write_artefact(tmp_path, seed=1))).fit(PIXELS)
    again = pickle.loads(pickle.dumps(embedding))
    assert np.array_equal(again.transform(PIXELS), embedding.transform(PIXELS))


def test_another_file_in_its_place_is_opened_anew(tmp_path: Path) -> None:
    embedding = ArtefactEmbedding(model=str(write_artefact(tmp_path, seed=1))).fit(PIXELS)
    before = embedding.transform(PIXELS)
    write_artefact(tmp_path, seed=1, input=SPEC.__class__(48, 48, 1, (0.0,), (1.0,), "fer2013"))
    write_artefact(tmp_path, seed=2, input=SPEC.__class__(48, 48, 1, (0.0,), (1.0,), "fer2013"))
    assert np.allclose(embedding.transform(PIXELS), PIXELS, atol=1e-6)
    assert not np.allclose(before, PIXELS)


def test_layers_of_different_tensors_stand_side_by_side() -> None:
    model = _two_branches()
    found = cut_embedding(model, ["a", "b"])
    from onnx.reference import ReferenceEvaluator

    x = np.ones((2, 3), dtype=np.float32)
    [rows] = ReferenceEvaluator(found).run(None, {INPUT: x})
    assert rows.tolist() == [[1.0, 1, 1, -1, -1, -1]] * 2


def test_a_network_without_linear_layers_has_no_embedding() -> None:
    start, end = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3]) for n in (INPUT, "y")
    )
    graph = helper.make_graph([helper.make_node("Softmax", [INPUT], ["y"])], "g", [start], [end])
    with pytest.raises(ModelError, match="'y' does not come from a linear layer"):
        cut_embedding(helper.make_model(graph), ["y"])


def _two_branches() -> onnx.ModelProto:
    """a = x @ w, b = (-x) @ v."""
    values = [
        numpy_helper.from_array(np.full((3, 2), i, dtype=np.float32), name)
        for i, name in enumerate("wv")
    ]
    nodes = [
        helper.make_node("MatMul", [INPUT, "w"], ["a"]),
        helper.make_node("Neg", [INPUT], ["minus"]),
        helper.make_node("MatMul", ["minus", "v"], ["b"]),
    ]
    start = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", 3])
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 2]) for n in "ab"]
    graph = helper.make_graph(nodes, "g", [start], ends, values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
