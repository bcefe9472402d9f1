"""What every artefact at run time shares: its files checked by hash, one session, its answers."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Card, Head
from classpulse.core.errors import ModelError, ShapeError
from classpulse.core.records import Scores


def read_checked(path: Path, sha256: str, *, card: str) -> bytes:
    """The bytes of a file that a card describes.

    Args:
        sha256: what the card says.
        card: its name, for messages.

    Raises:
        ModelError: the file is missing, cannot be read, or is another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}; an artefact is model.onnx + card.json"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path} is not the file that card '{card}' describes (sha256 {found[:12]}..., "
            f"card says {sha256[:12]}...): restore it or export the model again"
        )
    return content


def open_session(path: Path, card: Card, *, threads: int, unpack: bool = False) -> Any:
    """An onnxruntime session of the file that the card describes.

    Args:
        unpack: put weights that are stored in 8 bits back into float32 once, when it is opened, and
            not in every run. A network that computes in 8 bits between such steps would lose that.

    Raises:
        ModelError: as `read_checked`, or it is no ONNX file, or lacks an output of the card.
    """
    content = read_checked(path, card.sha256, card=card.name)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # a thread that spins while it waits takes the core that another stage needs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    if unpack:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own pybind types, all plain Exceptions
        raise ModelError(
            f"{path} is not a usable ONNX file: {str(error).splitlines()[0]}; export it again"
        ) from None
    offered = {out.name for out in session.get_outputs()}
    missing = {head.output for head in card.heads} - offered
    if missing:
        raise ModelError(
            f"model '{card.name}' lacks the outputs {sorted(missing)}; it has "
            f"{sorted(offered)}: export it again"
        )
    return session


def run_session(
    session: Any, card: Card, inputs: Mapping[str, NDArray[Any]]
) -> list[NDArray[np.float32]]:
    """What the network answers, one array for each head of the card, in that order.

    Raises:
        ModelError: the network failed.
    """
    try:
        outputs: list[Any] = session.run([head.output for head in card.heads], dict(inputs))
    except Exception as error:  # onnxruntime raises its own pybind types
        shapes = ", ".join(f"{x.shape} {x.dtype}" for x in inputs.values())
        raise ModelError(
            f"model '{card.name}' failed on {shapes}: "
            f"{str(error).splitlines()[0]}; its file does not do what its card says, "
            "export it again"
        ) from None
    return outputs


def build_scores(
    card: Card, outputs: Sequence[NDArray[np.float32]], *, rows: int, of: str
) -> dict[str, Scores]:
    """Head name -> `Scores` of what the network answered.

    Args:
        rows: how many things it was asked about.
        of: what they are, for messages: "faces".

    Raises:
        ModelError: NaN, no distribution, or another number of rows.
    """
    return {
        head.name: _scores(probs, head, card.name, rows=rows, of=of)
        for head, probs in zip(card.heads, outputs, strict=True)
    }


def no_scores(card: Card) -> dict[str, Scores]:
    """The answer about nothing: no rows for each head."""
    return {
        head.name: Scores(
            np.zeros((0, len(head.label_space)), dtype=np.float32), head.label_space, head.exclusive
        )
        for head in card.heads
    }


def _scores(probs: NDArray[np.float32], head: Head, card: str, *, rows: int, of: str) -> Scores:
    try:
        scores = Scores(probs, head.label_space, head.exclusive)
        if len(scores) != rows:
            raise ShapeError(f"{len(scores)} rows for {rows} {of}")
        return scores
    except ShapeError as error:
        raise ModelError(
            f"model '{card}', head '{head.name}' gave an impossible answer: {error}. "
            "Nothing was recorded for it; the artefact is broken, export it again"
        ) from None
