"""Numbers from probabilities and truth, each with n and a bootstrap interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from classpulse.core.errors import ShapeError
from classpulse.core.records import Interval, Scores
from classpulse.lab.evaluate.resample import (
    RESAMPLES,
    Clusters,
    accuracy_of,
    count_confusion,
    draw_clustered,
    draw_confusions,
    interval_of,
    macro_f1_of,
)

ECE_BINS = 15
HEAT_FLOOR = 1e-30  # smallest probability whose logarithm is taken
LOG_TEMPERATURES = (-2.0, 2.0)  # among which one is looked for


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of one head on one data set.

    Args:
        n: rows with a label.
        accuracy, macro_f1: with 95 % bootstrap intervals.
        ece: expected calibration error of the shipped probabilities (15 equal-width bins).
        ece_uncalibrated: the same before calibration.
        confusion: (k, k) counts, rows are the truth.
        per_class: label -> precision, recall, f1, n.
    """

    n: int
    accuracy: Interval
    macro_f1: Interval
    ece: float
    ece_uncalibrated: float
    confusion: NDArray[np.int64]
    per_class: dict[str, dict[str, float]]


def evaluate_scores(
    scores: Scores,
    truth: NDArray[np.int64],
    *,
    raw: NDArray[np.float32] | None = None,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> Evaluation:
    """Evaluate probabilities against labels.

    Args:
        scores: n rows over k labels.
        truth: (n,) labels; rows with -1 have none and are left out.
        raw: (n, k) probabilities before the calibration that is inside `scores`, if any is.
        clusters: (n,) whose rows are alike, as people: intervals resample them whole.
        seed: of the bootstrap.

    Raises:
        ShapeError: the lengths differ or no row has a label.
    """
    if len(truth) != len(scores):
        raise ShapeError(f"{len(scores)} scores but {len(truth)} labels")
    known = truth >= 0
    if not known.any():
        raise ShapeError("no row has a label")
    probs, truth = scores.probs[known], truth[known]
    predicted = probs.argmax(axis=1)
    k = len(scores.space)
    confusion = count_confusion(truth, predicted, k)
    draws = (
        draw_confusions(confusion, seed=seed)
        if clusters is None
        else draw_clustered(truth, predicted, clusters[known], k, seed=seed)
    )
    return Evaluation(
        n=len(truth),
        accuracy=interval_of(float(accuracy_of(confusion)), accuracy_of(draws)),
        macro_f1=interval_of(float(macro_f1_of(confusion)), macro_f1_of(draws)),
        ece=expected_calibration_error(probs, truth),
        ece_uncalibrated=expected_calibration_error(probs if raw is None else raw[known], truth),
        confusion=confusion,
        per_class=_per_class(truth, predicted, scores.space.names),
    )


def _per_class(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    rows = precision_recall_fscore_support(
        truth, predicted, labels=np.arange(len(names)), zero_division=0
    )
    keys = ("precision", "recall", "f1", "n")
    return {
        name: {key: round(float(column[i]), 4) for key, column in zip(keys, rows, strict=True)}
        for i, name in enumerate(names)
    }


def describe_rates(name: str, found: Evaluation) -> str:
    """Text: averages of one head with their 95 % intervals, then a line for each label."""
    averages = {"accuracy": found.accuracy, "macro F1": found.macro_f1}
    spans = [f"{k} {v.value:.4f} [{v.low:.4f}, {v.high:.4f}]" for k, v in averages.items()]
    rates = ("precision", "recall", "f1")
    lines = [
        f"{name}: n = {found.n:,}, {', '.join(spans)}, ECE {found.ece:.4f}",
        " " * 12 + "".join(f"{rate:>11}" for rate in (*rates, "n")),
    ]
    for label, row in found.per_class.items():
        shares = "".join(f"{row[rate]:>11.4f}" for rate in rates)
        lines.append(f"{label:<12}{shares}{row['n']:>11,.0f}")
    return "\n".join(lines)


def expected_calibration_error(probs: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (Naeini et al. 2015)."""
    return _mean_gap(probs.max(axis=1), probs.argmax(axis=1) == truth)


def _mean_gap(confidence: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    place = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [
        abs(float(confidence[place == b].mean()) - float(right[place == b].mean()))
        * float((place == b).mean())
        for b in np.unique(place)
    ]
    return float(sum(gaps))


def floor_of_ece(probs: NDArray[np.float32], *, seed: int) -> Interval:
    """ECE that answers of these confidences would show if they were perfectly calibrated.

    Mean and the middle 95 % over draws of which answers are right: a sample of n rows shows that
    much by chance, so an ECE inside says nothing against the calibration.
    """
    random, confidence = np.random.default_rng(seed), probs.max(axis=1)
    draws = [
        _mean_gap(confidence, random.random(len(confidence)) < confidence) for _ in range(RESAMPLES)
    ]
    return interval_of(float(np.mean(draws)), np.array(draws))


def heat(probs: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities of the same logits at another temperature: softmax(log p / T)."""
    logs = np.log(np.maximum(probs, HEAT_FLOOR)) / temperature
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def fit_temperature(probs: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The temperature that minimizes the negative log-likelihood (Guo et al. 2017).

    Args:
        probs: (n, k) at temperature 1.
        truth: (n,) labels, none missing.
    """
    from scipy.optimize import minimize_scalar

    rows = np.arange(len(truth))

    def loss(log_t: float) -> float:
        picked = heat(probs, float(np.exp(log_t)))[rows, truth]
        return float(-np.log(np.maximum(picked, HEAT_FLOOR)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=LOG_TEMPERATURES, method="bounded").x))


def cross_fitted_ece(
    probs: NDArray[np.float32], truth: NDArray[np.int64], *, seed: int
) -> Interval:
    """`ece_interval` when each half is scaled by the temperature of the other half."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(truth))
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    scaled = np.empty_like(probs)
    for fit_on, used_on in (halves, halves[::-1]):
        scaled[used_on] = heat(probs[used_on], fit_temperature(probs[fit_on], truth[fit_on]))
    return _ece_interval(scaled, truth, random)


def ece_interval(probs: NDArray[np.float32], truth: NDArray[np.int64], *, seed: int) -> Interval:
    """ECE with a 95 % bootstrap interval over rows, which leans to high values.

    ECE is biased upwards in small samples, and more so in resamples.
    """
    return _ece_interval(probs, truth, np.random.default_rng(seed))


def _ece_interval(
    probs: NDArray[np.float32], truth: NDArray[np.int64], random: np.random.Generator
) -> Interval:
    resamples = (random.integers(0, len(truth), len(truth)) for _ in range(RESAMPLES))
    draws = [expected_calibration_error(probs[rows], truth[rows]) for rows in resamples]
    return interval_of(expected_calibration_error(probs, truth), np.array(draws))
