"""The main path: read, detect, track, judge the quality, predict, score. One generator.

The command line, the web and the cluster are consumers of `watch`; none has a copy of it.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Head, QualityGate
from classpulse.core.errors import InputError, ModelError
from classpulse.core.records import Detector, Faces, Frame, Reading, Scores, Source
from classpulse.engage.score import LinearEngagement, get_preset, interval_of
from classpulse.engage.smooth import Smoother
from classpulse.room.privacy import Privacy
from classpulse.runtime.model import DEFAULT_MODEL, OnnxModel
from classpulse.vision.detect import build_detector
from classpulse.vision.features import sharpness, turn
from classpulse.vision.image import FRAMINGS, crop_face, prepare
from classpulse.vision.source import open_source
from classpulse.vision.track import Tracker, pseudonym

EVERY = 0.5  # seconds between analyzed frames: expressions that matter last longer
SMOOTH = 2.0  # seconds
UNCERTAIN = "low confidence"
APPLIES = 0.5  # least chance that a head has anything to say about a face for it to be heard


@dataclass(frozen=True, slots=True)
class Observation:
    """One analyzed frame.

    Args:
        frame: the picture; for drawing only, nothing stores it.
        faces: all detections with track numbers, -1 where not confirmed as a subject.
        readings: one per confirmed face, in the order of `faces`.
    """

    frame: Frame
    faces: Faces
    readings: tuple[Reading, ...]


def watch(
    source: str | Path | Source,
    *,
    every: float = EVERY,
    model: str | OnnxModel = DEFAULT_MODEL,
    detector: str | Detector = "retinaface",
    preset: str = "default",
    smooth: float = SMOOTH,
    privacy: Privacy | None = None,
) -> Generator[Observation, None, None]:
    """An iterator with one `Observation` per analyzed frame, as soon as it is known.

    The options are checked here and now; the source is entered at the first `next`.

    Args:
        source: anything `vision.source.open_source` takes, or an opened source.
        every: seconds between analyzed frames of a video or live source.
        model: shipped name, artefact folder or a loaded model. Not even loaded when the privacy
            profile forbids scoring faces.
        detector: registered name or a `Detector`.
        preset: engagement weights, see `engage.score.PRESETS`.
        smooth: time constant of the engagement curve, seconds; 0 turns it off.
        privacy: rules of the session; the defaults of `Privacy` when not given.

    Raises:
        InputError, ModelError, PrivacyError: see the modules named above.
    """
    rules = privacy or Privacy()
    opened = open_source(source, every=every) if isinstance(source, (str, Path)) else source
    find = build_detector(detector) if isinstance(detector, str) else detector
    scorer = None
    if rules.rules.face_emotion:
        loaded = OnnxModel(model) if isinstance(model, str) else model
        scorer = FaceScorer(loaded, engagement=get_preset(preset), smooth=smooth)
    else:
        get_preset(preset)
    owned = opened if isinstance(source, (str, Path)) else nullcontext(opened)
    return _observe(owned, find=find, scorer=scorer, rules=rules)


def _observe(
    source: AbstractContextManager[Source],
    *,
    find: Detector,
    scorer: "FaceScorer | None",
    rules: Privacy,
) -> Generator[Observation, None, None]:
    with source as frames:
        tracker = Tracker() if frames.sequence else Tracker(start_score=0.0, confirm=1)
        for frame in frames:
            if not frames.sequence:
                tracker.forget()  # independent pictures: nobody is followed from one to the next
            faces = tracker.update(find(frame), frame.t)
            subjects = faces[faces.track >= 0] if faces.track is not None else faces
            readings = scorer(frame, subjects) if scorer else count_only(frame, subjects)
            rules.check_present(readings, frame.t)
            yield Observation(frame, faces, tuple(readings))


def count_only(frame: Frame, faces: Faces) -> list[Reading]:
    """Readings that state presence and nothing else, for profiles that forbid more."""
    return [
        Reading(
            t=frame.t,
            subject=pseudonym(int(number)),
            channel="face",
            quality={"face_px": float(side)},
            abstained="not allowed by the profile",
        )
        for number, side in zip(_tracks(faces), faces.side, strict=True)
    ]


class FaceScorer:
    """Turns the faces of a frame into readings: gate, one batch through the network, engagement.

    Args:
        model: a loaded face model; its card has the input, the heads and the quality gate.
        engagement: weights; its heads must be among the model's.
        smooth: time constant per subject, seconds.

    Raises:
        InputError: the engagement needs a head that the model does not have, or `smooth` is no
            time.
        ModelError: the model needs a framing that this version does not have.
    """

    def __init__(self, model: OnnxModel, *, engagement: LinearEngagement, smooth: float) -> None:
        missing = engagement.weights.keys() - {head.name for head in model.card.heads}
        if missing:
            raise InputError(
                f"engagement '{engagement.name}' needs the heads {sorted(missing)}, which model "
                f"'{model.card.name}' does not have: choose another preset or model"
            )
        if model.card.input.framing not in FRAMINGS:
            raise ModelError(
                f"model '{model.card.name}' needs the framing '{model.card.input.framing}'; known: "
                f"{', '.join(FRAMINGS)}. Update classpulse or choose another model"
            )
        if not 0 <= smooth < float("inf"):
            raise InputError(f"smooth = {smooth} is not possible: give seconds >= 0 (0 is off)")
        self.model = model
        self.engagement = engagement
        self.smooth = smooth
        self._smoothers: dict[int, Smoother] = {}

    def __call__(self, frame: Frame, faces: Faces) -> list[Reading]:
        """One reading per face, in order; abstained where the gate or the confidence says so."""
        spec, gate = self.model.card.input, self.model.card.gate
        judged = [self._judge(frame, faces, row) for row in range(len(faces))]
        rows = [row for row, (_, why, _) in enumerate(judged) if why is None]
        batch = [prepare(judged[row][2], spec) for row in rows]
        empty = np.zeros((0, spec.channels, spec.height, spec.width), dtype=np.float32)
        scores = self.model.predict(np.stack(batch) if batch else empty)
        place = {row: i for i, row in enumerate(rows)}
        readings = []
        for row, number in enumerate(_tracks(faces)):
            quality, why, _ = judged[row]
            one: dict[str, Scores] = {}
            if why is None:
                at = place[row]
                one = {h: Scores(s.probs[at : at + 1], s.space) for h, s in scores.items()}
                first = one[self.model.card.heads[0].name]
                quality["confidence"] = float(first.confidence[0])
                if quality["confidence"] < gate.min_confidence:
                    why, one = UNCERTAIN, {}
            readings.append(self._reading(frame.t, int(number), one, quality, why))
        return readings

    def _judge(
        self, frame: Frame, faces: Faces, row: int
    ) -> tuple[dict[str, float], str | None, NDArray[np.uint8]]:
        """Quality of one face, why it is refused (or None), and its crop."""
        marks = None if faces.landmarks is None else faces.landmarks[row]
        crop = crop_face(frame.image, faces.box[row], marks, self.model.card.input)
        quality = {"face_px": float(faces.side[row]), "sharpness": sharpness(crop)}
        if marks is not None:
            quality["turn"] = turn(marks)
        return quality, refusal(quality, self.model.card.gate), crop

    def _reading(
        self,
        t: float,
        number: int,
        scores: Mapping[str, Scores],
        quality: Mapping[str, float],
        why: str | None,
    ) -> Reading:
        engagement = None
        share = applicability(self.model.card.heads, scores) if why is None else {}
        if why is None:
            value, variance = self.engagement.score(scores, share=share)
            smoother = self._smoothers.setdefault(number, Smoother(seconds=self.smooth))
            engagement = interval_of(*smoother.update(t, float(value[0]), float(variance[0])))
        heard = {h: s for h, s in scores.items() if h not in share or share[h][0] >= APPLIES}
        return Reading(t, pseudonym(number), "face", heard, engagement, quality, why)


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


def refusal(quality: Mapping[str, float], gate: QualityGate) -> str | None:
    """Why a face of this quality gets no statement, or None when it is good enough."""
    if quality["face_px"] < gate.min_face_px:
        return "face too small"
    if quality.get("turn", 0.0) > gate.max_turn:
        return "turned away"
    if quality["sharpness"] < gate.min_sharpness:
        return "blurred"
    return None


def _tracks(faces: Faces) -> NDArray[np.int64]:
    if faces.track is None:
        raise InputError("faces must be tracked before they are scored")
    return faces.track
