"""Analyze a source from end to end: readings, summary, report, and optionally a blurred video."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from classpulse.core.card import ModelCard
from classpulse.core.defaults import DETECT_EVERY, DETECTOR, EVERY, MODEL, PRESET, SMOOTH
from classpulse.core.errors import FileTypeError, InputError, PrivacyError
from classpulse.core.labels import TEXT_7
from classpulse.core.records import Reading, Source
from classpulse.engage.fusion_weights import FusionWeights, load_fusion
from classpulse.room.channels import FaceChannel, TextChannel
from classpulse.room.interrupt import hold_interrupt
from classpulse.room.pipeline import Observation, open_network, threads, watch
from classpulse.room.privacy import Privacy
from classpulse.room.recorder import Recorder
from classpulse.room.scorer import session_gate
from classpulse.room.table import FACE, TEXT, ReadingTable
from classpulse.room.window import choose_window
from classpulse.room.writing.posts import SUFFIXES, Writing, is_writing, load_posts
from classpulse.room.writing.reader import read_posts
from classpulse.runtime.model import OnnxModel
from classpulse.runtime.text import OnnxTextModel
from classpulse.vision.rtsp import redact
from classpulse.vision.source import open_source


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an analysis is.

    Args:
        done: seconds of the recording, or texts of a file of writing, see `unit`.
        total: of them in all, None if unknown.
        elapsed: seconds of wall time.
        unit: ``"s"`` or ``"texts"``.
    """

    done: float
    total: float | None
    elapsed: float
    unit: str = "s"


@dataclass(frozen=True, slots=True)
class Session:
    """The result of an analysis.

    Args:
        readings: one row per reading.
        summary: class-level numbers, as in `summary.json`.
        files: what was written, by name; empty without an output folder.
    """

    readings: ReadingTable
    summary: dict[str, Any]
    files: dict[str, Path]


OnProgress = Callable[[Progress], None]
OF_PICTURES: Mapping[str, object] = {  # options that texts have no use for, and their defaults
    "--every": EVERY,
    "--detect-every": DETECT_EVERY,
    "--model": MODEL,
    "--detector": DETECTOR,
    "--preset": PRESET,
    "--smooth": SMOOTH,
    "--min-confidence": None,
    "--annotate": False,
}


def analyze(
    source: str | Path | Writing,
    *,
    chat: str | Path | Writing | None = None,
    fusion: str | Path | None = None,
    out: str | Path | None = None,
    every: float = EVERY,
    detect_every: float = DETECT_EVERY,
    window: float | None = None,
    model: str = MODEL,
    detector: str = DETECTOR,
    preset: str = PRESET,
    smooth: float = SMOOTH,
    min_confidence: float | None = None,
    privacy: Privacy | None = None,
    annotate: bool = False,
    show_faces: bool = False,
    on_progress: OnProgress | None = None,
) -> Session:
    """Analyze `source`; with `out`, write readings, summary and report into that folder.

    An interrupt (Ctrl-C) ends the analysis early: everything seen so far is finished and written,
    and `summary["session"]["complete"]` is False.

    Args:
        source: image, folder, pattern, video, ``camera:N``, ``rtsp://`` address or ``-``; or a file
            of students' writing (posts, chat, transcript), see `room.writing.posts`.
        chat: writing that accompanies a recording, on the same clock.
        fusion: file of `classpulse engage fuse`: how faces and chat are weighed in their pool. None
            weighs them by what their cards state, see `room.together`.
        out: folder for `readings.csv`, `readings.parquet`, `codebook.csv`, `summary.json` and
            `report.html`; nothing is written without it.
        every: seconds between analyzed frames.
        window: seconds per class-level number; None: see `room.window.choose_window`.
        detect_every, model, detector, preset, smooth, min_confidence: see `room.pipeline.watch`.
            Writing alone has no use for these, `every` and `annotate`: other values than the
            defaults are refused.
        privacy: rules of the session.
        annotate: also write `annotated.mp4` with boxes and blurred faces; what was read stands
            beside a face only if `privacy` is of a single subject.
        show_faces: do not blur those that are followed there; needs `annotate`, and `privacy` with
            a consent.
        on_progress: called after every analyzed frame, and after every text of a file.

    Raises:
        InputError, ModelError, OutputError, PrivacyError: one sentence each; the files written so
            far stay as `.partial`, except after a `PrivacyError`, which removes them.
    """
    rules = privacy or Privacy()
    _check_shown(rules, annotate=annotate, show_faces=show_faces)
    folder = None if out is None else Path(out)
    tell = on_progress or (lambda _: None)
    weights = _open_fusion(fusion, rules, chat)
    if isinstance(source, Writing) or is_writing(source):
        if chat is not None:
            raise InputError(
                "the source is writing itself: give a chat beside a recording, or read both apart"
            )
        _refuse_of_pictures({
            "--every": every, "--detect-every": detect_every, "--model": model,
            "--detector": detector, "--preset": preset, "--smooth": smooth,
            "--min-confidence": min_confidence, "--annotate": annotate,
        })  # fmt: skip
        return _analyze_writing(source, rules, folder, window=window, tell=tell)
    opened = _open_frames(source, every=every)
    network = open_network(model) if rules.rules.face_emotion else None
    stream = watch(
        opened,
        every=every,
        detect_every=detect_every,
        model=network or model,
        detector=detector,
        preset=preset,
        smooth=smooth,
        min_confidence=min_confidence,
        privacy=rules,
    )
    faces = FaceChannel(_card(network, min_confidence), detector, preset)
    with ExitStack() as stack:
        frames = stack.enter_context(opened)
        stack.enter_context(closing(stream))  # its threads end before the source is closed
        texts = None if chat is None else _open_texts(chat, rules, frames)
        run = Recorder(rules, folder, face=faces, text=texts, fusion=weights)
        posts = texts.posts if texts else None
        chosen = choose_window(window, k=rules.group, duration=frames.duration, posts=posts)
        run.open(stack, window=chosen, annotate=annotate, show_faces=show_faces)
        _watch(run, stream, _read(texts), duration=frames.duration, tell=tell)
    info = run.info(_plain_name(str(source)), every=every, duration=frames.duration)
    with hold_interrupt():
        return Session(run.table, run.finish(info), run.files)


