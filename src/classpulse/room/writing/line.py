"""One line of writing, read at once: for trying out, and for programs that ask about one text."""

from typing import Any

from classpulse.room.writing.keep import describe_evidence
from classpulse.room.writing.reader import TextModel, find_head, score_texts
from classpulse.runtime.evidence import Evidence, explain

LISTED = 3  # labels of a row
ROWS = {  # in plain words; a head of another model stands under its own name
    "text-5": "one of five emotions",
    "text-7": "one of seven, neutral and surprise too",
    "goemotions": "any of 28 shades",
    "text-state": "learning states, from the 28",
}
CAUTION = (
    "Words are not feelings: this is the tone of a text, often wrong, and nothing about a person. "
    'It often misses "not" and "any more" (in two of five of our test cases: '
    "docs/text-behaviour.md)."
)


def read_line(text: str, model: TextModel) -> dict[str, Any]:
    """What the model says of a text, as plain values.

    Returns:
        ``abstained`` (why nothing is said, or None), ``probs`` (head -> label -> probability, all
        heads, empty if nothing is said), ``label`` with its ``head``, and ``evidence``: words with
        their weights, see `runtime.evidence.explain`.
    """
    scores, silent = score_texts([text], model)
    found: dict[str, Any] = {
        "abstained": silent[0], "head": None, "label": None, "probs": {}, "evidence": []
    }  # fmt: skip
    head = find_head(scores)
    if silent[0] is not None or head is None:
        return found
    label = scores[head].space.names[int(scores[head].top[0])]
    words = explain(model, text, head=head, label=label)
    return found | {
        "head": head,
        "label": label,
        "probs": {
            name: {
                one: round(float(p), 4) for one, p in zip(s.space.names, s.probs[0], strict=True)
            }
            for name, s in scores.items()
        },
        "evidence": [
            {"word": w.word, "start": w.start, "weight": round(w.weight, 3)} for w in words
        ],
    }


def describe_line(found: dict[str, Any]) -> str:
    """A few lines for a person."""
    if found["abstained"] is not None:
        return f"Nothing is said: {found['abstained']}."
    lines = ["How likely each label is, from 0 to 1:"]
    width = max(len(_row_name(head)) for head in found["probs"])
    for head, probs in found["probs"].items():
        ranked = sorted(probs.items(), key=lambda item: -item[1])
        told = ", ".join(f"{label} {p:.2f}" for label, p in ranked[:LISTED])
        lines.append(f"{_row_name(head):<{width}}  {told}")
    words = describe_evidence([Evidence(**one) for one in found["evidence"]])
    lines.append(f"Words that spoke most for {found['label']}: {words}")
    return "\n".join([*lines, CAUTION])


def _row_name(head: str) -> str:
    return f"{head} ({ROWS[head]})" if head in ROWS else head
