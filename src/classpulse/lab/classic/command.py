"""`classpulse classic`: fit a recipe, judge it, and write it as an artefact."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from classpulse.core.card import Head, Metric, ModelCard, load_card
from classpulse.core.errors import InputError, ModelError
from classpulse.core.files import new_folder
from classpulse.core.labels import FER2013_7
from classpulse.core.records import Scores
from classpulse.lab.classic.fit import HEAD, Fitted, Labels, count_learned, fit_pipeline
from classpulse.lab.classic.front import Images
from classpulse.lab.classic.graph import build_graph, check_written
from classpulse.lab.classic.kinds import PIXELS
from classpulse.lab.classic.recipe import ClassicRecipe, classic_table
from classpulse.lab.commit import source_commit
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.evaluate.regression import score_throughput
from classpulse.lab.export import OPEN_GATE, output_name, save_artefact
from classpulse.lab.judge import judge_answers
from classpulse.lab.parallel.workers import Workers, open_pool, read_clocks
from classpulse.lab.publish import LIMITS
from classpulse.lab.train.sources import load_roles
from classpulse.lab.train.targets import hard_labels
from classpulse.runtime.model import OnnxModel, find_model

PARITY = 1e-3  # largest difference of a probability between the pipeline and its graph
PARITY_ROWS = 256
FLIPPED = 0.02  # share of rows beyond it: a vote of two classes may turn where they are equal


@dataclass(frozen=True, slots=True)
class Judged:
    """A fitted pipeline with its numbers.

    Args:
        fitted: the pipeline.
        metrics: accuracy and macro F1 on every judged part.
        mse: of the probabilities against 0 and 1 on the first of them (paper, eq. 20).
        per_second: pictures that are answered in a second of processor time (paper, eq. 19).
        card: of the artefact; None if none was written.
        workers: processes that shared the work.
    """

    fitted: Fitted
    metrics: tuple[Metric, ...]
    mse: float
    per_second: float
    card: ModelCard | None
    workers: int = 1


def run_classic(
    recipe: ClassicRecipe,
    *,
    paths: Mapping[str, Path],
    out: Path | None = None,
    workers: int = 1,
) -> Judged:
    """Fit a recipe on its training part and judge it on the others.

    Args:
        paths: as `load_parts` takes them.
        out: folder of the artefact, new or empty; None measures alone.
        workers: processes that make the features and train the machine, to the same bits; one is
            this process.

    Raises:
        InputError: data that are missing, malformed or too few, a split without a part to judge
            on, no workers, or a pipeline that is to be written and has no ONNX form.
        OutputError: the folder cannot be written.
        ModelError: an artefact that is asked for an embedding cannot be used, or the graph answers
            otherwise than the pipeline.
    """
    if out is not None:
        check_written(recipe)
    parts = load_roles(
        recipe.data, paths, None, head=HEAD, seed=recipe.seed, name=recipe.name, needed=("train",)
    )
    train = parts["train"]
    judged = [parts[role] for role in ("test", "valid") if role in parts]
    if not judged:
        raise InputError(
            f"the split '{recipe.data.split}' of recipe {recipe.name} leaves nothing to judge it "
            "on: choose another protocol, or give the whole data set"
        )
    with open_pool(workers) as pool:
        fitted = fit_pipeline(recipe, train.images, hard_labels(train, HEAD), FER2013_7, pool=pool)
        metrics, mse, speed = _judge(fitted, train, judged, pool)
    card = None if out is None else _write(fitted, metrics, train, judged, out)
    return Judged(fitted, metrics, mse, speed, card, workers)


def _judge(
    fitted: Fitted, train: FaceSet, judged: list[FaceSet], pool: Workers | None
) -> tuple[tuple[Metric, ...], float, float]:
    """Metrics, squared error of the probabilities, and pictures per second of processor time."""
    answers: list[Scores] = []
    seconds: list[float] = []

    def answer(images: Images) -> Mapping[str, Scores]:
        start = read_clocks(pool)[1]
        scores = fitted.predict(images, pool=pool)
        seconds.append(read_clocks(pool)[1] - start)
        answers.append(scores[HEAD])
        return scores

    metrics = tuple(judge_answers(answer, judged, train=train))
    mse = _squares(answers[0], hard_labels(judged[0], HEAD))
    return metrics, mse, score_throughput([sum(seconds)], sum(map(len, judged))).value


def describe_classic(found: Judged) -> str:
    """Text: dimensions, times and numbers."""
    one = found.fitted
    lines = [
        f"{one.recipe.features.kind}: {one.features:,} features, {one.reduced:,} after "
        f"{one.recipe.reduction.kind}; {one.rows:,} training rows; temperature {one.temperature}",
        f"processor seconds: features {one.seconds['features']:.1f}, fit {one.seconds['fit']:.1f}; "
        f"prediction {found.per_second:.1f} pictures a second",
        f"seconds by the clock, {found.workers} worker{'s' if found.workers > 1 else ''}: "
        f"features {one.clock['features']:.1f}, fit {one.clock['fit']:.1f}",
    ]
    lines += [f"search: {', '.join(f'{k} {v:g}' for k, v in one.best.items())}"] if one.best else []
    lines += [
        f"{m.name:<24} {m.value:.4f} [{m.low:.4f}, {m.high:.4f}] n = {m.n}  {m.data}"
        for m in found.metrics
    ]
    return "\n".join([*lines, f"{'mse of probabilities':<24} {found.mse:.4f}"])


def classic_json(found: Judged) -> dict[str, Any]:
    """The same as plain values."""
    one = found.fitted
    return {
        "recipe": classic_table(one.recipe),
        "features": one.features,
        "reduced": one.reduced,
        "rows": one.rows,
        "temperature": one.temperature,
        "cpu_seconds": {name: round(value, 3) for name, value in one.seconds.items()},
        "workers": found.workers,
        "clock_seconds": {name: round(value, 3) for name, value in one.clock.items()},
        "per_second": round(found.per_second, 2),
        "search": dict(one.best),
        "mse": round(found.mse, 5),
        "metrics": [dataclasses.asdict(metric) for metric in found.metrics],
    }


def _squares(scores: Scores, truth: Labels) -> float:
    known = truth >= 0
    wanted = np.eye(len(scores.space))[truth[known]]
    return float(((scores.probs[known] - wanted) ** 2).mean())


def _write(
    fitted: Fitted,
    metrics: tuple[Metric, ...],
    train: FaceSet,
    judged: list[FaceSet],
    out: Path,
) -> ModelCard:
    content = build_graph(fitted).SerializeToString()
    card = _card(fitted, metrics, train, hashlib.sha256(content).hexdigest())
    sample = judged[0].images[:PARITY_ROWS]
    with new_folder(out) as folder:
        (folder / "model.onnx").write_bytes(content)
        save_artefact(folder, card)
        _need_parity(fitted, OnnxModel(str(folder)), sample)
    return card


def _need_parity(fitted: Fitted, written: OnnxModel, images: Images) -> None:
    wanted, found = fitted.predict(images)[HEAD].probs, predict_heads(written, images)[HEAD].probs
    gaps = np.abs(wanted - found).max(axis=1)
    if (gaps > PARITY).mean() > FLIPPED:
        raise ModelError(
            f"the graph of {fitted.recipe.name} differs from the pipeline by {gaps.max():.1e} on "
            f"{(gaps > PARITY).mean():.0%} of the pictures: nothing was written"
        )


def _card(fitted: Fitted, metrics: tuple[Metric, ...], train: FaceSet, sha256: str) -> ModelCard:
    recipe = fitted.recipe
    own = _network_card(recipe)
    head = Head(HEAD, output_name(HEAD), fitted.space.name, fitted.temperature)
    others = [one for one in own.heads if one.name != HEAD] if own else []
    learned = f"{train.name}: {fitted.rows:,} pictures for the machine, others for the temperature"
    made = f"; embedding of {own.name}, which learned from {own.trained_on}" if own else ""
    return ModelCard(
        name=recipe.name,
        summary=recipe.summary,
        input=recipe.input,
        heads=(head, *others),
        gate=dataclasses.replace(own.gate, min_confidence=0.0) if own else OPEN_GATE,
        metrics=metrics,
        trained_on=learned + made,
        licence="Apache-2.0 (our weights); rights to the FER2013 pictures are unresolved",
        limits=(*_network_limits(own), *LIMITS),
        recipe=recipe.name,
        commit=source_commit(),
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        sha256=sha256,
        parameters=count_learned(fitted.back) + (own.parameters if own else 0),
    )


def _network_card(recipe: ClassicRecipe) -> ModelCard | None:
    """Of the embedding network, if there is one."""
    if recipe.features.kind == PIXELS:
        return None
    return load_card(find_model(recipe.features.settings.model) / "card.json")


def _network_limits(own: ModelCard | None) -> tuple[str, ...]:
    if own is None:
        return ()
    others = [head.name for head in own.heads if head.name != HEAD]
    return (
        f"Pictures from which {own.name} learned are no test of what is made of its embedding.",
        f"The heads {', '.join(others) or 'none'} are those of {own.name}, here not measured anew.",
        "The gate is that network's, without a limit of confidence.",
    )
