"""`classpulse evaluate` on texts: artefacts and a labelled file in, one table out."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import RELABELS, LabelSpace
from classpulse.core.records import Scores
from classpulse.core.text_card import TextHead
from classpulse.lab.data.contents import find_reader
from classpulse.lab.data.corpora import CORPORA, hash_texts, load_texts
from classpulse.lab.data.splits import find_part
from classpulse.lab.data.text_readers import load_goemotions, load_labelled_texts
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.lab.evaluate.calibration import calibration_of
from classpulse.lab.evaluate.faces import compare_scores, describe_evaluation
from classpulse.lab.evaluate.regression import score_throughput
from classpulse.lab.text.compose import single, to_space
from classpulse.lab.text.heads import MULTI
from classpulse.lab.text.judge import judge_set
from classpulse.runtime.text import OnnxTextModel

TABLE, GOEMOTIONS = "texts", "goemotions"  # in `CORPORA`
NAMING_RULES = ("isear-to-text-7", "meld-to-text-7", "ferplus-to-fer2013")  # one label each
logger = logging.getLogger(__name__)


def evaluate_texts(
    specs: Sequence[str], path: Path, *, labels: Sequence[str] = (), split: str | None = None
) -> dict[str, Any]:
    """Measure text artefacts on a labelled file, the first against the others.

    Every text counts, also those that the gate would keep silent on, and rows without a text, which
    a warning counts; what the gate would say of them is under ``abstained``.

    Args:
        specs: shipped names or artefact folders.
        path: CSV, TSV, .xlsx or JSON lines with the columns text and label (`other_names` of
            labels too), or a corpus of `CORPORA` in one file; for "goemotions" a .tsv as its
            authors publish it.
        labels: head to ask, one; the first of the model whose labels are those of the file.
        split: ``manifest.json:part`` of `classpulse data split`; None is the whole file.

    Raises:
        InputError: an unreadable file, more than one head, labels that no head has, or as
            `find_part`.
        ModelError: an artefact cannot be used, or lacks the head.
    """
    if len(labels) > 1:
        raise InputError(f"--labels {', '.join(labels)}: texts are evaluated on one head at a time")
    models = {spec: OnnxTextModel(spec, threads=1) for spec in dict.fromkeys(specs)}
    first, wanted = models[specs[0]], labels[0] if labels else None
    rivals = list(models)[1:]  # by what they were called: two may share a name
    own = specs[0] if first.card.name in rivals else first.card.name
    named = {own: first} | {spec: models[spec] for spec in rivals}
    if wanted in MULTI:
        head = first.card.head(wanted)
        several, data = _choose(_load_multi(path, head, first), split, path)
        result = _evaluate_multi(named, head, several)
    else:
        head, texts = _labelled(first, path, wanted)
        texts, data = _choose(texts, split, path)
        result = _evaluate_single(named, head, texts)
    return {
        "model": own,
        "data": data,
        "data_sha256": hash_texts(path),
        "kind": head.name,
        **result,
        "models": {name: model.card.sha256 for name, model in named.items()},
    }


Texts = TypeVar("Texts", TextSet, MultiTextSet)


def _choose(texts: Texts, split: str | None, path: Path) -> tuple[Texts, str]:
    """The rows to measure on, and what to call them."""
    if split is None:
        return texts, path.name
    if ".json:" not in split:
        raise InputError(
            f"--split {split}: texts have no parts of their own: give manifest.json:part, which "
            "classpulse data split writes"
        )
    places, name = find_part(texts, split, sha256=hash_texts(path))
    if not len(places):
        raise InputError(f"--split {split}: the part is empty: choose another")
    return texts.take(places, name=name), name


def _evaluate_single(
    models: Mapping[str, OnnxTextModel], head: TextHead, texts: TextSet
) -> dict[str, Any]:
    first, *others = models.values()
    start = time.perf_counter()
    scores = first.predict(texts.texts)
    seconds = time.perf_counter() - start
    answers = [scores[head.name], *(_ask(model, head.name, texts) for model in others)]
    result = compare_scores(
        list(models), answers, texts.labels, texts.space, calibration=calibration_of(head)
    )
    result["abstained"] = _abstained(first, texts, scores, head.name)
    return {
        **result,
        "kinds": {head.name: result},
        "throughput": asdict(score_throughput([seconds], len(texts))),
    }


def _labelled(model: OnnxTextModel, path: Path, wanted: str | None) -> tuple[TextHead, TextSet]:
    """The head to ask and the texts in its labels."""
    if wanted is not None:
        return model.card.head(wanted), _load(path, model.card.head(wanted))
    corpus = find_reader(path)
    given = _load_table(path) if corpus == TABLE else load_texts(path, corpus)
    for head in model.card.heads:
        known = {*head.label_space.names, *other_names(head.label_space)}
        if head.exclusive and set(given.space.names) <= known:
            return head, _load(path, head)
    raise InputError(
        f"{path} has the labels {', '.join(given.space.names)}, no head of {model.card.name} has "
        f"all of them: give --labels {' or '.join(h.name for h in model.card.heads)}"
    )


def _load(path: Path, head: TextHead) -> TextSet:
    """Texts with labels of the head, by name or by number; a corpus in those that it leads to."""
    if (corpus := find_reader(path)) in CORPORA and corpus != TABLE:
        return to_space(single({corpus: load_texts(path, corpus)}, corpus), head.label_space)
    texts = _load_table(path, head.label_space)
    silent = sum(not text.strip() for text in texts.texts)
    if silent:
        logger.warning(
            "%s: %d of %d rows have no text; they count like the others", path, silent, len(texts)
        )
    return texts


def _load_table(path: Path, space: LabelSpace | None = None) -> TextSet:
    """Columns text and label, rows without a text among them."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    also = other_names(space) if space else {}
    return load_labelled_texts(path, space=space, delimiter=delimiter, also=also, empty=True)


