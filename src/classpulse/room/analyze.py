"""Analyze a source from end to end: readings, summary, report, and optionally a blurred video."""

import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classpulse.core.card import Head, ModelCard
from classpulse.core.errors import PrivacyError
from classpulse.engage.windows import WindowAggregator, suggest_window
from classpulse.room.files import make_folder, partial_path, write_text
from classpulse.room.interrupt import hold_interrupt
from classpulse.room.pipeline import DETECT_EVERY, EVERY, SMOOTH, Observation, open_network, watch
from classpulse.room.privacy import Privacy
from classpulse.room.summary import SessionInfo, Tally, build_summary
from classpulse.room.table import (
    CsvSink,
    ReadingTable,
    reading_row,
    write_codebook,
    write_parquet,
)
from classpulse.room.video import VideoSink
from classpulse.runtime.model import DEFAULT_MODEL
from classpulse.vision.source import open_source


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an analysis is.

    Args:
        t: seconds of the source analyzed; duration: seconds in all, None if unknown.
        frames: analyzed so far; elapsed: seconds of wall time.
    """

    t: float
    duration: float | None
    frames: int
    elapsed: float


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


def analyze(
    source: str | Path,
    *,
    out: str | Path | None = None,
    every: float = EVERY,
    detect_every: float = DETECT_EVERY,
    window: float | None = None,
    model: str = DEFAULT_MODEL,
    detector: str = "retinaface",
    preset: str = "default",
    smooth: float = SMOOTH,
    privacy: Privacy | None = None,
    annotate: bool = False,
    show_faces: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Session:
    """Analyze `source`; with `out`, write readings, summary and report into that folder.

    An interrupt (Ctrl-C) ends the analysis early: everything seen so far is finished and written,
    and `summary["session"]["complete"]` is False.

    Args:
        source: image, folder, pattern, video, ``camera:N``, ``rtsp://`` address or ``-``.
        out: folder for `readings.csv`, `readings.parquet`, `codebook.csv`, `summary.json` and
            `report.html`; nothing is written without it.
        every: seconds between analyzed frames.
        window: seconds per class-level number; chosen from the duration when None.
        detect_every, model, detector, preset, smooth: see `room.pipeline.watch`.
        privacy: rules of the session.
        annotate: also write `annotated.mp4` with boxes and blurred faces.
        show_faces: do not blur them there.
        on_progress: called after every analyzed frame.

    Raises:
        InputError, ModelError, OutputError, PrivacyError: one sentence each; the files written so
            far stay as `.partial`, except after a `PrivacyError`, which removes them.
    """
    rules = privacy or Privacy()
    folder = None if out is None else Path(out)
    opened = open_source(source, every=every)
    network = open_network(model) if rules.rules.face_emotion else None
    stream = watch(
        opened,
        every=every,
        detect_every=detect_every,
        model=network or model,
        detector=detector,
        preset=preset,
        smooth=smooth,
        privacy=rules,
    )
    run = _Run(rules, network.card if network else None, folder)
    with ExitStack() as stack:
        frames = stack.enter_context(opened)
        stack.enter_context(closing(stream))  # its threads end before the source is closed
        seconds = suggest_window(frames.duration) if window is None else window
        run.open(stack, seconds, annotate, show_faces)
        start = time.monotonic()
        try:
            for seen in stream:
                with hold_interrupt():  # no half-recorded frame
                    run.take(seen)
                if on_progress is not None:
                    elapsed = time.monotonic() - start
                    on_progress(Progress(seen.frame.t, frames.duration, run.tally.frames, elapsed))
        except KeyboardInterrupt:
            run.complete = False
        except PrivacyError:
            run.forget_all = True
            raise
    info = run.info(_plain_name(str(source)), every=every, duration=frames.duration)
    with hold_interrupt():
        return run.finish(info, detector=detector, preset=preset)


class _Run:
    """What one analysis collects and writes; alive from the first frame to the last file."""

    def __init__(self, rules: Privacy, card: ModelCard | None, folder: Path | None) -> None:
        heads: tuple[Head, ...] = card.heads if card else ()
        self.rules = rules
        self.card = card
        self.folder = folder
        self.table = ReadingTable(heads)
        self.tally = Tally()
        self.complete = True
        self.forget_all = False
        self.last = 0.0
        self.files: dict[str, Path] = {}
        self._csv: CsvSink | None = None
        self._video: VideoSink | None = None

    def open(self, stack: ExitStack, window: float, annotate: bool, show_faces: bool) -> None:
        """Open the sinks; `stack` closes them, whatever happens."""
        self.windows = WindowAggregator(seconds=window, k=self.rules.group)
        if self.folder is None:
            return
        make_folder(self.folder)
        stack.callback(self._remove_if_forbidden)
        self.files["readings.csv"] = self.folder / "readings.csv"
        self._csv = stack.enter_context(CsvSink(self.files["readings.csv"], self.table.heads))
        if annotate:
            self.files["annotated.mp4"] = self.folder / "annotated.mp4"
            sink = VideoSink(self.files["annotated.mp4"], show_faces=show_faces)
            self._video = stack.enter_context(sink)

    def take(self, seen: Observation) -> None:
        """Record one analyzed frame; the picture itself goes no further than the blurred video."""
        self.last = seen.frame.t
        self.tally.add(len(seen.faces), seen.readings)
        self.windows.add(seen.frame.t, seen.readings)
        for reading in seen.readings:
            row = reading_row(reading, self.table.heads)
            self.table.append(row)
            if self._csv is not None:
                self._csv.write_row(row)
        if self._video is not None:
            self._video.write(seen)

    def info(self, source: str, *, every: float, duration: float | None) -> SessionInfo:
        """Facts of the session; an interrupted or live one lasted until its last frame."""
        now = datetime.now(UTC)
        name = re.sub(r"[^A-Za-z0-9]+", "-", Path(source).stem).strip("-")[:40] or "session"
        whole = duration if self.complete and duration is not None else self.last
        return SessionInfo(
            id=f"{now:%Y-%m-%dT%H%M%S}-{name}",
            source=source,
            created=now.isoformat(timespec="seconds"),
            duration=round(max(whole, self.last), 3),
            every=every,
            window=self.windows.seconds,
            complete=self.complete,
        )

    def finish(self, info: SessionInfo, *, detector: str, preset: str) -> Session:
        """Build the summary and write all files that are not written yet."""
        summary = build_summary(
            info,
            tally=self.tally,
            windows=self.windows,
            card=self.card,
            detector=detector,
            preset=preset,
            privacy=self.rules,
        )
        if self.folder is not None:
            self._write_all(self.folder, summary)
        return Session(self.table, summary, self.files)

    def _write_all(self, folder: Path, summary: dict[str, Any]) -> None:
        from classpulse.room.report.render import render_report

        names = ("readings.parquet", "codebook.csv", "summary.json", "report.html")
        parquet, codebook, numbers, report = (folder / name for name in names)
        write_parquet(self.table, parquet)
        write_codebook(self.table.columns, codebook)
        write_text(json.dumps(summary, indent=2) + "\n", numbers)
        write_text(render_report(summary), report)
        self.files |= {path.name: path for path in (parquet, codebook, numbers, report)}

    def _remove_if_forbidden(self) -> None:
        if self.forget_all:
            for path in self.files.values():  # without .partial it is from an earlier session
                partial_path(path).unlink(missing_ok=True)


def _plain_name(source: str) -> str:
    """The source without folders, user names or passwords: reports travel."""
    source = source.encode("utf-8", "replace").decode()  # a name on disk may be no text
    if "://" in source:
        scheme, rest = source.split("://", 1)
        return f"{scheme}://{rest.split('@')[-1].split('/')[0]}"
    return {"-": "standard input"}.get(source, Path(source).name or source)
