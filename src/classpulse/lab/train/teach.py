"""Distillation: part of every target is what trained models say of the picture.

Hinton et al. 2015, section 2, with the teachers asked once, about the picture as it is, before
training; the student sees it augmented. With a teacher of its own kind this is a born-again round
(Furlanello et al. 2018).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from classpulse.core.card import Card
from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate.metrics import heat
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.train.answers import OnAsked, Probs, mean_answers
from classpulse.lab.train.kinds import check_ranges
from classpulse.lab.train.targets import HEAD_SPACES
from classpulse.runtime.model import OnnxModel


@dataclass(frozen=True, slots=True)
class Teaching:
    """Who teaches, and how much of a target is theirs.

    Args:
        teachers: artefacts by shipped name or folder; their answers are averaged.
        share: of the target, from 0 (labels alone) to 1 (teachers alone).
        temperature: above 1 flattens what the teachers say.
        heads: that are taught; all that the teachers share if empty.

    Raises:
        InputError: no teacher, or a number out of range.
    """

    teachers: tuple[str, ...]
    share: float = 0.5
    temperature: float = 1.0
    heads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.teachers:
            raise InputError("teach needs teachers: artefacts by shipped name or folder")
        check_ranges(share=(self.share, 0, 1), temperature=(self.temperature, 0.1, 100))

    def describe(self) -> str:
        """For the card."""
        of = f" of {', '.join(self.heads)}" if self.heads else ""
        return f"{self.share:.0%} of each target{of} from {', '.join(self.teachers)}"


def ask_teachers(
    how: Teaching,
    faces: FaceSet,
    heads: Iterable[str],
    *,
    kept: Path | None = None,
    on_asked: OnAsked | None = None,
) -> dict[str, Probs]:
    """Mean answers of the teachers, {head: (n, k)}, for those of `heads` that they teach.

    Args:
        kept, on_asked: as `mean_answers` takes them.

    Raises:
        InputError: as `shared_heads` does.
        ModelError: an artefact cannot be used.
        OutputError: `kept` cannot be written.
    """
    models = {spec: OnnxModel(spec) for spec in how.teachers}
    cards = {spec: model.card for spec, model in models.items()}
    shared = shared_heads(how, cards, heads, spaces=HEAD_SPACES)

    def ask(model: OnnxModel, places: list[int]) -> dict[str, Probs]:
        answers = predict_heads(model, faces.images[places])
        return {head: answers[head].probs for head in shared}

    teachers = {
        " ".join([model.card.sha256, *shared]): partial(ask, model) for model in models.values()
    }
    rows = [image.tobytes() for image in faces.images]
    means = mean_answers(teachers, rows, kept=kept, on_asked=on_asked)
    return {head: heat(mean, how.temperature) for head, mean in means.items()}


def shared_heads(
    how: Teaching,
    teachers: Mapping[str, Card],
    heads: Iterable[str],
    *,
    spaces: Mapping[str, LabelSpace],
) -> list[str]:
    """Those of `heads` that every teacher has and `how` wants, in their order.

    Args:
        teachers: cards by what the recipe calls them; spaces: head -> labels it must have.

    Raises:
        InputError: they share none of the heads, mean other labels by one, or `how` names a head
            that is not among them.
    """
    known_heads = list(heads)
    if unknown := [head for head in how.heads if head not in known_heads]:
        raise InputError(
            f"teach.heads: {', '.join(unknown)} is no head of the recipe; it has "
            f"{', '.join(known_heads)}"
        )
    wanted = [head for head in known_heads if not how.heads or head in how.heads]
    known = [{head.name for head in card.heads} for card in teachers.values()]
    shared = [head for head in wanted if all(head in names for names in known)]
    if not shared:
        raise InputError(
            f"the teachers {', '.join(teachers)} share none of the heads {', '.join(wanted)}"
        )
    for spec, card in teachers.items():
        for head in shared:
            found, needed = card.head(head).space, spaces[head].name
            if found != needed:
                raise InputError(f"teacher {spec}: head '{head}' has {found}, needs {needed}")
    return shared


def blend_targets(
    targets: Mapping[str, Probs], taught: Mapping[str, Probs], *, share: float
) -> dict[str, Probs]:
    """Targets (n, k) of which `share` is the teachers'; rows keep their mass, 0 without a label."""
    return {
        head: t
        if head not in taught
        else (1 - share) * t + share * t.sum(axis=1, keepdims=True) * taught[head]
        for head, t in targets.items()
    }
