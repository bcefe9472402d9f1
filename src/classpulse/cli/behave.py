"""The command `behave`: what a text model does, case by case. Needs the extra `lab`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson, import_lab


def behave(
    model: Annotated[str, typer.Argument(help="Shipped name or artefact folder, for texts.")],
    labels: Annotated[str | None, typer.Option(help="Head; text-7 if there is one.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the cases.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Test a text model: classroom sentences, negation, typos, names, ... Needs [lab]."""
    lab = import_lab("evaluate.text_behaviour_command")
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        results = lab.run_behaviour(model, labels=labels, seed=seed, report=report, on_step=on_step)
    typer.echo(json.dumps(results) if as_json else lab.describe_behaviour(results))
