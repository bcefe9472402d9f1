"""What one analysis collects and writes; alive from the first frame or text to the last file."""

import json
import re
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classpulse.core.card import Head
from classpulse.core.records import Reading
from classpulse.engage.fusion_weights import FusionWeights
from classpulse.engage.windows import WindowAggregator
from classpulse.room.channels import Collected, FaceChannel, TextChannel
from classpulse.room.files import make_folder, partial_path, write_text
from classpulse.room.heads import told_heads
from classpulse.room.pipeline import Observation
from classpulse.room.privacy import Privacy
from classpulse.room.summary import SessionInfo, build_summary
from classpulse.room.table import (
    FACE,
    TEXT,
    CsvSink,
    ReadingTable,
    write_codebook,
    write_parquet,
)
from classpulse.room.video import VideoSink
from classpulse.room.window import Window
from classpulse.room.writing.keep import TEXT_COLUMNS, text_row
from classpulse.room.writing.reader import text_heads


class Recorder:
    """Table, counts and files of a session.

    Args:
        rules: of the session.
        folder: where files go, None for nowhere.
        face, text: what is read; at least one of them.
        fusion: fitted weights of the two, None for those of their cards.
    """

    def __init__(
        self,
        rules: Privacy,
        folder: Path | None,
        *,
        face: FaceChannel | None,
        text: TextChannel | None,
        fusion: FusionWeights | None = None,
    ) -> None:
        heads: list[Head] = [*(face.heads if face else ())]
        heads += text_heads(text.model.card) if text else ()
        channels = [*([FACE] if face else []), *([TEXT] if text else [])]
        self.rules = rules
        self.folder = folder
        self.face = face
        self.text = text
        self.fusion = fusion
        self.table = ReadingTable(heads, channels=channels)
        self.complete = True
        self.forget_all = False
        self.last = 0.0
        self.files: dict[str, Path] = {}
        self._csv: CsvSink | None = None
        self._texts: CsvSink | None = None
        self._video: VideoSink | None = None

    def open(
        self, stack: ExitStack, *, window: Window, annotate: bool = False, show_faces: bool = False
    ) -> None:
        """Open the sinks; `stack` closes them, whatever happens."""
        k, posts = self.rules.group, self.text.posts if self.text else None
        among = posts.people_among if posts else None
        self.collected = {
            FACE: Collected(WindowAggregator(seconds=window.seconds, k=k)),
            TEXT: Collected(WindowAggregator(seconds=window.seconds, k=k, people_among=among)),
        }
        self.window = window
        if self.folder is None:
            return
        make_folder(self.folder)
        stack.callback(self._remove_if_forbidden)
        names = [column.name for column in self.table.columns]
        self._csv = stack.enter_context(CsvSink(self._file("readings.csv"), names))
        if self.text and self.text.keep:
            self._texts = stack.enter_context(CsvSink(self._file("texts.csv"), TEXT_COLUMNS))
        if annotate:
            told = told_heads(head.name for head in self.face.heads) if self.face else ()
            sink = VideoSink(
                self._file("annotated.mp4"),
                show_faces=show_faces,
                single=self.rules.single_subject,
                head=next(iter(told), None),
            )
            self._video = stack.enter_context(sink)

    def take(self, seen: Observation) -> None:
        """Record one analyzed frame; the picture itself goes no further than the blurred video."""
        self.collected[FACE].add(seen.frame.t, seen.readings, sightings=len(seen.faces))
        self._write(seen.frame.t, seen.readings)
        if self._video is not None:
            self._video.write(seen)

    def take_text(self, reading: Reading) -> None:
        """Record the reading of the next text."""
        found = self.collected[TEXT]
        if self._texts is not None and self.text is not None:
            utterance = self.text.posts.utterances[found.tally.readings]
            self._texts.write_row(text_row(reading, utterance, self.text.model))
        found.add(reading.t, (reading,))
        self._write(reading.t, (reading,))

    def _write(self, t: float, readings: Iterable[Reading]) -> None:
        self.last = max(self.last, t)
        for reading in readings:
            row = self.table.append(reading)
            if self._csv is not None:
                self._csv.write_row(row)

    def info(self, source: str, *, every: float, duration: float | None) -> SessionInfo:
        """Facts of the session; an interrupted or live one lasted until its last reading."""
        now = datetime.now(UTC)
        name = re.sub(r"[^A-Za-z0-9]+", "-", Path(source).stem).strip("-")[:40] or "session"
        whole = duration if self.complete and duration is not None else self.last
        return SessionInfo(
            id=f"{now:%Y-%m-%dT%H%M%S}-{name}",
            source=source,
            created=now.isoformat(timespec="seconds"),
            duration=round(max(whole, self.last), 3),
            every=every,
            window=self.window.seconds,
            window_why=self.window.why,
            complete=self.complete,
        )

    def finish(self, info: SessionInfo) -> dict[str, Any]:
        """Build the summary and write all files that are not written yet."""
        summary = build_summary(
            info,
            self.collected,
            face=self.face,
            text=self.text,
            privacy=self.rules,
            fusion=self.fusion,
        )
        if self.folder is not None:
            self._write_all(summary)
        return summary

    def _write_all(self, summary: dict[str, Any]) -> None:
        from classpulse.room.report.render import render_report

        write_parquet(self.table, self._file("readings.parquet"))
        write_codebook(self.table.columns, self._file("codebook.csv"))
        write_text(json.dumps(summary, indent=2) + "\n", self._file("summary.json"))
        write_text(render_report(summary), self._file("report.html"))

    def _file(self, name: str) -> Path:
        """The path of a file of this session, which is listed from now on."""
        assert self.folder is not None
        self.files[name] = self.folder / name
        return self.files[name]

    def _remove_if_forbidden(self) -> None:
        if self.forget_all:
            for path in self.files.values():  # without .partial it is from an earlier session
                partial_path(path).unlink(missing_ok=True)
