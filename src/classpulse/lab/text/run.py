"""Run a text recipe: corpora in, checkpoints and a log out, the best weights kept."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.files import make_folder, new_file, save_text
from classpulse.lab.data.corpora import AnyTexts
from classpulse.lab.data.texts import MultiTextSet
from classpulse.lab.evaluate.resample import accuracy_of, count_confusion, macro_f1_of
from classpulse.lab.text.augment import augment_texts
from classpulse.lab.text.compose import held_parts
from classpulse.lab.text.deny import find_clauses
from classpulse.lab.text.heads import HEAD_SPACES, MULTI, Probs, one_hot, text_loss
from classpulse.lab.text.hint import ask_hint
from classpulse.lab.text.multi import PLAIN_THRESHOLD, macro_f1
from classpulse.lab.text.network import (
    TOKENIZER,
    WORDS,
    Prepared,
    build_text_model,
    lemmatized,
    own_state,
    prepare_run,
)
from classpulse.lab.text.recipe import TextRecipe, text_recipe_table
from classpulse.lab.text.sources import TextRows, load_text_parts
from classpulse.lab.text.splice import splice_texts
from classpulse.lab.text.teach import teach
from classpulse.lab.text.training import (
    TextTraining,
    begin,
    predict_logits,
    scored,
    train_epoch,
)
from classpulse.lab.text.vocabulary import hidden_token
from classpulse.lab.train.answers import OnAsked
from classpulse.lab.train.checkpoint import save_state
from classpulse.lab.train.epoch import EpochResult, Resumed
from classpulse.lab.train.folder import (
    BEST,
    CHECKPOINT,
    HINTS,
    RESOLVED,
    TAUGHT,
    check_start,
    check_table,
)
from classpulse.lab.train.logs import Row, RunLog, log_row, open_log
from classpulse.lab.train.loop import OnTrainStep, Validate, run_epochs
from classpulse.text.encode import find_cleaner

HELD = ("data.compose", "data.hold_beside", "data.dedup", "schedule.seed")
"""Keys of a recipe that decide what is held out."""


def train_texts(
    recipe: TextRecipe,
    *,
    paths: Mapping[str, Path],
    out: Path,
    resume: bool,
    on_step: OnTrainStep | None = None,
    tensorboard: bool = False,
) -> Iterator[EpochResult]:
    """Train `recipe` on corpora from these paths, validating after every epoch.

    Writes into `out`: `recipe.json` (resolved), `tokenizer.json`, `words.txt` (that the gate
    knows), `checkpoint.pt` (every epoch, resumable), `best.pt` (the weights with the best mean
    validation accuracy) and the logs of `lab.train.logs`.

    Args:
        paths: as `load_text_parts` takes them.
        resume: go on with a run that is there; a new one is begun either way.
        on_step: called after every step.

    Raises:
        InputError: there is a run and `resume` is not set, it is of another recipe, the data are
            missing or malformed, or `start` held out other texts.
        ModelError: an encoder or a file of vectors cannot be used.
        OutputError: a file cannot be written.
    """
    table = text_recipe_table(recipe)
    check_table(out, table, resume=resume)  # before the data are read
    hint = "" if recipe.hint is None else recipe.hint.run
    for key, begun in (("start", recipe.start), ("hint.run", hint)):
        check_start(begun, table, held=HELD, key=key, means=what_is_held)
    parts = load_text_parts(recipe, paths)
    made = prepare_run(recipe, parts.train)
    model = build_text_model(recipe, made.vocabulary)
    if not recipe.schedule.word_dropout:
        model.tokens.remember()
    on_asked = None if on_step is None else partial(on_step, 0)
    data = build_training(recipe, parts.train, made, taught=out / TAUGHT, on_asked=on_asked)
    if data.hints is not None:
        model.learn_hint(data.hints.shape[1])
    validate = build_validation(recipe, parts.valid, made)
    make_folder(out)
    save_text(json.dumps(table, indent=2), out / RESOLVED)
    save_text("".join(f"{word}\n" for word in made.words), out / WORDS)
    with new_file(out / TOKENIZER) as aside:
        aside.write_bytes(made.tokenizer)
    run = begin(model, recipe)
    with open_log(out, tensorboard=tensorboard) as log:
        for epoch in run_epochs(
            run,
            out / CHECKPOINT,
            epochs=recipe.schedule.epochs,
            side_at=lambda number: recipe.encode.max_tokens,
            train=lambda number: train_epoch(run, data, recipe, number, on_step),
            scored=partial(scored, run, recipe),
            validate=validate,
            on_resume=partial(_repair, out, recipe, log),
        ):
            row = log_row(epoch.numbers(), list(recipe.heads))
            best = is_best([*log.rows, row], recipe)
            if best:
                save_state(own_state(epoch.model), out / BEST)
            log.append(row)
            yield EpochResult(epoch, row["accuracy"], best, row["macro_f1"])


def what_is_held(key: str, value: Any) -> Any:
    """Of a value under one of the keys `HELD`, what decides what is held out."""
    return held_parts(value) if key == "data.compose" and value else value


def _repair(out: Path, recipe: TextRecipe, log: RunLog, kept: Resumed) -> None:
    """Make logs and best weights agree with the checkpoint, wherever a kill came between."""
    log.begin([log_row(numbers, list(recipe.heads)) for numbers in kept.history])
    if is_best(log.rows, recipe):
        save_state(own_state(kept.network()), out / BEST)


def is_best(rows: Sequence[Row], recipe: TextRecipe) -> bool:
    """Whether the last of these epochs is the first with the best mean accuracy."""
    means = [np.mean([row["accuracy"][head] for head in recipe.judged]) for row in rows]
    return int(np.argmax(means)) == len(means) - 1


def build_training(
    recipe: TextRecipe,
    rows: TextRows,
    made: Prepared,
    *,
    taught: Path | None = None,
    on_asked: OnAsked | None = None,
) -> TextTraining:
    """Training texts with their variants as numbers, their targets with the teachers' share.

    Args:
        taught: file that keeps what the teachers say, if the recipe has any.
        on_asked: as `mean_answers` takes it.
    """
    clean, how = find_cleaner(recipe.encode.clean), recipe.augment
    seed = recipe.schedule.seed
    texts = [clean(one) for one in lemmatized(rows.texts, recipe)]
    own, others = np.flatnonzero(rows.own), np.flatnonzero(~rows.own)
    variants, sources = augment_texts([texts[i] for i in own], how, seed=seed)
    spliced = splice_texts([texts[i] for i in own], each=how.splices or 0, seed=seed)
    places = np.concatenate([own[sources], others]).astype(np.int64)
    learned = [*variants, *(texts[i] for i in others), *spliced]
    every = np.concatenate([rows.own[places], np.ones(len(spliced), dtype=np.bool_)])
    targets = dict(rows.targets)
    if recipe.teach_variants:
        moved = {head: _followed(t[places], by=len(spliced)) for head, t in targets.items()}
        targets = _teach(recipe, learned, moved, every, kept=taught, on_asked=on_asked)
    else:
        told = _teach(recipe, rows.texts, targets, rows.own, kept=taught, on_asked=on_asked)
        targets = {head: t[places] for head, t in told.items()}
    clauses = find_clauses(texts if how.denials else (), words=how.denials, seed=seed)
    whole = [*learned, *clauses.texts]
    hints = _ask_hint(recipe, whole, every, kept=taught, on_asked=on_asked)
    said = {head: clauses.targets(HEAD_SPACES[head]) for head in targets}
    stays = np.concatenate([every, np.ones(len(clauses.texts), dtype=np.bool_)])
    return TextTraining(
        encoded=made.encoder.encode(whole),
        targets={
            head: torch.from_numpy(np.concatenate([t, said[head]])) for head, t in targets.items()
        },
        own=torch.from_numpy(stays),
        hints=hints,
        pad=made.vocabulary.pad,
        hidden=hidden_token(made.vocabulary),
    )


def _followed(targets: Probs, *, by: int) -> Probs:
    """Targets (n, k), then those of texts without a label."""
    return np.concatenate([targets, np.zeros((by, targets.shape[1]), dtype=np.float32)])


def _teach(
    recipe: TextRecipe,
    texts: Sequence[str],
    targets: dict[str, Probs],
    own: NDArray[np.bool_],
    *,
    kept: Path | None,
    on_asked: OnAsked | None,
) -> dict[str, Probs]:
    if recipe.teach is None:
        return targets
    asked = np.ones(len(texts), dtype=np.bool_) if recipe.teach_further else own
    rows: list[int] = np.flatnonzero(asked).tolist()
    told = teach(
        recipe.teach,
        [texts[i] for i in rows],
        {head: t[rows] for head, t in targets.items()},
        unlabelled=recipe.teach_unlabelled,
        kept=kept,
        on_asked=on_asked,
    )
    blended = {head: t.copy() for head, t in targets.items()}
    for head, t in told.items():
        blended[head][rows] = t
    return blended


def _ask_hint(
    recipe: TextRecipe,
    texts: Sequence[str],
    own: NDArray[np.bool_],
    *,
    kept: Path | None,
    on_asked: OnAsked | None,
) -> Tensor | None:
    if recipe.hint is None or not recipe.hint.weight:  # asking takes minutes
        return None
    asked = torch.ones(len(texts), dtype=torch.bool)
    if not recipe.teach_further:
        asked[: len(own)] = torch.from_numpy(own)
    beside = None if kept is None else kept.with_name(HINTS)
    told = ask_hint(
        recipe.hint,
        [texts[i] for i in torch.nonzero(asked).flatten()],
        kept=beside,
        on_asked=on_asked,
    )
    hints = torch.zeros(len(texts), told.shape[1])
    hints[asked] = told
    return hints


def build_validation(recipe: TextRecipe, valid: Mapping[str, AnyTexts], made: Prepared) -> Validate:
    """(network, max tokens) -> metrics, each head on its own validation part.

    Accuracy as ``HEAD`` and macro F1 as ``HEAD_macro_f1``, ``val_loss``, and ``val_accuracy``, the
    mean over the heads with one label a text. Of a head with several, accuracy says how often the
    most probable label is one of the text's.
    """
    every = sorted({text for texts in valid.values() for text in texts.texts})
    encoded = made.encoder.encode(lemmatized(every, recipe))
    at = {text: place for place, text in enumerate(every)}
    places = {head: [at[text] for text in texts.texts] for head, texts in valid.items()}

    def validate(model: nn.Module, size: int) -> dict[str, float]:
        scores: dict[str, float] = {}
        loss = 0.0
        told = predict_logits(model, encoded, pad=made.vocabulary.pad)  # each text once
        for head in recipe.heads:
            logits = told[head][places[head]]
            target = truth_of(valid[head])
            scores |= _score_head(head, torch.sigmoid(logits).numpy(), target)
            wanted = {head: torch.from_numpy(target)}
            one = text_loss({head: logits}, wanted, recipe.heads, loss=recipe.loss.settings)
            loss += one.item()
        mean = float(np.mean([scores[head] for head in recipe.judged]))
        return {**scores, "val_accuracy": mean, "val_loss": loss}

    return validate


def truth_of(texts: AnyTexts) -> np.ndarray:
    """(n, k) float32 of zeros and ones, also of a set with one label a text."""
    if isinstance(texts, MultiTextSet):
        return texts.targets.astype(np.float32)
    return one_hot(texts.labels, len(texts.space), smoothing=0.0)


def _score_head(head: str, probs: np.ndarray, target: np.ndarray) -> dict[str, float]:
    top, k = probs.argmax(axis=1), target.shape[1]
    if head in MULTI:
        hit = float(target[np.arange(len(top)), top].mean())
        f1 = macro_f1(probs, target.astype(np.uint8), (PLAIN_THRESHOLD,) * k)
        return {head: hit, f"{head}_macro_f1": f1}
    confusion = count_confusion(target.argmax(axis=1), top, k)
    return {
        head: float(accuracy_of(confusion)),
        f"{head}_macro_f1": float(macro_f1_of(confusion)),
    }
