"""Balancing of the groups of an annotation, so that a weak group counts for more in training.

how = GROUP_BALANCINGS.get("insert")(column="age", group="child")
grouped = how.apply(BALANCINGS.get("none")(train), seed=42)
grouped.balanced, grouped.weights, grouped.sampled  # what the training loop needs

Groups come after classes. What is balanced last is balanced exactly: of the classes each method
says what is left of their balance. Rows without an annotation stay as they are. The source
retrained with more augmented pictures of children, "insert" here (seed-aieducation, follow-up).
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.data.balance import (
    Balanced,
    Labels,
    class_weights,
    cycle_rows,
    insert_copies,
    round_pixels,
)
from classpulse.lab.data.groups import Groups, read_groups
from classpulse.lab.data.rows import apportion

SMALLEST = 5  # labeled rows of a group that is made to count for more; a typo has fewer
STRONGEST = 1000.0  # factor of a row's weight


@dataclass(frozen=True, slots=True)
class GroupBalanced:
    """A training set after its classes and its groups.

    Args:
        balanced: n pictures and what the balancing of classes says of them.
        weights: (n,) float32 factor of each row's targets; 1 without an annotation. Targets, not
            prices, are scaled: the loss divides by `label_mass`, the sum of its targets, so a row
            of weight 2 counts as the same row twice would, a mixture of two rows carries the
            weight of each in its share, and the loss stays the mean of one row's whatever the
            weights are. Class weights scale the price instead and rely on a mean of 1.
        sampled: None, or labels by which epochs draw their rows: (n,) or (s, n), where an epoch is
            a draw in balance of each of the s lines, and -1 is not in a line's draw.
    """

    balanced: Balanced
    weights: NDArray[np.float32]
    sampled: Labels | None = None


@dataclass(frozen=True, slots=True)
class GroupBalance(ABC):
    """Settings of a method; `column` is the annotation whose groups are balanced."""

    column: str

    @abstractmethod
    def apply(self, balanced: Balanced, *, seed: int) -> GroupBalanced:
        """Balance the groups of a set whose classes are balanced.

        Raises:
            InputError: no such column or group (those there are listed), a column of one group,
                or a group that is too small to count for more.
        """


GROUP_BALANCINGS: Registry[type[GroupBalance]] = Registry("balancing of groups")


def balance_groups(balanced: Balanced, how: GroupBalance | None, *, seed: int) -> GroupBalanced:
    """`how` applied, or the set as it is; arguments and errors as in `GroupBalance.apply`."""
    return _as_it_is(balanced) if how is None else how.apply(balanced, seed=seed)


@GROUP_BALANCINGS.register("weights")
@dataclass(frozen=True, slots=True)
class GroupWeights(GroupBalance):
    """Every group counts the same in total in the loss, or a chosen one `factor` times as much.

    The annotated rows together count for as much as before. With class weights it is the weighted
    rows of a group that are added up; classes keep their weights relative to each other.

    Args:
        group: the chosen one; empty for all.
        factor: of its rows against those of the other groups.

    Raises:
        InputError: a factor without a group or the other way round, or one out of range.
    """

    group: str = ""
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not 1 / STRONGEST <= self.factor <= STRONGEST:  # false for NaN too
            raise InputError(f"factor = {self.factor}: needs a number from 0.001 to 1000")
        if bool(self.group) != (self.factor != 1):
            raise InputError(
                f"group = '{self.group}' with factor = {self.factor:g}: give a group and its "
                "factor other than 1, or neither for all groups to count the same"
            )

    def apply(self, balanced: Balanced, *, seed: int) -> GroupBalanced:
        found = _open(balanced, self.column, self.group)
        annotated = found.codes >= 0
        codes, mass = found.codes[annotated], balanced.row_weights[annotated].astype(np.float64)
        if self.group:
            factors = np.array([self.factor if g == self.group else 1.0 for g in found.names])
        else:
            factors = 1 / np.bincount(codes, mass, minlength=len(found.names))
        factors *= mass.sum() / (factors[codes] * mass).sum()
        grouped = _as_it_is(balanced)
        grouped.weights[annotated] = factors[codes]
        if (balanced.class_weights == 1).all():
            return grouped
        # class weights have a mean of 1 over the rows; they need it over the weighted rows now
        counted = grouped.weights[balanced.faces.labels >= 0].sum()
        scale = np.float32(counted / (grouped.weights * balanced.row_weights).sum())
        scaled = replace(balanced, class_weights=balanced.class_weights * scale)
        return replace(grouped, balanced=scaled)


@GROUP_BALANCINGS.register("insert")
@dataclass(frozen=True, slots=True)
class GroupInsert(GroupBalance):
    """Jittered copies of a weak group until it is as large as the largest, or has a share.

    Copies have the class mix of their group. Their sources are drawn as in `plan_corrected`: at
    random, all rows of a class in the group before any again, never a copy. No contrast stretch.
    Class weights are computed anew; a balance by insertion stays inside each group.

    Args:
        group: the weak one; empty for all groups to become as large as the largest.
        share: of the annotated rows, which the group has in the end; 0 for as large as the largest.

    Raises:
        InputError: a share without a group, or out of range.
    """

    group: str = ""
    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise InputError(f"share = {self.share}: needs a number from 0 to below 1")
        if self.share and not self.group:
            raise InputError(f"share = {self.share}: of which group? give group = NAME")

    def apply(self, balanced: Balanced, *, seed: int) -> GroupBalanced:
        found = _open(balanced, self.column, self.group)
        random = np.random.default_rng(seed)
        plan = [np.empty(0, dtype=np.int64)]
        for group, missing in enumerate(self._missing(found)):
            plan += _plan_group(balanced, found.codes == group, missing, random)
        sources = np.concatenate(plan)
        name = f"insert of {self.column}"
        grown = insert_copies(balanced.faces, sources, round_pixels, name, random)
        old, weights = len(balanced.faces), balanced.class_weights
        if (weights != 1).any():
            weights = class_weights(grown.faces.labels, len(weights))
        source = balanced.source[grown.source]
        inserted = np.append(balanced.inserted, grown.inserted[old:])
        return _as_it_is(Balanced(grown.faces, source, inserted, weights, balanced.sampled))

    def _missing(self, found: Groups) -> list[int]:
        """Copies that each group needs."""
        to_largest = [max(found.sizes) - size for size in found.sizes]
        if not self.group:
            return to_largest
        place, total = found.names.index(self.group), sum(found.sizes)
        size, wanted = found.sizes[place], to_largest[place]
        if self.share:  # (size + wanted) / (total + wanted) = share, and no copy more
            wanted = math.ceil((self.share * total - size) / (1 - self.share) - 1e-9)
        if wanted <= 0:
            raise InputError(
                f"'{self.group}' has {size:,} of {total:,} rows with annotation and label: nothing "
                f"to insert; give a smaller group, or a share above {size / total:.3f}"
            )
        return [wanted if i == place else 0 for i in range(len(found.names))]


@GROUP_BALANCINGS.register("sampler")
@dataclass(frozen=True, slots=True)
class GroupSampler(GroupBalance):
    """Every epoch draws each group as often as any other, with `draw_balanced`.

    Rows without an annotation come once an epoch. After the sampler of classes it is each class
    of each group that is drawn as often as any other that has rows; rows without an annotation
    are then drawn by class, among themselves.
    """

    def apply(self, balanced: Balanced, *, seed: int) -> GroupBalanced:
        codes, labels = _open(balanced, self.column, "").codes, balanced.faces.labels
        known = codes >= 0
        drawn, others = codes, np.where(known, -1, 0)
        if balanced.sampled:
            cells = codes * len(balanced.faces.space) + labels
            drawn = np.where(known & (labels >= 0), cells, -1)
            others = np.where(known, -1, labels)
        lines = [line for line in (drawn, others) if (line >= 0).any()]
        return replace(_as_it_is(balanced), sampled=np.stack(lines))


# --- the groups of a set -----------------------------------------------------------------------


def _open(balanced: Balanced, column: str, group: str) -> Groups:
    """The groups of a column, of which `group`, or each if it is empty, can count for more."""
    found = read_groups(balanced.faces, column, group)
    for name, size in zip(found.names, found.sizes, strict=True):
        if size < SMALLEST and group in ("", name):
            raise InputError(
                f"group '{name}' of column '{column}' of {balanced.faces.name} has {size} rows "
                f"with a label, and {SMALLEST} are the least that can count for more: correct or "
                "empty these annotations"
            )
    return found


def _as_it_is(balanced: Balanced) -> GroupBalanced:
    ones = np.ones(len(balanced.faces), dtype=np.float32)
    return GroupBalanced(balanced, ones, balanced.faces.labels if balanced.sampled else None)


def _plan_group(
    balanced: Balanced, inside: NDArray[np.bool_], missing: int, random: np.random.Generator
) -> list[Labels]:
    """Sources of the copies of one group, class by class in proportion to its rows."""
    labels = balanced.faces.labels
    counts = np.bincount(labels[inside & (labels >= 0)], minlength=len(balanced.faces.space))
    return [
        cycle_rows(np.flatnonzero(inside & (labels == label) & ~balanced.inserted), copies, random)
        for label, copies in enumerate(apportion(missing, counts))
        if copies
    ]
