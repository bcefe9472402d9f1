"""What the benchmarks share, and that the pages are what their programs make of stored results."""

import json
import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.append(str(ROOT / "benchmarks"))

import classic_page  # noqa: E402
import parallel_page  # noqa: E402
from measure import (  # noqa: E402
    Usage,
    describe_machine,
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


def test_one_against_rest_is_compared_with_that_of_scikit_learn() -> None:
    import numpy as np
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
