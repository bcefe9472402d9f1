"""What the benchmarks share, and that the pages are what their programs make of stored results."""

import json
import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.append(str(ROOT / "benchmarks"))

import classic_page  # noqa: E402
import face_page  # noqa: E402
import parallel_page  # noqa: E402
from measure import (  # noqa: E402
    Usage,
    describe_machine,
    median_times,
    origin_line,
    others_share,
    sign_figure,
)
from pages import fill_text  # noqa: E402

from classpulse.lab.evaluate.figures import build_axes, render_svg  # noqa: E402

ONE = {"date": "2026-11-22", "machine": "2 x Some", "commit": "abc", "load": 1.0}


def test_an_origin_is_one_line() -> None:
    assert origin_line(ONE) == "date 2026-11-22; machine 2 x Some; commit abc"
    two = origin_line(ONE, ONE | {"commit": "0de"})
    assert two == "date 2026-11-22; machine 2 x Some; commit 0de, abc"


def test_what_was_not_noted_is_said_and_not_invented() -> None:
    assert origin_line({}) == "date not recorded; machine not recorded; commit not recorded"
    assert origin_line(ONE, {"machine": "2 x Some"}) == (
        "date 2026-11-22 (of others not recorded); machine 2 x Some; "
        "commit abc (of others not recorded)"
    )


def test_a_machine_says_all_of_its_origin() -> None:
    assert "not recorded" not in origin_line(describe_machine())


def test_a_figure_carries_its_origin() -> None:
    figure, (axes,) = build_axes(4.0, 3.0)
    axes.plot([1, 2], [1, 2])
    assert origin_line(ONE) in render_svg(sign_figure(figure, origin_line(ONE)))


@pytest.mark.parametrize(
    ("all_used", "own", "share"),
    [(10.0, 10.0, 0.0), (10.0, 4.0, 0.3), (9.0, 10.0, 0.0), (30.0, 0.0, 1.0)],
)
def test_others_are_all_processes_without_our_own(
    all_used: float, own: float, share: float
) -> None:
    end = Usage(100 + all_used, 5 + own, 1010.0)
    assert others_share(Usage(100, 5, 1000.0), end, cores=2) == share


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="Linux tells it")
def test_children_that_have_ended_are_our_own() -> None:
    start = Usage.now()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    end = Usage.now()
    assert end.own - start.own > 0.02 and end.all > start.all
    assert 0 <= others_share(start, end) <= 1


@pytest.mark.skipif(not Path("/proc/stat").is_file(), reason="Linux tells it")
def test_what_a_fork_server_started_is_our_own() -> None:
    """Trainings start their workers so, and they are no children of this process."""
    start = Usage.now()
    worker = get_context("forkserver").Process(target=sum, args=(range(3 * 10**7),))
    worker.start()
    worker.join()
    assert Usage.now().own - start.own > 0.1


def test_the_page_on_the_parallel_schemes_is_that_of_its_results() -> None:
    found = json.loads((RESULTS / "parallel.json").read_text(encoding="utf-8"))
    assert parallel_page.describe_page(found) == (ROOT / "docs" / "parallel.md").read_text("utf-8")
    line = origin_line(*parallel_page.cases_of(found).values())
    assert line in (ROOT / "docs" / "parallel" / "speedup.svg").read_text("utf-8")


def test_defaults_are_the_sizes_of_the_page() -> None:
    from parallel_cases import CASES

    found = json.loads((RESULTS / "parallel.json").read_text(encoding="utf-8"))
    assert {name: found[name]["base"] for name in CASES} == {
        name: case.base for name, case in CASES.items()
    }


