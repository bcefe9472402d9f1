"""Does a model serve every group alike? One annotation column at a time.

Groups differ in which expressions they show as well as in how well these are read: a gap says
that there is a difference, not where it comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classpulse.core.errors import ShapeError
from classpulse.core.records import Interval
from classpulse.lab.data.groups import group_name
from classpulse.lab.evaluate.classification import labeled_confusion, labeled_rows
from classpulse.lab.evaluate.resample import (
    PAIRED_RESAMPLES,
    Counts,
    Labels,
    Values,
    accuracy_of,
    draw_confusions,
    interval_of,
    macro_f1_of,
)

FEWEST = 30  # rows below which a group is flagged and takes no part in the gaps


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group; `few` if it has less than `FEWEST` rows.

    Macro F1 runs over the classes that occur in the group, in truth or prediction.
    """

    group: str
    n: int
    accuracy: Interval
    macro_f1: Interval
    few: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference of a metric between two groups that are not few.

    Args:
        metric: "accuracy" or "macro_f1".
        best, worst: the groups.
        difference: best - worst with a 95 % bootstrap interval for these two groups, which does
            not know that they were picked for being extremes.
        p: permutation test of "accuracy does not depend on the group", which does know it; None
            for macro F1.
    """

    metric: str
    best: str
    worst: str
    difference: Interval
    p: float | None


@dataclass(frozen=True, slots=True)
class GroupReport:
    """All groups of one column in order of name, what lies between them, and what is unknown.

    Args:
        column: name of the annotation.
        groups: rows by group.
        gaps: for accuracy and macro F1; empty with less than two groups that are not few.
        missing: labeled rows without an annotation; they are in no group.
    """

    column: str
    groups: tuple[GroupRow, ...]
    gaps: tuple[Gap, ...]
    missing: int


def score_groups(
    column: str,
    values: Sequence[str | float | None],
    truth: Labels,
    predicted: Labels,
    k: int,
    *,
    seed: int = 0,
) -> GroupReport:
    """Accuracy and macro F1 of every group.

    Args:
        column: name of the annotation, for messages and reports.
        values: (n,) the annotation of each row; words of `MISSING`, None and NaN are unknown.
        truth: (n,) labels in 0..k-1, -1 for no label.
        predicted: (n,) in 0..k-1.

    Raises:
        ShapeError: the lengths differ, or no row has both a label and an annotation.
    """
    if len(values) != len(truth):
        raise ShapeError(f"column '{column}' has {len(values)} rows but there are {len(truth)}")
    known = labeled_rows(truth, k, predicted)
    names = np.array([group_name(value) for value in values])
    present = known & (names != "")
    if not present.any():
        raise ShapeError(f"column '{column}' has no value in any row with a label")
    counts = {
        str(name): labeled_confusion(truth[rows], predicted[rows], k)
        for name in np.unique(names[present])
        for rows in [present & (names == name)]
    }
    drawn = {
        name: draw_confusions(confusion, seed=seed + i)  # other seeds: groups are independent
        for i, (name, confusion) in enumerate(counts.items())
    }
    rows = tuple(_row(name, counts[name], drawn[name]) for name in counts)
    missing = int((known & ~present).sum())
    return GroupReport(column, rows, _gaps(rows, counts, drawn, seed), missing)


def _row(name: str, confusion: Counts, draws: Counts) -> GroupRow:
    n = int(confusion.sum())
    values, drawn = _metrics(confusion), _metrics(draws)
    accuracy, macro_f1 = (interval_of(float(v), d) for v, d in zip(values, drawn, strict=True))
    return GroupRow(name, n, accuracy, macro_f1, n < FEWEST)


def _metrics(confusion: Counts) -> tuple[Values, Values]:
    return accuracy_of(confusion), macro_f1_of(confusion, skip_absent=True)


def _gaps(
    rows: Sequence[GroupRow], counts: dict[str, Counts], drawn: dict[str, Counts], seed: int
) -> tuple[Gap, ...]:
    enough = [row for row in rows if not row.few]
    if len(enough) < 2:
        return ()
    p = _permutation_p([counts[row.group] for row in enough], seed)
    by_accuracy = sorted(enough, key=lambda row: row.accuracy.value)
    by_f1 = sorted(enough, key=lambda row: row.macro_f1.value)
    gaps = []
    for i, (metric, order) in enumerate((("accuracy", by_accuracy), ("macro_f1", by_f1))):
        worst, best = order[0].group, order[-1].group
        value = float(_metrics(counts[best])[i] - _metrics(counts[worst])[i])
        draws = _metrics(drawn[best])[i] - _metrics(drawn[worst])[i]
        gaps.append(Gap(metric, best, worst, interval_of(value, draws), p if i == 0 else None))
    return tuple(gaps)


def _permutation_p(counts: Sequence[Counts], seed: int) -> float:
    """Share of permutations of the column whose accuracies spread as far or farther.

    Under a permutation the right answers fall on the groups as a hypergeometric draw.
    """
    sizes = np.array([confusion.sum() for confusion in counts])
    right = np.array([np.trace(confusion) for confusion in counts])
    random = np.random.default_rng(seed)
    draws = random.multivariate_hypergeometric(
        sizes, right.sum(), size=PAIRED_RESAMPLES, method="marginals"
    )
    spread = np.ptp(draws / sizes, axis=1)
    reached = int((spread >= np.ptp(right / sizes) - 1e-12).sum())
    return (reached + 1) / (PAIRED_RESAMPLES + 1)
