"""Write docs/search/faces.md: what one change does to a face network in the same minutes.

python benchmarks/face_search.py FER2013.csv.gz --votes FER2013NEW.csv --keep runs/face-search

Every variant trains on Training for the same minutes of one thread's processor time, whatever else
computes, without the pictures that stand in PublicTest too, by one cycle of the learning rate over
that time; PublicTest judges the last weights, at the side that they were last trained at. What is
finished stays in results/face_search: the same command goes on after an interruption, or writes the
page again; --only NAME ... measures these alone. --keep is for unfinished networks.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import describe_machine, origin_line
from pages import DOCS, table

from classpulse.core.files import make_folder, save_text
from classpulse.core.records import Scores
from classpulse.lab.evaluate.metrics import evaluate_scores
from classpulse.lab.models.base import count_parameters
from classpulse.lab.recipe import Recipe, load_recipe, recipe_table
from classpulse.lab.train.augment import shrink
from classpulse.lab.train.checkpoint import save_state
from classpulse.lab.train.coteach import first_of
from classpulse.lab.train.epoch import Trained
from classpulse.lab.train.folder import BEST, RESOLVED
from classpulse.lab.train.loop import (
    OnTrainStep,
    RunState,
    Share,
    Training,
    draw_share,
    fit,
    train_steps,
)
from classpulse.lab.train.run import build_learner, build_training, predict_logits, prepare_all
from classpulse.lab.train.sources import FaceParts, load_parts
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels

PAGE = DOCS / "search" / "faces.md"
RESULTS = Path(__file__).parent / "results" / "face_search"
PIECE = 8  # steps between two looks at the clock
SIDE = 32  # pixels, of families that begin with nothing
BEGUN, TIMES = "begun", 2  # the network that labels and steps begin with had so many times longer
NOTHING = [
    "network={kind = 'residual-se', widths = [24, 48, 96, 192], stem = 12}",
    "augment.rotation=8",
    "augment.shift=0.06",
    "augment.erase=0.0",
    "augment.mixup_share=0.0",
    "augment.shear=0.0",
    "augment.zoom=[0.94, 1.08]",
    "data.dedup=true",
    "claims=[]",
    "rate.restarts=[]",
    f"schedule.sides=[[4, {SIDE}]]",
]
FURTHER = [*NOTHING, "rate.peak_lr=5e-4"]


def family(network: str, *changes: str) -> list[str]:
    """Another network, everything else the same."""
    return [*NOTHING, f"network={{{network}}}", *changes]


VARIANTS: dict[str, dict[str, list[str]]] = {
    "families": {
        "residual-se, width 24": NOTHING,
        "residual-se, width 48": family(
            "kind = 'residual-se', widths = [48, 96, 192, 384], stem = 24"
        ),
        "residual-se, width 16": family(
            "kind = 'residual-se', widths = [16, 32, 64, 128], stem = 8"
        ),
        "residual-se, CBAM": [*NOTHING, "network.gate='cbam'"],
        "residual-mask": family("kind = 'residual-mask', widths = [24, 48, 96, 192]"),
        "vgg-bn": family(
            "kind = 'vgg-bn', widths = [16, 32, 64, 128], hidden = 128",
            "schedule.sides=[[4, 48]]",
        ),
        "repvgg": family("kind = 'repvgg', stem = 24, widths = [32, 64, 128]"),
        "convnext": family("kind = 'convnext', widths = [24, 48, 96, 192]"),
        "residual-se, co-teaching": [*NOTHING, "coteach={forget = 0.1, ramp = 2}"],
        "residual-se, valence": [
            *NOTHING,
            "heads={emotion = 1.0, votes = 0.7, state = 0.3, valence = 0.3}",
        ],
    },
    "sides": {
        "40 px": [*NOTHING, "schedule.sides=[[4, 40]]"],
        "48 px": [*NOTHING, "schedule.sides=[[4, 48]]"],
        "24, 32, then 48 px": [*NOTHING, "schedule.sides=[[2, 24], [1, 32], [1, 48]]"],
    },
    "labels": {
        "nothing changed": FURTHER,
        "no smoothing": [*FURTHER, "schedule.label_smoothing=0.0"],
        "smoothing .2": [*FURTHER, "schedule.label_smoothing=0.2"],
        "votes half of the label": [*FURTHER, "labels={votes = 0.5}"],
        "copies one target": [*FURTHER, 'labels={repeats = "mean"}'],
        "generalized cross-entropy": [*FURTHER, 'loss={kind = "generalized", q = 0.5}'],
    },
    "steps": {
        "the same training": FURTHER,
        "focal loss": [*FURTHER, 'loss={kind = "focal"}'],
        "taught by face-flagship": [
            *FURTHER,
            'teach={teachers = ["face-flagship"], share = 0.5}',
        ],
        "sharpness-aware": [*FURTHER, "sharpness={rho = 0.05, every = 2}"],
        "mean of the last half": [*FURTHER, "averaging={decay = 1.0, last = 2}"],
        "moving average .998": [*FURTHER, "averaging={decay = 0.998}"],
        "mixup": [*FURTHER, "augment.mixup_share=0.5"],
        "cutmix": [*FURTHER, "augment.cutmix_share=0.5"],
        "stronger changes": [
            *FURTHER,
            "augment.rotation=15",
            "augment.shift=0.12",
            "augment.erase=0.5",
        ],
    },
}
"""Table -> variant -> KEY=VALUE words that change the recipe face-base."""
BEGIN_LATER = ("labels", "steps")

TEXT = """# What was tried for the face models

