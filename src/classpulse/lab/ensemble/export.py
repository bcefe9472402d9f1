"""An ensemble as an artefact like any other: one ONNX graph and its card.

members = open_members(["runs/cnn-1", "runs/cnn-2"])
probs = predict_members(members, valid.images)["emotion"]
found, _ = calibrate(Greedy()(probs, truth, seed=42), probs, truth)
card = export_ensemble(members, {"emotion": found}, out, about=About(...))
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx

from classpulse.core.card import Head, Metric, ModelCard, QualityGate
from classpulse.core.errors import InputError, ModelError, ShapeError
from classpulse.core.files import new_file
from classpulse.lab.ensemble.combination import Combination
from classpulse.lab.ensemble.members import Member, find_head
from classpulse.lab.ensemble.merge import merge_graphs
from classpulse.lab.export import OPEN_GATE, new_artefact, output_name, save_artefact
from classpulse.runtime.model import OnnxModel

PARITY = 1e-5  # largest difference of a probability between the graph and numpy
PARITY_ROWS = 8


@dataclass(frozen=True, slots=True)
class About:
    """What only the caller knows of an ensemble, for its card.

    Args:
        name: of the artefact.
        summary: one sentence.
        recipe: that made it.
        commit: source revision.
        fitted_on: data on which the combination and its calibration were fitted.
    """

    name: str
    summary: str
    recipe: str
    commit: str
    fitted_on: str


def export_ensemble(
    members: Sequence[Member],
    combinations: Mapping[str, Combination],
    out: Path,
    *,
    about: About,
    metrics: Sequence[Metric] = (),
    gate: QualityGate = OPEN_GATE,
) -> ModelCard:
    """Write `out`/model.onnx and card.json; `out` stays as it was when anything fails.

    Members that no combination uses are left out of the graph and of the card. Metrics and gate
    are usually measured on the artefact itself: write it, measure, then `dataclasses.replace` the
    card and `save_artefact`.

    Args:
        combinations: head -> `Combination` of these members in this order; the first head is the
            primary one.

    Raises:
        InputError: members that cannot be combined for a head, see `find_head` and `merge_graphs`.
        ShapeError: a combination of another number of members or labels.
        ModelError: the graph answers differently from numpy by `PARITY` or more.
        OutputError: nothing may be written to `out`.
    """
    kept, rules = _prune(members, combinations)
    heads = tuple(
        dataclasses.replace(
            find_head(kept, name),
            output=output_name(name),
            temperature=rule.calibration.temperature,
            scale=rule.calibration.scale,
            bias=rule.calibration.bias,
            by_entropy=rule.calibration.by_entropy,
        )
        for name, rule in rules.items()
    )
    _check_labels(heads, rules)
    outputs = {h.name: [m.card.head(h.name).output for m in kept] for h in heads}
    graphs = [onnx.load(str(member.folder / "model.onnx")) for member in kept]
    content = merge_graphs(graphs, rules, outputs, kept[0].card.input).SerializeToString()
    card = _card(kept, rules, heads, about, hashlib.sha256(content).hexdigest())
    card = dataclasses.replace(card, metrics=tuple(metrics), gate=gate)
    with new_artefact(out) as aside:
        with new_file(aside / "model.onnx") as file:
            file.write_bytes(content)
        save_artefact(aside, card)
        _need_parity(OnnxModel(str(aside)), kept, rules)
    return card


def _prune(
    members: Sequence[Member], combinations: Mapping[str, Combination]
) -> tuple[list[Member], dict[str, Combination]]:
    """Members that count for some head, and the combinations of those."""
    if not combinations:
        raise InputError("an ensemble needs a combination for at least one head")
    for name, rule in combinations.items():
        if rule.members != len(members):
            raise ShapeError(
                f"head '{name}': a combination of {rule.members} members for {len(members)}"
            )
    used = np.any([rule.used for rule in combinations.values()], axis=0)
    kept = [member for member, counts in zip(members, used, strict=True) if counts]
    return kept, {name: rule.take(used) for name, rule in combinations.items()}


def _check_labels(heads: Sequence[Head], rules: Mapping[str, Combination]) -> None:
    for head in heads:
        k = len(head.label_space)
        if rules[head.name].labels != k:
            raise ShapeError(
                f"head '{head.name}': a combination of {rules[head.name].labels} labels for "
                f"{head.space}, which has {k}"
            )


def _need_parity(
    merged: OnnxModel, members: Sequence[Member], rules: Mapping[str, Combination]
) -> None:
    """The graph and `Combination.apply` agree on random input."""
    spec = merged.card.input
    shape = (PARITY_ROWS, spec.channels, spec.height, spec.width)
    batch = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    answers = [member.model.predict(batch) for member in members]
    found = merged.predict(batch)
    for name, rule in rules.items():
        expected = rule.apply(np.stack([answer[name].probs for answer in answers]))
        gap = float(np.abs(found[name].probs - expected).max())
        if not gap < PARITY:
            raise ModelError(
                f"the merged graph of '{merged.card.name}' differs from its members by {gap:.1e} "
                f"in head '{name}', allowed is {PARITY:.0e}: nothing was written"
            )


def _card(
    members: Sequence[Member],
    rules: Mapping[str, Combination],
    heads: tuple[Head, ...],
    about: About,
    sha256: str,
) -> ModelCard:
    cards = [member.card for member in members]
    names = ", ".join(member.title for member in members)
    how = "; ".join(f"{head}: {_describe(rule)}" for head, rule in rules.items())
    data = "; ".join(dict.fromkeys(card.trained_on for card in cards))
    limits = dict.fromkeys(limit for card in cards for limit in card.limits)
    cost = f"Runs {len(cards)} networks on each face: about the sum of their times and memory."
    return ModelCard(
        name=about.name,
        summary=about.summary,
        input=cards[0].input,
        heads=heads,
        gate=OPEN_GATE,
        metrics=(),
        trained_on=f"Ensemble of {names}; {how}; fitted on {about.fitted_on}. Members: {data}",
        licence="; ".join(dict.fromkeys(card.licence for card in cards)),
        limits=(*limits, cost),
        recipe=about.recipe,
        commit=about.commit,
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        sha256=sha256,
        parameters=sum(c.parameters for c in cards) + sum(r.parameters for r in rules.values()),
    )


def _describe(rule: Combination) -> str:
    """Rule, weights and size for the card."""
    weights = "" if rule.weights is None else ", ".join(f"{w:.4f}" for w in rule.weights)
    said = f"{rule.rule} with weights {weights}" if weights else rule.rule
    return f"{said}, {rule.parameters} parameters" if rule.parameters else said
