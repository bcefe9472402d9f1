"""Finding faces less often, or in smaller pictures: what is lost on real clips?

    .venv/bin/python benchmarks/face_finding.py

**Less often.** Every frame of each clip is searched. Beside it faces are searched for only every
`seconds` and carried in between: by `vision.carry.carry_faces`, or left in place ("hold"). Over
the carried frames: overlap (IoU) of each found face with its carried box, mean and 5th percentile;
share of faces whose emotion has the same first label when read in the carried place; share of
found faces that no carried box covers.

**Smaller.** Every sixth frame is searched at several sizes of the detector's input: sure faces in
all, and processor time a frame.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from face_clip import VIDEOS, write_clip

from classpulse.core.records import Faces, Frame
from classpulse.runtime.model import OnnxModel
from classpulse.vision.carry import carry_faces
from classpulse.vision.clock import Sampler
from classpulse.vision.detect import RetinaFace, build_detector, iou
from classpulse.vision.image import crop_face, prepare
from classpulse.vision.source import open_source

RESULTS = Path(__file__).parent / "results" / "face_finding.json"
SURE = 0.9  # detections that start a track
COVERS = 0.3  # IoU
FRAMES = 60
STEP = 6
SIZES = (640 * 360, 960 * 540, 1280 * 720, 1920 * 1080)  # pixels of the detector's input


@dataclass(frozen=True)
class Agreement:
    clip: str
    seconds: float
    how: str
    faces: int
    iou: float
    iou_low: float
    same_label: float
    missed: float


def carry_all(
    frames: list[Frame], found: list[Faces], *, seconds: float, how: str
) -> Iterator[tuple[int, Faces]]:
    """(frame, faces) of the frames that are not searched."""
    due = Sampler(seconds)
    due.keeps(frames[0].t)
    faces = found[0]
    for index, (before, frame) in enumerate(pairwise(frames), start=1):
        if due.keeps(frame.t):
            faces = found[index]
            continue
        faces = carry_faces(before, faces, frame) if how == "carry" else faces
        yield index, faces


def read_labels(model: OnnxModel, frame: Frame, faces: Faces) -> list[int]:
    """First emotion of each face."""
    if not len(faces):
        return []
    spec, marks = model.card.input, faces.landmarks
    assert marks is not None
    crops = [crop_face(frame.image, faces.box[i], marks[i], spec) for i in range(len(faces))]
    head = model.card.heads[0].name
    top: list[int] = model.predict(np.stack([prepare(c, spec) for c in crops]))[head].top.tolist()
    return top


def measure_clip(path: Path, model: OnnxModel, every: tuple[float, ...]) -> list[Agreement]:
    find = build_detector("retinaface")
    with open_source(path) as source:
        frames = [frame for _, frame in zip(range(FRAMES), source, strict=False)]
    seen = [find(frame) for frame in frames]
    found = [faces[faces.score > SURE] for faces in seen]
    labels = [read_labels(model, *both) for both in zip(frames, found, strict=True)]
    results = []
    for seconds in every:
        for how in ("carry", "hold"):
            overlaps, same, missed = [], [], 0
            for index, faces in carry_all(frames, found, seconds=seconds, how=how):
                if not len(faces) or not len(found[index]):
                    missed += len(found[index])
                    continue
                overlap = iou(found[index].box, faces.box)  # (found, carried)
                rows = np.flatnonzero(overlap.max(axis=1) > COVERS)
                missed += len(overlap) - len(rows)
                overlaps += overlap.max(axis=1)[rows].tolist()
                read = read_labels(model, frames[index], faces[overlap.argmax(axis=1)[rows]])
                same += [a == labels[index][b] for a, b in zip(read, rows, strict=True)]
            if overlaps:
                low = float(np.percentile(overlaps, 5))
                total = len(overlaps) + missed
                parts = (float(np.mean(overlaps)), low, float(np.mean(same)), missed / total)
                results.append(
                    Agreement(path.name, seconds, how, total, *(round(part, 3) for part in parts))
                )
    return results


@dataclass(frozen=True)
class Size:
    clip: str
    pixels: int
    faces: int
    smallest: float
    cpu_ms: float


def measure_sizes(path: Path) -> list[Size]:
    with open_source(path) as source:
        frames = [f for f in source if f.index % STEP == 0 and f.index < FRAMES]
    results = []
    for pixels in SIZES:
        find = RetinaFace(pixels=pixels, max_scale=4.0)
        find(frames[0])
        found, spent = [], []
        for frame in frames:
            start = time.process_time()
            faces = find(frame)
            spent.append(time.process_time() - start)
            found.append(faces[faces.score > SURE])
        sides = np.concatenate([faces.side for faces in found])
        cost = round(1e3 * statistics.median(spent), 1)
        results.append(Size(path.name, pixels, len(sides), round(float(sides.min()), 1), cost))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="face-base")
    parser.add_argument("--every", type=float, nargs="+", default=[0.1, 0.2, 0.4])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    model = OnnxModel(given.model)
    given.results.parent.mkdir(exist_ok=True)
    results: dict[str, list[dict[str, Any]]] = {"carried": [], "sizes": []}
    with TemporaryDirectory(prefix="classpulse-") as folder:
        tiled = Path(folder) / "ten faces 1280x720.mp4"
        write_clip(tiled, frames=FRAMES)
        clips = sorted(p for p in VIDEOS.iterdir() if p.suffix in (".gif", ".mkv"))
        for path in (*clips, tiled):
            rows = {
                "carried": measure_clip(path, model, tuple(given.every)),
                "sizes": measure_sizes(path),
            }
            for name, found in rows.items():
                print(*found, sep="\n", flush=True)
                results[name] += [asdict(one) for one in found]
            given.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
