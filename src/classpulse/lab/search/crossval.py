"""k-fold cross-validation of a recipe: a generator of folds that can be killed and gone on with.

for fold in crossval_faces(recipe, paths=paths, votes=votes, out=run):
    print(fold.number, fold.scores["accuracy"])
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from classpulse.core.errors import InputError
from classpulse.core.files import make_folder, save_text
from classpulse.lab.data.faces import FaceSet, without_blank
from classpulse.lab.data.splits import Rows
from classpulse.lab.evaluate.classification import labeled_confusion
from classpulse.lab.evaluate.resample import accuracy_of, rates
from classpulse.lab.recipe import Recipe, changed_keys, recipe_table
from classpulse.lab.search.epochs import LoggedEpoch, drop_checkpoint, iterate_epochs
from classpulse.lab.search.folds import SCORES, FoldResult, load_folds, read_folds, save_folds
from classpulse.lab.search.plan import refuse_foreign
from classpulse.lab.search.study import Fold, iterate_folds
from classpulse.lab.train.augment import shrink
from classpulse.lab.train.loop import Validate
from classpulse.lab.train.rate import Plateau
from classpulse.lab.train.run import build_training, build_validation, predict_logits, prepare_all
from classpulse.lab.train.sources import load_merged, without_repeats
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels


def crossval_faces(
    recipe: Recipe,
    *,
    paths: Mapping[str, Path],
    votes: Path | None = None,
    groups: Path | None = None,
    out: Path,
    folds: Sequence[int] = (),
    best_epoch: bool = False,
    resume: bool = False,
) -> Iterator[FoldResult]:
    """Train `recipe` on all parts of its split but one, score that one, and so on with every part.

    By default the weights of the last epoch are scored: nothing was chosen on the fold. With
    `best_epoch` it is the epoch with the highest accuracy on the fold, which is the way of
    A.I.ducation Analytics (best accuracy kept) and too good by as much as choosing helps.

    Yields finished folds too, read from `folds.json`. Writes into `out`: `recipe.json`,
    `folds.json` and `folds.csv` after every fold, and `fold-0/log.jsonl` and so on with the scores
    of every epoch; the checkpoint there is deleted when the fold is finished.

    Args:
        paths, votes, groups: as `load_parts` takes them.
        folds: numbers of those to run; all if empty.
        resume: go on with the run in `out`; a fold that was interrupted goes on at its last epoch.

    Raises:
        InputError: the split has no folds, or not those; the data are malformed; there is a run
            in `out` and `resume` is not set, or it is of another recipe or another way to score;
            or the recipe listens to a metric (plateau, early stopping), `best_epoch` not being set.
        OutputError: a file cannot be written.
    """
    if not best_epoch:
        _check_deaf(recipe)
    _check_run(out, recipe, best_epoch=best_epoch, resume=resume)
    faces, further = load_merged(recipe.data, paths, votes, groups=groups, name=recipe.name)
    turns = _choose(_turns(faces, further, recipe), folds)
    make_folder(out)
    save_text(json.dumps(recipe_table(recipe), indent=2), out / "recipe.json")
    done = {result.number: result for result in load_folds(out)}
    for turn in turns:
        if turn.number not in done:
            folder = out / f"fold-{turn.number}"
            done[turn.number] = _run_fold(turn, faces, recipe, folder, best_epoch=best_epoch)
            save_folds(out, [done[n] for n in sorted(done)], best_epoch=best_epoch)
            drop_checkpoint(folder)
        yield done[turn.number]


def score_fold(valid: FaceSet, recipe: Recipe) -> Validate:
    """(network, side) -> `SCORES` of the first head, and what the recipe listens to, if it does.

    A class that is never predicted, or is not in the fold, has precision and F1 of 0.
    """
    head = next(iter(recipe.heads))
    truth, k = hard_labels(valid, head), len(HEAD_SPACES[head])
    x = prepare_all(valid, recipe.input)
    heard = build_validation(valid, recipe) if _listens(recipe) else None

    def validate(model: nn.Module, side: int) -> dict[str, float]:
        seen = shrink(x, side)
        logits = predict_logits(model, seen, flip=recipe.flip, shifts=recipe.shifts)[head]
        confusion = labeled_confusion(truth, logits.argmax(dim=1).numpy(), k)
        precision, recall, f1 = np.nan_to_num(rates(confusion)).mean(axis=-1)
        values = accuracy_of(confusion), recall, precision, f1
        scores = {name: float(value) for name, value in zip(SCORES, values, strict=True)}
        return {**scores, **(heard(model, side) if heard else {})}

    return validate


def _run_fold(
    turn: Fold, faces: FaceSet, recipe: Recipe, folder: Path, *, best_epoch: bool
) -> FoldResult:
    """Train on the other folds and score this one; goes on from the checkpoint in `folder`."""
    train = without_blank(faces.take(turn.train, name=f"{faces.name} without fold {turn.number}"))
    valid = faces.take(turn.valid, name=f"{faces.name} fold {turn.number}")
    if recipe.data.dedup:
        train = without_repeats(train, [valid])
    data = build_training(train, recipe)
    validate = score_fold(valid, recipe)
    epochs = list(iterate_epochs(recipe, data, folder, validate=validate))
    last = epochs[-1]
    best = max((e for e in epochs if e.side == last.side), key=_accuracy)
    scored = best if best_epoch else last
    return FoldResult(
        turn.number,
        len(train),
        len(valid),
        scored.number,
        {name: scored.metrics[name] for name in SCORES},
        best.number,
        best.metrics["accuracy"],
        sum(epoch.seconds for epoch in epochs),
    )


def _accuracy(epoch: LoggedEpoch) -> float:
    return epoch.metrics["accuracy"]


def _listens(recipe: Recipe) -> bool:
    """Whether training depends on a metric of the validation part."""
    plateau = isinstance(recipe.rate.settings, Plateau)
    return plateau or recipe.stopping.patience > 0


def _check_deaf(recipe: Recipe) -> None:
    if _listens(recipe):
        raise InputError(
            f"recipe {recipe.name} listens to a metric (plateau, early stopping), which would be "
            "that of the very fold it is scored on: give --set rate.kind=one-cycle --set "
            "stopping.patience=0, or --best-epoch, which "
            "chooses on the fold as the source did"
        )


def _turns(faces: FaceSet, further: NDArray[np.bool_] | None, recipe: Recipe) -> list[Fold]:
    """The folds of the first data set; labelled rows of `further` sets train in every turn."""
    labels = hard_labels(faces, next(iter(recipe.heads)))
    mine = labels if further is None else np.where(further, -1, labels)
    others = np.flatnonzero((labels >= 0) & (mine < 0))
    rows = Rows(mine, faces.part, faces.subject)
    split, seed = recipe.data.split, recipe.schedule.seed
    return [
        Fold(fold.number, np.sort(np.concatenate([fold.train, others])), fold.valid)
        for fold in iterate_folds(rows, protocol=split, seed=seed, name=faces.name)
    ]


def _choose(turns: list[Fold], numbers: Sequence[int]) -> list[Fold]:
    strange = sorted(set(numbers) - {turn.number for turn in turns})
    if strange:
        raise InputError(f"there is no fold {strange[0]}: folds are 0 to {len(turns) - 1}")
    return [turn for turn in turns if not numbers or turn.number in numbers]


def _check_run(out: Path, recipe: Recipe, *, best_epoch: bool, resume: bool) -> None:
    """Nothing there is overwritten or gone on with by mistake."""
    kept = out / "recipe.json"
    refuse_foreign(out, mine="crossval")
    if not any(out.glob("fold-*")):
        return
    if not resume:
        raise InputError(f"{out} has a run: go on with --resume, or give another --run")
    try:
        old = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{kept} cannot be read: give another --run") from None
    changed = changed_keys(old, json.loads(json.dumps(recipe_table(recipe))))
    if read_folds(out).get("best_epoch", best_epoch) != best_epoch:
        changed.append("--best-epoch")
    if changed:
        raise InputError(
            f"{out} was begun otherwise ({', '.join(changed)}): give the same, or another --run"
        )