def _check_shown(rules: Privacy, *, annotate: bool, show_faces: bool) -> None:
    if not show_faces:
        return
    rules.check_uncovered()
    if not annotate:
        raise InputError(
            "--show-faces is for the annotated video, which is not asked for: add --annotate, or "
            "leave it out"
        )


def _open_fusion(
    given: str | Path | None, rules: Privacy, chat: str | Path | Writing | None
) -> FusionWeights | None:
    if given is None:
        return None
    if chat is None or not rules.rules.face_emotion:
        raise InputError(
            "--fusion weighs faces and writing that are read together: add --chat FILE and choose "
            "a profile that reads faces, or leave --fusion out"
        )
    return load_fusion(Path(given), space=TEXT_7, channels=(FACE, TEXT))


def _card(network: OnnxModel | None, min_confidence: float | None) -> ModelCard | None:
    """The card of the session, for its summary: with the gate that was in force."""
    if network is None:
        return None
    return replace(network.card, gate=session_gate(network.card.gate, min_confidence))


def _refuse_of_pictures(values: Mapping[str, object]) -> None:
    """Refuse options of `OF_PICTURES` that were given and that reading texts would ignore."""
    given = [name for name, usual in OF_PICTURES.items() if values[name] != usual]
    if given:
        raise InputError(
            f"the source is writing, without pictures: leave {', '.join(given)} out; the model "
            "that reads texts is chosen with --text-model"
        )


def _open_frames(source: str | Path, *, every: float) -> Source:
    try:
        return open_source(source, every=every)
    except FileTypeError as error:
        raise FileTypeError(f"{error}, and for writing {', '.join(SUFFIXES)}") from None


def _watch(
    run: Recorder,
    stream: Iterator[Observation],
    texts: Iterator[Reading],
    *,
    duration: float | None,
    tell: OnProgress,
) -> None:
    """Frames as they come, and before each one what was written up to its time."""
    start = time.monotonic()
    try:
        waiting = next(texts, None)
        for seen in chain(stream, (None,)):
            while waiting is not None and (seen is None or waiting.t <= seen.frame.t):
                with hold_interrupt():
                    run.take_text(waiting)
                waiting = next(texts, None)
            if seen is not None:
                with hold_interrupt():  # no half-recorded frame
                    run.take(seen)
                tell(Progress(seen.frame.t, duration, time.monotonic() - start))
    except KeyboardInterrupt:
        run.complete = False
    except PrivacyError:
        run.forget_all = True
        raise


def _analyze_writing(
    source: str | Path | Writing,
    rules: Privacy,
    folder: Path | None,
    *,
    window: float | None,
    tell: OnProgress,
) -> Session:
    texts = _open_texts(source, rules)
    posts = texts.posts
    run = Recorder(rules, folder, face=None, text=texts)
    with ExitStack() as stack:
        run.open(stack, window=choose_window(window, k=rules.group, posts=posts))
        start = time.monotonic()
        try:
            for n, reading in enumerate(_read(texts), start=1):
                with hold_interrupt():
                    run.take_text(reading)
                elapsed = time.monotonic() - start
                tell(Progress(n, len(posts.utterances), elapsed, unit="texts"))
        except KeyboardInterrupt:
            run.complete = False
    info = run.info(texts.source, every=0.0, duration=posts.end)
    with hold_interrupt():
        return Session(run.table, run.finish(info), run.files)


def _open_texts(
    given: str | Path | Writing, rules: Privacy, frames: Source | None = None
) -> TextChannel:
    writing = given if isinstance(given, Writing) else Writing(Path(given))
    recorded = None
    if frames is not None:
        recorded = float("inf") if frames.duration is None else frames.duration
    posts = load_posts(writing, recorded=recorded)
    rules.check_writers(posts.most_writers)
    model = OnnxTextModel(writing.model, threads=threads())
    return TextChannel(_plain_name(str(writing.path)), posts, model, writing.keep_texts)


def _read(texts: TextChannel | None) -> Iterator[Reading]:
    return iter(()) if texts is None else read_posts(texts.posts, texts.model)


def _plain_name(source: str) -> str:
    """The source without folders, user names or passwords: reports travel."""
    source = source.encode("utf-8", "replace").decode()  # a name on disk may be no text
    if "://" in source:
        scheme, _, rest = redact(source).partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"
    return {"-": "standard input"}.get(source, Path(source).name or source)
