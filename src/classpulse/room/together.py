"""Faces and writing of one class pooled, window by window, where both may be shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from classpulse.core.card import Card
from classpulse.core.labels import TEXT_7
from classpulse.engage.fusion import CONTESTED, pool_means, reliability_of

Row = Mapping[str, Any]


def pool_channels(faces: Row, writing: Row, *, face: Card, text: Card) -> dict[str, Any] | None:
    """Both channels as one, with their disagreement; None where a card states no accuracy, or has
    no head for the seven emotions that can be both seen and written.

    Reliabilities are the accuracies of the cards above chance (`reliability_of`). Means of groups
    are pooled, not people: nobody knows which face wrote what.

    Args:
        faces, writing: parts of the summary with `spaces`, `overall` and `windows`; windows belong
            together by their start.
    """
    seen, read = _find_seven(faces["spaces"]), _find_seven(writing["spaces"])
    if seen is None or read is None:
        return None
    trust = (_reliability(face, seen), _reliability(text, read))
    if trust[0] is None or trust[1] is None:
        return None
    known = (trust[0], trust[1])
    by_start = {row["t0"]: row for row in writing["windows"]}

    def pooled(one: Row, other: Row | None) -> dict[str, Any]:
        both = (one[seen], None if other is None else other[read])
        return {"t0": one["t0"], "t1": one["t1"], **_pooled(both, known)}

    return {
        "space": TEXT_7.name,
        "heads": {"face": seen, "text": read},
        "reliability": {"face": known[0], "text": known[1]},
        "contested": CONTESTED,
        "overall": pooled(faces["overall"], writing["overall"]),
        "windows": [pooled(row, by_start.get(row["t0"])) for row in faces["windows"]],
    }


def _find_seven(spaces: Mapping[str, Sequence[str]]) -> str | None:
    """The first head with the labels of `TEXT_7`, in any order."""
    return next((h for h, labels in spaces.items() if set(labels) == set(TEXT_7.names)), None)


def _pooled(given: tuple[Row | None, Row | None], trust: tuple[float, float]) -> dict[str, Any]:
    both: dict[str, Any] = {"disagreement": None, TEXT_7.name: None}
    if given[0] is None or given[1] is None:
        return both
    means = [
        {label: (one["value"], one["low"], one["high"]) for label, one in shares.items()}
        for shares in (given[0], given[1])
    ]
    pooled, gap = pool_means(means, space=TEXT_7, reliability=trust)
    both["disagreement"] = round(gap, 4)
    if gap <= CONTESTED:  # two that contradict each other have no common answer
        both[TEXT_7.name] = {
            label: dict(zip(("value", "low", "high"), (round(x, 4) for x in one), strict=True))
            for label, one in pooled.items()
        }
    return both


def _reliability(card: Card, head: str) -> float | None:
    """From the first accuracy that the card states for the head, None if it states none."""
    found = (m.value for m in card.metrics if m.head == head and m.name == "accuracy")
    accuracy = next(found, None)
    return None if accuracy is None else round(reliability_of(accuracy, TEXT_7), 4)
