"""The command `classpulse`: every command parses, calls the library and prints."""

import importlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import classpulse
from classpulse.core.errors import ClassPulseError, InputError, MissingExtraError

app = typer.Typer(
    help="Lessons become emotions, learning states and engagement, on your own machine. "
    "Expressions are not feelings, and EU law forbids face emotions in schools: see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
engage_app = typer.Typer(help="Engagement from expression scores.", no_args_is_help=True)
models_app = typer.Typer(help="The models that can be used.", no_args_is_help=True)
app.add_typer(engage_app, name="engage")
app.add_typer(models_app, name="models")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(classpulse.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options before the command."""


@app.command()
def analyze(
    source: Annotated[str, typer.Argument(help="Image, folder, 'pattern*.jpg', GIF, video, "
                                               "camera:N, rtsp://..., or - for standard input.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    every: Annotated[float, typer.Option(help="Seconds between analyzed frames.")] = 0.5,
    window: Annotated[float | None, typer.Option(help="Seconds per class number.")] = None,
    model: Annotated[str, typer.Option(help="Shipped name or artefact folder.")] = "face-base",
    detector: Annotated[str, typer.Option(help="retinaface or haar.")] = "retinaface",
    preset: Annotated[str, typer.Option(help="Engagement weights.")] = "default",
    smooth: Annotated[float, typer.Option(help="Smoothing of engagement, seconds.")] = 2.0,
    profile: Annotated[str, typer.Option(help="research, own-camera or eu-school.")] = "research",
    k: Annotated[int, typer.Option("--k", help="Smallest group whose numbers are shown.")] = 5,
    single_subject: Annotated[bool, typer.Option(help="One consented person.")] = False,
    consent: Annotated[str | None, typer.Option(help="Reference to the consent.")] = None,
    annotate: Annotated[bool, typer.Option(help="Also write a video with blurred faces.")] = False,
    show_faces: Annotated[bool, typer.Option(help="Do not blur them.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Analyze a lesson: readings, summary and report into a folder."""
    from classpulse.room.analyze import analyze as run
    from classpulse.room.privacy import Privacy
    from classpulse.room.terminal import describe_session, progress_bar

    privacy = Privacy(profile, k=k, single_subject=single_subject, consent=consent)
    with progress_bar(quiet=as_json or not sys.stderr.isatty()) as advance:
        session = run(source, out=out, every=every, window=window, model=model, detector=detector,
                      preset=preset, smooth=smooth, privacy=privacy, annotate=annotate,
                      show_faces=show_faces, on_progress=advance)  # fmt: skip
    typer.echo(json.dumps(session.summary) if as_json else describe_session(session))
    if not session.summary["session"]["complete"]:
        raise typer.Exit(130)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("classpulse-demo"),
) -> None:
    """Build a short video from two public-domain portraits and analyze it."""
    from classpulse.room.demo import run_demo
    from classpulse.room.terminal import describe_session

    session = run_demo(out)
    typer.echo(session.summary["caveats"][0])
    typer.echo(describe_session(session))
    typer.echo(f"Open the report in a browser: {session.files['report.html'].resolve().as_uri()}")
    if not session.summary["session"]["complete"]:
        raise typer.Exit(130)


@engage_app.command("apply")
def engage_apply(
    file: Annotated[Path, typer.Argument(help="CSV with one column per expression.")],
    preset: Annotated[str, typer.Option(help="Engagement weights.")] = "paper",
    as_json: AsJson = False,
) -> None:
    """Engagement of every row of a CSV file, and the group mean."""
    from classpulse.engage.columns import read_columns
    from classpulse.engage.score import get_preset

    engagement = get_preset(preset)
    columns = read_columns(file, engagement.labels)
    scores = engagement.score_columns(columns).round(6).tolist()
    mean = round(sum(scores) / len(scores), 6)
    if as_json:
        typer.echo(json.dumps({"preset": preset, "n": len(scores), "scores": scores, "mean": mean}))
    else:
        typer.echo("\n".join([*(f"{score:g}" for score in scores), f"mean {mean:g}"]))


@models_app.command("ls")
def models_ls(as_json: AsJson = False) -> None:
    """The models in this package, with their first metric."""
    import dataclasses

    from classpulse.core.card import load_card
    from classpulse.room.terminal import describe_models
    from classpulse.runtime.model import shipped_models

    cards = [dataclasses.asdict(load_card(f / "card.json")) for f in shipped_models().values()]
    typer.echo(json.dumps(cards) if as_json else describe_models(cards))


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="Name or folder.")]) -> None:
    """The whole card of a model."""
    from classpulse.runtime.model import find_model

    typer.echo((find_model(name) / "card.json").read_text(encoding="utf-8"), nl=False)


