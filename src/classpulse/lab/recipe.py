"""A recipe: one TOML file that says everything a training run depends on.

Each default is written once, in the dataclasses below; the resolved recipe is saved with every run.
"""

import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.data.balance import BALANCINGS
from classpulse.lab.data.splits import PROTOCOLS
from classpulse.lab.models.registry import MODELS
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.average import Averaging
from classpulse.lab.train.kinds import Choice, check_ranges, parse_choice
from classpulse.lab.train.losses import LOSSES, CrossEntropy, Loss
from classpulse.lab.train.optim import OPTIMIZERS, AdamW, OptimizerSettings
from classpulse.lab.train.rate import LearningRate
from classpulse.lab.train.schedule import SCHEDULES, OneCycle
from classpulse.lab.train.stopping import Stopping


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What a recipe learns from.

    Args:
        sets: names of data sets; the user gives a path for each.
        split: name in `lab.data.splits.PROTOCOLS`; it has to give the parts train and valid.
        dedup: leave training pictures out that stand in a held-out part.
    """

    sets: tuple[str, ...] = ("fer2013",)
    split: str = "official"
    dedup: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that somebody has reached with this recipe.

    Args:
        by: "source" or "ours".
        metric, data: what was measured, and on what.
        value: in [0, 1].
        low, high: ends of the 95 % interval; 0 and 0 if none is known.
        n: rows; 0 if unknown.
        note: what else one has to know: epochs, minutes, commit.

    Raises:
        InputError: another `by`, or a number out of range.
    """

    by: str
    metric: str
    data: str
    value: float
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if self.by not in ("source", "ours"):
            raise InputError(f"a claim is by 'source' or 'ours', not '{self.by}'")
        check_ranges(value=(self.value, 0, 1), low=(self.low, 0, 1), high=(self.high, 0, 1))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and on what.

    Args:
        sides: (epochs, side in pixels) of each phase, in order: training starts on small faces
            and ends at the input size (progressive resizing; LOG 2026-11-22 has what it saves).
        batch: rows of a step.
        label_smoothing: of one-hot targets.
        seed: of weights, order, augmentation and dropout.
    """

    sides: tuple[tuple[int, int], ...] = ((11, 32), (9, 40), (5, 48))
    batch: int = 64
    label_smoothing: float = 0.1
    seed: int = 42

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(epochs for epochs, _ in self.sides)

    def side_at(self, epoch: int) -> int:
        """Training resolution in pixels at an epoch, counted from 1."""
        left = epoch
        for epochs, side in self.sides:
            left -= epochs
            if left <= 0:
                return side
        return self.sides[-1][1]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole training run.

    Args:
        name: also the name of the artefact.
        summary: one sentence for the card.
        heads: head name -> weight of its loss; names as in `lab.train.targets.HEAD_SPACES`.
        input: what the network eats.
        data: sets and split.
        balance: name in `lab.data.balance.BALANCINGS`, of the emotion labels.
        network: kind in `MODELS` and its settings.
        optimizer, rate, loss: kinds in `OPTIMIZERS`, `SCHEDULES` and `LOSSES`, with settings.
        schedule, averaging, stopping, augment: see there.
        claims: numbers reached with it.

    Raises:
        InputError: faces of several sides for a network that takes one, a learning rate that does
            not fit the epochs, or an unknown balancing or split.
    """

    name: str
    summary: str
    heads: dict[str, float]
    input: InputSpec
    data: DataSpec = field(default_factory=DataSpec)
    balance: str = "none"
    network: Choice[Any] = field(default_factory=lambda: Choice("residual-se", ResidualSettings()))
    optimizer: Choice[OptimizerSettings] = field(default_factory=lambda: Choice("adamw", AdamW()))
    rate: Choice[LearningRate] = field(default_factory=lambda: Choice("one-cycle", OneCycle()))
    loss: Choice[Loss] = field(default_factory=lambda: Choice("cross-entropy", CrossEntropy()))
    schedule: Schedule = field(default_factory=Schedule)
    averaging: Averaging = field(default_factory=Averaging)
    stopping: Stopping = field(default_factory=Stopping)
    augment: Augment = field(default_factory=Augment)
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        sides = {side for _, side in self.schedule.sides}
        if not MODELS.get(self.network.kind).any_side and sides != {self.input.height}:
            raise InputError(
                f"recipe {self.name}: '{self.network.kind}' takes faces of one side, "
                f"{self.input.height} px, but the schedule has sides of {sorted(sides)} px"
            )
        self.rate.settings.check(self.schedule.epochs)
        BALANCINGS.get(self.balance)
        PROTOCOLS.get(self.data.split)


def load_recipe(name_or_path: str) -> Recipe:
    """Read a shipped recipe by name or any recipe by path.

    Raises:
        InputError: there is no such recipe (the shipped ones are listed), the file is not TOML,
            or a key is unknown, missing or of the wrong type (the key is named).
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        shipped = resources.files("classpulse.lab") / "recipes"
        known = sorted(p.name.removesuffix(".toml") for p in shipped.iterdir())
        if name_or_path not in known:
            raise InputError(f"no recipe '{name_or_path}'; shipped: {', '.join(known)}")
        text = (shipped / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"cannot read recipe {path}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise InputError(f"recipe {path} is not UTF-8 text: {error}") from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"recipe {name_or_path} is not valid TOML: {error}") from None
    return _build_recipe(raw, where=f"recipe {name_or_path}")


def _build_recipe(raw: dict[str, Any], *, where: str) -> Recipe:
    """The tables whose settings depend on their kind are read apart, the rest by the dataclass."""
    choices: dict[str, Any] = {}
    if "network" in raw:
        choices["network"] = _network(raw.pop("network"), where=f"{where}: network")
    kinds: dict[str, tuple[Registry[Any], str]] = {
        "optimizer": (OPTIMIZERS, "adamw"),
        "rate": (SCHEDULES, "one-cycle"),
        "loss": (LOSSES, "cross-entropy"),
    }
    for name, (registry, default) in kinds.items():
        if name in raw:
            choices[name] = parse_choice(
                registry, raw.pop(name), default=default, where=f"{where}: {name}"
            )
    rest: Recipe = build_dataclass(Recipe, raw, where=where, error=InputError, partial=True)
    return replace(rest, **choices)


def _network(table: Any, *, where: str) -> Choice[Any]:
    """As `parse_choice`; a kind of network brings defaults of its own, from its source."""
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table of fields, found {type(table).__name__}")
    given = dict(table)
    kind = given.pop("kind", "residual-se")
    if not isinstance(kind, str):
        raise InputError(f"{where}: kind: expected str, found {kind!r}")
    return Choice(kind, MODELS.get(kind).parse(given, where=where))
