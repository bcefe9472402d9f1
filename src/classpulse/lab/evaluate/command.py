"""`classpulse evaluate` without its command line: models in, one table and one report out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.splits import ROLES, take_split
from classpulse.lab.evaluate.faces import (
    choose_kinds,
    describe_evaluation,
    evaluation_json,
    measure,
    measure_robustness,
)
from classpulse.lab.evaluate.page import Extras, save_report
from classpulse.lab.evaluate.predictors import open_predictor
from classpulse.lab.terminal import OnStep

__all__ = ["Extras", "choose_faces", "describe_evaluation", "run_evaluation"]


def choose_faces(faces: FaceSet, split: str | None) -> FaceSet:
    """The rows to evaluate on.

    Args:
        split: a part of the data, or ``manifest.json:part``; None is the validation part of its
            publisher, else the test part (PublicTest of FER2013, test of RAF-DB), else everything.

    Raises:
        InputError: there is no such part, or the manifest belongs to other data.
    """
    if split is None:
        there = set() if faces.part is None else set(faces.part.tolist())
        held_out = [name for role in ("valid", "test") for name in ROLES[role] if name in there]
        return faces.take_part(held_out[0]) if held_out else faces
    return take_split(faces, split) if ".json:" in split else faces.take_part(split)


def run_evaluation(
    models: Sequence[str],
    faces: FaceSet,
    *,
    on_step: OnStep,
    kinds: Sequence[str] = (),
    views: str = "none",
    report: Path | None = None,
    extras: Extras | None = None,
) -> dict[str, Any]:
    """The results of the first model, compared with the others on the same pictures.

    Args:
        models: as `open_predictor` takes them.
        kinds: of labels, in `KINDS`; none is all that there are.
        views: test-time augmentation of every model, in `VIEWS`.
        report: folder for the HTML report, its plots and all numbers.
        extras: what the report shows besides.

    Raises:
        InputError: an unknown name, data without labels, or extras without a report.
        ModelError: a model cannot be used.
        OutputError: the report cannot be written.
    """
    extras = extras or Extras()
    if extras != Extras() and report is None:
        raise InputError("robustness, embedding and samples are in the report: give --report too")
    predictors = [open_predictor(spec, views=views) for spec in models]
    measured = measure(predictors, faces, on_step=on_step)
    chosen = choose_kinds(measured, kinds)
    results = evaluation_json(measured, chosen)
    if report is not None:
        space = chosen[results["kind"]]
        rows = (
            measure_robustness(
                predictors[0], faces, space, sample=extras.robustness, on_step=on_step
            )
            if extras.robustness
            else ()
        )
        save_report(measured, results, space, report, extras=extras, robustness=rows)
    return results
