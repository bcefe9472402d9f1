"""Commands of the lab: evaluate, train, publish. They need the extra `lab`."""

import functools
import json
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli import text
from classpulse.cli.common import (
    AsJson,
    Changes,
    Data,
    Groups,
    Resume,
    Run,
    Votes,
    import_lab,
    refuse_unused,
)
from classpulse.core.files import save_text


def evaluate(
    model: Annotated[str, typer.Argument(help="Shipped name, artefact folder, peer:NAME or an "
                                              "ensemble's .json file.")],
    data: Annotated[Path, typer.Argument(help="Labelled faces or texts; classpulse data ls has "
                                               "the layouts.")],
    labels: Annotated[list[str] | None, typer.Option(help="emotion, ferplus or learning-state; of "
                                                          "texts, text-5 or text-7.")] = None,
    votes: Annotated[Path | None, typer.Option(help="fer2013new.csv with FER+ votes.")] = None,
    split: Annotated[str | None, typer.Option(help="Part of the data, or manifest.json:part; the "
                                                   "publisher's held-out part.")] = None,
    tta: Annotated[str, typer.Option(help="Views averaged: none, flip, ten-crop, shift or scale; "
                                         "shipped models of faces flip already.")] = "none",
    against: Annotated[list[str] | None, typer.Option(help="Another model; repeatable.")] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of annotations by row or file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for report and plots.")] = None,
    robustness: Annotated[int, typer.Option(help="Report: pictures to spoil step by step.")] = 0,
    embedding: Annotated[int, typer.Option(help="Report: pictures in a t-SNE map.")] = 0,
    samples: Annotated[int, typer.Option(help="Report: pictures of people to show.")] = 0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure models on labelled pictures or texts, side by side. Needs [lab]."""
    if text.reads_texts(model):
        for_faces = {
            "--votes": votes, "--tta": tta != "none", "--groups": groups, "--report": report,
            "--robustness": robustness, "--embedding": embedding, "--samples": samples,
        }  # fmt: skip
        text.evaluate_text(
            [model, *(against or [])], data, labels or (), split=split, as_json=as_json,
            unused=for_faces,
        )  # fmt: skip
        return
    lab, layouts = import_lab("evaluate.command"), import_lab("data.layouts")
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        reading = functools.partial(on_step, "reading")
        faces = layouts.load_faces(data, votes=votes, groups=groups, on_progress=reading)
        results = lab.run_evaluation(
            [model, *(against or [])], lab.choose_faces(faces, split), kinds=labels or (),
            views=tta, report=report, extras=lab.Extras(robustness, embedding, samples),
            on_step=on_step,
        )  # fmt: skip
    typer.echo(json.dumps(results) if as_json else lab.describe_evaluation(results))


def train(
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or a .toml file.")],
    data: Data,
    run: Run,
    votes: Votes = None,
    groups: Groups = None,
    changes: Changes = None,
    resume: Resume = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events into the run's folder, too.")
    ] = False,
    parallel: Annotated[str | None, typer.Option(help="With several workers: ddp, async or "
                                                      "hogwild.")] = None,
    workers: Annotated[int | None, typer.Option(help="Their number; all cores.")] = None,
    compress: Annotated[str | None, typer.Option(help="Gradients of ddp: none, fp16, bf16, "
                                                      "powersgd or topk.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of each worker; 1.")] = None,
) -> None:  # fmt: skip
    """Train a recipe of faces or texts; interrupt it and go on as you like. Needs [lab]."""
    try:
        if text.is_text_recipe(recipe):
            for_faces = {
                "--votes": votes, "--groups": groups, "--parallel": parallel,
                "--workers": workers, "--compress": compress, "--threads": threads,
            }  # fmt: skip
            text.train_text(
                recipe, data, run, changes=changes or (), resume=resume, tensorboard=tensorboard,
                unused=for_faces,
            )  # fmt: skip
            return
        plan = import_lab("recipe").load_recipe(recipe, changes=changes or ())
        paths = import_lab("train.sources").parse_paths(data)
        team = import_lab("train.parallel.settings").choose_parallel(
            parallel, workers=workers, compress=compress, threads=threads
        )
        with import_lab("terminal").epoch_bar(plan.schedule.epochs) as on_step:
            for result in import_lab("train.run").train_faces(
                plan, paths=paths, votes=votes, groups=groups, out=run, resume=resume,
                on_step=on_step, tensorboard=tensorboard, parallel=team,
            ):  # fmt: skip
                typer.echo(result.describe(plan.schedule.epochs))
    except KeyboardInterrupt:
        typer.echo("classpulse: interrupted: go on with --resume", err=True)
        raise typer.Exit(130) from None


def publish(
    recipe: Annotated[str, typer.Argument(help="Recipe of the run.")],
    data: Data,
    run: Run,
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")],
    votes: Votes = None,
    changes: Changes = None,
    gate: Annotated[bool, typer.Option(help="Fit the quality gate: minutes of work.")] = True,
    precision: Annotated[str | None, typer.Option(help="Of texts: float32, int8, int8-weights or "
                                                       "int6-weights; the recipe's.")] = None,
) -> None:  # fmt: skip
    """Calibrate, export, measure and fit the quality gate of a finished run. Needs [lab]."""
    if text.is_text_recipe(recipe):
        text.publish_text(
            recipe, data, run, out, changes=changes or (), precision=precision,
            unused={"--votes": votes, "--no-gate": not gate},
        )  # fmt: skip
        return
    refuse_unused(f"{recipe} is for faces", {"--precision": precision}, only="texts")
    plan = import_lab("recipe").load_recipe(recipe, changes=changes or ())
    paths = import_lab("train.sources").parse_paths(data)
    card, curves = import_lab("publish").publish(
        plan, run, paths=paths, votes=votes, out=out, gate=gate
    )
    save_text(json.dumps(curves, indent=1), run / "curves.json")
    typer.echo(f"{out}: gate {card.gate}")
    text.echo_metrics(card.metrics)


def combine(
    recipe: Annotated[str, typer.Argument(help="Recipe of an ensemble.")],
    member: Annotated[list[str], typer.Option(help="Artefact of a member; one for each.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")],
    votes: Votes = None,
    changes: Changes = None,
    like: Annotated[str | None, typer.Option(help="An artefact that it must equal, to the "
                                                  "byte.")] = None,
) -> None:  # fmt: skip
    """Combine trained models into one: fit the rule, calibrate, export, measure. Needs [lab]."""
    plan = import_lab("ensemble.recipe").load_ensemble_recipe(recipe, changes=changes or ())
    paths = import_lab("train.sources").parse_paths(data)
    made = import_lab("ensemble.combine").combine(
        plan, member, paths=paths, votes=votes, out=out, like=like
    )
    text.echo_metrics(made.metrics)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")],
    like: Annotated[str | None, typer.Option(help="Of faces: an artefact of this run, to be made "
                                                  "again to the byte.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="With --like of one in integers: NAME=PATH "
                                                        "as publish had it.")] = None,
    votes: Votes = None,
) -> None:  # fmt: skip
    """Write the best weights of a run as ONNX, without data: not calibrated. Needs [lab]."""
    texts = text.is_text_recipe(str(run / "recipe.json"))
    lab = import_lab("text.publish" if texts else "publish")
    if like is not None:
        if texts:
            refuse_unused(f"{run} is of texts", {"--like": like}, only="faces")
        paths = import_lab("train.sources").parse_paths(data or [])
        card = lab.export_again(run, out, like=like, paths=paths, votes=votes)
        typer.echo(f"{out}: {like} to the byte, sha256 {card.sha256}")
        return
    refuse_unused("without --like", {"--data": data, "--votes": votes}, only="--like")
    card = lab.export_run(run, out)
    typer.echo(f"{out}: {card.parameters:,} parameters, not calibrated, not measured")


recipes_app = typer.Typer(
    help="Training recipes: list, show, copy, check, claim, plot.", no_args_is_help=True
)


@recipes_app.command("ls")
def recipes_ls(as_json: AsJson = False) -> None:
    """Every shipped recipe with the numbers of its source and ours. Needs [lab]."""
    book = import_lab("book")
    recipes = book.list_recipes()
    typer.echo(json.dumps(recipes) if as_json else book.describe_recipes(recipes))


@recipes_app.command("show")
def recipes_show(
    name: Annotated[str, typer.Argument(help="Shipped recipe.")],
    resolved: Annotated[bool, typer.Option(help="With all that it extends and defaults.")] = False,
) -> None:
    """The file of a recipe."""
    typer.echo(import_lab("book").show_recipe(name, resolved=resolved), nl=False)


@recipes_app.command("cp")
def recipes_cp(
    name: Annotated[str, typer.Argument(help="Shipped recipe.")],
    path: Annotated[Path, typer.Argument(help="New .toml file, to change and train.")],
) -> None:
    """Copy a recipe, to change it."""
    typer.echo(import_lab("book").copy_recipe(name, path))


@recipes_app.command("check")
def recipes_check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Recipes; all that are shipped.")
    ] = None,
) -> None:
    """Load, build and train each recipe for two steps on made-up faces or texts.

    Parameters are counted as Keras does, with the statistics of normalizations.
    """
    for found in import_lab("check").check_recipes(names or []):
        losses = ", ".join(f"{loss:.4f}" for loss in found.losses)
        typer.echo(f"{found.name:<34}{found.parameters:>12,} parameters  loss {losses}")


@recipes_app.command("claim")
def recipes_claim(
    artefact: Annotated[Path, typer.Argument(help="Artefact with the measured card.")],
    hardware: Annotated[str, typer.Option(help="What it was trained on.")],
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Its run; of an ensemble all members'.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Of the fit of a classical pipeline, without runs.")
    ] = None,
) -> None:
    """Our numbers of an artefact, as tables for its recipe."""
    claim_runs = import_lab("book").claim_runs
    typer.echo(claim_runs(artefact, runs or [], hardware=hardware, minutes=minutes), nl=False)


@recipes_app.command("plot")
def recipes_plot(
    prefix: Annotated[str, typer.Argument(help="Of the names of a family, for example aied-b.")],
    out: Annotated[Path, typer.Option(help="Figure, .png or .svg.")],
    by: Annotated[str, typer.Option(help="source or ours.")] = "source",
) -> None:
    """Accuracy of a family of recipes against the settings in which they differ."""
    typer.echo(import_lab("book").plot_family(prefix, out, by=by))
