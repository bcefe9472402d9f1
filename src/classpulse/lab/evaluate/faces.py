"""Evaluate face models on a labelled set, side by side on the same pictures."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace
from classpulse.core.records import Interval, Scores
from classpulse.lab.data.faces import KINDS, FaceSet, truth_in
from classpulse.lab.evaluate.calibration import PLAIN, Calibration
from classpulse.lab.evaluate.classification import ClassReport, score_classes
from classpulse.lab.evaluate.compare import compare_models
from classpulse.lab.evaluate.groups import GroupReport, score_groups
from classpulse.lab.evaluate.metrics import Evaluation, evaluate_scores
from classpulse.lab.evaluate.predictors import FacePredictor, Found, scores_in
from classpulse.lab.evaluate.ranking import Auroc, RiskCoverage, risk_coverage, score_auroc
from classpulse.lab.evaluate.regression import score_throughput
from classpulse.lab.evaluate.report_sections import p_value
from classpulse.lab.evaluate.robustness import DEGRADATIONS, RobustnessRow, robustness_curves
from classpulse.lab.terminal import OnStep

CHUNK = 256  # pictures between two calls of `on_step`


@dataclass(frozen=True, slots=True)
class Measured:
    """What the models said, before anything is computed from it.

    Args:
        names: the model, then its rivals.
        sources: what exactly answered, for each.
        found: scores of each model, as its `predict` gives them.
        seconds: time each model took for all pictures.
        calibrations: of the first model, by label space.
    """

    faces: FaceSet
    names: tuple[str, ...]
    sources: tuple[str, ...]
    found: tuple[Found, ...]
    seconds: tuple[float, ...]
    calibrations: dict[str, Calibration]


def measure(
    models: Sequence[FacePredictor], faces: FaceSet, *, on_step: OnStep | None = None
) -> Measured:
    """Ask every model about every picture.

    Raises:
        InputError: no pictures, or two models of one name.
        ModelError: a model failed.
    """
    names = tuple(model.name for model in models)
    if not len(faces):
        raise InputError(f"{faces.name} has no pictures")
    if len(set(names)) < len(names):
        raise InputError(f"models are compared by name, give each once: {', '.join(names)}")
    found, seconds = [], []
    for model in models:
        start = time.perf_counter()
        found.append(_predict(model, faces.images, on_step))
        seconds.append(time.perf_counter() - start)
    sources = tuple(model.source for model in models)
    calibrations = dict(models[0].calibrations)
    return Measured(faces, names, sources, tuple(found), tuple(seconds), calibrations)


def _predict(model: FacePredictor, images: NDArray[np.uint8], on_step: OnStep | None) -> Found:
    parts: list[Found] = []
    for start in range(0, len(images), CHUNK):
        parts.append(model.predict(images[start : start + CHUNK]))
        if on_step is not None:
            on_step(model.name, min(start + CHUNK, len(images)), len(images))
    return tuple(
        Scores(np.concatenate([scores.probs for scores in same]), same[0].space)
        for same in zip(*parts, strict=True)
    )


def choose_kinds(measured: Measured, wanted: Sequence[str] = ()) -> dict[str, LabelSpace]:
    """Kinds of labels to evaluate: those wanted, else all that both the data and the model have.

    Besides `KINDS` there is the data's own label space, under its name.

    Raises:
        InputError: an unknown kind, or one that the data or the model does not have.
    """
    faces, model = measured.faces, measured.names[0]
    known = dict(KINDS)
    if faces.space not in KINDS.values():
        known[faces.space.name] = faces.space
    for kind in wanted:
        if kind not in known:
            raise InputError(f"unknown labels '{kind}'; of {faces.name}: {', '.join(known)}")
    reasons = {kind: _why_not(measured, known[kind]) for kind in wanted or known}
    for why in reasons.values():
        if why and wanted:
            raise InputError(why)
    chosen = {kind: known[kind] for kind, why in reasons.items() if not why}
    if not chosen:
        raise InputError(f"{model} and {faces.name} share no kind of labels: {reasons}")
    return chosen


def _why_not(measured: Measured, space: LabelSpace) -> str:
    """Why this kind cannot be evaluated; empty if it can."""
    try:
        labelled = (truth_in(measured.faces, space) >= 0).any()
    except InputError as error:
        return str(error)
    if not labelled:
        return f"no face of {measured.faces.name} has a label in {space.name}"
    if scores_in(measured.found[0], space) is None:
        answers = ", ".join(scores.space.name for scores in measured.found[0])
        return f"{measured.names[0]} answers in {answers}; no rule leads to {space.name}"
    return ""


def evaluation_json(measured: Measured, kinds: dict[str, LabelSpace]) -> dict[str, Any]:
    """Plain values: the first kind's numbers at the top, every kind under `kinds`."""
    by_kind = {kind: _evaluate_kind(measured, space) for kind, space in kinds.items()}
    first = next(iter(by_kind))
    return {
        "model": measured.names[0],
        "data": measured.faces.name,
        "data_sha256": measured.faces.sha256,
        "kind": first,
        **by_kind[first],
        "kinds": by_kind,
        "throughput": asdict(score_throughput([measured.seconds[0]], len(measured.faces))),
        "models": dict(zip(measured.names, measured.sources, strict=True)),
    }


