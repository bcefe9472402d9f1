"""The page of the parallel schemes: what its verdicts, marks, tables and plots are made from."""

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

ROOT = Path(__file__).parents[2]
MEASURED = Path(__file__).parent / "parallel_measured.json"  # once: what tests say stays true
TRAINED = Path(__file__).parent / "parallel_trained.json"  # before serial runs were kept
sys.path.append(str(ROOT / "benchmarks"))

import parallel  # noqa: E402
import parallel_page  # noqa: E402
import parallel_simulation  # noqa: E402
from parallel_plots import draw_cluster, draw_speedups  # noqa: E402
from parallel_rows import cases_of, groups_of  # noqa: E402
from parallel_simulation import describe_cluster, hidden, speedups, step_of  # noqa: E402
from parallel_verdicts import describe_hypotheses, verdict  # noqa: E402

from classpulse.lab.parallel.workers import Load  # noqa: E402


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """What was measured, as it stood in the repository on 2026-11-30."""
    found: dict[str, Any] = json.loads(MEASURED.read_text("utf-8"))
    return found


@pytest.fixture
def found(stored: dict[str, Any]) -> dict[str, Any]:
    """Results whose part `lbp` follows eq. 22 with a = .6 and b = .5, so with efficiency .59."""
    found = deepcopy(stored)
    for row in found["lbp"]["rows"]:
        row["seconds"] = row["serial"] * (0.6 + 0.5 / row["workers"])
    return found


