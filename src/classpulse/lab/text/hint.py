"""Learning the vectors of another network (Romero et al. 2015) beside labels and probabilities."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from classpulse.lab.text.network import load_best, open_encoder, read_run
from classpulse.lab.text.recipe import Hint, load_text_recipe
from classpulse.lab.text.training import predict_vectors
from classpulse.lab.train.answers import OnAsked, Probs, mean_answers
from classpulse.lab.train.folder import BEST, RESOLVED

VECTOR = "vector"


def ask_hint(
    how: Hint, texts: Sequence[str], *, kept: Path | None = None, on_asked: OnAsked | None = None
) -> Tensor:
    """What the network of `how` makes of every text, (n, w), less the mean of all.

    A network's vectors have much in common, which says nothing of a text and would hide what
    differs.

    Args:
        kept, on_asked: as `mean_answers` takes them.

    Raises:
        InputError: there is no such run, or it is not of a recipe for texts.
        ModelError: its encoder cannot be used.
        OutputError: `kept` cannot be written.
    """
    run = Path(how.run)
    recipe = load_text_recipe(str(run / RESOLVED))
    network = load_best(recipe, run)
    tokenizer, vocabulary = read_run(recipe, run)
    encoded = open_encoder(recipe, tokenizer, vocabulary).encode(texts)

    def ask(places: list[int]) -> dict[str, Probs]:
        vectors = predict_vectors(network, [encoded[i] for i in places], pad=vocabulary.pad)
        return {VECTOR: vectors.numpy()}

    name = hashlib.sha256((run / BEST).read_bytes()).hexdigest()
    rows = [text.encode() for text in texts]
    told = mean_answers({name: ask}, rows, kept=kept, on_asked=on_asked)[VECTOR]
    vectors = torch.from_numpy(told)
    return vectors - vectors.mean(dim=0)
