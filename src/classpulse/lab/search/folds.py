"""What a cross-validation leaves in its folder, and what it says."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.core.records import Interval
from classpulse.lab.recipe import Recipe
from classpulse.lab.search.records import table_csv
from classpulse.lab.search.study import mean_over_folds

SCORES = ("accuracy", "macro_recall", "macro_precision", "macro_f1")
FLATTERED = "accuracy, best epoch"
FOLDS = "folds.json"


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold that was trained on the others.

    Args:
        number: from 0.
        n_train, n: pictures learned from, and pictures with a label that were scored.
        epoch: whose weights were scored.
        scores: those of `SCORES`, of the first head.
        best_epoch, best_accuracy: the epoch with the highest accuracy on the fold itself. To
            report it is to choose on what is scored; here to see how much that flatters.
        seconds: of training and scoring.
    """

    number: int
    n_train: int
    n: int
    epoch: int
    scores: dict[str, float]
    best_epoch: int
    best_accuracy: float
    seconds: float


def parse_folds(text: str) -> list[int]:
    """ "0,1,2" -> [0, 1, 2]; empty for all.

    Raises:
        InputError: something else than numbers.
    """
    try:
        return [int(word) for word in text.split(",")] if text else []
    except ValueError:
        raise InputError(f"--folds {text}: needs numbers of folds, for example 0,1,2") from None


def load_folds(out: Path) -> list[FoldResult]:
    """The finished folds of a run, none if there is no `folds.json`.

    Raises:
        InputError: the file cannot be read.
    """
    return [FoldResult(**row) for row in read_folds(out).get("folds", [])]


def read_folds(out: Path) -> dict[str, Any]:
    """The whole table of `folds.json`, empty if there is none; `InputError` if it is damaged."""
    path = out / FOLDS
    if not path.exists():
        return {}
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): give another --run") from None
    return table


def save_folds(out: Path, results: Sequence[FoldResult], *, best_epoch: bool) -> None:
    """Write `folds.json` with the means, and `folds.csv`, each in one step."""
    means = summarize_folds(results) if len(results) > 1 else {}
    table = {
        "best_epoch": best_epoch,
        "folds": [asdict(result) for result in results],
        "means": {name: asdict(mean) for name, mean in means.items()},
    }
    rows = [{**row.pop("scores"), **row} for row in map(asdict, results)]
    columns = ("number", "n_train", "n", "epoch", *SCORES, "best_epoch", "best_accuracy", "seconds")
    save_text(table_csv(columns, rows), out / "folds.csv")
    save_text(json.dumps(table, indent=2), out / FOLDS)


def summarize_folds(results: Sequence[FoldResult]) -> dict[str, Interval]:
    """Mean of each score over folds with the corrected interval of `mean_over_folds`.

    Also `FLATTERED`, the too good number.

    Raises:
        InputError: fewer than two folds.
    """
    columns = {name: [r.scores[name] for r in results] for name in SCORES}
    columns[FLATTERED] = [r.best_accuracy for r in results]
    ratio = sum(r.n for r in results) / sum(r.n_train for r in results)
    return {name: mean_over_folds(values, ratio=ratio) for name, values in columns.items()}


def describe_fold(result: FoldResult) -> str:
    """One line of a finished fold."""
    scores = "  ".join(f"{name} {result.scores[name]:.4f}" for name in SCORES)
    return (
        f"fold {result.number}  n {result.n:,}  epoch {result.epoch:3d}  {scores}  "
        f"{result.seconds:.0f} s"
    )


def describe_folds(results: Sequence[FoldResult], recipe: Recipe, *, best_epoch: bool) -> str:
    """Means over folds with intervals, beside what the source of the recipe claims."""
    how = (
        "Scored at the best epoch of each fold, chosen on the fold itself: too good."
        if best_epoch
        else "Scored at the last epoch: nothing was chosen on the fold."
    )
    if len(results) < 2:
        return f"{how} One fold has no interval."
    claims = {c.metric: f"{c.value:.4f}" for c in reversed(recipe.claims) if c.by == "source"}
    lines = [f"{len(results)} folds{'':<17}mean  95 % interval    source"]
    for name, mean in summarize_folds(results).items():
        ends = f"[{mean.low:.4f}, {mean.high:.4f}]"
        source = claims.get(name, "")
        lines.append(f"  {name:<20}{mean.value:8.4f}  {ends}  {source}".rstrip())
    return "\n".join([*lines, how])
