"""Weights to begin with: of another run, or of an artefact where the run is gone.

The exporter folds each normalization into the convolution before it. What is left of it, a shift,
goes into an `AdoptedNorm`, which becomes an ordinary normalization with the first training batch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from classpulse.core.errors import ModelError
from classpulse.lab.models.adopted import AdoptedNorm
from classpulse.lab.models.base import FaceModel
from classpulse.runtime.model import OnnxModel

PREFIX, HALF, FOLDED = "network.", "_half", "_bias"  # of names in the graphs that we export


def take_trunk(model: FaceModel, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of these weights the network begins with: all of them, if its heads are among them.

    A network of which the last blocks were cut off has an embedding of another width: it takes
    what it still has of the others, and its heads stay as they were drawn. One that has a head
    more keeps what it drew for that head alone.

    Args:
        state: parameter name -> values.
    """
    own = model.state_dict()
    heads = {name: values for name, values in own.items() if name.startswith("heads.")}
    drawn = {
        name: values
        for name, values in heads.items()
        if name not in state or state[name].shape != values.shape
    }
    if not drawn:
        return dict(state)
    return {name: values for name, values in state.items() if name in own} | drawn


def load_artefact(model: FaceModel, folder: Path) -> None:
    """Fill a network with the weights of an artefact of ours, rounded as they are stored.

    One that is shorter than the artefact's takes what `take_trunk` says.

    Args:
        model: of the artefact's recipe: its kind, settings and heads.
        folder: with a `model.onnx` in float32 or float16.

    Raises:
        ModelError: the artefact is damaged or of another network, its weights are integers, or its
            normalizations were folded and those of the network cannot take that over.
    """
    OnnxModel(str(folder))  # refuses a file that is not the card's
    arrays = _read_arrays(folder / "model.onnx")
    filled = take_trunk(model, dict(_match(model, arrays)))
    state = {name: values for name, values in model.state_dict().items() if _is_weight(name)}
    wrong = [
        name
        for name, values in state.items()
        if name not in filled or filled[name].shape != values.shape
    ]
    if wrong:
        raise ModelError(
            f"{folder} cannot be trained further as this network: {len(wrong)} of {len(state)} "
            f"weights are missing or of another shape, the first is {wrong[0]}; give the artefact "
            "of a recipe with the same [network] and heads, in float32 or float16"
        )
    model.load_state_dict(filled, strict=False)
    for norm, _ in _folded(model, arrays):
        norm.adopt()


def _read_arrays(path: Path) -> dict[str, Tensor]:
    """Name in the network -> values; what the exporter added has names of its own."""
    return {
        tensor.name.removeprefix(PREFIX).removesuffix(HALF): torch.from_numpy(
            numpy_helper.to_array(tensor).astype("float32")
        )
        for tensor in onnx.load(str(path)).graph.initializer
        if tensor.name.startswith(PREFIX)
    }


def _match(model: FaceModel, arrays: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    names = {module: name for name, module in model.named_modules()}
    yield from ((name, arrays[name]) for name in model.state_dict() if name in arrays)
    for norm, shift in _folded(model, arrays):
        name = names[norm]
        yield f"{name}.weight", torch.ones_like(shift)
        yield f"{name}.bias", shift
        yield f"{name}.running_mean", torch.zeros_like(shift)
        yield f"{name}.running_var", torch.ones_like(shift) - norm.eps


def _folded(model: FaceModel, arrays: dict[str, Tensor]) -> Iterator[tuple[AdoptedNorm, Tensor]]:
    """Normalizations whose parameters are not there, with the shift that stands in their place."""
    before = ""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            before = name
        elif isinstance(module, AdoptedNorm) and f"{name}.weight" not in arrays:
            shift = arrays.get(f"{before}.weight{FOLDED}")
            if shift is not None:
                yield module, shift


def _is_weight(name: str) -> bool:
    return not name.endswith(("num_batches_tracked", ".adopted"))
