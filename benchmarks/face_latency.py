"""How fast are faces read? The network alone, and everything from the file to the score.

    .venv/bin/python benchmarks/face_latency.py [MODEL ...] [--int8] [--runs 3]

MODEL is a shipped name or an artefact folder (default: every shipped face model). A clip of
1280 x 720 pixels with ten real faces (`face_clip.py`) is analyzed frame by frame, beside `fer` on
the same clip: its own cascade with its own settings, and its network through LiteRT. Each case
runs in a process of its own, so that the peak memory is its own; cases take turns, the median of
the rounds counts. `cpu_ms` is processor time of all threads a frame: on a busy machine it says
more than frames per second. `--int8` also measures each model quantized (static, calibrated on
every eighth face of the clip), for the measurement only.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from face_clip import FACES, load_crops, load_faces, prepare_clip
from measure import describe_machine, median_of, peak_mb, time_calls

from classpulse.core.card import ModelCard
from classpulse.core.records import Faces, Frame
from classpulse.runtime.model import OnnxModel, find_model, shipped_models
from classpulse.vision.source import open_source

RESULTS = Path(__file__).parent / "results" / "face_latency.json"
BATCHES, THREADS = (1, 8, 32, 64), (1, 2)
PEER = "fer"
EVERY_FRAME = 1e-3  # seconds between analyzed frames: less than one frame lasts
GOALS = {"flagship": 15.0, "lite": 30.0, "times fer": 5.0}  # issue 5: frames/s on two idle cores


@dataclass(frozen=True)
class Case:
    """What one process measures.

    Args:
        kind: "network" or "clip"; model: folder, or `PEER`.
        mode: of a clip: "default" (faces are looked for every 0.2 s and followed between),
            "detect always", "serial" (default, but one thing after the other), "faces given".
        threads: of a network.
    """

    kind: str
    model: str
    mode: str = ""
    threads: int = 1


# --- one process -----------------------------------------------------------------------------


def measure_case(case: Case, folder: Path) -> dict[str, Any]:
    """The numbers of one case; runs in a process of its own."""
    if case.kind == "network":
        return measure_network(case, folder)
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


def open_stream(case: Case, folder: Path) -> Iterator[int]:
    """Faces read in each frame of the clip by `watch`."""
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


def measure_network(case: Case, folder: Path) -> dict[str, Any]:
    """Faces per second by batch size, and how near the network comes to a matrix product."""
    model = OnnxModel(case.model, threads=case.threads)
    crops = load_crops(folder, model.card.input)
    batches = {}
    for size in BATCHES:
        batch = np.resize(crops, (size, *crops.shape[1:]))
        wall, spent = time_calls(model.predict, batch)
        batches[size] = {"faces_per_second": size / wall, "cpu_ms": 1e3 * spent / size}
    square = np.resize(crops, (1024, 1024)).astype(np.float32)
    _, spent = time_calls(np.matmul, square, square)
    return {
        "batches": batches,
        "flops": 2 * count_products(Path(case.model) / "model.onnx"),
        "matmul_flops": 2 * 1024**3 / spent,  # per processor second
    }


def count_products(path: Path) -> int:
    """Multiplications of convolutions and matrix products for one face."""
    import onnx

    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {value.name: list(value.dims) for value in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        shapes[value.name] = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            per_value = int(np.prod(shapes[node.input[1]][1:]))
            total += per_value * int(np.prod(shapes[node.output[0]]))
        elif node.op_type in ("Gemm", "MatMul"):
            inner = shapes[node.input[0]][-1]
            total += inner * int(np.prod(shapes[node.output[0]]))
    return total


def write_int8(source: Path, folder: Path) -> tuple[Path, float]:
    """An int8 copy of an artefact, and the share of faces with the same first label as before."""
    import onnx

    from classpulse.core.card import save_card
    from classpulse.lab.quantize import quantize

    model = OnnxModel(str(source), threads=2)
    crops = load_crops(folder, model.card.input)
    target = folder / f"{source.name}-int8"
    target.mkdir()
    content = quantize(onnx.load(source / "model.onnx"), crops).SerializeToString()
    (target / "model.onnx").write_bytes(content)
    save_card(replace(model.card, sha256=hashlib.sha256(content).hexdigest()), target / "card.json")
    head = model.card.heads[0].name
    answers = [OnnxModel(str(path)).predict(crops)[head].top for path in (source, target)]
    return target, float(np.mean(answers[0] == answers[1]))


# --- all processes ---------------------------------------------------------------------------


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """Run a case in a process of its own."""
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case)), "--folder", folder]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # the matrix product is of one core
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def list_cases(models: Mapping[str, Path]) -> list[Case]:
    folders = [str(path) for path in models.values()]
    clip = ("default", "serial", "detect always", "faces given")
    return [
        *(Case("network", f, threads=n) for f in folders for n in THREADS),
        *(Case("clip", f, mode) for f in folders for mode in clip),
        *(Case("clip", PEER, mode) for mode in ("default", "faces given")),
    ]


def print_results(results: Mapping[str, Any]) -> None:
    """The tables of docs/performance.md."""
    machine = results["machine"]
    busy = f"BUSY with other work (load {machine['load']})" if machine["busy"] else "idle"
    print(f"{machine['processor']}, {machine['cores']} cores, {busy}, {machine['date']}, "
          f"{machine['commit']}, median of {results['runs']} runs")  # fmt: skip
    for name, share in results["int8_agreement"].items():
        print(f"{name}: {share:.1%} of the faces keep their first label in int8")
    print("\n| network | threads |", " | ".join(f"batch {size}" for size in BATCHES),
          "| CPU ms a face | MFLOP a face | rate beside a float32 matrix product |")  # fmt: skip
    print("|" + "---|" * (5 + len(BATCHES)))
    for name, found in results["networks"].items():
        for threads, one in found.items():
            cost = one["batches"]["8"]["cpu_ms"]
            share = one["flops"] / (cost / 1e3) / found["1"]["matmul_flops"]
            speeds = (f"{one['batches'][str(size)]['faces_per_second']:.0f}" for size in BATCHES)
            print(f"| {name} | {threads} |", " | ".join(speeds), f"| {cost:.1f} "
                  f"| {one['flops'] / 1e6:.0f} | {share:.0%} |")  # fmt: skip
    peer = results["clip"][PEER]["default"]
    print("\n| what reads | how | frames/s | CPU ms a frame | faces a frame | peak MB "
          "| beside fer | by CPU time |\n|" + "---|" * 8)  # fmt: skip
    for name, modes in results["clip"].items():
        for mode, one in modes.items():
            print(f"| {name} | {mode} | {one['frames_per_second']:.1f} | {one['cpu_ms']:.0f} "
                  f"| {one['faces']:.1f} | {one['peak_mb']:.0f} "
                  f"| {one['frames_per_second'] / peer['frames_per_second']:.1f} x "
                  f"| {peer['cpu_ms'] / one['cpu_ms']:.1f} x |")  # fmt: skip


def reads_faces(artefact: Path) -> bool:
    from classpulse.core.text_card import load_any_card

    return isinstance(load_any_card(artefact / "card.json"), ModelCard)


def measure_all(
    models: dict[str, Path], *, frames: int, runs: int, int8: bool
) -> Iterator[dict[str, Any]]:
    """The results so far, after each round."""
    machine, agreement = describe_machine(), {}
    with tempfile.TemporaryDirectory(prefix="classpulse-") as name:
        folder = Path(name)
        prepare_clip(folder, frames=frames)
        for model, path in list(models.items()) if int8 else ():
            models[f"{model}-int8"], agreement[model] = write_int8(path, folder)
        names = {str(path): name for name, path in models.items()} | {PEER: PEER}
        cases = list_cases(models)
        rounds: list[list[dict[str, Any]]] = []
        for _ in range(runs):
            rounds.append([run_case(case, folder) for case in cases])
            tables: dict[str, dict[str, dict[str, Any]]] = {"network": {}, "clip": {}}
            for case, found in zip(cases, zip(*rounds, strict=True), strict=True):
                row = tables[case.kind].setdefault(names[case.model], {})
                row[case.mode or str(case.threads)] = median_of(list(found))
            yield {
                "machine": machine,
                "clip_frames": frames,
                "faces_in_clip": FACES,
                "runs": len(rounds),
                "goals": GOALS,
                "int8_agreement": agreement,
                "networks": tables["network"],
                "clip": tables["clip"],
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="shipped names or artefact folders")
    parser.add_argument("--int8", action="store_true", help="also measure them quantized")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure_case(Case(**json.loads(given.case)), given.folder)))
        return
    names = given.models or [n for n, path in shipped_models().items() if reads_faces(path)]
    wanted = {Path(name).name: find_model(name).resolve() for name in names}
    given.results.parent.mkdir(exist_ok=True)
    for found in measure_all(wanted, frames=given.frames, runs=given.runs, int8=given.int8):
        given.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print_results(found)


if __name__ == "__main__":
    main()
