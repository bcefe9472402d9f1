"""Faces and writing of one class pooled, window by window, where both may be shown."""

from collections.abc import Mapping
from typing import Any

from classpulse.core.card import Card
from classpulse.core.labels import TEXT_7
from classpulse.engage.fusion import CONTESTED, pool_means, reliability_of

FACE_HEAD, TEXT_HEAD = "emotion", "text-7"  # the same seven emotions, seen and written
Row = Mapping[str, Any]


def pool_channels(faces: Row, writing: Row, *, face: Card, text: Card) -> dict[str, Any] | None:
    """Both channels as one, with their disagreement; None where a card states no accuracy.

    Reliabilities are the accuracies of the cards above chance (`reliability_of`). Means of groups
    are pooled, not people: nobody knows which face wrote what.

    Args:
        faces, writing: parts of the summary with `overall` and `windows` of the same length.
    """
    trust = (_reliability(face, FACE_HEAD), _reliability(text, TEXT_HEAD))
    if trust[0] is None or trust[1] is None:
        return None
    known = (trust[0], trust[1])
    by_start = {row["t0"]: row for row in writing["windows"]}
    return {
        "space": TEXT_7.name,
        "reliability": {"face": known[0], "text": known[1]},
        "contested": CONTESTED,
        "overall": _pooled(faces["overall"], writing["overall"], known),
        "windows": [_pooled(row, by_start.get(row["t0"]), known) for row in faces["windows"]],
    }


def _pooled(face: Row, text: Row | None, trust: tuple[float, float]) -> dict[str, Any]:
    seen, read = face[FACE_HEAD], None if text is None else text[TEXT_HEAD]
    both = {"t0": face["t0"], "t1": face["t1"], "disagreement": None, TEXT_HEAD: None}
    if seen is None or read is None:
        return both
    means = [
        {label: (one["value"], one["low"], one["high"]) for label, one in shares.items()}
        for shares in (seen, read)
    ]
    pooled, gap = pool_means(means, space=TEXT_7, reliability=trust)
    both["disagreement"] = round(gap, 4)
    if gap <= CONTESTED:  # two that contradict each other have no common answer
        both[TEXT_HEAD] = {
            label: dict(zip(("value", "low", "high"), (round(x, 4) for x in one), strict=True))
            for label, one in pooled.items()
        }
    return both


def _reliability(card: Card, head: str) -> float | None:
    """From the first accuracy that the card states for the head, None if it states none."""
    found = (m.value for m in card.metrics if m.head == head and m.name == "accuracy")
    accuracy = next(found, None)
    return None if accuracy is None else round(reliability_of(accuracy, TEXT_7), 4)
