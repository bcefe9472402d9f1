"""A recipe of an ensemble: whose answers, combined how, fitted on what."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.errors import InputError
from classpulse.lab.claims import Claim
from classpulse.lab.data.splits import PROTOCOLS, SEED
from classpulse.lab.ensemble.rules import RULES, Mean, Rule
from classpulse.lab.recipe import DataSpec
from classpulse.lab.recipe_file import MEMBERS, is_ensemble, read_table
from classpulse.lab.train.kinds import Choice, parse_choice


@dataclass(frozen=True, slots=True)
class EnsembleRecipe:
    """A whole ensemble.

    Args:
        name: also the name of the artefact.
        summary: one sentence for the card.
        members: names of the recipes whose artefacts are combined.
        rule: kind in `RULES` and its settings.
        data: the rule is fitted on the validation part of this split, and judged on its test part.
        seed: of the split and of the rule.
        claims: numbers reached with it.

    Raises:
        InputError: fewer than two members, one of them twice, or an unknown split.
    """

    name: str
    summary: str
    members: tuple[str, ...]
    rule: Choice[Rule] = field(default_factory=lambda: Choice("mean", Mean()))
    data: DataSpec = field(default_factory=DataSpec)
    seed: int = SEED
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        if len(self.members) < 2 or len(set(self.members)) < len(self.members):
            raise InputError(
                f"ensemble {self.name} of {', '.join(self.members) or 'nothing'}: needs two or "
                "more members, each once"
            )
        PROTOCOLS.get(self.data.split)


def load_ensemble_recipe(name_or_path: str, *, changes: Sequence[str] = ()) -> EnsembleRecipe:
    """Read a shipped ensemble recipe by name or any by path; see `lab.recipe.load_recipe`.

    Raises:
        InputError: as there, or it is the recipe of one network.
    """
    table = read_table(name_or_path, changes=changes)
    where = f"recipe {name_or_path}"
    if not is_ensemble(table):
        raise InputError(f"{where} is of one network, it has no {MEMBERS}: use classpulse train")
    rule = table.pop("rule", {})
    recipe: EnsembleRecipe = build_dataclass(
        EnsembleRecipe, table, where=where, error=InputError, partial=True
    )
    choice = parse_choice(RULES, rule, default="mean", where=f"{where}: rule")
    return replace(recipe, rule=choice)


def ensemble_table(recipe: EnsembleRecipe) -> dict[str, Any]:
    """The whole recipe as plain values, every default written out."""
    table = asdict(recipe)
    return table | {"rule": {"kind": recipe.rule.kind, **table["rule"]["settings"]}}
