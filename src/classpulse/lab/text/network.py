"""The network of a recipe for texts: built for its corpus, begun with a run, loaded from one."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from classpulse.core.errors import InputError
from classpulse.lab.data.lemmatize import lemmatize, load_spacy
from classpulse.lab.models.lora import additions, merge_lora, under_lora
from classpulse.lab.models.text_base import TextModel, Vocabulary
from classpulse.lab.models.text_encoders import find_encoder
from classpulse.lab.text.heads import HEAD_SPACES
from classpulse.lab.text.recipe import TextRecipe
from classpulse.lab.text.sources import TextRows
from classpulse.lab.text.vocabulary import (
    find_tokenizer,
    frequent_words,
    read_vocabulary,
    train_tokenizer,
)
from classpulse.lab.train.checkpoint import load_state, load_weights
from classpulse.lab.train.folder import BEST, find_best
from classpulse.text.encode import TextEncoder, find_cleaner

TOKENIZER, WORDS = "tokenizer.json", "words.txt"
KNOWN_FROM = 3  # training texts that have a word which the gate knows, and
KNOWN_SHARE = 2000  # one of so many where there are more (measured in docs/text.md)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything of a run that follows from its recipe and its training texts."""

    encoder: TextEncoder
    tokenizer: bytes
    vocabulary: Vocabulary
    words: tuple[str, ...]


def prepare_run(recipe: TextRecipe, rows: TextRows) -> Prepared:
    """The tokenizer of the recipe's encoder, or one fitted to the training texts."""
    clean = find_cleaner(recipe.encode.clean)
    folder = find_encoder(recipe.network.settings.encoder)
    texts = lemmatized(rows.texts, recipe)
    made = (
        find_tokenizer(folder)
        if folder is not None
        else train_tokenizer(clean(one) for one in texts)
    )
    vocabulary = read_vocabulary(made, folder=folder)
    at_least = max(KNOWN_FROM, len(rows) // KNOWN_SHARE)
    words = frequent_words(rows.texts, clean=clean, at_least=at_least)
    return Prepared(open_encoder(recipe, made, vocabulary), made, vocabulary, tuple(words))


def own_state(model: nn.Module) -> dict[str, Tensor]:
    """Weights of a network for texts without those that only learning from hints needs."""
    return {name: t for name, t in model.state_dict().items() if not name.startswith("hint.")}


def open_encoder(recipe: TextRecipe, tokenizer: bytes, vocabulary: Vocabulary) -> TextEncoder:
    """The encoder of a recipe's network, the same that its artefact will have."""
    how = recipe.encode
    return TextEncoder(tokenizer, clean=how.clean, max_tokens=how.max_tokens, pad=vocabulary.pad)


def build_text_model(recipe: TextRecipe, vocabulary: Vocabulary) -> TextModel:
    """The recipe's network, random weights drawn from its seed, begun with those of `start`.

    Raises:
        InputError: `start` has another token source.
        ModelError: an encoder or a file of vectors cannot be used.
    """
    torch.manual_seed(recipe.schedule.seed)
    heads = {head: len(HEAD_SPACES[head]) for head in recipe.heads}
    model: TextModel = recipe.network.settings.build(heads, vocabulary)
    if recipe.start:
        _begin_with(model, recipe)
    return model


def _begin_with(model: TextModel, recipe: TextRecipe) -> None:
    """The token source of the run `start`, and what else of it fits: reader and heads."""
    kept, own = load_state(Path(recipe.start) / BEST), model.state_dict()
    kept = {name if name in own else under_lora(name): value for name, value in kept.items()}
    fitting = {
        name: value
        for name, value in kept.items()
        if name in own and value.shape == own[name].shape
    }
    begun_here = additions(model) - kept.keys()
    tokens = [
        {name for name in names if name.startswith("tokens.")}
        for names in (kept, own.keys() - begun_here, fitting)
    ]
    if not tokens[0] == tokens[1] == tokens[2]:
        raise InputError(
            f"start = '{recipe.start}': its token source is not that of {recipe.name}: both "
            "recipes need the same encoder, and lora_rank if both have additions"
        )
    model.load_state_dict(fitting, strict=False)


def lemmatized(texts: Sequence[str], recipe: TextRecipe) -> Sequence[str]:
    """The texts, or their lemmas if the recipe says so.

    Raises:
        MissingExtraError: spaCy or its model is not installed.
    """
    if not recipe.encode.lemmatize:
        return texts
    analyze = load_spacy()
    return [lemmatize(text, analyze=analyze) for text in texts]


def read_run(recipe: TextRecipe, run: Path) -> tuple[bytes, Vocabulary]:
    """The tokenizer file of a run and what the recipe's network needs to know of it."""
    tokenizer = (run / TOKENIZER).read_bytes()
    folder = find_encoder(recipe.network.settings.encoder)
    return tokenizer, read_vocabulary(tokenizer, folder=folder)


def load_best(recipe: TextRecipe, run: Path) -> TextModel:
    """The recipe's network with the weights of the run's best epoch, `lora_merged` or not.

    Raises:
        InputError: the run has none, they are of another network, or the recipe lemmatizes.
    """
    if recipe.encode.lemmatize:
        raise InputError(f"recipe {recipe.name} reads lemmas, which the room cannot make of a text")
    best = find_best(run, recipe.name)
    network = build_text_model(dataclasses.replace(recipe, start=""), read_run(recipe, run)[1])
    load_weights(network, best)
    if getattr(recipe.network.settings, "lora_merged", True):
        merge_lora(network)
    return network.eval()
