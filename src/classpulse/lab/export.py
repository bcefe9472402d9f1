"""From trained weights to an artefact: `model.onnx` with calibration inside, and its card."""

import hashlib
import logging
import math
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from classpulse.core.card import Card, Head, InputSpec, QualityGate, save_card
from classpulse.core.errors import InputError, ModelError
from classpulse.core.files import make_folder, new_file, new_files
from classpulse.lab.evaluate.calibration import Calibration
from classpulse.lab.models.base import FaceModel
from classpulse.lab.models.repvgg import fuse
from classpulse.lab.models.views import Shift, mean_of_views, show_views
from classpulse.lab.quantize import quantize
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.targets import HEAD_GIVEN, HEAD_SPACES
from classpulse.runtime.model import OnnxModel
from classpulse.vision.image import prepare

OPSET = 18
OPEN_GATE = QualityGate(0.0, 0.0, 1.0, 0.0)  # until one is fitted
PARITY = 1e-4  # largest difference of a probability between torch and the exported graph
ROUNDING = 1e-2  # the same between float32 and float16 weights; 1e-4 to 1e-3 is usual
PARITY_ROWS = 4
HALF_FROM = 1024  # weights of at least this size are stored as float16


class Calibrated(nn.Module):
    """Network with calibration and softmax inside: faces in, probs out.

    (b, c, h, w) float32 -> one (b, k) float32 per head, in the order of `calibrations`.

    Args:
        flip, shifts: views whose logits are averaged, see `models.views`.
    """

    def __init__(
        self,
        network: nn.Module,
        calibrations: Mapping[str, Calibration],
        *,
        flip: bool,
        shifts: Sequence[Shift] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.calibrations = dict(calibrations)
        self.flip, self.shifts = flip, tuple(shifts)
        for head, how in self.calibrations.items():
            if not how.is_plain:
                scale = torch.tensor(how.scale or (1.0,), dtype=torch.float32) / how.temperature
                shift = -torch.tensor(how.bias or (0.0,), dtype=torch.float32)
                self.register_buffer(f"{head}_scale", scale)
                # subtracted: `quantize` would round what is added
                self.register_buffer(f"{head}_shift", shift)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        # one pass over all: a fraction of the nodes, and integer weights are stored once
        logits = self.network(show_views(x, self.shifts, flip=self.flip))
        logits = mean_of_views(logits, self.shifts, flip=self.flip)
        return tuple(self._answer(head, logits[head]) for head in self.calibrations)

    def _answer(self, head: str, logits: Tensor) -> Tensor:
        """(b, k) -> (b, k); `Calibration.apply` in torch."""
        how = self.calibrations[head]
        if how.is_plain:
            return torch.softmax(logits / how.temperature, dim=1)
        scale, shift = getattr(self, f"{head}_scale"), getattr(self, f"{head}_shift")
        logs = torch.log_softmax(logits, dim=1)
        if how.by_entropy:
            surprise = (logs.exp() * logs).sum(dim=1, keepdim=True)  # (b, 1), minus the entropy
            logs = logs * torch.exp(surprise * (-how.by_entropy / math.log(logs.shape[1])))
        return torch.softmax(logs * scale - shift, dim=1)


def output_name(head: str) -> str:
    """Name of a head's ONNX output."""
    return f"{head}_probs"


def build_heads(calibrations: Mapping[str, Calibration]) -> tuple[Head, ...]:
    """Card entries of the heads, in the order of the ONNX outputs.

    A head's condition is left out where the head that it asks is not there.
    """
    return tuple(
        Head(
            name,
            output_name(name),
            HEAD_SPACES[name].name,
            how.temperature,
            _given(name, calibrations),
            scale=how.scale,
            bias=how.bias,
            by_entropy=how.by_entropy,
        )
        for name, how in calibrations.items()
    )


def _given(name: str, heads: Collection[str]) -> tuple[str, ...]:
    given = HEAD_GIVEN.get(name, ())
    return given if all(one.partition(":")[0] in heads for one in given) else ()


def export_onnx(
    network: FaceModel,
    recipe: Recipe,
    calibrations: Mapping[str, Calibration],
    path: Path,
    *,
    pictures: NDArray[np.float32] | None = None,
) -> str:
    """Write the calibrated network with a free batch size; returns the file's SHA-256.

    The recipe's precision says what becomes of the weights. In float16 large ones are stored so
    and cast back when the file is loaded: the arithmetic stays float32.

    Args:
        pictures: (n, c, h, w) prepared training pictures, some hundred, to fit an int8 network on.

    Raises:
        InputError: an int8 network, but no pictures.
        ModelError: the graph answers otherwise than the network by `PARITY`, or rounding its
            weights to float16 changes an answer by `ROUNDING`.
        OutputError: the file cannot be written.
    """
    spec = recipe.input
    example = torch.zeros(2, spec.channels, spec.height, spec.width)
    wrap = partial(Calibrated, calibrations=calibrations, flip=recipe.flip, shifts=recipe.shifts)
    wrapped = wrap(network).eval()
    # three branches of a RepVGG network become one convolution; other networks stay as they are
    fused = wrap(fuse(network)).eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, we do not
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            fused,
            (example,),
            input_names=["faces"],
            output_names=[output_name(head) for head in calibrations],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise ModelError("torch returned no ONNX program")
    model = strip_traces(program.model_proto)
    x = noise_faces(spec)
    with torch.inference_mode():
        wanted = [probs.numpy() for probs in wrapped(torch.from_numpy(x))]
    exact = _answer(model, x)
    _need_close(exact, wanted, PARITY, "the exported graph differs from the network")
    if recipe.precision == "int8":
        model = _quantize(model, pictures)
    elif recipe.precision == "float16":
        model = store_half(model)
        _need_close(_answer(model, x), exact, ROUNDING, "weights in float16 change the answer")
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    make_folder(path.parent)
    with new_file(path) as aside:
        aside.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _quantize(model: onnx.ModelProto, pictures: NDArray[np.float32] | None) -> onnx.ModelProto:
    if pictures is None:
        raise InputError(
            "an int8 network is fitted on training pictures: use classpulse publish, which has "
            "them, or --set precision='\"float32\"'; to export it again to the byte, give --like "
            "with the --data and --votes that it was published with"
        )
    return quantize(model, pictures)


def read_precision(path: Path) -> str:
    """Which of the recipes' precisions a graph that we exported has."""
    graph = onnx.load(str(path)).graph
    if any(node.op_type == "QuantizeLinear" for node in graph.node):
        return "int8"
    kinds = {tensor.data_type for tensor in graph.initializer}
    return "float16" if TensorProto.FLOAT16 in kinds else "float32"


def need_same_file(sha256: str, like: str, *, source: str) -> None:
    """Refuse a file that is not that of the artefact `like`, a shipped name or a folder.

    Args:
        source: what it was made from, to begin the message with.

    Raises:
        ModelError: it is another file, or there is no such artefact.
    """
    wanted = OnnxModel(like).card.sha256
    if sha256 != wanted:
        raise ModelError(
            f"{source} gives another file than {like} ({sha256[:12]}, not {wanted[:12]}): other "
            "weights, data or settings, or another version of torch or onnx"
        )


def noise_faces(spec: InputSpec) -> NDArray[np.float32]:
    """(4, c, h, w) prepared pictures of noise, to compare two forms of a network on."""
    draw = np.random.default_rng(0)
    noise = draw.integers(0, 256, (PARITY_ROWS, spec.height, spec.width), dtype=np.uint8)
    return np.stack([prepare(image, spec) for image in noise])


def _answer(model: onnx.ModelProto, x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {"faces": x}))


