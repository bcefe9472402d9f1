"""How well a text model reads the hand-written classroom set: emotions, and learning states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import ShapeError
from classpulse.core.labels import GOEMOTIONS_28, TEXT_5, TEXT_7
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.classroom import load_classroom, load_classroom_states
from classpulse.lab.evaluate.classification import share_of
from classpulse.lab.evaluate.metrics import evaluate_scores
from classpulse.lab.evaluate.text_behaviour import TextPredictor
from classpulse.text.states import STATES


@dataclass(frozen=True, slots=True)
class ClassroomRow:
    """One head on the classroom set.

    Args:
        n: sentences with a label of the head.
        accuracy, macro_f1: over all of them, those that the model refuses too, 95 % bootstrap.
        recall: label -> share of its sentences that get it.
        answered: share of the sentences that the model does not refuse, 95 % Wilson.
        accuracy_answered: over those, 95 % Wilson; None if there are none.
    """

    head: str
    n: int
    accuracy: Interval
    macro_f1: Interval
    recall: dict[str, float]
    answered: Interval
    accuracy_answered: Interval | None


@dataclass(frozen=True, slots=True)
class StateRow:
    """One learning state in the classroom set, told by any of the labels that stand for it.

    A state is marked only where the sentence says it, and an angry learner may be frustrated, too:
    the precision is too low rather than too high.

    Args:
        n: sentences in this state.
        recall: share of these that are found.
        found: sentences that the model says are in this state.
        precision: share of these that are; None if there are none.
    """

    state: str
    labels: tuple[str, ...]
    n: int
    recall: Interval
    found: int
    precision: Interval | None


def judge_classroom(model: TextPredictor) -> tuple[ClassroomRow, ...]:
    """A row for each head in `TEXT_7` or `TEXT_5`, in the order of the model."""
    rows = []
    for space in (TEXT_7, TEXT_5):
        texts = load_classroom(space)
        scores = model.predict(texts.texts)
        kept = np.array([why is None for why in model.abstentions(texts.texts, scores)])
        for head, found in scores.items():
            if found.exclusive and found.space == space:
                rows.append(_judge(head, found, texts.labels, kept))
    return tuple(rows)


def _judge(
    head: str, scores: Scores, truth: NDArray[np.int64], kept: NDArray[np.bool_]
) -> ClassroomRow:
    result = evaluate_scores(scores, truth)
    right = scores.top == truth
    return ClassroomRow(
        head=head,
        n=result.n,
        accuracy=result.accuracy,
        macro_f1=result.macro_f1,
        recall={label: row["recall"] for label, row in result.per_class.items()},
        answered=share_of(int(kept.sum()), len(kept)),
        accuracy_answered=share_of(int(right[kept].sum()), int(kept.sum())) if any(kept) else None,
    )


def judge_states(
    model: TextPredictor, thresholds: Mapping[str, Sequence[float]]
) -> tuple[StateRow, ...]:
    """A row for each state in `text.states.STATES`; none if no head has the labels of GoEmotions.

    Args:
        thresholds: head -> from which probability each of its 28 labels holds.

    Raises:
        ShapeError: another number of thresholds.
    """
    scores = model.predict(load_classroom().texts)
    truth = np.array(load_classroom_states())
    for head, found in scores.items():
        if found.space == GOEMOTIONS_28:
            cut = np.asarray(thresholds[head], dtype=np.float32)
            if cut.shape != (len(GOEMOTIONS_28),):
                raise ShapeError(f"{head}: {len(GOEMOTIONS_28)} thresholds, not {cut.shape}")
            return tuple(
                _judge_state(state, labels, found.probs >= cut, truth == state)
                for state, labels in STATES.items()
            )
    return ()


def _judge_state(
    state: str, labels: tuple[str, ...], holds: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> StateRow:
    said = holds[:, [GOEMOTIONS_28.index(label) for label in labels]].any(axis=1)
    both, n, found = int((said & truth).sum()), int(truth.sum()), int(said.sum())
    precision = share_of(both, found) if found else None
    return StateRow(state, labels, n, share_of(both, n), found, precision)
