"""What the commands of the lab do with a recipe or a model for texts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from classpulse.cli.common import import_lab, refuse_unused
from classpulse.core.errors import ModelError


def is_text_recipe(recipe: str) -> bool:
    """Whether the recipe of this name or path is one for texts."""
    file = import_lab("recipe_file")
    return bool(file.is_of_text(file.read_table(recipe)))


def reads_texts(model: str) -> bool:
    """Whether this is the name or the folder of an artefact for texts; False of anything else."""
    from classpulse.core.card import is_of_text, read_card
    from classpulse.runtime.model import find_model

    try:
        return is_of_text(read_card(find_model(model) / "card.json"))
    except ModelError:
        return False


def train_text(
    recipe: str,
    data: Sequence[str],
    run: Path,
    *,
    changes: Sequence[str],
    resume: bool,
    tensorboard: bool,
    unused: Mapping[str, object],
) -> None:
    """`classpulse train` of a recipe for texts."""
    refuse_unused(f"{recipe} is for texts", unused, only="faces")
    plan = import_lab("text.recipe").load_text_recipe(recipe, changes=changes)
    paths = import_lab("train.sources").parse_paths(data)
    if import_lab("text.recipe").is_baseline(plan):
        of_networks = {"--tensorboard": tensorboard}
        refuse_unused(f"{recipe} is fitted in one pass", of_networks, only="networks")
        echo_metrics(import_lab("text.baseline_run").run_baseline(plan, paths=paths, out=run))
        return
    epochs = plan.schedule.epochs
    with import_lab("terminal").epoch_bar(epochs) as on_step:
        for result in import_lab("text.run").train_texts(
            plan, paths=paths, out=run, resume=resume, on_step=on_step, tensorboard=tensorboard
        ):
            typer.echo(result.describe(epochs, unit="tokens"))


def average_texts(
    recipe: str,
    runs: Sequence[Path],
    out: Path,
    *,
    changes: Sequence[str],
    unused: Mapping[str, object],
) -> None:
    """`classpulse average` of a recipe for texts."""
    refuse_unused(f"{recipe} is for texts, whose mean needs no data", unused, only="faces")
    plan = import_lab("text.recipe").load_text_recipe(recipe, changes=changes)
    import_lab("text.soup").average_text_runs(plan, runs, out=out)


def publish_text(
    recipe: str,
    data: Sequence[str],
    run: Path,
    out: Path,
    *,
    changes: Sequence[str],
    precision: str | None,
    unused: Mapping[str, object],
) -> None:
    """`classpulse publish` of a recipe for texts."""
    refuse_unused(f"{recipe} is for texts", unused, only="faces")
    plan = import_lab("text.recipe").load_text_recipe(recipe, changes=changes)
    paths = import_lab("train.sources").parse_paths(data)
    card = import_lab("text.publish").publish_texts(
        plan, run, paths=paths, out=out, precision=precision
    )
    typer.echo(f"{out}: gate {card.gate}")
    echo_metrics(card.metrics)


def evaluate_text(
    models: Sequence[str],
    data: Path,
    labels: Sequence[str],
    *,
    split: str | None,
    as_json: bool,
    unused: Mapping[str, object],
) -> None:
    """`classpulse evaluate` of models for texts."""
    refuse_unused(f"{models[0]} is for texts", unused, only="faces")
    lab = import_lab("text.evaluate")
    results = lab.evaluate_texts(models, data, labels=labels, split=split)
    typer.echo(json.dumps(results) if as_json else lab.describe_texts(results))


def echo_metrics(metrics: Sequence[Any]) -> None:
    """A line for each number of a card."""
    for m in metrics:
        typer.echo(f"{m.head:<8} {m.name:<24} {m.value:.4f} [{m.low:.4f}, {m.high:.4f}] "
                   f"n = {m.n}  {m.data}")  # fmt: skip
