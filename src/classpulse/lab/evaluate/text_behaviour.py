"""What a text model does, case by case: capabilities, each with the share of its cases that fail.

After CheckList (Ribeiro et al. 2020): a minimum functionality test (MFT) says what the answer must
be or must not be, an invariance test (INV) changes what should not matter, a directional test (DIR)
changes what may move the answer one way only. A case is judged by what a user would see: of a text
that the model refuses, nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

import numpy as np

from classpulse.core.records import Interval, Scores
from classpulse.core.registry import Registry
from classpulse.lab.evaluate.classification import share_of

MFT, INV, DIR = "MFT", "INV", "DIR"
TOLERANCE = 0.1
"""How far a probability may move where it should not: below it a change of label is a near tie."""
EXAMPLES = 5  # failures that are kept of each capability


class TextPredictor(Protocol):
    """What is tested; `runtime.text.OnnxTextModel` is one."""

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]:
        """Head name -> `Scores` with a row for each text."""

    def abstentions(
        self, texts: Sequence[str], scores: Mapping[str, Scores]
    ) -> tuple[str | None, ...]:
        """Why there is nothing to say about each text; None where there is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one text.

    Args:
        probs: label -> probability; empty if it crashed.
        refused: why it says nothing, or None.
        crash: the error that it raised, or None.
    """

    probs: Mapping[str, float]
    refused: str | None = None
    crash: str | None = None

    @property
    def top(self) -> str | None:
        """The label that a user sees, None where there is none."""
        if self.refused is not None or self.crash is not None:
            return None
        return max(self.probs, key=lambda label: self.probs[label])

    def __str__(self) -> str:
        if self.top is None:
            return f"crashed: {self.crash}" if self.crash else f"refused: {self.refused}"
        return f"{self.top} {self.probs[self.top]:.2f}"


@dataclass(frozen=True, slots=True)
class Case:
    """A text, or a text and the same text changed; the label that the case is about, if any."""

    texts: tuple[str, ...]
    label: str | None = None


Check = Callable[[Sequence[Answer], str], bool]
"""Answers to a case's texts, its label ("" for none) -> whether it passes."""


@dataclass(frozen=True, slots=True)
class Capability:
    """A thing that a model should be able to do.

    Args:
        kind: `MFT`, `INV` or `DIR`.
        asks: the demand in a few words.
        check: whether a case passes; a crash never does.
        build: seeded generator -> cases.
    """

    kind: str
    asks: str
    check: Check
    build: Callable[[np.random.Generator], Sequence[Case]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that failed, with the answers in words, one for each text."""

    texts: tuple[str, ...]
    label: str | None
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A model's result in one capability.

    Args:
        n: cases.
        failed: share of them, with a 95 % Wilson interval. It takes cases as independent; those of
            one template are not, so it is too narrow.
        refused: cases with a text that got no answer.
        crashed: cases with a text that raised an error.
        failures: up to `EXAMPLES`, drawn at random.
    """

    capability: str
    kind: str
    asks: str
    n: int
    failed: Interval
    refused: int
    crashed: int
    failures: tuple[Failure, ...]


CAPABILITIES: Registry[Capability] = Registry("capability")


# --- checks --------------------------------------------------------------------------------------


def says(answers: Sequence[Answer], label: str) -> bool:
    """The answer is the label."""
    return answers[0].top == label


def says_not(answers: Sequence[Answer], label: str) -> bool:
    """The answer is another label, or none."""
    return answers[0].top != label


def refuses(answers: Sequence[Answer], label: str) -> bool:
    """There is no answer."""
    return answers[0].top is None


def survives(answers: Sequence[Answer], label: str) -> bool:
    """Anything but a crash, which `run_capability` counts as failed before it asks."""
    return True


def stays(answers: Sequence[Answer], label: str) -> bool:
    """Both texts get the same label, or its probability falls by `TOLERANCE` at most; or none does.

    A change that makes the model refuse fails: a name or a typo must not silence its writer.
    """
    before, after = answers
    if before.top == after.top:
        return True
    if before.top is None or after.top is None:
        return False
    return before.probs[before.top] - after.probs[before.top] <= TOLERANCE


def rises(answers: Sequence[Answer], label: str) -> bool:
    """The label's probability does not fall by more than `TOLERANCE`, nor is the change refused."""
    before, after = answers
    if after.top is None:
        return before.top is None
    return after.probs[label] >= before.probs[label] - TOLERANCE


# --- running -------------------------------------------------------------------------------------


def run_capability(
    model: TextPredictor, name: str, *, head: str, labels: Sequence[str], seed: int = 0
) -> Outcome | None:
    """Put one capability of `CAPABILITIES` to the test.

    Args:
        head: of the model, with one label a text.
        labels: of the head; cases about others are left out.
        seed: of the cases and of the failures shown.

    Returns:
        None if no case is about the head's labels.

    Raises:
        InputError: an unknown capability.
    """
    asked = CAPABILITIES.get(name)
    random = np.random.default_rng([seed, crc32(name.encode())])  # other sentences for each
    cases = [c for c in asked.build(random) if c.label is None or c.label in labels]
    if not cases:
        return None
    found = ask(model, [text for case in cases for text in case.texts], head=head)
    failures, refused, crashed = [], 0, 0
    for case in cases:
        answers = [found[text] for text in case.texts]
        broken = any(answer.crash is not None for answer in answers)
        refused += any(answer.refused is not None for answer in answers)
        crashed += broken
        if broken or not asked.check(answers, case.label or ""):
            failures.append(Failure(case.texts, case.label, tuple(map(str, answers))))
    shown = sorted(random.permutation(len(failures))[:EXAMPLES])
    return Outcome(
        capability=name,
        kind=asked.kind,
        asks=asked.asks,
        n=len(cases),
        failed=share_of(len(failures), len(cases)),
        refused=refused,
        crashed=crashed,
        failures=tuple(failures[i] for i in shown),
    )


def ask(model: TextPredictor, texts: Sequence[str], *, head: str) -> dict[str, Answer]:
    """Text -> answer; each text is asked once.

    An error of the model is an answer too, a crash: the texts are then asked one by one, to tell
    which of them it is.
    """
    unique = list(dict.fromkeys(texts))
    try:
        return dict(zip(unique, _answers(model, unique, head), strict=True))
    except Exception:  # whatever the model under test raises is a finding, not an error of ours
        return {text: _ask_alone(model, text, head) for text in unique}


def _ask_alone(model: TextPredictor, text: str, head: str) -> Answer:
    try:
        return next(_answers(model, [text], head))
    except Exception as error:
        return Answer({}, crash=f"{type(error).__name__}: {error}")


def _answers(model: TextPredictor, texts: Sequence[str], head: str) -> Iterator[Answer]:
    scores = model.predict(texts)
    names = scores[head].space.names
    reasons = model.abstentions(texts, scores)
    for row, why in zip(scores[head].probs.tolist(), reasons, strict=True):
        yield Answer(dict(zip(names, row, strict=True)), refused=why)
