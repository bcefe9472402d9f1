"""Results and plots -> one HTML file: no network, no script, the same bytes for the same numbers.

`report_sections` turns results into tables, `figures` the plots into parts of the page,
`evaluation.html.j2` and `evaluation.css` are the page. Pictures of people are no part of it.
"""

from collections.abc import Mapping
from typing import Any

from classpulse import __version__
from classpulse.core.errors import InputError
from classpulse.lab.evaluate.report_sections import INTERVAL, Results, build_sections, number, reach
from classpulse.page import Card, build_environment

KEYS = ("model", "data", "n", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")
LIMITS = (
    "These numbers hold for this data. Other cameras, ages, light and cultures give others, as a "
    "rule worse ones.",
    "The labels are opinions of annotators about pictures. Agreement with them is not knowledge "
    "of what anyone feels.",
    "An interval covers the chance of which rows were drawn. It does not cover wrong labels, "
    "repeated pictures in training and test, or choices made while looking at this data.",
)
TERMS = (
    (
        "Interval",
        "95 % percentile bootstrap, 1,000 resamples (differences: 10,000) of the rows, or for the "
        "headline and the comparison of models of whole people where the data say who is who.",
    ),
    (
        "Macro F1",
        "Mean over the labels of the harmonic mean of precision and recall; rare labels count "
        "as much as frequent ones.",
    ),
    (
        "Calibration error",
        "Mean distance between confidence and accuracy over 15 bins of equal width; 0 is best.",
    ),
    (
        "AUROC",
        "Chance that a row of a label gets a higher probability for it than a row of another; "
        "0.5 is guessing.",
    ),
    (
        "Coverage",
        "Share of rows that are answered when the least confident answers are held back. AURC is "
        "the mean error over all coverages.",
    ),
    (
        "McNemar",
        "Test on the rows about which only one of two models is right; p is the chance of such a "
        "difference or a larger one between equally good models.",
    ),
)


def render_evaluation(results: Results, plots: Mapping[str, str]) -> str:
    """The evaluation of one model on one data set as a complete HTML page.

    Args:
        results: the content of `evaluation_json`; more sections appear with the keys that
            `report_sections` lists, each the `dataclasses.asdict` of its result.
        plots: name -> SVG document; the names that sections expect are in `PLOTS` of
            `report_sections`, others come last under their own name.

    Raises:
        InputError: a key is missing from the results, or a plot is not an SVG document.
    """
    missing = [key for key in KEYS if key not in results]
    if missing:
        raise InputError(
            f"the results lack {', '.join(missing)}: give what `classpulse evaluate --json` writes"
        )
    page = build_environment("classpulse.lab.evaluate").get_template("evaluation.html.j2")
    return page.render(_context(results, plots)) + "\n"


def _context(results: Results, plots: Mapping[str, str]) -> dict[str, Any]:
    return {
        "version": __version__,
        "model": results["model"],
        "data": results["data"],
        "lead": _lead(results),
        "facts": _facts(results),
        "cards": _cards(results),
        "sections": build_sections(results, plots),
        "limits": (*LIMITS, *results.get("limits", ())),
        "terms": TERMS,
    }


def _lead(results: Results) -> str:
    low, high = (100 * end for end in results["accuracy_interval"])
    return (
        f"On {results['n']:,} rows of {results['data']}, {results['model']} agreed with the label "
        f"in {100 * results['accuracy']:.1f} of 100 cases ({INTERVAL} {low:.1f} to {high:.1f})."
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    facts = [
        ("Model", results["model"]),
        ("Data", results["data"]),
        ("Rows with a label", f"{results['n']:,}"),
    ]
    if "kind" in results:
        facts.append(("Labels", results["kind"]))
    return facts + [(str(term), str(text)) for term, text in results.get("facts", {}).items()]


def _cards(results: Results) -> list[Card]:
    cards = [
        _share_card("Accuracy", results["accuracy"], results["accuracy_interval"]),
        _share_card("Macro F1", results["macro_f1"], results["macro_f1_interval"]),
    ]
    if "ece" in results:
        before = results.get("ece_uncalibrated")
        text = "expected calibration error, 0 is best"
        if before is not None:
            text += f"; {number(before)} before calibration"
        cards.append(Card("Calibration error", number(results["ece"]), f"{text}."))
    area = (results.get("auroc") or {}).get("macro")
    if area is not None:
        text = f"one label against the rest, mean; {reach(area)}."
        cards.append(Card("AUROC", number(area["value"]), text))
    speed = results.get("throughput")
    if speed is not None:
        text = f"items per second, {1000 * speed['seconds_per_item']:.2f} ms each."
        cards.append(Card("Speed", f"{speed['value']:,.0f}", text))
    return cards


def _share_card(label: str, value: float, ends: tuple[float, float]) -> Card:
    low, high = ends
    text = f"{INTERVAL} {number(low)} to {number(high)}."
    return Card(label, number(value), text, (100 * low, 100 * value, 100 * high))
