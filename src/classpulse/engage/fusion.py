"""Late fusion: what several channels say together, and whether they say the same.

Logarithmic opinion pool (Genest & Zidek 1986): with calibrated probabilities p_c of each channel c
that is there, its reliability w_c and the prior q over labels,

    log p = log q + sum_c w_c (log p_c - log q) + constant.

A channel that is missing leaves its term out; one of reliability 0 changes nothing. A pool of two
channels that contradict each other is a smooth average that neither of them said: `disagreement`
tells, and a contested row has no label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Scores

FLOOR = 1e-6  # least probability that is believed: one channel must not forbid a label alone
CONTESTED = 0.3  # disagreement from which no common label is named
STEPS = 200  # of the fit; it is convex and has as many unknowns as channels
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Pooled:
    """n rows as all channels together see them.

    Args:
        scores: pooled probabilities, (n, k).
        disagreement: (n,) Jensen-Shannon divergence between the channels that are there, weighted
            by reliability, over its largest possible value: 0 all the same, 1 nothing in common;
            0 with a single channel. One of reliability 0 contradicts nobody.
        used: (n,) how many channels each row has.
    """

    scores: Scores
    disagreement: NDArray[np.float64]
    used: NDArray[np.int64]

    def labels(self, *, contested: float = CONTESTED) -> list[str | None]:
        """The most probable label of each row; None where the channels disagree by more."""
        names = self.scores.space.names
        return [
            None if gap > contested else names[int(top)]
            for top, gap in zip(self.scores.top, self.disagreement, strict=True)
        ]


def pool(
    channels: Mapping[str, Scores],
    *,
    reliability: Mapping[str, float],
    present: Mapping[str, ArrayLike] | None = None,
    prior: ArrayLike | None = None,
) -> Pooled:
    """What the channels say together about the same n rows.

    Args:
        channels: name -> calibrated probabilities, all (n, k) over one label space.
        reliability: name -> weight >= 0, see `fit_reliability` and `reliability_of`.
        present: name -> (n,) booleans, where the channel says anything; everywhere if not given.
        prior: (k,) probabilities of the labels before anything is seen; uniform if not given.

    Raises:
        InputError: no channel, channels of different label spaces or without a reliability, or a
            row that no channel says anything about.
        ShapeError: other numbers of rows, a negative reliability, or a prior that is not one.
    """
    space, logs, here = _stacked(channels, present)
    weights = np.array([_weight(reliability, name) for name in channels])
    base = np.log(_prior(prior, space))
    pooled = _pool_logs(logs, here, weights, base)
    return Pooled(
        Scores(pooled.astype(np.float32), space),
        _disagreement(np.exp(logs), here, weights),
        here.sum(axis=0),
    )


def fit_reliability(
    channels: Mapping[str, Scores],
    labels: ArrayLike,
    *,
    present: Mapping[str, ArrayLike] | None = None,
    prior: ArrayLike | None = None,
    pull: float = 1e-3,
) -> dict[str, float]:
    """Reliabilities >= 0 under which the pool explains known labels best.

    Minimizes the mean negative log-likelihood, convex in the weights, by projected Newton steps
    with halving.

    Args:
        channels, present, prior: as for `pool`.
        labels: (n,) numbers of the true labels.
        pull: weight of the square of the reliabilities: keeps those of a channel that is never
            there at 0.

    Raises:
        InputError, ShapeError: as `pool`; a label outside the space, or not n of them.
    """
    space, logs, here = _stacked(channels, present)
    truth = np.asarray(labels, dtype=np.int64)
    if truth.shape != here.shape[1:] or truth.min() < 0 or truth.max() >= len(space):
        raise ShapeError(
            f"labels: needs {here.shape[1]} numbers in 0..{len(space) - 1} of {space.name}"
        )
    base = np.log(_prior(prior, space))
    terms = np.where(here[:, :, None], logs - base, 0.0)  # (c, n, k), what each weight multiplies
    weights = np.ones(len(channels))
    loss = _loss(weights, terms, base, truth, pull)
    for _ in range(STEPS):
        gradient, curvature = _slopes(weights, terms, base, truth, pull)
        free = (weights > 0) | (gradient < 0)  # at 0 and wanting below: stays
        if not free.any() or np.abs(gradient[free]).max() < TOLERANCE:
            break
        move = np.zeros_like(weights)
        move[free] = np.linalg.solve(curvature[np.ix_(free, free)], -gradient[free])
        weights, better = _halved(weights, move, loss, terms, base, truth, pull)
        if loss - better < TOLERANCE:
            break
        loss = better
    return dict(zip(channels, weights.round(6).tolist(), strict=True))


def reliability_of(accuracy: float, space: LabelSpace) -> float:
    """Reliability of a channel of which only the accuracy is known: its share above chance.

    (accuracy - 1/k) / (1 - 1/k), at least 0: what Cohen's kappa is for k labels equally often.
    """
    chance = 1.0 / len(space)
    return max((accuracy - chance) / (1.0 - chance), 0.0)


def _weight(reliability: Mapping[str, float], name: str) -> float:
    weight = reliability.get(name)
    if weight is None:
        raise InputError(f"channel '{name}' has no reliability: give a number >= 0 for it")
    if not 0 <= weight < float("inf"):
        raise ShapeError(f"reliability of '{name}' is {weight}: give a number >= 0")
    return weight


def _stacked(
    channels: Mapping[str, Scores], present: Mapping[str, ArrayLike] | None
) -> tuple[LabelSpace, NDArray[np.float64], NDArray[np.bool_]]:
    """The space, log probabilities (c, n, k), and where each channel is there (c, n)."""
    if not channels:
        raise InputError("nothing to fuse: give the scores of one channel or more")
    spaces = {scores.space.name: scores.space for scores in channels.values()}
    if len(spaces) > 1:
        raise InputError(
            f"channels speak of different labels ({', '.join(spaces)}): relabel one of them first"
        )
    rows = {name: len(scores) for name, scores in channels.items()}
    if len(set(rows.values())) > 1:
        raise ShapeError(f"channels have different numbers of rows: {rows}")
    n = next(iter(rows.values()))
    here = np.ones((len(channels), n), dtype=bool)
    for i, name in enumerate(channels):
        if present is not None and name in present:
            here[i] = _mask(present[name], n, name)
    if not here.any(axis=0).all():
        lost = int(np.flatnonzero(~here.any(axis=0))[0])
        raise InputError(f"row {lost}: no channel says anything about it; leave it out")
    probs = np.stack([scores.probs.astype(np.float64) for scores in channels.values()])
    probs = np.maximum(probs, FLOOR)
    return next(iter(spaces.values())), np.log(probs / probs.sum(axis=2, keepdims=True)), here


def _mask(values: ArrayLike, n: int, name: str) -> NDArray[np.bool_]:
    mask = np.asarray(values, dtype=bool)
    if mask.shape != (n,):
        raise ShapeError(f"present['{name}'] has shape {mask.shape}, needs ({n},)")
    return mask


def _prior(prior: ArrayLike | None, space: LabelSpace) -> NDArray[np.float64]:
    k = len(space)
    base = np.full(k, 1.0 / k) if prior is None else np.asarray(prior, dtype=np.float64)
    if base.shape != (k,) or not (base > 0).all() or abs(base.sum() - 1) > 1e-3:
        raise ShapeError(f"the prior needs {k} probabilities > 0 that sum to 1")
    return base


def _pool_logs(
    logs: NDArray[np.float64],
    here: NDArray[np.bool_],
    weights: NDArray[np.float64],
    base: NDArray[np.float64],
) -> NDArray[np.float64]:
    return _pooled(weights, np.where(here[:, :, None], logs - base, 0.0), base)


def _pooled(
    weights: NDArray[np.float64], terms: NDArray[np.float64], base: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(c,) weights of (c, n, k) terms on a (k,) base of logarithms -> (n, k) probabilities."""
    logits = base + np.tensordot(weights, terms, axes=1)
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return probs


