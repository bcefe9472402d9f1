"""The sections of the evaluation report: which results and plots they show, as text cells.

Optional keys of the results, each `dataclasses.asdict` of the type named:

    kinds         kind -> the keys of the top level         `evaluation_json`
    classes       `ClassReport`                             `classification`
    auroc         `Auroc`                                   `ranking`
    selective     `RiskCoverage` (accuracy_at, aurc, excess)
    comparisons   name of the other model -> `Comparison`   `compare`
    robustness    list of `RobustnessRow`                   `robustness`
    groups        list of `GroupReport`                     `groups`
    engagement    `Regression`                              `regression`
    throughput    `Throughput`
    facts         term -> text for the head of the page
    limits        list of sentences
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from classpulse.lab.evaluate.figures import inline_svg
from classpulse.page import Table

Results = Mapping[str, Any]
INTERVAL = "95\u00a0% interval"
NONE = "\u2013"  # an en dash where a number is not defined

PLOTS: dict[str, dict[str, str]] = {
    "labels": {
        "confusion": "Confusion: share of each true label, and rows",
        "histogram": "Rows of each label",
    },
    "confidence": {
        "reliability": "Accuracy against confidence",
        "risk-coverage": "Errors among the answers kept",
    },
    "comparison": {},
    "robustness": {"robustness": "Accuracy as pictures get worse"},
    "groups": {"groups": "Accuracy by group"},
    "engagement": {},
    "training": {
        "learning": "Learning curves",
        "hyperparameters": "Settings compared",
        "embedding": "Pictures by the answers they get (t-SNE)",
        "samples": "Pictures with their label and, below it, the answer",
    },
}
"""Section -> name of a plot -> heading."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `plots` are (heading, SVG element)."""

    key: str
    heading: str
    message: str
    plots: tuple[tuple[str, Markup], ...]
    tables: tuple[Table, ...]


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return NONE if value is None else f"{value:.3f}"


def ends(one: Mapping[str, float] | None) -> str:
    """ "0.612 to 0.654" of an interval."""
    return NONE if one is None else f"{one['low']:.3f} to {one['high']:.3f}"


def reach(one: Mapping[str, float]) -> str:
    """The interval in words."""
    return f"{INTERVAL} {ends(one)}"


def with_ends(one: Mapping[str, float] | None) -> str:
    """ "0.633 (0.612 to 0.654)" of an interval, or a dash."""
    return NONE if one is None else f"{one['value']:.3f} ({ends(one)})"


