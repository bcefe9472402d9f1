"""The HTML page of a bias analysis, in the frame and style of the evaluation report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from classpulse import __version__
from classpulse.core.files import save_texts
from classpulse.lab.evaluate.figures import inline_svg, render_svg
from classpulse.lab.evaluate.groups import FEWEST
from classpulse.lab.evaluate.plots_bias import draw_bias
from classpulse.lab.evaluate.report_sections import (
    INTERVAL,
    NONE,
    Section,
    number,
    p_value,
    reach,
    with_ends,
)
from classpulse.page import Card, Table, build_environment

Results = Mapping[str, Any]
METRICS = {"accuracy": "Accuracy", "macro_f1": "Macro F1"}
TERMS = (
    (
        "Interval",
        "95 % percentile bootstrap over the rows: 1,000 resamples of one model, 10,000 of a "
        "difference, where both models see the same resample.",
    ),
    ("Macro F1", "Mean F1 over the labels that occur in the group, in truth or answers."),
    ("Recall", f"Share of the rows of a label that get it; none on fewer than {FEWEST} rows."),
    ("McNemar", "Test on the rows about which only one of the two models is right."),
    ("Permutation", "p: share of random regroupings of the rows with gaps at least as large."),
)


def save_bias_report(results: Results, folder: Path) -> dict[str, Path]:
    """``report.html``, ``results.json`` and ``groups.svg``.

    Args:
        results: of `run_bias`.

    Returns:
        Name -> file.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    before, after = _rows(results, "before"), _rows(results, "after")
    svg = render_svg(draw_bias(before, after or None))
    texts = {
        "report.html": render_bias(results, svg),
        "results.json": json.dumps(results, indent=1),
        "groups.svg": svg,
    }
    return save_texts(texts, folder)


def render_bias(results: Results, svg: str) -> str:
    """The analysis as a complete HTML page; `svg` is the plot of `draw_bias`."""
    plot = Markup(inline_svg(svg, key="groups", title="Accuracy by group"))
    sections = [
        Section(
            "groups",
            "Groups",
            "A difference whose interval has 0 in it may be chance.",
            (("Accuracy by group, with 95 % intervals", plot),),
            tuple(_group_tables(results)),
        ),
        Section("gaps", "Gaps", "Between the best and the worst group.", (), _gap_tables(results)),
        Section(
            "recalls",
            "Labels",
            "Which expressions are recognized in one group and not in another?",
            (),
            (_recall_table(results),),
        ),
    ]
    page = build_environment("classpulse.lab.evaluate").get_template("bias.html.j2")
    return (
        page.render(
            version=__version__,
            model=results["model"],
            data=results["data"],
            column=results["column"],
            lead=_lead(results),
            facts=_facts(results),
            cards=_cards(results),
            sections=[section for section in sections if section.plots or section.tables],
            limits=results["caveats"],
            terms=TERMS,
        )
        + "\n"
    )


def _rows(results: Results, when: str) -> list[Results]:
    """All rows, then the groups; empty if there is no such model."""
    overall = results["overall" if when == "before" else "overall_after"]
    return [] if overall is None else [overall, *results[when]["groups"]]


def _lead(results: Results) -> str:
    """The question, and the largest gap in accuracy as its answer."""
    lead = f"Does {results['model']} read every group of '{results['column']}' alike? "
    for gap in results["before"]["gaps"][:1]:
        low, value, high = (100 * gap["difference"][end] for end in ("low", "value", "high"))
        lead += f"Of 100 labels it agreed with {value:.1f} more in '{gap['best']}' than in "
        lead += f"'{gap['worst']}' ({INTERVAL} {low:.1f} to {high:.1f}). "
    if results["gap_change"] is not None:
        gap = results["gap_change"]["gap"]
        low, value, high = (100 * gap["difference"][end] for end in ("low", "value", "high"))
        lead += f"After the correction, {results['against']} has a gap of {100 * gap['first']:.1f} "
        lead += f"there, a change of {value:+.1f} ({low:+.1f} to {high:+.1f})."
    return lead


def _facts(results: Results) -> list[tuple[str, str]]:
    facts = [("Before" if results["against"] else "Model", results["models"]["before"])]
    if results["against"]:
        facts.append(("After", results["models"]["after"]))
    return [
        *facts,
        ("Data", results["data"]),
        ("SHA-256 of the data", results["data_sha256"] or "none"),
        ("Labels", results["kind"]),
        ("Rows with a label", f"{results['overall']['n']:,}"),
        ("Labeled rows without annotation", f"{results['before']['missing']:,}"),
    ]


