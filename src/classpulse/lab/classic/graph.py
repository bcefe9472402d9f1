"""A fitted pipeline as one ONNX graph: picture, embedding network, scikit-learn, probabilities."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from scipy.ndimage import gaussian_filter1d
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxAdd, OnnxExp, OnnxMatMul, OnnxMul, OnnxSub
from skl2onnx.common.data_types import FloatTensorType
from sklearn.kernel_approximation import Nystroem
from sklearn.svm import SVC, LinearSVC

from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.lab.classic.embedding import EMBEDDING, load_embedding
from classpulse.lab.classic.fit import HEAD, Fitted
from classpulse.lab.classic.kinds import PIXELS
from classpulse.lab.classic.recipe import ClassicRecipe
from classpulse.lab.classic.transformers import KERNEL_REACH
from classpulse.lab.ensemble.merge import INPUT
from classpulse.lab.export import OPSET, output_name, strip_traces

ML_OPSET = 3  # of the operators of classical machine learning
WRITTEN = (PIXELS, "embedding")  # features that have an ONNX form
NET, MACHINE = "net_", "machine_"  # before the names of the parts that are joined


def check_written(recipe: ClassicRecipe) -> None:
    """`InputError` unless a pipeline of this recipe can be written as ONNX."""
    if recipe.features.kind not in WRITTEN:
        raise InputError(
            f"recipe {recipe.name}: features '{recipe.features.kind}' have no ONNX form, only "
            f"{' and '.join(WRITTEN)} have: leave --out away to measure it alone"
        )
    if recipe.reduction.kind == "nmf":
        raise InputError(
            f"recipe {recipe.name}: NMF solves a problem for every new row and has no ONNX form: "
            "leave --out away to measure it alone, or use pca"
        )
    if recipe.features.kind == PIXELS:
        return
    card, network = load_embedding(recipe.features.settings.model)
    wanted = recipe.side, recipe.side, recipe.framing
    if (card.input.height, card.input.width, card.input.framing) != wanted:
        raise InputError(
            f"recipe {recipe.name}: model '{card.name}' takes {card.input.width} x "
            f"{card.input.height} pixels framed as {card.input.framing}, not side = {recipe.side} "
            f"and framing = {recipe.framing}: set them to that"
        )
    versions = {used.domain: used.version for used in network.opset_import}
    if versions.get("", OPSET) != OPSET:
        raise InputError(
            f"recipe {recipe.name}: model '{card.name}' was exported with operators of version "
            f"{versions['']}, not {OPSET}: export it again with this version of classpulse"
        )


def build_graph(fitted: Fitted) -> onnx.ModelProto:
    """Faces (n, 1, side, side) in [0, 1] -> probabilities (n, k).

    An embedding network keeps its heads but the one that the machine replaces.

    Raises:
        InputError: as `check_written`.
    """
    recipe = fitted.recipe
    check_written(recipe)
    made = _Nodes("picture")
    picture = made.prepare(recipe)
    parts: list[onnx.ModelProto] = []
    kept: list[Any] = []
    if recipe.features.kind == PIXELS:
        features = made.add("Flatten", [picture], axis=1)
    else:
        card, network = load_embedding(recipe.features.settings.model, without=HEAD)
        kept = list(network.graph.output)[1:]
        parts.append(compose.add_prefix(network, NET))
        made.normalize(picture, card.input, parts[0].graph.input[0].name)
        features = NET + EMBEDDING
    parts.append(compose.add_prefix(_convert_back(fitted), MACHINE))
    end = _Nodes("answer")
    machine = parts[-1].graph
    end.soften(machine.output[1].name, fitted.temperature)  # the first is the label
    end.rename({NET + output.name: output.name for output in kept})
    link = helper.make_node("Identity", [features], [machine.input[0].name])
    nodes = [*made.nodes, *(node for part in parts[:-1] for node in part.graph.node)]
    nodes += [link, *machine.node, *end.nodes]
    constants = [tensor for part in parts for tensor in part.graph.initializer]
    answer = _tensor(output_name(HEAD), len(fitted.space))
    graph = helper.make_graph(
        nodes,
        "classic",
        [_tensor(INPUT, 1, recipe.side, recipe.side)],
        [answer, *kept],
        [*made.constants, *end.constants, *constants],
    )
    return _close(graph, parts)


def _tensor(name: str, *shape: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])


def _close(graph: Any, parts: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=max(part.ir_version for part in parts),
        functions=[function for part in parts for function in part.functions],
    )
    onnx.checker.check_model(model)
    return strip_traces(model)


def _convert_back(fitted: Fitted) -> onnx.ModelProto:
    """From features (n, d) to label and decision values (n, k), by skl2onnx."""
    machine = fitted.back.steps[-1][1]
    raw: dict[str, bool] = {"raw_scores": True}
    options = {id(machine): raw | ({"zipmap": False} if isinstance(machine, SVC) else {})}
    assert isinstance(machine, SVC | LinearSVC)  # there are no other classifiers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # skl2onnx looks at SVC.probA_
        return to_onnx(
            fitted.back,
            initial_types=[("rows", FloatTensorType([None, fitted.features]))],
            options=options,
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        )


class _Nodes:
    """Nodes and constants that are computed one after the other."""

    def __init__(self, name: str) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._name = name

    def prepare(self, recipe: ClassicRecipe) -> str:
        """`minmax` and `gaussian` of the input, as the recipe has them."""
        picture = self._minmax(INPUT) if recipe.minmax else INPUT
        return self._blur(picture, recipe.sigma) if recipe.sigma else picture

    def normalize(self, picture: str, spec: InputSpec, end: str) -> None:
        """To what a network takes: its channels, its mean and deviation."""
        mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (spec.mean, spec.std))
        centered = self.add("Sub", [picture, self.constant(mean)])
        self.nodes.append(helper.make_node("Div", [centered, self.constant(std)], [end]))

    def soften(self, scores: str, temperature: float) -> None:
        """Decision values to the probabilities of the one head."""
        heated = self.add("Div", [scores, self.constant(np.array(temperature))])
        self.nodes.append(helper.make_node("Softmax", [heated], [output_name(HEAD)], axis=1))

    def rename(self, names: Mapping[str, str]) -> None:
        """The same tensors by other names."""
        self.nodes += [helper.make_node("Identity", [old], [new]) for old, new in names.items()]

    def _minmax(self, picture: str) -> str:
        axes = self._whole([2, 3])
        low = self.add("ReduceMin", [picture, axes], keepdims=1)
        span = self.add("Sub", [self.add("ReduceMax", [picture, axes], keepdims=1), low])
        some = self.add("Greater", [span, self.constant(np.array(0.0))])
        divisor = self.add("Where", [some, span, self.constant(np.array(1.0))])
        return self.add("Div", [self.add("Sub", [picture, low]), divisor])

    def _blur(self, picture: str, sigma: float) -> str:
        reach = int(KERNEL_REACH * sigma + 0.5)
        impulse = np.zeros(2 * reach + 1)
        impulse[reach] = 1.0
        kernel = gaussian_filter1d(impulse, sigma, mode="constant", truncate=KERNEL_REACH)
        pads = self._whole([0, 0, reach, reach, 0, 0, reach, reach])
        wide = self.add("Pad", [picture, pads], mode="reflect")
        down = self.add("Conv", [wide, self.constant(kernel.reshape(1, 1, -1, 1))])
        return self.add("Conv", [down, self.constant(kernel.reshape(1, 1, 1, -1))])

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """One more node; gives the name of what it computes."""
        name = f"{self._name}_step{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: NDArray[np.float64]) -> str:
        """One more float32 constant; gives its name."""
        return self._store(values.astype(np.float32))

    def _whole(self, values: Sequence[int]) -> str:
        return self._store(np.array(values, dtype=np.int64))

    def _store(self, values: NDArray[Any]) -> str:
        name = f"{self._name}_constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name


def _shape_nystroem(operator: Any) -> None:
    width = operator.raw_operator.normalization_.shape[0]
    operator.outputs[0].type = FloatTensorType([None, width])


def _convert_nystroem(scope: Any, operator: Any, container: Any) -> None:
    """exp(-gamma |x - landmark|^2), times the normalization: skl2onnx has no Nystroem."""
    mapped: Nystroem = operator.raw_operator
    landmarks = np.asarray(mapped.components_, dtype=np.float32)
    gamma = np.array([mapped.gamma or 1 / landmarks.shape[1]], dtype=np.float32)
    version, x = container.target_opset, operator.inputs[0]
    ones = np.ones((landmarks.shape[1], 1), dtype=np.float32)
    squares = OnnxMatMul(OnnxMul(x, x, op_version=version), ones, op_version=version)
    cross = OnnxMatMul(x, 2 * landmarks.T, op_version=version)
    own = (landmarks**2).sum(axis=1, keepdims=True).T
    distance = OnnxAdd(OnnxSub(squares, cross, op_version=version), own, op_version=version)
    kernel = OnnxExp(OnnxMul(distance, -gamma, op_version=version), op_version=version)
    weights = np.asarray(mapped.normalization_.T, dtype=np.float32)
    rows = OnnxMatMul(kernel, weights, op_version=version, output_names=operator.outputs[:1])
    rows.add_to(scope, container)


update_registered_converter(
    Nystroem, "ClassPulseNystroem", _shape_nystroem, _convert_nystroem, overwrite=True
)
