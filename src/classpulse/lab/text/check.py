"""Whether a text recipe still builds and learns: two steps of its network on made-up texts."""

import dataclasses

import numpy as np
import torch
from scipy.special import log_softmax

from classpulse.core.errors import InputError
from classpulse.lab.models.base import RANDOM, count_parameters
from classpulse.lab.models.text_encoders import EncoderSettings
from classpulse.lab.models.text_vectors import VectorSettings
from classpulse.lab.text.augment import TextAugment
from classpulse.lab.text.baseline import fit_tfidf
from classpulse.lab.text.heads import HEAD_SPACES, one_hot
from classpulse.lab.text.network import build_text_model, prepare_run
from classpulse.lab.text.recipe import TextRecipe, is_baseline
from classpulse.lab.text.run import build_training
from classpulse.lab.text.sources import TextRows
from classpulse.lab.text.training import begin, take_step
from classpulse.lab.train.optim import set_lr

ROWS, STEPS = 28, 2
WORDS = "I was so happy sad angry when my friend teacher left came back home today".split()


def check_text_recipe(recipe: TextRecipe) -> tuple[int, tuple[float, ...]]:
    """Parameters and losses of two steps; a baseline is fitted and has one loss, on its own rows.

    Encoders and word vectors are small random ones of the recipe's kind: those that the recipe
    means are not in the package.

    Raises:
        InputError: the network has no finite loss.
    """
    rows = _made_up(recipe)
    if is_baseline(recipe):
        head = next(iter(recipe.heads))
        labels = rows.targets[head].argmax(axis=1)
        model = fit_tfidf(recipe.network.settings, rows.texts, labels, seed=recipe.schedule.seed)
        found = log_softmax(model.decision_function(rows.texts), axis=1)[np.arange(ROWS), labels]
        parameters = sum(len(np.ravel(step.coef_)) for _, step in model.steps[1:])
        return parameters, (float(-found.mean()),)
    small = _self_contained(recipe)
    made = prepare_run(small, rows)
    run = begin(build_text_model(small, made.vocabulary), small)
    data = build_training(small, rows, made)
    run.model.train()
    set_lr(run.optimizer, run.rate.lr_at(0))
    losses = tuple(take_step(run, data, small, torch.arange(ROWS)) for _ in range(STEPS))
    if not all(abs(value) < float("inf") for value in losses):
        raise InputError(f"recipe {recipe.name}: its loss is {losses}, needs finite numbers")
    return count_parameters(run.model), losses


def _made_up(recipe: TextRecipe) -> TextRows:
    draw = np.random.default_rng(recipe.schedule.seed)
    texts = [" ".join(draw.choice(WORDS, size=int(draw.integers(1, 12)))) for _ in range(ROWS)]
    targets = {
        head: one_hot(np.arange(ROWS) % len(HEAD_SPACES[head]), len(HEAD_SPACES[head]), smoothing=0)
        for head in recipe.heads
    }
    return TextRows(tuple(texts), targets, np.ones(ROWS, dtype=np.bool_))


def _self_contained(recipe: TextRecipe) -> TextRecipe:
    """The recipe without what is outside of the package: encoder, vectors, teachers, WordNet."""
    settings = recipe.network.settings
    if isinstance(settings, EncoderSettings):
        settings = dataclasses.replace(settings, encoder=RANDOM)
    elif isinstance(settings, VectorSettings):
        settings = dataclasses.replace(settings, vectors=RANDOM)
    network = dataclasses.replace(recipe.network, settings=settings)
    encode = dataclasses.replace(recipe.encode, lemmatize=False)
    return dataclasses.replace(
        recipe,
        network=network,
        augment=TextAugment(),
        encode=encode,
        teach=None,
        hint=None,
        teach_variants=False,
        teach_further=True,
        data=dataclasses.replace(recipe.data, unlabelled=()),
        start="",
    )