def _disagreement(
    probs: NDArray[np.float64], here: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Generalized Jensen-Shannon divergence (Lin 1991) over the entropy of the weights."""
    shares = here * weights[:, None]  # (c, n)
    shares = np.where(shares.sum(axis=0) > 0, shares, here)
    shares = shares / shares.sum(axis=0)
    mixed = np.einsum("cn,cnk->nk", shares, probs)
    apart = _entropy(mixed) - (shares * _entropy(probs)).sum(axis=0)
    most = _entropy(shares.T)
    found: NDArray[np.float64] = np.where(most > 0, apart / np.where(most > 0, most, 1.0), 0.0)
    return found.clip(0.0, 1.0)


def _entropy(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis, 0 log 0 = 0."""
    found: NDArray[np.float64] = -(probs * np.log(np.where(probs > 0, probs, 1.0))).sum(axis=-1)
    return found


def _loss(
    weights: NDArray[np.float64],
    terms: NDArray[np.float64],
    base: NDArray[np.float64],
    truth: NDArray[np.int64],
    pull: float,
) -> float:
    probs = _pooled(weights, terms, base)
    likely = np.maximum(probs[np.arange(len(truth)), truth], 1e-300)
    return float(-np.log(likely).mean() + pull * (weights**2).sum())


def _slopes(
    weights: NDArray[np.float64],
    terms: NDArray[np.float64],
    base: NDArray[np.float64],
    truth: NDArray[np.int64],
    pull: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (c,) and Hessian (c, c) of `_loss`: mean and covariance of the terms under p."""
    probs = _pooled(weights, terms, base)
    mean = np.einsum("nk,cnk->cn", probs, terms)
    gradient = (mean - terms[:, np.arange(len(truth)), truth]).mean(axis=1) + 2 * pull * weights
    second = np.einsum("nk,cnk,dnk->cdn", probs, terms, terms)
    hessian = (second - mean[:, None] * mean[None]).mean(axis=2)
    return gradient, hessian + 2 * pull * np.eye(len(weights))


def _halved(
    weights: NDArray[np.float64],
    move: NDArray[np.float64],
    loss: float,
    terms: NDArray[np.float64],
    base: NDArray[np.float64],
    truth: NDArray[np.int64],
    pull: float,
) -> tuple[NDArray[np.float64], float]:
    """The first of the step and its halves that is not worse, cut at 0; else where it was."""
    for halving in range(30):
        tried = np.maximum(weights + move / 2**halving, 0.0)
        value = _loss(tried, terms, base, truth, pull)
        if value <= loss:
            return tried, value
    return weights, loss


def pool_means(
    means: Sequence[Mapping[str, tuple[float, float, float]]],
    *,
    space: LabelSpace,
    reliability: Sequence[float],
    prior: ArrayLike | None = None,
    draws: int = 400,
    seed: int = 0,
) -> tuple[dict[str, tuple[float, float, float]], float]:
    """The pool of group means that carry intervals, with intervals of its own.

    Every mean is drawn again from a normal distribution of its 95 % interval and pooled; the
    interval of the pool holds the middle 95 % of the draws.

    Args:
        means: of each channel, label -> (value, low, high) in [0, 1].
        reliability: of each channel.
        prior: as for `pool`.

    Returns:
        label -> (value, low, high), and the disagreement of the values.

    Raises:
        InputError, ShapeError: as `pool`.
    """
    random = np.random.default_rng(seed)
    names = [str(i) for i in range(len(means))]
    weights = dict(zip(names, reliability, strict=True))
    drawn = {}
    for name, channel in zip(names, means, strict=True):
        rows = np.array([channel[label] for label in space.names])  # (k, 3)
        spread = (rows[:, 2] - rows[:, 1]) / (2 * 1.96)
        noise = random.standard_normal((draws, len(space))) * spread
        whole = np.maximum(np.vstack([rows[:, 0], rows[:, 0] + noise]), FLOOR)
        drawn[name] = Scores((whole / whole.sum(axis=1, keepdims=True)).astype(np.float32), space)
    pooled = pool(drawn, reliability=weights, prior=prior)
    value = pooled.scores.probs[0].astype(np.float64)
    low, high = np.quantile(pooled.scores.probs[1:], [0.025, 0.975], axis=0)
    low, high = np.minimum(low, value), np.maximum(high, value)
    shares = {
        label: (float(value[i]), float(low[i]), float(high[i]))
        for i, label in enumerate(space.names)
    }
    return shares, float(pooled.disagreement[0])
