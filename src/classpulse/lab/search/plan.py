"""How to search, and what must be the same when a search is gone on with."""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.lab.recipe import Recipe, changed_keys, recipe_table
from classpulse.lab.search.space import SPACES
from classpulse.lab.search.storage import STUDY
from classpulse.lab.train.folder import CHECKPOINT, RESOLVED
from classpulse.lab.train.kinds import check_ranges

PLAN = "search.json"
MARKS = {"train": CHECKPOINT, "search": STUDY, "crossval": "fold-*"}  # what tells whose run it is
MAY_GROW = "trials"  # the one part of a plan that may be another on going on


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How to search.

    The thesis (F1:86) has space "thesis-keras-tuner", 5 trials, 3 executions and no pruning.

    Args:
        space: name in `SPACES`.
        trials: of the whole study, those before an interruption included.
        executions: runs of each trial, with seeds one apart; their values are averaged.
        prune: stop trials that fall behind (Hyperband).
        min_epochs: never before so many epochs.
        reduction: of the trials that reach a rung, one in so many goes on (eta of Hyperband).
        seed: of the sampler.

    Raises:
        InputError: an unknown space, or a number out of range.
    """

    space: str
    trials: int = 20
    executions: int = 1
    prune: bool = True
    min_epochs: int = 1
    reduction: int = 3
    seed: int = 42

    def __post_init__(self) -> None:
        SPACES.get(self.space)
        for name in ("trials", "executions", "min_epochs"):
            check_ranges(**{name: (getattr(self, name), 1, math.inf)})
        check_ranges(reduction=(self.reduction, 2, math.inf), seed=(self.seed, 0, 2**31))


def shorten(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with so many epochs, the phases of its schedule in proportion.

    Raises:
        InputError: fewer than 1, or the learning rate does not fit so many.
    """
    check_ranges(epochs=(epochs, 1, math.inf))
    whole, (*phases, (_, full)) = recipe.schedule.epochs, recipe.schedule.sides
    done, end, sides = 0, 0, []
    for length, side in phases:
        end += length
        upto = min(round(end * epochs / whole), epochs - 1)  # the last phase is never left out
        if upto > done:
            sides.append((upto - done, side))
            done = upto
    sides.append((epochs - done, full))
    return replace(recipe, schedule=replace(recipe.schedule, sides=tuple(sides)))


def check_run(out: Path, recipe: Recipe, plan: SearchPlan, *, resume: bool) -> None:
    """No study is overwritten or gone on with by mistake.

    Raises:
        InputError: there is a study in `out` and `resume` is not set, or it is of another recipe
            or plan.
    """
    refuse_foreign(out, mine="search")
    if not (out / STUDY).exists():
        return
    if not resume:
        raise InputError(f"{out} has a study: go on with --resume, or give another --run")
    kept = (
        (RESOLVED, json.loads(json.dumps(recipe_table(recipe)))),
        (PLAN, {k: v for k, v in asdict(plan).items() if k != MAY_GROW}),
    )
    for name, now in kept:
        try:
            old = json.loads((out / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise InputError(f"{out / name} cannot be read: give another --run") from None
        old.pop(MAY_GROW, None)
        changed = changed_keys(old, now)
        if changed:
            raise InputError(
                f"{out} was begun with another {'plan' if name == PLAN else 'recipe'} "
                f"({', '.join(changed)}): give the same, or another --run"
            )


def refuse_foreign(out: Path, *, mine: str) -> None:
    """Raise `InputError` if another command has its run in `out`."""
    for command, mark in MARKS.items():
        if command != mine and any(out.glob(mark)):
            raise InputError(f"{out} has a run of classpulse {command}: give another --run")
