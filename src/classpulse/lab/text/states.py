"""From which probability a learning state is said, and how often it is right then.

A state is told by one or two labels of GoEmotions (`text.states`). Thresholds that suit each label
by itself do not suit the state: it is said where either passes, and a low one makes it false. So
the labels of a state share one threshold, which is that of the state: the value of `multi.GRID`
with the best F0.5 of the state on held-out rows of GoEmotions. Precision counts twice as much as
recall there, because a state that is said falsely is worse for a learner than one that is missed.
docs/text.md compares the rule with others.
"""

from dataclasses import replace

import numpy as np

from classpulse.core.card import Metric
from classpulse.core.labels import GOEMOTIONS_28, TEXT_STATE_3
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.texts import MultiTextSet
from classpulse.lab.evaluate.classification import share_of
from classpulse.lab.judge import ece_metric
from classpulse.lab.text.multi import Probs, Truth, cut_crosswise, fit_thresholds
from classpulse.lab.text.multi_calibration import multi_ece
from classpulse.text.states import STATES, score_states

STATE_BETA = 0.5  # of the F-score: precision counts twice as much as recall
RULE = (
    "A label of GoEmotions holds from the probability with the best F1 on GoEmotions' validation "
    "part; those that tell a learning state, from that with the best F0.5 of the state there."
)


def fit_state_thresholds(
    probs: Probs, truth: Truth, thresholds: tuple[float, ...]
) -> tuple[float, ...]:
    """`thresholds` of the 28 labels, those that tell a state replaced by that of their state.

    Args:
        probs, truth: (n, 28) of rows on which nothing was learned.
    """
    found = list(thresholds)
    fitted = fit_thresholds(*_of_states(probs, truth), beta=STATE_BETA)
    for state, threshold in zip(TEXT_STATE_3.names, fitted, strict=True):
        for label in STATES[state]:
            found[GOEMOTIONS_28.index(label)] = threshold
    return tuple(found)


def state_metrics(head: str, probs: Probs, valid: MultiTextSet) -> list[Metric]:
    """Precision and recall of every state, each half cut at the thresholds of the other half.

    A state that is never said has no precision, one that never occurs has no recall.
    """
    told, truth = _of_states(probs, valid.targets)
    said, actual = cut_crosswise(told, truth, beta=STATE_BETA), truth > 0
    found = []
    for j, state in enumerate(TEXT_STATE_3.names):
        both = int((said[:, j] & actual[:, j]).sum())
        for name, of in (("precision", said[:, j]), ("recall", actual[:, j])):
            if of.any():
                share = share_of(both, int(of.sum()))
                found.append(_metric(f"{name} of {state}", head, share, valid))
    return found


def state_ece(head: str, probs: Probs, valid: MultiTextSet) -> Metric:
    """Calibration error of the states' probabilities, which are those that people are shown.

    Args:
        probs: (n, 28), each row at a temperature that was not fitted to it.
    """
    made = ece_metric(head, multi_ece(*_of_states(probs, valid.targets)), len(valid), valid.name)
    return replace(made, name=f"{made.name}, learning states")


def _of_states(probs: Probs, truth: Truth) -> tuple[Probs, Truth]:
    """(n, 3) probabilities of the states and whether one of their labels holds, 0 or 1."""
    told = score_states(Scores(probs, GOEMOTIONS_28, exclusive=False)).probs
    columns = [
        truth[:, [GOEMOTIONS_28.index(label) for label in STATES[state]]].max(axis=1)
        for state in TEXT_STATE_3.names
    ]
    return told, np.stack(columns, axis=1)


def _metric(name: str, head: str, value: Interval, valid: MultiTextSet) -> Metric:
    ends = (round(value.value, 4), round(value.low, 4), round(value.high, 4))
    return Metric(f"{name}, cross-fitted threshold", head, *ends, len(valid), valid.name)
