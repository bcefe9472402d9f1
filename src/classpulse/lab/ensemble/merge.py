"""Several ONNX graphs with one input and a combination of their outputs, as one graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.lab.ensemble.combination import LOG_FLOOR, Combination
from classpulse.lab.evaluate.calibration import Calibration
from classpulse.lab.evaluate.metrics import HEAT_FLOOR
from classpulse.lab.export import output_name

INPUT = "faces"


def merge_graphs(
    models: Sequence[onnx.ModelProto],
    combinations: Mapping[str, Combination],
    outputs: Mapping[str, Sequence[str]],
    spec: InputSpec,
) -> onnx.ModelProto:
    """One model: faces (n, c, h, w) -> `output_name(head)` (n, k) for every combination.

    Args:
        models: m networks with one input and probabilities as outputs; they are not changed.
        combinations: head -> how its m answers become one.
        outputs: head -> name of that output in each of the models.
        spec: the common input.

    Raises:
        InputError: the networks were exported with different versions of the operators.
    """
    nodes: list[Any] = []
    parts: dict[str, list[Any]] = {"initializer": [], "value_info": [], "functions": []}
    for i, model in enumerate(models):
        own = compose.add_prefix(model, _prefix(i))
        nodes.append(helper.make_node("Identity", [INPUT], [own.graph.input[0].name]))
        nodes.extend(own.graph.node)
        parts["initializer"].extend(own.graph.initializer)
        parts["value_info"].extend(own.graph.value_info)
        parts["functions"].extend(own.functions)
    ends = []
    for head, combination in combinations.items():
        voices = [_prefix(i) + name for i, name in enumerate(outputs[head])]
        made = _Nodes(head)
        made.combine(voices, combination)
        nodes.extend(made.nodes)
        parts["initializer"].extend(made.constants)
        shape = ["n", combination.labels]
        ends.append(helper.make_tensor_value_info(output_name(head), TensorProto.FLOAT, shape))
    size = ["n", spec.channels, spec.height, spec.width]
    start = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, size)
    graph = helper.make_graph(
        nodes, "ensemble", [start], ends, parts["initializer"], value_info=parts["value_info"]
    )
    merged = helper.make_model(
        graph,
        opset_imports=_common_opsets(models),
        ir_version=max(model.ir_version for model in models),
        functions=parts["functions"],
    )
    onnx.checker.check_model(merged)
    return merged


def _prefix(i: int) -> str:
    return f"member{i}_"


def _common_opsets(models: Sequence[onnx.ModelProto]) -> list[onnx.OperatorSetIdProto]:
    versions: dict[str, int] = {}
    for model in models:
        for used in model.opset_import:
            domain = "" if used.domain == "ai.onnx" else used.domain
            if versions.setdefault(domain, used.version) != used.version:
                raise InputError(
                    f"members use versions {versions[domain]} and {used.version} of the operators "
                    f"'{domain or 'ai.onnx'}': export them again with one version of classpulse"
                )
    return [helper.make_opsetid(domain, version) for domain, version in versions.items()]


class _Nodes:
    """Nodes and constants of one head's combination; float32 twin of `Combination.apply`."""

    def __init__(self, head: str) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._head = head

    def combine(self, voices: Sequence[str], how: Combination) -> None:
        """From the members' outputs (n, k) to the head's."""
        if how.weights is not None:
            shares = [
                self._add("Mul", [voice, self._constant(np.array(w))])
                for voice, w in zip(voices, how.weights, strict=True)
            ]
            seen = self._add("Sum", shares)
        else:
            seen = self._add("Concat", [self._log(v, LOG_FLOOR) for v in voices], axis=1)
        if how.matrix is None or how.bias is None:
            logits = self._log(seen, HEAT_FLOOR)
        else:
            kernel = [self._constant(how.matrix), self._constant(how.bias)]
            logits = self._add("Gemm", [seen, *kernel])
        ready = self._calibrate(logits, how.calibration, how.labels)
        end = output_name(self._head)
        self.nodes.append(helper.make_node("Softmax", [ready], [end], axis=1))

    def _calibrate(self, logits: str, how: Calibration, labels: int) -> str:
        if how.is_plain:
            return self._add("Mul", [logits, self._constant(np.array(1 / how.temperature))])
        logs = self._add("LogSoftmax", [logits], axis=1)
        if how.by_entropy:
            parts = self._add("Mul", [self._add("Exp", [logs]), logs])
            surprise = self._add("ReduceSum", [parts, self._constant(np.array([1]), np.int64)])
            factor = np.array(-how.by_entropy / np.log(labels))
            warmth = self._add("Exp", [self._add("Mul", [surprise, self._constant(factor)])])
            logs = self._add("Mul", [logs, warmth])
        scale = np.array(how.scale or 1.0) / how.temperature
        scaled = self._add("Mul", [logs, self._constant(scale)])
        return self._add("Add", [scaled, self._constant(np.array(how.bias or 0.0))])

    def _log(self, probs: str, floor: float) -> str:
        return self._add("Log", [self._add("Max", [probs, self._constant(np.array(floor))])])

    def _add(self, kind: str, inputs: Sequence[str], **attributes: int) -> str:
        name = f"{self._head}_step{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, values: NDArray[Any], kind: type[np.generic] = np.float32) -> str:
        name = f"{self._head}_constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values.astype(kind), name))
        return name
