"""The paper's commands: `classic` and `engage fit`. They need the extra `lab`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson, Changes, Data, import_lab


def classic(
    recipe: Annotated[str, typer.Argument(help="Recipe of a classical pipeline.")],
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Folder of the artefact, new or empty.")] = None,
    changes: Changes = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the work.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Fit features, reduction and SVM, measure them, write an artefact. Needs [lab]."""
    plan = import_lab("classic.recipe").load_classic_recipe(recipe, changes=changes or ())
    paths = import_lab("train.sources").parse_paths(data)
    lab = import_lab("classic.command")
    found = lab.run_classic(plan, paths=paths, out=out, workers=workers)
    typer.echo(json.dumps(lab.classic_json(found)) if as_json else lab.describe_classic(found))


def engage_fit(
    file: Annotated[Path, typer.Argument(help="CSV: expression scores and labelled engagement.")],
    out: Annotated[Path, typer.Option(help="File of the preset, .json.")],
    target: Annotated[str, typer.Option(help="Column of the labels.")] = "engagement",
    columns: Annotated[str, typer.Option(help="Of scores, as happy,sad; all others.")] = "",
    head: Annotated[str | None, typer.Option(help="Of the model that gives these labels.")] = None,
    ridge: Annotated[float, typer.Option(help="Penalty; 0 is least squares.")] = 0.0,
    folds: Annotated[int, typer.Option(help="Of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Folder for plot and predictions.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fit engagement weights to labels, cross-validate them, write a preset. Needs [lab]."""
    lab = import_lab("engagement")
    only = [name.strip() for name in columns.split(",") if name.strip()]
    fit = lab.run_fit(
        file, out, target=target, only=only, head=head, ridge=ridge, folds=folds, seed=seed,
        report=report,
    )  # fmt: skip
    typer.echo(json.dumps(lab.fit_json(fit)) if as_json else lab.describe_fit(fit))
