"""What one process of `face_latency.py` measures: a network, a peer, matrix products, or a clip."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from face_clip import load_faces, load_pictures
from face_roofline import count_products, measure_peaks
from measure import clock_call, median_times, peak_mb, time_calls
from numpy.typing import NDArray

from classpulse.core.records import Faces, Frame
from classpulse.runtime.model import OnnxModel
from classpulse.vision.image import prepare
from classpulse.vision.source import open_source

BATCHES, THREADS = (1, 8, 32, 64), (1, 2)
PEER = "fer"  # whose frames per second ours are compared with
EVERY_FRAME = 1e-3  # seconds between analyzed frames: less than one frame lasts
CORES = 2  # that a clip is analyzed on
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """What one process measures.

    Args:
        kind: "network", "peer", "peak" or "clip".
        model: folder of an artefact, or a peer as `open_peer` takes it.
        mode: of a clip: "default" (faces are looked for every 0.2 s and followed between),
            "detect always", "serial" (default, but one thing after the other), "faces given".
        threads: of all but a clip, which has `CORES` cores.
        quick: few calls about few faces, for a look at whether all of it runs.
    """

    kind: str
    model: str = ""
    mode: str = ""
    threads: int = 1
    quick: bool = False

    def rows(self, size: int) -> int:
        """How many faces stand for a batch."""
        return min(size, 2) if self.quick else size

    @property
    def seconds(self) -> float:
        """How long a call is repeated."""
        return 0.0 if self.quick else 0.5


def measure_case(case: Case, folder: Path) -> dict[str, Any]:
    """The numbers of one case; runs in a process of its own."""
    if case.kind == "peak":
        return measure_peaks(case.threads, quick=case.quick)
    if case.kind == "network":
        return measure_network(case, load_pictures(folder))
    if case.kind == "peer":
        return measure_peer(case, load_pictures(folder))
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    stream = open_peer_stream(case, folder) if case.model == PEER else open_stream(case, folder)
    start = time.perf_counter(), time.process_time()  # everything is loaded, the file not yet open
    faces = list(stream)
    wall, spent = time.perf_counter() - start[0], time.process_time() - start[1]
    return {
        "frames_per_second": len(faces) / wall,
        "cpu_ms": 1e3 * spent / len(faces),
        "faces": statistics.mean(faces),
        "peak_mb": peak_mb(),
    }


# --- batches of faces ----------------------------------------------------------------------------


def measure_network(case: Case, pictures: Images) -> dict[str, Any]:
    """An artefact: from the pictures to the scores, and the network alone."""
    model = OnnxModel(case.model, threads=case.threads)

    def prepare_all(some: Images) -> NDArray[np.float32]:
        return np.stack([prepare(one, model.card.input) for one in some])

    def ask(some: Images) -> Any:  # the lab's `predict_heads` would bring scikit-learn's memory
        return model.predict(prepare_all(some))

    found = _rates(case, partial(clock_call, ask), pictures)
    prepared = prepare_all(pictures)
    for size in BATCHES:
        batch = np.resize(prepared, (case.rows(size), *prepared.shape[1:]))
        wall, _ = time_calls(model.predict, batch, seconds=case.seconds)
        found[str(size)]["network_per_second"] = len(batch) / wall
    memory = peak_mb()  # before the graph is read once more
    flops = 2 * count_products(Path(case.model) / "model.onnx")
    return {"batches": found, "flops": flops, "peak_mb": memory}


def measure_peer(case: Case, pictures: Images) -> dict[str, Any]:
    """A peer; with several threads one copy in each, which share out the batch.

    Of peers in processes of their own it is their time and their memory, without this process.
    """
    from classpulse.lab.evaluate.peers import NpmPeer, open_peer

    peers = [open_peer(case.model) for _ in range(case.threads)]
    elsewhere = [peer for peer in peers if isinstance(peer, NpmPeer)]
    with ThreadPoolExecutor(case.threads) as pool, ExitStack() as owned:
        for peer in elsewhere:
            owned.enter_context(peer)

        def ask(some: Images) -> Any:
            if min(case.threads, len(some)) == 1:
                return peers[0].predict(some)
            parts = np.array_split(some, case.threads)
            return list(pool.map(lambda peer, part: peer.predict(part), peers, parts))

        def time_once(some: Images) -> tuple[float, float]:
            times = clock_call(ask, some)
            spent = [peer.spent for peer in elsewhere[: len(some)]]
            return (max(s.wall for s in spent), sum(s.cpu for s in spent)) if spent else times

        batches = _rates(case, time_once, pictures)
        return {"batches": batches, "peak_mb": sum(peak_mb(p.pid) for p in elsewhere) or peak_mb()}


def _rates(
    case: Case, time_once: Callable[[Images], tuple[float, float]], pictures: Images
) -> dict[str, Any]:
    """Size of the batch -> faces a second, and processor milliseconds a face."""
    found = {}
    for size in BATCHES:
        some = np.resize(pictures, (case.rows(size), *pictures.shape[1:]))
        wall, spent = median_times(partial(time_once, some), seconds=case.seconds)
        rates = {"faces_per_second": len(some) / wall, "cpu_ms": 1e3 * spent / len(some)}
        found[str(size)] = rates
    return found


# --- a clip --------------------------------------------------------------------------------------


def open_stream(case: Case, folder: Path) -> Iterator[int]:
    """Faces read in each frame of the clip by `watch`, as `classpulse analyze` asks it."""
    from classpulse.room.pipeline import DETECT_EVERY, watch

    given = None if case.mode != "faces given" else Given(load_faces(folder))
    stream = watch(
        folder / "clip.mp4",
        every=EVERY_FRAME,
        detect_every=0.0 if case.mode in ("detect always", "faces given") else DETECT_EVERY,
        model=case.model,
        detector=given or "retinaface",
        overlap=case.mode != "serial",
    )
    return (len(seen.readings) for seen in stream)


class Given:
    """A detector that knows the faces of each frame beforehand."""

    def __init__(self, faces: list[Faces]) -> None:
        self.faces = faces

    def __call__(self, frame: Frame) -> Faces:
        return self.faces[frame.index]


def open_peer_stream(case: Case, folder: Path) -> Iterator[int]:
    """Faces read in each frame by `fer`, as its `FER().detect_emotions` goes about it."""
    import cv2

    from classpulse.lab.evaluate.peers import open_peer
    from classpulse.vision.detect import load_cascade

    peer, cascade = open_peer(PEER), load_cascade()
    given = load_faces(folder) if case.mode == "faces given" else None

    def read(frame: Frame) -> int:
        grey = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        if given is None:
            how = cv2.CASCADE_SCALE_IMAGE
            boxes = cascade.detectMultiScale(grey, 1.1, 5, flags=how, minSize=(50, 50))
        else:
            low, high = np.split(given[frame.index].box, 2, axis=1)
            boxes = np.hstack([low, high - low]).astype(int)
        for x, y, w, h in boxes:  # 10 pixels of padding, one face after the other
            crop = grey[max(y - 10, 0) : y + h + 10, max(x - 10, 0) : x + w + 10]
            peer.predict(crop[None])
        return len(boxes)

    return map(read, read_all(folder / "clip.mp4"))


def read_all(path: Path) -> Iterator[Frame]:
    with open_source(path) as frames:
        yield from frames
