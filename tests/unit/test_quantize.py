"""Integer networks: what rounding takes from a filter's mean answer is given back by its bias."""

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from classpulse.lab import quantize as module
from classpulse.lab.quantize import quantize

FACES = (np.random.default_rng(0).normal(0, 0.3, (96, 1, 12, 12)) + 1.5).astype(
    np.float32
)  # a mean that is not zero


def build(*, groups: int = 4, bias: bool = True, seed: int = 0) -> onnx.ModelProto:
    """A face and itself (as a network that flips), stem, depthwise filters that nearly cancel a
    large input, pointwise, ReLU6, linear."""
    draw = np.random.default_rng(seed)
    deep = draw.normal(0, 10, (4, 4 // groups, 3, 3))
    deep -= deep.mean(axis=(1, 2, 3), keepdims=True)  # sums of zero: a small answer to a large mean
    weights = {
        "stem.w": draw.normal(0.4, 0.1, (4, 1, 3, 3)),
        "stem.b": draw.normal(0, 0.1, 4),
        "deep.w": deep,
        "point.w": draw.normal(0, 0.3, (6, 4, 1, 1)),
        "point.b": draw.normal(0, 0.3, 6),
        "head.w": draw.normal(0, 1, (3, 6)),
        "head.b": np.zeros(3),
        "least": np.zeros(()),
        "most": np.full((), 6.0),
    }
    if bias:
        weights["deep.b"] = np.full(4, 1.0)
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Concat", ["faces", "faces"], ["both"], "both", axis=0),
        helper.make_node("Conv", ["both", "stem.w", "stem.b"], ["a"], "stem", **pads),
        helper.make_node("Clip", ["a", "least", "most"], ["b"], "clip1"),
        helper.make_node(
            "Conv",
            ["b", "deep.w", *(["deep.b"] if bias else [])],
            ["c"],
            "deep",
            group=groups,
            strides=[2, 2],
            **pads,
        ),
        helper.make_node("Conv", ["c", "point.w", "point.b"], ["d"], "point"),
        helper.make_node("Clip", ["d", "least", "most"], ["e"], "clip2"),
        helper.make_node("GlobalAveragePool", ["e"], ["f"], "pool"),
        helper.make_node("Flatten", ["f"], ["g"], "flat"),
        helper.make_node("Gemm", ["g", "head.w", "head.b"], ["logits"], "head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 1, 12, 12])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def answers(model: onnx.ModelProto) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"faces": FACES})[0])


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("bias", [True, False])
def test_the_mean_answer_is_given_back(
    groups: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected, plain = 0.0, 0.0
    for seed in range(4):
        model = build(groups=groups, bias=bias, seed=seed)
        exact = answers(model)

        def gap(exact: NDArray[np.float32] = exact, model: onnx.ModelProto = model) -> float:
            return float(np.abs((answers(quantize(model, FACES)) - exact).mean(axis=0)).max())

        corrected += gap()
        with monkeypatch.context() as patch:
            patch.setattr(module, "_correct_biases", lambda model, exact, faces: model)
            plain += gap()
    assert corrected < 0.5 * plain


def test_only_the_heads_compute_in_floats() -> None:
    given = quantize(build(), FACES)
    kinds = [node.op_type for node in given.graph.node]
    assert "Clip" not in kinds  # the range of the integers does what it did
    sources = {node.output[0]: node.op_type for node in given.graph.node}
    filtered = [node for node in given.graph.node if node.op_type == "Conv"]
    assert len(filtered) == 3
    for node in filtered:
        assert [sources[name] for name in node.input] == ["DequantizeLinear"] * 3, node.name
    (head,) = (node for node in given.graph.node if node.op_type == "Gemm")
    assert not {"head.w", "head.b"}.isdisjoint(head.input)  # as they were trained


def test_the_network_that_was_given_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Callable[..., object]
) -> None:
    model = build(bias=False)
    before = model.SerializeToString()
    first = quantize(model, FACES).SerializeToString()
    assert model.SerializeToString() == before
    assert quantize(model, FACES).SerializeToString() == first
