"""Baselines without a network: word n-grams weighted by TF-IDF, and a linear classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.train.kinds import check_ranges

CLASSIFIERS = ("logistic", "svm")
BASELINES: Registry[type[Any]] = Registry("text baseline")


@BASELINES.register("tfidf")
@dataclass(frozen=True, slots=True)
class Tfidf:
    """TF-IDF of word n-grams and a linear classifier (scikit-learn).

    Args:
        longest: words of the longest n-gram.
        sublinear: 1 + log(count) in place of the count.
        classifier: "logistic" (multinomial logistic regression) or "svm" (linear, one against all).
        c: inverse of the regularization.
    """

    longest: int = 2
    sublinear: bool = False
    classifier: str = "logistic"
    c: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(longest=(self.longest, 1, 5), c=(self.c, 1e-6, 1e6))
        if self.classifier not in CLASSIFIERS:
            raise InputError(f"classifier = '{self.classifier}': needs {' or '.join(CLASSIFIERS)}")


def fit_tfidf(
    how: Tfidf, texts: Sequence[str], labels: NDArray[np.int64], *, seed: int
) -> Pipeline:
    """The baseline fitted to cleaned texts and their labels (n,)."""
    features = TfidfVectorizer(ngram_range=(1, how.longest), sublinear_tf=how.sublinear)
    if how.classifier == "svm":
        return make_pipeline(features, LinearSVC(C=how.c, random_state=seed)).fit(texts, labels)
    classifier = LogisticRegression(C=how.c, max_iter=1000, random_state=seed)
    return make_pipeline(features, classifier).fit(texts, labels)
