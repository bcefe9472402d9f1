"""How fast can this machine multiply, and how many products does a network need?

The peak is the rate of a large matrix product with the same number of threads and in the same
arithmetic: float32 by onnxruntime's MatMul and by NumPy, integers of 8 bits by onnxruntime's
MatMulInteger (uint8 times int8 into int32, the kernels that a quantized convolution runs on). Every
product and every sum counts as one operation, of floats and of integers alike.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import time_calls

SIDES, QUICK_SIDES = (1024, 2048), (256,)  # of the matrices; the faster one counts
PEAKS = {"fp32": "float32 MatMul", "int8": "MatMulInteger, uint8 x int8"}


def measure_peaks(threads: int, *, quick: bool) -> dict[str, dict[str, float]]:
    """Arithmetic -> what multiplied -> operations a second, wall time."""
    found: dict[str, dict[str, float]] = {"fp32": {}, "int8": {}}
    for side in QUICK_SIDES if quick else SIDES:
        for arithmetic, ways in found.items():
            for name, multiply in _products(arithmetic, side, threads).items():
                wall, _ = time_calls(multiply, seconds=0.0 if quick else 1.0)
                ways[name] = max(ways.get(name, 0.0), 2 * side**3 / wall)
    return found


def _products(arithmetic: str, side: int, threads: int) -> dict[str, Callable[[], Any]]:
    """Ways to multiply two square matrices; NumPy has as many threads as its process was given."""
    random = np.random.default_rng(0)
    if arithmetic == "int8":
        left = random.integers(0, 256, (side, side), dtype=np.uint8)
        right = random.integers(-127, 128, (side, side), dtype=np.int8)
        return {"onnxruntime": _session("MatMulInteger", left, right, threads)}
    first, second = random.standard_normal((2, side, side), dtype=np.float32)
    return {
        "onnxruntime": _session("MatMul", first, second, threads),
        "numpy": partial(np.matmul, first, second),
    }


def _session(
    kind: str, left: np.ndarray, right: np.ndarray, threads: int
) -> Callable[[], list[Any]]:
    """A call of onnxruntime; the right matrix is a weight, which it may pack beforehand."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    whole = TensorProto.INT32 if kind == "MatMulInteger" else TensorProto.FLOAT
    given = helper.np_dtype_to_tensor_dtype(left.dtype)
    graph = helper.make_graph(
        [helper.make_node(kind, ["left", "right"], ["out"])],
        "product",
        [helper.make_tensor_value_info("left", given, left.shape)],
        [helper.make_tensor_value_info("out", whole, left.shape)],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return partial(session.run, ["out"], {"left": left})


def count_products(path: Path) -> int:
    """Multiplications of convolutions and matrix products for one face.

    The shapes are those of a run: a graph that reads a face and its mirror image in one pass has
    twice as many rows inside, which no declared shape tells.
    """
    import onnx

    model = onnx.load(path)
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    shapes = _shapes(model, {name for node in nodes for name in (*node.input[:2], node.output[0])})
    total = 0
    for node in nodes:
        first, second = (shapes[name] for name in node.input[:2])
        per_value = int(np.prod(second[1:])) if node.op_type == "Conv" else first[-1]
        total += per_value * int(np.prod(shapes[node.output[0]]))
    return total


def _shapes(model: Any, names: set[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of what these names hold when the network reads one face."""
    import onnx
    import onnxruntime

    (given,) = model.graph.input
    face = [d.dim_value or 1 for d in given.type.tensor_type.shape.dim]
    shapes = {value.name: tuple(value.dims) for value in model.graph.initializer}
    shapes[given.name] = tuple(face)
    known = {value.name for value in model.graph.output}
    asked = sorted(names - shapes.keys())
    model.graph.output.extend(onnx.ValueInfoProto(name=one) for one in asked if one not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    values = session.run(asked, {given.name: np.zeros(face, np.float32)})
    return shapes | {name: value.shape for name, value in zip(asked, values, strict=True)}
