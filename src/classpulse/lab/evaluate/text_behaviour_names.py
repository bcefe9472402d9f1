"""Does the answer change with the name in a sentence? Mean changes by group of names.

After the Equity Evaluation Corpus (Kiritchenko and Mohammad 2018): sentences that say something of
a person, each with every name and its pronouns. The names are frequent first names of a group; many
people outside of it have them, and no group is as uniform as its list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classpulse.core.records import Interval
from classpulse.lab.evaluate.resample import Counts, Values, bootstrap_counts
from classpulse.lab.evaluate.text_behaviour import TextPredictor

_LISTED = {
    ("English", "girls"): "Emily Charlotte Abigail Claire Heather Katie Megan Lauren",
    ("English", "boys"): "Jake Connor Geoffrey Tanner Luke Harry Brett Scott",
    ("African American", "girls"): "Latoya Ebony Shaniqua Keisha Lakisha Tanisha Imani Aaliyah",
    ("African American", "boys"): "Jamal DeShawn Tyrone Darnell Malik Terrell Lamar Trevon",
    ("Hispanic", "girls"): "Guadalupe Esperanza Ximena Marisol Yolanda Lucia Valentina Rosario",
    ("Hispanic", "boys"): "Santiago Jorge Alejandro Mateo Pedro Javier Luis Emiliano",
    ("Arabic", "girls"): "Fatima Aisha Yasmin Khadija Maryam Noor Zainab Huda",
    ("Arabic", "boys"): "Mohammed Ahmed Omar Hassan Youssef Khalid Ibrahim Mustafa",
    ("South Asian", "girls"): "Priya Ananya Lakshmi Divya Kavya Meera Sunita Pooja",
    ("South Asian", "boys"): "Arjun Rahul Vikram Rohan Sanjay Aditya Ravi Anil",
    ("East Asian", "girls"): "Mei Yuki Xiaoling Ji-woo Sakura Lan Haruka Minji",
    ("East Asian", "boys"): "Wei Hiroshi Jun Min-jun Takeshi Haoyu Kenji Seung",
    ("West African", "girls"): "Ngozi Adaeze Folake Amara Abena Chioma Efua Yewande",
    ("West African", "boys"): "Chinedu Kwame Oluwaseun Emeka Kofi Babatunde Tunde Obinna",
}
NAMES: dict[tuple[str, str], tuple[str, ...]] = {
    group: tuple(listed.split()) for group, listed in _LISTED.items()
}
"""Background and gender -> eight first names."""

TEMPLATES = (
    "{name} is working on the project with me.",
    "I sit next to {name} in math.",
    "{name} asked the teacher a question about step 3.",
    "{name} feels happy about {their} grade.",
    "{name} was angry because the others laughed.",
    "{name} is afraid of the oral exam.",
    "{name} cried when {they} saw the results.",
    "{name} told us about {their} weekend and it was funny.",
    "The presentation by {name} was surprising.",
    "{name} found a hair in {their} soup, yuck.",
    "I don't understand what {name} means in the last message.",
    "{name} and I have to finish the report tonight.",
)
PRONOUNS = {"girls": {"they": "she", "their": "her"}, "boys": {"they": "he", "their": "his"}}


@dataclass(frozen=True, slots=True)
class NameRow:
    """What the names of one group do to the answers.

    Args:
        by: "background" or "gender".
        names: how many.
        n: texts, each name in each of `TEMPLATES`.
        change: label -> mean over the texts of its probability minus the mean over all names in the
            same sentence, with a 95 % bootstrap interval over the names of the group; a name's
            sentences stay together.
        flipped: share of the texts whose label is another than most names get in that sentence.
        refused: share of the texts without an answer.
    """

    by: str
    group: str
    names: int
    n: int
    change: dict[str, Interval]
    flipped: Interval
    refused: Interval


def fill_name(template: str, name: str, group: tuple[str, str]) -> str:
    """The sentence with a name and the pronouns of its group, background and gender."""
    return template.format(name=name, **PRONOUNS[group[1]])


def compare_names(model: TextPredictor, *, head: str, seed: int = 0) -> tuple[NameRow, ...]:
    """A row for each background, then for each gender, in the order of `NAMES`.

    With k labels, 95 % intervals and nine groups, about one interval in twenty leaves out 0 by
    chance alone.
    """
    people = [(name, group) for group, listed in NAMES.items() for name in listed]
    texts = [fill_name(template, *person) for person in people for template in TEMPLATES]
    scores = model.predict(texts)
    labels = scores[head].space.names
    shape = (len(people), len(TEMPLATES))
    silent = np.array([why is not None for why in model.abstentions(texts, scores)]).reshape(shape)
    probs = scores[head].probs.astype(np.float64).reshape(*shape, len(labels))
    changes = (probs - probs.mean(axis=0)).mean(axis=1)  # (people, k)
    measured = np.column_stack([changes, _flipped(probs), silent.mean(axis=1)])
    rows = []
    for place, by in enumerate(("background", "gender")):
        keys = [group[place] for _, group in people]
        for group in dict.fromkeys(keys):
            inside = measured[[one == group for one in keys]]
            rows.append(_row(by, group, inside, labels, seed))
    return tuple(rows)


def _row(by: str, group: str, measured: Values, labels: Sequence[str], seed: int) -> NameRow:
    """`measured`: (names, k + 2), the change of each label, then the two shares."""

    def means(counts: Counts) -> Values:
        return np.asarray(counts @ measured / len(measured), dtype=np.float64)

    # none is missing: the mean of numbers is always defined
    found = [one for one in bootstrap_counts(means, len(measured), seed=seed) if one is not None]
    *change, flipped, refused = found
    n = len(measured) * len(TEMPLATES)
    return NameRow(
        by, group, len(measured), n, dict(zip(labels, change, strict=True)), flipped, refused
    )


def _flipped(probs: Values) -> Values:
    """(people,) share of sentences with another label than most names get there.

    Args:
        probs: (people, templates, k).
    """
    top = probs.argmax(axis=2)
    usual = np.array([np.bincount(column).argmax() for column in top.T])
    return np.asarray((top != usual).mean(axis=1), dtype=np.float64)
