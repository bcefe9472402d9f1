"""From utterances to readings: one batch through the network, the gate, learning states."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from classpulse.core.records import Reading, Scores
from classpulse.core.text_card import TextCard, TextHead
from classpulse.room.writing.posts import Posts
from classpulse.text.gate import known_share, split_words
from classpulse.text.states import score_states

CHANNEL = "text"
EMOTIONS = ("text-7", "text-5")
STATES = "text-state"
GOEMOTIONS = "goemotions-28"
BATCH = 64  # texts that are read ahead of the clock


class TextModel(Protocol):
    """What a reader of texts asks: `runtime.text.OnnxTextModel` is one."""

    card: TextCard
    words: frozenset[str]

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]: ...

    def abstentions(
        self, texts: Sequence[str], scores: Mapping[str, Scores]
    ) -> tuple[str | None, ...]: ...


def text_heads(card: TextCard) -> tuple[TextHead, ...]:
    """The heads of a reading: those of the model, and the states that follow from GoEmotions."""
    multi = [head for head in card.heads if head.space == GOEMOTIONS]
    states = [TextHead(STATES, "", "text-state-3", 1.0, (), (0.5,) * 3)] if multi else []
    return (*card.heads, *states)


def find_head(names: Collection[str]) -> str | None:
    """The head whose label is told: seven emotions rather than five, which leave neutral and
    surprise out; None where there is neither."""
    return next((name for name in EMOTIONS if name in names), None)


def score_texts(
    texts: Sequence[str], model: TextModel
) -> tuple[dict[str, Scores], tuple[str | None, ...]]:
    """Scores of all `text_heads`, and why nothing is said of a text, None where it is."""
    scores = dict(model.predict(texts))
    silent = model.abstentions(texts, scores)
    multi = next((h.name for h in model.card.heads if h.space == GOEMOTIONS), None)
    if multi is not None:
        scores[STATES] = score_states(scores[multi])
    return scores, silent


def read_posts(posts: Posts, model: TextModel) -> Iterator[Reading]:
    """One reading for each utterance, in order of time; a text itself goes no further."""
    for first in range(0, len(posts.utterances), BATCH):
        part = posts.utterances[first : first + BATCH]
        scores, silent = score_texts([one.text for one in part], model)
        sure = scores[model.card.heads[0].name].confidence
        for i, one in enumerate(part):
            yield Reading(
                one.t0,
                one.speaker,
                CHANNEL,
                scores={} if silent[i] else {name: _row(s, i) for name, s in scores.items()},
                quality={
                    "line": float(posts.lines[first + i]),
                    "words": float(len(split_words(one.text))),
                    "known": known_share(one.text, model.words),
                    "confidence": float(sure[i]),
                },
                abstained=silent[i],
            )


def _row(scores: Scores, i: int) -> Scores:
    return Scores(scores.probs[i : i + 1], scores.space, exclusive=scores.exclusive)