def other_names(space: LabelSpace) -> dict[str, str]:
    """What the corpora call labels of a space: joy and happiness are its happy, anger its angry."""
    rules = [RELABELS[name] for name in NAMING_RULES]
    return {
        word: label
        for rule in rules
        for word, row in zip(rule.source.names, rule.matrix, strict=True)
        if row.any() and (label := rule.target.names[int(row.argmax())]) in space.names
    }


def _load_multi(path: Path, head: TextHead, model: OnnxTextModel) -> MultiTextSet:
    """Texts with several labels, in the form of GoEmotions' authors.

    Raises:
        InputError: the file is another, which is told with what to do, or has a malformed row.
    """
    if path.is_file() and _is_other(path):
        others = " or ".join(h.name for h in model.card.heads if h.exclusive)
        raise InputError(
            f"{path} is not in the form that --labels {head.name} reads: a .tsv without a header, "
            f"each line a text, its label numbers 0..{len(head.label_space) - 1} joined by commas, "
            f"and an id, with tabs between; for the columns text and label give --labels {others}"
        )
    return load_goemotions(path)


def _is_other(path: Path) -> bool:
    """Whether a file is surely in another form than that of GoEmotions."""
    try:
        return find_reader(path) != GOEMOTIONS
    except InputError:
        return path.suffix.lower() != ".tsv"  # of a .tsv the malformed line is told


def _ask(model: OnnxTextModel, head: str, texts: TextSet) -> Scores | None:
    return model.predict(texts.texts)[head] if _has(model, head) else None


def _has(model: OnnxTextModel, head: str) -> bool:
    return head in {one.name for one in model.card.heads}


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


def _evaluate_multi(
    models: Mapping[str, OnnxTextModel], head: TextHead, texts: MultiTextSet
) -> dict[str, Any]:
    """Macro F1 of a head whose labels do not exclude each other, at each card's thresholds.

    Over its labels, and under ``groups`` over the seven into which they fall. Rivals have the same
    numbers, without a test of the difference; one that lacks the head has none.
    """
    own, *others = models
    rivals = {name: models[name] for name in others if _has(models[name], head.name)}
    return {
        "space": texts.space.name,
        "n": len(texts),
        **_f1(models[own], head.name, texts),
        "rivals": {name: _f1(model, head.name, texts) for name, model in rivals.items()},
    }


def _f1(model: OnnxTextModel, head: str, texts: MultiTextSet) -> dict[str, Any]:
    each, groups = (
        {"macro_f1": found.value, "macro_f1_interval": [found.low, found.high]}
        for found in judge_set(model, head, texts, fitted=False)
    )
    return {**each, "groups": groups}


def describe_texts(results: dict[str, Any]) -> str:
    """What `evaluate_texts` found as text for a terminal."""
    if "kinds" not in results:
        return _describe_multi(results)
    said = results["abstained"]
    reasons = ", ".join(f"{n} {why}" for why, n in said["reasons"].items()) or "none"
    accuracy = (
        "" if said["accuracy"] is None else f", accuracy on the others {said['accuracy']:.4f}"
    )
    return f"{describe_evaluation(results)}\n\nthe gate refuses: {reasons}{accuracy}"


def _describe_multi(results: dict[str, Any]) -> str:
    where = f"on {results['data']}, {results['kind']}: n = {results['n']:,}"
    lines = [f"{results['model']} {where}, {_say_f1(results)}"]
    for name in list(results["models"])[1:]:
        rival = results["rivals"].get(name)
        lines.append(f"{name}: {'has no such head' if rival is None else _say_f1(rival)}")
    return "\n".join(lines)


def _say_f1(result: Mapping[str, Any]) -> str:
    each, groups = (
        "macro F1 {:.4f} [{:.4f}, {:.4f}]".format(one["macro_f1"], *one["macro_f1_interval"])
        for one in (result, result["groups"])
    )
    return f"{each}; in 7 groups {groups}"
