"""Plots exist, say what they show, are the same every time, and keep people's faces out."""

import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classpulse.core.errors import (
    InputError,
    MissingExtraError,
    OutputError,
    PrivacyError,
    ShapeError,
)
from classpulse.core.records import Interval
from classpulse.lab.evaluate import plots, plots_training
from classpulse.lab.evaluate.classification import reliability_curve, score_classes
from classpulse.lab.evaluate.compare import compare_models
from classpulse.lab.evaluate.figures import inline_svg, render_svg, save_figure
from classpulse.lab.evaluate.groups import score_groups
from classpulse.lab.evaluate.ranking import risk_coverage, score_auroc
from classpulse.lab.evaluate.regression import score_regression, score_throughput
from classpulse.lab.evaluate.report import render_evaluation
from classpulse.lab.evaluate.resample import count_confusion
from classpulse.lab.evaluate.robustness import RobustnessRow

NAMES = ("angry", "happy", "<sad>")
RANDOM = np.random.default_rng(0)
TRUTH = RANDOM.integers(0, 3, 90)
PROBS = (0.6 * np.eye(3)[TRUTH] + 0.4 * RANDOM.dirichlet((1, 1, 1), 90)).astype(np.float32)
PROBS[:20] = PROBS[:20, ::-1]
PREDICTED = PROBS.argmax(axis=1)
GROUPS = score_groups("age", ["child"] * 40 + ["adult"] * 40 + ["teen"] * 10, TRUTH, PREDICTED, 3)
LOG = [
    {"number": i, "side": 32 if i < 3 else 48, "loss": 2 / i, "accuracy": {"emotion": i / 9}}
    for i in range(1, 6)
]


def robustness_rows() -> list[RobustnessRow]:
    one = Interval(0.6, 0.5, 0.7)
    row = RobustnessRow("blur", "Blur", "sigma, pixels", 0.0, 90, one, one, Interval(0, 0, 0))
    return [row, replace(row, level=1.0), replace(row, degradation="size", title="Size", level=12)]


FIGURES: dict[str, tuple[Callable[[], Any], str]] = {
    "histogram": (
        lambda: plots.draw_class_histogram({"train": {"angry": 5, "happy": 1200}, "test": {}}),
        "1,200",
    ),
    "confusion": (
        lambda: plots.draw_confusion(count_confusion(TRUTH, PREDICTED, 3), NAMES),
        "predicted",
    ),
    "reliability": (
        lambda: plots.draw_reliability({"after": reliability_curve(PROBS, TRUTH)}),
        "right answers, %",
    ),
    "risk-coverage": (
        lambda: plots.draw_risk_coverage({"tiny": risk_coverage(PROBS, TRUTH)}),
        "answers kept, %",
    ),
    "robustness": (lambda: plots.draw_robustness({"tiny": robustness_rows()}), "sigma, pixels"),
    "groups": (lambda: plots.draw_groups([GROUPS]), "teen (n = 10)"),
    "learning": (lambda: plots_training.draw_learning_curves(LOG), "48 px"),
    "embedding": (
        lambda: plots_training.draw_embedding(
            RANDOM.normal(size=(90, 2)).astype(np.float32) * 0 + np.arange(90)[:, None],
            np.where(np.arange(90) < 5, -1, TRUTH),
            NAMES,
        ),
        "no label",
    ),
}


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_plot_is_written_and_is_the_same_every_time(name: str, tmp_path: Path) -> None:
    draw, words = FIGURES[name]
    svg = render_svg(draw())
    assert words in svg and "dc:date" not in svg
    assert svg == render_svg(draw())
    path = save_figure(draw(), tmp_path / "plots" / f"{name}.svg")
    assert path.read_text(encoding="utf-8") == svg


def test_png_files_are_the_same_every_time(tmp_path: Path) -> None:
    draw, _ = FIGURES["confusion"]
    first, second = (save_figure(draw(), tmp_path / f"{i}.png").read_bytes() for i in range(2))
    assert first == second and first.startswith(b"\x89PNG") and len(first) > 5000


def test_drawing_does_not_touch_pyplot_or_the_settings() -> None:
    import matplotlib

    before = matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.hashsalt"]
    FIGURES["groups"][0]()
    assert (matplotlib.rcParams["font.size"], matplotlib.rcParams["svg.hashsalt"]) == before


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"classpulse\[lab\]"):
        FIGURES["groups"][0]()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.svg or \.png"):
        save_figure(FIGURES["groups"][0](), tmp_path / "plot.pdf")


def test_pictures_of_people_only_when_asked(tmp_path: Path) -> None:
    faces = RANDOM.integers(0, 256, (3, 12, 12), dtype=np.uint8)
    with pytest.raises(PrivacyError, match="allow_pictures"):
        plots_training.draw_samples(faces, ["a", "b", "c"], allow_pictures=False)
    with pytest.raises(ShapeError, match="caption"):
        plots_training.draw_samples(faces, ["a"], allow_pictures=True)
    grid = plots_training.draw_samples(faces, ["a", "b", "c"], allow_pictures=True)
    assert save_figure(grid, tmp_path / "grid.png").stat().st_size > 1000


