"""ONNX artefacts at run time: batches in, `Scores` out."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import ModelCard, load_card
from classpulse.core.defaults import MODEL
from classpulse.core.errors import ModelError, ShapeError
from classpulse.core.records import Scores
from classpulse.runtime.session import build_scores, no_scores, open_session, run_session


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

    def __init__(self, name_or_path: str = MODEL, *, threads: int = 1) -> None:
        folder = find_model(name_or_path)
        self.card: ModelCard = load_card(folder / "card.json")
        self._session = open_session(folder / "model.onnx", self.card, threads=threads)
        self._input: str = self._session.get_inputs()[0].name

    def predict(self, batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        """Calibrated probabilities of a batch.

        Args:
            batch: (n, c, h, w) float32 faces from `vision.image.prepare` with the card's input.

        Returns:
            Head name -> `Scores` with n rows.

        Raises:
            ShapeError: the batch does not have the card's shape, is not float32, or has values
                that are no numbers.
            ModelError: the network answered with NaN or something that is no distribution.
        """
        spec = self.card.input
        if batch.ndim != 4 or batch.shape[1:] != (spec.channels, spec.height, spec.width):
            wanted = f"(n, {spec.channels}, {spec.height}, {spec.width})"
            raise ShapeError(f"model '{self.card.name}' takes {wanted}, not {batch.shape}")
        if batch.dtype != np.float32 or not np.isfinite(batch).all():
            raise ShapeError(
                f"model '{self.card.name}' takes finite float32 values from vision.image.prepare, "
                f"not {batch.dtype}{' with NaN or infinity' if batch.dtype == np.float32 else ''}"
            )
        if not len(batch):
            return no_scores(self.card)
        outputs = run_session(self._session, self.card, {self._input: batch})
        return build_scores(self.card, outputs, rows=len(batch), of="faces")
