"""Which outputs of a face model are told to people, and in which order."""

from collections.abc import Iterable

FIRST = ("state", "emotion")
VOTES = "votes"  # the emotions once more, in the words of FER+


def told_heads(names: Iterable[str]) -> tuple[str, ...]:
    """Of the heads that a model has, those to tell of: known ones first, then in their order."""
    given = tuple(names)
    rest = [name for name in given if name not in FIRST]
    if "emotion" in given:
        rest = [name for name in rest if name != VOTES]
    return (*(name for name in FIRST if name in given), *rest)
