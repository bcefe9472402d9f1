"""Faces and writing of one class pooled, window by window, where either may be shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from classpulse.core.card import Card, Metric
from classpulse.core.labels import TEXT_7
from classpulse.engage.fusion import CONTESTED, pool_means, reliability_of
from classpulse.engage.fusion_weights import FusionWeights
from classpulse.room.table import FACE, TEXT

Row = Mapping[str, Any]
OF_CARDS = "accuracy above chance, the lowest that each model's card states"


def pool_channels(
    faces: Row, writing: Row, *, face: Card, text: Card, weights: FusionWeights | None = None
) -> dict[str, Any] | None:
    """Both channels as one, with their disagreement; None where a card states no accuracy and no
    weights are given, or has no head for the seven emotions that can be both seen and written.

    Means of groups are pooled, not people: nobody knows which face wrote what. Every window of
    either channel is there, and `channels` says which of them is shown in it: with one, the pool
    is of that one alone and there is no disagreement; with none, there is no answer.

    Args:
        faces, writing: parts of the summary with `spaces`, `overall` and `windows`; windows belong
            together by their start.
        weights: fitted ones; None takes those of `weights_of_cards`.
    """
    seen, read = _find_seven(faces["spaces"]), _find_seven(writing["spaces"])
    if seen is None or read is None:
        return None
    heads = {FACE: seen, TEXT: read}
    known = weights or weights_of_cards({FACE: (face, seen), TEXT: (text, read)})
    if known is None:
        return None
    by_start = {row["t0"]: {FACE: row} for row in faces["windows"]}
    for row in writing["windows"]:
        by_start.setdefault(row["t0"], {})[TEXT] = row
    overall = {FACE: faces["overall"], TEXT: writing["overall"]}
    return {
        "space": TEXT_7.name,
        "heads": heads,
        "reliability": dict(known.reliability),
        "prior": dict(known.prior),
        "weights": known.origin,
        "contested": CONTESTED,
        "overall": _pooled(overall, heads, known),
        "windows": [_pooled(rows, heads, known) for _, rows in sorted(by_start.items())],
    }


def weights_of_cards(channels: Mapping[str, tuple[Card, str]]) -> FusionWeights | None:
    """Accuracies above chance (`reliability_of`); None if a card states none for its head.

    Args:
        channels: name -> card and head.
    """
    accuracies = {name: _lowest_accuracy(*one) for name, one in channels.items()}
    known = {
        name: round(reliability_of(accuracy, TEXT_7), 4)
        for name, accuracy in accuracies.items()
        if accuracy is not None
    }
    if len(known) < len(channels):
        return None
    return FusionWeights(TEXT_7.name, known, {}, OF_CARDS)


def _find_seven(spaces: Mapping[str, Sequence[str]]) -> str | None:
    """The first head with the labels of `TEXT_7`, in any order."""
    return next((h for h, labels in spaces.items() if set(labels) == set(TEXT_7.names)), None)


def _pooled(
    rows: Mapping[str, Row], heads: Mapping[str, str], weights: FusionWeights
) -> dict[str, Any]:
    any_row = next(iter(rows.values()))
    shown = {name: row[heads[name]] for name, row in rows.items() if row[heads[name]] is not None}
    found = {
        "t0": any_row["t0"],
        "t1": any_row["t1"],
        "channels": [*shown],
        "disagreement": None,
        TEXT_7.name: None,
    }
    if not shown:
        return found
    means = [
        {label: (one["value"], one["low"], one["high"]) for label, one in shares.items()}
        for shares in shown.values()
    ]
    trust = [weights.reliability[name] for name in shown]
    pooled, gap = pool_means(means, space=TEXT_7, reliability=trust, prior=weights.prior_in(TEXT_7))
    if len(shown) > 1:
        found["disagreement"] = round(gap, 4)
    if gap <= CONTESTED:  # two that contradict each other have no common answer
        found[TEXT_7.name] = {
            label: dict(zip(("value", "low", "high"), (round(x, 4) for x in one), strict=True))
            for label, one in pooled.items()
        }
    return found


def _lowest_accuracy(card: Card, head: str) -> float | None:
    """The lowest accuracy of a whole set that the card states for the head, None if it has none.

    The accuracy on a set in which something gives the label away, a corpus or a repeated picture,
    says less about a lesson than that on the set without. Of a whole set the card states macro F1
    too; of its parts, one corpus each, the accuracy only.
    """
    stated = [m for m in card.metrics if m.head == head]
    whole = {m.data for m in stated if m.name == "macro_f1"}
    found: list[Metric] = [m for m in stated if m.name == "accuracy"]
    judged = [m for m in found if m.data in whole] or found
    return min((m.value for m in judged), default=None)