def cell(text: str, start: str, column: int) -> str:
    """One cell of the row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(start))
    return line.strip("| ").split(" | ")[column]


# --- the simulation against real runs ------------------------------------------------------------


def test_the_simulation_begins_with_the_real_training_of_one_worker(found: dict[str, Any]) -> None:
    one = found["training-step"]
    one["compute"] = 9.0  # a loop that is not a training
    one["real"] = [
        {"scheme": "synchronous", "workers": 1, "seconds": 1.0},
        {"scheme": "synchronous", "workers": 2, "seconds": 1.2},
        {"scheme": "compressed", "workers": 2, "seconds": 1.5},
        {"scheme": "asynchronous", "workers": 1, "seconds": 1.1},
        {"scheme": "asynchronous", "workers": 2, "seconds": 1.0},
    ]
    one["spread"], one["size"], one["coding"] = 0.0, 20e6, 0.0
    assert step_of(found).compute == 1.0
    text = describe_cluster(found)
    # 20 MB in .2 s but for two messages of 50 us: 100 MB/s
    assert "gives a link of 100 MB/s" in text
    assert "| synchronous | 1 | 1.000 | 1.000 | +0% | computing is taken from it |" in text
    assert "| synchronous | 2 | 1.200 | 1.200 | +0% | the link is fitted to it |" in text
    assert "| compressed | 2 | 1.500 | 1.100 | -27% | a prediction |" in text
    assert "| asynchronous | 1 | 1.100 | 1.000 | -9% | a prediction |" in text
    assert "| asynchronous | 2 | 1.000 | 1.400 | +40% | a prediction |" in text
    assert "charged 0.40 s a step" in text and "off by +0%" in text


def test_a_pair_without_anything_for_a_link_checks_no_sending(found: dict[str, Any]) -> None:
    found["training-step"]["real"][1]["seconds"] = 0.9
    text = describe_cluster(found)
    assert "its sending is not checked" in text and "MB/s" not in text
    assert "the link is fitted to it" not in text


def test_the_table_of_a_full_server_does_not_rise(stored: dict[str, Any]) -> None:
    text = describe_cluster(stored)
    line = next(x for x in text.splitlines() if x.startswith("| 1 Gbit/s, 100 us | asynchronous"))
    seconds = [float(x) for x in line.strip("| ").split(" | ")[2:]]
    assert seconds == sorted(seconds, reverse=True)
    message = stored["training-step"]["size"] / 125e6
    assert seconds[-1] == pytest.approx(449 * message, abs=0.01) and seconds[-1] < 92


def test_curves_that_lie_on_each_other_are_named(stored: dict[str, Any]) -> None:
    assert hidden({"a": [1.0] * 8, "b": [1.02] * 8, "c": [2.0] * 8}) == {
        "a and b": [4, 8, 16, 32, 64, 128, 256]
    }
    fast = speedups(step_of(stored))["10 Gbit/s, 20 us"]
    assert hidden(fast)["synchronous and compressed"][-1] == 256
    assert "lie on each other: " in describe_cluster(stored)


# --- verdicts ------------------------------------------------------------------------------------


def test_a_verdict_names_for_what_it_holds() -> None:
    assert verdict({"a": True, "b": True}) == "**Holds here** for all: `a`, `b`."
    assert verdict({"a": True, "b": False}) == "**Holds for** `a`; **does not hold for** `b`."
    assert verdict({"a": False}) == "**Does not hold here**, for none of `a`."


def section(text: str, number: int) -> str:
    return text.split(f"### {number}. ")[1].split("### ")[0]


def test_equation_22_is_judged_by_its_fit_and_not_by_the_efficiency(found: dict[str, Any]) -> None:
    text = section(describe_hypotheses(found), 1)
    assert "| `lbp` | 0.60 | 0.50 | 0.0% | 6 | 0.0% | 0.59 | holds |" in text
    for row in found["lbp"]["rows"]:  # times that no line in 1 / N tells
        row["seconds"] = row["serial"] * (0.5 if row["size"] == 1000 else 1.0)
    text = section(describe_hypotheses(found), 1)
    assert cell(text, "| `lbp` |", -1) == "does not hold" and "is another question" in text


def test_rows_with_more_workers_than_cores_do_not_judge_equation_22(found: dict[str, Any]) -> None:
    before = section(describe_hypotheses(found), 1)
    for row in found["lbp"]["rows"]:
        row["seconds"] *= 7 if row["workers"] > 2 else 1
    assert section(describe_hypotheses(found), 1) == before


def test_one_feature_or_machine_does_not_speak_for_all(stored: dict[str, Any]) -> None:
    text = describe_hypotheses(stored)
    assert (
        section(text, 2)
        .split("\n\n")[1]
        .startswith("**Holds for** `lbp`, `hog`, `gabor`, `blocks`; **does not hold for** `haar`.")
    )
    assert (
        section(text, 4)
        .split("\n\n")[1]
        .startswith(
            "**Holds for** `svm-one-vs-one`, `svm-one-vs-rest`; "
            "**does not hold for** `svm-cascade`."
        )
    )
    assert "| `svm-one-vs-one` | 1.81 | 0.91 |" in text and "| `svm-one-vs-rest` | 1.86 |" in text
    assert "for none of `training`, `prediction`" in section(text, 3)
    assert "**Not tested.**" in section(text, 5)


def test_haar_is_explained_by_what_does_not_get_less_with_workers(stored: dict[str, Any]) -> None:
    text = section(describe_hypotheses(stored), 2)
    assert "12,000 pictures are 0.9 s of work, 75 us each" in text and "99 MB" in text
    assert "0.33 s with 1, 0.34 s with 2 workers" in text


# --- rows ----------------------------------------------------------------------------------------


def test_rows_faster_than_their_cores_are_marked_and_explained(stored: dict[str, Any]) -> None:
    text = parallel_page.describe_page(stored)
    row = next(x for x in text.splitlines() if "| 1,024 pictures in an epoch | 4* | 1.322" in x)
    assert row.startswith("| `hogwild` |") and " 2.86† " in row
    assert "2.86 times faster on 2 cores is not possible" in text
    assert cell(text, "| `lbp` | 2,000 pictures of 48 x 48 | 2 |", 6) == "1.72"
    assert "take turns on 2 cores" in text


def test_serial_runs_of_the_same_work_stand_beside_each_other(stored: dict[str, Any]) -> None:
    text = parallel_page.describe_page(stored)
    start = "| training of the small network | 512 pictures"
    assert cell(text, start, 2) == "`ddp-small` 0.626, `async` 0.530, `hogwild` 0.601"
    assert cell(text, start, 3) == "18%" and "were not kept yet" in text


def test_a_law_without_an_error_says_why(stored: dict[str, Any]) -> None:
    text = parallel_page.describe_page(stored)
    assert cell(text, "| `lbp` | usl |", 3) == "none: 2 points, 2 parameters"
    case = stored["lbp"] | {
        "rows": [
            row | {"workers": n, "seconds": row["serial"] / s}
            for row in stored["lbp"]["rows"][-1:]
            for n, s in ((1, 1.0), (2, 1.8), (4, 3.1), (8, 4.4))
        ]
    }
    text = parallel_page.describe_page(stored | {"lbp": case})
    assert cell(text, "| `lbp` | usl |", 3).endswith("%")


def test_least_and_most_of_the_runs_are_shown_where_they_were_kept(found: dict[str, Any]) -> None:
    before = parallel_page.describe_page(found)
    row = found["lbp"]["rows"][0]
    row |= {"serial": 0.25, "serial_range": [0.2, 0.3], "seconds": 0.5, "seconds_range": [0.4, 0.6]}
    found["training-step"]["real"][0]["seconds_range"] = [1.3, 1.5]
    text = parallel_page.describe_page(found)
    start = "| `lbp` | 500 pictures of 48 x 48 | 1 |"
    assert cell(text, start, 3) == "0.250 (0.200 to 0.300)" and "(" not in cell(before, start, 3)
    assert cell(text, start, 4) == "0.500 (0.400 to 0.600)"
    assert "| synchronous | 1 | 1.427 (1.300 to 1.500) |" in text
    assert "were not kept yet" not in text


def test_the_split_of_the_convolution_is_shown(found: dict[str, Any]) -> None:
    row = found["convolution"]["rows"][1]
    row["split"] = {"tile": [7, 64], "tiles": 9, "halo": 0.25, "tasks": [5, 4], "busy": [0.2, 0.1]}
    text = parallel_page.describe_page(found).split("## How the convolution is cut")[1]
    start = "| `convolution` | 512 rows of 512 pixels | 2 |"
    assert cell(text, start, 3) == "7 x 64" and cell(text, start, 4) == "9"
    assert cell(text, start, 5) == "25.0%"
    assert cell(text, start, 6) == "5 + 4" and cell(text, start, 7) == "0.200 + 0.100"
    for name in ("convolution", "convolution-processes"):  # as before splits were kept
        for row in found[name]["rows"]:
            row.pop("split")
    assert "How the convolution is cut" not in parallel_page.describe_page(found)


# --- what new measurements keep ------------------------------------------------------------------


def test_a_row_keeps_least_and_most_and_the_split() -> None:
    cut = {"tile": [5, 8], "tiles": 3, "halo": 0.5}
    load = Load(tasks=(2, 1), seconds=(0.2, 0.1), processor=(0.2, 0.1), peak_mb=80.4)
    runs = [parallel.Run(s, s, load, cut) for s in (0.3, 0.5, 0.4)]
    row = parallel.build_row([1.0, 0.8, 1.3], [1.0, 0.8, 1.2], runs)
    assert row["serial"] == 1.0 and row["serial_range"] == [0.8, 1.3]
    assert row["seconds"] == 0.4 and row["seconds_range"] == [0.3, 0.5]
    assert row["idle_speedup"] == 2.5 and row["balance"] == pytest.approx(0.75)
    assert row["split"] == cut | {"tasks": [2, 1], "busy": [0.2, 0.1]}
    told = parallel.build_row([1.0], [1.0], [parallel.Run(0.5, 0.5, Load(), None)])
    assert told["balance"] is None and "split" not in told


def test_a_convolution_tells_its_split() -> None:
    from parallel_cases import CASES

    from classpulse.lab.parallel.workers import Workers

    case = CASES["convolution"]
    with Workers(1, kind="here") as pool:
        run = parallel.time_parallel(case, case.build(16), pool)
    read = (9 + 9 + 9 + 5) * 4 * 132  # tiles of 5, 5, 5, 1 rows, of 128 columns, each with 4 more
    halo = read / (20 * 516) - 1
    assert run.split == {"tile": [5, 128], "tiles": 16, "halo": pytest.approx(halo)}


def test_every_part_is_measured_in_turns_with_its_serial_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A training too, which has no warm-up of its own: it leaves out its first epoch."""
    from parallel_cases import CASES

    order: list[Any] = []

    class Pool:
        def __init__(self, count: int) -> None:
            self.count = count

        def run(self, *_: Any) -> Any:
            order.append("serial")
            return [(1.0 + len(order), 1.0, 100.0)], Load()

    def time_parallel(case: Any, data: Any, pool: Any) -> parallel.Run:
        order.append(pool.count)
        return parallel.Run(0.5, 0.5, Load(), None)

    monkeypatch.setattr(parallel, "time_parallel", time_parallel)
    assert not CASES["hogwild"].warm and CASES["hogwild"].runs > 1
    pools: Any = {n: Pool(n) for n in (1, 2)}
    rows = parallel._measure_size("hogwild", 512, Pool(1), pools, runs=3)  # type: ignore[arg-type]
    assert order == ["serial", 1, 2] * 3
    assert [row["serial_range"] for row in rows] == [[2.0, 8.0]] * 2


