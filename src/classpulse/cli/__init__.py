"""The command `classpulse`: every command parses, calls the library and prints."""

import logging
import os
import signal
import sys
from typing import Annotated

import typer

import classpulse
from classpulse.cli import behave, bias, classic, data, lab, laws, reproduce, room, search
from classpulse.core.errors import ClassPulseError, InputError

app = typer.Typer(
    help="Lessons become emotions, learning states and engagement, on your own machine. "
    "Expressions are not feelings, and EU law forbids face emotions in schools: see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(room.analyze)
app.command()(room.demo)
room.engage_app.command("fit")(classic.engage_fit)
app.add_typer(room.engage_app, name="engage")
app.add_typer(room.models_app, name="models")
app.add_typer(data.data_app, name="data")
app.command()(lab.evaluate)
app.command()(bias.bias)
app.command()(behave.behave)
app.command()(lab.train)
app.command()(reproduce.average)
app.command()(lab.publish)
app.command()(lab.export)
app.command()(lab.combine)
app.command()(reproduce.reproduce)
app.command()(classic.classic)
app.command()(search.search)
app.command()(search.crossval)
app.add_typer(lab.recipes_app, name="recipes")
app.command()(laws.laws)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(classpulse.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Run the command line; errors we raise on purpose become one line and an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing is lost
    logging.basicConfig(format="classpulse: warning: %(message)s", level=logging.WARNING)
    try:
        app()
    except ClassPulseError as error:
        line = " ".join(str(error).splitlines())  # a file name may hold a line break
        typer.echo(f"classpulse: error: {line}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away: not an error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("classpulse: interrupted", err=True)
        sys.exit(130)
    except MemoryError:
        typer.echo("classpulse: error: not enough memory: use smaller pictures", err=True)
        sys.exit(InputError.exit_code)
