"""A recipe of the classical pipeline: picture, features, reduction, support vector machine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.card import InputSpec
from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.claims import Claim
from classpulse.lab.classic.features import RANGES
from classpulse.lab.classic.kinds import (
    CLASSIFIERS,
    FEATURE_KINDS,
    LEAST,
    PIXELS,
    REDUCTIONS,
    NoReduction,
    Part,
    Pixels,
    Svm,
)
from classpulse.lab.data.splits import PROTOCOLS, SEED
from classpulse.lab.recipe import DataSpec
from classpulse.lab.recipe_file import FEATURES, is_classic, read_table
from classpulse.lab.train.kinds import Choice, check_ranges, parse_choice

SEARCHES = ("none", "grid", "random", "halving")
LAST_SEED = 2**31


@dataclass(frozen=True, slots=True)
class Search:
    """Which settings are searched by cross-validation on the training rows, and how.

    Args:
        kind: "none", "grid" (`GridSearchCV`), "random" (`RandomizedSearchCV`) or "halving"
            (`HalvingGridSearchCV`: few rows for many settings, more rows for the best).
        folds: stratified.
        draws: settings that "random" tries.
        c, gamma, components: values of the classifier and of the reduction; empty is not searched.
    """

    kind: str = "none"
    folds: int = 3
    draws: int = 8
    c: tuple[float, ...] = ()
    gamma: tuple[float, ...] = ()
    components: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in SEARCHES:
            raise InputError(f"search kind '{self.kind}': needs one of {', '.join(SEARCHES)}")
        check_ranges(folds=(self.folds, 2, 100), draws=(self.draws, 1, 1e6))
        for gamma in self.gamma:  # where one is searched, 0 does not stand for the usual one
            check_ranges(**{"searched gamma": (gamma, LEAST, 1e9)})
        if bool(self.values) != (self.kind != "none"):
            raise InputError(
                f"search kind '{self.kind}' with values of {', '.join(self.values) or 'nothing'}: "
                "a search needs values of c, gamma or components, and none needs none"
            )

    @property
    def values(self) -> dict[str, tuple[float, ...]]:
        """What is searched: name -> values."""
        given = {"c": self.c, "gamma": self.gamma, "components": self.components}
        return {name: values for name, values in given.items() if values}


@dataclass(frozen=True, slots=True)
class ClassicRecipe:
    """A whole classical pipeline.

    Args:
        name: also the name of the artefact.
        summary: one sentence for the card.
        features: kind in `FEATURE_KINDS` and its settings.
        reduction: kind in `REDUCTIONS` and its settings.
        classifier: kind in `CLASSIFIERS` and its settings.
        data: it is fitted on the training part of this split and judged on the others.
        side: of a picture, pixels.
        framing: how faces are cut in a lesson, a name in `vision.image.FRAMINGS`.
        minmax: scale each picture to [0, 1] (paper, eq. 2).
        sigma: of the Gaussian filter in pixels (paper, eq. 3); 0 leaves it out.
        standardize: every feature to mean 0 and deviation 1 before the reduction.
        rows: training pictures at most, drawn by class; 0 is all.
        calibration: share of them that the machine never sees: the temperature is fitted on it.
        search: of settings.
        seed: of the split and of everything that draws.
        claims: numbers reached with it.

    Raises:
        InputError: an unknown split, a number out of range, searched ones too, NMF of standardized
            features, or a search of something that the pipeline does not have.
    """

    name: str
    summary: str
    features: Choice[Any] = field(default_factory=lambda: Choice(PIXELS, Pixels()))
    reduction: Choice[Part] = field(default_factory=lambda: Choice("none", NoReduction()))
    classifier: Choice[Part] = field(default_factory=lambda: Choice("svm", Svm()))
    data: DataSpec = field(default_factory=DataSpec)
    side: int = 48
    framing: str = "fer2013"
    minmax: bool = True
    sigma: float = 0.0
    standardize: bool = True
    rows: int = 0
    calibration: float = 0.1
    search: Search = field(default_factory=Search)
    seed: int = SEED
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        PROTOCOLS.get(self.data.split)
        check_ranges(
            side=(self.side, 8, 512),
            sigma=(self.sigma, 0, self.side / 8),  # the filter stays smaller than the picture
            rows=(self.rows, 0, float("inf")),
            calibration=(self.calibration, 0.01, 0.5),
            seed=(self.seed, 0, LAST_SEED),
        )
        if self.features.kind == "lbp":  # the circle lies in the picture
            narrowest, _ = RANGES["lbp"]["radius"]
            check_ranges(radius=(self.features.settings.radius, narrowest, self.side / 2))
        if self.reduction.kind == "nmf" and self.standardize:
            raise InputError(
                f"recipe {self.name}: NMF takes no negative numbers: set standardize = false"
            )
        absent = self.search.values.keys() - self.parameters.keys()
        if absent:
            raise InputError(
                f"recipe {self.name}: cannot search {', '.join(sorted(absent))} of "
                f"{self.reduction.kind} and {self.classifier.kind}; known: "
                f"{', '.join(self.parameters)}"
            )
        for part in (self.reduction.settings, self.classifier.settings):
            for name in part.searched():
                for value in self.search.values.get(name, ()):
                    replace(part, **{name: value})  # type: ignore[type-var]  # checks its range

    @property
    def input(self) -> InputSpec:
        """Grey pixels in [0, 1]."""
        return InputSpec(self.side, self.side, 1, (0.0,), (1.0,), self.framing)

    @property
    def parameters(self) -> dict[str, str]:
        """What can be searched: name -> scikit-learn's name."""
        return {**self.reduction.settings.searched(), **self.classifier.settings.searched()}


_KINDS: dict[str, tuple[Registry[Any], str]] = {
    FEATURES: (FEATURE_KINDS, PIXELS),
    "reduction": (REDUCTIONS, "none"),
    "classifier": (CLASSIFIERS, "svm"),
}


def load_classic_recipe(name_or_path: str, *, changes: Sequence[str] = ()) -> ClassicRecipe:
    """Read a shipped classic recipe by name or any by path; see `lab.recipe.load_recipe`.

    Raises:
        InputError: as there, or it is the recipe of a network or of an ensemble.
    """
    table = read_table(name_or_path, changes=changes)
    where = f"recipe {name_or_path}"
    if not is_classic(table):
        raise InputError(f"{where} has no table [{FEATURES}]: use classpulse train or combine")
    choices: dict[str, Any] = {
        name: parse_choice(registry, table.pop(name, {}), default=default, where=f"{where}: {name}")
        for name, (registry, default) in _KINDS.items()
    }
    search: Search = build_dataclass(
        Search, table.pop("search", {}), where=f"{where}: search", error=InputError, partial=True
    )
    rest: ClassicRecipe = build_dataclass(
        ClassicRecipe, table, where=where, error=InputError, partial=True
    )
    return replace(rest, **choices, search=search)  # at once: one is checked against the other


def classic_table(recipe: ClassicRecipe) -> dict[str, Any]:
    """The whole recipe as plain values, every default written out."""
    table = asdict(recipe)
    flat = {name: {"kind": table[name]["kind"], **table[name]["settings"]} for name in _KINDS}
    return table | flat
