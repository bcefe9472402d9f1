"""From a trained text network to one ONNX file: probabilities out, calibration inside."""

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from classpulse.core.errors import InputError, ModelError
from classpulse.core.files import make_folder, new_file
from classpulse.lab.export import PARITY, output_name, strip_traces
from classpulse.lab.models.text_base import TextModel
from classpulse.lab.text.heads import answer
from classpulse.text.encode import INPUTS, TokenBatch

OPSET = 17  # of the exporter that knows every encoder here (dependencies.md, section 2)
LARGE = 1024  # weights of fewer numbers stay as they are


class CalibratedText(nn.Module):
    """Network with temperatures inside: numbers and mask in, one (b, k) float32 per head out."""

    def __init__(self, network: TextModel, temperatures: Mapping[str, float]) -> None:
        super().__init__()
        self.network = network
        self.temperatures = dict(temperatures)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        return tuple(answer(self.network(ids, mask), self.temperatures).values())


def export_text_onnx(
    network: TextModel,
    temperatures: Mapping[str, float],
    path: Path,
    *,
    precision: str,
    batches: Sequence[TokenBatch],
) -> str:
    """Write the calibrated network with free numbers of texts and tokens; gives its SHA-256.

    Args:
        network: without low-rank additions, see `lora.merge_lora`.
        precision: kind in `PRECISIONS`.
        batches: of real texts, on which the graph is compared with the network.

    Raises:
        InputError: an unknown precision.
        ModelError: the graph answers otherwise than the network by `PARITY`.
        OutputError: the file cannot be written.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision '{precision}': needs {', '.join(PRECISIONS)}")
    wrapped = CalibratedText(network, temperatures).eval()
    model = strip_traces(_trace(wrapped, [output_name(head) for head in temperatures]))
    gap = max(_gap(wrapped, model, batch) for batch in batches)
    if not gap < PARITY:
        raise ModelError(
            f"the exported graph differs from the network by {gap:.1e}, allowed is {PARITY:.0e}: "
            "nothing was written"
        )
    model = PRECISIONS[precision](model)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    make_folder(path.parent)
    with new_file(path) as aside:
        aside.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _trace(wrapped: nn.Module, outputs: list[str]) -> onnx.ModelProto:
    example = torch.ones(2, 8, dtype=torch.int64)
    free = {name: {0: "n", 1: "t"} for name in INPUTS} | {name: {0: "n"} for name in outputs}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, and traced constants
        target = Path(folder) / "model.onnx"
        torch.onnx.export(
            wrapped,
            (example, example.clone()),
            str(target),
            input_names=list(INPUTS),
            output_names=outputs,
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
        wrapped.eval()  # the exporter puts back the mode that the wrapper alone was in
        return onnx.load(str(target))


def _gap(wrapped: nn.Module, model: onnx.ModelProto, batch: TokenBatch) -> float:
    """Largest difference of a probability."""
    with torch.inference_mode():
        wanted = wrapped(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, dict(zip(INPUTS, (batch.ids, batch.mask), strict=True)))
    pairs = zip(found, wanted, strict=True)
    return float(max(np.abs(one - two.numpy()).max() for one, two in pairs))


def to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights in 8 bits by channel, activations in 8 bits by batch: integer arithmetic.

    The range of the activations is that of the whole batch, so a text's answer depends a little on
    the texts beside it (docs/text.md has how much).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.onnx", Path(folder) / "b.onnx"
        onnx.save(model, str(source))
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises a preparation that changes nothing here
        try:
            quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
        finally:
            root.setLevel(level)
        return strip_traces(onnx.load(str(target)))


def to_int8_weights(model: onnx.ModelProto, *, bits: int = 8) -> onnx.ModelProto:
    """Large matrices in 8 bits with a scale for each row, computed with in float32.

    As small a file as `to_int8` and slower, but nearly exact where activations have outliers: a
    plain int8 MPNet has a cosine of 0.65 to itself (dependencies.md). `runtime.text` puts the
    weights back once, when it opens the file.

    Args:
        bits: that are used of the 8: with 6, numbers from -31 to 31, the file is as large and packs
            to three quarters, in a wheel and in a repository.
    """
    most = 2 ** (bits - 1) - 1
    graph, nodes = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim != 2 or values.size < LARGE:
            continue
        name = tensor.name
        scale = np.maximum(np.abs(values).max(axis=1), 1e-12).astype(np.float32) / most
        packed = _round(values / scale[:, None])
        tensor.CopyFrom(numpy_helper.from_array(packed, f"{name}_int8"))
        nodes.append((name, scale))
    for name, scale in nodes:
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    casts = [
        helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=0)
        for name, _ in nodes
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *rest])
    return model


def _round(values: NDArray[np.float32]) -> NDArray[np.int8]:
    return np.clip(np.round(values), -127, 127).astype(np.int8)


def _as_it_is(model: onnx.ModelProto) -> onnx.ModelProto:
    return model


PRECISIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "float32": _as_it_is,
    "int8": to_int8,
    "int8-weights": to_int8_weights,
    "int6-weights": partial(to_int8_weights, bits=6),
}
"""Name -> what becomes of an exported graph."""
