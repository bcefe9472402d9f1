"""The main path: read, detect, track, judge the quality, predict, score. One generator.

`analyze`, and so the command line, is a consumer of `watch` and has no copy of it.
"""

import os
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classpulse.core.defaults import DETECT_EVERY, DETECTOR, EVERY, MODEL, PRESET, SMOOTH
from classpulse.core.errors import InputError
from classpulse.core.records import Detector, Faces, Frame, Reading, Source
from classpulse.engage.score import get_preset
from classpulse.room.overlap import AHEAD, overlapped
from classpulse.room.privacy import Privacy
from classpulse.room.scorer import FaceCounter, FaceScorer, Judgement, Scorer
from classpulse.runtime.model import OnnxModel
from classpulse.vision.carry import carry_faces
from classpulse.vision.clock import Sampler
from classpulse.vision.detect import build_detector
from classpulse.vision.source import open_source
from classpulse.vision.track import Tracker

CLEAR_SCORE = 0.8  # a face at least this sure counts as a second person also before it is a subject
CLEAR_LOOKS = 2  # searches in a row that must find it: one alone may be wrong
MAX_THREADS = 4  # of the network; beyond it ten faces are too few to share out


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
    detect_every: float = DETECT_EVERY,
    model: str | OnnxModel = MODEL,
    detector: str | Detector = DETECTOR,
    preset: str = PRESET,
    smooth: float = SMOOTH,
    min_confidence: float | None = None,
    privacy: Privacy | None = None,
    overlap: bool = True,
) -> Generator[Observation, None, None]:
    """An iterator with one `Observation` per analyzed frame, as soon as it is known.

    The options are checked here and now; the source is entered at the first `next`.

    Args:
        source: anything `vision.source.open_source` takes, or an opened source.
        every: seconds between analyzed frames of a video or live source.
        detect_every: seconds between searches for faces; in analyzed frames between them the known
            faces are followed by optical flow. 0 searches in every analyzed frame.
        model: shipped name, artefact folder or a loaded model. Not even loaded when the privacy
            profile forbids scoring faces.
        detector: registered name or a `Detector`.
        preset: engagement weights, see `engage.score.PRESETS`.
        smooth: time constant of the engagement curve, seconds; 0 turns it off.
        min_confidence: least probability, in [0, 1], of the most probable label of the model's
            first head for a reading to make a statement; None takes the one in the model's card.
        privacy: rules of the session; the defaults of `Privacy` when not given.
        overlap: detect and predict at the same time, a few frames ahead of the consumer. The
            results are the same. Live sources are never read ahead, pictures not worth it.

    Raises:
        InputError, ModelError, PrivacyError: see the modules named above.
    """
    rules = privacy or Privacy()
    opened = open_source(source, every=every) if isinstance(source, (str, Path)) else source
    find = build_detector(detector) if isinstance(detector, str) else detector
    weights = get_preset(preset)
    scorer: Scorer = FaceCounter()
    if rules.rules.face_emotion:
        network = open_network(model)
        scorer = FaceScorer(
            network, engagement=weights, smooth=smooth, min_confidence=min_confidence
        )
    elif min_confidence is not None:
        raise InputError(
            f"--min-confidence is for what is read from faces, and profile '{rules.profile}' reads "
            "nothing from them: leave it out, or choose a profile that reads faces"
        )
    if not 0 <= detect_every < float("inf"):
        raise InputError(f"detect_every = {detect_every} is not possible: give seconds >= 0")
    owned = opened if isinstance(source, (str, Path)) else nullcontext(opened)
    return _observe(
        owned, find=find, scorer=scorer, rules=rules, detect_every=detect_every, overlap=overlap
    )


def open_network(model: str | OnnxModel) -> OnnxModel:
    """The model as the room runs it: on all cores, up to `MAX_THREADS`."""
    if not isinstance(model, str):
        return model
    return OnnxModel(model, threads=threads())


def threads() -> int:
    """Of a network: all cores, up to `MAX_THREADS`."""
    return min(os.cpu_count() or 1, MAX_THREADS)


def _observe(
    source: AbstractContextManager[Source],
    *,
    find: Detector,
    scorer: Scorer,
    rules: Privacy,
    detect_every: float,
    overlap: bool,
) -> Generator[Observation, None, None]:
    with source as frames, ExitStack() as stages:
        ahead = AHEAD if overlap and frames.sequence and not frames.live else 0
        due = Sampler(detect_every if frames.sequence and detect_every else None)

        def look(frame: Frame) -> tuple[Frame, Faces | None]:
            return frame, find(frame) if due.keeps(frame.t) else None

        def ask(at: _Followed) -> tuple[_Followed, list[Judgement]]:
            return at, scorer.ask(at.frame, at.subjects)

        looks = stages.enter_context(closing(overlapped(look, frames, name="find", ahead=ahead)))
        followed = _follow(looks, sequence=frames.sequence)
        company = _Company(rules)
        asked = stages.enter_context(closing(overlapped(ask, followed, name="ask", ahead=ahead)))
        pictures = 0
        for at, judged in asked:
            readings = scorer.read(at.frame, at.subjects, judged)
            rules.check_present(readings, at.frame.t)
            if at.searched and frames.sequence:
                company.check(at.faces, at.frame.t)
            pictures += bool(readings)
            rules.check_pictures(0 if frames.sequence else pictures)
            yield Observation(at.frame, at.faces, tuple(readings))


class _Followed(NamedTuple):
    """A frame, all faces in it with track numbers, those that are subjects, and whether faces
    were searched for in it or carried from the frame before."""

    frame: Frame
    faces: Faces
    subjects: Faces
    searched: bool


class _Company:
    """Counts the searches in a row that find several clear faces: in the session of one person a
    second one must not stay unseen because the tracker waits for a better look at it."""

    def __init__(self, rules: Privacy) -> None:
        self.rules = rules
        self.looks = 0

    def check(self, faces: Faces, t: float) -> None:
        """See `Privacy.check_in_view`."""
        known = np.zeros(len(faces), bool) if faces.track is None else faces.track >= 0
        clear = int(((faces.score >= CLEAR_SCORE) | known).sum())
        self.looks = self.looks + 1 if clear > 1 else 0
        if self.looks >= CLEAR_LOOKS:
            self.rules.check_in_view(clear, t)


def _follow(
    looks: Iterable[tuple[Frame, Faces | None]], *, sequence: bool
) -> Generator[_Followed, None, None]:
    """Give faces their numbers; where nobody looked for faces, carry those of the frame before."""
    tracker = Tracker() if sequence else Tracker(start_score=0.0, confirm=1)
    before, faces = None, Faces.none()
    for frame, found in looks:
        if not sequence:
            tracker.forget()  # independent pictures: nobody is followed from one to the next
        if found is not None:
            faces = tracker.update(found, frame.t)
        elif before is not None:
            faces = carry_faces(before, faces, frame)
        before = frame
        subjects = faces if faces.track is None else faces[faces.track >= 0]
        yield _Followed(frame, faces, subjects, searched=found is not None)
