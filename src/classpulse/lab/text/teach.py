"""Distillation on texts: part of every target is what trained artefacts say of the text."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from classpulse.lab.evaluate.metrics import heat
from classpulse.lab.text.heads import HEAD_SPACES, MULTI, Probs
from classpulse.lab.train.answers import OnAsked, mean_answers
from classpulse.lab.train.teach import Teaching, blend_targets, shared_heads
from classpulse.runtime.text import OnnxTextModel


def ask_teachers(
    how: Teaching,
    texts: Sequence[str],
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
    models = {spec: OnnxTextModel(spec, threads=2) for spec in how.teachers}
    cards = {spec: model.card for spec, model in models.items()}
    shared = shared_heads(how, cards, heads, spaces=HEAD_SPACES)

    def ask(model: OnnxTextModel, places: list[int]) -> dict[str, Probs]:
        answers = model.predict([texts[i] for i in places])
        return {head: answers[head].probs for head in shared}

    teachers = {
        " ".join([model.card.sha256, *shared]): partial(ask, model) for model in models.values()
    }
    rows = [text.encode() for text in texts]
    means = mean_answers(teachers, rows, kept=kept, on_asked=on_asked)
    return {
        head: mean if head in MULTI else heat(mean, how.temperature) for head, mean in means.items()
    }


def teach(
    how: Teaching,
    texts: Sequence[str],
    targets: Mapping[str, Probs],
    *,
    unlabelled: float,
    kept: Path | None = None,
    on_asked: OnAsked | None = None,
) -> dict[str, Probs]:
    """Targets (n, k) of which a share is the teachers'.

    Args:
        unlabelled: weight of their answer in rows that have no label of a head; 0 leaves them so.
        kept, on_asked: as `mean_answers` takes them.
    """
    taught = ask_teachers(how, texts, targets, kept=kept, on_asked=on_asked)
    blended: dict[str, Probs] = {}
    single = {head: t for head, t in targets.items() if head not in MULTI}
    blended |= blend_targets(single, taught, share=how.share)
    for head in targets.keys() & MULTI:
        known = targets[head].sum(axis=1, keepdims=True) > 0
        mixed = (1 - how.share) * targets[head] + how.share * taught.get(head, targets[head])
        blended[head] = np.where(known, mixed, 0).astype(np.float32)
    for head in taught if unlabelled else ():
        free = targets[head].sum(axis=1) == 0
        blended[head][free] = unlabelled * taught[head][free]
    return {head: blended[head] for head in targets}
