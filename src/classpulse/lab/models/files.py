"""Pretrained weights from a local file: NumPy, safetensors, or a torch state dict without pickle.

Nothing is downloaded. The formats of networks trained elsewhere are the only reason for this
module; our own artefacts are ONNX.
"""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from classpulse.core.errors import ModelError

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
}
_VARIABLES = {  # torch's name of a layer's array -> Keras'
    "weight": "kernel",
    "bias": "bias",
    "norm.weight": "gamma",
    "norm.bias": "beta",
    "norm.running_mean": "moving_mean",
    "norm.running_var": "moving_variance",
}


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Every named array of a ``.npz``, ``.safetensors``, ``.bin``, ``.pt`` or ``.pth`` file.

    Raises:
        ModelError: the file is missing, of another kind, damaged, or would run code when read.
    """
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    readers |= dict.fromkeys((".bin", ".pt", ".pth"), _read_torch)
    if path.suffix not in readers:
        raise ModelError(f"weights {path}: known files end in {', '.join(readers)}")
    try:
        return readers[path.suffix](path)
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, EOFError, RuntimeError) as error:
        raise ModelError(f"weights {path} are damaged: {error}") from None
    except (zipfile.BadZipFile, pickle.UnpicklingError) as error:
        raise ModelError(f"weights {path} cannot be read safely: {error}") from None


def describe_file(path: Path) -> str:
    """Name and hash, for a card: ``vgg19.npz (sha256 0123456789ab)``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{path.name} (sha256 {digest[:12]})"


def load_arrays(module: nn.Module, arrays: Mapping[str, Tensor], *, source: str) -> None:
    """Copy arrays into the parameters and buffers of the same names; every one must be given.

    Args:
        source: what to call the file in messages.

    Raises:
        ModelError: an array is missing or has another shape; the first five are named.
    """
    wanted = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    wrong = [f"{name} is missing" for name in wanted if name not in arrays]
    wrong += [
        f"{name} is {tuple(arrays[name].shape)}, needs {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in arrays and arrays[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ModelError(f"weights {source} do not fit: {'; '.join(wrong[:5])}{more}")
    module.load_state_dict({name: arrays[name] for name in wanted}, strict=False)


def load_keras(module: nn.Module, path: Path) -> None:
    """Fill a backbone whose layers have Keras' names from a file with Keras' arrays.

    The file's names are ``layer/variable``: ``block1_conv1/kernel`` (h, w, in, out),
    ``block1_conv1/bias``, ``conv2_block1_1_bn/gamma``, ``/beta``, ``/moving_mean``,
    ``/moving_variance``. In Keras: ``np.savez(path, **{f"{layer.name}/{v.name}": v.numpy() for
    layer in model.layers for v in layer.weights})`` (Keras 2 adds ``:0`` and repeats the layer in
    ``v.name``: keep the last part). Other arrays in the file are ignored.

    Raises:
        ModelError: see `read_arrays` and `load_arrays`.
    """
    given = read_arrays(path)
    arrays = {}
    for name in module.state_dict():
        kernel = given.get(keras_name(module, name))
        if kernel is not None:
            # (h, w, in, out) -> (out, in, h, w)
            arrays[name] = kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel
    load_arrays(module, arrays, source=path.name)


def keras_name(module: nn.Module, name: str) -> str:
    """Keras' name of an entry of the state dict: conv4_block1.1_bn.weight -> ..1_bn/gamma."""
    layer, _, variable = name.rpartition(".")
    norm = isinstance(module.get_submodule(layer), nn.BatchNorm2d)
    known = _VARIABLES.get(f"norm.{variable}" if norm else variable, variable)
    return f"{layer.replace('.', '_')}/{known}"


def _read_npz(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def _read_torch(path: Path) -> dict[str, Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise ValueError(f"found {type(state).__name__}, needs names and arrays")
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """8 bytes with the length of a JSON header, the header, the arrays; little endian."""
    data = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(data[:8], "little")
    if begin > len(data):
        raise ValueError("the header is longer than the file")
    header = json.loads(data[8:begin])
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = (begin + offset for offset in entry["data_offsets"])
        dtype = _DTYPES[entry["dtype"]]
        count = (last - first) // dtype.itemsize
        if count != np.prod(entry["shape"], dtype=int) or last > len(data):
            raise ValueError(f"{name} does not lie where the header says")
        flat = torch.frombuffer(data, dtype=dtype, count=count, offset=first)
        arrays[name] = flat.reshape(entry["shape"]).clone()
    return arrays
