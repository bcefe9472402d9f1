"""What the report says of a network: how often it is right, in words and numbers; its limits."""

from collections.abc import Mapping
from typing import Any

from classpulse.page import Table
from classpulse.room.report import words


def describe_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of the page about one network, from what the summary has of its card."""
    of = "texts" if "min_words" in model["gate"] else "faces"
    tests = "texts" if of == "texts" else "pictures"
    return {
        "of": of,
        "tested_on": tests,
        "hits": _hits(model, of, tests),
        "metrics": _metrics(model, tests),
        "limits": model["limits"],
    }


def _hits(model: Mapping[str, Any], of: str, tests: str) -> list[str]:
    """Accuracy in words: a share of 100 says more than two decimals."""
    found = [
        (one["data"], one["head"], round(100 * one["value"]))
        for one in model["metrics"]
        if one["name"] == "accuracy"
    ]
    if not found:
        return []
    right = found[0][2]
    return [
        f"Of 100 test {tests} the model names about {right} as people named them and about "
        f"{100 - right} otherwise; in your class it may be wrong more often.",
        *(
            f"On {data} the {head} output was right for about {share} of 100 {of}."
            for data, head, share in found
        ),
    ]


def _metrics(model: Mapping[str, Any], tests: str) -> Table:
    rows = tuple(
        (
            f"{words.label(one['name'])} ({one['head']})",
            words.score(one["value"]),
            words.score_interval(one),
            words.count(one["n"]),
            one["data"],
        )
        for one in model["metrics"]
    )
    columns = ("Measure (output)", "Value", words.INTERVAL, f"Test {tests}", "Test data")
    return Table(f"Measures on test {tests}", columns, rows)
