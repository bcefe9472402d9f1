"""Numbers that were reached with a recipe, and who says so."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from classpulse.core.card import Card
from classpulse.core.errors import InputError
from classpulse.lab.train.kinds import check_ranges

PARTIES = ("source", "ours")


@dataclass(frozen=True, slots=True)
class Claim:
    """A number that somebody has reached with a recipe.

    Args:
        by: "source" or "ours".
        metric, data: what was measured, and on what.
        value: in [0, 1].
        low, high: ends of the 95 % interval; 0 and 0 if none is known.
        n: rows; 0 if unknown.
        seeds: of the runs; one run unless there are more.
        hardware, minutes, commit: what it ran on, how long it trained, revision of the source tree.
        note: what else one has to know.

    Raises:
        InputError: another `by`, or a number out of range.
    """

    by: str
    metric: str
    data: str
    value: float
    low: float = 0.0
    high: float = 0.0
    n: int = 0
    seeds: tuple[int, ...] = ()
    hardware: str = ""
    minutes: float = 0.0
    commit: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.by not in PARTIES:
            raise InputError(f"a claim is by 'source' or 'ours', not '{self.by}'")
        check_ranges(value=(self.value, 0, 1), low=(self.low, 0, 1), high=(self.high, 0, 1))
        check_ranges(n=(self.n, 0, float("inf")), minutes=(self.minutes, 0, float("inf")))


def pick_claim(claims: Iterable[Claim], by: str, *, metric: str = "accuracy") -> Claim | None:
    """The first claim of one party for a metric; None without one."""
    return next((c for c in claims if c.by == by and c.metric == metric), None)


def claim_of(
    card: Card, seconds: float, *, seeds: tuple[int, ...], hardware: str
) -> tuple[Claim, ...]:
    """Our claims of a measured artefact: accuracy and macro F1 of its first head on every part.

    Args:
        seconds: of training, of all members of an ensemble together.
        seeds: of their trainings.
    """
    first = card.heads[0].name
    judged = [m for m in card.metrics if m.head == first and m.name in ("accuracy", "macro_f1")]
    minutes = float(round(seconds / 60))
    return tuple(
        Claim(
            "ours", m.name, m.data, m.value, m.low, m.high, m.n,
            seeds=seeds, hardware=hardware, minutes=minutes, commit=card.commit,
        )
        for m in judged
    )  # fmt: skip


def claims_toml(claims: Iterable[Claim]) -> str:
    """The tables to put at the end of a recipe."""
    blocks = []
    for claim in claims:
        rows = ["[[claims]]", f'by = "{claim.by}"', f'metric = "{claim.metric}"']
        rows += [f"data = {json.dumps(claim.data)}", f"value = {claim.value}"]
        rows += [f"low = {claim.low}", f"high = {claim.high}", f"n = {claim.n}"]
        rows += [f"seeds = {list(claim.seeds)}", f"hardware = {json.dumps(claim.hardware)}"]
        rows += [f"minutes = {claim.minutes:.0f}", f'commit = "{claim.commit}"']
        rows += [f"note = {json.dumps(claim.note)}"] if claim.note else []
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks) + "\n"
