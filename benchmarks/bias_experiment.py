"""Write docs/bias.md: does balancing help a group of pictures that is read worse?

python benchmarks/bias_experiment.py ../shared/data/fer2013/fer2013.csv.gz --keep /tmp/bias

The annotations of age and gender of the source are not available. The groups here are properties
of the pictures, computed from their pixels: how light and how contrasted they are. The weak group
is found with the shipped model; a small network is then trained as it is and with each method of
balancing, for the same number of steps on the same rows. What is finished stays in --keep: the
same command goes on after an interruption, or writes the page again.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classpulse.core.card import InputSpec
from classpulse.core.records import Interval
from classpulse.lab.data.faces import FaceSet, repeated_in, without_blank
from classpulse.lab.data.group_balance import GroupBalance, GroupInsert, GroupSampler, GroupWeights
from classpulse.lab.data.layouts import load_faces
from classpulse.lab.evaluate.bias import BiasReport, compare_groups
from classpulse.lab.evaluate.predictors import open_predictor
from classpulse.lab.evaluate.report_sections import p_value
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.recipe import Recipe, Schedule
from classpulse.lab.train.augment import Augment
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.loop import fit
from classpulse.lab.train.run import build_network, build_training, predict_logits, prepare_all
from classpulse.lab.train.schedule import OneCycle

Labels = NDArray[np.int64]
Answers = dict[tuple[str, int], Labels]

PAGE = Path(__file__).parents[1] / "docs" / "bias.md"
MODEL = "face-base"
ROWS, UNSEEN = 7680, 8000  # pictures to learn from, and of the same part that nobody learns from
EPOCHS = 6  # insertion makes the set half as large again: 4 epochs are as many steps
SIDE, BATCH = 24, 64
STEPS = EPOCHS * (ROWS // BATCH)
SEEDS = (1, 2)
SPEC = InputSpec(SIDE, SIDE, 1, (0.508,), (0.255,), "fer2013")
LIGHT = Augment(rotation=10.0, shift=0.08, zoom=(0.95, 1.08), shear=0.0, light=0.2, erase=0.0,
                mixup_share=0.0)  # fmt: skip
RECIPE = Recipe(
    "bias-experiment",
    "A small network, to compare methods of balancing.",
    {"emotion": 1.0},
    SPEC,
    network=Choice("residual-se", ResidualSettings(widths=(8, 16, 32, 64), blocks=1, stem=8)),
    rate=Choice("one-cycle", OneCycle(peak_lr=3e-3)),
    schedule=Schedule(sides=((EPOCHS, SIDE),), batch=BATCH),
    augment=LIGHT,
)
WEAK, OTHER, COLUMN = "weak", "other", "pictures"
METHODS: dict[str, GroupBalance | None] = {
    "before": None,
    "weights": GroupWeights(COLUMN),
    "insert": GroupInsert(COLUMN),
    "sampler": GroupSampler(COLUMN),
}
PROPERTIES: dict[str, tuple[Callable[[NDArray[np.uint8]], NDArray[np.float64]], tuple[str, ...]]]
PROPERTIES = {
    "light": (lambda images: images.mean(axis=(1, 2)), ("dark", "medium", "bright")),
    "contrast": (lambda images: images.std(axis=(1, 2)), ("low", "medium", "high")),
}
"""Column -> value of a picture, and names of the lowest quarter, the middle and the highest."""

TEXT = """# Bias: finding a group that is read worse, and trying to help it

Written by `python benchmarks/bias_experiment.py FER2013 --keep FOLDER`; do not edit.

The source of this feature annotated faces by age and gender and retrained with more augmented
pictures of children. Its annotations are not available, so nothing here is about people: the
groups below are **properties of pictures**, computed from their pixels. `light` is the mean of a
picture, `contrast` the standard deviation; each is cut at the quartiles of FER2013 Training. The
experiment shows how the method is used, and what it did for one such group with one small network.

With annotations of your own (`row,age,gender` or `file,age,gender`, one line a picture):

