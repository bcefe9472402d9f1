"""`classpulse behave` without its command line: a text model in, tables and a report out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.core.labels import TEXT_7
from classpulse.core.text_card import TextCard, TextHead
from classpulse.lab.evaluate import text_behaviour_cases  # registers the capabilities
from classpulse.lab.evaluate.text_behaviour import (
    CAPABILITIES,
    TOLERANCE,
    Outcome,
    run_capability,
)
from classpulse.lab.evaluate.text_behaviour_names import compare_names
from classpulse.lab.evaluate.text_behaviour_report import save_behaviour_report
from classpulse.lab.evaluate.text_classroom import judge_classroom, judge_states
from classpulse.lab.terminal import OnStep
from classpulse.runtime.text import OnnxTextModel

__all__ = ["describe_behaviour", "run_behaviour", "text_behaviour_cases"]

CAVEATS = (
    "The classroom set and all cases were written for this project by one author: they show what a "
    "model cannot do, not how often that happens in lessons.",
    "The cases of a template are alike, so the intervals of failure rates are too narrow.",
    "A name stands for a group only as a reader may take it; of the intervals in the table of "
    "names, one in twenty leaves out 0 by chance.",
    "Dialect is tested on a few features of African American English, and not by its speakers.",
)
SHOWN = 160  # characters of a text that failed
FEW = 2  # failures of a capability that the terminal shows

Results = Mapping[str, Any]


def run_behaviour(
    spec: str, *, on_step: OnStep, labels: str | None = None, seed: int = 0,
    report: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The classroom set, every capability and the table of names, as plain values.

    Args:
        spec: shipped name or artefact folder of a model for texts.
        labels: head to test; text-7 if there is one, else the first with one label a text.
        seed: of the cases.
        report: folder for the HTML report and the numbers.

    Raises:
        InputError: a head whose labels do not exclude each other.
        ModelError: the artefact cannot be used, or lacks the head.
        OutputError: the report cannot be written.
    """
    model = OnnxTextModel(spec)
    head = choose_head(model.card, labels)
    thresholds = {one.name: one.thresholds for one in model.card.heads}
    results = {
        "model": model.card.name,
        "sha256": model.card.sha256,
        "head": head.name,
        "labels": list(head.label_space.names),
        "seed": seed,
        "tolerance": TOLERANCE,
        "classroom": [asdict(row) for row in judge_classroom(model)],
        "states": [asdict(row) for row in judge_states(model, thresholds)],
        "capabilities": [
            _plain(one) for one in _run_suite(model, head, seed=seed, on_step=on_step)
        ],
        "names": [asdict(row) for row in compare_names(model, head=head.name, seed=seed)],
        "caveats": list(CAVEATS),
    }
    if report is not None:
        save_behaviour_report(results, report)
    return results


def choose_head(card: TextCard, wanted: str | None) -> TextHead:
    """The head that is tested.

    Raises:
        InputError, ModelError: as `run_behaviour`.
    """
    exclusive = [head for head in card.heads if head.exclusive]
    if wanted is None and exclusive:
        return next((head for head in exclusive if head.label_space == TEXT_7), exclusive[0])
    head = card.heads[0] if wanted is None else card.head(wanted)
    if not head.exclusive:
        others = " or ".join(one.name for one in exclusive)
        raise InputError(
            f"head '{head.name}' of {card.name} gives several labels a text, the tests need one: "
            f"give {others or 'another model'}"
        )
    return head


def _run_suite(
    model: OnnxTextModel, head: TextHead, *, seed: int, on_step: OnStep
) -> list[Outcome]:
    outcomes = []
    for done, name in enumerate(CAPABILITIES, start=1):
        outcome = run_capability(
            model, name, head=head.name, labels=head.label_space.names, seed=seed
        )
        outcomes += [] if outcome is None else [outcome]
        on_step("testing", done, len(CAPABILITIES))
    return outcomes


