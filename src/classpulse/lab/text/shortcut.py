"""How much of the class of a text its corpus gives away.

A set whose corpora have different classes rewards a model that tells the corpora apart, which is
easier than telling emotions apart (seed-thesis E.2, 4).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.records import Interval
from classpulse.lab.data.source_balance import corpora_of, count_corpora
from classpulse.lab.data.texts import TextSet
from classpulse.lab.evaluate.resample import (
    accuracy_of,
    count_confusion,
    draw_confusions,
    interval_of,
)
from classpulse.lab.text.baseline import Tfidf, fit_tfidf
from classpulse.text.clean import Cleaner

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shortcut:
    """Accuracies on held-out texts, with 95 % bootstrap intervals.

    Args:
        n: held-out texts.
        corpus: how often their words tell the corpus.
        largest: of the class that is most frequent in training.
        by_corpus: of the class that is most frequent in the text's corpus.
        by_words: of the class that is most frequent in the corpus that its words tell; what a model
            gets that knows nothing of emotions.
    """

    n: int
    corpus: Interval
    largest: Interval
    by_corpus: Interval
    by_words: Interval


def measure_shortcut(
    train: TextSet, held: TextSet, *, clean: Cleaner, how: Tfidf, seed: int = 0
) -> Shortcut:
    """Tell the corpora of `held` apart by a baseline, and guess the classes from the corpora alone.

    Args:
        train: from which the baseline learns the corpora, and the classes of each are counted.
        held: texts of the same corpora and classes.
        clean: of every text before it is read.

    Raises:
        InputError: all texts of `train` are of one corpus, or `held` has one that `train` has not.
    """
    of_train, of_held = corpora_of(train), corpora_of(held)
    corpora = np.unique(of_train)
    if len(corpora) < 2 or not np.isin(of_held, corpora).all():
        raise InputError(
            f"{train.name} comes from {', '.join(corpora) or 'nowhere'} and {held.name} from "
            f"{', '.join(np.unique(of_held))}: give texts of two corpora or more, all of them in "
            "training"
        )
    learned, actual = (
        np.searchsorted(corpora, each).astype(np.int64) for each in (of_train, of_held)
    )
    model = fit_tfidf(how, [clean(text) for text in train.texts], learned, seed=seed)
    told = np.asarray(model.predict([clean(text) for text in held.texts]), dtype=np.int64)
    k = len(train.space)
    counts = np.stack(list(count_corpora(train).values()))  # in the order of `corpora`
    guess, most = counts.argmax(axis=1), int(counts.sum(axis=0).argmax())
    return Shortcut(
        n=len(held),
        corpus=_accuracy(actual, told, len(corpora)),
        largest=_accuracy(held.labels, np.full(len(held), most), k),
        by_corpus=_accuracy(held.labels, guess[actual], k),
        by_words=_accuracy(held.labels, guess[told], k),
    )


def _accuracy(truth: Labels, predicted: Labels, k: int) -> Interval:
    confusion = count_confusion(truth, predicted, k)
    draws = draw_confusions(confusion, seed=0)
    return interval_of(float(accuracy_of(confusion)), accuracy_of(draws))