def test_schemes_of_a_training_take_turns_with_steps_alone() -> None:
    pytest.importorskip("torch")
    import parallel_training

    times = iter((0.3, 0.25, 0.28))
    rows = parallel_training.in_turns(
        {"ddp": None, "async": None}, lambda name, how: {"name": name}, lambda: next(times)
    )
    assert rows == [
        {"name": "ddp", "serial": [0.3, 0.25]},
        {"name": "async", "serial": [0.25, 0.28]},
    ]


def test_the_page_of_trainings_shows_what_was_kept_and_takes_what_was_not() -> None:
    pytest.importorskip("torch")
    import parallel_training

    now = parallel_training.describe(json.loads(parallel_training.RESULT.read_text("utf-8")))
    page = (ROOT / "docs" / "parallel-training.md").read_text("utf-8")
    assert page.endswith(parallel_training.BEGIN + now)
    old = json.loads(TRAINED.read_text("utf-8"))
    text = parallel_training.describe(old)
    assert "`alone` has nobody to send to; the workers of `hogwild` write to" in text
    assert "trainings alone on this page, by different optimizers, took 0.239 to 0.311 s" in text
    new = deepcopy(old)
    for row in new["schemes"]:
        row |= {"serial": [0.3, 0.36], "step_range": [0.1, 0.2]}
    text = parallel_training.describe(new)
    assert "measured before and after each scheme: 0.300 to 0.360 s" in text
    assert "(by the serial runs just before and after it: 1.67 to 2.00)" in text
    assert "0.311 (0.100 to 0.200)" in text