def _plain(outcome: Outcome) -> dict[str, Any]:
    """As JSON, the texts of failures cut and printable."""
    table = asdict(outcome)
    for failure in table["failures"]:
        failure["texts"] = [printable(text) for text in failure["texts"]]
    return table


def printable(text: str) -> str:
    """The first `SHOWN` characters; what cannot be seen or written as UTF-8 becomes its escape."""
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


# --- as text -----------------------------------------------------------------------------------


def describe_behaviour(results: Results) -> str:
    """The classroom set, the capabilities with examples of failures, the names, the caveats."""
    blocks = [
        [f"{results['model']}, head {results['head']}, seed {results['seed']}"],
        _classroom_lines(results["classroom"]),
        _state_lines(results["states"]),
        _capability_lines(results["capabilities"]),
        _failure_lines(results["capabilities"]),
        _name_lines(results["names"], results["labels"]),
        [f"* {text}" for text in results["caveats"]],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _classroom_lines(rows: Sequence[Results]) -> list[str]:
    lines = [
        f"{'classroom set':<15}{'n':>4}  {'accuracy [95 %]':<22}{'macro F1 [95 %]':<22}"
        f"{'answered':<10}accuracy of those"
    ]
    for row in rows:
        kept = row["accuracy_answered"]
        lines.append(
            f"{row['head']:<15}{row['n']:>4}  {_reach(row['accuracy']):<22}"
            f"{_reach(row['macro_f1']):<22}{row['answered']['value']:<10.3f}"
            f"{'-' if kept is None else _reach(kept)}"
        )
    return lines if rows else []


def _state_lines(rows: Sequence[Results]) -> list[str]:
    lines = [f"{'state':<15}{'n':>4}  {'recall [95 %]':<22}{'precision [95 %]':<22}told by"]
    for row in rows:
        found = "-" if row["precision"] is None else _reach(row["precision"])
        lines.append(
            f"{row['state']:<15}{row['n']:>4}  {_reach(row['recall']):<22}{found:<22}"
            f"{', '.join(row['labels'])}"
        )
    return lines if rows else []


def _capability_lines(rows: Sequence[Results]) -> list[str]:
    lines = [
        f"{'kind':<5}{'capability':<19}{'n':>4}  {'failed [95 %]':<22}"
        f"{'refused':>8}{'crashed':>9}  asks"
    ]
    lines += [
        f"{row['kind']:<5}{row['capability']:<19}{row['n']:>4}  {_reach(row['failed']):<22}"
        f"{row['refused']:>8}{row['crashed']:>9}  {row['asks']}"
        for row in rows
    ]
    return lines


def _failure_lines(rows: Sequence[Results]) -> list[str]:
    lines = ["failures, some of each capability:"]
    for row in rows:
        for failure in row["failures"][:FEW]:
            about = f" ({failure['label']})" if failure["label"] else ""
            lines.append(f"  {row['capability']}{about}")
            lines += [
                f"    {text}  -> {answer}"
                for text, answer in zip(failure["texts"], failure["answers"], strict=True)
            ]
    return lines if len(lines) > 1 else []


def _name_lines(rows: Sequence[Results], labels: Sequence[str]) -> list[str]:
    """Changes in hundredths; a star where the interval leaves out 0."""
    lines = [
        f"{'names (x 0.01)':<18}{'n':>4}" + "".join(f"{label:>11}" for label in labels)
        + f"{'flipped':>9}{'refused':>9}"
    ]  # fmt: skip
    for row in rows:
        cells = "".join(f"{_change(row['change'][label]):>11}" for label in labels)
        lines.append(
            f"{row['group']:<18}{row['n']:>4}{cells}{row['flipped']['value']:>9.3f}"
            f"{row['refused']['value']:>9.3f}"
        )
    return [*lines, "a star: the 95 % interval over the names of the group leaves out 0"]


def _change(one: Results) -> str:
    star = "*" if one["low"] > 0 or one["high"] < 0 else " "
    return f"{100 * one['value']:+.1f}{star}"


def _reach(one: Results) -> str:
    return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
