"""The embedding of any artefact: what its network knows before its last linear layers (eq. 4)."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from classpulse.core.card import InputSpec, ModelCard, load_card
from classpulse.core.defaults import MODEL
from classpulse.core.errors import ModelError
from classpulse.lab.classic.transformers import PictureFeatures, Values
from classpulse.runtime.model import OnnxModel, find_model

EMBEDDING = "embedding"  # name of the output of an embedding graph
LINEAR = ("Gemm", "MatMul")
STORED = ("Cast", "DequantizeLinear")  # from float16, from 8 bits
BATCH = 64
Node = Any  # onnx.NodeProto
Read = tuple[str, int]  # a tensor, and how many batches stand below each other in it


class ArtefactEmbedding(PictureFeatures):
    """Embedding (n, d) float32 of pictures (n, h * w), grey in [0, 1], by a face network.

    Pictures of another size are scaled to the network's, and normalized as its card says.

    Args:
        model: shipped name or artefact folder.
        threads: of the runtime.
        height: of a picture in pixels, see `transformers.picture_shape`.
    """

    def __init__(self, *, model: str = MODEL, threads: int = 1, height: int | None = None) -> None:
        self.model = model
        self.threads = threads
        self.height = height

    def _apply(self, pictures: Values) -> Values:
        sha256 = load_card(find_model(self.model) / "card.json").sha256
        card, session = _open_session(self.model, sha256, self.threads)
        start = session.get_inputs()[0].name
        batches = np.array_split(pictures, range(BATCH, len(pictures), BATCH))
        answers = [session.run([EMBEDDING], {start: _normalize(b, card.input)}) for b in batches]
        return np.concatenate([answer[0] for answer in answers])


def load_embedding(model: str, *, without: str | None = None) -> tuple[ModelCard, onnx.ModelProto]:
    """Card of an artefact, and the graph from its input to `EMBEDDING` (n, d).

    Args:
        without: keep the outputs of all heads but this one, too; None keeps none.

    Raises:
        ModelError: the artefact cannot be used, or its heads are not linear layers.
    """
    card = OnnxModel(model).card  # refuses a file that is not the card's
    graph = onnx.load(str(find_model(model) / "model.onnx"))
    keep = [] if without is None else [h.output for h in card.heads if h.name != without]
    return card, cut_embedding(graph, [head.output for head in card.heads], keep=keep)


def cut_embedding(
    model: onnx.ModelProto, outputs: Sequence[str], *, keep: Sequence[str] = ()
) -> onnx.ModelProto:
    """The same network from its input to what its last linear layers read, called `EMBEDDING`.

    Going back from an output, the first layer with constant weights counts. Where one layer reads
    several tensors (a face and its mirror image), their mean is taken: what it makes of the mean is
    the mean of what it makes of each. So it is where they stand below each other in one tensor,
    which a Reshape to (copies, n, k) behind the layer tells. Tensors of different layers stand side
    by side.

    Args:
        outputs: names of the outputs of its heads.
        keep: those of them that stay outputs.

    Raises:
        ModelError: an output does not come from a linear layer.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    readers: dict[tuple[Read, ...], list[str]] = {}  # tensors -> weights of the layers that read
    for output in outputs:
        layers = _last_layers(output, makers, constants)
        if not layers:
            raise ModelError(
                f"output '{output}' does not come from a linear layer: the network has no embedding"
            )
        for weight, tensors in layers.items():
            readers.setdefault(tuple(sorted(tensors)), []).append(weight)
    ends = _join([*readers])
    needed = _needed([*(name for group in readers for name, _ in group), *keep], makers)
    nodes = [node for node in model.graph.node if id(node) in needed]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        [*nodes, *ends],
        EMBEDDING,
        list(model.graph.input),
        [
            helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["n", None]),
            *(output for output in model.graph.output if output.name in keep),
        ],
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    cut = helper.make_model(
        graph,
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
        functions=model.functions,
    )
    onnx.checker.check_model(cut)
    return cut


def _last_layers(
    output: str, makers: Mapping[str, Node], constants: Mapping[str, onnx.TensorProto]
) -> dict[str, set[Read]]:
    """Weight -> tensors that the last linear layers before an output multiply with it."""
    found: dict[str, set[Read]] = {}
    waiting, seen = [(output, 1)], set()
    while waiting:
        name, copies = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        weight = _weight_of(node, makers, constants)
        if weight is None:
            copies *= _copies_in(node, constants)
            waiting.extend((source, copies) for source in node.input)
        else:
            found.setdefault(weight, set()).add((node.input[0], copies))
    return found


def _copies_in(node: Node, constants: Mapping[str, onnx.TensorProto]) -> int:
    """Batches that a Reshape from (copies * n, k) to (copies, n, k) takes apart; else 1."""
    if node.op_type != "Reshape" or node.input[1] not in constants:
        return 1
    shape = numpy_helper.to_array(constants[node.input[1]])
    return int(shape[0]) if len(shape) == 3 and shape[0] > 0 else 1


def _weight_of(
    node: Node, makers: Mapping[str, Node], constants: Mapping[str, onnx.TensorProto]
) -> str | None:
    """The constant that a linear layer multiplies with, which may be stored in fewer bits."""
    if node.op_type not in LINEAR:
        return None
    name = node.input[1]
    source = makers.get(name)
    if source is not None and source.op_type in STORED:
        name = source.input[0]
    return name if name in constants else None


def _join(groups: Sequence[tuple[Read, ...]]) -> list[Node]:
    """Nodes that average each group of tensors and put the means (n, d) side by side."""
    nodes, means = [], [f"{EMBEDDING}_{i}" for i in range(len(groups))]
    for group, mean in zip(groups, means, strict=True):
        parts = []
        for k, (name, copies) in enumerate(group):
            own = [f"{mean}_{k}_{copy}" for copy in range(copies)] if copies > 1 else [name]
            if copies > 1:
                nodes.append(helper.make_node("Split", [name], own, axis=0, num_outputs=copies))
            parts += own
        nodes.append(helper.make_node("Mean", parts, [mean]))
    return [*nodes, helper.make_node("Concat", means, [EMBEDDING], axis=1)]


def _needed(tensors: Sequence[str], makers: Mapping[str, Node]) -> set[int]:
    """Identities of the nodes on which the tensors depend."""
    waiting = [*tensors]
    needed: set[int] = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            waiting.extend(node.input)
    return needed


@functools.lru_cache(maxsize=4)
def _open_session(
    model: str, sha256: str, threads: int
) -> tuple[ModelCard, onnxruntime.InferenceSession]:
    """Kept here and not in the estimator, which has to be copied and pickled.

    Args:
        sha256: of the file, so that another file in its place is opened anew.
    """
    card, graph = load_embedding(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    content = graph.SerializeToString()
    return card, onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _normalize(pictures: Values, spec: InputSpec) -> NDArray[np.float32]:
    """(n, h, w) in [0, 1] -> (n, channels, height, width), the twin of `vision.image.prepare`."""
    height, width = pictures.shape[1:]
    planes = pictures.astype(np.float32)
    if (height, width) != (spec.height, spec.width):
        shrinks = height >= spec.height and width >= spec.width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        planes = np.stack(
            [cv2.resize(p, (spec.width, spec.height), interpolation=how) for p in planes]
        )
    mean, std = (np.array(v, dtype=np.float32)[:, None, None] for v in (spec.mean, spec.std))
    return np.ascontiguousarray((planes[:, None] - mean) / std)  # (n, 1, h, w) -> (n, c, h, w)
