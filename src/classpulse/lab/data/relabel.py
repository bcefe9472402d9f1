"""Labels out of FER+ votes: every row of the votes file, with or without its picture."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classpulse.core.errors import InputError
from classpulse.core.files import save_text
from classpulse.core.labels import (
    FERPLUS_8,
    LEARNING_STATE_RULE,
    RELABELS,
    UNLABELED,
    LabelSpace,
    Relabel,
    ferplus_draw,
    ferplus_majority,
    vote_columns,
)
from classpulse.lab.data.faces import FaceSet, is_blank
from classpulse.lab.data.fer2013 import join_votes, load_votes
from classpulse.lab.data.splits import SEED

MAJORITY_ORIGIN = (
    "Barsoum et al. 2016: the emotion with more votes than any other choice, 'unknown' and 'not a "
    "face' included"
)


DRAWN_ORIGIN = (
    "Barsoum et al. 2016: one emotion drawn with the probability of its votes, single votes left "
    f"out; seed {SEED}"
)


@dataclass(frozen=True, slots=True)
class VoteRule:
    """A rule that turns FER+ votes (n, 10) into labels (n,) int64, -1 for none."""

    space: LabelSpace
    apply: Callable[[ArrayLike], NDArray[np.int64]]
    origin: str


def vote_rules() -> dict[str, VoteRule]:
    """The rules that start from FER+ votes: decision list, majority and its renames, draw."""
    renames = [rule for rule in RELABELS.values() if rule.source == FERPLUS_8]
    state = LEARNING_STATE_RULE
    return {
        state.name: VoteRule(state.target, state.apply, state.origin),
        "ferplus-majority": VoteRule(FERPLUS_8, ferplus_majority, MAJORITY_ORIGIN),
        "ferplus-probability": VoteRule(FERPLUS_8, _draw, DRAWN_ORIGIN),
        **{rule.name: _renamed(rule) for rule in renames},
    }


def _draw(votes: ArrayLike) -> NDArray[np.int64]:
    return ferplus_draw(votes, np.random.default_rng(SEED))


def get_vote_rule(name: str) -> VoteRule:
    """The rule called `name`.

    Raises:
        InputError: an unknown rule, or one that starts from other labels than FER+ votes.
    """
    rules = vote_rules()
    if name in rules:
        return rules[name]
    known = ", ".join(rules)
    if name in RELABELS:
        source = RELABELS[name].source.name
        raise InputError(
            f"the rule '{name}' starts from labels in {source}, not from FER+ votes; rules for "
            f"votes: {known}. classpulse data export --labels applies the others"
        )
    raise InputError(f"unknown rule '{name}' for FER+ votes; known: {known}")


def _renamed(rule: Relabel) -> VoteRule:
    """The majority label under another name; a dropped one is no label."""
    places = np.where(rule.matrix.sum(axis=1) > 0, rule.matrix.argmax(axis=1), UNLABELED)

    def apply(votes: ArrayLike) -> NDArray[np.int64]:
        labels = ferplus_majority(votes)
        return np.where(labels >= 0, places[labels], UNLABELED).astype(np.int64)

    return VoteRule(rule.target, apply, f"majority of the votes, then {rule.origin}")


def relabel_votes(
    path: Path, rule: str, *, faces: FaceSet | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Label every row of a FER+ file and count what comes out.

    Args:
        path: ``fer2013new.csv``.
        rule: of `vote_rules`.
        faces: FER2013, to count which of the labelled rows have a picture.
        out: CSV of row, Usage and label of every row that has one; rows count from 0.

    Returns:
        ``counts`` (label -> n), ``parts`` (part -> label -> n), ``kept``, ``dropped``, ``rule``,
        ``origin``, ``space``, ``rows``, ``cleaning`` of `count_cleaning`, and ``pictures``.

    Raises:
        InputError: the votes cannot be read or do not fit the pictures, or an unknown rule.
        OutputError: the CSV cannot be written.
    """
    chosen = get_vote_rule(rule)
    usage, votes = load_votes(path)
    labels = chosen.apply(votes)
    result = {
        "rule": rule,
        "origin": chosen.origin,
        "space": chosen.space.name,
        "rows": len(labels),
        "kept": int((labels >= 0).sum()),
        "dropped": int((labels < 0).sum()),
        "counts": count_labels(labels, chosen.space),
        "parts": {
            part: count_labels(labels[usage == part], chosen.space)
            for part in dict.fromkeys(usage.tolist())
        },
        "cleaning": count_cleaning(votes),
    }
    if faces is not None:
        result["pictures"] = _count_pictures(faces, path, chosen)
    if out is not None:
        save_text(_as_csv(usage, labels, chosen.space), out)
    return result


def count_labels(labels: NDArray[np.int64], space: LabelSpace) -> dict[str, int]:
    """Rows per label, in the order of the space; those without a label are left out."""
    found = np.bincount(labels[labels >= 0], minlength=len(space)).tolist()
    return dict(zip(space.names, found, strict=True))


def count_cleaning(votes: NDArray[np.int64]) -> dict[str, Any]:
    """The table of seed-aieducation: rows by votes for 'not a face', then for 'unknown'.

    Returns:
        ``NF`` and ``unknown`` (votes -> rows, only above 0; the second without rows that have an
        NF vote), ``with_nf``, ``left_without_nf``, ``unknown_5_or_more`` and ``left``.
    """
    columns = vote_columns(votes)
    nf = columns["NF"]
    unknown = columns["unknown"][nf == 0]
    many = int((unknown >= 5).sum())
    return {
        "NF": _histogram(nf),
        "with_nf": int((nf > 0).sum()),
        "left_without_nf": len(unknown),
        "unknown": _histogram(unknown),
        "unknown_5_or_more": many,
        "left": len(unknown) - many,
    }


def _histogram(values: NDArray[np.int64]) -> dict[str, int]:
    found, counts = np.unique(values[values > 0], return_counts=True)
    pairs = zip(found[::-1].tolist(), counts[::-1].tolist(), strict=True)
    return {str(value): count for value, count in pairs}


def _count_pictures(faces: FaceSet, votes: Path, rule: VoteRule) -> dict[str, Any]:
    if faces.part is None:
        raise InputError(f"{faces.name} has no Usage parts, by which the votes are joined")
    labels = rule.apply(join_votes(faces, votes).votes)  # type: ignore[arg-type]  # just joined
    here, blank = labels >= 0, is_blank(faces.images)
    parts = {part: labels[faces.part == part] for part in dict.fromkeys(faces.part.tolist())}
    return {
        "rows": len(faces),
        "labelled": int(here.sum()),
        "blank": int((here & blank).sum()),
        "counts": count_labels(labels, rule.space),
        "parts": {part: count_labels(of, rule.space) for part, of in parts.items()},
    }


def _as_csv(usage: NDArray[np.str_], labels: NDArray[np.int64], space: LabelSpace) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "Usage", "label"))
    kept = np.flatnonzero(labels >= 0)
    writer.writerows((row, usage[row], space.names[labels[row]]) for row in kept.tolist())
    return text.getvalue()
