"""Reliabilities of channels fitted to labelled rows, for `classpulse engage fuse`.

A row is whatever somebody has labelled: a window of a lesson, a person's minute, one text with the
face beside it. Numbers that judge the fit come from folds it has not seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Interval, Scores
from classpulse.engage.columns import read_cells, read_number
from classpulse.engage.fusion import fit_reliability, pool
from classpulse.engage.fusion_weights import SUFFIX, FusionWeights, fusion_text
from classpulse.engage.windows import t95

LABEL = "label"
LEAST = 20  # rows: fewer say nothing about two weights
SUM_SLACK = 0.05  # by which the scores of a row may miss 1: group means are rounded
PRIORS = ("even", "labels")


@dataclass(frozen=True, slots=True)
class Labelled:
    """What each channel said of n rows, and what was true.

    Args:
        channels: name -> (n, k) probabilities; even where the channel is missing.
        present: name -> (n,) bool.
        labels: (n,) int64.
    """

    channels: Mapping[str, Scores]
    present: Mapping[str, NDArray[np.bool_]]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Labelled":
        """Some of the rows."""
        return Labelled(
            {name: Scores(s.probs[rows], s.space) for name, s in self.channels.items()},
            {name: here[rows] for name, here in self.present.items()},
            self.labels[rows],
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """How well one way of weighing explains rows it was not fitted to.

    Args:
        n: rows that it says anything about.
        loss: mean negative logarithm of the probability of the true label, with a 95 % interval.
        contested: rows in which the channels contradict each other, so that no label is named.
        right: share of right labels among the others, None if there are none.
    """

    n: int
    loss: Interval
    contested: int
    right: float | None


@dataclass(frozen=True, slots=True)
class FusionFit:
    """Fitted weights and how they do on left-out folds, beside other ways to weigh."""

    weights: FusionWeights
    present: Mapping[str, int]
    n: int
    judged: Mapping[str, Judged]


def run_fuse(
    file: Path,
    out: Path,
    *,
    space: LabelSpace,
    names: Sequence[str],
    prior: str = "even",
    folds: int = 5,
    seed: int = 0,
) -> FusionFit:
    """Fit weights to a CSV file and write them.

    Raises:
        InputError: the file cannot be used, see `read_labelled` and `fit_fusion`, or `out` is no
            name of weights.
        OutputError: the file cannot be written.
    """
    if out.suffix != SUFFIX:
        raise InputError(f"{out} is no name of fusion weights: needs the ending {SUFFIX}")
    rows = read_labelled(file, space=space, names=names)
    fit = fit_fusion(rows, space=space, source=file.name, prior=prior, folds=folds, seed=seed)
    save_text(fusion_text(fit.weights), out)
    return fit


def read_labelled(path: Path, *, space: LabelSpace, names: Sequence[str]) -> Labelled:
    """Rows of a CSV file with the columns CHANNEL_LABEL (``face_happy``) and ``label``.

    A row in which all cells of a channel are empty lacks that channel.

    Raises:
        InputError: as `read_cells`; a column is missing, a row has no channel or some cells of one
            only, scores that are no probabilities, or an unknown label; the line is named.
    """
    header, rows = read_cells(path)
    needed = [LABEL, *(f"{name}_{label}" for name in names for label in space.names)]
    missing = [name for name in needed if name not in header]
    if missing:
        raise InputError(
            f"{path} lacks the columns {', '.join(missing)}: it needs a score of each channel for "
            f"each label, {needed[1]} for example, and {LABEL}"
        )
    at = {name: header.index(name) for name in needed}
    probs = {name: np.full((len(rows), len(space)), 1 / len(space)) for name in names}
    present = {name: np.zeros(len(rows), dtype=np.bool_) for name in names}
    labels = np.empty(len(rows), dtype=np.int64)
    for i, (line, cells) in enumerate(rows):
        labels[i] = _label(cells[at[LABEL]], space, path, line)
        for name in names:
            given = {f"{name}_{x}": cells[at[f"{name}_{x}"]] for x in space.names}
            if any(cell.strip() for cell in given.values()):
                probs[name][i] = _shares(given, path, line)
                present[name][i] = True
        if not any(here[i] for here in present.values()):
            raise InputError(f"{path}, line {line}: no channel has a score; remove the row")
    return Labelled({name: Scores(p, space) for name, p in probs.items()}, present, labels)


def fit_fusion(
    rows: Labelled,
    *,
    space: LabelSpace,
    source: str,
    prior: str = "even",
    folds: int = 5,
    seed: int = 0,
) -> FusionFit:
    """Fit the reliabilities to all rows, and judge such a fit on folds that it has not seen.

    Args:
        source: name of the data, for the weights' `origin`.
        prior: "even", or "labels": their shares among the rows, each counted once more.
        folds: of the cross-validation, drawn at random with `seed`.

    Raises:
        InputError: fewer than `LEAST` rows, a channel that no row has, one label only, or a number
            of folds or a prior that is not possible.
    """
    _check(rows, prior=prior, folds=folds)
    order = np.random.default_rng(seed).permutation(len(rows))
    fitted, ones = [], []
    for left in np.array_split(order, folds):
        seen, unseen = rows.take(np.setdiff1d(order, left)), rows.take(left)
        fitted.append((_fit(seen, space, prior, source), unseen))
        even = dict.fromkeys(rows.channels, 1.0)
        ones.append((FusionWeights(space.name, even, {}, "each counts 1"), unseen))
    judged = {"fitted": _judge(fitted, space), "weights of 1": _judge(ones, space)}
    for name in rows.channels:
        alone = [(weights, _only(unseen, name)) for weights, unseen in ones]
        judged[f"{name} alone"] = _judge(alone, space)
    here = {name: int(mask.sum()) for name, mask in rows.present.items()}
    return FusionFit(_fit(rows, space, prior, source), here, len(rows), judged)


def describe_fusion(fit: FusionFit) -> str:
    """Text: the weights, and the left-out folds."""
    here = ", ".join(f"{name} in {n}" for name, n in fit.present.items())
    lines = [f"{fit.weights.origin} ({here})"]
    lines += [f"{name:<13}reliability {w:.4f}" for name, w in fit.weights.reliability.items()]
    lines.append("left-out folds, log loss (less is better) and how often the label is right:")
    for name, one in fit.judged.items():
        right = "" if one.right is None else f", right {one.right:.1%} of {one.n - one.contested}"
        apart = f", {one.contested} contested" if one.contested else ""
        lines.append(
            f"{name:<13}{one.loss.value:.4f} [{one.loss.low:.4f}, {one.loss.high:.4f}] "
            f"n = {one.n}{right}{apart}"
        )
    return "\n".join(lines)


def fusion_json(fit: FusionFit) -> dict[str, Any]:
    """The same as plain values."""
    return asdict(fit)


def _fit(rows: Labelled, space: LabelSpace, prior: str, source: str) -> FusionWeights:
    shares: dict[str, float] = {}
    if prior == "labels":
        counts = np.bincount(rows.labels, minlength=len(space)) + 1.0
        shares = dict(zip(space.names, (counts / counts.sum()).round(6).tolist(), strict=True))
    origin = f"fitted to {len(rows)} labelled rows of {source}, prior {prior}"
    bare = FusionWeights(space.name, {}, shares, origin)
    found = fit_reliability(
        rows.channels, rows.labels, present=rows.present, prior=bare.prior_in(space)
    )
    return FusionWeights(space.name, found, shares, origin)


def _judge(parts: Sequence[tuple[FusionWeights, Labelled]], space: LabelSpace) -> Judged:
    """Each part pooled with its own weights."""
    losses: list[float] = []
    said: list[bool] = []
    for weights, rows in parts:
        if not len(rows):
            continue
        pooled = pool(
            rows.channels,
            reliability=weights.reliability,
            present=rows.present,
            prior=weights.prior_in(space),
        )
        true = pooled.scores.probs[np.arange(len(rows)), rows.labels]
        losses += (-np.log(np.maximum(true.astype(np.float64), 1e-12))).tolist()
        truth = [space.names[label] for label in rows.labels]
        told = zip(pooled.labels(), truth, strict=True)
        said += [label == actual for label, actual in told if label is not None]
    right = sum(said) / len(said) if said else None
    return Judged(len(losses), _mean_interval(losses), len(losses) - len(said), right)


def _mean_interval(values: Sequence[float]) -> Interval:
    """Mean with Student's 95 % interval over rows."""
    mean = float(np.mean(values))
    half = 0.0
    if len(values) > 1:
        half = t95(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def _only(rows: Labelled, name: str) -> Labelled:
    """The rows that have this channel, without the others."""
    some = rows.take(rows.present[name])
    return Labelled({name: some.channels[name]}, {name: some.present[name]}, some.labels)


def _label(cell: str, space: LabelSpace, path: Path, line: int) -> int:
    if cell.strip() not in space.names:
        raise InputError(
            f"{path}, line {line}: label '{cell.strip()}', {space.name} has: "
            f"{', '.join(space.names)}"
        )
    return space.index(cell.strip())


def _shares(cells: Mapping[str, str], path: Path, line: int) -> NDArray[np.float64]:
    """(k,) probabilities of one channel in one row."""
    values = np.array([read_number(cell, name, path, line) for name, cell in cells.items()])
    if values.min() < 0 or abs(values.sum() - 1) > SUM_SLACK:
        raise InputError(
            f"{path}, line {line}: {', '.join(cells)} sum to {values.sum():.3g}; give probabilities"
            " >= 0 that sum to 1, or leave all of them empty where the channel says nothing"
        )
    shares: NDArray[np.float64] = values / values.sum()
    return shares


def _check(rows: Labelled, *, prior: str, folds: int) -> None:
    if prior not in PRIORS:
        raise InputError(f"prior '{prior}': choose {' or '.join(PRIORS)}")
    if len(rows) < LEAST:
        raise InputError(f"{len(rows)} labelled rows: label {LEAST} or more")
    if not 2 <= folds <= len(rows) // 2:
        raise InputError(f"{folds} folds of {len(rows)} rows: choose 2 to {len(rows) // 2}")
    empty = [name for name, here in rows.present.items() if not here.any()]
    if empty:
        raise InputError(f"no row has scores of {', '.join(empty)}: there is nothing to weigh")
    if len(np.unique(rows.labels)) < 2:
        raise InputError("all rows have the same label: label rows that differ")
