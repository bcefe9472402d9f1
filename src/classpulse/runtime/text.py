"""Text artefacts at run time: texts in, `Scores` out."""

from collections.abc import Mapping, Sequence

import numpy as np

from classpulse.core.defaults import TEXT_MODEL
from classpulse.core.errors import InputError, ModelError
from classpulse.core.records import Scores
from classpulse.core.text_card import TextCard, load_text_card
from classpulse.runtime.model import find_model
from classpulse.runtime.session import (
    build_scores,
    no_scores,
    open_session,
    read_checked,
    run_session,
)
from classpulse.text.encode import INPUTS, TextEncoder
from classpulse.text.gate import UNSURE, why_silent

BATCH = 32  # texts of one run of the network


class OnnxTextModel:
    """A network for texts with its card, tokenizer and known words; refuses what does not match.

    Args:
        name_or_path: shipped name or artefact folder.
        threads: of the runtime.

    Raises:
        ModelError: the card is missing, malformed or of a model for faces, or a file is missing,
            does not have the card's hash, or is not what the card says.
    """

    def __init__(self, name_or_path: str = TEXT_MODEL, *, threads: int = 1) -> None:
        folder = find_model(name_or_path)
        self.card: TextCard = load_text_card(folder / "card.json")
        spec, gate = self.card.input, self.card.gate
        tokenizer = read_checked(
            folder / spec.tokenizer, spec.tokenizer_sha256, card=self.card.name
        )
        words = read_checked(folder / gate.words, gate.words_sha256, card=self.card.name)
        self.words = frozenset(words.decode("utf-8").split())
        self._encoder = _open_encoder(tokenizer, self.card)
        self._session = open_session(folder / "model.onnx", self.card, threads=threads, unpack=True)
        taken = {one.name for one in self._session.get_inputs()}
        if taken != set(INPUTS):
            raise ModelError(
                f"model '{self.card.name}' takes {sorted(taken)}, a text model "
                f"{sorted(INPUTS)}: export it again"
            )

    def predict(self, texts: Sequence[str], *, batch: int = BATCH) -> Mapping[str, Scores]:
        """Calibrated probabilities of every text, those that the gate would keep silent on too.

        Texts of like length go through the network together, `batch` at a time; the answers are in
        the order of `texts`.

        Returns:
            Head name -> `Scores` with n rows.

        Raises:
            InputError: one text instead of a list of them, or something else among them.
            ModelError: the network answered with NaN or something impossible.
        """
        if isinstance(texts, str):
            raise InputError("predict takes a list of texts: give [text] for one")
        if others := {type(one).__name__ for one in texts if not isinstance(one, str)}:
            raise InputError(f"predict takes texts, not {', '.join(sorted(others))}")
        if not texts:
            return no_scores(self.card)
        answers = [
            np.zeros((len(texts), len(head.label_space)), dtype=np.float32)
            for head in self.card.heads
        ]
        for part in self._encoder.batches(texts, size=batch):
            inputs = dict(zip(INPUTS, (part.ids, part.mask), strict=True))
            outputs = run_session(self._session, self.card, inputs)
            found = build_scores(self.card, outputs, rows=len(part.rows), of="texts")
            for whole, head in zip(answers, self.card.heads, strict=True):
                whole[part.rows] = found[head.name].probs
        return build_scores(self.card, answers, rows=len(texts), of="texts")

    def abstentions(
        self, texts: Sequence[str], scores: Mapping[str, Scores]
    ) -> tuple[str | None, ...]:
        """Why there is nothing to say about each text; None where the scores may be shown.

        Args:
            scores: what `predict` gave for the same texts.
        """
        sure = scores[self.card.heads[0].name].confidence >= self.card.gate.min_confidence
        return tuple(
            why_silent(text, self.card.gate, self.words) or (None if enough else UNSURE)
            for text, enough in zip(texts, sure, strict=True)
        )


def _open_encoder(tokenizer: bytes, card: TextCard) -> TextEncoder:
    spec = card.input
    try:
        return TextEncoder(tokenizer, clean=spec.clean, max_tokens=spec.max_tokens, pad=spec.pad)
    except (InputError, ModelError) as error:
        raise ModelError(f"model '{card.name}': {error}") from None
