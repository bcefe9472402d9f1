"""The members of an ensemble: artefacts that eat the same picture and mean the same labels."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from classpulse.core.card import Head, InputSpec, ModelCard
from classpulse.core.errors import InputError
from classpulse.lab.ensemble.combination import Probs
from classpulse.lab.evaluate.predictors import Images, predict_heads
from classpulse.runtime.model import OnnxModel, find_model


@dataclass(frozen=True, slots=True)
class Member:
    """An opened artefact and the folder it came from."""

    folder: Path
    model: OnnxModel

    @property
    def card(self) -> ModelCard:
        """Of the artefact."""
        return self.model.card

    @property
    def title(self) -> str:
        """Name and hash, for cards and messages."""
        return f"{self.card.name} (sha256 {self.card.sha256[:12]})"


def open_members(specs: Sequence[str], *, threads: int = 2) -> tuple[Member, ...]:
    """Artefacts by shipped name or folder, in the order of every `probs` (m, n, k) and weight.

    Raises:
        InputError: fewer than two, one of them twice, or members that do not eat the same input.
        ModelError: an artefact cannot be used.
    """
    members = tuple(Member(find_model(spec), OnnxModel(spec, threads=threads)) for spec in specs)
    if len(members) < 2:
        raise InputError(f"an ensemble needs two members or more, not {len(members)}")
    seen: dict[str, str] = {}
    for spec, member in zip(specs, members, strict=True):
        if member.card.sha256 in seen:
            raise InputError(
                f"members '{seen[member.card.sha256]}' and '{spec}' are the same network: "
                "name it once and give it a larger weight"
            )
        seen[member.card.sha256] = spec
    for member in members[1:]:
        _need_same_input(members[0], member)
    return members


def _need_same_input(first: Member, other: Member) -> None:
    ours, theirs = first.card.input, other.card.input
    if ours != theirs:
        names = [field.name for field in fields(InputSpec)]
        unlike = "; ".join(
            f"{name} {getattr(ours, name)} and {getattr(theirs, name)}"
            for name in names
            if getattr(ours, name) != getattr(theirs, name)
        )
        raise InputError(
            f"{first.title} and {other.title} eat different inputs ({unlike}): one graph has one "
            "input. Train the members with the same [input], or average them outside the graph "
            'with an ensemble file ({"name": ..., "members": [...]}) in classpulse evaluate'
        )


def find_head(members: Sequence[Member], name: str) -> Head:
    """The head of the first member; all others have the same one.

    Raises:
        InputError: a member lacks it, or means other labels by it, or has it under other
            conditions.
    """
    for member in members:
        if name not in [head.name for head in member.card.heads]:
            there = ", ".join(common_heads(members)) or "none"
            raise InputError(f"{member.title} has no head '{name}'; all members have: {there}")
    heads = [member.card.head(name) for member in members]
    for member, head in zip(members, heads, strict=True):
        if (head.space, head.given) != (heads[0].space, heads[0].given):
            raise InputError(
                f"head '{name}' is {_meaning(heads[0])} in {members[0].title}, but "
                f"{_meaning(head)} in {member.title}: such answers cannot be combined"
            )
    return heads[0]


def _meaning(head: Head) -> str:
    return f"{head.space} given {', '.join(head.given)}" if head.given else head.space


def common_heads(members: Sequence[Member]) -> tuple[str, ...]:
    """Names of the heads that all members have, in the first member's order."""
    rest = [{head.name for head in member.card.heads} for member in members]
    return tuple(h.name for h in members[0].card.heads if all(h.name in names for names in rest))


def predict_members(members: Sequence[Member], images: Images) -> dict[str, Probs]:
    """Every member's answers to crops (n, h, w) or (n, h, w, 3): {head: (m, n, k) float32}.

    Raises:
        InputError: the members share no head, or mean different things by one.
    """
    heads = common_heads(members)
    if not heads:
        raise InputError(f"no head is common to {', '.join(m.title for m in members)}")
    for head in heads:
        find_head(members, head)
    found = [predict_heads(member.model, images) for member in members]
    return {head: np.stack([scores[head].probs for scores in found]) for head in heads}