def _need_close(
    found: Sequence[NDArray[np.float32]],
    wanted: Sequence[NDArray[np.float32]],
    allowed: float,
    what: str,
) -> None:
    gap = float(np.max([np.abs(a - b).max() for a, b in zip(found, wanted, strict=True)]))
    if not gap < allowed:
        raise ModelError(f"{what} by {gap:.1e}, allowed is {allowed:.0e}: nothing was written")


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with large float32 weights stored as float16 behind a Cast node."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < HALF_FROM:
            continue
        name, values = tensor.name, numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):  # an infinite weight is found by comparing the answers
            half = values.astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def strip_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph without the exporter's notes: they hold paths of the machine it ran on."""
    parts = (model, model.graph, *model.graph.node, *model.graph.value_info)
    for part in (*parts, *model.graph.initializer, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


def new_artefact(out: Path) -> AbstractContextManager[Path]:
    """A folder to make an artefact in, whose files replace those of `out` when the block ends well.

    Until then an artefact that is there stays as it was, whatever happens; see `new_files`.
    """
    return new_files(out, last="card.json")


def save_artefact(folder: Path, card: Card) -> None:
    """Write the card beside the model it describes.

    Raises:
        ModelError: `model.onnx` in the folder does not have the card's hash.
        OutputError: the card cannot be written.
    """
    found = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    if found != card.sha256:
        raise ModelError(f"{folder}/model.onnx changed while it was measured: export it again")
    save_card(card, folder / "card.json")
