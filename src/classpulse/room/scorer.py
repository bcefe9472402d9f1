"""From the faces of a frame to readings: gate, one batch through the network, engagement.

In two steps, so that the network can work ahead: `ask` knows nothing but its frame, `read` follows
subjects through time and takes frames in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Head, QualityGate
from classpulse.core.errors import InputError, ModelError
from classpulse.core.records import Faces, Frame, Reading, Scores
from classpulse.engage.score import LinearEngagement, interval_of
from classpulse.engage.smooth import Smoother
from classpulse.runtime.model import OnnxModel
from classpulse.vision.features import light, sharpness, turn
from classpulse.vision.image import FRAMINGS, crop_face, prepare
from classpulse.vision.track import pseudonym

UNCERTAIN = "low confidence"
APPLIES = 0.5  # least chance that a head has anything to say about a face for it to be heard


@dataclass(frozen=True, slots=True)
class Judgement:
    """One face before its subject is known: why it is refused, or what the network said.

    Args:
        quality: measures by name, as in `Reading`.
        refused: reason to abstain, or None.
        scores: head name -> one row; empty when refused.
    """

    quality: Mapping[str, float]
    refused: str | None
    scores: Mapping[str, Scores]


class Scorer(Protocol):
    """Turns tracked faces of a frame into readings."""

    def ask(self, frame: Frame, faces: Faces) -> list[Judgement]:
        """One judgement per face, in order; frames may come in any order."""
        ...

    def read(self, frame: Frame, faces: Faces, judged: Sequence[Judgement]) -> list[Reading]:
        """One reading per face, in order; frames come in the order of time."""
        ...


class FaceCounter:
    """States presence and nothing else, for privacy profiles that forbid more."""

    def ask(self, frame: Frame, faces: Faces) -> list[Judgement]:
        """See `Scorer.ask`."""
        why = "not allowed by the profile"
        return [Judgement({"face_px": float(side)}, why, {}) for side in faces.side]

    def read(self, frame: Frame, faces: Faces, judged: Sequence[Judgement]) -> list[Reading]:
        """See `Scorer.read`."""
        return [
            Reading(frame.t, pseudonym(int(n)), "face", quality=one.quality, abstained=one.refused)
            for n, one in zip(_tracks(faces), judged, strict=True)
        ]


class FaceScorer:
    """Emotions, states and engagement of faces.

    Args:
        model: a loaded face model; its card has the input, the heads and the quality gate.
        engagement: weights; its heads must be among the model's.
        smooth: time constant per subject, seconds.
        min_confidence: instead of the gate's, see `session_gate`.

    Raises:
        InputError: the engagement needs a head that the model does not have, `smooth` is no time,
            or `min_confidence` no probability.
        ModelError: the model needs a framing that this version does not have.
    """

    def __init__(
        self,
        model: OnnxModel,
        *,
        engagement: LinearEngagement,
        smooth: float,
        min_confidence: float | None = None,
    ) -> None:
        if model.card.input.framing not in FRAMINGS:
            raise ModelError(
                f"model '{model.card.name}' needs the framing '{model.card.input.framing}'; known: "
                f"{', '.join(FRAMINGS)}. Update classpulse or choose another model"
            )
        if not 0 <= smooth < float("inf"):
            raise InputError(f"smooth = {smooth} is not possible: give seconds >= 0 (0 is off)")
        self.model = model
        self.gate = session_gate(model.card.gate, min_confidence)
        self.engagement = engagement.bound_to({h.name: h.label_space for h in model.card.heads})
        self.smooth = smooth
        self._smoothers: dict[int, Smoother] = {}

    def ask(self, frame: Frame, faces: Faces) -> list[Judgement]:
        """See `Scorer.ask`: crop, gate, one run of the network for all faces that pass."""
        spec = self.model.card.input
        seen = [self._judge(frame, faces, row) for row in range(len(faces))]
        rows = [row for row, (_, why, _) in enumerate(seen) if why is None]
        batch = [prepare(seen[row][2], spec) for row in rows]
        empty = np.zeros((0, spec.channels, spec.height, spec.width), dtype=np.float32)
        scores = self.model.predict(np.stack(batch) if batch else empty)
        place = {row: i for i, row in enumerate(rows)}
        return [
            Judgement(quality, why, {}) if why else self._believe(quality, scores, place[row])
            for row, (quality, why, _) in enumerate(seen)
        ]

    def read(self, frame: Frame, faces: Faces, judged: Sequence[Judgement]) -> list[Reading]:
        """See `Scorer.read`: engagement, smoothed per subject."""
        return [
            self._reading(frame.t, int(number), one)
            for number, one in zip(_tracks(faces), judged, strict=True)
        ]

    def _judge(
        self, frame: Frame, faces: Faces, row: int
    ) -> tuple[dict[str, float], str | None, NDArray[np.uint8]]:
        """Quality of one face, why it is refused (or None), and its crop."""
        marks = None if faces.landmarks is None else faces.landmarks[row]
        crop = crop_face(frame.image, faces.box[row], marks, self.model.card.input)
        quality = {
            "face_px": float(faces.side[row]),
            "sharpness": sharpness(crop),
            "light": light(crop),
        }
        if marks is not None:
            quality["turn"] = turn(marks)
        return quality, refusal(quality, self.gate), crop

    def _believe(
        self, quality: Mapping[str, float], scores: Mapping[str, Scores], row: int
    ) -> Judgement:
        """What the network said of one face of its batch, unless it is not sure of it itself."""
        one = {
            head: replace(said, probs=said.probs[row : row + 1]) for head, said in scores.items()
        }
        confidence = float(one[self.model.card.heads[0].name].confidence[0])
        unsure = confidence < self.gate.min_confidence
        known = {**quality, "confidence": confidence}
        return Judgement(known, UNCERTAIN, {}) if unsure else Judgement(known, None, one)

    def _reading(self, t: float, number: int, judged: Judgement) -> Reading:
        if judged.refused is not None:
            return Reading(
                t, pseudonym(number), "face", quality=judged.quality, abstained=judged.refused
            )
        share = applicability(self.model.card.heads, judged.scores)
        value, variance = self.engagement.score(judged.scores, share=share)
        smoother = self._smoothers.setdefault(number, Smoother(seconds=self.smooth))
        engagement = interval_of(*smoother.update(t, float(value[0]), float(variance[0])))
        heard = {h: s for h, s in judged.scores.items() if h not in share or share[h][0] >= APPLIES}
        return Reading(t, pseudonym(number), "face", heard, engagement, judged.quality)


def applicability(
    heads: Sequence[Head], scores: Mapping[str, Scores]
) -> dict[str, NDArray[np.float32]]:
    """Chance (n,) that a head applies to each of n faces, for the heads that do not always.

    A smiling face has no learning state, because the network never saw one with a state.
    """
    return {
        head.name: np.sum([_prob(scores, label) for label in head.given], axis=0)
        for head in heads
        if head.given
    }


def _prob(scores: Mapping[str, Scores], label: str) -> NDArray[np.float32]:
    """(n,) probability of a label written as ``"head:label"``."""
    head, name = label.split(":")
    return scores[head].probs[:, scores[head].space.index(name)]


def session_gate(gate: QualityGate, min_confidence: float | None) -> QualityGate:
    """The gate of a card, with the user's own threshold of confidence if there is one.

    Raises:
        InputError: the threshold is outside [0, 1].
    """
    if min_confidence is None:
        return gate
    if not 0 <= min_confidence <= 1:  # true for NaN too
        raise InputError(
            f"min_confidence = {min_confidence} is not possible: give a probability from 0 (always "
            f"answer) to 1, or leave it out for the model's own, {gate.min_confidence}"
        )
    return replace(gate, min_confidence=min_confidence)


def refusal(quality: Mapping[str, float], gate: QualityGate) -> str | None:
    """Why a face of this quality gets no statement, or None when it is good enough."""
    if quality["face_px"] < gate.min_face_px:
        return "face too small"
    if quality.get("turn", 0.0) > gate.max_turn:
        return "turned away"
    if quality["light"] < gate.min_light:  # before sharpness, of which a black crop has none
        return "too dark"
    if quality["light"] > gate.max_light:
        return "too bright"
    if quality["sharpness"] < gate.min_sharpness:
        return "blurred"
    return None


def _tracks(faces: Faces) -> NDArray[np.int64]:
    if faces.track is None:
        raise InputError("faces must be tracked before they are scored")
    return faces.track
