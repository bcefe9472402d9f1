"""Write docs/model.md, or docs/model-NAME.md of a model that is not the default one.

Everything in it comes from the shipped card, a fresh evaluation and the curves of the run.

python benchmarks/model_page.py face-base FER2013.csv.gz --votes FER2013NEW.csv --run runs/face-base
"""

import argparse
import json
from pathlib import Path
from typing import Any

from pages import table

from classpulse.core.card import Head, Metric, ModelCard, load_card
from classpulse.core.defaults import MODEL
from classpulse.lab.data.fer2013 import load_fer2013
from classpulse.lab.evaluate.command import describe_evaluation, run_evaluation
from classpulse.lab.evaluate.gate import BOX_SHARE, GAINS, KEEP, SAMPLE, SELECTIVE, find_bad_turns
from classpulse.lab.terminal import step_bar
from classpulse.runtime.model import find_model

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder with curves.json")
    options = parser.parse_args()
    card = load_card(find_model(options.model) / "card.json")
    faces = load_fer2013(options.data, part="PublicTest", votes_path=options.votes)
    with step_bar(quiet=False) as on_step:
        numbers = run_evaluation([options.model], faces, on_step=on_step)
    curves = json.loads((options.run / "curves.json").read_text())
    out = DOCS / ("model.md" if options.model == MODEL else f"model-{options.model}.md")
    out.write_text(page(card, describe_evaluation(numbers), curves), encoding="utf-8")
    print(out)


def page(card: ModelCard, evaluation: str, curves: dict[str, Any]) -> str:
    """The whole page; everything in it comes from the card, the evaluation and the curves."""
    return "\n".join(
        [
            *_head(card),
            "## Metrics in the card",
            "",
            "| head | metric | value | 95 % interval | n | data |",
            "|---|---|---|---|---|---|",
            *(_metric_row(m) for m in card.metrics),
            "",
            "PublicTest chose the epoch, the temperatures and the gate, so these numbers flatter a "
            "little; PrivateTest is not used here.",
            "",
            "## Confusion and calibration",
            "",
            "```console",
            f"$ classpulse evaluate {card.name} fer2013.csv.gz --votes fer2013new.csv",
            evaluation,
            "```",
            "",
            *_sure(card),
            *_gate(card, curves),
            "## Limits",
            "",
            *(f"* {limit}" for limit in card.limits),
            "",
            "## Training",
            "",
            _table(
                curves["log"],
                ("number", "side", "loss", "seconds"),
                {"emotion": "accuracy", "votes": "accuracy", "state": "accuracy"},
            ),
            "",
        ]
    )


def _head(card: ModelCard) -> list[str]:
    heads = ", ".join(f"{h.name} ({h.space}, {_calibration(h)})" for h in card.heads)
    return [
        f"# Model `{card.name}`",
        "",
        "Written by `python benchmarks/model_page.py`; do not edit.",
        "",
        f"{card.summary} {card.parameters:,} parameters; heads: {heads}.",
        f"SHA-256 `{card.sha256}`, made {card.created} by recipe `{card.recipe}`.",
        f"Trained on: {card.trained_on}. Licence: {card.licence}.",
        "",
    ]


def _calibration(head: Head) -> str:
    by_label = " with a scale and a bias for each label" if head.scale else ""
    return f"temperature {head.temperature}{by_label}"


def _metric_row(m: Any) -> str:
    interval = f"{m.low:.4f} to {m.high:.4f}"
    return f"| {m.head} | {m.name} | {m.value:.4f} | {interval} | {m.n} | {m.data} |"


def _gate(card: ModelCard, curves: dict[str, Any]) -> list[str]:
    gate = card.gate
    names = [n for n in ("size", "blur", "light", "turn", "confidence") if curves.get(n)]
    return [
        "## Quality gate",
        "",
        f"A reading abstains when the face box is below {gate.min_face_px} px, its sharpness "
        f"is below {gate.min_sharpness}, {_light(card)}its turn above {gate.max_turn}, or the "
        f"calibrated confidence below {gate.min_confidence}.",
        "",
        table("limit | value | where it is from", _limits(card, curves)),
        "",
        _turn(card, curves["turn"]),
        "",
        *(
            part
            for name in names
            for part in (f"**{name}**", "", _table(curves[name], tuple(curves[name][0]), {}), "")
        ),
    ]


