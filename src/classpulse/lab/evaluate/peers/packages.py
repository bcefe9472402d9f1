"""Peers that are asked through their package's own documented call.

`deepface`, `hsemotion-onnx` and `emotiefflib` fetch their weights from the internet on first use.
ClassPulse does not go online on its own, so the weight file must already be where the package
keeps it; the error says which line of the package fetches it.
"""

import os
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ModelError
from classpulse.core.labels import FER2013_7, Relabel
from classpulse.core.records import Scores
from classpulse.lab.evaluate.peers.base import (
    PEERS,
    ask_foreign,
    check_answer,
    check_images,
    chunks,
    import_foreign,
    match_columns,
    no_argument,
    scores_by_name,
)
from classpulse.vision.image import to_rgb

AFFECTNET_MODEL = "enet_b0_8_best_vgaf"  # the default of both packages of HSE
AFFECTNET_MODELS = (
    AFFECTNET_MODEL,
    "enet_b0_8_best_afew",
    "enet_b2_8",
    "enet_b0_8_va_mtl",
    "enet_b2_7",
)
EMOTIEFF_MODELS = (*AFFECTNET_MODELS, "mbf_va_mtl", "mobilevit_va_mtl")
VALENCE_AROUSAL = ("valence", "arousal")  # last two columns of the *_mtl networks

_DROPPED: dict[str, str | None] = dict.fromkeys(("contempt", *VALENCE_AROUSAL))


class AffectNetPeer:
    """A `Peer` over one of the two packages of Savchenko's AffectNet networks.

    Args:
        name: of the peer.
        source: package, version and network.
        labels: index -> name of the emotion columns, as the package's recognizer states them.
        extra: the network has valence and arousal after them, which are dropped.
        ask: list of (h, w, 3) RGB uint8 -> (n, k) logits.
    """

    space = FER2013_7

    def __init__(
        self,
        name: str,
        *,
        source: str,
        labels: dict[int, str],
        extra: bool,
        ask: Callable[[list[NDArray[np.uint8]]], Any],
    ) -> None:
        self.name = name
        self.source = source
        self._ask = ask
        names = [labels[i] for i in range(len(labels))] + list(VALENCE_AROUSAL if extra else ())
        drop = {n: None for n in names if n.lower() in _DROPPED}
        self._rule: Relabel = match_columns(name, names, renames=drop)

    def predict(self, images: NDArray[np.uint8]) -> Scores:
        """See `Peer.predict`; contempt is dropped before the softmax."""
        check_images(images)
        parts = [np.zeros((0, len(self._rule.source)), dtype=np.float32)]
        for chunk in chunks(images):
            faces = [np.ascontiguousarray(to_rgb(image)) for image in chunk]
            answer = np.array(ask_foreign(self.name, self._ask, faces))
            parts.append(check_answer(self.name, answer, len(faces), len(self._rule.source)))
        return scores_by_name(np.concatenate(parts), self._rule, logits=True)


@PEERS.register("hsemotion-onnx")
def open_hsemotion_onnx(argument: str | None = None) -> AffectNetPeer:
    """`hsemotion-onnx` (Savchenko 2022), trained on AffectNet; `argument` names the network."""
    peer, install = "hsemotion-onnx", "pip install hsemotion-onnx==0.3.1"
    model = _known(peer, argument or AFFECTNET_MODEL, AFFECTNET_MODELS)
    module = import_foreign("hsemotion_onnx.facial_emotions", peer=peer, install=install)
    fetch = (
        'python -c "from hsemotion_onnx.facial_emotions import HSEmotionRecognizer as R; '
        f"R('{model}')\""
    )
    _need_weights(peer, Path.home() / ".hsemotion" / f"{model}.onnx", fetch)
    recognizer = ask_foreign(peer, lambda: module.HSEmotionRecognizer(model_name=model))
    return AffectNetPeer(
        f"{peer}:{model}",
        source=f"{_installed(peer)}, {model}.onnx",
        labels=recognizer.idx_to_class,
        extra=recognizer.is_mtl,
        ask=lambda faces: recognizer.predict_multi_emotions(faces, logits=True)[1],
    )


