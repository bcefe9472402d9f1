"""Integer arithmetic for a trained network: 8-bit weights and activations, fitted on pictures.

Static quantization with one scale per filter (Jacob et al. 2018), written as QuantizeLinear and
DequantizeLinear nodes, which onnxruntime fuses into integer kernels. Rounded filters answer a
little too much or too little on average; their biases take that back (Nagel et al. 2019, "Data-Free
Quantization through Weight Equalization and Bias Correction", section 4.2, with means measured on
pictures): the flagship at one place of the face loses .0 instead of 1.4 points (LOG 2026-11-30).
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

CALIBRATION = 512  # pictures that the ranges of the activations are taken from
BATCH = 32
QUANTIZED = ("Conv", "Add", "Relu", "Clip", "MaxPool", "AveragePool")  # heads and softmax are not
FILTERED = ("Conv",)  # have filters, one for each output


def quantize(model: onnx.ModelProto, faces: NDArray[np.float32]) -> onnx.ModelProto:
    """The graph with integer weights and activations; its inputs and outputs stay float32.

    Args:
        model: an exported network with float32 weights and the input ``faces``.
        faces: (n, c, h, w) prepared training pictures, some hundred.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.getLogger().addFilter(_is_no_advice)  # it recommends the step that is done here
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            whole, ready, done = (folder / f"{step}.onnx" for step in ("whole", "ready", "done"))
            onnx.save(model, whole)
            quant_pre_process(str(whole), str(ready), skip_symbolic_shape=True)  # folds the norms
            exact = _with_biases(onnx.load(ready))
            onnx.save(exact, ready)
            quantize_static(
                str(ready),
                str(done),
                _reader(faces),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTIZED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                # 7 of the 8 bits: without VNNI two products are added in 16 bits, and 8 overflow
                reduce_range=True,
            )
            return _correct_biases(onnx.load(done), exact, faces)
    finally:
        logging.getLogger().removeFilter(_is_no_advice)


def _with_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in which every convolution has a bias, of zeros if it had none."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) == 2:
            zeros = np.zeros(weights[node.input[1]].dims[0], np.float32)
            node.input.append(f"{node.input[1]}_zeros")
            model.graph.initializer.append(numpy_helper.from_array(zeros, node.input[2]))
    return model


def _correct_biases(
    model: onnx.ModelProto, exact: onnx.ModelProto, faces: NDArray[np.float32]
) -> onnx.ModelProto:
    """Add to each bias what its rounded filter lacks on the mean input.

    Args:
        model: `exact` in integers, its nodes under the same names; changed in place.
    """
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    floats = {tensor.name: tensor for tensor in exact.graph.initializer}
    sources = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    rounded = {n.name: n for n in model.graph.node if n.op_type in FILTERED}
    means = _mean_inputs(exact, faces)

    def read(name: str) -> NDArray[Any]:
        return numpy_helper.to_array(stored[name])

    for node in (n for n in exact.graph.node if n.op_type in FILTERED):
        filters, bias = (sources[name] for name in rounded[node.name].input[1:3])
        values, step = (read(name) for name in filters.input[:2])  # (d, c / groups, ...), (d,)
        kept = values * step.reshape(-1, *[1] * (values.ndim - 1))
        lacking = (numpy_helper.to_array(floats[node.input[1]]) - kept).reshape(*kept.shape[:2], -1)
        mean = means[node.input[0]].reshape(-1, kept.shape[1])  # (groups, c / groups)
        inputs = mean.repeat(len(kept) // len(mean), axis=0)  # (d, c / groups)
        missing = (lacking.sum(axis=2) * inputs).sum(axis=1)  # (d,)
        moved = read(bias.input[0]) + np.round(missing / read(bias.input[1])).astype(np.int32)
        stored[bias.input[0]].CopyFrom(numpy_helper.from_array(moved, bias.input[0]))
    return model


def _mean_inputs(
    model: onnx.ModelProto, faces: NDArray[np.float32]
) -> dict[str, NDArray[np.float64]]:
    """Name of what a node with filters reads -> mean of each channel (c,) over faces and places."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = list(dict.fromkeys(n.input[0] for n in model.graph.node if n.op_type in FILTERED))
    for name in set(names) - {"faces"}:
        watched.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    outputs = [one.name for one in session.get_outputs()]
    batches = [faces[i : i + BATCH] for i in range(0, len(faces), BATCH)]
    sums: dict[str, NDArray[np.float64]] = {}
    for batch in batches:
        found = dict(zip(outputs, session.run(outputs, {"faces": batch}), strict=True))
        for name in names:
            x = {"faces": batch, **found}[name]
            # a mean over rows, which inside the network can be more than faces: mirror images
            mean = x.mean(axis=(0, *range(2, x.ndim)), dtype=np.float64)
            sums[name] = sums.get(name, 0.0) + mean * len(batch)
    return {name: total / len(faces) for name, total in sums.items()}


def _is_no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


def _reader(faces: NDArray[np.float32]) -> Any:
    """What onnxruntime draws its calibration batches from."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left: Iterator[NDArray[np.float32]] = (
                faces[i : i + BATCH] for i in range(0, len(faces), BATCH)
            )

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self.left, None)
            return None if batch is None else {"faces": batch}

    return Reader()
