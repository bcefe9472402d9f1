"""Commands of the room: analyze, demo, engage, models."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson, refuse_unused
from classpulse.core.defaults import (
    DETECT_EVERY,
    DETECTOR,
    EVERY,
    MIN_GROUP,
    MODEL,
    PRESET,
    PROFILE,
    SMOOTH,
    TEXT_MODEL,
)
from classpulse.core.errors import InputError

engage_app = typer.Typer(help="Engagement from expression scores.", no_args_is_help=True)
models_app = typer.Typer(help="The models that can be used.", no_args_is_help=True)


def analyze(
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(help="Image, folder, 'pattern*.jpg', GIF, video, "
                      "camera:N, rtsp://..., - for standard input, or students' writing: .csv, "
                      ".jsonl, .xlsx, .txt, .vtt, .docx, .json.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.")] = None,
    text: Annotated[str | None, typer.Option(help="One line to read, instead of a source.")] = None,
    chat: Annotated[Path | None, typer.Option(help="Writing beside the recording.")] = None,
    fusion: Annotated[Path | None, typer.Option(help="Weights of faces and chat, a file of "
                                                "engage fuse; without, those of the "
                                                "cards.")] = None,
    chat_start: Annotated[str | None, typer.Option(help="Time in the file of writing at which the "
                                                   "session begins: 14:05:00.")] = None,
    columns: Annotated[list[str] | None, typer.Option(help="text=NAME, author=NAME or time=NAME: "
                                                      "a column of a table.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Author to leave out, the teacher "
                                                      "for example.")] = None,
    writers: Annotated[int | None, typer.Option(help="How many people wrote, where the file does "
                                                "not name them.")] = None,
    keep_texts: Annotated[bool, typer.Option(help="Also write the texts with evidence.")] = False,
    text_model: Annotated[str, typer.Option(help="Shipped name or folder.")] = TEXT_MODEL,
    every: Annotated[float, typer.Option(help="Seconds between analyzed frames.")] = EVERY,
    detect_every: Annotated[float, typer.Option(help="Seconds between searches for faces; in "
                                  "between they are followed. 0: always.")] = DETECT_EVERY,
    window: Annotated[float | None, typer.Option(help="Seconds per class number; chosen from the "
                                   "length and the writing if not given.")] = None,
    model: Annotated[str, typer.Option(help="Shipped name or artefact folder.")] = MODEL,
    detector: Annotated[str, typer.Option(help="retinaface or haar.")] = DETECTOR,
    preset: Annotated[str, typer.Option(help="Engagement weights.")] = PRESET,
    smooth: Annotated[float, typer.Option(help="Smoothing of engagement, seconds.")] = SMOOTH,
    min_confidence: Annotated[float | None, typer.Option(help="Least probability of a face's "
                              "most probable label to say anything, 0 to 1; the model's own if "
                              "not given.")] = None,
    profile: Annotated[str, typer.Option(help="Legal setting. eu-school: faces are counted, "
                                "nothing is read from them, as the law wants in EU schools. "
                                "research: faces are read; you state ethics approval and consent, "
                                "or a place where the law allows it. own-camera: your own face, "
                                "for yourself; a second person ends it.")] = PROFILE,
    k: Annotated[int, typer.Option("--k", help="Smallest group that is shown.")] = MIN_GROUP,
    single_subject: Annotated[bool, typer.Option(help="One consented person.")] = False,
    consent: Annotated[str | None, typer.Option(help="Reference to the consent.")] = None,
    annotate: Annotated[bool, typer.Option(help="Also write a video with blurred faces; "
                                  "labels with --single-subject only.")] = False,
    show_faces: Annotated[bool, typer.Option(help="Do not blur them; needs --consent.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Analyze a lesson or what was written in it: readings, summary and report into a folder."""
    from classpulse.room.analyze import analyze as run
    from classpulse.room.privacy import Privacy
    from classpulse.room.terminal import describe_session, progress_bar
    from classpulse.room.writing.posts import Writing, is_writing, parse_columns

    if text is not None:
        _check_alone(context, others=(source, chat, out))
        _read_line(text, text_model, as_json=as_json)
        return
    if source is None or out is None:
        raise typer.BadParameter("give a source and --out FOLDER, or --text 'A LINE'")
    written = chat if chat is not None else Path(source) if is_writing(source) else None
    if written is None and (chat_start or columns or without or keep_texts or writers is not None):
        raise InputError(
            "--chat-start, --columns, --without, --writers and --keep-texts are for writing, but "
            f"{source} is none: add --chat FILE"
        )
    writing = written and Writing(written, chat_start, parse_columns(columns or ()),
                                  tuple(without or ()), text_model, keep_texts,
                                  writers)  # fmt: skip
    beside = chat is not None
    privacy = Privacy(profile, k=k, single_subject=single_subject, consent=consent)
    with progress_bar(quiet=as_json or not sys.stderr.isatty()) as advance:
        session = run(source if beside or writing is None else writing,
                      chat=writing if beside else None, fusion=fusion,
                      out=out, every=every, detect_every=detect_every, window=window,
                      model=model, detector=detector, preset=preset, smooth=smooth,
                      min_confidence=min_confidence, privacy=privacy, annotate=annotate,
                      show_faces=show_faces, on_progress=advance)  # fmt: skip
    typer.echo(json.dumps(session.summary) if as_json else describe_session(session))
    if not session.summary["session"]["complete"]:
        raise typer.Exit(130)


def _check_alone(context: typer.Context, *, others: tuple[object, ...]) -> None:
    """Refuse what would be ignored beside --text."""
    if any(other is not None for other in others):
        raise typer.BadParameter("--text reads one line: give it without source, --chat and --out")
    of_line = ("text", "text_model", "as_json")
    asked = {}
    for one in context.command.params:
        given = context.get_parameter_source(one.name or "")
        if given is not None and given.name == "COMMANDLINE" and one.name not in of_line:
            asked[one.opts[0]] = True
    refuse_unused("--text reads one line", asked, only="a source")


def _read_line(text: str, model: str, *, as_json: bool) -> None:
    from classpulse.room.writing.line import describe_line, read_line
    from classpulse.runtime.text import OnnxTextModel

    found = read_line(text, OnnxTextModel(model))
    typer.echo(json.dumps(found) if as_json else describe_line(found))


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("classpulse-demo"),
) -> None:
    """Build a short video from two public-domain portraits and analyze it."""
    from classpulse.room.demo import run_demo
    from classpulse.room.terminal import describe_session

    session = run_demo(out)
    typer.echo(session.summary["notice"])
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


@engage_app.command("fuse")
def engage_fuse(
    file: Annotated[Path, typer.Argument(help="CSV: face_LABEL and text_LABEL for each of the "
                                         "seven emotions, and label. Empty: channel missing.")],
    out: Annotated[Path, typer.Option(help="File of the weights, .json.")],
    prior: Annotated[str, typer.Option(help="even, or labels: their shares in the file.")] = "even",
    folds: Annotated[int, typer.Option(help="Of the cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fit how faces and writing are weighed to labelled rows, for `analyze --fusion`."""
    from classpulse.core.labels import TEXT_7
    from classpulse.engage.fuse import describe_fusion, fusion_json, run_fuse
    from classpulse.room.table import FACE, TEXT

    fit = run_fuse(file, out, space=TEXT_7, names=(FACE, TEXT), prior=prior, folds=folds, seed=seed)
    typer.echo(json.dumps(fusion_json(fit)) if as_json else describe_fusion(fit))


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
