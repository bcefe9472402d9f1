"""Commands of the room: analyze, demo, engage, models."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson

engage_app = typer.Typer(help="Engagement from expression scores.", no_args_is_help=True)
models_app = typer.Typer(help="The models that can be used.", no_args_is_help=True)


def analyze(
    source: Annotated[str, typer.Argument(help="Image, folder, 'pattern*.jpg', GIF, video, "
                                               "camera:N, rtsp://..., or - for standard input.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    every: Annotated[float, typer.Option(help="Seconds between analyzed frames.")] = 0.5,
    detect_every: Annotated[float, typer.Option(help="Seconds between searches for faces; between "
                                                     "them they are followed. 0: always.")] = 0.2,
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
        session = run(source, out=out, every=every, detect_every=detect_every, window=window,
                      model=model, detector=detector, preset=preset, smooth=smooth,
                      privacy=privacy, annotate=annotate, show_faces=show_faces,
                      on_progress=advance)  # fmt: skip
    typer.echo(json.dumps(session.summary) if as_json else describe_session(session))
    if not session.summary["session"]["complete"]:
        raise typer.Exit(130)


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

    from classpulse.core.text_card import load_any_card
    from classpulse.room.terminal import describe_models
    from classpulse.runtime.model import shipped_models

    cards = [dataclasses.asdict(load_any_card(f / "card.json")) for f in shipped_models().values()]
    typer.echo(json.dumps(cards) if as_json else describe_models(cards))


@models_app.command("show")
def models_show(name: Annotated[str, typer.Argument(help="Name or folder.")]) -> None:
    """The whole card of a model."""
    from classpulse.runtime.model import find_model

    typer.echo((find_model(name) / "card.json").read_text(encoding="utf-8"), nl=False)
