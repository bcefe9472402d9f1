"""Distillation on texts: part of every target is what trained artefacts say of the text."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from classpulse.lab.evaluate.metrics import heat
from classpulse.lab.text.heads import HEAD_SPACES, MULTI, Probs
from classpulse.lab.train.teach import Teaching, blend_targets, remember, shared_heads
from classpulse.runtime.text import OnnxTextModel


def ask_teachers(
    how: Teaching, texts: Sequence[str], heads: Iterable[str], *, kept: Path | None = None
) -> dict[str, Probs]:
    """Mean answers of the teachers, {head: (n, k)}, for those of `heads` that they teach.

    Args:
        kept: as `remember` takes it.

    Raises:
        InputError: as `shared_heads` does.
        ModelError: an artefact cannot be used.
        OutputError: `kept` cannot be written.
    """
    models = {spec: OnnxTextModel(spec, threads=2) for spec in how.teachers}
    cards = {spec: model.card for spec, model in models.items()}
    shared = shared_heads(how, cards, heads, spaces=HEAD_SPACES)

    def ask() -> dict[str, Probs]:
        answers = [model.predict(texts) for model in models.values()]
        return {head: np.mean([one[head].probs for one in answers], axis=0) for head in shared}

    asked = [*(card.sha256 for card in cards.values()), *shared]
    means = remember(kept, asked, "\0".join(texts).encode(), ask)
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
) -> dict[str, Probs]:
    """Targets (n, k) of which a share is the teachers'.

    Args:
        unlabelled: weight of their answer in rows that have no label of a head; 0 leaves them so.
        kept: as `remember` takes it.
    """
    taught = ask_teachers(how, texts, targets, kept=kept)
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