def _evaluate_kind(measured: Measured, space: LabelSpace) -> dict[str, Any]:
    return compare_scores(
        measured.names,
        [scores_in(found, space) for found in measured.found],
        truth_in(measured.faces, space),
        space,
        calibration=measured.calibrations.get(space.name, PLAIN),
        people=_people(measured.faces),
    )


def _people(faces: FaceSet) -> NDArray[np.str_] | None:
    """(n,) who is in each picture, or None where no set says; somebody unknown is nobody else."""
    if faces.subject is None:
        return None
    alone = np.char.add("row ", np.arange(len(faces)).astype(np.str_))
    return np.where(faces.subject == "", alone, faces.subject)


def compare_scores(
    names: Sequence[str],
    answers: Sequence[Scores | None],
    truth: NDArray[np.int64],
    space: LabelSpace,
    *,
    calibration: Calibration,
    people: NDArray[np.str_] | None = None,
) -> dict[str, Any]:
    """Plain values: the first model's numbers, its rivals', and paired tests against them.

    Args:
        names: of the models.
        answers: their scores in `space`; None of a rival that does not answer in it.
        truth: (n,) labels, -1 where there is none.
        calibration: inside the first model's scores.
        people: (n,) who is in each row; if known, intervals resample people, not rows.
    """
    scores = answers[0]
    assert scores is not None  # `choose_kinds` saw to it
    raw = calibration.undo(scores.probs)
    first = evaluate_scores(scores, truth, raw=raw, clusters=people)
    plain = _plain(first, space)
    if people is not None:
        plain["people"] = len(np.unique(people[truth >= 0]))
    rivals = {
        name: (other, evaluate_scores(other, truth, clusters=people))
        for name, other in zip(names[1:], answers[1:], strict=True)
        if other is not None
    }
    plain["rivals"] = {name: _plain(result, space) for name, (_, result) in rivals.items()}
    plain["comparisons"] = {
        name: asdict(compare_models(truth, scores.top, other.top, len(space), clusters=people))
        for name, (other, _) in rivals.items()
    }
    return plain


def _plain(result: Evaluation, space: LabelSpace) -> dict[str, Any]:
    return {
        "space": space.name,
        "n": result.n,
        "accuracy": round(result.accuracy.value, 4),
        "accuracy_interval": _ends(result.accuracy),
        "macro_f1": round(result.macro_f1.value, 4),
        "macro_f1_interval": _ends(result.macro_f1),
        "ece": round(result.ece, 4),
        "ece_uncalibrated": round(result.ece_uncalibrated, 4),
        "labels": list(space.names),
        "confusion": result.confusion.tolist(),
        "per_class": result.per_class,
    }


def _ends(interval: Interval) -> list[float]:
    return [round(interval.low, 4), round(interval.high, 4)]


# --- what only a report shows ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Details:
    """One kind of labels in the first model's answers, computed once for tables and plots."""

    classes: ClassReport
    auroc: Auroc
    selective: RiskCoverage
    groups: tuple[GroupReport, ...]


