"""Tokenizers for the lab: the one of an encoder's folder, or one of words fitted to the texts."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from classpulse.core.errors import ModelError
from classpulse.lab.models.text_base import Vocabulary
from classpulse.text.clean import Cleaner
from classpulse.text.encode import read_tokenizer
from classpulse.text.gate import split_words

PAD, UNKNOWN, HIDDEN = ("[PAD]", "<pad>"), ("[UNK]", "<unk>"), ("[MASK]", "<mask>")
KERAS_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
"""What the thesis' `Tokenizer()` takes for spaces (seed-thesis D.5); an apostrophe stays."""


def find_tokenizer(folder: Path) -> bytes:
    """The `tokenizer.json` of an encoder's folder, made by transformers where there is none.

    Raises:
        ModelError: the folder has no tokenizer.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_bytes()
    import transformers

    try:
        fast = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        return str(fast.backend_tokenizer.to_str()).encode("utf-8")
    except Exception as error:  # OSError, ValueError, AttributeError of a slow tokenizer, ...
        raise ModelError(
            f"{folder} has no tokenizer.json, and none can be made from its other files "
            f"({(str(error).splitlines() or [''])[0][:80]}): save it with a fast tokenizer"
        ) from None


def train_tokenizer(texts: Iterable[str]) -> bytes:
    """A tokenizer of every word in the texts, as Keras cuts them; others become one token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN[0]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit()]
        + [pre_tokenizers.Split(sign, behavior="removed") for sign in KERAS_FILTERS]
    )
    trainer = trainers.WordLevelTrainer(
        vocab_size=10**7, special_tokens=[PAD[0], UNKNOWN[0]], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str()).encode("utf-8")


def read_vocabulary(tokenizer: bytes, *, folder: Path | None = None) -> Vocabulary:
    """All tokens of a tokenizer by number, and which of them fills a batch.

    Args:
        folder: of an encoder, whose config.json says which if the tokenizer has none by its usual
            name.

    Raises:
        ModelError: there is no filling token.
    """
    known: dict[str, int] = read_tokenizer(tokenizer).get_vocab()
    words = [""] * (max(known.values()) + 1)
    for word, number in known.items():
        words[number] = word
    pad = next((known[name] for name in PAD if name in known), _config_pad(folder))
    if pad is None:
        raise ModelError(f"the tokenizer of {folder or 'the texts'} has none of {', '.join(PAD)}")
    return Vocabulary(tuple(words), pad)


def _config_pad(folder: Path | None) -> int | None:
    path = None if folder is None else folder / "config.json"
    if path is None or not path.is_file():
        return None
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config.get("pad_token_id")


def hidden_token(vocabulary: Vocabulary) -> int:
    """Number of the token that hides another one in training: the mask, else the unknown word."""
    names = (*HIDDEN, *UNKNOWN)
    return next((i for name in names for i in _places(vocabulary, name)), vocabulary.pad)


def _places(vocabulary: Vocabulary, name: str) -> list[int]:
    return [vocabulary.words.index(name)] if name in vocabulary.words else []


def frequent_words(texts: Sequence[str], *, clean: Cleaner, at_least: int) -> list[str]:
    """Words that stand in so many texts or more, in alphabetical order: the gate's known words."""
    counts = Counter(word for text in texts for word in set(split_words(clean(text))))
    return sorted(word for word, n in counts.items() if n >= at_least)
