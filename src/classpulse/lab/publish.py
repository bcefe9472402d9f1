"""From a finished run to a shipped artefact: calibrate, export, measure, fit the gate, write."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classpulse.core.card import Head, Metric, ModelCard
from classpulse.lab.commit import source_commit
from classpulse.lab.data.faces import FaceSet, repeated_in
from classpulse.lab.evaluate.calibration import (
    PLAIN,
    Calibration,
    Fitted,
    calibration_of,
    fit_calibration,
)
from classpulse.lab.evaluate.gate import fit_gate
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.export import (
    OPEN_GATE,
    build_heads,
    export_onnx,
    need_same_file,
    new_artefact,
    read_precision,
    save_artefact,
)
from classpulse.lab.judge import calibration_metrics, judge_parts, judge_rounding
from classpulse.lab.models.base import RANDOM, FaceModel
from classpulse.lab.quantize import CALIBRATION
from classpulse.lab.recipe import Recipe, load_recipe
from classpulse.lab.recipe_file import recipe_names
from classpulse.lab.train.checkpoint import load_weights
from classpulse.lab.train.folder import RESOLVED, find_best
from classpulse.lab.train.logs import LOG, read_log
from classpulse.lab.train.origin import INITIAL, describe_start
from classpulse.lab.train.run import (
    build_network,
    predict_logits,
    prepare_all,
    prepare_images,
    self_contained,
)
from classpulse.lab.train.soup import describe_members
from classpulse.lab.train.sources import FaceParts, load_parts
from classpulse.lab.train.targets import hard_labels
from classpulse.runtime.model import OnnxModel, find_model

LIMITS = (
    "Trained on 48x48 grey web pictures found by a frontal face detector: small, turned, covered "
    "and badly lit faces are read worse, which the quality gate only partly prevents.",
    "FER2013 labels agree with ten human votes (FER+) on about two thirds of the pictures: an "
    "accuracy near 0.7 is close to what the labels allow, not to what people feel.",
    "Accuracy by age, gender, skin tone, glasses or head cover has not been measured, nor how "
    "often the gate's limits of light, which skin changes too, silence some people more than "
    "others.",
    "The learning states are derived from emotion votes by a rule, never from learning itself.",
    "Must not be used to grade, rank or discipline anyone; prohibited in EU schools and "
    "workplaces (Regulation (EU) 2024/1689, Art. 5(1)(f)).",
)

LICENCE = "Apache-2.0 (our weights); rights to the FER2013 pictures are unresolved"
BEGUN = "what they began with has licences of its own, see what it was trained on"


def publish(
    recipe: Recipe,
    run: Path,
    *,
    paths: Mapping[str, Path],
    votes: Path | None,
    out: Path,
    gate: bool = True,
) -> tuple[ModelCard, dict[str, Any]]:
    """Make the artefact folder `out` from `run/best.pt`; it stays as it was until all is measured.

    Calibration and the gate are fitted on the validation part, which also chose the epoch: the
    card says so. A test part of the split is measured besides; FER2013's PrivateTest is for
    others to judge.

    Args:
        paths, votes: as `load_parts` takes them.
        gate: fit the quality gate, which asks the network about every validation picture spoilt
            in several ways; False leaves it open, for a network that will not read lessons.

    Returns:
        The card; and for the LOG the gate's curves (if fitted), the epochs, and the likelihoods
        that chose each head's calibration.

    Raises:
        InputError: the run has no `best.pt`, the data files are missing or malformed, or int8
            costs too much of the accuracy.
        OutputError: nothing may be written to `out`.
    """
    network = load_best(recipe, run)
    parts = load_parts(recipe, paths, votes)
    faces = prepare_all(parts.valid, recipe.input)
    logits = predict_logits(network, faces, flip=recipe.flip, shifts=recipe.shifts)
    probs = {head: torch.softmax(values, dim=1).numpy() for head, values in logits.items()}
    in_integers = recipe.precision == "int8"
    pictures = draw_pictures(parts.train, recipe) if in_integers else None
    learned = _learned(recipe, parts, run)
    with new_artefact(out) as aside:

        def export(calibrations: Mapping[str, Calibration]) -> tuple[ModelCard, OnnxModel]:
            path = aside / "model.onnx"
            sha256 = export_onnx(network, recipe, calibrations, path, pictures=pictures)
            card = _card(recipe, network, build_heads(calibrations), sha256, learned=learned)
            save_artefact(aside, card)
            return card, OnnxModel(str(aside), threads=2)

        answers = probs
        if in_integers:  # what is calibrated and measured is what ships
            _, plain = export(dict.fromkeys(recipe.heads, PLAIN))
            found = predict_heads(plain, parts.valid.images)
            answers = {head: scores.probs for head, scores in found.items()}
        fitted, calibrated = _calibrate(answers, parts.valid)
        calibrations = {head: one.calibration for head, one in fitted.items()}
        card, model = export(calibrations)
        if in_integers:
            first = card.heads[0].name
            exact = calibrations[first].apply(probs[first])
            calibrated += judge_rounding(model, exact, parts.valid)
        limits_of_gate, curves = fit_gate(model, parts.valid) if gate else (OPEN_GATE, {})
        seen = _seen(recipe, parts, paths, votes)
        metrics = (*judge_parts(model, seen), *calibrated)
        limits = _limits(seen, apart=recipe.data.dedup)
        card = dataclasses.replace(card, gate=limits_of_gate, metrics=metrics, limits=limits)
        save_artefact(aside, card)
    losses = {head: dict(one.losses) for head, one in fitted.items()}
    return card, {**curves, "calibration": losses, "log": read_log(run / LOG)}


def export_run(run: Path, out: Path) -> ModelCard:
    """Make the artefact folder `out` from `run/best.pt` and `run/recipe.json`, without data.

    Nothing is calibrated and the gate is open, which the card says; `publish` does it properly.

    Raises:
        InputError: the run has no recipe or no `best.pt`, or its precision needs pictures.
        OutputError: nothing may be written to `out`.
    """
    recipe = load_recipe(str(run / RESOLVED))
    network = load_best(recipe, run)
    calibrations = dict.fromkeys(recipe.heads, PLAIN)
    learned = f"{' and '.join(recipe.data.sets)}, split {recipe.data.split}"
    raw = "Not calibrated, no quality gate, never measured: exported from a run without data."
    with new_artefact(out) as aside:
        sha256 = export_onnx(network, recipe, calibrations, aside / "model.onnx")
        card = _card(recipe, network, build_heads(calibrations), sha256, learned=learned)
        card = dataclasses.replace(card, limits=(raw, *card.limits))
        save_artefact(aside, card)
    return card


def export_again(
    run: Path,
    out: Path,
    *,
    like: str,
    paths: Mapping[str, Path] | None = None,
    votes: Path | None = None,
) -> ModelCard:
    """Make an artefact anew from the checkpoint of its run, to the byte.

    Args:
        like: the artefact, by shipped name or folder: its card has the calibration, and names the
            recipe; of one that is not shipped, the run's own is taken.
        paths, votes: as `publish` had them, for an artefact in integers: its ranges are fitted on
            training pictures. Others need no data.

    Raises:
        InputError: the run has no `best.pt`, or the artefact is in integers and there are no data.
        ModelError: there is no such artefact, or the checkpoint gives another file.
        OutputError: nothing may be written to `out`.
    """
    card = OnnxModel(like).card
    recipe = load_recipe(card.recipe if card.recipe in recipe_names() else str(run / RESOLVED))
    # that of the file: a recipe in integers may have been published in float16
    recipe = dataclasses.replace(recipe, precision=read_precision(find_model(like) / "model.onnx"))
    network = load_best(self_contained(recipe), run)
    pictures = None
    if recipe.precision == "int8" and paths:
        pictures = draw_pictures(load_parts(recipe, paths, votes).train, recipe)
    calibrations = {head.name: calibration_of(head) for head in card.heads}
    with new_artefact(out) as aside:
        path = aside / "model.onnx"
        sha256 = export_onnx(network, recipe, calibrations, path, pictures=pictures)
        need_same_file(sha256, like, source=str(run))
        save_artefact(aside, card)
    return card


def load_best(recipe: Recipe, run: Path) -> FaceModel:
    """The recipe's network with the weights of the run's best epoch.

    Raises:
        InputError: the run has none, or they are of another network.
    """
    weights = find_best(run, recipe.name)
    network = build_network(dataclasses.replace(recipe, start=None))
    load_weights(network, weights)
    if recipe.start:
        network.origin = describe_start(recipe.start)
    return network


def _calibrate(
    answers: Mapping[str, NDArray[np.float32]], valid: FaceSet
) -> tuple[dict[str, Fitted], list[Metric]]:
    """Calibration of every head, and what it gives on rows that it was not fitted on."""
    found: dict[str, Fitted] = {}
    metrics: list[Metric] = []
    for head, probs in answers.items():
        truth = hard_labels(valid, head)
        rows = np.flatnonzero(truth >= 0)
        probs, truth = probs[rows], truth[rows]
        found[head] = fit_calibration(probs, truth)
        metrics += calibration_metrics(head, probs, truth, valid.name, fitted=found[head])
    return found, metrics


def draw_pictures(train: FaceSet, recipe: Recipe) -> NDArray[np.float32]:
    """(n, c, h, w) prepared training pictures, the same at every call, to fit an int8 network."""
    rows = np.random.default_rng(0).permutation(len(train))[:CALIBRATION]
    return prepare_images(train.images[np.sort(rows)], recipe.input).numpy()


def _card(
    recipe: Recipe, network: FaceModel, heads: tuple[Head, ...], sha256: str, *, learned: str
) -> ModelCard:
    """The card before anything is measured; `learned` says what the weights have seen."""
    views = "; flip averaging inside the network" if recipe.flip else ""
    if recipe.shifts:
        places = ", ".join(f"{down} and {right}" for down, right in recipe.shifts)
        views += f"; mean over the face moved down and right by {places} pixels"
    return ModelCard(
        name=recipe.name,
        summary=recipe.summary,
        input=recipe.input,
        heads=heads,
        gate=OPEN_GATE,
        metrics=(),
        trained_on=f"{learned}; {INITIAL}{network.origin}{views}",
        licence=LICENCE if network.origin == RANDOM else f"{LICENCE}; {BEGUN}",
        limits=LIMITS,
        recipe=recipe.name,
        commit=source_commit(),
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        sha256=sha256,
        parameters=sum(p.numel() for p in network.parameters()),
    )


def _seen(
    recipe: Recipe, parts: FaceParts, paths: Mapping[str, Path], votes: Path | None
) -> FaceParts:
    """The parts as weights and teachers may have seen them, though this run left repeats out."""
    if not (recipe.data.dedup and (recipe.start or recipe.teach)):
        return parts
    whole = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, dedup=False))
    return load_parts(whole, paths, votes)


def _learned(recipe: Recipe, parts: FaceParts, run: Path) -> str:
    train, valid = parts.train, parts.valid
    votes = " with FER+ votes" if train.votes is not None else ""
    taught = "" if recipe.teach is None else f"; {recipe.teach.describe()}"
    how = recipe.groups
    grouped = "" if how is None else f"; groups of {how.settings.column} balanced"
    return (
        f"{train.name} ({len(train):,} pictures that are not blank){votes}{taught}{grouped}"
        f"{describe_members(run)}; "
        f"epoch, calibration{', places' if recipe.shifts else ''} and gate chosen on {valid.name}"
    )


def _limits(parts: FaceParts, *, apart: bool) -> tuple[str, ...]:
    """What every face model cannot do, and how many pictures are in two parts.

    Args:
        apart: this run left them out, the weights or teachers it began with did not.
    """
    repeats = int(repeated_in(parts.valid, parts.train).sum())
    if not repeats:
        return LIMITS
    left = ", which this run left out, but not the networks it began with or learned from"
    said = (
        f"{repeats} of the {len(parts.valid):,} pictures of {parts.valid.name} also stand in "
        f"training{left if apart else ''}; see the metrics without repeats."
    )
    return (*LIMITS[:2], said, *LIMITS[2:])