def score_details(measured: Measured, space: LabelSpace) -> Details:
    """Averages, AUROC, risk and coverage, and groups of one kind."""
    truth, scores = truth_in(measured.faces, space), scores_in(measured.found[0], space)
    assert scores is not None
    groups = (
        score_groups(column, values.tolist(), truth, scores.top, len(space))
        for column, values in measured.faces.groups.items()
    )
    return Details(
        classes=score_classes(truth, scores.top, space.names),
        auroc=score_auroc(scores.probs, truth, space.names),
        selective=risk_coverage(scores.probs, truth),
        groups=tuple(groups),
    )


def measure_robustness(
    model: FacePredictor,
    faces: FaceSet,
    space: LabelSpace,
    *,
    sample: int,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> list[RobustnessRow]:
    """The curves on a random sample of the pictures that have a label in `space`."""
    known = np.flatnonzero(truth_in(faces, space) >= 0)
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(known)[:sample])
    some = faces.take(chosen, name=faces.name)
    whole = sum(1 + len(DEGRADATIONS.get(name).levels) for name in DEGRADATIONS)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores = scores_in(model.predict(images), space)
        assert scores is not None
        return scores.probs

    rows = []
    for row in robustness_curves(predict, some.images, truth_in(some, space), seed=seed):
        rows.append(row)
        if on_step is not None:
            on_step("spoiled pictures", len(rows), whole)
    return rows


# --- text --------------------------------------------------------------------------------------


def describe_evaluation(results: dict[str, Any]) -> str:
    """A table of every model and kind with paired tests, then the model's confusion matrices."""
    width = max(len(name) for name in results["models"]) + 1
    rivals = [name for name in results["models"] if name != results["model"]]
    lines = [f"{results['model']} on {results['data']}", "", _row(width)]
    for kind, one in results["kinds"].items():
        lines.append(_row(width, kind, results["model"], one))
        for name in rivals:
            lines += _rival_lines(width, kind, name, one)
    for kind, one in results["kinds"].items():
        people = f"; intervals by {one['people']} people" if "people" in one else ""
        lines += [
            "",
            f"{kind}: ECE {one['ece_uncalibrated']:.4f} before calibration, {one['ece']:.4f} after"
            f"{people}",
            " " * 12 + "".join(f"{label[:9]:>10}" for label in one["labels"]) + "   (predicted)",
        ]
        for label, row in zip(one["labels"], one["confusion"], strict=True):
            lines.append(f"{label:<12}" + "".join(f"{count:>10}" for count in row))
    return "\n".join(lines)


def _row(width: int, kind: str = "", name: str = "", one: dict[str, Any] | None = None) -> str:
    if one is None:
        head = f"{'labels':<15}{'model':<{width}}{'n':>7}"
        return f"{head}  {'accuracy [95 %]':<24}{'macro F1 [95 %]':<24}ECE"
    reach = [
        f"{one[m]:.4f} [{one[f'{m}_interval'][0]:.4f}, {one[f'{m}_interval'][1]:.4f}]"
        for m in ("accuracy", "macro_f1")
    ]
    return f"{kind:<15}{name:<{width}}{one['n']:>7}  {reach[0]:<24}{reach[1]:<24}{one['ece']:.4f}"


def _rival_lines(width: int, kind: str, name: str, one: dict[str, Any]) -> list[str]:
    if name not in one["rivals"]:
        return [f"{kind:<15}{name:<{width}}{'-':>7}  answers in no label space that leads here"]
    gap = one["comparisons"][name]["accuracy"]
    low, high = gap["difference"]["low"], gap["difference"]["high"]
    tests = {"paired bootstrap": gap["p"], "McNemar": one["comparisons"][name]["mcnemar"]["p"]}
    chances = ", ".join(f"{p_value(p)} ({test})" for test, p in tests.items())
    return [
        _row(width, kind, name, one["rivals"][name]),
        f"{'':<15}{'difference':<{max(width, 10)}}  accuracy {gap['difference']['value']:+.4f} "
        f"[{low:+.4f}, {high:+.4f}], p {chances}",
    ]
