"""What every group of commands shares."""

import importlib
from typing import Annotated, Any

import typer

from classpulse.core.errors import MissingExtraError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def import_lab(module: str) -> Any:
    """A module of the lab, or the line that installs what it needs."""
    try:
        return importlib.import_module(f"classpulse.lab.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "classpulse").startswith("classpulse"):
            raise
        raise MissingExtraError("this command", "lab") from None
