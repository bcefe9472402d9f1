"""The command `bias`: accuracy by group, before and after a correction. Needs the extra `lab`."""

import functools
import json
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson, import_lab


def bias(
    model: Annotated[str, typer.Argument(help="Shipped name, artefact folder, peer:NAME or an "
                                              "ensemble's .json file.")],
    data: Annotated[Path, typer.Argument(help="Labelled faces; classpulse data ls lists layouts.")],
    groups: Annotated[Path, typer.Option(help="CSV of annotations by row or file.")],
    column: Annotated[str, typer.Option(help="Its column to compare by, for example age.")],
    against: Annotated[str | None, typer.Option(help="The model after a correction.")] = None,
    votes: Annotated[Path | None, typer.Option(help="fer2013new.csv with FER+ votes.")] = None,
    labels: Annotated[str | None, typer.Option(help="emotion, ferplus or learning-state; the first "
                                                    "that there is.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data, or manifest.json:part; the "
                                                   "publisher's held-out part.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for report and plot.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Compare groups of an annotation, before and after a correction. Needs [lab]."""
    lab, layouts = import_lab("evaluate.bias_command"), import_lab("data.layouts")
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        reading = functools.partial(on_step, "reading")
        faces = layouts.load_faces(data, votes=votes, groups=groups, on_progress=reading)
        results = lab.run_bias(
            model, lab.choose_faces(faces, split), column=column, against=against, kind=labels,
            report=report, on_step=on_step,
        )  # fmt: skip
    typer.echo(json.dumps(results) if as_json else lab.describe_bias(results))
