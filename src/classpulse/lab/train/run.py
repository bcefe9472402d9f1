"""Run a face recipe: data in, checkpoints and a log out, the best weights kept."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError, ShapeError
from classpulse.core.files import make_folder, save_text
from classpulse.lab.data.balance import BALANCINGS
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.group_balance import balance_groups
from classpulse.lab.evaluate.resample import accuracy_of, count_confusion, macro_f1_of
from classpulse.lab.models.base import FaceModel
from classpulse.lab.models.low_rank import factorized
from classpulse.lab.models.registry import build_model
from classpulse.lab.models.restore import load_artefact, take_trunk
from classpulse.lab.models.views import Shift, count_views, mean_of_views, show_views
from classpulse.lab.recipe import Recipe, recipe_table
from classpulse.lab.train.answers import OnAsked
from classpulse.lab.train.augment import shrink
from classpulse.lab.train.checkpoint import load_weights, save_state
from classpulse.lab.train.coteach import Pair
from classpulse.lab.train.epoch import EpochResult, Resumed
from classpulse.lab.train.folder import (
    BEST,
    CHECKPOINT,
    RESOLVED,
    TAUGHT,
    check_run,
    check_start,
    find_best,
    is_artefact,
    start_ranks,
)
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.logs import (
    LOG,
    Row,
    RunLog,
    best_epoch,
    log_row,
    merge_rows,
    open_log,
    read_log,
)
from classpulse.lab.train.loop import OnTrainStep, Training, Validate, fit
from classpulse.lab.train.losses import multi_head_loss
from classpulse.lab.train.origin import describe_start
from classpulse.lab.train.parallel.scheme import follow_group, open_scheme
from classpulse.lab.train.parallel.settings import Parallel, own_rank
from classpulse.lab.train.sources import FaceParts, load_parts
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels, soft_targets
from classpulse.lab.train.teach import ask_teachers, blend_targets
from classpulse.runtime.model import find_model
from classpulse.vision.image import prepare

logger = logging.getLogger(__name__)
FACTORIZED_ON = 1024  # training pictures that tell which directions of a full network matter


def train_faces(
    recipe: Recipe,
    *,
    paths: Mapping[str, Path],
    votes: Path | None,
    groups: Path | None = None,
    out: Path,
    resume: bool,
    on_step: OnTrainStep | None = None,
    tensorboard: bool = False,
    parallel: Parallel | None = None,
) -> Iterator[EpochResult]:
    """Train `recipe` on data from these paths; everything else as `train_parts`.

    Args:
        paths, votes, groups: as `load_parts` takes them.

    Raises:
        InputError: the data files are missing or malformed, or as `train_parts`.
    """
    check_run(out, recipe, resume=resume)  # before the data are read, which may take long
    parts = load_parts(recipe, paths, votes, groups=groups)
    yield from train_parts(
        recipe,
        parts,
        out=out,
        resume=resume,
        on_step=on_step,
        tensorboard=tensorboard,
        parallel=parallel,
    )


def train_parts(
    recipe: Recipe,
    parts: FaceParts,
    *,
    out: Path,
    resume: bool,
    on_step: OnTrainStep | None = None,
    tensorboard: bool = False,
    parallel: Parallel | None = None,
) -> Iterator[EpochResult]:
    """Train `recipe` on the training part, validating on the validation part.

    Writes into `out`: `recipe.json` (resolved), `taught.pt` (what teachers said, asked once),
    `checkpoint.pt` (every epoch, resumable),
    `best.pt` (full-size weights with the best validation accuracy of the first head), and the
    logs of `lab.train.logs`. An epoch counts as soon as the checkpoint has it; whatever a kill
    keeps from being written after that is written when the run goes on.

    Args:
        resume: go on with a run that is there; a new one is begun either way.
        on_step: called after every step.
        tensorboard: write its events too.
        parallel: train with several workers. Those that torchrun started beside the first write
            nothing and yield nothing. A run may go on with other workers than it was begun with.

    Raises:
        InputError: there is a run and `resume` is not set, it is of another recipe, or `start` has
            another split, or has drawn it from other data or with another seed.
        OutputError: a file cannot be written.
        WorkerError: a worker failed or was killed.
    """
    check_run(out, recipe, resume=resume)
    official = recipe.data.split == "official"  # its parts are fixed, whatever is merged
    drawn = () if official else ("data.sets", "schedule.seed")
    check_start(recipe.start, recipe_table(recipe), held=("data.split", *drawn))
    if recipe.start and not is_artefact(recipe.start):
        find_best(Path(recipe.start), Path(recipe.start).name)  # before teachers are asked
    taught = out / TAUGHT if own_rank() == 0 else None
    on_asked = None if on_step is None else partial(on_step, 0)
    data = build_training(parts.train, recipe, taught=taught, on_asked=on_asked)
    model, heads = build_learner(recipe, data.x), list(recipe.heads)
    if parallel is not None and own_rank() > 0:
        follow_group(model, data, recipe, parallel)
        return
    validate = build_validation(parts.valid, recipe)
    make_folder(out)
    save_text(json.dumps(recipe_table(recipe), indent=2), out / RESOLVED)
    with (
        open_log(out, tensorboard=tensorboard) as log,
        open_scheme(parallel, model, data, recipe) as train_one,
    ):
        for epoch in fit(
            model,
            data,
            recipe,
            out / CHECKPOINT,
            validate=validate,
            on_step=on_step,
            on_resume=lambda kept: _repair(out, recipe, log, kept),
            train_one=train_one,
        ):
            row = log_row(epoch.numbers(), heads)
            best = _is_best([*log.rows, row], recipe)
            if best:
                save_state(epoch.model.state_dict(), out / BEST)
            log.append(row)
            yield EpochResult(epoch, row["accuracy"], best, row["macro_f1"])


def _repair(out: Path, recipe: Recipe, log: RunLog, kept: Resumed) -> None:
    """Make logs and best weights agree with the checkpoint, wherever a kill came between."""
    own = [log_row(numbers, list(recipe.heads)) for numbers in kept.history]
    old = len(own) < kept.number and (out / LOG).exists()  # begun by a version without history
    log.begin(merge_rows(read_log(out / LOG) if old else [], own, until=kept.number))
    lost = kept.number - len(log.rows)
    if lost:
        logger.warning("%s has no row for %d of its %d epochs", out / LOG, lost, kept.number)
    if log.rows and log.rows[-1]["number"] == kept.number and _is_best(log.rows, recipe):
        save_state(kept.network().state_dict(), out / BEST)


def _is_best(rows: Sequence[Row], recipe: Recipe) -> bool:
    """Whether the last of these epochs is the best at full side."""
    first = next(iter(recipe.heads))
    return best_epoch(rows, head=first, side=recipe.input.height) == rows[-1]["number"]


def build_training(
    train: FaceSet,
    recipe: Recipe,
    *,
    taught: Path | None = None,
    on_asked: OnAsked | None = None,
) -> Training:
    """Faces and targets of a recipe, balanced by the labels of the set and then by its groups.

    Class weights hold for the heads that have the set's own label space, those of groups for all.

    Args:
        taught: file that keeps what the teachers say, if the recipe has any.
        on_asked: as `mean_answers` takes it.
    """
    seed, smoothing = recipe.schedule.seed, recipe.schedule.label_smoothing
    how = None if recipe.groups is None else recipe.groups.settings
    classes = BALANCINGS.get(recipe.balance)(train, seed=seed)
    grouped = balance_groups(classes, how, seed=seed)
    balanced, row_weights = grouped.balanced, grouped.weights
    targets = _targets(train, recipe.heads, smoothing=smoothing)
    if recipe.labels is not None:
        targets = recipe.labels.apply(targets, train)
    targets = {head: t[balanced.source] for head, t in targets.items()}
    if recipe.teach is not None:
        said = ask_teachers(
            recipe.teach, balanced.faces, recipe.heads, kept=taught, on_asked=on_asked
        )
        targets = blend_targets(targets, said, share=recipe.teach.share)
    weighted = bool((balanced.class_weights != 1).any())
    weights = torch.from_numpy(balanced.class_weights)
    return Training(
        x=prepare_all(balanced.faces, recipe.input),
        targets={head: torch.from_numpy(t * row_weights[:, None]) for head, t in targets.items()},
        class_weights={
            head: weights
            for head in recipe.heads
            if weighted and HEAD_SPACES[head] == balanced.faces.space
        },
        sampled=grouped.sampled,
    )


def build_validation(valid: FaceSet, recipe: Recipe) -> Validate:
    """(network, side) -> metrics of the validation part.

    Accuracy as ``HEAD`` and macro F1 as ``HEAD_macro_f1`` of every head, ``val_loss``, and
    ``val_accuracy`` of the first head.

    Raises:
        InputError: no face has a label for one of the heads.
    """
    x = prepare_all(valid, recipe.input)
    soft = _targets(valid, recipe.heads, smoothing=recipe.schedule.label_smoothing)
    targets = {head: torch.from_numpy(t) for head, t in soft.items()}
    truth = {head: hard_labels(valid, head) for head in recipe.heads}
    for head, labels in truth.items():
        if not (labels >= 0).any():
            raise InputError(f"no face of {valid.name} has a label to validate '{head}' on")

    def validate(model: nn.Module, side: int) -> dict[str, float]:
        logits = predict_logits(model, shrink(x, side), flip=False)
        scores: dict[str, float] = {}
        for head, labels in truth.items():
            known, k = labels >= 0, len(HEAD_SPACES[head])
            predicted = logits[head].argmax(dim=1).numpy()
            confusion = count_confusion(labels[known], predicted[known], k)
            scores[head] = float(accuracy_of(confusion))
            scores[f"{head}_macro_f1"] = float(macro_f1_of(confusion))
        loss = multi_head_loss(logits, targets, recipe.heads, loss=recipe.loss.settings)
        return {**scores, "val_accuracy": next(iter(scores.values())), "val_loss": loss.item()}

    return validate


def _targets(
    faces: FaceSet, heads: Iterable[str], *, smoothing: float
) -> dict[str, NDArray[np.float32]]:
    return {head: soft_targets(faces, head, smoothing=smoothing) for head in heads}


def build_learner(recipe: Recipe, faces: Tensor | None = None) -> nn.Module:
    """What is trained: the recipe's network, or with `coteach` a `Pair` of two.

    The second has the next seed; where both start from one run, only dropout tells them apart.

    Raises:
        InputError, ModelError: as `build_network`.
    """
    if recipe.coteach is None:
        return build_network(recipe, faces)
    schedule = replace(recipe.schedule, seed=recipe.schedule.seed + 1)
    second = replace(recipe, schedule=schedule)
    return Pair(build_network(recipe, faces), build_network(second, faces))


def build_network(recipe: Recipe, faces: Tensor | None = None) -> FaceModel:
    """The recipe's network with random weights drawn from its seed, or those it starts from.

    Args:
        faces: (n, c, h, w) of training, from which a network with ranks learns what matters in the
            full one that it starts from.

    Raises:
        InputError: the run it starts from has no `best.pt`, or it is of another network; or it is
            of a full network, this one has ranks, and there are no faces.
        ModelError: a file of pretrained weights that the settings name is missing or damaged, or
            the artefact it starts from is of another network.
    """
    model = _draw_network(recipe, recipe.network.settings)
    if not recipe.start:
        return model
    ranks = getattr(recipe.network.settings, "ranks", ())
    if not any(ranks) or start_ranks(recipe.start) == tuple(ranks):
        _begin_with(model, recipe.start)
        return model
    if faces is None:
        raise InputError(
            f"start = '{recipe.start}' has other ranks than this network, which is made from it by "
            "what it answers of training pictures: classpulse train has them"
        )
    full = _draw_network(recipe, replace(recipe.network.settings, ranks=()))
    _begin_with(full, recipe.start)
    model.load_state_dict(factorized(model, full, _some(faces)))
    model.origin = full.origin
    return model


def _draw_network(recipe: Recipe, settings: Any) -> FaceModel:
    return build_model(
        recipe.network.kind,
        {head: len(HEAD_SPACES[head]) for head in recipe.heads},
        seed=recipe.schedule.seed,
        settings=settings,
        channels=recipe.input.channels,
        side=recipe.input.height,
    )


def _some(faces: Tensor) -> Tensor:
    """(m, c, h, w), m <= `FACTORIZED_ON`, evenly drawn from all."""
    return faces[:: max(len(faces) // FACTORIZED_ON, 1)][:FACTORIZED_ON]


def _begin_with(model: FaceModel, start: str) -> None:
    if is_artefact(start):
        load_artefact(model, find_model(start))
    else:
        load_weights(model, Path(start) / BEST, take=partial(take_trunk, model))
    model.origin = describe_start(start)


def self_contained(recipe: Recipe) -> Recipe:
    """The recipe without what is outside of the package: weights it starts from, and teachers."""
    settings = recipe.network.settings
    if getattr(settings, "weights", ""):
        settings = replace(settings, weights="")
    network = Choice(recipe.network.kind, settings)
    return replace(recipe, network=network, start=None, teach=None)


def prepare_all(faces: FaceSet, spec: InputSpec) -> Tensor:
    """(n, c, h, w) float32: every face through the same `prepare` as at inference."""
    return prepare_images(faces.images, spec)


def prepare_images(images: NDArray[np.uint8], spec: InputSpec) -> Tensor:
    """The same for face crops (n, h, w) or (n, h, w, 3) uint8, n of 1 or more.

    Raises:
        ShapeError: pictures of another kind, or none.
    """
    if not len(images):
        raise ShapeError("no pictures: needs (n, h, w) or (n, h, w, 3) uint8 with n of 1 or more")
    return torch.from_numpy(np.stack([prepare(image, spec) for image in images]))


def predict_logits(
    model: nn.Module,
    x: Tensor,
    *,
    flip: bool,
    shifts: Sequence[Shift] = (),
    batch: int = 256,
) -> dict[str, Tensor]:
    """Logits of every head, {head: (n, k)} float32, in evaluation mode.

    Args:
        flip, shifts: views whose logits are averaged, see `models.views`; each is as much work.
        batch: rows that the network gets at once, all views together.
    """
    model.eval()
    parts: dict[str, list[Tensor]] = {}
    rows = max(batch // count_views(shifts, flip=flip), 1)
    with torch.inference_mode():
        for chunk in x.split(rows):
            logits = model(show_views(chunk, shifts, flip=flip))
            for head, values in mean_of_views(logits, shifts, flip=flip).items():
                parts.setdefault(head, []).append(values)
    return {head: torch.cat(chunks) for head, chunks in parts.items()}