Written by `python benchmarks/face_search.py`; do not edit. Another machine sees more or fewer
faces in the same minutes, so rows are compared within a table, which has one machine.

Every row trained for {minutes:g} minutes of one thread's processor time: a cheap network sees more
faces in them, which is the point. The networks have about a quarter of the weights of those that
ship, so that the minutes are some epochs. One seed each: differences below a point are chance. A
face and its mirror image are averaged, at the side of the last epoch; Training is without the
pictures that stand in PublicTest too. Whole trainings, which take hours, are in LOG.md.
"""
HEADS = {
    "families": f"Networks that begin with nothing, {SIDE} px (vgg-bn: 48, its only side)",
    "sides": "Sides of the pictures, residual-se of width 24",
    "labels": f"Labels and losses, beginning with a residual-se that had {TIMES} times the minutes",
    "steps": "Teachers, steps and changes of pictures, beginning with another such network",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--votes", type=Path, required=True)
    parser.add_argument("--keep", type=Path, required=True, help="folder of unfinished networks")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--only", nargs="*", help="variants, by name")
    options = parser.parse_args()
    known = [name for variants in VARIANTS.values() for name in variants]
    if strange := sorted({*(options.only or ())} - {*known}):
        sys.exit(f"--only {strange[0]!r}: there is no such variant; known: {', '.join(known)}")
    torch.set_num_threads(1)
    parts = load_parts(
        load_recipe("face-base", changes=["data.dedup=true"]),
        {"fer2013": options.data},
        options.votes,
    )
    for group, variants in VARIANTS.items():
        for name, changes in variants.items():
            if options.only is None or name in options.only:
                recipe = load_recipe("face-base", changes=changes)
                if group in BEGIN_LATER:
                    recipe = replace(recipe, start=str(begin(parts, options)))
                print(group, name, measure(parts, name, recipe, options), flush=True)
    save_text(page(read_results()), PAGE)
    print(PAGE)


def begin(parts: FaceParts, options: argparse.Namespace) -> Path:
    """The run that further variants begin with, trained if it is not there."""
    run = options.keep / BEGUN
    if not (run / BEST).exists():
        recipe = load_recipe("face-base", changes=NOTHING)
        network, _ = train(parts, recipe, TIMES * options.minutes, run.with_suffix(".pt"))
        make_folder(run)
        save_text(json.dumps(recipe_table(recipe)), run / RESOLVED)
        save_state(network.state_dict(), run / BEST)
    return Path(run)


def measure(
    parts: FaceParts, name: str, recipe: Recipe, options: argparse.Namespace
) -> dict[str, Any]:
    """Numbers of one training, read back if they are there."""
    file = RESULTS / f"{slug(name)}.json"
    if file.exists():
        return read_back(file, minutes=options.minutes)
    checkpoint = options.keep / f"{slug(name)}.pt"
    network, seen = train(parts, recipe, options.minutes, checkpoint)
    found = {
        "name": name,
        "minutes": options.minutes,
        "epochs": round(seen * recipe.schedule.batch / len(parts.train), 2),
        "parameters": count_parameters(network),
        **judge(network, parts, recipe),
        **describe_machine(),
    }
    make_folder(RESULTS)
    save_text(json.dumps(found), file)
    return found


def train(
    parts: FaceParts, recipe: Recipe, minutes: float, checkpoint: Path
) -> tuple[torch.nn.Module, int]:
    """The network after so many minutes, and the steps that it took."""
    data = build_training(parts.train, recipe)
    learner = build_learner(recipe, data.x)
    checkpoint.unlink(missing_ok=True)  # half a variant: its minutes begin anew
    seconds, seen = 60 * minutes / recipe.schedule.epochs, [0]
    network = learner
    for epoch in fit(
        learner,
        data,
        recipe,
        checkpoint,
        validate=lambda model, side: {},
        train_one=timed(seconds, seen),
    ):
        print(" ", checkpoint.stem, epoch.number, round(epoch.loss, 3), flush=True)
        network = epoch.model
    checkpoint.unlink()
    return first_of(network), seen[0]


def read_back(file: Path, *, minutes: float) -> dict[str, Any]:
    """A finished variant, if it had the same time."""
    found: dict[str, Any] = json.loads(file.read_text())
    if found["minutes"] != minutes:
        sys.exit(
            f"{file} is of {found['minutes']:g} minutes, not {minutes:g}, and rows are compared by "
            "equal time: give --minutes as before, or delete it"
        )
    return found


def timed(seconds: float, seen: list[int]) -> Callable[..., Trained]:
    """An epoch of so much processor time, whatever share of the pictures that is; counts its steps.

    Not by the clock: beside other trainings a variant would see fewer faces than one alone.
    """

    def train_one(
        run: RunState, data: Training, recipe: Recipe, number: int, on_step: OnTrainStep | None
    ) -> Trained:
        start, total, steps, at = time.process_time(), 0.0, 0, 0
        batches = draw_share(run, data, recipe, number).batches
        while (passed := (time.process_time() - start) / seconds) < 1:
            if at >= len(batches):
                batches, at = draw_share(run, data, recipe, number).batches, 0
            piece = batches[at : at + PIECE]
            lr = run.rate.lr_at(number - 1 + passed)
            share = Share(number, piece, (lr,) * len(piece))
            for loss in train_steps(
                run.model, run.optimizer, data, recipe, share, generator=run.generator
            ):
                run.average_in(recipe, number, after="step")
                total, steps = total + loss, steps + 1
            at += PIECE
        seen[0] += steps
        return Trained(total / steps)

    return train_one


def judge(network: torch.nn.Module, parts: FaceParts, recipe: Recipe) -> dict[str, Any]:
    """Accuracy with its interval, and macro F1, of every head on PublicTest."""
    _, side = recipe.schedule.sides[-1]  # few epochs at one side hardly teach another
    x = shrink(prepare_all(parts.valid, recipe.input), side)
    logits = predict_logits(network, x, flip=True)
    found: dict[str, Any] = {}
    for head, values in logits.items():
        truth = hard_labels(parts.valid, head)
        known = truth >= 0
        probs = np.ascontiguousarray(torch.softmax(values.float(), dim=1).numpy()[known])
        scores = evaluate_scores(Scores(probs, HEAD_SPACES[head]), truth[known])
        one = scores.accuracy
        found[head] = {
            "accuracy": [one.value, one.low, one.high],
            "macro_f1": scores.macro_f1.value,
        }
    return found


def slug(name: str) -> str:
    """A file's name for a variant."""
    return "".join(c if c.isalnum() else "-" for c in name)


