"""The HTML page of the behaviour tests of a text model, in the frame of the evaluation report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classpulse import __version__
from classpulse.core.files import save_texts
from classpulse.lab.evaluate.report_sections import NONE, Section, reach, with_ends
from classpulse.lab.evaluate.text_behaviour import DIR, INV, MFT, TOLERANCE
from classpulse.page import Card, Table, build_environment

Results = Mapping[str, Any]
KINDS = {
    MFT: "Minimum functionality: what the answer must be, or must not be",
    INV: "Invariance: a change that should not matter",
    DIR: "Direction: a change that may move the answer one way only",
}
TERMS = (
    ("Failed", "Share of the cases, with a 95 % Wilson interval."),
    (
        "Invariance",
        f"Fails if the label changes and its probability falls by more than {TOLERANCE}, or if "
        "only one of the two texts gets an answer.",
    ),
    ("Direction", f"Fails if the probability of the label falls by more than {TOLERANCE}."),
    ("Refused", "Cases with a text that gets no answer."),
    (
        "Names",
        "Mean probability of a label over the sentences with the names of a group, minus its mean "
        "over all names, with a 95 % bootstrap interval over the names.",
    ),
    ("Flipped", "Share of the sentences with another label than most names get there."),
)


def save_behaviour_report(results: Results, folder: Path) -> dict[str, Path]:
    """``report.html`` and ``results.json``: name -> file.

    Args:
        results: of `run_behaviour`.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    texts = {
        "report.html": render_behaviour(results),
        "results.json": json.dumps(results, indent=1),
    }
    return save_texts(texts, folder)


def render_behaviour(results: Results) -> str:
    """The tests as a complete HTML page."""
    page = build_environment("classpulse.lab.evaluate").get_template("behaviour.html.j2")
    return (
        page.render(
            version=__version__,
            model=results["model"],
            data="hand-written cases",
            lead=_lead(results),
            facts=[
                ("Model", results["model"]),
                ("SHA-256", results["sha256"]),
                ("Head", results["head"]),
                ("Seed", str(results["seed"])),
            ],
            cards=_cards(results),
            sections=_sections(results),
            limits=results["caveats"],
            terms=TERMS,
        )
        + "\n"
    )


def _lead(results: Results) -> str:
    """The capability that fails most."""
    worst = max(results["capabilities"], key=lambda row: row["failed"]["value"])
    return (
        f"What does {results['model']} do with negations, typos, names and other small changes? It "
        f"fails most often in '{worst['capability']}' ({worst['asks']}): "
        f"{100 * worst['failed']['value']:.0f} of 100 cases."
    )


def _cards(results: Results) -> list[Card]:
    cards = []
    for row in results["classroom"]:
        one = row["accuracy"]
        span = (100 * one["low"], 100 * one["value"], 100 * one["high"])
        text = f"{row['n']} classroom sentences; {reach(one)}."
        cards.append(Card(f"Accuracy, {row['head']}", f"{one['value']:.3f}", text, span))
    for kind, title in KINDS.items():
        rows = [row for row in results["capabilities"] if row["kind"] == kind]
        clean = sum(row["failed"]["value"] <= 0.05 for row in rows)
        text = f"capabilities fail in 5 % of their cases or fewer. {title}."
        cards.append(Card(kind, f"{clean} of {len(rows)}", text))
    return cards


def _sections(results: Results) -> list[Section]:
    found = (
        ("classroom", "Classroom set", "Sentences as learners write them.", _classroom(results)),
        ("suite", "Capabilities", "Which demands are not met?", _suite(results)),
        ("failures", "Failures", "A few of each capability.", _failures(results)),
        ("names", "Names", "An interval with 0 in it may be chance.", _names(results)),
    )
    return [Section(key, head, text, (), tables) for key, head, text, tables in found if tables]


def _classroom(results: Results) -> tuple[Table, ...]:
    tables = []
    if results["classroom"]:
        columns = ("Head", "Sentences", "Accuracy", "Macro F1", "Answered", "Accuracy of those")
        rows = tuple(
            (row["head"], str(row["n"]),
             *(with_ends(row[key])
               for key in ("accuracy", "macro_f1", "answered", "accuracy_answered")))
            for row in results["classroom"]
        )  # fmt: skip
        tables.append(Table("Emotions, with 95 % intervals", columns, rows))
        labels = max((list(row["recall"]) for row in results["classroom"]), key=len)
        recalls = tuple(
            (row["head"], *(_share(row["recall"].get(label)) for label in labels))
            for row in results["classroom"]
        )
        tables.append(Table("Recall of every label", ("Head", *labels), recalls))
    if results["states"]:
        states = tuple(
            (row["state"], str(row["n"]), with_ends(row["recall"]), with_ends(row["precision"]),
             ", ".join(row["labels"]))
            for row in results["states"]
        )  # fmt: skip
        named = ("State", "Sentences", "Recall", "Precision", "Told by")
        tables.append(Table("Learning states, with 95 % intervals", named, states))
    return tuple(tables)


def _suite(results: Results) -> tuple[Table, ...]:
    columns = ("Capability", "Demand", "Cases", "Failed", "Refused", "Crashed")
    return tuple(
        Table(
            title,
            columns,
            tuple(
                (row["capability"], row["asks"], str(row["n"]), with_ends(row["failed"]),
                 str(row["refused"]), str(row["crashed"]))
                for row in results["capabilities"]
                if row["kind"] == kind
            ),
        )
        for kind, title in KINDS.items()
    )  # fmt: skip


def _failures(results: Results) -> tuple[Table, ...]:
    tables = []
    for row in results["capabilities"]:
        alone = row["kind"] == MFT
        rows = []
        for one in row["failures"]:
            pairs = zip(one["texts"], one["answers"], strict=True)
            about = (one["label"] or NONE,) if alone else ()
            rows.append((*(cell for pair in pairs for cell in pair), *about))
        columns = ("Text", "Answer", "About" if alone else "Changed text", "Answer")
        if rows:
            tables.append(Table(row["capability"], columns[: len(rows[0])], tuple(rows)))
    return tuple(tables)


def _names(results: Results) -> tuple[Table, ...]:
    labels = results["labels"]
    return tuple(
        Table(
            f"Change of the probabilities by {by} of the name",
            ("Names", *labels, "Flipped", "Refused"),
            tuple(
                (row["group"], *(_signed(row["change"][label]) for label in labels),
                 _share(row["flipped"]["value"]), _share(row["refused"]["value"]))
                for row in results["names"]
                if row["by"] == by
            ),
        )
        for by in dict.fromkeys(row["by"] for row in results["names"])
    )  # fmt: skip


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _signed(one: Mapping[str, float]) -> str:
    return f"{one['value']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
