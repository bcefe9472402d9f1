"""From a finished run to a shipped artefact: calibrate, export, measure, fit the gate, write."""

import dataclasses
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from classpulse.core.card import Head, Metric, ModelCard, QualityGate
from classpulse.core.errors import InputError
from classpulse.lab.data.faces import FaceSet, repeated_in
from classpulse.lab.evaluate.gate import fit_gate
from classpulse.lab.evaluate.metrics import cross_fitted_ece, evaluate_scores, fit_temperature
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.export import build_heads, export_onnx, save_artefact
from classpulse.lab.models.base import FaceModel
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.run import build_network, predict_logits, prepare_all
from classpulse.lab.train.sources import FaceParts, load_parts
from classpulse.lab.train.targets import hard_labels
from classpulse.runtime.model import OnnxModel

OPEN_GATE = QualityGate(0.0, 0.0, 1.0, 0.0)
LIMITS = (
    "Trained on 48x48 grey web pictures found by a frontal face detector: small, turned, covered "
    "and badly lit faces are read worse, which the quality gate only partly prevents.",
    "FER2013 labels agree with ten human votes (FER+) on about two thirds of the pictures: an "
    "accuracy near 0.7 is close to what the labels allow, not to what people feel.",
    "Accuracy by age, gender, skin tone, glasses or head cover has not been measured.",
    "The learning states are derived from emotion votes by a rule, never from learning itself.",
    "Must not be used to grade, rank or discipline anyone; prohibited in EU schools and "
    "workplaces (Regulation (EU) 2024/1689, Art. 5(1)(f)).",
)


def publish(
    recipe: Recipe, run: Path, *, paths: Mapping[str, Path], votes: Path | None, out: Path
) -> tuple[ModelCard, dict[str, Any]]:
    """Make the artefact folder `out` from `run/best.pt`.

    Temperatures and the gate are fitted on the validation part, which also chose the epoch: the
    card says so. A test part of the split is measured besides; FER2013's PrivateTest is for
    others to judge.

    Args:
        paths, votes: as `load_parts` takes them.

    Returns:
        The card, and the gate's curves for the LOG.

    Raises:
        InputError: the run has no `best.pt`, or the data files are missing or malformed.
    """
    weights = run / "best.pt"
    if not weights.exists():
        raise InputError(f"{weights} does not exist: train first, classpulse train {recipe.name}")
    network = build_network(recipe)
    network.load_state_dict(torch.load(weights, weights_only=True))
    parts = load_parts(recipe, paths, votes)
    temperatures, calibrated = _calibrate(network, parts.valid, recipe)
    sha256 = export_onnx(network, recipe, temperatures, out / "model.onnx")
    card = _card(recipe, network, build_heads(temperatures), sha256, parts)
    save_artefact(out, card)
    model = OnnxModel(str(out), threads=2)
    gate, curves = fit_gate(model, parts.valid)
    judged = [part for part in (parts.valid, parts.test) if part is not None]
    metrics = [*_metrics(model, judged[0]), *calibrated]
    for part in judged[1:]:
        metrics += _metrics(model, part)
    for part in judged:
        fresh = ~repeated_in(part, parts.train)
        if not fresh.all():
            metrics += _metrics(model, part.take(fresh, name=f"{part.name} without repeats"))
    card = dataclasses.replace(card, gate=gate, metrics=tuple(metrics))
    save_artefact(out, card)
    return card, {**curves, "log": _read_log(run / "log.jsonl")}


def _calibrate(
    network: torch.nn.Module, valid: FaceSet, recipe: Recipe
) -> tuple[dict[str, float], list[Metric]]:
    """Temperature of every head, and the ECE it gives on the half it was not fitted on."""
    logits = predict_logits(network, prepare_all(valid, recipe.input), flip=recipe.flip)
    temperatures: dict[str, float] = {}
    metrics: list[Metric] = []
    for head, values in logits.items():
        truth = hard_labels(valid, head)
        known = truth >= 0
        probs = torch.softmax(values, dim=1).numpy()[known]
        temperatures[head] = round(fit_temperature(probs, truth[known]), 4)
        ece = cross_fitted_ece(probs, truth[known], seed=0)
        n = int(np.sum(known))
        value, low, high = (round(v, 4) for v in (ece.value, ece.low, ece.high))
        metrics.append(Metric("ece, cross-fitted halves", head, value, low, high, n, valid.name))
    return temperatures, metrics


def _metrics(model: OnnxModel, faces: FaceSet) -> list[Metric]:
    found: list[Metric] = []
    for head, scores in predict_heads(model, faces.images).items():
        result = evaluate_scores(scores, hard_labels(faces, head))
        for name, value in (("accuracy", result.accuracy), ("macro_f1", result.macro_f1)):
            low, high = round(value.low, 4), round(value.high, 4)
            found.append(Metric(name, head, round(value.value, 4), low, high, result.n, faces.name))
    return found


def _card(
    recipe: Recipe, network: FaceModel, heads: tuple[Head, ...], sha256: str, parts: FaceParts
) -> ModelCard:
    train, valid = parts.train, parts.valid
    repeats = int(repeated_in(valid, train).sum())
    repeated = (
        f"{repeats} of the {len(valid):,} pictures of {valid.name} also stand in training; see the "
        "metrics without repeats.",
    )
    votes = " with FER+ votes" if train.votes is not None else ""
    return ModelCard(
        name=recipe.name,
        summary=recipe.summary,
        input=recipe.input,
        heads=heads,
        gate=OPEN_GATE,
        metrics=(),
        trained_on=f"{train.name} ({len(train):,} pictures that are not blank){votes}; initial "
        f"weights: {network.origin}; epoch, temperatures and gate chosen on {valid.name}"
        + ("; flip averaging inside the network" if recipe.flip else ""),
        licence="Apache-2.0 (our weights); rights to the FER2013 pictures are unresolved",
        limits=(*LIMITS[:2], *(repeated if repeats else ()), *LIMITS[2:]),
        recipe=recipe.name,
        commit=_commit(),
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        sha256=sha256,
        parameters=sum(p.numel() for p in network.parameters()),
    )


def _commit() -> str:
    """Revision of the source tree, "unknown" outside a checkout."""
    here = Path(__file__).parent
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _read_log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
