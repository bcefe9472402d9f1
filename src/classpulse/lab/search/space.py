"""Search spaces by name: what a trial may change in a recipe.

recipe = SPACES.get("thesis-keras-tuner").apply(trial, recipe)

A trial is Optuna's (`optuna.Trial`, or `optuna.trial.FixedTrial` with known values); what it is not
asked for stays as the recipe has it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.models.stack import Stack
from classpulse.lab.models.thesis import L2, tuned_stack
from classpulse.lab.recipe import Recipe
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.rate import LearningRate

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

RATES = ("lr", "peak_lr", "start_lr", "final_lr", "min_lr")  # of the classes in `SCHEDULES`
STACK_KIND = "kt-1"  # any kind of `MODELS` whose settings are a `Stack` builds the same


@dataclass(frozen=True, slots=True)
class Space:
    """One search space.

    Args:
        name: in `SPACES` and on the command line.
        summary: one sentence with the source.
        apply: (trial, recipe) -> the recipe with the trial's values; `InputError` for values that
            make no recipe.
    """

    name: str
    summary: str
    apply: "Callable[[BaseTrial, Recipe], Recipe]"


SPACES: Registry[Space] = Registry("search space")


def suggest_tuned(trial: "BaseTrial", *, l2: float = L2) -> Stack:
    """A network of the thesis' Keras Tuner space (seed-thesis.md B.1, F1:86-90).

    num_layers 2..6; of each block units1, units2 32..512 step 32 and dropout 0.1..0.5 step 0.1. A
    trial is asked for its active blocks only, where Keras Tuner keeps values of the others too.

    Args:
        l2: on the hidden layer of 1024. The search has 0.01; KT-1 and KT-2, which the source
            trained afterwards with the values found, have 0.
    """
    blocks = [
        (
            trial.suggest_int(f"units1_{i}", 32, 512, step=32),
            trial.suggest_int(f"units2_{i}", 32, 512, step=32),
            round(trial.suggest_float(f"dropout_{i}", 0.1, 0.5, step=0.1), 1),
        )
        for i in range(trial.suggest_int("num_layers", 2, 6))
    ]
    return tuned_stack(*blocks, l2=l2)


def _apply_tuned(trial: "BaseTrial", recipe: Recipe) -> Recipe:
    return replace(recipe, network=Choice(STACK_KIND, suggest_tuned(trial)))


def _apply_schedule(trial: "BaseTrial", recipe: Recipe) -> Recipe:
    """Learning rate, batch, label smoothing and augmentation around the recipe's own.

    lr_factor (a tenth to ten times, even in the logarithm) multiplies every rate of the schedule,
    so its shape stays; batch is half, the same or twice.
    """
    batch = recipe.schedule.batch
    batches = sorted({max(batch // 2, 2), batch, 2 * batch})
    settings = _scaled(recipe.rate.settings, trial.suggest_float("lr_factor", 0.1, 10, log=True))
    schedule = replace(
        recipe.schedule,
        batch=trial.suggest_categorical("batch", batches),
        label_smoothing=_step(trial, "label_smoothing", 0.2, 0.05),
    )
    return replace(
        recipe,
        rate=Choice(recipe.rate.kind, settings),
        schedule=schedule,
        augment=_suggest_augment(trial, recipe.augment),
    )


def _suggest_augment(trial: "BaseTrial", how: Augment) -> Augment:
    """The strengths that every recipe has; what mirrors, blurs and mixes patches stays."""
    zoom = _step(trial, "zoom", 0.3, 0.05)
    return replace(
        how,
        rotation=_step(trial, "rotation", 30.0, 5.0),
        shift=_step(trial, "shift", 0.2, 0.02),
        zoom=(round(1 - zoom, 2), round(1 + zoom, 2)),
        light=_step(trial, "light", 0.5, 0.1),
        erase=_step(trial, "erase", 0.75, 0.25),
        mixup=_step(trial, "mixup", 0.4, 0.1),
    )


def _step(trial: "BaseTrial", name: str, high: float, step: float) -> float:
    """A number from 0 to `high` in steps, without the tail of its binary fraction."""
    return round(trial.suggest_float(name, 0.0, high, step=step), 2)


def _scaled(settings: LearningRate, factor: float) -> LearningRate:
    """A schedule with every learning rate in it multiplied by `factor`.

    Raises:
        InputError: the schedule has none of the known rates.
    """
    known = {f.name for f in fields(settings)}  # type: ignore[arg-type]  # subclasses are dataclasses
    changes = {name: getattr(settings, name) * factor for name in RATES if name in known}
    if not changes:
        raise InputError(
            f"{type(settings).__name__} has no learning rate among {', '.join(RATES)}: the space "
            "'schedule' cannot search it"
        )
    if "restarts" in known:
        restarts = getattr(settings, "restarts")  # noqa: B009  # not every schedule has them
        changes["restarts"] = tuple((epoch, peak * factor) for epoch, peak in restarts)
    return replace(settings, **changes)  # type: ignore[type-var]


for _space in (
    Space(
        "thesis-keras-tuner",
        "2 to 6 pairs of convolutions: the network of the thesis' Keras Tuner search (F1:86).",
        _apply_tuned,
    ),
    Space(
        "schedule",
        "Learning rate, batch, label smoothing and augmentation of any recipe, around its own.",
        _apply_schedule,
    ),
):
    SPACES.register(_space.name)(_space)