```console
$ classpulse bias face-base FER2013 --groups ages.csv --column age --report out/before
$ classpulse train face-base --data fer2013=FER2013 --votes VOTES --run runs/child \\
    --groups ages.csv --set groups.kind=insert --set groups.column=age --set groups.group=child
$ classpulse bias face-base FER2013 --groups ages.csv --column age --against AFTER \\
    --report out/after
```

`AFTER` is the artefact that `classpulse publish` makes of the run.

## The weak group

`{model}` on FER2013 PublicTest, seven emotions; p is the permutation test of the gap:

{found}

Read worst: **{column} {group}**, the weak group from here on.

## Training again

A small residual network ({side} x {side} pixels, batches of {batch}, {steps} steps) learns from
{learned} pictures of FER2013 Training, a quarter of them weak, once for each of {seeds} seeds, and
then with each method, both groups made equal:

* `weights`: the weak quarter counts as much in the loss as the other three.
* `insert`: jittered copies of weak pictures until there are as many as others, {grown} pictures;
  {fewer} epochs instead of {epochs}, which are as many steps.
* `sampler`: every epoch draws as many weak pictures as others.

Judged on PublicTest, where the weak group was found, and on {unseen} pictures of Training that no
network learned from and that had no part in finding it. Nothing was chosen on either.

Accuracy, mean over the seeds; the gap is other - weak:

{means}

Seeds in which the 95 % interval of a change has no 0 in it, of {seeds}:

{verdict}

## Every network

Each network against the one of the same seed without balancing: paired bootstrap intervals,
McNemar's p. **`again` is the control**: the same training without any balancing, another seed. A
change that is no larger than the control's is what training again does by itself. A change of the
gap below 0 is a smaller gap.

