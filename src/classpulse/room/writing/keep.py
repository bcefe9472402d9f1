"""The texts themselves, for who asked to keep them, with the words that spoke for the label."""

from collections.abc import Sequence

from classpulse.core.records import Reading, Utterance
from classpulse.room.writing.reader import find_head
from classpulse.runtime.evidence import Evidence, Predicts, explain

TEXT_COLUMNS = ("line", "t", "subject", "label", "evidence", "text")
SHOWN = 3  # words


def text_row(reading: Reading, utterance: Utterance, model: Predicts) -> dict[str, float | str]:
    """A row of `texts.csv`: where it stands, whose it is, its label, why, and the text.

    Args:
        utterance: what was read; model: by what.
    """
    head = find_head(reading.scores)
    label = reading.label(head) if head else None
    words = explain(model, utterance.text, head=head, label=label) if head and label else []
    return {
        "line": reading.quality["line"],
        "t": reading.t,
        "subject": reading.subject,
        "label": label or "",
        "evidence": describe_evidence(words),
        "text": utterance.text,
    }


def describe_evidence(words: Sequence[Evidence]) -> str:
    """The `SHOWN` most telling words with their weights: ``lost +2.31 so +0.40``."""
    return " ".join(f"{one.word} {one.weight:+.2f}" for one in words[:SHOWN])
