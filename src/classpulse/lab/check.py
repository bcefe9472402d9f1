"""Whether the shipped recipes still build and learn: two steps of each on made-up data."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7, FERPLUS_VOTES
from classpulse.lab.book import open_recipe
from classpulse.lab.classic.fit import count_learned, fit_pipeline
from classpulse.lab.classic.recipe import ClassicRecipe
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.ensemble.recipe import EnsembleRecipe
from classpulse.lab.models.base import count_parameters
from classpulse.lab.recipe import Recipe, load_recipe
from classpulse.lab.recipe_file import recipe_names
from classpulse.lab.text.check import check_text_recipe
from classpulse.lab.text.recipe import TextRecipe
from classpulse.lab.train.coteach import first_of
from classpulse.lab.train.loop import first_losses
from classpulse.lab.train.run import build_learner, build_network, build_training, self_contained
from classpulse.lab.train.targets import HEAD_SPACES

BATCH, STEPS = 4, 2
FACES = (0, 1, 2, 3, 4, 5, 6, 3, 3, 6, 4)  # labels of the made-up faces, out of balance
VOTED = (4, 5, 6, 1, 3, 2, 0)  # columns of `FERPLUS_VOTES` that mean the seven labels
ANSWERS = 10  # rows of each label that a rule or a classical pipeline is fitted to
SIDE = 48


@dataclass(frozen=True, slots=True)
class Checked:
    """One recipe after its check.

    Args:
        parameters: as Keras counts them, with the statistics of normalizations.
        losses: of its steps; one of what is fitted in one go, on its own rows.
    """

    name: str
    parameters: int
    losses: tuple[float, ...]


def check_recipes(names: list[str]) -> Iterator[Checked]:
    """Check recipes one after the other, all that are shipped if none is named."""
    for name in names or recipe_names():
        recipe = open_recipe(name)
        if isinstance(recipe, EnsembleRecipe):
            yield check_ensemble(recipe)
        elif isinstance(recipe, ClassicRecipe):
            yield check_classic(recipe)
        elif isinstance(recipe, TextRecipe):
            yield Checked(recipe.name, *check_text_recipe(recipe))
        else:
            yield check_recipe(recipe)


def check_classic(recipe: ClassicRecipe) -> Checked:
    """Make features of random faces and fit what comes after them.

    Raises:
        InputError, ModelError: as `fit_pipeline`.
    """
    k = len(HEAD_SPACES["emotion"])
    truth = np.arange(ANSWERS * k, dtype=np.int64) % k
    draw = np.random.default_rng(recipe.seed)
    images = draw.integers(0, 256, (len(truth), recipe.side, recipe.side), dtype=np.uint8)
    fitted = fit_pipeline(
        dataclasses.replace(recipe, rows=0), images, truth, HEAD_SPACES["emotion"]
    )
    [scores] = fitted.predict(images).values()
    return Checked(recipe.name, count_learned(fitted.back), (_log_loss(scores.probs, truth),))


def check_ensemble(recipe: EnsembleRecipe) -> Checked:
    """Load and build every member, and fit the rule to random answers.

    Raises:
        InputError: the members do not take the same picture, or answer different questions.
    """
    members = [load_recipe(name) for name in recipe.members]
    first = members[0]
    for member in members[1:]:
        if member.input != first.input or member.heads.keys() != first.heads.keys():
            raise InputError(
                f"ensemble {recipe.name}: {first.name} and {member.name} differ in [input] or heads"
            )
    k = len(HEAD_SPACES[next(iter(first.heads))])
    truth = np.arange(ANSWERS * k, dtype=np.int64) % k
    draw = np.random.default_rng(recipe.seed)
    probs = draw.dirichlet(np.ones(k), (len(members), len(truth))).astype(np.float32)
    found = recipe.rule.settings(probs, truth, seed=recipe.seed)
    parameters = sum(count_parameters(build_network(self_contained(m))) for m in members)
    loss = _log_loss(found.apply(probs), truth)
    return Checked(recipe.name, parameters + found.parameters, (loss,))


def check_recipe(recipe: Recipe) -> Checked:
    """Build the network, and take the first steps of its training on eleven random faces.

    Raises:
        InputError: the network has no finite loss.
    """
    schedule = dataclasses.replace(recipe.schedule, batch=BATCH)
    recipe = dataclasses.replace(self_contained(recipe), schedule=schedule, groups=None)
    network = build_learner(recipe)
    data = build_training(_made_up(recipe.schedule.seed), recipe)
    losses = first_losses(network, data, recipe, steps=STEPS)
    if not np.isfinite(losses).all():
        raise InputError(f"recipe {recipe.name}: its loss is {losses}, needs finite numbers")
    return Checked(recipe.name, count_parameters(first_of(network)), tuple(losses))


def _made_up(seed: int) -> FaceSet:
    """Faces of noise with emotions and ten votes, eight of them for the emotion."""
    draw, labels = np.random.default_rng(seed), np.array(FACES, dtype=np.int64)
    images = draw.integers(0, 256, (len(labels), SIDE, SIDE), dtype=np.uint8)
    votes = np.zeros((len(labels), len(FERPLUS_VOTES)), dtype=np.int64)
    votes[np.arange(len(labels)), np.array(VOTED)[labels]] = 8
    votes[:, FERPLUS_VOTES.index("contempt")] = 2
    return FaceSet(images, labels, FER2013_7, "made-up faces", votes=votes)


def _log_loss(probs: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    return float(-np.log(probs[np.arange(len(truth)), truth]).mean())
