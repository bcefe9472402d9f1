"""Write an evaluation to a folder: the numbers, the report and its plots."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from classpulse.core.errors import OutputError
from classpulse.core.labels import LabelSpace
from classpulse.lab.data.faces import truth_in
from classpulse.lab.evaluate.classification import reliability_curve
from classpulse.lab.evaluate.faces import Measured, details_json
from classpulse.lab.evaluate.figures import render_svg
from classpulse.lab.evaluate.groups import score_groups
from classpulse.lab.evaluate.plots import (
    draw_class_histogram,
    draw_confusion,
    draw_groups,
    draw_reliability,
    draw_risk_coverage,
    draw_robustness,
)
from classpulse.lab.evaluate.predictors import scores_in
from classpulse.lab.evaluate.ranking import risk_coverage
from classpulse.lab.evaluate.report import render_evaluation
from classpulse.lab.evaluate.robustness import RobustnessRow


def save_report(
    measured: Measured,
    results: dict[str, Any],
    space: LabelSpace,
    folder: Path,
    *,
    robustness: Sequence[RobustnessRow] = (),
) -> dict[str, Path]:
    """``report.html``, ``results.json`` and every plot as ``.svg``, of the first kind of labels.

    Args:
        results: of `evaluation_json`.
        space: of its first kind.
        robustness: of `measure_robustness`, if it was measured.

    Returns:
        Name -> file.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    full = {
        **results,
        **details_json(measured, space),
        "robustness": [asdict(row) for row in robustness],
        "facts": {
            "SHA-256 of the data": results["data_sha256"] or "none",
            **{f"What {name} is": source for name, source in results["models"].items()},
        },
    }
    plots = {
        name: render_svg(figure)
        for name, figure in _draw(measured, results, space, robustness).items()
    }
    texts = {"report.html": render_evaluation(full, plots), "results.json": _dump(full)}
    texts |= {f"{name}.svg": svg for name, svg in plots.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            partial = folder / f"{name}.partial"
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, folder / name)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
    return {name: folder / name for name in texts}


def _draw(
    measured: Measured,
    results: dict[str, Any],
    space: LabelSpace,
    robustness: Sequence[RobustnessRow],
) -> dict[str, Any]:
    faces, truth = measured.faces, truth_in(measured.faces, space)
    answers = {
        name: scores
        for name, found in zip(measured.names, measured.found, strict=True)
        if (scores := scores_in(found, space)) is not None
    }
    mine = answers[measured.names[0]]
    counts = {label: int((truth == i).sum()) for i, label in enumerate(space.names)}
    drawn = {
        "confusion": draw_confusion(np.asarray(results["confusion"]), space.names),
        "histogram": draw_class_histogram({faces.name: counts}),
        "reliability": draw_reliability(
            {name: reliability_curve(scores.probs, truth) for name, scores in answers.items()}
        ),
        "risk-coverage": draw_risk_coverage(
            {name: risk_coverage(scores.probs, truth) for name, scores in answers.items()}
        ),
    }
    if robustness:
        drawn["robustness"] = draw_robustness({measured.names[0]: robustness})
    if faces.groups:
        drawn["groups"] = draw_groups(
            [
                score_groups(column, values.tolist(), truth, mine.top, len(space))
                for column, values in faces.groups.items()
            ]
        )
    return drawn


def _dump(results: dict[str, Any]) -> str:
    """JSON without the long columns of the risk-coverage curve, which the plot shows."""
    selective = {k: v for k, v in results["selective"].items() if k not in _LONG}
    return json.dumps({**results, "selective": selective}, indent=1, default=list)


_LONG = ("threshold", "coverage", "risk")