def _cards(results: Results) -> list[Card]:
    cards = []
    for when, rows in (("before", _rows(results, "before")), ("after", _rows(results, "after"))):
        if rows:
            title = f"Accuracy {when}" if results["against"] else "Accuracy"
            one = rows[0]["accuracy"]
            span = (100 * one["low"], 100 * one["value"], 100 * one["high"])
            cards.append(Card(title, number(one["value"]), f"all rows; {reach(one)}.", span))
        for gap in (results[when] or {"gaps": ()})["gaps"][:1]:
            title = f"Gap {when}" if results["against"] else "Largest gap"
            text = f"{gap['best']} over {gap['worst']}; {reach(gap['difference'])}."
            cards.append(Card(title, number(gap["difference"]["value"]), text))
    change = results["gap_change"]
    if change is not None:
        gap = change["gap"]
        text = f"{change['best']} over {change['worst']}, after minus before; "
        text += f"{INTERVAL} {_signed_ends(gap['difference'])}."
        cards.append(Card("Change of the gap", f"{gap['difference']['value']:+.3f}", text))
    return cards


def _group_tables(results: Results) -> list[Table]:
    if results["after"] is None:
        rows = tuple(
            (row["group"], f"{row['n']:,}", with_ends(row["accuracy"]), with_ends(row["macro_f1"]))
            for row in _rows(results, "before")
        )
        return [Table(f"By {results['column']}", ("Group", "Rows", *METRICS.values()), rows)]
    whole = zip(_rows(results, "before"), _rows(results, "after"), results["changes"], strict=True)
    pairs = [(old, new, change["comparison"]) for old, new, change in whole]
    return [
        Table(
            f"{title} by {results['column']}",
            ("Group", "Rows", "Before", "After", "Change (95 % interval)", f"p, {test}"),
            tuple(
                (
                    old["group"],
                    f"{old['n']:,}",
                    with_ends(old[metric]),
                    with_ends(new[metric]),
                    _signed(one[metric]["difference"]),
                    p_value(one["mcnemar" if metric == "accuracy" else metric]["p"]),
                )
                for old, new, one in pairs
            ),
        )
        for (metric, title), test in zip(METRICS.items(), ("McNemar", "bootstrap"), strict=True)
    ]


def _gap_tables(results: Results) -> tuple[Table, ...]:
    rows = [
        (
            f"{METRICS[gap['metric']]}{f', {when}' if results['against'] else ''}",
            f"{gap['best']} over {gap['worst']}",
            with_ends(gap["difference"]),
            p_value(gap["p"]),
        )
        for when in ("before", "after")
        for gap in (results[when] or {"gaps": ()})["gaps"]
    ]
    columns = ("Measure", "Groups", "Gap (95 % interval)", "p, permutation")
    tables = [Table("Largest gaps", columns, tuple(rows))] if rows else []
    change = results["gap_change"]
    return (*tables, _gap_change_table(change)) if change is not None else tuple(tables)


def _gap_change_table(change: Results) -> Table:
    gap = change["gap"]
    row = (
        f"{change['best']} over {change['worst']}",
        number(gap["second"]),
        number(gap["first"]),
        _signed(gap["difference"]),
        p_value(gap["p"]),
    )
    columns = ("Groups", "Before", "After", "Change (95 % interval)", "p, bootstrap")
    return Table("The gap in accuracy that was largest before", columns, (row,))


def _recall_table(results: Results) -> Table:
    """A line for each label, a column for each group."""
    groups = [row["group"] for row in results["before"]["groups"]]
    found = {(row["label"], row["group"]): row for row in results["recalls"]}
    rows = tuple(
        (label, *(_recall_cell(found.get((label, group))) for group in groups))
        for label in results["labels"]
    )
    how = "before \u2192 after" if results["against"] else "with 95 % intervals"
    return Table(f"Recall of every label, {how}, and its rows", ("Label", *groups), rows)


def _recall_cell(row: Results | None) -> str:
    if row is None:
        return NONE
    if row["after"] is None:
        return f"{with_ends(row['before'])}, n = {row['n']:,}"
    return (
        f"{number(row['before']['value'])} \u2192 {number(row['after']['value'])}, n = {row['n']:,}"
    )


def _signed(one: Mapping[str, float]) -> str:
    return f"{one['value']:+.3f} ({_signed_ends(one)})"


def _signed_ends(one: Mapping[str, float]) -> str:
    return f"{one['low']:+.3f} to {one['high']:+.3f}"
