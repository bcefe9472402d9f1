"""`analyze` on a stage: a source, a detector and a network that are made up."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import FakeModel, FakeSource, build_faces, build_frame

from classpulse.core.records import Faces, Frame
from classpulse.room import analyze as analyze_module
from classpulse.room import pipeline
from classpulse.room.analyze import Session, analyze
from classpulse.vision.detect import DETECTORS

Find = Callable[[Frame], Faces]


def frames(n: int, *, step: float = 0.5) -> list[Frame]:
    return [build_frame(i * step) for i in range(n)]


def always(*corners: tuple[float, float], **how: float) -> Find:
    """A detector that sees the same faces in every frame."""
    return lambda frame: build_faces(*corners, **how)


class Stage:
    """`analyze` with fake parts."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.out = folder / "out"
        self.source = FakeSource(frames(6))
        self.find: Find = always(*[(10 + 62.0 * (i % 5), 20 + 90.0 * (i // 5)) for i in range(6)])
        self.model = FakeModel()
        patch.setattr(analyze_module, "open_source", lambda name, every: self.source)
        patch.setattr(pipeline, "OnnxModel", lambda name, threads: self.model)
        patch.setitem(DETECTORS._things, "fake", lambda: self._find)

    def _find(self, frame: Frame) -> Faces:
        return self.find(frame)

    def run(self, **options: Any) -> Session:
        return analyze("lesson.mp4", **({"out": self.out, "detector": "fake"} | options))

    def summary(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.out / "summary.json").read_text())
        return loaded

    def lines(self) -> list[dict[str, str]]:
        with (self.out / "readings.csv").open(newline="") as stream:
            return list(csv.DictReader(stream))

    def names(self) -> list[str]:
        return sorted(p.name for p in self.out.iterdir()) if self.out.exists() else []
