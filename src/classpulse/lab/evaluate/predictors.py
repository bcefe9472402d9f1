"""Everything that can be evaluated on faces, behind one protocol.

A shipped model or an artefact folder, an ensemble of others, a peer from its own package, and any
of them averaged over several views of a picture: all take crops and give scores.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.build import build_dataclass
from classpulse.core.errors import InputError
from classpulse.core.labels import RELABELS, LabelSpace
from classpulse.core.records import Scores
from classpulse.lab.evaluate.calibration import Calibration, calibration_of
from classpulse.lab.evaluate.peers import open_peer
from classpulse.runtime.model import OnnxModel
from classpulse.vision.image import prepare

BATCH = 64
PEER = "peer:"
CROP_SHARE = 44 / 48  # of the side, as in ten-crop tests of FER2013 (Pramerdorfer and Kampel 2016)
SHIFT = 2  # pixels, of a picture that is 48 wide
SCALES = (0.92, 1.0, 1.08)  # the face's size in the picture, times

Images = NDArray[np.uint8]
Found = tuple[Scores, ...]


class FacePredictor(Protocol):
    """What the evaluation asks.

    Attributes:
        name: as the user wrote it.
        source: what exactly answers (file hash, package and version), printed with numbers.
        calibrations: label space name -> calibration that is inside the scores already.
    """

    name: str
    source: str
    calibrations: Mapping[str, Calibration]

    def predict(self, images: Images) -> Found:
        """Scores of crops (n, h, w) grey or (n, h, w, 3) RGB uint8, one for each label space."""
        ...


def open_predictor(spec: str, *, views: str = "none", threads: int = 2) -> FacePredictor:
    """A predictor by what a user writes.

    Args:
        spec: shipped name, artefact folder, ``peer:NAME`` or an ensemble's ``.json`` file.
        views: name in `VIEWS`; probabilities are averaged over them.
        threads: of an artefact.

    Raises:
        InputError: unknown views, a peer that is not installed, or a malformed ensemble.
        ModelError: the artefact cannot be used.
    """
    if views not in VIEWS:
        raise InputError(f"unknown views '{views}'; known: {', '.join(VIEWS)}")
    opened: FacePredictor
    if spec.startswith(PEER):
        opened = PeerPredictor(spec)
    elif spec.endswith(".json"):
        opened = load_ensemble(Path(spec), threads=threads)
    else:
        opened = Artefact(spec, threads=threads)
    return opened if views == "none" else Averaged(opened, views)


def scores_in(found: Found, space: LabelSpace) -> Scores | None:
    """The scores in `space`: those of a head that has it, else renamed by a rule; None without one.

    A row of which a rule keeps nothing is uniform: it says nothing about what is left.
    """
    for scores in found:
        if scores.space == space:
            return scores
    ways = [
        (scores, rule)
        for scores in found
        for rule in RELABELS.values()
        if rule.source == scores.space and rule.target == space
    ]
    if not ways:
        return None
    # the head that knows most of the labels: FER+ has the contempt of CK+, FER2013 has not
    scores, rule = max(ways, key=lambda way: int((way[1].matrix.sum(axis=0) > 0).sum()))
    probs = np.nan_to_num(rule.apply(scores.probs), nan=1 / len(space))
    return Scores(probs.astype(np.float32), space)


class Artefact:
    """An artefact as it is shipped: the same `prepare` and network as in the room."""

    def __init__(self, spec: str, *, threads: int = 2) -> None:
        self.model = OnnxModel(spec, threads=threads)
        card = self.model.card
        self.name = card.name
        self.source = f"sha256 {card.sha256[:12]}, {card.parameters:,} parameters"
        self.calibrations: Mapping[str, Calibration] = {
            head.space: calibration_of(head) for head in card.heads
        }

    def predict(self, images: Images) -> Found:
        return tuple(predict_heads(self.model, images).values())


def predict_heads(model: OnnxModel, images: Images) -> dict[str, Scores]:
    """Scores of every head of an artefact, {head: n rows}, in batches."""
    parts: dict[str, list[Scores]] = {}
    for start in range(0, len(images), BATCH):
        crops = images[start : start + BATCH]
        batch = np.stack([prepare(crop, model.card.input) for crop in crops])
        for head, scores in model.predict(batch).items():
            parts.setdefault(head, []).append(scores)
    return {
        head: Scores(np.concatenate([s.probs for s in chunks]), chunks[0].space)
        for head, chunks in parts.items()
    }


class PeerPredictor:
    """A foreign model from its own package."""

    def __init__(self, spec: str) -> None:
        self._peer = open_peer(spec.removeprefix(PEER))
        self.name, self.source = spec, self._peer.source
        self.calibrations: Mapping[str, Calibration] = {}

    def predict(self, images: Images) -> Found:
        return (self._peer.predict(images),)


# --- ensembles ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """One voice of an ensemble: what `open_predictor` takes, and its weight."""

    model: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class EnsembleSpec:
    """The content of an ensemble's file: a name and at least two members."""

    name: str
    members: tuple[Member, ...] = field(default_factory=tuple)


