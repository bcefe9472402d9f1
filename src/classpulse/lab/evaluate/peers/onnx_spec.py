"""Any expression network in ONNX as a peer, described by a small JSON file.

{
  "model": "emotion.onnx",            path, from the folder of this file
  "input": {
    "width": 64, "height": 64,        pixels
    "channels": 1,                    1 grey, 3 colour
    "scale": 0.00392156862745098,     optional, 1/255: the pixel is multiplied by it first
    "mean": [0.5], "std": [0.5],      then (x - mean) / std, one value per channel
    "layout": "nchw",                 or "nhwc"
    "order": "rgb"                    or "bgr"; optional
  },
  "labels": ["anger", "happy", "contempt", "neutral"],   of the columns, in their order
  "softmax": true,                    the network answers with logits
  "space": "fer2013-7",               optional: label space of the answers
  "renames": {"contempt": null},      optional: other names; null drops a column
  "output": "logits",                 optional where the network has a single output
  "sha256": "..."                     optional: refuse any other file
}
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, LabelError, ModelError
from classpulse.core.labels import FER2013_7, LabelSpace, get_space
from classpulse.core.records import Scores
from classpulse.lab.evaluate.peers.base import (
    CHUNK,
    PEERS,
    ask_foreign,
    check_images,
    chunks,
    match_columns,
    scores_by_name,
)
from classpulse.vision.image import to_grey, to_rgb

LAYOUTS = ("nchw", "nhwc")
ORDERS = ("rgb", "bgr")


@dataclass(frozen=True, slots=True)
class ForeignInput:
    """What a foreign network eats: (pixel * scale - mean) / std, pixel in 0..255.

    Args:
        width, height: pixels.
        channels: 1 (grey) or 3.
        mean, std: one value per channel.
        layout: nchw or nhwc.
        scale: of the pixel.
        order: rgb or bgr.
    """

    width: int
    height: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str
    scale: float = 1 / 255
    order: str = "rgb"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture, in the network's layout."""
        if self.layout == "nchw":
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(h, w) or (h, w, 3) uint8 -> float32 of `shape`; resized bilinearly, as peers do it."""
        colored = to_grey(image) if self.channels == 1 else to_rgb(image)
        sized = cv2.resize(colored, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        pixels = np.atleast_3d(np.asarray(sized)).astype(np.float32)  # (h, w, c)
        if self.order == "bgr":
            pixels = pixels[:, :, ::-1]
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        scaled = (pixels * np.float32(self.scale) - mean) / std
        turned = scaled.transpose(2, 0, 1) if self.layout == "nchw" else scaled
        return np.ascontiguousarray(turned, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class OnnxSpec:
    """A foreign ONNX network; the fields are those of the JSON file, paths resolved."""

    name: str
    model: Path
    input: ForeignInput
    labels: tuple[str, ...]
    softmax: bool
    space: LabelSpace = FER2013_7
    renames: dict[str, str | None] = field(default_factory=dict)
    output: str | None = None
    sha256: str | None = None


class OnnxPeer:
    """A `Peer` over an ONNX file and its spec.

    Args:
        spec: see `load_onnx_spec`.

    Raises:
        LabelError: a label has no place in the spec's space.
        InputError: the spec does not fit the file.
        ModelError: the file is missing, is not ONNX, or has another hash.
    """

    def __init__(self, spec: OnnxSpec) -> None:
        self.name = f"onnx:{spec.name}"
        self.space = spec.space
        self._spec = spec
        self._rule = match_columns(self.name, spec.labels, space=spec.space, renames=spec.renames)
        content = _read_model(spec)
        self.source = f"{spec.model.name}, sha256 {hashlib.sha256(content).hexdigest()[:12]}"
        self._session = _open_session(self.name, content)
        self._input, self._batch = _check_input(self._session, spec)
        self._output = _check_output(self._session, spec)

    def predict(self, images: NDArray[np.uint8]) -> Scores:
        """See `Peer.predict`."""
        check_images(images)
        parts = [np.zeros((0, len(self._rule.source)), dtype=np.float32)]
        for chunk in chunks(images, size=self._batch):
            batch = np.stack([self._spec.input.prepare(image) for image in chunk])
            answer = ask_foreign(self.name, self._run, batch)
            if answer.shape != (len(batch), len(self._rule.source)):
                raise ModelError(
                    f"peer '{self.name}' answered {answer.shape} for {len(batch)} pictures and "
                    f"{len(self._rule.source)} labels: {', '.join(self._rule.source.names)}"
                )
            parts.append(answer)
        return scores_by_name(np.concatenate(parts), self._rule, logits=self._spec.softmax)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = self._session.run([self._output], {self._input: batch})[0]
        return answer


@PEERS.register("onnx")
def open_onnx(argument: str | None = None) -> OnnxPeer:
    """Any ONNX network; `argument` is the path of its JSON spec."""
    if argument is None:
        raise InputError("peer 'onnx' needs a spec: give  onnx:PATH/TO/SPEC.json")
    return OnnxPeer(load_onnx_spec(Path(argument)))


def _read_model(spec: OnnxSpec) -> bytes:
    try:
        content = spec.model.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {spec.model}: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if spec.sha256 is not None and found != spec.sha256.lower():
        raise ModelError(f"{spec.model} has sha256 {found}, its spec says {spec.sha256}")
    return content


def _open_session(peer: str, content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ask_foreign(
        peer,
        lambda: onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]),
    )


def _check_input(session: Any, spec: OnnxSpec) -> tuple[str, int]:
    """Name of the network's input and how many pictures it takes at once."""
    inputs = session.get_inputs()
    wanted = spec.input.shape
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    fits = len(shape) == 4 and all(
        not isinstance(got, int) or got == want for got, want in zip(shape[1:], wanted, strict=True)
    )
    if not fits or inputs[0].type != "tensor(float)" or shape[0] == 0:
        found = "; ".join(f"{i.name} {i.shape} {i.type}" for i in inputs)
        raise InputError(
            f"{spec.model} takes {found}, its spec says (n, {', '.join(map(str, wanted))}) "
            f"tensor(float) in {spec.input.layout}: mend the spec"
        )
    if isinstance(shape[0], int) and shape[0] != 1:
        raise InputError(f"{spec.model} takes exactly {shape[0]} pictures; export it with n or 1")
    return inputs[0].name, 1 if shape[0] == 1 else CHUNK


