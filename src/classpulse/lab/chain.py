"""The commands that make a recipe's artefact from nothing but data.

Some recipes begin with the weights of another run, learn from teachers that are not shipped, or
combine members: these come first, each once.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.lab.book import AnyRecipe, open_recipe
from classpulse.lab.classic.recipe import ClassicRecipe
from classpulse.lab.ensemble.recipe import EnsembleRecipe
from classpulse.lab.recipe import Recipe
from classpulse.lab.recipe_file import recipe_names
from classpulse.lab.text import soup as text_soup
from classpulse.lab.text.recipe import TextRecipe, is_baseline
from classpulse.lab.train import soup
from classpulse.runtime.model import shipped_models

ARTEFACT = "artefact"  # folder of a run's artefact, inside the run's

Command = tuple[str, ...]
"""Words after ``classpulse``."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the user has.

    Args:
        data: name of a data set -> its path.
        votes: file of the FER+ votes, or None.
        folder: of all runs, each in a folder with its recipe's name.
        changes: recipe -> KEY=VALUE words of the user, see `parse_changes`.
        from_scratch: make what is shipped too, instead of taking the shipped artefact.
    """

    data: Mapping[str, Path]
    votes: Path | None
    folder: Path
    changes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    from_scratch: bool = False

    def run(self, name: str) -> Path:
        return self.folder / name

    def artefact(self, name: str) -> str:
        """The artefact of a recipe in this chain, or the shipped one of that name."""
        return str(self.run(name) / ARTEFACT) if self.makes(name) else name

    def makes(self, name: str) -> bool:
        """Whether this artefact is made here, and not taken as it is shipped or given."""
        return name in recipe_names() and (self.from_scratch or name not in shipped_models())


def parse_changes(name: str, words: Iterable[str]) -> dict[str, list[str]]:
    """``RECIPE:KEY=VALUE`` for any recipe of a chain, ``KEY=VALUE`` for the last one, `name`."""
    found: dict[str, list[str]] = {}
    for word in words:
        recipe, _, change = word.partition(":")
        own = recipe not in recipe_names()
        found.setdefault(name if own else recipe, []).append(word if own else change)
    return found


def plan_chain(name: str, given: Given) -> list[Command]:
    """The commands that train, publish and combine what the recipe needs, itself last.

    A run that is there goes on where it stopped, and a finished one ends at once; artefacts are
    made and measured anew.

    Args:
        name: of a shipped recipe.

    Raises:
        InputError: there is no such recipe, one needs itself, a data set that the chain needs has
            no path, or a change is for a recipe that is not in the chain.
    """
    order = _order(name, given)
    if strange := sorted(given.changes.keys() - {recipe.name for recipe in order}):
        made = ", ".join(recipe.name for recipe in order)
        raise InputError(f"--set {strange[0]}:...: {name} is made from {made}")
    missing = sorted({one for r in order for one in r.data.sets} - given.data.keys())
    if missing:
        words = " ".join(f"--data {one}=PATH" for one in missing)
        raise InputError(f"{name} and what it is made from need {words} too")
    asked = {name, *(one for recipe in order for one in _by_artefact(recipe, given))}
    return [
        command
        for recipe in order
        for command in _commands(recipe, given, publish=recipe.name in asked)
    ]


def _order(name: str, given: Given) -> list[AnyRecipe]:
    """The recipe after all that it needs, each once."""
    found: dict[str, AnyRecipe] = {}

    def visit(one: str, above: Sequence[str]) -> None:
        if one in found:
            return
        if one in above:
            circle = " needs ".join([*above[above.index(one) :], one])
            raise InputError(
                f"{circle}: a recipe cannot start from, learn from or combine itself; give the "
                "first of them another start or other teachers"
            )
        recipe = open_recipe(one)
        needs = (*_by_run(recipe).values(), *_averaged_with(recipe), *_by_artefact(recipe, given))
        for needed in needs:
            visit(needed, [*above, one])
        found[one] = recipe

    visit(name, [])
    return list(found.values())


def _by_run(recipe: AnyRecipe) -> dict[str, str]:
    """Recipes whose weights this one begins with or has hints from, by the key that names a run."""
    hint = getattr(recipe, "hint", None)
    runs = {"start": getattr(recipe, "start", None), "hint.run": hint.run if hint else None}
    names = {key: Path(run or "").name for key, run in runs.items()}
    return {key: name for key, name in names.items() if name in recipe_names()}


def _averaged_with(recipe: AnyRecipe) -> list[str]:
    """Recipes whose runs' weights are averaged with this one's."""
    if not isinstance(recipe, TextRecipe):
        return []
    return [name for one in recipe.averaging.runs if (name := Path(one).name) in recipe_names()]


def _by_artefact(recipe: AnyRecipe, given: Given) -> list[str]:
    """Recipes whose artefacts this one asks and that are made here."""
    if isinstance(recipe, EnsembleRecipe):
        asked = recipe.members
    else:
        teach = getattr(recipe, "teach", None)
        asked = teach.teachers if teach else ()
    return [one for one in asked if given.makes(one)]


def _commands(recipe: AnyRecipe, given: Given, *, publish: bool) -> Iterator[Command]:
    name, run = recipe.name, given.run(recipe.name)
    data = [word for one in recipe.data.sets for word in ("--data", f"{one}={given.data[one]}")]
    of_faces = not isinstance(recipe, TextRecipe | ClassicRecipe)
    votes = ["--votes", str(given.votes)] if given.votes and of_faces else []
    changes = [word for change in _changes(recipe, given) for word in ("--set", change)]
    out = ["--out", str(run / ARTEFACT)]
    if isinstance(recipe, EnsembleRecipe):
        members = [word for m in recipe.members for word in ("--member", given.artefact(m))]
        yield ("combine", name, *members, *data, *votes, *changes, *out)
    elif isinstance(recipe, ClassicRecipe):
        yield ("classic", name, *data, *changes, *out)
    else:
        words = (name, *data, *votes, *changes)
        yield ("train", *words, "--run", str(run), "--resume")
        whole = _whole(recipe, given)
        if _is_mean(recipe):
            runs = {seed: given.run(f"{name}-{seed}") for seed in _further_seeds(recipe)}
            key = text_soup.SEED if isinstance(recipe, TextRecipe) else soup.SEED
            for seed, one in runs.items():
                of_it = ("--set", f"{key}={seed}", "--run", str(one), "--resume")
                yield ("train", *words, *of_it)
            others = map(given.run, _averaged_with(recipe))
            averaged = map(str, (run, *runs.values(), *others))
            learned = (*data, *votes) if of_faces else ()  # for their batch-norm statistics
            yield ("average", name, *averaged, *learned, *changes, "--out", str(whole))
        if publish and not (isinstance(recipe, TextRecipe) and is_baseline(recipe)):
            yield ("publish", *words, "--run", str(whole), *out)


def _whole(recipe: AnyRecipe, given: Given) -> Path:
    """The folder of the run that counts: the recipe's own, or the mean of it and of others."""
    return given.run(f"{recipe.name}-mean" if _is_mean(recipe) else recipe.name)


def _is_mean(recipe: AnyRecipe) -> bool:
    return bool(_further_seeds(recipe) or _averaged_with(recipe))


def _further_seeds(recipe: AnyRecipe) -> tuple[int, ...]:
    """Of runs that are averaged with the recipe's own."""
    return recipe.averaging.seeds if isinstance(recipe, Recipe | TextRecipe) else ()


def _changes(recipe: AnyRecipe, given: Given) -> Iterator[str]:
    """The user's, and where the runs and teachers of the recipe stand in this chain."""
    yield from given.changes.get(recipe.name, ())
    for key, name in _by_run(recipe).items():
        yield f"{key}={json.dumps(str(_whole(open_recipe(name), given)))}"
    teach = getattr(recipe, "teach", None)
    if teach is not None:
        yield f"teach.teachers={json.dumps([given.artefact(one) for one in teach.teachers])}"
