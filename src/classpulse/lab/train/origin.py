"""Where the first weights of a network came from, back to those of others, for its card."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from classpulse.core.card import ModelCard
from classpulse.core.errors import ClassPulseError
from classpulse.core.text_card import load_any_card
from classpulse.lab.models.base import RANDOM
from classpulse.lab.models.files import describe_file
from classpulse.lab.models.tfjs_file import CREDIT, PACKAGE
from classpulse.lab.train.folder import BEST, RESOLVED, is_artefact
from classpulse.runtime.model import find_model

INITIAL = "initial weights: "  # in `trained_on` of a card, up to the next "; "
CREDITS = {PACKAGE: CREDIT}


def describe_start(start: str) -> str:
    """What a network began with, with the hash of its file, and what that began with in turn.

    Raises:
        ModelError: there is no such artefact.
        OSError: the run has no weights.
    """
    if is_artefact(start):
        folder = find_model(start)
        own = f"artefact {folder.name}, {describe_file(folder / 'model.onnx')}"
        card = load_any_card(folder / "card.json")
        before = initial_weights(card.trained_on) if isinstance(card, ModelCard) else ""
    else:
        own, before = f"run {Path(start).name}, {describe_file(Path(start) / BEST)}", _of_run(start)
    return f"{own}, which began with {before}" if before else own


def initial_weights(trained_on: str) -> str:
    """What a card's `trained_on` says of the first weights; empty where they were random."""
    told = trained_on.partition(INITIAL)[2].partition("; ")[0]
    return "" if told == RANDOM else told


def _of_run(run: str) -> str:
    """The same of a run, as far back as files tell."""
    try:
        table: dict[str, Any] = json.loads((Path(run) / RESOLVED).read_text(encoding="utf-8"))
        start, weights = table.get("start"), table["network"].get("weights")
    except (OSError, ValueError, KeyError, AttributeError):
        return ""
    if start:
        with suppress(ClassPulseError, OSError):  # that run may be gone
            return describe_start(start)
        return f"run {Path(start).name}"
    return CREDITS.get(weights, Path(weights).name) if weights else ""
