"""ONNX artefacts at run time: batches in, `Scores` out."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import ModelCard, load_card
from classpulse.core.errors import ModelError, ShapeError
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Scores

DEFAULT_MODEL = "face-base"


def shipped_models() -> dict[str, Path]:
    """Name -> folder of the artefacts inside the package, in alphabetical order."""
    root = Path(str(resources.files("classpulse") / "weights"))
    return {path.parent.name: path.parent for path in sorted(root.glob("*/card.json"))}


def find_model(name_or_path: str) -> Path:
    """Folder of a shipped artefact by name, or of any artefact by path.

    Raises:
        ModelError: neither a shipped name (they are listed) nor a folder with a card.
    """
    shipped = shipped_models()
    if name_or_path in shipped:
        return shipped[name_or_path]
    folder = Path(name_or_path)
    if (folder / "card.json").is_file():
        return folder
    raise ModelError(
        f"no model '{name_or_path}': give a folder with card.json and model.onnx, "
        f"or one of: {', '.join(shipped)}"
    )


class OnnxModel:
    """A network with its card; refuses files and answers that do not match it.

    Args:
        name_or_path: shipped name or artefact folder.
        threads: of the runtime.

    Raises:
        ModelError: the card is missing or malformed, the file is missing, does not have the
            card's hash, is not ONNX, or lacks an output that the card names.
    """

    def __init__(self, name_or_path: str = DEFAULT_MODEL, *, threads: int = 1) -> None:
        folder = find_model(name_or_path)
        self.card: ModelCard = load_card(folder / "card.json")
        self._session = _open_session(folder / "model.onnx", self.card, threads)
        self._input: str = self._session.get_inputs()[0].name
        self._outputs = [head.output for head in self.card.heads]
        offered = {out.name for out in self._session.get_outputs()}
        missing = set(self._outputs) - offered
        if missing:
            raise ModelError(
                f"model '{self.card.name}' lacks the outputs {sorted(missing)}; it has "
                f"{sorted(offered)}: export it again"
            )

    def predict(self, batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        """Calibrated probabilities of a batch.

        Args:
            batch: (n, c, h, w) float32 faces from `vision.image.prepare` with the card's input.

        Returns:
            Head name -> `Scores` with n rows.

        Raises:
            ShapeError: the batch does not have the card's shape.
            ModelError: the network answered with NaN or something that is no distribution.
        """
        spec = self.card.input
        if batch.ndim != 4 or batch.shape[1:] != (spec.channels, spec.height, spec.width):
            wanted = f"(n, {spec.channels}, {spec.height}, {spec.width})"
            raise ShapeError(f"model '{self.card.name}' takes {wanted}, not {batch.shape}")
        if not len(batch):
            return {head.name: _no_scores(head.label_space) for head in self.card.heads}
        outputs = self._run(batch)
        return {
            head.name: _scores(probs, head.name, self.card, rows=len(batch))
            for head, probs in zip(self.card.heads, outputs, strict=True)
        }

    def _run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            outputs: list[Any] = self._session.run(self._outputs, {self._input: batch})
        except Exception as error:  # onnxruntime raises its own pybind types
            raise ModelError(
                f"model '{self.card.name}' failed on {batch.shape} {batch.dtype}: "
                f"{str(error).splitlines()[0]}; its file does not do what its card says, "
                "export it again"
            ) from None
        return outputs


def _no_scores(space: LabelSpace) -> Scores:
    return Scores(np.zeros((0, len(space)), dtype=np.float32), space)


def _open_session(path: Path, card: ModelCard, threads: int) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}; an artefact is model.onnx + card.json"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{path} is not the file that card '{card.name}' describes (sha256 {found[:12]}..., "
            f"card says {card.sha256[:12]}...): restore it or export the model again"
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own pybind types, all plain Exceptions
        raise ModelError(
            f"{path} is not a usable ONNX file: {str(error).splitlines()[0]}; export it again"
        ) from None


def _scores(probs: NDArray[np.float32], head: str, card: ModelCard, *, rows: int) -> Scores:
    try:
        scores = Scores(probs, card.head(head).label_space)
        if len(scores) != rows:
            raise ShapeError(f"{len(scores)} rows for {rows} faces")
        return scores
    except ShapeError as error:
        raise ModelError(
            f"model '{card.name}', head '{head}' gave an impossible answer: {error}. "
            "Nothing was recorded for it; the artefact is broken, export it again"
        ) from None
