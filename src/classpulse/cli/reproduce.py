"""The commands that make a recipe's artefact of several runs, or with all it is made from."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli import text
from classpulse.cli.common import Changes, Data, Votes, import_lab


def average(
    recipe: Annotated[str, typer.Argument(help="Recipe of the runs.")],
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Its runs, with seeds of their own, and those that its averaging.runs names."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the mean, to be published as a run.")],
    data: Annotated[
        list[str] | None, typer.Option("--data", help="NAME=PATH for each data set of faces.")
    ] = None,
    votes: Votes = None,
    changes: Changes = None,
) -> None:
    """Average the best weights of runs that began with the same weights. Needs [lab]."""
    if text.is_text_recipe(recipe):
        text.average_texts(
            recipe, runs, out, changes=changes or (), unused={"--data": data, "--votes": votes}
        )
    else:
        plan = import_lab("recipe").load_recipe(recipe, changes=changes or ())
        sources = import_lab("train.sources")
        train = sources.load_parts(plan, sources.parse_paths(data or ()), votes).train
        import_lab("train.soup").average_runs(plan, runs, train, out=out)
    typer.echo(
        f"{out}: the mean of {len(runs)} runs; next: classpulse publish {recipe} --run {out}"
    )


def reproduce(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="Shipped recipe of any kind.")],
    data: Data,
    votes: Votes = None,
    runs: Annotated[Path, typer.Option(help="Folder of all runs.")] = Path("runs"),
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, or RECIPE:KEY=VALUE of one that comes before."),
    ] = None,
    from_scratch: Annotated[
        bool,
        typer.Option("--from-scratch", help="Make shipped teachers and members too."),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be done.")] = False,
) -> None:
    """Train and publish a recipe and whatever it starts from, learns from or combines.

    Interrupt it and call it again as you like: it goes on where it stopped. Needs [lab].
    """
    chain = import_lab("chain")
    paths = import_lab("train.sources").parse_paths(data)
    changed = chain.parse_changes(recipe, changes or ())
    given = chain.Given(paths, votes, runs, changed, from_scratch)
    commands = chain.plan_chain(recipe, given)
    whole = context.find_root().command
    for command in commands:
        typer.echo(f"$ classpulse {shlex.join(command)}")
        code = None if plan else whole.main(list(command), "classpulse", standalone_mode=False)
        if code:
            raise typer.Exit(code)
