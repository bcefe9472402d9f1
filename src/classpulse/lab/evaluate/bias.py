"""Bias by group: one model, or the same rows before and after a correction.

A group with fewer than `FEWEST` labeled rows is not reported, nor is the recall of a class that
has fewer in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Interval
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.data.groups import list_groups, read_column
from classpulse.lab.evaluate.classification import (
    ClassReport,
    labeled_confusion,
    labeled_rows,
    score_classes,
)
from classpulse.lab.evaluate.compare import Comparison, Difference, compare_models, difference_of
from classpulse.lab.evaluate.groups import FEWEST, GroupReport, GroupRow, score_groups
from classpulse.lab.evaluate.resample import Labels, Values, accuracy_of, draw_paired

ALL = "all rows"


@dataclass(frozen=True, slots=True)
class GroupChange:
    """One group after and before a correction; every difference is after - before, paired."""

    group: str
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class GapChange:
    """Did the gap close?

    Args:
        best, worst: the groups of the largest gap in accuracy before the correction.
        gap: best - worst; `first` is after, `second` before, with a paired bootstrap inside each
            group.
    """

    best: str
    worst: str
    gap: Difference


@dataclass(frozen=True, slots=True)
class RecallRow:
    """Share of a class of a group that is recognized, on its n rows; `after` if there is one."""

    group: str
    label: str
    n: int
    before: Interval
    after: Interval | None


@dataclass(frozen=True, slots=True)
class BiasReport:
    """What `compare_groups` finds; without a second model all that is about after is empty.

    Args:
        column: name of the annotation.
        overall, overall_after: all rows with a label, annotated or not.
        before, after: the groups that are reported, and the gaps between them.
        changes: of all rows, then of every group.
        gap_change: of the largest gap in accuracy.
        recalls: by group, then by class.
        left_out: groups with fewer than `FEWEST` labeled rows.
    """

    column: str
    overall: GroupRow
    before: GroupReport
    recalls: tuple[RecallRow, ...]
    left_out: tuple[str, ...]
    overall_after: GroupRow | None = None
    after: GroupReport | None = None
    changes: tuple[GroupChange, ...] = ()
    gap_change: GapChange | None = None


def compare_groups(
    before: Labels,
    after: Labels | None,
    faces: FaceSet,
    *,
    column: str,
    space: LabelSpace,
    seed: int = 0,
) -> BiasReport:
    """Accuracy, macro F1 and recalls of every group, and what a correction changed.

    Args:
        before, after: (n,) predictions in 0..k-1 for the faces, before and after the correction;
            None for one model alone.
        column: of `faces.groups`.
        space: of the k labels.
        seed: of every bootstrap.

    Raises:
        InputError: no such column (those there are listed), or fewer than two of its groups have
            `FEWEST` labeled rows.
        ShapeError: predictions of another length or out of range, or no row has a label.
    """
    truth, k = truth_in(faces, space), len(space)
    labeled_rows(truth, k, *(given for given in (before, after) if given is not None))
    values = read_column(faces, column)
    shown, left_out = _reported(values, truth, faces.name, column)
    unknown = int(((values == "") & (truth >= 0)).sum())

    def score(predicted: Labels) -> tuple[GroupRow, GroupReport]:
        overall = score_groups(ALL, [ALL] * len(truth), truth, predicted, k, seed=seed)
        groups = score_groups(column, shown.tolist(), truth, predicted, k, seed=seed)
        return overall.groups[0], replace(groups, missing=unknown)

    overall, groups = score(before)
    recalls = _recalls(shown, truth, before, after, space, seed)
    report = BiasReport(column, overall, groups, recalls, left_out)
    if after is None:
        return report
    overall_after, groups_after = score(after)
    parts = {ALL: truth >= 0, **_rows(shown, truth)}
    changes = tuple(
        GroupChange(name, compare_models(truth[rows], after[rows], before[rows], k, seed=seed + i))
        for i, (name, rows) in enumerate(parts.items())
    )
    gap = groups.gaps[0]
    change = _gap_change(truth, after, before, k, parts[gap.best], parts[gap.worst], seed=seed)
    return replace(
        report,
        overall_after=overall_after,
        after=groups_after,
        changes=changes,
        gap_change=GapChange(gap.best, gap.worst, change),
    )


def _reported(
    values: NDArray[np.str_], truth: Labels, name: str, column: str
) -> tuple[NDArray[np.str_], tuple[str, ...]]:
    """(n,) groups with those of too few labeled rows empty, and the names of those."""
    names, counts = np.unique(values[(values != "") & (truth >= 0)], return_counts=True)
    left_out = names[counts < FEWEST]
    if len(names) - len(left_out) < 2:
        there = list_groups(values[truth >= 0]) or "no group"
        raise InputError(
            f"column '{column}' has {there} among the labeled rows of {name}: a comparison needs "
            f"two groups of {FEWEST} rows or more"
        )
    shown = np.where(np.isin(values, left_out), "", values)
    return shown, tuple(left_out.tolist())


def _rows(shown: NDArray[np.str_], truth: Labels) -> dict[str, NDArray[np.bool_]]:
    """Group -> (n,) its labeled rows."""
    return {
        str(group): (shown == group) & (truth >= 0)
        for group in np.unique(shown[truth >= 0])
        if group
    }


def _recalls(
    shown: NDArray[np.str_],
    truth: Labels,
    before: Labels,
    after: Labels | None,
    space: LabelSpace,
    seed: int,
) -> tuple[RecallRow, ...]:
    found = []
    for group, rows in _rows(shown, truth).items():
        first, second = (
            None if p is None else score_classes(truth[rows], p[rows], space.names, seed=seed)
            for p in (before, after)
        )
        assert first is not None
        found += [
            RecallRow(group, label, n, recall, _recall(second, label))
            for label, n in first.support.items()
            if n >= FEWEST and (recall := _recall(first, label)) is not None
        ]
    return tuple(found)


def _recall(classes: ClassReport | None, label: str) -> Interval | None:
    return None if classes is None else classes.per_class[label]["recall"]


def _gap_change(
    truth: Labels,
    after: Labels,
    before: Labels,
    k: int,
    best: NDArray[np.bool_],
    worst: NDArray[np.bool_],
    *,
    seed: int,
) -> Difference:
    """The gap after and before, rows drawn anew inside each of the two groups."""
    values, draws = [], []
    for i, rows in enumerate((best, worst)):
        one = [labeled_confusion(truth[rows], p[rows], k) for p in (after, before)]
        values.append([float(accuracy_of(confusion)) for confusion in one])
        drawn = draw_paired(truth[rows], after[rows], before[rows], k, seed=seed + i)
        draws.append([accuracy_of(confusions) for confusions in drawn])
    gaps = [values[0][i] - values[1][i] for i in (0, 1)]
    drawn_gaps: list[Values] = [draws[0][i] - draws[1][i] for i in (0, 1)]
    return difference_of("gap in accuracy", gaps[0], gaps[1], drawn_gaps[0] - drawn_gaps[1])


def caveats(report: BiasReport) -> Sequence[str]:
    """What the numbers do not say, as sentences."""
    said = [
        "Annotations are someone's judgment of a picture, not knowledge of a person.",
        "A gap says that there is a difference, not where it comes from: groups differ in the "
        "expressions they show and in the quality of pictures and labels, too.",
        "A difference whose interval has 0 in it is no evidence of one. Of twenty tests without "
        "any effect one has p below 0.05.",
        "The gap is that of the two extreme groups. Its interval does not know that they were "
        "picked for being extreme; the permutation test does.",
    ]
    if report.after is not None:
        said += [
            "If the weak group was found on these rows, part of its gain is regression to the "
            "mean. Judge a correction on rows that had no part in finding the group.",
            "A network that is trained again differs by chance alone, which no interval here "
            "covers: train before and after with several seeds.",
        ]
    if report.left_out:
        said.append(
            f"Left out, with fewer than {FEWEST} labeled rows: {', '.join(report.left_out)}."
        )
    return said