@PEERS.register("emotiefflib")
def open_emotiefflib(argument: str | None = None) -> AffectNetPeer:
    """`emotiefflib` with its ONNX engine; `argument` names the network."""
    peer, install = "emotiefflib", "pip install emotiefflib==1.1.1"
    model = _known(peer, argument or AFFECTNET_MODEL, EMOTIEFF_MODELS)
    module = import_foreign("emotiefflib.facial_analysis", peer=peer, install=install)
    fetch = (
        'python -c "from emotiefflib.facial_analysis import EmotiEffLibRecognizer as R; '
        f"R(engine='onnx', model_name='{model}')\""
    )
    _need_weights(peer, Path.home() / ".emotiefflib" / f"{model}.onnx", fetch)
    recognizer = ask_foreign(
        peer, lambda: module.EmotiEffLibRecognizer(engine="onnx", model_name=model)
    )
    return AffectNetPeer(
        f"{peer}:{model}",
        source=f"{_installed(peer)}, {model}.onnx",
        labels=recognizer.idx_to_emotion_class,
        extra=recognizer.is_mtl,
        ask=lambda faces: recognizer.predict_emotions(faces, logits=True)[1],
    )


class DeepFacePeer:
    """A `Peer` over `DeepFace.analyze`, which names its answers, one picture at a time.

    Args:
        module: `deepface.DeepFace`.
        source: package and engine.
    """

    space = FER2013_7
    name = "deepface"

    def __init__(self, module: Any, *, source: str) -> None:
        self.source = source
        self._analyze = module.analyze

    def predict(self, images: NDArray[np.uint8]) -> Scores:
        """See `Peer.predict`."""
        check_images(images)
        rows = [ask_foreign(self.name, self._emotions, image) for image in images]
        names = tuple(rows[0]) if rows else self.space.names
        if any(row.keys() != set(names) for row in rows):
            raise ModelError("peer 'deepface' names other emotions from picture to picture")
        rule = match_columns(self.name, names)
        percent = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
        return scores_by_name(percent.reshape(-1, len(names)) / 100, rule, logits=False)

    def _emotions(self, image: NDArray[np.uint8]) -> dict[str, float]:
        """Emotion name -> percent; the crop is the face, so its detector is skipped."""
        (found,) = self._analyze(
            img_path=np.ascontiguousarray(to_rgb(image)[:, :, ::-1]),  # DeepFace takes BGR
            actions=("emotion",),
            enforce_detection=False,
            detector_backend="skip",
            align=False,
            silent=True,
        )
        return dict(found["emotion"])


DEEPFACE_SUFFIXES = {"tensorflow": ".h5", "pytorch": ".pth", "onnx": ".onnx"}


@PEERS.register("deepface")
def open_deepface(argument: str | None = None) -> DeepFacePeer:
    """`deepface` (Serengil & Ozpinar 2021): a small network trained on FER2013."""
    no_argument("deepface", argument)
    peer, install = "deepface", "pip install deepface==0.0.103"
    module = import_foreign("deepface.DeepFace", peer=peer, install=install)
    engines = import_foreign("deepface.commons.backend_utils", peer=peer, install=install)
    engine = ask_foreign(peer, engines.get_backend_engine)
    if engine not in DEEPFACE_SUFFIXES:
        raise InputError(f"deepface runs on '{engine}', not on: {', '.join(DEEPFACE_SUFFIXES)}")
    fetch = (
        'python -c "from deepface import DeepFace as D; '
        "D.build_model('Emotion', task='facial_attribute')\""
    )
    home = Path(os.environ.get("DEEPFACE_HOME") or Path.home())
    weights = (
        home / ".deepface/weights" / f"facial_expression_model_weights{DEEPFACE_SUFFIXES[engine]}"
    )
    _need_weights(peer, weights, fetch)
    return DeepFacePeer(module, source=f"{_installed(peer)} on {engine}, {weights.name}")


def _known(peer: str, model: str, models: Sequence[str]) -> str:
    if model not in models:
        raise InputError(f"peer '{peer}' has no network '{model}'; it has: {', '.join(models)}")
    return model


def _installed(package: str) -> str:
    """Package and version, to be printed with numbers."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} (version unknown)"


def _need_weights(peer: str, path: Path, fetch: str) -> None:
    if not path.is_file():
        raise InputError(
            f"peer '{peer}' has no weights at {path}, and ClassPulse does not download: "
            f"fetch them once, online, by  {fetch}"
        )