{rows}
These are networks that have learned little, {seeds} seeds, and one property of pictures: no rule
about children follows from it, in either direction.
"""


def annotate(faces: FaceSet, learned: FaceSet) -> FaceSet:
    """Columns of `PROPERTIES`, cut at the quartiles of what is learned from."""
    groups = {}
    for column, (measure, names) in PROPERTIES.items():
        cuts = np.quantile(measure(learned.images), (0.25, 0.75))
        groups[column] = np.array(names)[np.digitize(measure(faces.images), cuts)]
    return replace(faces, groups=groups)


def mark(faces: FaceSet, column: str, group: str) -> FaceSet:
    """The one column that training balances: the weak group against all others."""
    weak = faces.groups[column] == group
    return replace(faces, groups={**faces.groups, COLUMN: np.where(weak, WEAK, OTHER)})


def draw_rows(train: FaceSet) -> tuple[FaceSet, FaceSet]:
    """Rows to learn from, exactly a quarter of them weak, and unseen ones without repeats."""
    random = np.random.default_rng(0)
    weak = train.groups[COLUMN] == WEAK
    chosen = [
        random.permutation(np.flatnonzero(rows))[:n]
        for rows, n in ((weak, ROWS // 4), (~weak, ROWS - ROWS // 4))
    ]
    learned = train.take(np.sort(np.concatenate(chosen)), name=f"{train.name}, {ROWS:,} pictures")
    rest = np.setdiff1d(np.arange(len(train)), np.concatenate(chosen))
    unseen = train.take(random.permutation(rest), name=train.name)
    unseen = unseen.take(~repeated_in(unseen, learned), name=train.name)
    return learned, unseen.take(np.arange(UNSEEN), name=f"{train.name}, {UNSEEN:,} unseen pictures")


def train_one(learned: FaceSet, method: str, seed: int, keep: Path) -> Any:
    """The network after training; goes on from what is there."""
    how = METHODS[method]
    epochs = EPOCHS * 2 // 3 if method == "insert" else EPOCHS
    recipe = replace(
        RECIPE,
        groups=None if how is None else Choice(method, how),
        schedule=replace(RECIPE.schedule, sides=((epochs, SIDE),), seed=seed),
    )
    network, data = build_network(recipe), build_training(learned, recipe)
    assert epochs * (len(data.x) // BATCH) == STEPS  # every method takes as many
    for epoch in fit(network, data, recipe, keep / f"{method}-{seed}.pt", validate=lambda *_: {}):
        print(f"{method} seed {seed} epoch {epoch.number}: loss {epoch.loss:.3f}, "
              f"{epoch.seconds:.0f} s", flush=True)  # fmt: skip
    return network


def answer(network: Any, faces: FaceSet) -> Labels:
    """(n,) the label that the network gives each picture, averaged with its mirror image."""
    logits = predict_logits(network, prepare_all(faces, SPEC), flip=True)
    return logits["emotion"].argmax(dim=1).numpy()


def keep_labels(path: Path, compute: Callable[[], Labels]) -> Labels:
    """What is in the file, or computed and then kept there."""
    if not path.exists():
        np.save(path, compute())
    return np.load(path)


def answer_all(learned: FaceSet, judged: Mapping[str, FaceSet], keep: Path) -> dict[str, Answers]:
    """Judged set -> (method, seed) -> answers of that network."""
    found: dict[str, Answers] = {name: {} for name in judged}
    for seed in SEEDS:
        for method in METHODS:
            network = train_one(learned, method, seed, keep)
            for name, faces in judged.items():
                file = keep / f"{method}-{seed}-{name}.npy"
                found[name][method, seed] = keep_labels(file, partial(answer, network, faces))
    return found


def find_weak(public: FaceSet, keep: Path) -> tuple[list[BiasReport], str, str]:
    """The shipped model by every column of `PROPERTIES`; column and group it reads worst."""
    top = keep_labels(
        keep / f"{MODEL}.npy",
        lambda: open_predictor(MODEL, threads=1).predict(public.images)[0].top,
    )
    found = [compare_groups(top, None, public, column=c, space=public.space) for c in PROPERTIES]
    rows = [
        (row.accuracy.value, one.column, row.group) for one in found for row in one.before.groups
    ]
    _, column, group = min(rows)
    return found, column, group


# --- the page ----------------------------------------------------------------------------------


def reach(one: Interval, *, signed: bool = False) -> str:
    plus = "+" if signed else ""
    return f"{one.value:{plus}.4f} [{one.low:{plus}.4f}, {one.high:{plus}.4f}]"


def found_table(found: list[BiasReport]) -> list[str]:
    lines = [
        "| property | group | n | accuracy [95 %] | macro F1 [95 %] | gap in accuracy [95 %] | p |",
        "|---|---|---:|---|---|---|---|",
    ]
    for one in found:
        gap = one.before.gaps[0]
        for i, row in enumerate(one.before.groups):
            last = f"{reach(gap.difference)} | {p_value(gap.p)}" if not i else " | "
            lines.append(f"| {'' if i else one.column} | {row.group} | {row.n:,} | "
                         f"{reach(row.accuracy)} | {reach(row.macro_f1)} | {last} |")  # fmt: skip
    return lines


def change_table(faces: FaceSet, answers: Answers) -> list[str]:
    """Each method against the network of the same seed without balancing; a control comes first."""
    pairs = [(f"again, seed {seed}", ("before", SEEDS[0]), ("before", seed)) for seed in SEEDS[1:]]
    pairs += [
        (f"{method}, seed {seed}", ("before", seed), (method, seed))
        for method in METHODS if method != "before" for seed in SEEDS
    ]  # fmt: skip
    lines = [
        "| after | weak before | weak after | change, weak [95 %] | p | change, other [95 %] | p "
        "| change of the gap [95 %] |",
        "|---|---:|---:|---|---|---|---|---|",
    ]
    for title, old, new in pairs:
        one = compare_groups(answers[old], answers[new], faces, column=COLUMN, space=faces.space)
        by_group = {change.group: change.comparison for change in one.changes}
        weak, other = by_group[WEAK], by_group[OTHER]
        cells = [title, f"{weak.accuracy.second:.4f}", f"{weak.accuracy.first:.4f}"]
        for group in (weak, other):
            change = reach(group.accuracy.difference, signed=True)
            cells += [change, p_value(group.mcnemar.p)]
        lines.append(f"| {' | '.join([*cells, reach(gap_change(one), signed=True)])} |")
    return lines


def gap_change(one: BiasReport) -> Interval:
    """Of the gap "other over weak", also where the network was better on the weak group."""
    assert one.gap_change is not None
    change = one.gap_change.gap.difference
    if one.gap_change.worst != WEAK:
        change = Interval(-change.value, -change.high, -change.low)
    return change


def mean_table(judged: Mapping[str, FaceSet], answers: Mapping[str, Answers]) -> list[str]:
    """Accuracy of each method, mean over the seeds."""
    heads = [f"{name}, {group}" for name in judged for group in (WEAK, OTHER, "gap")]
    lines = [f"| training | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    for method in METHODS:
        cells = []
        for name, faces in judged.items():
            right = np.mean([answers[name][method, seed] == faces.labels for seed in SEEDS], axis=0)
            weak = faces.groups[COLUMN] == WEAK
            shares = right[weak].mean(), right[~weak].mean()
            cells += [f"{share:.4f}" for share in (*shares, shares[1] - shares[0])]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def verdict_table(judged: Mapping[str, FaceSet], answers: Mapping[str, Answers]) -> list[str]:
    """How often a change is more than the chance of which pictures were judged."""
    lines = [
        "| training | judged on | weak better | weak worse | other better | other worse "
        "| gap smaller | gap larger |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for method in list(METHODS)[1:]:
        for name, faces in judged.items():
            changes = [compare(faces, answers[name], method, seed) for seed in SEEDS]
            cells = []
            for weak_other_gap, up_first in enumerate((True, True, False)):
                ups = sum(c[weak_other_gap].low > 0 for c in changes)
                downs = sum(c[weak_other_gap].high < 0 for c in changes)
                cells += [ups, downs] if up_first else [downs, ups]
            lines.append(f"| {method} | {name} | {' | '.join(map(str, cells))} |")
    return lines


def compare(
    faces: FaceSet, answers: Answers, method: str, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Change of the weak group, of the others and of the gap against the same seed before."""
    old, new = answers["before", seed], answers[method, seed]
    one = compare_groups(old, new, faces, column=COLUMN, space=faces.space)
    by_group = {c.group: c.comparison.accuracy.difference for c in one.changes}
    return by_group[WEAK], by_group[OTHER], gap_change(one)


