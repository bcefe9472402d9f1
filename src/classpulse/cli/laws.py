"""The command `laws`: which law of scaling a user's timings follow. Needs the extra `lab`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson, import_lab


def laws(
    timings: Annotated[Path, typer.Argument(help="CSV: workers, seconds and perhaps serial.")],
    as_json: AsJson = False,
) -> None:
    """Speedup, efficiency and the laws of Amdahl, Gustafson and USL. Needs [lab]."""
    lab = import_lab("parallel.timings")
    runs = lab.read_timings(timings)
    typer.echo(json.dumps(lab.laws_json(runs)) if as_json else lab.describe_laws(runs))
