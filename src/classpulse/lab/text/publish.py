"""From a finished text run to an artefact: export, calibrate, fit the gate, measure, write."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from classpulse.core.card import Metric
from classpulse.core.files import new_file
from classpulse.core.text_card import TextCard, TextGate, TextHead, TextSpec
from classpulse.lab.commit import source_commit
from classpulse.lab.data.corpora import AnyTexts
from classpulse.lab.data.texts import MultiTextSet
from classpulse.lab.evaluate.metrics import cross_fitted_ece, fit_temperature
from classpulse.lab.export import new_artefact, output_name, save_artefact
from classpulse.lab.judge import ece_metric
from classpulse.lab.models.text_base import TextModel
from classpulse.lab.text.export import export_text_onnx
from classpulse.lab.text.heads import HEAD_SPACES, MULTI
from classpulse.lab.text.judge import judge_texts
from classpulse.lab.text.multi import PLAIN_THRESHOLD, Probs, fit_thresholds
from classpulse.lab.text.multi_calibration import (
    fit_multi_temperature,
    heat_crosswise,
    heat_multi,
    multi_ece,
)
from classpulse.lab.text.network import TOKENIZER, WORDS, load_best, open_encoder, read_run
from classpulse.lab.text.recipe import TextRecipe, load_text_recipe
from classpulse.lab.text.sources import TextParts, load_text_parts
from classpulse.lab.text.states import RULE, fit_state_thresholds, state_ece, state_metrics
from classpulse.lab.train.folder import RESOLVED
from classpulse.lab.train.origin import INITIAL
from classpulse.lab.train.soup import describe_members
from classpulse.runtime.text import OnnxTextModel
from classpulse.text.gate import known_share, split_words

FLOAT32 = "float32"
MIN_WORDS = 2  # of a text that gets an answer
LOST = 0.005  # share of validation texts, all in the right language, that the gate may refuse
MOST_KNOWN = 0.5  # a text is not asked for more known words than this, however plain the others are
COMPARED = 64  # texts on which graph and network are compared
EXAMPLES = ("I was so happy to pass.", "what ?", "I don't get step 3 at all, this is annoying!")

LIMITS = (
    "English only; a text of other words is refused by a rule that sees words, not languages.",
    "What a text says is not what its writer feels; irony, quotation and politeness mislead it.",
    "ISEAR is retold from memory, MELD and IEMOCAP are acted, GoEmotions is Reddit: none of it was "
    "written in a lesson.",
    "In the seven-class set neutral and surprise come from another corpus than the other classes: "
    "its accuracy is partly that of telling the corpora apart, which that on a source-balanced set "
    "is not.",
    "Accuracy by age, gender, dialect or first language has not been measured.",
    "Must not be used to grade, rank or discipline anyone.",
)


def publish_texts(
    recipe: TextRecipe,
    run: Path,
    *,
    paths: Mapping[str, Path],
    out: Path,
    precision: str | None = None,
) -> TextCard:
    """Make the artefact folder `out` from `run/best.pt`; it stays as it was until all is measured.

    Temperatures, thresholds and the gate are fitted on the validation parts, which also chose the
    epoch, and on the network as it is shipped: after rounding to `precision`. What rounding costs
    stands in the card, as the accuracy of the float32 network beside that of the shipped one.

    Args:
        precision: one of `PRECISIONS` instead of the recipe's.

    Raises:
        InputError: the run has no `best.pt`, the recipe lemmatizes, or the data are malformed.
        OutputError: nothing may be written to `out`.
    """
    precision = precision or recipe.precision
    network = load_best(recipe, run)
    parts = load_text_parts(recipe, paths)
    heads = tuple(_head(name, 1.0, plain=True) for name in recipe.published)
    write = partial(_write, network, recipe, run, precision=precision, learned=parts.described)
    with new_artefact(out) as aside:
        write(aside, heads)
        raw = OnnxTextModel(str(aside), threads=2)
        found = [_calibrate(raw, head, parts.valid[head]) for head in recipe.published]
        heads = tuple(head for head, _ in found)
        exact = _float_metrics(network, recipe, run, heads, parts) if precision != FLOAT32 else ()
        card = write(aside, heads)
        shipped = OnnxTextModel(str(aside), threads=2)
        metrics = (*judge_texts(shipped, parts), *(m for _, ms in found for m in ms), *exact)
        gate = _fit_gate(card.gate, shipped.words, parts)
        limits = (*card.limits, *([RULE] if MULTI & set(recipe.published) else []))
        card = dataclasses.replace(card, gate=gate, metrics=metrics, limits=limits)
        save_artefact(aside, card)
    return card


def export_run(run: Path, out: Path, *, precision: str = FLOAT32) -> TextCard:
    """Make the artefact folder `out` from `run/best.pt` and `run/recipe.json`, without data.

    Raises:
        InputError: the run has no recipe or no `best.pt`.
        OutputError: nothing may be written to `out`.
    """
    recipe = load_text_recipe(str(run / RESOLVED))
    heads = tuple(_head(name, 1.0, plain=True) for name in recipe.published)
    learned = f"{' and '.join(recipe.data.sets)}"
    network = load_best(recipe, run)
    raw = "Not calibrated, its gate not fitted, never measured: exported from a run without data."
    with new_artefact(out) as aside:
        card = _write(network, recipe, run, aside, heads, precision=precision, learned=learned)
        card = dataclasses.replace(card, limits=(raw, *card.limits))
        save_artefact(aside, card)
    return card


def _write(
    network: TextModel,
    recipe: TextRecipe,
    run: Path,
    out: Path,
    heads: Sequence[TextHead],
    *,
    precision: str,
    learned: str,
) -> TextCard:
    """All files of an artefact, nothing measured, its gate open."""
    words = (run / WORDS).read_bytes()
    tokenizer, vocabulary = read_run(recipe, run)
    encoder = open_encoder(recipe, tokenizer, vocabulary)
    known = words.decode("utf-8").split()[:COMPARED]
    begun = f", then those of {recipe.start}" if recipe.start else ""
    taught = "" if recipe.teach is None else f"; {recipe.teach.describe()}"
    taught += "" if recipe.hint is None else f"; {recipe.hint.describe()}"
    taught += describe_members(run)
    batches = [*encoder.batches([*EXAMPLES, " ".join(known)], size=2)]
    temperatures = {head.name: head.temperature for head in heads}
    sha256 = export_text_onnx(
        network, temperatures, out / "model.onnx", precision=precision, batches=batches
    )
    for name, content in ((TOKENIZER, tokenizer), (WORDS, words)):
        with new_file(out / name) as aside:
            aside.write_bytes(content)
    card = TextCard(
        name=recipe.name,
        summary=recipe.summary,
        input=TextSpec(
            clean=recipe.encode.clean,
            max_tokens=recipe.encode.max_tokens,
            pad=vocabulary.pad,
            tokenizer=TOKENIZER,
            tokenizer_sha256=hashlib.sha256(tokenizer).hexdigest(),
        ),
        heads=tuple(heads),
        gate=TextGate(MIN_WORDS, 0.0, 0.0, WORDS, hashlib.sha256(words).hexdigest()),
        metrics=(),
        trained_on=f"{learned}{taught}; {INITIAL}{network.tokens.origin}{begun}; "
        f"stored as {precision}",
        licence="Apache-2.0 (our weights); of the texts see docs/data.md",
        limits=LIMITS,
        recipe=recipe.name,
        commit=source_commit(),
        created=f"{datetime.now(UTC):%Y-%m-%d}",
        sha256=sha256,
        parameters=sum(p.numel() for p in network.parameters()),
    )
    save_artefact(out, card)
    return card


def _head(name: str, temperature: float, *, plain: bool) -> TextHead:
    space = HEAD_SPACES[name]
    thresholds = (PLAIN_THRESHOLD,) * len(space) if plain and name in MULTI else ()
    return TextHead(name, output_name(name), space.name, temperature, (), thresholds)


def _calibrate(raw: OnnxTextModel, head: str, valid: AnyTexts) -> tuple[TextHead, list[Metric]]:
    """The head with its temperature and its ECE; with thresholds, those of calibrated answers."""
    probs = raw.predict(valid.texts)[head].probs
    if isinstance(valid, MultiTextSet):
        return _calibrate_multi(head, probs, valid)
    temperature = round(fit_temperature(probs, valid.labels), 4)
    ece = cross_fitted_ece(probs, valid.labels, seed=0)
    made = ece_metric(head, ece, len(valid), valid.name)
    return _head(head, temperature, plain=False), [made]


def _calibrate_multi(head: str, raw: Probs, valid: MultiTextSet) -> tuple[TextHead, list[Metric]]:
    temperature = round(fit_multi_temperature(raw, valid.targets), 4)
    probs = heat_multi(raw, temperature)
    thresholds = fit_thresholds(probs, valid.targets)
    thresholds = fit_state_thresholds(probs, valid.targets, thresholds)
    fitted = dataclasses.replace(_head(head, temperature, plain=False), thresholds=thresholds)
    crosswise = heat_crosswise(raw, valid.targets)
    ece = multi_ece(crosswise, valid.targets)
    made = [
        ece_metric(head, ece, len(valid), valid.name),
        state_ece(head, crosswise, valid),
        *state_metrics(head, probs, valid),
    ]
    return fitted, made


def _float_metrics(
    network: TextModel,
    recipe: TextRecipe,
    run: Path,
    heads: Sequence[TextHead],
    parts: TextParts,
) -> tuple[Metric, ...]:
    """What the same network gives before rounding, on the validation parts."""
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder)
        _write(network, recipe, run, aside, heads, precision=FLOAT32, learned="")
        model = OnnxTextModel(str(aside), threads=2)
        found = judge_texts(model, dataclasses.replace(parts, test={}, beside={}))
    return tuple(dataclasses.replace(m, name=f"{m.name}, float32") for m in found)


def _fit_gate(gate: TextGate, words: frozenset[str], parts: TextParts) -> TextGate:
    """The share of known words below which hardly a validation text lies, `MOST_KNOWN` at most."""
    shares = [
        known_share(text, words)
        for texts in parts.valid.values()
        for text in texts.texts
        if len(split_words(text)) >= gate.min_words
    ]
    if not shares:
        return gate
    least = round(float(np.quantile(shares, LOST)), 4)
    return dataclasses.replace(gate, min_known=min(least, MOST_KNOWN))