FER2013 = Annotated[Path, typer.Option(help="fer2013.csv or fer2013.csv.gz.")]
Votes = Annotated[Path, typer.Option(help="fer2013new.csv with the FER+ votes.")]


def _lab(module: str) -> Any:
    """A module of the lab, or the line that installs what it needs."""
    try:
        return importlib.import_module(f"classpulse.lab.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "classpulse").startswith("classpulse"):
            raise
        raise MissingExtraError("this command", "lab") from None


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Shipped name or artefact folder.")],
    data: Annotated[Path, typer.Argument(help="fer2013.csv or fer2013.csv.gz.")],
    votes: Annotated[Path | None, typer.Option(help="fer2013new.csv, for all heads.")] = None,
    split: Annotated[str, typer.Option(help="Usage part of FER2013.")] = "PublicTest",
    as_json: AsJson = False,
) -> None:
    """Measure a face model: accuracy, macro F1, confusion, calibration. Needs [lab]."""
    from classpulse.runtime.model import OnnxModel

    lab, network = _lab("evaluate.faces"), OnnxModel(model)
    faces = _lab("data.faces").load_fer2013(data, part=split, votes_path=votes)
    numbers = lab.evaluation_json(network, faces.name, lab.evaluate_faces(network, faces))
    typer.echo(json.dumps(numbers) if as_json else lab.describe_evaluation(numbers))


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or a .toml file.")],
    fer2013: FER2013,
    votes: Votes,
    run: Annotated[Path, typer.Option(help="Folder of the run; resumed if it exists.")],
) -> None:
    """Train a face recipe; interrupt and start it again as you like. Needs [lab]."""
    plan = _lab("recipe").load_recipe(recipe)
    for result in _lab("train.run").train_faces(plan, fer2013=fer2013, votes=votes, out=run):
        shares = "  ".join(f"{head} {share:.4f}" for head, share in result.accuracy.items())
        epoch, star = result.epoch, " *" if result.best else ""
        typer.echo(f"{epoch.number:3d}/{plan.schedule.epochs}  {epoch.side} px  "
                   f"loss {epoch.loss:.3f}  {shares}  {epoch.seconds:.0f} s{star}")  # fmt: skip


@app.command()
def publish(
    recipe: Annotated[str, typer.Argument(help="Recipe of the run.")],
    fer2013: FER2013,
    votes: Votes,
    run: Annotated[Path, typer.Option(help="Folder of the run.")],
    out: Annotated[Path, typer.Option(help="Folder of the artefact.")],
) -> None:
    """Calibrate, export, measure and fit the quality gate of a finished run. Needs [lab]."""
    plan = _lab("recipe").load_recipe(recipe)
    card, curves = _lab("publish").publish(plan, run, fer2013=fer2013, votes=votes, out=out)
    (run / "curves.json").write_text(json.dumps(curves, indent=1), encoding="utf-8")
    typer.echo(f"{out}: gate {card.gate}")
    for m in card.metrics:
        typer.echo(f"{m.head:<8} {m.name:<24} {m.value:.4f} [{m.low:.4f}, {m.high:.4f}] "
                   f"n = {m.n}  {m.data}")  # fmt: skip


def main() -> None:
    """Run the command line; errors we raise on purpose become one line and an exit code."""
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


if __name__ == "__main__":
    main()
