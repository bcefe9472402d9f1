"""From trained members to an ensemble's artefact: open, fit the rule, calibrate, write, judge."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from classpulse.core.card import ModelCard
from classpulse.core.errors import InputError
from classpulse.lab.commit import source_commit
from classpulse.lab.ensemble.combination import Combination, calibrate
from classpulse.lab.ensemble.export import About, export_ensemble
from classpulse.lab.ensemble.members import Member, common_heads, open_members, predict_members
from classpulse.lab.ensemble.recipe import EnsembleRecipe
from classpulse.lab.export import need_same_file, new_artefact, save_artefact
from classpulse.lab.judge import calibration_metrics, judge_parts
from classpulse.lab.train.sources import FaceParts, load_split
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels
from classpulse.runtime.model import OnnxModel


def combine(
    recipe: EnsembleRecipe,
    folders: Sequence[str],
    *,
    paths: Mapping[str, Path],
    votes: Path | None,
    out: Path,
    like: str | None = None,
) -> ModelCard:
    """Make the artefact folder `out` of an ensemble from the artefacts of its members.

    Rule and calibration are fitted on the validation part: the members were not trained on it,
    though it chose their epochs, which the card says.

    Args:
        folders: artefacts of the members, in any order; each card names its recipe.
        paths, votes: as `load_parts` takes them.
        like: an artefact that it must equal to the byte, by shipped name or folder.

    Raises:
        InputError: a member is missing or does not belong there, members that cannot be combined,
            or data that are missing or malformed.
        ModelError: an artefact cannot be used, the graph answers otherwise than its members, or it
            is not that of `like`.
    """
    members = _in_order(recipe, open_members(folders))
    heads = [head for head in common_heads(members) if head in HEAD_SPACES]
    if not heads:
        raise InputError(f"the members of {recipe.name} share no head of {', '.join(HEAD_SPACES)}")
    parts = load_split(recipe.data, paths, votes, seed=recipe.seed, head=heads[0], name=recipe.name)
    probs = predict_members(members, parts.valid.images)
    combinations: dict[str, Combination] = {}
    calibrated = []
    for head in heads:
        truth = hard_labels(parts.valid, head)
        known = truth >= 0
        found = recipe.rule.settings(probs[head], truth, seed=recipe.seed)
        combinations[head], fitted = calibrate(found, probs[head], truth)
        answers = found.apply(probs[head][:, known])
        calibrated += calibration_metrics(
            head, answers, truth[known], parts.valid.name, fitted=fitted
        )
    with new_artefact(out) as aside:
        card = export_ensemble(members, combinations, aside, about=_about(recipe, parts))
        if like is not None:
            need_same_file(card.sha256, like, source=recipe.name)
        metrics = (*judge_parts(OnnxModel(str(aside)), parts), *calibrated)
        card = dataclasses.replace(card, metrics=metrics)
        save_artefact(aside, card)
    return card


def _about(recipe: EnsembleRecipe, parts: FaceParts) -> About:
    on = f"{parts.valid.name}, which also chose the members' epochs"
    return About(recipe.name, recipe.summary, recipe.name, source_commit(), on)


def _in_order(recipe: EnsembleRecipe, members: Sequence[Member]) -> tuple[Member, ...]:
    """Members in the order of the recipe."""
    there = {member.card.recipe: member for member in members}
    missing = [name for name in recipe.members if name not in there]
    strange = [name for name in there if name not in recipe.members]
    if missing or strange or len(there) < len(members):
        raise InputError(
            f"ensemble {recipe.name} is of {', '.join(recipe.members)}; given are "
            f"{', '.join(member.card.recipe for member in members)}: give one artefact of each, "
            "classpulse publish makes them"
        )
    return tuple(there[name] for name in recipe.members)