def load_ensemble(path: Path, *, threads: int = 2) -> "Ensemble":
    """An ensemble from ``{"name": ..., "members": [{"model": ..., "weight": ...}, ...]}``.

    Raises:
        InputError: the file cannot be read, is not JSON, has fewer than two members, an unknown
            key, or a weight that is not above 0.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None
    where = f"ensemble {path}"
    spec: EnsembleSpec = build_dataclass(
        EnsembleSpec, raw, where=where, error=InputError, partial=True
    )
    if len(spec.members) < 2 or not all(0 < m.weight < float("inf") for m in spec.members):
        raise InputError(f"{where} needs two members or more, each with a weight above 0")
    if any(m.model.endswith(".json") for m in spec.members):
        raise InputError(f"{where}: a member cannot be an ensemble itself; list its members")
    return Ensemble(spec, [open_predictor(m.model, threads=threads) for m in spec.members])


class Ensemble:
    """The weighted mean of the members' probabilities in every label space that all of them have.

    Soft voting; the weights are scaled to sum to 1.

    Raises:
        InputError: the members share no label space.
    """

    def __init__(self, spec: EnsembleSpec, members: Sequence[FacePredictor]) -> None:
        weights = np.array([member.weight for member in spec.members], dtype=np.float64)
        self._weights, self._members = weights / weights.sum(), members
        self.name = spec.name
        voices = zip(members, self._weights, strict=True)
        self.source = "mean of " + ", ".join(f"{m.name} x {share:.3f}" for m, share in voices)
        self.calibrations: Mapping[str, Calibration] = {}

    def predict(self, images: Images) -> Found:
        found = [member.predict(images) for member in self._members]
        spaces = [scores.space for scores in found[0]]
        means = [mean for space in spaces if (mean := self._mean(found, space)) is not None]
        if not means:
            raise InputError(f"the members of '{self.name}' share no label space: {self.source}")
        return tuple(means)

    def _mean(self, found: Sequence[Found], space: LabelSpace) -> Scores | None:
        voices = [scores_in(one, space) for one in found]
        known = [scores.probs for scores in voices if scores is not None]
        if len(known) < len(voices):
            return None
        return Scores(np.tensordot(self._weights, np.stack(known), 1).astype(np.float32), space)


# --- several views of a picture ----------------------------------------------------------------


def _mirror(images: Images) -> Images:
    return np.ascontiguousarray(images[:, :, ::-1])


def _crop(images: Images, down: float, across: float) -> Images:
    """A window of `CROP_SHARE` of each side, at 0 to 1 of the room left, at the old size."""
    h, w = images.shape[1:3]
    high, wide = round(h * CROP_SHARE), round(w * CROP_SHARE)
    top, left = round((h - high) * down), round((w - wide) * across)
    windows = images[:, top : top + high, left : left + wide]
    grown = [cv2.resize(window, (w, h), interpolation=cv2.INTER_CUBIC) for window in windows]
    return np.asarray(grown, dtype=np.uint8)


def _shift(images: Images, down: int, across: int) -> Images:
    """The picture moved by so many times `SHIFT`; the border is repeated where it left."""
    step = max(1, round(SHIFT * min(images.shape[1:3]) / 48))
    top, left = step - step * down, step - step * across
    around = ((0, 0), (step, step), (step, step), *[(0, 0)] * (images.ndim - 3))
    h, w = images.shape[1:3]
    padded = np.pad(images, around, mode="edge")
    return np.ascontiguousarray(padded[:, top : top + h, left : left + w])


def _scale(images: Images, times: float) -> Images:
    """The face larger or smaller around the middle of an equal picture; the border is repeated."""
    h, w = images.shape[1:3]
    middle = ((w - 1) / 2, (h - 1) / 2)
    grow = cv2.getRotationMatrix2D(middle, 0.0, times)
    sized = [
        cv2.warpAffine(image, grow, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for image in images
    ]
    return np.asarray(sized, dtype=np.uint8).reshape(images.shape)


_CORNERS = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
VIEWS: dict[str, tuple[Callable[[Images], Images], ...]] = {
    "none": (lambda images: images,),
    "flip": (lambda images: images, _mirror),
    "ten-crop": tuple(
        view
        for at in _CORNERS
        for view in (
            lambda images, at=at: _crop(images, *at),
            lambda images, at=at: _mirror(_crop(images, *at)),
        )
    ),
    "shift": tuple(
        partial(_shift, down=down, across=across) for down in (0, -1, 1) for across in (0, -1, 1)
    ),
    "scale": tuple(partial(_scale, times=times) for times in SCALES),
}
"""Test-time augmentation: name -> the views whose probabilities are averaged.

The graphs of shipped artefacts average over the mirror image themselves, so with them `flip` gives
what `none` gives at twice the price, and `ten-crop`, `shift` and `scale` are mirrored besides.
"""


class Averaged:
    """A predictor averaged over the views of `VIEWS`; one pass for each."""

    def __init__(self, inner: FacePredictor, views: str) -> None:
        self._inner, self._views = inner, VIEWS[views]
        self.name, self.source = inner.name, f"{inner.source}; {views} averaging"
        self.calibrations: Mapping[str, Calibration] = {}

    def predict(self, images: Images) -> Found:
        passes = [self._inner.predict(view(images)) for view in self._views]
        return tuple(
            Scores(np.mean([scores.probs for scores in same], axis=0), same[0].space)
            for same in zip(*passes, strict=True)
        )
