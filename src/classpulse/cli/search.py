"""Commands that train a recipe many times: search its settings, cross-validate it."""

from typing import Annotated

import typer

from classpulse.cli.common import Changes, Data, Groups, Resume, Run, Votes, import_lab

Name = Annotated[str, typer.Argument(help="Shipped recipe or a .toml file.")]


def search(
    recipe: Name,
    data: Data,
    run: Run,
    space: Annotated[str, typer.Option(help="thesis-keras-tuner or schedule.")],
    votes: Votes = None,
    groups: Groups = None,
    trials: Annotated[int, typer.Option(help="Of the whole study.")] = 20,
    epochs: Annotated[int | None, typer.Option(help="Of a trial; the recipe's own.")] = None,
    executions: Annotated[int, typer.Option(help="Runs of a trial, averaged.")] = 1,
    prune: Annotated[bool, typer.Option(help="Stop trials that fall behind.")] = True,
    min_epochs: Annotated[int, typer.Option(help="Never before so many.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler.")] = 42,
    changes: Changes = None,
    resume: Resume = False,
) -> None:
    """Search settings of a recipe; interrupt it and go on as you like. Needs [lab]."""
    plan, lab = import_lab("search.plan"), import_lab("search.search")
    words = import_lab("search.results")
    how = plan.SearchPlan(space, trials, executions, prune, min_epochs, seed=seed)
    one = import_lab("recipe").load_recipe(recipe, changes=changes or ())
    one = one if epochs is None else plan.shorten(one, epochs)
    paths = import_lab("train.sources").parse_paths(data)
    for record in lab.search_faces(
        one, how, paths=paths, votes=votes, groups=groups, out=run, resume=resume
    ):
        typer.echo(words.describe_record(record))
    typer.echo(words.describe_best(run))


def crossval(
    recipe: Name,
    data: Data,
    run: Run,
    votes: Votes = None,
    groups: Groups = None,
    folds: Annotated[str, typer.Option(help="Some of them, as 0,1,2.")] = "",
    best_epoch: Annotated[
        bool, typer.Option("--best-epoch", help="Score the best epoch, chosen on the fold.")
    ] = False,
    changes: Changes = None,
    resume: Resume = False,
) -> None:
    """Cross-validate a recipe; interrupt it and go on as you like. Needs [lab]."""
    one = import_lab("recipe").load_recipe(recipe, changes=changes or ())
    paths = import_lab("train.sources").parse_paths(data)
    words = import_lab("search.folds")
    for result in import_lab("search.crossval").crossval_faces(
        one, paths=paths, votes=votes, groups=groups, out=run, resume=resume,
        folds=words.parse_folds(folds), best_epoch=best_epoch,
    ):  # fmt: skip
        typer.echo(words.describe_fold(result))
    typer.echo(words.describe_folds(words.load_folds(run), one, best_epoch=best_epoch))
