"""Write an evaluation to a folder: the numbers, the report and its plots."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from classpulse import __version__
from classpulse.core.errors import InputError
from classpulse.core.files import save_texts
from classpulse.core.labels import LabelSpace
from classpulse.lab.commit import source_commit
from classpulse.lab.data.faces import truth_in
from classpulse.lab.evaluate.classification import reliability_curve
from classpulse.lab.evaluate.faces import Details, Measured, score_details
from classpulse.lab.evaluate.figures import render_svg
from classpulse.lab.evaluate.plots import (
    draw_class_histogram,
    draw_confusion,
    draw_groups,
    draw_reliability,
    draw_risk_coverage,
    draw_robustness,
)
from classpulse.lab.evaluate.plots_training import draw_embedding, draw_samples, embed_tsne
from classpulse.lab.evaluate.predictors import scores_in
from classpulse.lab.evaluate.ranking import risk_coverage
from classpulse.lab.evaluate.report import render_evaluation
from classpulse.lab.evaluate.robustness import RobustnessRow


@dataclass(frozen=True, slots=True)
class Extras:
    """What a report shows on request, each a number of pictures and 0 for none.

    Args:
        robustness: pictures to spoil step by step.
        embedding: pictures in the t-SNE map of the model's answers.
        samples: pictures shown with label and answer: faces of people, in the report's files.

    Raises:
        InputError: a number is negative.
    """

    robustness: int = 0
    embedding: int = 0
    samples: int = 0

    def __post_init__(self) -> None:
        for name in ("robustness", "embedding", "samples"):
            if getattr(self, name) < 0:
                raise InputError(f"--{name} {getattr(self, name)}: pictures are 0 or more")


def save_report(
    measured: Measured,
    results: dict[str, Any],
    space: LabelSpace,
    folder: Path,
    *,
    extras: Extras,
    robustness: Sequence[RobustnessRow] = (),
) -> dict[str, Path]:
    """``report.html``, ``results.json`` and every plot as ``.svg``, of the first kind of labels.

    Args:
        results: of `evaluation_json`.
        space: of its first kind.
        extras: what else to draw.
        robustness: of `measure_robustness`, if it was measured.

    Returns:
        Name -> file.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    details = score_details(measured, space)
    full = {
        **results,
        **asdict(details),
        "robustness": [asdict(row) for row in robustness],
        "facts": {
            "Made by": f"ClassPulse {__version__}, commit {source_commit()}",
            "On": f"{datetime.now(UTC):%Y-%m-%d}",
            "SHA-256 of the data": results["data_sha256"] or "none",
            **{f"What {name} is": source for name, source in results["models"].items()},
        },
    }
    drawn = _draw(measured, results, details, space, robustness) | _draw_extras(
        measured, space, extras
    )
    plots = {name: render_svg(figure) for name, figure in drawn.items()}
    texts = {"report.html": render_evaluation(full, plots), "results.json": _dump(full)}
    texts |= {f"{name}.svg": svg for name, svg in plots.items()}
    return save_texts(texts, folder)


def _draw(
    measured: Measured,
    results: dict[str, Any],
    details: Details,
    space: LabelSpace,
    robustness: Sequence[RobustnessRow],
) -> dict[str, Any]:
    faces, truth = measured.faces, truth_in(measured.faces, space)
    answers = {
        name: scores
        for name, found in zip(measured.names, measured.found, strict=True)
        if (scores := scores_in(found, space)) is not None
    }
    others = {name: scores for name, scores in answers.items() if name != measured.names[0]}
    curves = {measured.names[0]: details.selective}
    curves |= {name: risk_coverage(scores.probs, truth) for name, scores in others.items()}
    counts = {label: int((truth == i).sum()) for i, label in enumerate(space.names)}
    drawn = {
        "confusion": draw_confusion(np.asarray(results["confusion"]), space.names),
        "histogram": draw_class_histogram({faces.name: counts}),
        "reliability": draw_reliability(
            {name: reliability_curve(scores.probs, truth) for name, scores in answers.items()}
        ),
        "risk-coverage": draw_risk_coverage(curves),
    }
    if robustness:
        drawn["robustness"] = draw_robustness({measured.names[0]: robustness})
    if details.groups:
        drawn["groups"] = draw_groups(details.groups)
    return drawn


def _draw_extras(measured: Measured, space: LabelSpace, extras: Extras) -> dict[str, Any]:
    """Plots of a random sample of the pictures with a label."""
    faces, truth = measured.faces, truth_in(measured.faces, space)
    scores = scores_in(measured.found[0], space)
    assert scores is not None
    order = np.random.default_rng(0).permutation(np.flatnonzero(truth >= 0))
    drawn: dict[str, Any] = {}
    if extras.embedding:
        some = order[: extras.embedding]
        answers = np.log(np.maximum(scores.probs[some], 1e-6))  # logits up to a constant
        drawn["embedding"] = draw_embedding(embed_tsne(answers), truth[some], space.names)
    if extras.samples:
        some = order[: extras.samples]
        names = [f"{space.names[truth[i]]}\n{space.names[scores.top[i]]}" for i in some]
        drawn["samples"] = draw_samples(faces.images[some], names, allow_pictures=True)
    return drawn


def _dump(results: dict[str, Any]) -> str:
    """JSON without the long columns of the risk-coverage curve, which the plot shows."""
    selective = {k: v for k, v in results["selective"].items() if k not in _LONG}
    return json.dumps({**results, "selective": selective}, indent=1, default=list)


_LONG = ("threshold", "coverage", "risk")