def page(
    found: list[BiasReport],
    weak: tuple[str, str],
    learned: FaceSet,
    judged: Mapping[str, FaceSet],
    answers: Mapping[str, Answers],
) -> list[str]:
    rows = [
        f"### {name}: {faces.name}, {int((faces.groups[COLUMN] == WEAK).sum()):,} weak of "
        f"{len(faces):,}\n\n" + "\n".join(change_table(faces, answers[name])) + "\n"
        for name, faces in judged.items()
    ]
    return [
        TEXT.format(
            model=MODEL, found="\n".join(found_table(found)), column=weak[0], group=weak[1],
            learned=f"{len(learned):,}", steps=STEPS, epochs=EPOCHS, fewer=EPOCHS * 2 // 3,
            grown=f"{len(learned) * 3 // 2:,}", side=SIDE, batch=BATCH, unseen=f"{UNSEEN:,}",
            seeds=len(SEEDS), means="\n".join(mean_table(judged, answers)),
            verdict="\n".join(verdict_table(judged, answers)), rows="\n".join(rows),
        )
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fer2013", type=Path, help="FER2013 in any layout with its parts")
    parser.add_argument("--keep", type=Path, required=True, help="folder for what is finished")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.keep.mkdir(parents=True, exist_ok=True)
    faces = load_faces(options.fer2013)
    whole = without_blank(faces.take_part("Training"))
    public = annotate(faces.take_part("PublicTest"), whole)
    found, *weak = find_weak(public, options.keep)
    learned, unseen = draw_rows(mark(annotate(whole, whole), *weak))
    judged = {"PublicTest": mark(public, *weak), "unseen": unseen}
    answers = answer_all(learned, judged, options.keep)
    PAGE.write_text("\n".join(page(found, (weak[0], weak[1]), learned, judged, answers)), "utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