def _check_output(session: Any, spec: OnnxSpec) -> str:
    names = [out.name for out in session.get_outputs()]
    if spec.output is None and len(names) == 1:
        return str(names[0])
    if spec.output is None or spec.output not in names:
        raise InputError(
            f'{spec.model} has the outputs {", ".join(names)}; the spec\'s "output" is '
            f"{spec.output!r}: name one of them"
        )
    return spec.output


# --- reading the JSON --------------------------------------------------------------------------

_FIELDS = {
    "model": str,
    "input": dict,
    "labels": list,
    "softmax": bool,
    "space": str,
    "renames": dict,
    "output": str,
    "sha256": str,
}
_REQUIRED = ("model", "input", "labels", "softmax")
_INPUT_FIELDS = {
    "width": int,
    "height": int,
    "channels": int,
    "mean": list,
    "std": list,
    "layout": str,
    "scale": float,
    "order": str,
}
_INPUT_REQUIRED = ("width", "height", "channels", "mean", "std", "layout")


def load_onnx_spec(path: Path) -> OnnxSpec:
    """Read and check a spec (see the module's text for its fields).

    Raises:
        InputError: the file is missing or malformed; the message names the field.
        LabelError: the label space is unknown.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    given = _checked(raw, _FIELDS, _REQUIRED, where=str(path))
    shape = _checked(given.pop("input"), _INPUT_FIELDS, _INPUT_REQUIRED, where=f"{path}: input")
    labels = given.pop("labels")
    if not all(isinstance(label, str) for label in labels):
        raise InputError(f"{path}: labels are texts, found {labels}")
    renames = given.pop("renames", {})
    if not all(new is None or isinstance(new, str) for new in renames.values()):
        raise InputError(f"{path}: renames map a label to a text or null, found {renames}")
    try:
        space = get_space(given.pop("space", FER2013_7.name))
    except LabelError as error:
        raise InputError(f"{path}: space: {error}") from None
    return OnnxSpec(
        name=path.stem,
        model=path.parent / given.pop("model"),
        input=_read_input(shape, where=f"{path}: input"),
        labels=tuple(labels),
        renames=renames,
        space=space,
        **given,
    )


def _checked(
    raw: Any, fields: dict[str, type], required: tuple[str, ...], *, where: str
) -> dict[str, Any]:
    """A copy of a JSON object whose fields are known, complete and of their types."""
    if not isinstance(raw, dict):
        raise InputError(f"{where}: expected an object, found {type(raw).__name__}")
    missing, unknown = set(required) - raw.keys(), raw.keys() - fields.keys()
    if missing or unknown:
        raise InputError(
            f"{where}: missing {sorted(missing)}, unknown {sorted(unknown)}; "
            f"allowed: {', '.join(fields)}"
        )
    for name, value in raw.items():
        kinds = (int, float) if fields[name] is float else (fields[name],)
        if not isinstance(value, kinds) or (isinstance(value, bool) and fields[name] is not bool):
            raise InputError(f"{where}: {name} is {value!r}, needs {fields[name].__name__}")
    return dict(raw)


def _read_input(raw: dict[str, Any], *, where: str) -> ForeignInput:
    for name in ("mean", "std"):
        raw[name] = tuple(raw[name])
        numbers = all(type(v) in (int, float) and math.isfinite(v) for v in raw[name])
        if not numbers or len(raw[name]) != raw["channels"]:
            raise InputError(
                f"{where}: {name} needs {raw['channels']} numbers, one per channel: {raw[name]}"
            )
    spec = ForeignInput(**raw)
    if min(spec.width, spec.height) < 1 or spec.channels not in (1, 3):
        raise InputError(
            f"{where}: {spec.width}x{spec.height}x{spec.channels}: width and height must be "
            "positive and channels 1 or 3"
        )
    if spec.layout not in LAYOUTS or spec.order not in ORDERS:
        raise InputError(
            f"{where}: layout '{spec.layout}' must be one of {', '.join(LAYOUTS)} and order "
            f"'{spec.order}' one of {', '.join(ORDERS)}"
        )
    if min(spec.std) <= 0 or not (math.isfinite(spec.scale) and spec.scale > 0):
        raise InputError(f"{where}: std {spec.std} and scale {spec.scale} must be positive")
    return spec
