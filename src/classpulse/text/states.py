"""Learning states of writing, from the 28 labels of GoEmotions (Demszky et al. 2020).

A state is as likely as the likeliest label that stands for it: at least one of them holds, and they
often hold together, so their sum would count a text twice. The mapping is our choice. There is no
boredom: GoEmotions has no label for it, and nothing in it says so reliably.
"""

import numpy as np

from classpulse.core.labels import GOEMOTIONS_28, TEXT_STATE_3
from classpulse.core.records import Scores

STATES = {
    "confused": ("confusion",),
    "curious": ("curiosity",),
    "frustrated": ("annoyance", "disappointment"),
}
"""State -> labels of GoEmotions that stand for it."""


def score_states(goemotions: Scores) -> Scores:
    """Probabilities (n, 3) of the states, each for itself: a text may show several or none.

    Args:
        goemotions: (n, 28), every probability for itself.
    """
    columns = [
        goemotions.probs[:, [GOEMOTIONS_28.index(label) for label in STATES[state]]].max(axis=1)
        for state in TEXT_STATE_3.names
    ]
    return Scores(np.stack(columns, axis=1), TEXT_STATE_3, exclusive=False)
