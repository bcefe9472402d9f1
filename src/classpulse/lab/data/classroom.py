"""Sentences of learners, written by hand for this project: to measure on, never to train on.

The public corpora of this field are retold, acted or from Reddit; none was written in a lesson.
These 210 are not either, but they look like it: chat, forum, answers and feedback, from primary
school to university, with typos, slang and emoji. One person wrote and labelled them and left out
what could be read two ways, so a model should do better here than on what learners really write.
"""

from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import TEXT_5, TEXT_7, LabelSpace, relabel_by_name
from classpulse.lab.data.texts import TextSet, relabel_texts
from classpulse.text.tables import Table, load_table

CLASSROOM = "classroom"
LEARNING_STATES = ("confused", "frustrated", "bored", "curious", "engaged")

_FIVE = relabel_by_name(
    "text-7-to-text-5",
    TEXT_7,
    TEXT_5,
    {"neutral": None, "surprise": None},
    "the five classes of the thesis are five of its seven; the others are left out",
)


def load_classroom(space: LabelSpace = TEXT_7) -> TextSet:
    """The sentences with their emotions.

    Args:
        space: `TEXT_7` for all of them, `TEXT_5` for those without neutral and surprise.

    Raises:
        InputError: another space.
    """
    table = _load()
    texts = TextSet(
        texts=table.columns["text"],
        labels=np.array([TEXT_7.index(label) for label in table.columns["label"]], dtype=np.int64),
        space=TEXT_7,
        source=(CLASSROOM,) * len(table),
        row=np.arange(len(table), dtype=np.int64),
        name=CLASSROOM,
    )
    if space == TEXT_7:
        return texts
    if space == TEXT_5:
        return relabel_texts(texts, _FIVE)
    raise InputError(f"the classroom set has no {space.name}: give {TEXT_7.name} or {TEXT_5.name}")


def load_classroom_states() -> tuple[str, ...]:
    """The learning state in each sentence of `load_classroom()`, of `LEARNING_STATES`; "" is none.

    A state is what the sentence says, not what its emotion suggests: most have none.
    """
    return _load().columns["state"]


@cache
def _load() -> Table:
    path = Path(str(resources.files("classpulse.lab.data") / f"{CLASSROOM}.csv"))
    return load_table(path, columns=("id", "text", "label", "state"))