def read_results() -> dict[str, dict[str, Any]]:
    """Finished variants by name."""
    found = (json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json")))
    return {one["name"]: one for one in found}


def page(results: dict[str, dict[str, Any]]) -> str:
    """One table for each question."""
    one = next(iter(results.values()))
    said = [TEXT.format(minutes=one["minutes"])]
    for group, variants in VARIANTS.items():
        found = [results[name] for name in variants if name in results]
        rows = [row(each) for each in found]
        if rows:
            said.append(f"## {HEADS[group]}\n")
            said.append(f"{origin_line(*found)}.\n")
            said.append(
                table(
                    "variant | parameters | epochs | seven emotions | macro F1 | FER+ | states",
                    rows,
                )
                + "\n"
            )
    return "\n".join(said)


def row(found: dict[str, Any]) -> list[str]:
    value, low, high = found["emotion"]["accuracy"]
    return [
        found["name"],
        f"{found['parameters']:,}",
        f"{found['epochs']:.1f}",
        f"{value:.4f} [{low:.4f}, {high:.4f}]",
        f"{found['emotion']['macro_f1']:.4f}",
        f"{found['votes']['accuracy'][0]:.4f}",
        f"{found['state']['accuracy'][0]:.4f}",
    ]


if __name__ == "__main__":
    main()
