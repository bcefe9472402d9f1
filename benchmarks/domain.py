"""Write docs/domain.md, or docs/domain-NAME.md of a model that is not the default one.

    python benchmarks/domain.py [MODEL ...]
    python benchmarks/domain.py face-base --quick

A face model outside the pictures it was chosen on: cut out by the room's own detector and aligner,
on another data set by subject, spoiled, and enlarged. MODEL is a shipped name or an artefact folder
(default: every shipped face model that answers in the seven emotions). `--quick` takes few pictures
and prints the page instead of writing it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from measure import CKPLUS, FER, reads_faces
from numpy.typing import NDArray
from pages import DOCS, table

from classpulse.core.card import ModelCard, load_card
from classpulse.core.defaults import MODEL
from classpulse.core.files import save_text
from classpulse.core.labels import FER2013_7
from classpulse.core.records import Interval
from classpulse.lab.book import open_recipe
from classpulse.lab.commit import source_commit
from classpulse.lab.data.ckplus import load_ckplus
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.data.fer2013 import load_fer2013
from classpulse.lab.evaluate.faces import measure_robustness
from classpulse.lab.evaluate.framing import FramingCost, measure_framing
from classpulse.lab.evaluate.metrics import evaluate_scores
from classpulse.lab.evaluate.predictors import Artefact, FacePredictor, scores_in
from classpulse.lab.evaluate.robustness import RobustnessRow, enlargement_curve
from classpulse.lab.recipe import Recipe
from classpulse.lab.recipe_file import recipe_names
from classpulse.lab.terminal import step_bar
from classpulse.runtime.model import shipped_models
from classpulse.vision.detect import build_detector

QUICK = 24  # pictures of each part


@dataclass(frozen=True)
class Measured:
    """What the page of one model shows."""

    card: ModelCard
    cost: FramingCost
    ckplus: FaceSet
    other: Interval
    rows: list[RobustnessRow]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="shipped names or artefact folders")
    parser.add_argument("--fer2013", type=Path, default=FER)
    parser.add_argument("--ckplus", type=Path, default=CKPLUS)
    parser.add_argument("--sample", type=int, default=1000, help="pictures that are spoiled")
    parser.add_argument("--quick", action="store_true", help="few pictures; prints, writes nothing")
    options = parser.parse_args()
    public = load_fer2013(options.fer2013, part="PublicTest")
    ckplus = load_ckplus(options.ckplus, contempt=False)
    if options.quick:
        public, ckplus = few(public), few(ckplus)
    for name in options.models or answering():
        found = measure(Artefact(name), public, ckplus, sample=options.sample)
        if options.quick:
            print(page(found))
        else:
            save_text(page(found), path_of(found.card))
            print(path_of(found.card))


def few(faces: FaceSet) -> FaceSet:
    """`QUICK` pictures, from the first to the last."""
    return faces.take(np.linspace(0, len(faces) - 1, QUICK).astype(int), name=faces.name)


def answering() -> list[str]:
    """The shipped face models with a head of the seven emotions."""
    cards = [
        load_card(folder / "card.json")
        for folder in shipped_models().values()
        if reads_faces(folder)
    ]
    return [card.name for card in cards if any(h.space == FER2013_7.name for h in card.heads)]


def path_of(card: ModelCard) -> Path:
    return DOCS / ("domain.md" if card.name == MODEL else f"domain-{card.name}.md")


def measure(model: Artefact, public: FaceSet, ckplus: FaceSet, *, sample: int) -> Measured:
    """Everything on the page; the minutes go into spoiled pictures."""
    card = model.model.card
    cost = measure_framing(
        model, public, FER2013_7, find=build_detector("retinaface"), spec=card.input
    )
    other = by_subject(model, ckplus)
    some = draw(public, sample)
    with step_bar(quiet=False) as on_step:
        rows = measure_robustness(model, some, FER2013_7, sample=len(some), on_step=on_step)
    rows += enlargement_curve(
        lambda images: answer(model, images), some.images, truth_in(some, FER2013_7)
    )
    return Measured(card, cost, ckplus, other, rows)


def draw(faces: FaceSet, count: int) -> FaceSet:
    """So many pictures with a label, the same at every call."""
    known = np.flatnonzero(truth_in(faces, FER2013_7) >= 0)
    chosen = np.sort(np.random.default_rng(0).permutation(known)[:count])
    return faces.take(chosen, name=faces.name)


def answer(model: FacePredictor, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    scores = scores_in(model.predict(images), FER2013_7)
    if scores is None:
        sys.exit(f"{model.name} does not answer in {FER2013_7.name}: no rule leads there")
    return scores.probs


def by_subject(model: FacePredictor, faces: FaceSet) -> Interval:
    """Accuracy; the interval draws people, not pictures, which repeat within a person."""
    scores = scores_in(model.predict(faces.images), FER2013_7)
    assert scores is not None  # `measure_framing` saw to it
    return evaluate_scores(scores, truth_in(faces, FER2013_7), clusters=faces.subject).accuracy


def page(found: Measured) -> str:
    """The whole page."""
    cost, subject = found.cost, found.ckplus.subject
    assert subject is not None
    framing = (f"{cost.n:,}", f"{cost.found:,}", *map(show, (cost.given, cost.reframed, cost.drop)))
    lines = [
        f"# `{found.card.name}` outside the pictures it was chosen on",
        "",
        "Written by `python benchmarks/domain.py`; do not edit. "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {source_commit()}. Seven emotions, accuracy with "
        f"95 % intervals. Model: SHA-256 `{found.card.sha256[:16]}`.",
        "",
        "## Cut out by the room",
        "",
        "FER2013 PublicTest, each picture enlarged into a frame of its own, found by RetinaFace, "
        "aligned and cut as in a lesson; on the pictures where a face was found, paired.",
        "",
        table("pictures | face found | as given | cut out again | drop", [framing]),
        "",
        "## Another data set",
        "",
        f"CK+48 without contempt: {len(found.ckplus):,} posed pictures of "
        f"{len(np.unique(subject))} people in a laboratory; the interval draws people: "
        f"{show(found.other)}. {describe_learned(found.card)}",
        "",
        "## Spoiled and enlarged pictures",
        "",
        f"{found.rows[0].n:,} pictures of PublicTest; the drop is paired with the clean picture. "
        "Smaller pictures are shrunk and enlarged again, so they lose detail; larger ones are "
        f"given to the model as they are, and `prepare` brings them to its "
        f"{found.card.input.width} x {found.card.input.height} pixels.",
        "",
        table("what | level | accuracy | drop", map(_row, by_kind(found.rows))),
    ]
    return "\n".join(lines) + "\n"


def by_kind(rows: Sequence[RobustnessRow]) -> list[RobustnessRow]:
    """Sizes from the largest down; all else as it was measured."""
    sizes = sorted((r for r in rows if r.degradation == "size"), key=lambda r: -r.level)
    return [*(r for r in rows if r.degradation != "size"), *sizes]


def describe_learned(card: ModelCard) -> str:
    """Whether the network may know these people: what its recipe and its card say of it."""
    recipe = open_recipe(card.recipe) if card.recipe in recipe_names() else None
    if isinstance(recipe, Recipe) and "ckplus" in recipe.data.sets:
        return "**Its recipe trains on CK+48 too**, so this is no other data set for this model."
    return f"It was trained on: {card.trained_on}."


def _row(row: RobustnessRow) -> tuple[str, ...]:
    return f"{row.title}, {row.unit}", f"{row.level:g}", show(row.accuracy), show(row.drop)


def show(found: Interval) -> str:
    """``.698 [.683, .713]``."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


if __name__ == "__main__":
    main()
