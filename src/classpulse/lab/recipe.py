"""A recipe: one TOML file that says everything a training run depends on.

Each default is written once, in the dataclasses below; the resolved recipe is saved with every run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.claims import Claim
from classpulse.lab.data.balance import BALANCINGS
from classpulse.lab.data.group_balance import GROUP_BALANCINGS, GroupBalance
from classpulse.lab.data.splits import PROTOCOLS
from classpulse.lab.models.registry import MODELS
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.recipe_file import GONE, OWN, is_classic, is_ensemble, is_of_text, read_table
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.average import Averaging
from classpulse.lab.train.coteach import CoTeaching
from classpulse.lab.train.kinds import Choice, parse_choice
from classpulse.lab.train.labeling import Labeling
from classpulse.lab.train.losses import LOSSES, CrossEntropy, Loss
from classpulse.lab.train.optim import OPTIMIZERS, AdamW, OptimizerSettings
from classpulse.lab.train.rate import LearningRate
from classpulse.lab.train.schedule import SCHEDULES, OneCycle
from classpulse.lab.train.sharpness import Sharpness
from classpulse.lab.train.stopping import Stopping
from classpulse.lab.train.teach import Teaching

PRECISIONS = ("float32", "float16", "int8")
EXPORT = ("flip", "shifts", "precision")  # what the artefact does, not what is trained
# by table, what becomes of a run when it is over
AFTERWARDS = {"averaging": ("seeds", "runs"), "network": ("lora_merged",)}


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
        groups: kind in `GROUP_BALANCINGS` and its settings, after `balance`; None leaves groups be.
        flip: the artefact averages the logits of a face and of its mirror image: twice the work.
        shifts: it averages them over the face moved by so many pixels down and to the right, each
            a whole pass; none: the face as it is.
        precision: of the artefact, one of `PRECISIONS`: float16 stores large weights so and
            computes in float32, which halves the file; training is in float32.
        network: kind in `MODELS` and its settings.
        optimizer, rate, loss: kinds in `OPTIMIZERS`, `SCHEDULES` and `LOSSES`, with settings.
        labels: what votes and repeated pictures do to the targets; None for labels as they are.
        teach: models that give part of every target; None for labels alone.
        start: folder of a run whose best weights this one begins with, or an artefact, shipped or
            in a folder; None for the network's own.
        coteach: two networks choose each other's rows; None for one that learns from all.
        sharpness: sharpness-aware steps; None for plain ones.
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
    groups: Choice[GroupBalance] | None = None
    flip: bool = True
    shifts: tuple[tuple[int, int], ...] = ()
    precision: str = "float32"
    network: Choice[Any] = field(default_factory=lambda: Choice("residual-se", ResidualSettings()))
    optimizer: Choice[OptimizerSettings] = field(default_factory=lambda: Choice("adamw", AdamW()))
    rate: Choice[LearningRate] = field(default_factory=lambda: Choice("one-cycle", OneCycle()))
    loss: Choice[Loss] = field(default_factory=lambda: Choice("cross-entropy", CrossEntropy()))
    labels: Labeling | None = None
    teach: Teaching | None = None
    start: str | None = None
    coteach: CoTeaching | None = None
    schedule: Schedule = field(default_factory=Schedule)
    sharpness: Sharpness | None = None
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
        if self.precision not in PRECISIONS:
            known = " or ".join(PRECISIONS)
            raise InputError(f"recipe {self.name}: precision '{self.precision}': needs {known}")
        if any(
            abs(by) >= min(self.input.height, self.input.width) for s in self.shifts for by in s
        ):
            raise InputError(
                f"recipe {self.name}: shifts of {self.shifts} pixels move a face out of its "
                f"{self.input.width} x {self.input.height}"
            )
        if self.averaging.runs:
            raise InputError(
                f"recipe {self.name}: averaging.runs is for texts; of a recipe for faces several "
                "seeds are averaged, and other networks are put together by classpulse combine"
            )
        BALANCINGS.get(self.balance)
        PROTOCOLS.get(self.data.split)


_KINDS: dict[str, tuple[Registry[Any], str]] = {
    "optimizer": (OPTIMIZERS, "adamw"),
    "rate": (SCHEDULES, "one-cycle"),
    "loss": (LOSSES, "cross-entropy"),
    "groups": (GROUP_BALANCINGS, "weights"),
}


def load_recipe(name_or_path: str, *, changes: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name or any recipe by path.

    Args:
        changes: ``a.b=value``, as `read_table` takes them.

    Raises:
        InputError: the file or a change cannot be read, see `read_table`, or a key is unknown,
            missing or of the wrong type (the key is named), or it is a recipe of another kind.
    """
    table = read_table(name_or_path, changes=changes)
    if is_ensemble(table):
        raise InputError(f"recipe {name_or_path} is of an ensemble: use classpulse combine")
    if is_classic(table):
        raise InputError(
            f"recipe {name_or_path} is of a classical pipeline: use classpulse classic"
        )
    if is_of_text(table):
        raise InputError(f"recipe {name_or_path} is for texts: this needs one for faces")
    return _build_recipe(table, where=f"recipe {name_or_path}")


def recipe_table(recipe: Recipe) -> dict[str, Any]:
    """The whole recipe as plain values, every default written out; a file of it loads again."""
    table = asdict(recipe)
    for name in ("network", *_KINDS):
        if table[name] is not None:
            table[name] = {"kind": table[name]["kind"], **table[name]["settings"]}
    return table


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What two recipe tables train otherwise, as ``schedule.batch``: names, claims and what is made
    of finished runs do not.

    What is empty is like what is not there, so that a run from before there was a setting goes on;
    0 and False are values.
    """
    keys = sorted((old.keys() | new.keys()) - {*OWN, *EXPORT})
    found = []
    for key in keys:
        a, b = _or_none(old.get(key)), _or_none(new.get(key))
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            names = sorted((a.keys() | b.keys()) - {*GONE.get(key, ()), *AFTERWARDS.get(key, ())})
            found += [f"{key}.{k}" for k in names if _or_none(a.get(k)) != _or_none(b.get(k))]
        elif a != b:
            found.append(key)
    return found


def _or_none(value: Any) -> Any:
    return None if isinstance(value, str | list | tuple | Mapping) and not value else value


def _build_recipe(raw: dict[str, Any], *, where: str) -> Recipe:
    """The tables whose settings depend on their kind are read apart, the rest by the dataclass."""
    choices: dict[str, Any] = {}
    if "network" in raw:
        choices["network"] = _network(raw.pop("network"), where=f"{where}: network")
    for name, (registry, default) in _KINDS.items():
        if raw.get(name) is not None:  # None as the recipe.json of a run without groups has it
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
