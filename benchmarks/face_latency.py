"""How fast are faces read? The network alone, and everything from the file to the score.

    python benchmarks/face_latency.py [MODEL ...] [--no-int8] [--peer onnx:SPEC.json] [--npm FOLDER]
    python benchmarks/face_latency.py --quick
    python benchmarks/face_latency.py --page

MODEL is a shipped name or an artefact folder (default: every shipped face model). Batches of the
same pictures are asked of each model, of its int8 copy and of every peer that is installed (those
of npm in FOLDER/node_modules, or where $CLASSPULSE_NPM says); a clip of 1280 x 720 pixels with ten
real faces (`face_clip.py`) is analyzed frame by frame, beside `fer` on the same clip: its own
cascade with its own settings, and its network through LiteRT. Each case runs in a process of its
own, so that the peak memory is its own; cases take turns, the median of the rounds (`--runs`)
counts. `cpu_ms` is processor time of all threads. int8 copies are for the measurement only,
calibrated on FER2013 Training. Writes results/face_latency.json after each round and in the end
the tables of docs/performance.md (`--page`: only these). `--quick` measures next to nothing,
prints the tables and writes nothing.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from face_cases import PEER, THREADS, Case, measure_case
from face_clip import FACES, SIDE, load_pictures, prepare_clip
from face_page import GOALS, TIMES_PEER, describe_speed, write_page
from measure import FER, Usage, describe_machine, median_of, others_share, reads_faces
from numpy.typing import NDArray

from classpulse.core.card import save_card
from classpulse.core.errors import ClassPulseError
from classpulse.core.files import save_text
from classpulse.runtime.model import OnnxModel, find_model, shipped_models
from classpulse.vision.image import prepare

RESULTS = Path(__file__).parent / "results" / "face_latency.json"
CLIP_MODES = ("default", "serial", "detect always", "faces given")
QUICK_FRAMES, QUICK_ROWS = 10, 16


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Args:
        models: name in the tables -> folder of an artefact.
        copies: name of an int8 copy -> its facts: of which model, calibrated on what, and the share
            of pictures with the same first label.
        peers: as `open_peer` takes them -> what exactly answers.
        skipped: peers that are not installed -> why.
    """

    models: dict[str, Path]
    copies: dict[str, dict[str, Any]]
    peers: dict[str, str]
    skipped: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="shipped names or artefact folders")
    parser.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--fer2013", type=Path, default=FER, help="pictures for the int8 copies")
    parser.add_argument("--peer", action="append", default=[], help="onnx:SPEC.json; repeatable")
    parser.add_argument("--npm", type=Path, metavar="FOLDER", help="holds node_modules of peers")
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="next to nothing; writes nothing")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measure_case(Case(**json.loads(given.case)), given.folder)))
        return
    if given.npm:
        from classpulse.lab.evaluate.peers.npm import ENVIRONMENT

        os.environ[ENVIRONMENT] = str(given.npm.resolve())  # of this process and of all cases
    if not given.page:
        found: dict[str, Any] = {}
        for found in measure_all(given):
            if not given.quick:
                save_text(json.dumps(found, indent=1) + "\n", given.results)
        print(describe_speed(found))
    if not given.quick:
        print(write_page(json.loads(given.results.read_text(encoding="utf-8"))))


