"""Commands for data sets: what there is, labels, splits, repeats. They need the extra `lab`."""

import functools
import json
from pathlib import Path
from typing import Annotated

import typer

from classpulse.cli.common import AsJson, import_lab

data_app = typer.Typer(
    help="Data sets: describe, relabel, split, find repeats, export, purge.", no_args_is_help=True
)

Data = Annotated[Path, typer.Argument(help="File or folder; data ls lists what is read.")]
Reader = Annotated[str | None, typer.Option("--as", help="Name of data ls, instead of finding it "
                                                         "by the content.")]  # fmt: skip
Votes = Annotated[Path | None, typer.Option(help="fer2013new.csv with FER+ votes.")]
Labels = Annotated[str | None, typer.Option(help="Faces: emotion, ferplus or learning-state; "
                                                 "texts: a label space. The data's own by default."
                                            )]  # fmt: skip


@data_app.command("ls")
def data_ls(as_json: AsJson = False) -> None:
    """Layouts, corpora, label rules, split protocols and label spaces."""
    catalog = import_lab("data.catalog").list_catalog()
    words = import_lab("data.wording")
    typer.echo(json.dumps(catalog) if as_json else words.describe_catalog(catalog))


@data_app.command()
def describe(
    path: Data, reader: Reader = None, votes: Votes = None, as_json: AsJson = False
) -> None:
    """What a file or folder holds: rows, classes, parts, repeats, lengths, SHA-256."""
    lab, words = import_lab("data.describe"), import_lab("data.wording")
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        summary = lab.summarize_path(path, reader=reader, votes=votes, on_step=on_step)
    typer.echo(json.dumps(summary) if as_json else words.describe_summary(summary))


@data_app.command()
def relabel(
    votes: Annotated[Path, typer.Option(help="fer2013new.csv with FER+ votes.")],
    rule: Annotated[str, typer.Option(help="learning-state, ferplus-majority or a rule that starts "
                                           "from FER+ votes; data ls lists them.")],
    images: Annotated[Path | None, typer.Option(help="FER2013 as CSV: count the labelled rows that "
                                                     "have a picture.")] = None,
    out: Annotated[Path | None, typer.Option(help="CSV for row, Usage and label.")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Labels for every row of a FER+ file by a rule, with counts per part."""
    lab, words = import_lab("data.relabel"), import_lab("data.wording")
    lab.get_vote_rule(rule)  # an unknown one is told before anything is read
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        reading = functools.partial(on_step, "reading")
        read = import_lab("data.layouts").load_faces
        faces = None if images is None else read(images, on_progress=reading)
        result = lab.relabel_votes(votes, rule, faces=faces, out=out)
    typer.echo(json.dumps(result) if as_json else words.describe_relabel(result))


@data_app.command()
def split(
    data: Data,
    protocol: Annotated[str, typer.Option(help="Name of a split protocol; data ls lists them.")],
    out: Annotated[Path, typer.Option(help="Manifest to write, .json.")],
    votes: Votes = None,
    labels: Labels = None,
    reader: Reader = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the protocols that draw.")] = 42,
    as_json: AsJson = False,
) -> None:
    """Split data by a protocol and write the manifest that evaluate --split takes."""
    lab, words = import_lab("data.partition"), import_lab("data.wording")
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        reading = functools.partial(on_step, "reading")
        labelled = lab.load_labelled(
            data, labels=labels, reader=reader, votes=votes, on_progress=reading
        )
    result = lab.split_data(labelled, protocol, seed=seed, out=out)
    typer.echo(json.dumps(result) if as_json else words.describe_split(result))


@data_app.command()
def dedup(
    data: Data,
    train: Annotated[str | None, typer.Option(help="Part to learn from.")] = None,
    held_out: Annotated[list[str] | None, typer.Option(help="Part that must not be in it; "
                                                            "repeatable.")] = None,
    against: Annotated[Path | None, typer.Option(help="Other data as the held-out side.")] = None,
    out: Annotated[Path | None, typer.Option(help="Report with every pair, .json.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="Manifest without the repeats.")] = None,
    reader: Reader = None,
    examples: Annotated[int, typer.Option(min=0, help="Pairs of each kind to show.")] = 5,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Training pictures that stand in a held-out part: identical, similar or mirrored."""
    lab, layouts = import_lab("data.repeats"), import_lab("data.layouts")
    words = import_lab("data.wording")
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        reading = functools.partial(on_step, "reading")
        faces = layouts.load_faces(data, layout=reader, on_progress=reading)
        other = None if against is None else layouts.load_faces(against, on_progress=reading)
        sides = lab.choose_sides(faces, train=train, held_out=held_out or (), against=other)
        compared = lab.compare_sides(*sides, on_step=on_step)
    report = lab.report_repeats(compared, examples=examples, out=out, manifest=manifest)
    typer.echo(json.dumps(report) if as_json else words.describe_repeats(report))


@data_app.command()
def export(
    data: Data,
    out: Annotated[Path, typer.Option(help="New or empty folder.")],
    form: Annotated[str, typer.Option("--format", help="Faces: csv, folders (PNG) or npz; texts: "
                                                       "csv or jsonl. Faces are people.")],
    votes: Votes = None,
    labels: Labels = None,
    chosen: Annotated[str | None, typer.Option("--split", help="manifest.json:part.")] = None,
    reader: Reader = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write a data set to a folder in a form that other programs read."""
    lab, words = import_lab("data.export"), import_lab("data.wording")
    load = import_lab("data.partition").load_labelled
    with import_lab("terminal").step_bar(quiet=as_json) as on_step:
        reading, writing = (functools.partial(on_step, step) for step in ("reading", "writing"))
        labelled = load(data, labels=labels, reader=reader, votes=votes, on_progress=reading)
        facts = lab.export_data(labelled, out, form=form, split=chosen, on_progress=writing)
    typer.echo(json.dumps(facts) if as_json else words.describe_export(facts))


@data_app.command()
def purge(
    path: Annotated[
        Path | None, typer.Argument(help="Delete what was made of this file or folder alone.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete cached pictures: reading faces keeps them in your cache folder until you do."""
    found = import_lab("data.purge").purge(path)
    words = import_lab("data.wording")
    typer.echo(json.dumps(found) if as_json else words.describe_purge(found))
