"""Train, evaluate and look at one face recipe from Python, with the verbs of the source.

learner = Learner("aied-b16-n4-fc1-k3", paths={"fer2013": csv}, votes=votes, run=Path("run"))
learner.fit()  # or epoch by epoch: learner.train_one_epoch()
learner.print_metrics("test")
save_figure(learner.plot_confusion("test"), Path("confusion.png"))

The source is the A.I.ducation Analytics project, whose learner couples loaders and a model. This
one couples a recipe, its data and the folder of a run, and trains with `train_parts` as the command
does: the same checkpoints, the same logs, the same weights.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from classpulse.core.errors import InputError
from classpulse.core.records import Scores
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate.metrics import Evaluation, describe_rates, evaluate_scores
from classpulse.lab.evaluate.plots import draw_confusion
from classpulse.lab.evaluate.plots_log import draw_loss_curves, draw_metric_curves
from classpulse.lab.recipe import Recipe, load_recipe
from classpulse.lab.train.checkpoint import load_weights, save_state
from classpulse.lab.train.epoch import EpochResult
from classpulse.lab.train.folder import BEST, check_run
from classpulse.lab.train.logs import LOG, Row, read_log, save_log
from classpulse.lab.train.loop import OnTrainStep
from classpulse.lab.train.run import build_network, predict_logits, prepare_images, train_parts
from classpulse.lab.train.sources import FaceParts, load_parts
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = ("train", "valid", "test")
Images = NDArray[np.uint8]


class Learner:
    """A recipe, its data, and the folder where it is trained as `train_parts` does it."""

    def __init__(
        self,
        recipe: Recipe | str,
        *,
        paths: Mapping[str, Path],
        run: Path,
        votes: Path | None = None,
        groups: Path | None = None,
        resume: bool = False,
        on_step: OnTrainStep | None = None,
        tensorboard: bool = False,
    ) -> None:
        """Nothing is read or written yet, only checked.

        Args:
            recipe: one of yours, or what `load_recipe` takes: a name or a path.
            paths, votes, groups: as `load_parts` takes them.
            run: folder of the run; need not exist.
            resume: go on with the run that is there.
            on_step, tensorboard: as `train_parts` takes them.

        Raises:
            InputError: no such recipe, there is a run and `resume` is not set, or the run is of
                another recipe.
        """
        self.recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
        self.run = run
        self._sources = dict(paths), votes, groups
        self._how = on_step, tensorboard
        self._network: nn.Module | None = None
        self._epochs: Iterator[EpochResult] | None = None
        self._resume = resume
        check_run(run, self.recipe, resume=resume)

    @cached_property
    def parts(self) -> FaceParts:
        """What it learns from, what chooses the epoch, and what judges it; read on first use."""
        paths, votes, groups = self._sources
        return load_parts(self.recipe, paths, votes, groups=groups)

    def take_part(self, part: str) -> FaceSet:
        """The faces of "train", "valid" or "test".

        Raises:
            InputError: another word, or the split of the recipe has no such part.
        """
        faces = getattr(self.parts, part) if part in PARTS else None
        if faces is None:
            has = [name for name in PARTS if getattr(self.parts, name) is not None]
            raise InputError(
                f"no part '{part}' in the split '{self.recipe.data.split}': it has {', '.join(has)}"
            )
        return faces

    @property
    def network(self) -> nn.Module:
        """What was trained or loaded last; `InputError` if neither has happened."""
        if self._network is None:
            raise InputError(
                "there is no trained network yet: call fit, train_one_epoch, or load for the best "
                "weights of the run"
            )
        return self._network

    def save(self, path: Path) -> Path:
        """Write the weights of `network`; the run keeps its own, in `checkpoint.pt` and `best.pt`.

        Raises:
            InputError: nothing is trained or loaded.
            OutputError: as `save_state`.
        """
        save_state(self.network.state_dict(), path)
        return path

    def load(self, path: Path | None = None) -> None:
        """Take weights from a file into a new `network`; a training that goes on keeps its own.

        Args:
            path: of `save`; None is the best epoch of the run. Errors as `load_weights`.
        """
        network = build_network(self.recipe)
        load_weights(network, path or self.run / BEST)
        self._network = network

    def train_one_epoch(self) -> EpochResult:
        """Train for one more epoch and validate; `network` is what was validated.

        Raises:
            InputError: the run is over, or as `train_parts`.
        """
        result = next(self._training(), None)
        if result is None:
            raise InputError(f"the run in {self.run} is over: {len(self.load_log())} epochs")
        self._network = result.epoch.model
        return result

    def fit(self, on_epoch: Callable[[EpochResult], None] | None = None) -> list[Row]:
        """Train all epochs that are left, validating after each; then `network` is the best.

        Returns:
            The whole log. Errors as `train_parts`.
        """
        for result in self._training():
            if on_epoch is not None:
                on_epoch(result)
        self.load()
        return self.load_log()

    def _training(self) -> Iterator[EpochResult]:
        if self._epochs is None:
            on_step, tensorboard = self._how
            self._epochs = train_parts(
                self.recipe,
                self.parts,
                out=self.run,
                resume=self._resume,
                on_step=on_step,
                tensorboard=tensorboard,
            )
        return self._epochs

    def load_log(self, path: Path | None = None) -> list[Row]:
        """The rows of a log, None is that of the run; `InputError` if there is none."""
        return read_log(path or self.run / LOG)

    def save_log(self, path: Path) -> Path:
        """Copy the log of the run; errors as `load_log` and `logs.save_log`."""
        return save_log(self.load_log(), path)

    def predict(self, images: Images, *, flip: bool = False) -> dict[str, Scores]:
        """Probabilities of every head, not calibrated: that is what `publish` does.

        Args:
            images: (n, h, w) grey or (n, h, w, 3) RGB uint8 face crops, n of 1 or more.
            flip: average over each picture and its mirror image, as artefacts of a recipe with
                `flip` do; the log is without.

        Raises:
            InputError: nothing is trained or loaded.
            ShapeError: pictures of another kind, or none.
        """
        x = prepare_images(images, self.recipe.input)
        logits = predict_logits(self.network, x, flip=flip)
        return {
            head: Scores(torch.softmax(values, dim=1).numpy(), HEAD_SPACES[head])
            for head, values in logits.items()
        }

    def evaluate(self, part: str = "valid", *, flip: bool = False) -> dict[str, Evaluation]:
        """Numbers of every head on "train", "valid" or "test", with 95 % intervals.

        Args:
            flip: as in `predict`.

        Raises:
            InputError: nothing is trained or loaded, or there is no such part.
        """
        faces = self.take_part(part)
        scores = self.predict(faces.images, flip=flip)
        return {head: evaluate_scores(s, hard_labels(faces, head)) for head, s in scores.items()}

    def describe_metrics(self, part: str = "valid", *, flip: bool = False) -> str:
        """`evaluate` as text: averages of every head, then the rates of each label."""
        faces, found = self.take_part(part), self.evaluate(part, flip=flip)
        blocks = [describe_rates(head, one) for head, one in found.items()]
        return "\n\n".join([f"{self.recipe.name} on {faces.name}", *blocks])

    def print_metrics(
        self, part: str = "valid", *, flip: bool = False, file: TextIO | None = None
    ) -> None:
        """Write `describe_metrics` to a stream; None is standard output."""
        (file or sys.stdout).write(self.describe_metrics(part, flip=flip) + "\n")

    def plot_loss(self) -> "Figure":
        """Training and validation loss by epoch."""
        return draw_loss_curves(self.load_log())

    def plot_metrics(self) -> "Figure":
        """Micro F1, which is accuracy here, and macro F1 of the validation part by epoch."""
        return draw_metric_curves(self.load_log())

    def plot_confusion(self, part: str = "valid", *, head: str | None = None) -> "Figure":
        """Which labels are taken for which.

        Args:
            part: as in `evaluate`.
            head: None is the first of the recipe.

        Raises:
            InputError: the recipe has no such head, or as `evaluate`.
        """
        wanted = head or next(iter(self.recipe.heads))
        if wanted not in self.recipe.heads:
            raise InputError(
                f"no head '{wanted}' in recipe {self.recipe.name}: {', '.join(self.recipe.heads)}"
            )
        return draw_confusion(self.evaluate(part)[wanted].confusion, HEAD_SPACES[wanted].names)
