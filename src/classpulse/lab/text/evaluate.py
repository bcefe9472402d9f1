"""`classpulse evaluate` on texts: artefacts and a labelled file in, one table out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.records import Scores
from classpulse.core.text_card import TextHead
from classpulse.lab.data.corpora import hash_texts, load_texts
from classpulse.lab.data.text_readers import load_goemotions, load_labelled_texts
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.lab.evaluate.faces import compare_scores, describe_evaluation
from classpulse.lab.evaluate.regression import score_throughput
from classpulse.lab.text.heads import HEAD_SPACES, MULTI
from classpulse.lab.text.judge import judge_set
from classpulse.runtime.text import OnnxTextModel


def evaluate_texts(
    specs: Sequence[str], path: Path, *, labels: Sequence[str] = ()
) -> dict[str, Any]:
    """Measure text artefacts on a labelled file, the first against the others.

    Every text counts, also those that the gate would keep silent on; what it would say of them is
    under ``abstained``.

    Args:
        specs: shipped names or artefact folders.
        path: CSV, TSV, .xlsx or JSON lines with the columns text and label; for
            "goemotions" a .tsv as its authors publish it.
        labels: head to ask, one; the first of the model whose labels are those of the file.

    Raises:
        InputError: an unreadable file, more than one head, or labels that no head has.
        ModelError: an artefact cannot be used, or lacks the head.
    """
    if len(labels) > 1:
        raise InputError(f"--labels {', '.join(labels)}: texts are evaluated on one head at a time")
    models = {spec: OnnxTextModel(spec, threads=1) for spec in dict.fromkeys(specs)}
    first = models[specs[0]]
    wanted = labels[0] if labels else None
    if wanted in MULTI:
        return _evaluate_multi(first, load_goemotions(path), path)
    head, texts = _labelled(first, path, wanted)
    start = time.perf_counter()
    scores = first.predict(texts.texts)
    seconds = time.perf_counter() - start
    others = {spec: model for spec, model in models.items() if model is not first}
    names = [first.card.name, *others]  # rivals by what they were called: two may share a name
    answers = [scores[head.name], *(_ask(model, head.name, texts) for model in others.values())]
    result = compare_scores(names, answers, texts.labels, texts.space, temperature=head.temperature)
    result["abstained"] = _abstained(first, texts, scores, head.name)
    hashes = [model.card.sha256 for model in models.values()]
    return _facts(first, path, head.name) | {
        **result,
        "kinds": {head.name: result},
        "throughput": asdict(score_throughput([seconds], len(texts))),
        "models": dict(zip(names, hashes, strict=True)),
    }


def _facts(model: OnnxTextModel, path: Path, kind: str) -> dict[str, Any]:
    return {
        "model": model.card.name,
        "data": path.name,
        "data_sha256": hash_texts(path),
        "kind": kind,
    }


def _labelled(model: OnnxTextModel, path: Path, wanted: str | None) -> tuple[TextHead, TextSet]:
    """The head to ask and the texts in its labels."""
    if wanted is not None:
        return model.card.head(wanted), _load(path, model.card.head(wanted))
    given = load_texts(path, "texts")
    for head in model.card.heads:
        if head.exclusive and set(given.space.names) <= set(head.label_space.names):
            return head, _load(path, head)
    raise InputError(
        f"{path} has the labels {', '.join(given.space.names)}, no head of {model.card.name} has "
        f"all of them: give --labels {' or '.join(h.name for h in model.card.heads)}"
    )


def _load(path: Path, head: TextHead) -> TextSet:
    """Texts with labels of the head, by name or by number."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    return load_labelled_texts(path, space=head.label_space, delimiter=delimiter)


def _ask(model: OnnxTextModel, head: str, texts: TextSet) -> Scores | None:
    known = {one.name for one in model.card.heads}
    return model.predict(texts.texts)[head] if head in known else None


def _abstained(
    model: OnnxTextModel, texts: TextSet, scores: Mapping[str, Scores], head: str
) -> dict[str, Any]:
    """How many texts the gate refuses, by reason, and the accuracy on the others."""
    reasons = model.abstentions(texts.texts, scores)
    kept = np.array([why is None for why in reasons])
    right = scores[head].top == texts.labels
    return {
        "reasons": {why: reasons.count(why) for why in dict.fromkeys(reasons) if why is not None},
        "answered": int(kept.sum()),
        "accuracy": round(float(right[kept].mean()), 4) if kept.any() else None,
    }


def _evaluate_multi(model: OnnxTextModel, texts: MultiTextSet, path: Path) -> dict[str, Any]:
    """Macro F1 of a head whose labels do not exclude each other, at the card's thresholds.

    Over its labels, and under ``groups`` over the seven into which they fall.
    """
    head = next(h.name for h in model.card.heads if h.label_space == HEAD_SPACES["goemotions"])
    each, groups = (
        {"macro_f1": found.value, "macro_f1_interval": [found.low, found.high]}
        for found in judge_set(model, head, texts, fitted=False)
    )
    result = {"space": texts.space.name, "n": len(texts), **each, "groups": groups}
    return _facts(model, path, head) | result


def describe_texts(results: dict[str, Any]) -> str:
    """What `evaluate_texts` found as text for a terminal."""
    if "kinds" not in results:
        each, groups = (
            "macro F1 {:.4f} [{:.4f}, {:.4f}]".format(one["macro_f1"], *one["macro_f1_interval"])
            for one in (results, results["groups"])
        )
        return (
            f"{results['model']} on {results['data']}, {results['kind']}: n = {results['n']:,}, "
            f"{each}; in 7 groups {groups}"
        )
    said = results["abstained"]
    reasons = ", ".join(f"{n} {why}" for why, n in said["reasons"].items()) or "none"
    accuracy = (
        "" if said["accuracy"] is None else f", accuracy on the others {said['accuracy']:.4f}"
    )
    return f"{describe_evaluation(results)}\n\nthe gate refuses: {reasons}{accuracy}"