def _limits(card: ModelCard, curves: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Every limit of the gate, and whether it was fitted."""
    gate, floor = card.gate, KEEP * _accuracy(card)
    falls = f"where accuracy on the first {SAMPLE:,} pictures of PublicTest falls below {KEEP:.0%}"
    light = (
        f"where accuracy on the first {SAMPLE:,} pictures of PublicTest with {len(GAINS)} exposures"
        f", in bins of what the gate measures, is below {KEEP:.0%} of its full value beyond chance"
    )
    sure = f"where the answers that are left are right {SELECTIVE:.0%} of the time on PublicTest"
    box = f"{falls} of its full value, pixels of the crop; the box is {BOX_SHARE:g} of its side"
    turn = "fitted, see below" if _bad_turns(card, curves["turn"]) else "constant, not fitted"
    limits = [
        (
            "face box, shorter side, px",
            f"at least {gate.min_face_px}",
            _source(curves["size"], floor, box),
        ),
        (
            "sharpness",
            f"at least {gate.min_sharpness}",
            _source(curves["blur"], floor, f"{falls} of its full value, sigma of the blur, pixels"),
        ),
        ("turn", f"at most {gate.max_turn}", turn),
        (
            "confidence",
            f"at least {gate.min_confidence}",
            _source(curves["confidence"], SELECTIVE, sure),
        ),
    ]
    if _light(card):
        reach = f"{gate.min_light} to {gate.max_light}"
        row = ("light, 0 black, 1 blown out", reach, _source(curves["light"], floor, light))
        limits.insert(2, row)
    return limits


def _source(rows: list[dict[str, float]], floor: float, how: str) -> str:
    """A limit is fitted where the curve reaches the floor at all."""
    if any(row["accuracy"] >= floor for row in rows):
        return f"fitted: {how}"
    return f"constant, not fitted: no step tried reaches {floor:.2f}"


def _light(card: ModelCard) -> str:
    gate = card.gate
    if (gate.min_light, gate.max_light) == (0.0, 1.0):
        return ""  # of a gate from before there were limits of light
    return f"its light below {gate.min_light} or above {gate.max_light}, "


def _bad_turns(card: ModelCard, rows: list[dict[str, float]]) -> list[float]:
    return find_bad_turns(rows, accuracy=_accuracy(card))


def _accuracy(card: ModelCard) -> float:
    """Of the first head, as the card has it."""
    first = card.heads[0].name, "accuracy"
    return next(m.value for m in card.metrics if (m.head, m.name) == first)


def _turn(card: ModelCard, rows: list[dict[str, float]]) -> str:
    """Whether the limit of turn was measured: it is a constant where no turn was read worse."""
    if _bad_turns(card, rows):
        return (
            f"The limit of turn, {card.gate.max_turn}, is where accuracy is below 90 % of its full "
            "value beyond chance."
        )
    return (
        f"**The limit of turn, {card.gate.max_turn}, is a constant and not fitted**: in no bin is "
        "accuracy below 90 % of its full value beyond chance. From there on the nose hides an eye, "
        "and the face cannot be framed."
    )


def _sure(card: ModelCard) -> list[str]:
    """What is left, and how much of it is right, where only sure answers count."""
    rows = []
    for head in card.heads:
        found = {m.name: m for m in card.metrics if m.head == head.name}
        if not {"selective accuracy", "coverage"} <= found.keys():
            rows.append((head.name, *["not in the card"] * 2, "", ""))
            continue
        right, left = found["selective accuracy"], found["coverage"]
        rows.append(
            (head.name, _reach(right), _reach(left), f"{right.n:,} of {left.n:,}", right.data)
        )
    return [
        "## Sure answers only",
        "",
        "The user may set the confidence of the first head from which on a reading makes a "
        "statement (`--min-confidence`). The card has the one that was fitted to nine right "
        "answers in ten; accuracy and coverage are of pictures that it was not fitted on:",
        "",
        table("head | accuracy | coverage | answered | data", rows),
        "",
    ]


def _reach(m: Metric) -> str:
    return f"{m.value:.4f} [{m.low:.4f}, {m.high:.4f}]"


def _table(rows: list[dict[str, Any]], keys: tuple[str, ...], nested: dict[str, str]) -> str:
    head = [*keys, *nested]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [row[key] for key in keys] + [row[group][key] for key, group in nested.items()]
        lines.append(f"| {' | '.join(_cell(value) for value in cells)} |")
    return "\n".join(lines)


def _cell(value: float) -> str:
    return f"{value:g}" if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    main()
