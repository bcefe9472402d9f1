"""From texts to the numbers a network eats, the same in the lab and in the room.

encoder = TextEncoder(content, clean="plain", max_tokens=128, pad=0)
for batch in encoder.batches(texts, size=32):
    probs[batch.rows] = network(batch.ids, batch.mask)

The tokenizer is a `tokenizer.json` of the `tokenizers` library; it stands in the artefact with the
network, so neither transformers nor a download is needed to read a text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ModelError
from classpulse.text.clean import CLEANERS, Cleaner

MAX_CHARACTERS = 20_000  # of a text that is read at all: the rest lies far behind any max_tokens
INPUTS = ("input_ids", "attention_mask")
"""Names of a text network's inputs, in the order of `TokenBatch`."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Texts of like length as numbers.

    Args:
        rows: (n,) int64, their places among the texts that were given.
        ids: (n, t) int64 token numbers, filled up at the end.
        mask: (n, t) int64, 1 where there is a token.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class TextEncoder:
    """Cleans and tokenizes texts, and puts those of like length together.

    Args:
        content: of a `tokenizer.json`.
        clean: name in `text.clean.CLEANERS`.
        max_tokens: of a text with its special tokens; the rest is cut.
        pad: number of the token that fills a batch.

    Raises:
        InputError: an unknown cleaning rule.
        ModelError: the content is no tokenizer, or it has no token `pad`.
    """

    def __init__(self, content: bytes, *, clean: str, max_tokens: int, pad: int) -> None:
        self.clean = find_cleaner(clean)
        self.pad = pad
        self._tokenizer = read_tokenizer(content)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        if self._tokenizer.id_to_token(pad) is None:
            raise ModelError(f"the tokenizer has no token {pad} to fill a batch with")

    @property
    def size(self) -> int:
        """Tokens of the vocabulary; numbers are below it."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """(t,) int64 token numbers of every text, t of 1 or more."""
        cleaned = [self.clean(_whole(text[:MAX_CHARACTERS])) for text in texts]
        found = [np.array(one.ids, dtype=np.int64) for one in self._tokenizer.encode_batch(cleaned)]
        filler = np.array([self.pad], dtype=np.int64)  # a text without any token still has a row
        return [ids if len(ids) else filler for ids in found]

    def batches(self, texts: Sequence[str], *, size: int) -> Iterator[TokenBatch]:
        """All texts, the short ones first, `size` at a time."""
        encoded = self.encode(texts)
        order = np.argsort([len(ids) for ids in encoded], kind="stable")
        for start in range(0, len(order), size):
            yield pad_batch(encoded, order[start : start + size], pad=self.pad)


def _whole(text: str) -> str:
    """Without halves of surrogate pairs, as a cut-off emoji leaves them: no tokenizer takes one."""
    return text.encode("utf-8", "replace").decode("utf-8")


def pad_batch(
    encoded: Sequence[NDArray[np.int64]], rows: NDArray[np.int64], *, pad: int
) -> TokenBatch:
    """The texts at `rows` (n,) as one batch, as wide as the longest of them."""
    width = max(len(encoded[row]) for row in rows)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(encoded[row])] = encoded[row]
        mask[place, : len(encoded[row])] = 1
    return TokenBatch(np.asarray(rows, dtype=np.int64), ids, mask)


def find_cleaner(name: str) -> Cleaner:
    """The rule called `name`; `InputError` lists the known ones otherwise."""
    if name not in CLEANERS:
        raise InputError(f"unknown cleaning rule '{name}'; known: {', '.join(CLEANERS)}")
    return CLEANERS[name]


def read_tokenizer(content: bytes) -> Any:
    """The `tokenizers.Tokenizer` in the content of a `tokenizer.json`.

    Raises:
        ModelError: it is no tokenizer.
    """
    from tokenizers import Tokenizer  # 0.1 s that `import classpulse` need not pay

    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises plain Exceptions
        raise ModelError(
            f"not a tokenizer.json ({str(error).splitlines()[0][:80]}): take the one of the "
            "encoder's folder, or export the model again"
        ) from None
