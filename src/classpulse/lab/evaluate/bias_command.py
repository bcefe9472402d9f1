"""`classpulse bias` without its command line: one or two models in, a table and a report out."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.groups import read_column
from classpulse.lab.evaluate.bias import caveats, compare_groups
from classpulse.lab.evaluate.bias_report import save_bias_report
from classpulse.lab.evaluate.command import choose_faces
from classpulse.lab.evaluate.faces import Measured, choose_kinds, measure
from classpulse.lab.evaluate.predictors import open_predictor, scores_in
from classpulse.lab.evaluate.report_sections import p_value
from classpulse.lab.evaluate.resample import Labels
from classpulse.lab.terminal import OnStep

__all__ = ["choose_faces", "describe_bias", "run_bias"]

METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def run_bias(
    model: str,
    faces: FaceSet,
    *,
    column: str,
    on_step: OnStep,
    against: str | None = None,
    kind: str | None = None,
    report: Path | None = None,
) -> dict[str, Any]:
    """`compare_groups` of one model, or of a model before and one after, as plain values.

    Args:
        model, against: as `open_predictor` takes them; `against` is the one after.
        column: annotation of the faces.
        kind: of labels, in `KINDS`; None is the first that the data and the model have.
        report: folder for the HTML report, its plots and the numbers.

    Raises:
        InputError: no such column or kind, or too few rows in its groups.
        ModelError: a model cannot be used.
        OutputError: the report cannot be written.
    """
    read_column(faces, column)  # refused before the models work for minutes
    first = measure([open_predictor(model)], faces, on_step=on_step)
    chosen, space = next(iter(choose_kinds(first, [kind] if kind else ()).items()))
    after = None
    if against is not None:  # measured apart: a model trained again may have the same name
        second = measure([open_predictor(against)], faces, on_step=on_step)
        after = _answers(second, space)
    found = compare_groups(_answers(first, space), after, faces, column=column, space=space)
    sources = {"before": f"{model} ({first.sources[0]})"}
    if against is not None:
        sources["after"] = f"{against} ({second.sources[0]})"
    results = {
        "model": model,
        "against": against,
        "models": sources,
        "data": faces.name,
        "data_sha256": faces.sha256,
        "kind": chosen,
        "labels": list(space.names),
        **asdict(found),
        "caveats": list(caveats(found)),
    }
    if report is not None:
        save_bias_report(results, report)
    return results


def _answers(measured: Measured, space: LabelSpace) -> Labels:
    scores = scores_in(measured.found[0], space)
    if scores is None:
        raise InputError(
            f"{measured.names[0]} answers in no label space that leads to {space.name}"
        )
    return scores.top


# --- as text -----------------------------------------------------------------------------------


def describe_bias(results: dict[str, Any]) -> str:
    """Groups, gaps, recalls, then what these numbers do not say."""
    models = " and, after, ".join(filter(None, (results["model"], results["against"])))
    lines = [f"{models} on {results['data']}: {results['kind']} by {results['column']}", ""]
    lines += _change_lines(results) if results["against"] else _group_lines(results)
    lines += ["", *_gap_lines(results), "", *_recall_lines(results)]
    missing = results["before"]["missing"]
    if missing:
        lines += ["", f"{missing:,} labeled rows have no annotation; they are in 'all rows' only"]
    return "\n".join([*lines, "", *(f"* {text}" for text in results["caveats"])])


def _width(results: dict[str, Any]) -> int:
    return max(len(row["group"]) for row in (results["overall"], *results["before"]["groups"])) + 2


def _group_lines(results: dict[str, Any]) -> list[str]:
    width = _width(results)
    head = f"{'group':<{width}}{'n':>7}  {'accuracy [95 %]':<26}macro F1 [95 %]"
    return [head] + [
        f"{row['group']:<{width}}{row['n']:>7}  {_reach(row['accuracy']):<26}"
        f"{_reach(row['macro_f1'])}"
        for row in (results["overall"], *results["before"]["groups"])
    ]


def _change_lines(results: dict[str, Any]) -> list[str]:
    """A block for each metric: before, after, change with its paired p."""
    width, blocks = _width(results), []
    before = (results["overall"], *results["before"]["groups"])
    after = (results["overall_after"], *results["after"]["groups"])
    for metric, title in METRICS.items():
        test = "p, McNemar" if metric == "accuracy" else "p, paired bootstrap"
        blocks.append(
            f"{title:<{width}}{'n':>7}  {'before [95 %]':<26}{'after [95 %]':<26}"
            f"{'change [95 %]':<29}{test}"
        )
        for old, new, change in zip(before, after, results["changes"], strict=True):
            one = change["comparison"]
            p = one["mcnemar"]["p"] if metric == "accuracy" else one[metric]["p"]
            blocks.append(
                f"{old['group']:<{width}}{old['n']:>7}  {_reach(old[metric]):<26}"
                f"{_reach(new[metric]):<26}{_signed(one[metric]['difference']):<29}{p_value(p)}"
            )
        blocks.append("")
    return blocks[:-1]


def _gap_lines(results: dict[str, Any]) -> list[str]:
    lines = []
    for when in ("before", "after"):
        for gap in (results[when] or {"gaps": ()})["gaps"]:
            p = "" if gap["p"] is None else f", p {p_value(gap['p'])} (permutation)"
            title = f"largest gap {when}" if results["against"] else "largest gap"
            lines.append(
                f"{title}: {METRICS[gap['metric']]} of {gap['best']} over {gap['worst']} "
                f"{_reach(gap['difference'])}{p}"
            )
    change = results["gap_change"]
    if change is not None:
        gap = change["gap"]
        lines.append(
            f"gap in accuracy, {change['best']} over {change['worst']}: {gap['second']:.4f} before,"
            f" {gap['first']:.4f} after, change {_signed(gap['difference'])}, "
            f"p {p_value(gap['p'])} (paired bootstrap)"
        )
    return lines


def _recall_lines(results: dict[str, Any]) -> list[str]:
    """Recall of every class, a line for each group; a dash where there are too few rows."""
    width = _width(results) + 8
    lines = [f"{'recall':<{width}}" + "".join(f"{label[:10]:>11}" for label in results["labels"])]
    found = {(row["group"], row["label"]): row for row in results["recalls"]}
    for group in (row["group"] for row in results["before"]["groups"]):
        for when in ("before", "after") if results["against"] else ("before",):
            title = f"{group}, {when}" if results["against"] else group
            cells = (found.get((group, label)) for label in results["labels"])
            texts = ("-" if one is None else f"{one[when]['value']:.3f}" for one in cells)
            lines.append(f"{title:<{width}}" + "".join(f"{text:>11}" for text in texts))
    return lines


def _reach(one: dict[str, float]) -> str:
    return f"{one['value']:.4f} [{one['low']:.4f}, {one['high']:.4f}]"


def _signed(one: dict[str, float]) -> str:
    return f"{one['value']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]"