# --- plots ---------------------------------------------------------------------------------------


def ticks(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_parts_of_a_panel_are_told_apart_and_the_goal_is_named(stored: dict[str, Any]) -> None:
    cases = cases_of(stored)
    figure = draw_speedups(cases)
    groups = groups_of(cases)
    assert sum(map(len, groups.values())) == len(cases)
    upper = figure.axes[: len(groups)]
    for axes, names in zip(upper, groups.values(), strict=True):
        lines = [line for line in axes.get_lines() if line.get_marker() not in ("None", "", None)]
        solid = [line for line in lines if line.get_linestyle() != "None"]
        assert len({line.get_color() for line in solid}) == len(solid) == len(names)
        assert len({line.get_marker() for line in solid}) == len(solid)
        assert ticks(axes.xaxis) == ["1", "2", "4"]
    (legend,) = figure.legends
    assert "goal: efficiency 0.85" in [text.get_text() for text in legend.get_texts()]


def test_a_part_without_a_group_is_drawn_too(stored: dict[str, Any]) -> None:
    cases = {"new": stored["lbp"], "hog": stored["hog"]}
    assert groups_of(cases) == {"features": ["hog"], "other": ["new"]}
    assert len(draw_speedups(cases).axes) == 6


def test_the_cluster_has_ticks_that_people_count_in(stored: dict[str, Any]) -> None:
    figure = draw_cluster(step_of(stored))
    for axes in figure.axes:
        assert ticks(axes.xaxis) == ["1", "4", "16", "64", "256"]
        assert any("of each other" in text.get_text() for text in axes.texts)
    assert set(parallel_simulation.LINKS) == {
        axes.get_title(loc="left").removeprefix("simulation: ") or "" for axes in figure.axes
    }


def test_schemes_without_bytes_are_named_in_the_plot() -> None:
    pytest.importorskip("torch")
    import parallel_training

    rows = json.loads(parallel_training.RESULT.read_text("utf-8"))["schemes"]
    last = parallel_training.draw_curves(rows).axes[2]
    assert [text.get_text() for text in last.texts] == ["no curve, nothing sent:\nalone, hogwild"]
    assert ticks(last.xaxis) == ["1", "10", "100"]
