"""The weights in a file of dlib, without dlib.

dlib writes the layers from the input to the output; each begins with its name and version, then its
weights: integers as a byte with their length and sign and as many little-endian bytes, tensors as
version 2, four sizes and float32 values (dlib 19, `serialize.h` and `tensor.h`).
"""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classpulse.core.errors import ModelError

PACKAGE = "face_recognition_models"
FILE = "dlib_face_recognition_resnet_model_v1.dat"
INSTALL = "pip install face-recognition-models==0.3.0"

_LAYERS = re.compile(rb"con_4|affine_")
_VERSION = 2


def find_weights(given: str) -> Path:
    """A path as it is, or the file inside the package `PACKAGE` when that is what is given.

    The package is not imported: its code needs setuptools, its file does not.

    Raises:
        ModelError: the package is not installed.
    """
    if given != PACKAGE:
        return Path(given)
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"weights '{PACKAGE}': the package is not installed: {INSTALL}, or give a path, "
            "--set network.weights=PATH"
        )
    return Path(spec.submodule_search_locations[0]) / "models" / FILE


def read_dlib(path: Path) -> list[Tensor]:
    """Flat float32 weights of every convolution (filters, then biases) and every affine layer
    (scales, then shifts), from the input to the output.

    Raises:
        ModelError: the file is missing, damaged, or has no such layers.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror or error}") from None
    try:
        tensors = [_read_tensor(data, found.end()) for found in _LAYERS.finditer(data)]
    except ValueError as error:
        raise ModelError(f"weights {path} are damaged: {error}") from None
    if not tensors:
        raise ModelError(f"weights {path}: no layers of a dlib network, needs a .dat file of one")
    return tensors


def _read_tensor(data: bytes, at: int) -> Tensor:
    version, at = _read_integer(data, at)
    if version != _VERSION:
        raise ValueError(f"a tensor of version {version}, known is {_VERSION}")
    count = 1
    for _ in range(4):
        size, at = _read_integer(data, at)
        count *= size
    if count < 1 or at + 4 * count > len(data):
        raise ValueError(f"a tensor of {count} values does not lie in the file")
    return torch.from_numpy(np.frombuffer(data, "<f4", count, at).astype(np.float32))


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    """The integer that begins at a byte, and where it ends."""
    if at >= len(data):
        raise ValueError("it ends in the middle of a layer")
    n = data[at] & 0x0F
    if not 1 <= n <= 8 or data[at] & 0x70:
        raise ValueError(f"no integer at byte {at}")
    value = int.from_bytes(data[at + 1 : at + 1 + n], "little")
    return (-value if data[at] & 0x80 else value), at + 1 + n