def test_an_empty_log_is_refused() -> None:
    with pytest.raises(InputError, match="no finished epoch"):
        plots_training.draw_learning_curves([])


def test_tsne_is_repeatable_and_keeps_clusters_apart() -> None:
    features = np.concatenate([RANDOM.normal(c, 0.1, (20, 5)) for c in (0, 5)]).astype(np.float32)
    points = plots_training.embed_tsne(features)
    np.testing.assert_array_equal(points, plots_training.embed_tsne(features))
    middle = points[:20].mean(axis=0), points[20:].mean(axis=0)
    near = np.linalg.norm(points[:20] - middle[0], axis=1)
    assert (near < np.linalg.norm(points[:20] - middle[1], axis=1)).all()
    with pytest.raises(ShapeError, match="n >= 5"):
        plots_training.embed_tsne(features[:4])


def test_an_inlined_plot_has_the_colors_of_the_page_and_its_own_ids() -> None:
    svg = render_svg(FIGURES["reliability"][0]())
    element = inline_svg(svg, key="one", title="Reliability")
    assert element.startswith("<svg") and 'aria-label="Reliability"' in element
    assert "var(--ink)" in element and "#1b272c" not in element and "<style" not in element
    other = inline_svg(svg, key="two", title="Reliability")
    ids = [{part.split('"')[0] for part in e.split(' id="')[1:]} for e in (element, other)]
    assert ids[0] and not ids[0] & ids[1]
    with pytest.raises(InputError, match="SVG"):
        inline_svg("<p>no</p>", key="x", title="")
    with pytest.raises(InputError, match="scripts"):
        inline_svg("<svg><script>1</script></svg>", key="x", title="")


def results() -> dict[str, Any]:
    head = {
        "n": 90,
        "accuracy": 0.7778,
        "accuracy_interval": [0.69, 0.86],
        "macro_f1": 0.7701,
        "macro_f1_interval": [0.68, 0.85],
        "ece": 0.0512,
        "ece_uncalibrated": 0.0934,
    }
    other = (PREDICTED + 1) % 3
    return {
        "model": "tiny & <b>small</b>",
        "data": "nothing",
        "kind": "emotion",
        **head,
        "kinds": {"emotion": head, "learning-state": head},
        "classes": asdict(score_classes(TRUTH, PREDICTED, NAMES)),
        "auroc": asdict(score_auroc(PROBS, TRUTH, NAMES)),
        "selective": asdict(risk_coverage(PROBS, TRUTH)),
        "comparisons": {"peer:fer": asdict(compare_models(TRUTH, PREDICTED, other, 3))},
        "robustness": [asdict(row) for row in robustness_rows()],
        "groups": [asdict(GROUPS)],
        "engagement": asdict(score_regression([0.1, 0.5, np.nan], [0.2, 0.4, 0.1])),
        "throughput": asdict(score_throughput([0.5, 0.6], 100)),
        "facts": {"Split": "PublicTest"},
        "limits": ["Posed pictures."],
    }


def test_the_report_is_one_page_without_network_or_script() -> None:
    drawn = {name: render_svg(FIGURES[name][0]()) for name in ("confusion", "groups", "learning")}
    page = render_evaluation(results(), {**drawn, "something else": drawn["groups"]})
    assert page == render_evaluation(results(), {**drawn, "something else": drawn["groups"]})
    assert page.count("<svg") == 4 and "<script" not in page and "tiny &amp; &lt;b&gt;" in page
    for address in ("https://", "http://"):
        links = page.split(address)[1:]
        assert all(link.startswith("www.w3.org/") for link in links)  # names of XML, not loaded
    for words in (
        "agreed with the label in 77.8 of 100 cases",
        "peer:fer",
        "adult over child" if GROUPS.gaps[0].best == "adult" else "child over adult",
        "teen (few rows)",
        "sigma, pixels",
        "PublicTest",
        "Posed pictures.",
        "R²",
        "Something else",
    ):
        assert words in page, words


def test_the_report_of_plain_results_has_the_sections_it_can_have() -> None:
    plain = {k: v for k, v in results().items() if k not in ("classes", "auroc", "kinds")}
    few = {k: plain[k] for k in list(plain)[:10]}
    few["per_class"] = {"angry": {"precision": 0.5, "recall": 0.4, "f1": 0.44, "n": 12.0}}
    page = render_evaluation(few, {})
    assert "0.440" in page and 'id="robustness"' not in page and 'id="labels"' in page
    with pytest.raises(InputError, match="lack data, n"):
        render_evaluation({k: v for k, v in few.items() if k not in ("data", "n")}, {})
