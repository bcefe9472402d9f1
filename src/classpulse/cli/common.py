"""What every group of commands shares."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from classpulse.core.errors import InputError, MissingExtraError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

Data = Annotated[
    list[str], typer.Option("--data", help="NAME=PATH for each data set that the recipe names.")
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE, for example schedule.batch=32.")
]
Votes = Annotated[Path | None, typer.Option(help="fer2013new.csv with the FER+ votes.")]
Groups = Annotated[
    Path | None, typer.Option(help="CSV of annotations for the recipe's table [groups].")
]
Run = Annotated[Path, typer.Option(help="Folder of the run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]


def refuse_unused(what: str, options: Mapping[str, object], *, only: str) -> None:
    """Refuse options that would be ignored.

    Args:
        what: the user's words that rule them out, as "tiny.toml is for texts".
        options: name -> whether, or with what, it was given.
        only: what they are for.

    Raises:
        InputError: one was given.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise InputError(f"{what}: {', '.join(given)} is for {only} only")


def import_lab(module: str) -> Any:
    """A module of the lab, or the line that installs what it needs."""
    try:
        return importlib.import_module(f"classpulse.lab.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "classpulse").startswith("classpulse"):
            raise
        raise MissingExtraError("this command", "lab") from None
