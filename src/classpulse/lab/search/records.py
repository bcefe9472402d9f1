"""What a search and a study of settings leave behind: plain rows for files and plots."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classpulse.core.records import Interval
from classpulse.lab.claims import pick_claim
from classpulse.lab.recipe import Recipe

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial that has ended.

    Args:
        number: from 0, in order of their beginning.
        params: name -> value, as the search space names them.
        value: "complete": mean over executions of the best validation accuracy of the first head;
            "pruned": the accuracy after its last epoch; None if it failed.
        epochs: trained, over all executions.
        state: "complete", "pruned" or "failed".
        seconds: of training and validation, without the pauses between interruptions.
        why: why it failed, else empty.
    """

    number: int
    params: dict[str, Any]
    value: float | None
    epochs: int
    state: str
    seconds: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One run of a study of settings: its settings, and a share in [0, 1] with its 95 % interval.

    `value.low` and `value.high` are those of `value.value` where no interval is known.
    """

    settings: dict[str, float]
    value: Interval


def best_trial(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The complete trial with the highest value, the first of equals; None without any."""
    complete = [r for r in records if r.state == COMPLETE and r.value is not None]
    return max(complete, key=lambda r: (r.value or 0.0, -r.number), default=None)


def trials_csv(records: Sequence[TrialRecord]) -> str:
    """A line for each trial; a parameter that a trial was not asked for is empty."""
    names = list(dict.fromkeys(name for record in records for name in record.params))
    columns = ["number", "state", "value", "epochs", "seconds", *names, "why"]
    rows = (
        {
            "number": record.number,
            "state": record.state,
            "value": record.value,
            "epochs": record.epochs,
            "seconds": round(record.seconds, 1),
            **{name: _plain(value) for name, value in record.params.items()},
            "why": record.why,
        }
        for record in records
    )
    return table_csv(columns, rows)


def _plain(value: Any) -> Any:
    """A number without the tail of its binary fraction."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def table_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header; what a row does not have is empty."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def rows_from_claims(
    recipes: Iterable[Recipe], keys: Sequence[str], *, by: str, metric: str = "accuracy"
) -> list[StudyRow]:
    """The first claim of each recipe by "source" or "ours", against settings of its network.

    Args:
        keys: fields of the network's settings, for example kernel, blocks, channels; recipes
            whose network has not all of them are left out, and so are those without such a claim.
    """
    rows = []
    for recipe in recipes:
        settings = recipe.network.settings
        one = pick_claim(recipe.claims, by, metric=metric)
        if one is not None and all(hasattr(settings, key) for key in keys):
            ends = (one.low, one.high) if one.high else (one.value, one.value)
            rows.append(
                StudyRow({key: getattr(settings, key) for key in keys}, Interval(one.value, *ends))
            )
    return rows