def p_value(p: float | None) -> str:
    """A p-value; small ones as a bound."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def build_sections(results: Results, plots: Mapping[str, str]) -> list[Section]:
    """The sections that have a table or a plot, in order of the page.

    Raises:
        InputError: a plot is not an SVG document.
    """
    sections = []
    for key, (heading, message, tables) in _parts().items():
        drawn = [_plot(name, t, plots[name]) for name, t in PLOTS[key].items() if name in plots]
        sections.append(Section(key, heading, message, tuple(drawn), tuple(tables(results))))
    known = {name for names in PLOTS.values() for name in names}
    others = [name for name in plots if name not in known]
    drawn = [_plot(f"x{i}", name.capitalize(), plots[name]) for i, name in enumerate(others)]
    sections.append(Section("more", "More plots", "", tuple(drawn), ()))
    return [section for section in sections if section.plots or section.tables]


def _parts() -> dict[str, tuple[str, str, Callable[[Results], list[Table]]]]:
    """Key -> heading, what to look for, tables."""
    return {
        "labels": ("Labels", "Which labels are told apart, and which are mixed up.", _labels),
        "confidence": (
            "Confidence",
            "Is the model right as often as it says, and does it know when it is wrong?",
            _confidence,
        ),
        "comparison": (
            "Comparison",
            "Other models on the same rows. A difference whose interval has 0 in it may be chance.",
            _comparison,
        ),
        "robustness": (
            "Robustness",
            "The same pictures, spoiled step by step. The first row of each is the clean picture.",
            _robustness,
        ),
        "groups": (
            "Groups",
            "The same measures for parts of the data. Groups of few rows are marked; a gap may "
            "come from other expressions shown as well as from the model.",
            _groups,
        ),
        "engagement": ("Engagement", "Errors of engagement as a quantity.", _engagement),
        "training": ("Training and pictures", "How it was trained; single pictures.", lambda _: []),
    }


def _plot(key: str, title: str, svg: str) -> tuple[str, Markup]:
    return title, Markup(inline_svg(svg, key=key, title=str(escape(title))))


def _labels(results: Results) -> list[Table]:
    tables = []
    kinds = results.get("kinds", {})
    if len(kinds) > 1:
        rows = [
            (
                str(name),
                f"{one['n']:,}",
                *(
                    f"{one[m]:.3f} ({_pair(one[f'{m}_interval'])})"
                    for m in ("accuracy", "macro_f1")
                ),
                number(one["ece"]),
            )
            for name, one in kinds.items()
        ]
        columns = ("Labels", "Rows", "Accuracy", "Macro F1", "Calibration error")
        tables.append(Table("All kinds of labels", columns, tuple(rows)))
    classes, areas = results.get("classes"), (results.get("auroc") or {}).get("per_class", {})
    if classes is not None:
        tables += [_per_class(classes, areas), _averages(classes)]
    elif "per_class" in results:
        tables.append(_plain_classes(results["per_class"]))
    return tables


def _pair(pair: Sequence[float]) -> str:
    return f"{pair[0]:.3f} to {pair[1]:.3f}"


def _per_class(classes: Results, areas: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            str(name),
            f"{classes['support'][name]:,}",
            *(with_ends(one[rate]) for rate in ("precision", "recall", "f1")),
            number((areas.get(name) or {}).get("value")),
        )
        for name, one in classes["per_class"].items()
    )
    columns = ("Label", "Rows", "Precision", "Recall", "F1", "AUROC")
    return Table("Every label, with 95 % intervals", columns, rows)


def _averages(classes: Results) -> Table:
    rows = tuple(
        (str(average).capitalize(), *(with_ends(one[r]) for r in ("precision", "recall", "f1")))
        for average, one in classes["averages"].items()
    )
    return Table("Averages over the labels", ("Average", "Precision", "Recall", "F1"), rows)


def _plain_classes(per_class: Mapping[str, Mapping[str, float]]) -> Table:
    rows = tuple(
        (
            str(name),
            f"{one['n']:,.0f}",
            *(number(one[rate]) for rate in ("precision", "recall", "f1")),
        )
        for name, one in per_class.items()
    )
    return Table("Every label", ("Label", "Rows", "Precision", "Recall", "F1"), rows)


def _confidence(results: Results) -> list[Table]:
    curve = results.get("selective")
    if curve is None:
        return []
    rows = tuple(
        (f"{100 * float(share):.0f} %", number(accuracy))
        for share, accuracy in curve["accuracy_at"].items()
    )
    extra = (
        ("AURC", with_ends(curve["aurc"])),
        ("AURC above an oracle", number(curve["excess"])),
    )
    columns = ("Most confident answers kept", "Accuracy")
    return [
        Table("Accuracy when the least confident answers are held back", columns, rows),
        Table("Area under the risk-coverage curve (0 is best)", ("Measure", "Value"), extra),
    ]


def _comparison(results: Results) -> list[Table]:
    rows = [
        (
            str(name),
            label,
            number(one[metric]["first"]),
            number(one[metric]["second"]),
            f"{one[metric]['difference']['value']:+.3f} ({_signed(one[metric]['difference'])})",
            p_value(one[metric]["p"]),
            p_value(one["mcnemar"]["p"]) if metric == "accuracy" else "",
        )
        for name, one in results.get("comparisons", {}).items()
        for metric, label in (("accuracy", "Accuracy"), ("macro_f1", "Macro F1"))
    ]
    columns = (
        "Other model",
        "Measure",
        "This model",
        "The other",
        "Difference (95 % interval)",
        "p, bootstrap",
        "p, McNemar",
    )
    return (
        [Table("This model minus another on the same rows", columns, tuple(rows))] if rows else []
    )


def _signed(one: Mapping[str, float]) -> str:
    return f"{one['low']:+.3f} to {one['high']:+.3f}"


def _robustness(results: Results) -> list[Table]:
    rows = tuple(
        (
            str(row["title"]),
            f"{row['level']:g} ({row['unit']})",
            with_ends(row["accuracy"]),
            with_ends(row["macro_f1"]),
            f"{row['drop']['value']:+.3f} ({_signed(row['drop'])})",
        )
        for row in results.get("robustness", ())
    )
    columns = ("Degradation", "Level", "Accuracy", "Macro F1", "Accuracy lost, paired")
    return [Table("Robustness, with 95 % intervals", columns, rows)] if rows else []


def _groups(results: Results) -> list[Table]:
    tables = []
    for report in results.get("groups", ()):
        rows = tuple(
            (
                f"{row['group']} (few rows)" if row["few"] else str(row["group"]),
                f"{row['n']:,}",
                with_ends(row["accuracy"]),
                with_ends(row["macro_f1"]),
            )
            for row in report["groups"]
        )
        caption = f"By {report['column']}; {report['missing']:,} rows without this annotation"
        tables.append(Table(caption, ("Group", "Rows", "Accuracy", "Macro F1"), rows))
    gaps = tuple(
        (
            str(report["column"]),
            {"accuracy": "Accuracy", "macro_f1": "Macro F1"}[gap["metric"]],
            f"{gap['best']} over {gap['worst']}",
            with_ends(gap["difference"]),
            p_value(gap["p"]),
        )
        for report in results.get("groups", ())
        for gap in report["gaps"]
    )
    columns = ("Annotation", "Measure", "Groups", "Gap (95 % interval)", "p, permutation")
    return [*tables, Table("Largest gaps", columns, gaps)] if gaps else tables


def _engagement(results: Results) -> list[Table]:
    one = results.get("engagement")
    if one is None:
        return []
    rows = (
        ("Mean squared error", with_ends(one["mse"])),
        ("Mean absolute error", with_ends(one["mae"])),
        ("R\u00b2", with_ends(one["r2"])),
    )
    caption = f"Engagement on {one['n']:,} rows; {one['missing']:,} without a true value"
    return [Table(caption, ("Measure", "Value (95 % interval)"), rows)]
