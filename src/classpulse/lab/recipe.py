"""A recipe: one TOML file that says everything a training run depends on.

Each default is written once, in the dataclasses below; the resolved recipe is saved with every run.
"""

import math
import tomllib
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.lab.models.registry import MODELS
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.train.augment import Augment


@dataclass(frozen=True, slots=True)
class Network:
    """Which network, and its settings.

    Args:
        kind: name in `lab.models.registry.MODELS`.
        settings: the settings dataclass of that kind.
    """

    kind: str = "residual-se"
    settings: Any = field(default_factory=ResidualSettings)


@dataclass(frozen=True, slots=True)
class Schedule:
    """AdamW (Loshchilov and Hutter 2019) under one or more one-cycle learning rates.

    A cycle rises to its peak and falls to nearly nothing, both along a cosine (Smith and Topin
    2018); each further cycle is a warm restart from the weights reached (Loshchilov and Hutter
    2017).

    Args:
        sides: (epochs, side in pixels) of each phase, in order: training starts on small faces
            and ends at the input size (progressive resizing; LOG 2026-11-22 has what it saves).
        batch, peak_lr, weight_decay: of AdamW; norms and biases are not decayed.
        restarts: (epoch after which a further cycle begins, its peak learning rate), in order.
        warmup_share: share of a cycle in which the learning rate rises.
        label_smoothing: of one-hot targets.
        seed: of weights, order, augmentation and dropout.

    Raises:
        InputError: the restarts are not in order between the first and the last epoch.
    """

    sides: tuple[tuple[int, int], ...] = ((11, 32), (9, 40), (5, 48))
    batch: int = 64
    peak_lr: float = 1.5e-3
    restarts: tuple[tuple[int, float], ...] = ()
    weight_decay: float = 0.05
    warmup_share: float = 0.2
    label_smoothing: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        ends = [0, *(epoch for epoch, _ in self.restarts), self.epochs]
        if any(later <= earlier for earlier, later in pairwise(ends)):
            raise InputError(
                f"restarts come after epochs {ends[1:-1]}, needs rising numbers between 0 and the "
                f"{self.epochs} epochs of the schedule"
            )

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

    def lr_at(self, done: float) -> float:
        """Learning rate after `done` epochs (0 to `epochs`, fractions within an epoch)."""
        begin, peak, end = 0, self.peak_lr, self.epochs
        for epoch, next_peak in self.restarts:
            if done < epoch:
                end = epoch
                break
            begin, peak = epoch, next_peak
        return _one_cycle((done - begin) / (end - begin), peak=peak, warmup=self.warmup_share)


def _one_cycle(share: float, *, peak: float, warmup: float) -> float:
    """Cosine from peak / 25 to `peak` in the first `warmup` of the cycle, then down to peak / 25e4.

    The two floors are those of `torch.optim.lr_scheduler.OneCycleLR`.
    """
    rising = share < warmup
    begin, end = (peak / 25, peak) if rising else (peak, peak / 25e4)
    way = share / warmup if rising else (share - warmup) / (1 - warmup)
    return end + (begin - end) * (1 + math.cos(math.pi * way)) / 2


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole training run.

    Args:
        name: also the name of the artefact.
        summary: one sentence for the card.
        heads: head name -> weight of its loss; names as in `lab.train.targets.HEAD_SPACES`.
        input: what the network eats.
        network, schedule, augment: see there.

    Raises:
        InputError: faces of several sides for a network that takes one.
    """

    name: str
    summary: str
    heads: dict[str, float]
    input: InputSpec
    network: Network = field(default_factory=Network)
    schedule: Schedule = field(default_factory=Schedule)
    augment: Augment = field(default_factory=Augment)

    def __post_init__(self) -> None:
        sides = {side for _, side in self.schedule.sides}
        if not MODELS.get(self.network.kind).any_side and sides != {self.input.height}:
            raise InputError(
                f"recipe {self.name}: '{self.network.kind}' takes faces of one side, "
                f"{self.input.height} px, but the schedule has sides of {sorted(sides)} px"
            )


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
    where = f"recipe {name_or_path}"
    network = _build_network(raw.pop("network", {}), where=f"{where}: network")
    recipe: Recipe = build_dataclass(Recipe, raw, where=where, error=InputError, partial=True)
    return replace(recipe, network=network)


def _build_network(table: Any, *, where: str) -> Network:
    """The network's table is read apart: its settings depend on its kind."""
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table of fields, found {type(table).__name__}")
    given = dict(table)
    kind = given.pop("kind", Network().kind)
    if not isinstance(kind, str):
        raise InputError(f"{where}: kind: expected str, found {kind!r}")
    return Network(kind, MODELS.get(kind).parse(given, where=where))