def measure_all(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The results so far, after each round."""
    machine, begin = describe_machine(), Usage.now()
    frames = QUICK_FRAMES if given.quick else given.frames
    with tempfile.TemporaryDirectory(prefix="classpulse-") as name:
        folder = Path(name)
        prepare_clip(folder, frames=frames)
        plan = make_plan(given, folder)
        cases = list_cases(plan, quick=given.quick)
        rounds: list[list[dict[str, Any]]] = []
        for _ in range(1 if given.quick else given.runs):
            rounds.append([run_case(case, folder) for case, _, _ in cases])
            yield machine | {
                "others": others_share(begin, Usage.now()),
                "runs": len(rounds),
                "clip_frames": frames,
                "faces_in_clip": FACES,
                "pictures": [len(load_pictures(folder)), SIDE],
                "goals": GOALS,
                "times_peer": TIMES_PEER,
                "arithmetic": {n: arithmetic_of(path) for n, path in plan.models.items()},
                "int8": plan.copies,
                "peers": plan.peers,
                "skipped": plan.skipped,
                **gather(cases, rounds),
            }


# --- what there is to measure --------------------------------------------------------------------


def make_plan(given: argparse.Namespace, folder: Path) -> Plan:
    """The artefacts with their int8 copies, and the peers that are installed."""
    names = given.models or [n for n, path in shipped_models().items() if reads_faces(path)]
    models = {Path(name).name: find_model(name).resolve() for name in names}
    copies = {}
    training = load_training(given.fer2013) if given.int8 else None
    if training is not None and given.quick:
        training = training[:QUICK_ROWS]
    for name, path in list(models.items()):
        if given.int8 and arithmetic_of(path) != "int8":
            int8 = f"{name}-int8"
            models[int8], copies[int8] = write_int8(path, folder, training=training)
    return Plan(models, copies, *find_peers(given.peer))


def load_training(path: Path) -> NDArray[np.uint8] | None:
    """(n, 48, 48) pictures of FER2013 Training, the same at every call; None without the file."""
    from classpulse.lab.data.fer2013 import load_fer2013
    from classpulse.lab.quantize import CALIBRATION

    if not path.is_file():
        return None
    images = load_fer2013(path, part="Training").images
    rows = np.random.default_rng(0).permutation(len(images))[:CALIBRATION]
    return np.asarray(images[np.sort(rows)], np.uint8)


def write_int8(
    source: Path, folder: Path, *, training: NDArray[np.uint8] | None
) -> tuple[Path, dict[str, Any]]:
    """An int8 copy of an artefact, and what is to be known of it (see `Plan`)."""
    import onnx

    from classpulse.lab.evaluate.predictors import predict_heads
    from classpulse.lab.quantize import quantize

    model, pictures = OnnxModel(str(source), threads=2), load_pictures(folder)
    fitted_on = pictures if training is None else training
    prepared = np.stack([prepare(one, model.card.input) for one in fitted_on])
    target = folder / f"{source.name}-int8"
    target.mkdir()
    content = quantize(onnx.load(source / "model.onnx"), prepared).SerializeToString()
    (target / "model.onnx").write_bytes(content)
    save_card(replace(model.card, sha256=hashlib.sha256(content).hexdigest()), target / "card.json")
    head = model.card.heads[0].name
    before, after = (
        predict_heads(one, pictures)[head].top for one in (model, OnnxModel(str(target)))
    )
    return target, {
        "of": source.name,
        "calibrated": "the clip itself" if training is None else "FER2013 Training",
        "rows": len(fitted_on),
        "agreement": float(np.mean(before == after)),
    }


def find_peers(further: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Peers that can be opened here -> what answers; the others -> why not."""
    from classpulse.lab.evaluate.peers import PEERS, open_peer

    found, skipped = {}, {}
    for name in [*(name for name in PEERS if name != "onnx"), *further]:
        try:
            found[name] = open_peer(name).source
        except ClassPulseError as error:
            skipped[name] = str(error)
    return found, skipped


def arithmetic_of(artefact: Path) -> str:
    """In which a graph computes: weights that are stored as float16 are float32 by then."""
    from classpulse.lab.export import read_precision

    return "int8" if read_precision(artefact / "model.onnx") == "int8" else "fp32"


def list_cases(plan: Plan, *, quick: bool) -> list[tuple[Case, str, str]]:
    """Cases with the table they go to and their row in it."""
    models = {name: str(path) for name, path in plan.models.items()}
    cases = [(Case("peak", threads=n), "peaks", "peaks") for n in THREADS]
    cases += [
        (Case("network", f, "", n), "networks", name) for name, f in models.items() for n in THREADS
    ]
    cases += [
        (Case("peer", p, "", n), "networks", f"peer:{p}") for p in plan.peers for n in THREADS
    ]
    cases += [
        (Case("clip", f, mode), "clip", name) for name, f in models.items() for mode in CLIP_MODES
    ]
    if PEER in plan.peers:
        cases += [(Case("clip", PEER, mode), "clip", PEER) for mode in ("default", "faces given")]
    return [(replace(case, quick=quick), table, row) for case, table, row in cases]


# --- all processes -------------------------------------------------------------------------------


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """Run a case in a process of its own; `others` is what other processes used meanwhile."""
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case)), "--folder", folder]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(case.threads)}
    begin = Usage.now()
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"others": others_share(begin, Usage.now())}


def gather(
    cases: Sequence[tuple[Case, str, str]], rounds: Sequence[Sequence[dict[str, Any]]]
) -> Mapping[str, Any]:
    """Table -> row -> mode or threads -> medians, and for a clip the least and most frames/s."""
    tables: dict[str, dict[str, Any]] = {"peaks": {}, "networks": {}, "clip": {}}
    for (case, name, row), found in zip(cases, zip(*rounds, strict=True), strict=True):
        one = median_of(list(found))
        if name == "clip":
            speeds = [each["frames_per_second"] for each in found]
            one["reach"] = [round(min(speeds), 2), round(max(speeds), 2)]
        tables[name].setdefault(row, {})[case.mode or str(case.threads)] = one
    return tables | {"peaks": tables["peaks"]["peaks"]}


if __name__ == "__main__":
    main()
