"""Evaluate a face artefact, as it is shipped, on a labelled face set."""

from typing import Any

import numpy as np

from classpulse.core.records import Interval, Scores
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate.metrics import Evaluation, evaluate_scores
from classpulse.lab.train.targets import hard_labels
from classpulse.runtime.model import OnnxModel
from classpulse.vision.image import prepare

BATCH = 64


def predict_faces(model: OnnxModel, faces: FaceSet) -> dict[str, Scores]:
    """Scores of every head for a whole set, through the same `prepare` as in the room."""
    parts: dict[str, list[Scores]] = {}
    for start in range(0, len(faces), BATCH):
        crops = faces.images[start : start + BATCH]
        batch = np.stack([prepare(crop, model.card.input) for crop in crops])
        for head, scores in model.predict(batch).items():
            parts.setdefault(head, []).append(scores)
    return {
        head: Scores(np.concatenate([s.probs for s in chunks]), chunks[0].space)
        for head, chunks in parts.items()
    }


def evaluate_faces(model: OnnxModel, faces: FaceSet) -> dict[str, Evaluation]:
    """An `Evaluation` per head that the set has labels for (emotion only, without votes)."""
    scores = predict_faces(model, faces)
    heads = [h for h in model.card.heads if h.name == "emotion" or faces.votes is not None]
    return {
        head.name: evaluate_scores(
            scores[head.name], hard_labels(faces, head.name), temperature=head.temperature
        )
        for head in heads
    }


def evaluation_json(model: OnnxModel, data: str, results: dict[str, Evaluation]) -> dict[str, Any]:
    """Plain values: the first head's numbers at the top, every head under `heads`."""
    heads = {name: _plain(result, model, name) for name, result in results.items()}
    first = next(iter(heads))
    return {"model": model.card.name, "data": data, "head": first, **heads[first], "heads": heads}


def _plain(result: Evaluation, model: OnnxModel, head: str) -> dict[str, Any]:
    return {
        "n": result.n,
        "accuracy": round(result.accuracy.value, 4),
        "accuracy_interval": _ends(result.accuracy),
        "macro_f1": round(result.macro_f1.value, 4),
        "macro_f1_interval": _ends(result.macro_f1),
        "ece": round(result.ece, 4),
        "ece_uncalibrated": round(result.ece_uncalibrated, 4),
        "labels": list(model.card.head(head).label_space.names),
        "confusion": result.confusion.tolist(),
        "per_class": result.per_class,
    }


def _ends(interval: Interval) -> list[float]:
    return [round(interval.low, 4), round(interval.high, 4)]


def describe_evaluation(results: dict[str, Any]) -> str:
    """The same as text: one block per head with its confusion matrix."""
    lines = [f"{results['model']} on {results['data']}"]
    for head, r in results["heads"].items():
        low, high = r["accuracy_interval"]
        f_low, f_high = r["macro_f1_interval"]
        lines += [
            "",
            f"{head}: n = {r['n']}, accuracy {r['accuracy']:.4f} [{low:.4f}, {high:.4f}], "
            f"macro F1 {r['macro_f1']:.4f} [{f_low:.4f}, {f_high:.4f}]",
            f"ECE {r['ece_uncalibrated']:.4f} before temperature, {r['ece']:.4f} after",
            " " * 12 + "".join(f"{label[:9]:>10}" for label in r["labels"]) + "   (predicted)",
        ]
        for label, row in zip(r["labels"], r["confusion"], strict=True):
            lines.append(f"{label:<12}" + "".join(f"{count:>10}" for count in row))
    return "\n".join(lines)