def test_the_tables_of_the_classical_pipeline_are_those_of_its_results() -> None:
    found = json.loads((RESULTS / "classic.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "classic.md").read_text(encoding="utf-8")
    assert fill_text(page, found, classic_page.TABLES) == page
    with pytest.raises(SystemExit, match="0 places for 'origin'"):
        fill_text("no marks", found, classic_page.TABLES)


def test_the_table_of_training_speed_is_that_of_its_results() -> None:
    import training_speed

    found = json.loads(training_speed.RESULT.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    assert fill_text(page, found, {"speed": training_speed.describe_speeds}) == page


def speed_results(**changed: Any) -> dict[str, Any]:
    """Results of face_latency.py: one model, its int8 copy, and fer."""

    def batches(speed: float) -> dict[str, Any]:
        one = {"faces_per_second": speed, "cpu_ms": 1e3 / speed, "network_per_second": speed}
        sizes = dict.fromkeys(("1", "8", "32", "64"), one)
        return {"batches": sizes, "others": 0.01, "flops": 4e8, "peak_mb": 123.4}

    def clip(speed: float) -> dict[str, Any]:
        spent = {"cpu_ms": 2e3 / speed, "faces": 9.5, "peak_mb": 300.0, "others": 0.02}
        return {"frames_per_second": speed, "reach": [speed - 1, speed + 1], **spent}

    peaks = {"fp32": {"onnxruntime": 8e10, "numpy": 1e11}, "int8": {"onnxruntime": 4e11}}
    names = "face-flagship", "face-flagship-int8"
    copy = {"of": names[0], "calibrated": "FER2013 Training", "rows": 512, "agreement": 0.99}
    return {
        **ONE,
        "others": 0.015,
        "runs": 3,
        "clip_frames": 150,
        "faces_in_clip": 10,
        "pictures": [64, 128],
        "goals": face_page.GOALS,
        "times_peer": face_page.TIMES_PEER,
        "arithmetic": dict(zip(names, ("fp32", "int8"), strict=True)),
        "int8": {names[1]: copy},
        "peers": {"fer": "fer 25.10.3"},
        "skipped": {"facex": "not installed: run  pip install"},
        "peaks": {"1": peaks | {"others": 0.0}},
        "networks": {
            name: {"1": batches(speed)}
            for name, speed in zip((*names, "peer:fer"), (200.0, 500.0, 4000.0), strict=True)
        },
        "clip": {
            names[0]: {"default": clip(12.0), "faces given": clip(18.0)},
            names[1]: {"default": clip(24.0)},
            "fer": {"default": clip(4.0), "faces given": clip(36.0)},
        },
        **changed,
    }


def test_the_speed_of_faces_is_told_beside_the_goals_the_peer_and_the_peak() -> None:
    text = face_page.describe_speed(speed_results())
    assert "| `face-flagship` | 15 frames/s | 12.0 frames/s | **not met** |" in text
    assert "| `face-flagship` | 5 times fer | 3.0 times | **not met** |" in text
    assert "| `face-flagship-int8` | 15 frames/s | 24.0 frames/s | met |" in text
    assert "| `face-flagship-int8` | 5 times fer | 6.0 times | met |" in text
    given = next(line for line in text.splitlines() if "| faces given | 18.0 |" in line)
    assert given.endswith("| 0.5 | 0.5 |")  # beside fer, faces given too
    # 200 faces/s of 400 MFLOP are 80 of 100 GFLOP/s, 500 of them 200 of 400
    assert "| `face-flagship` | fp32 | 1 | 400 | 80% | 80% | 80% | 80% | 80 | 100 | 80% |" in text
    assert "| 200 | 400 | 50% |" in text
    peaks = "float32 MatMul by numpy 100, MatMulInteger, uint8 x int8 by onnxruntime 400"
    assert peaks in " ".join(text.split())
    assert "- Not measured: facex: not installed" in text and "busy" not in text
    assert "| `peer:fer` | its own | 1 | 4000 | 4000 | 4000 | 4000 | 0.25 | 0.25 | 123 |" in text


def test_speeds_beside_other_work_and_without_the_peer_are_told_so() -> None:
    found = speed_results()
    found["clip"]["face-flagship"]["default"]["others"] = 0.4
    found["int8"]["face-flagship-int8"]["calibrated"] = "the clip itself"
    del found["clip"]["fer"], found["networks"]["peer:fer"]["1"]["peak_mb"]
    text = face_page.describe_speed(found)
    assert "**The machine was busy" in text and "40% beside the worst case" in text
    assert "| 0.25 | 0.25 | not measured |" in text  # by those who did not ask for memory yet
    assert "not installed" in text and "times fer |" not in text.split("### Goals")[1]
    assert "pictures of the clip itself, which flatters" in text


def test_a_peer_in_a_process_of_its_own_has_the_time_that_it_spent_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import face_cases
    import npm_fake

    from classpulse.lab.evaluate import peers

    def open_fake(_: str) -> peers.NpmPeer:
        return peers.NpmPeer(peers.npm.HUMAN, [sys.executable, npm_fake.__file__, "answers"])

    monkeypatch.setattr(peers, "open_peer", open_fake)
    monkeypatch.setattr(face_cases, "peak_mb", lambda pid: 10.0)
    pictures = np.ones((3, 8, 8, 3), np.uint8)
    for threads, speed, spent in ((1, 2.0, 1.0), (2, 2.0, 2.0)):  # 2 faces, in 1 s by the clock
        case = face_cases.Case("peer", "any", threads=threads, quick=True)
        found = face_cases.measure_peer(case, pictures)
        assert found["peak_mb"] == 10 * threads
        assert found["batches"]["1"] == {"faces_per_second": 1.0, "cpu_ms": 2e3}
        assert found["batches"]["8"] == {"faces_per_second": speed, "cpu_ms": 1e3 * spent}


def test_the_first_of_the_times_warms_up() -> None:
    times = iter([(9.0, 9.0), (1.0, 6.0), (3.0, 4.0), (2.0, 5.0)])
    assert median_times(lambda: next(times), seconds=0.0) == (2.0, 5.0)


def test_the_table_of_face_speed_is_that_of_its_results() -> None:
    import face_latency

    found = json.loads(face_latency.RESULTS.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    if "peaks" not in found:
        pytest.skip("measured before the page was written by its program")
    assert fill_text(page, found, face_page.TABLES) == page


def test_the_page_of_another_domain_lists_sizes_from_the_largest_down() -> None:
    import domain
    from builders import build_card

    from classpulse.core.labels import FER2013_7
    from classpulse.core.records import Interval
    from classpulse.lab.data.faces import FaceSet
    from classpulse.lab.evaluate.framing import FramingCost
    from classpulse.lab.evaluate.robustness import RobustnessRow

    one = Interval(0.7, 0.65, 0.75)
    rows = [
        RobustnessRow(kind, kind.title(), "px", level, 1000, one, one, one)
        for kind, level in (("size", 48), ("size", 16), ("noise", 10), ("size", 192))
    ]
    people = FaceSet(
        np.zeros((3, 48, 48), np.uint8), np.zeros(3, np.int64), FER2013_7, "CK+48",
        subject=np.array(["a", "a", "b"]),
    )  # fmt: skip
    cost = FramingCost(3589, 2100, one, one, Interval(0.01, 0.0, 0.02))
    text = domain.page(domain.Measured(build_card(), cost, people, one, rows))
    assert "| 3,589 | 2,100 | 0.700 [0.650, 0.750] |" in text and "3 posed pictures of 2 " in text
    listed = [line.split(" | ")[:2] for line in text.splitlines() if ", px |" in line]
    assert listed == [["| Noise, px", "10"], *(["| Size, px", f"{n}"] for n in (192, 48, 16))]
    known = build_card(recipe="face-base")
    assert domain.describe_learned(known) == f"It was trained on: {known.trained_on}."
    assert domain.path_of(build_card(name="other")).name == "domain-other.md"


def test_products_are_counted_and_peaks_measured_in_both_arithmetics(tmp_path: Path) -> None:
    from builders import write_artefact
    from face_latency import arithmetic_of
    from face_roofline import count_products, measure_peaks

    peaks = measure_peaks(1, quick=True)
    assert set(peaks) == {"fp32", "int8"} and all(min(w.values()) > 1e6 for w in peaks.values())
    artefact = write_artefact(tmp_path / "tiny")
    assert count_products(artefact / "model.onnx") > 0 and arithmetic_of(artefact) == "fp32"


def test_rows_that_a_graph_makes_itself_are_counted(tmp_path: Path) -> None:
    """As in a network that reads a face and its mirror image in one pass."""
    import onnx
    from face_roofline import count_products
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.zeros((4, 1, 3, 3), np.float32), "weights")
    nodes = [
        helper.make_node("Concat", ["faces", "faces"], ["both"], axis=0),
        helper.make_node("Conv", ["both", "weights"], ["out"], pads=[1, 1, 1, 1]),
    ]
    given = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 1, 8, 8])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["m", 4, 8, 8])
    graph = helper.make_graph(nodes, "twice", [given], [out], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "twice.onnx")
    assert count_products(tmp_path / "twice.onnx") == 2 * 4 * 8 * 8 * 9


def test_one_against_rest_is_compared_with_that_of_scikit_learn() -> None:
    from parallel_cases import rest_serial, same_machine, svc_serial

    from classpulse.lab.parallel.svm import ParallelSVC

    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(120, 5)), draw.integers(0, 3, 120)
    data = (x[:90], y[:90], x[90:])
    rest = ParallelSVC(scheme="one-vs-rest").fit(*data[:2])
    for serial, ours in (
        (rest_serial(data), rest),
        (svc_serial(data), ParallelSVC().fit(*data[:2])),
    ):
        facts = same_machine(data, serial, ours)
        assert facts["as_serial"] == 1.0
        assert facts["support_vectors"] == facts["support_vectors_serial"]


def test_make_bench_wants_its_data_before_anything_else(tmp_path: Path) -> None:
    words = ["make", "-C", str(ROOT), "bench", f"FER2013={tmp_path / 'none.csv'}"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode != 0 and "pip" not in done.stdout
    assert f"make bench cannot read {tmp_path / 'none.csv'}" in done.stderr
