"""Train a small network on drawn faces, measure it and plot how it went.

    python examples/06_learner.py [folder]

You learn: a `Learner` couples a recipe, its data and the folder of a run, and trains as the command
`classpulse train` does. Your own face crops would stand in such folders. Needs the extra `lab`.
"""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from classpulse.lab.evaluate.figures import save_figure
from classpulse.lab.recipe import load_recipe
from classpulse.lab.train.learner import Learner

MOUTHS = {"angry": (180, 360), "bored": (90, 180), "focused": (0, 360), "neutral": (0, 180)}
SMALL = "network.widths=[16,16,32,32] network.stem=8 network.blocks=1 data.split=aieducation "
SMALL += "input.width=24 input.height=24 schedule.sides=[[8,24]] schedule.batch=16 rate.restarts=[]"


def main(folder: Path) -> None:
    for label, arc in MOUTHS.items():
        (folder / "faces" / label).mkdir(parents=True)
        for i in range(80):
            image = np.random.default_rng(i).integers(100, 200, (48, 48), np.uint8)
            cv2.ellipse(image, (24, 34), (5 + i % 6, 5 + i % 5), 0, *arc, 20, 2)
            cv2.imwrite(str(folder / "faces" / label / f"{i:02d}.png"), image)
    recipe = replace(load_recipe("face-base", changes=SMALL.split()), heads={"state": 1.0})
    learner = Learner(recipe, paths={"fer2013": folder / "faces"}, run=folder / "run")
    learner.fit(lambda result: print(result.describe(8)))
    learner.print_metrics("test")
    save_figure(learner.plot_metrics(), folder / "metrics.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "learner"))
