"""Word vectors: from a local file (GloVe, word2vec, NumPy), or random ones that learn."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.errors import ModelError
from classpulse.lab.models.base import RANDOM, check_sizes
from classpulse.lab.models.text_base import TokenSource, Vocabulary

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """Where the vectors come from.

    Args:
        vectors: file of `load_vectors`, or "random".
        width: of random ones.
        tune: those of a file learn too; the thesis kept them as they are (seed-thesis D.5).
    """

    vectors: str = ""
    width: int = 300
    tune: bool = False

    def __post_init__(self) -> None:
        check_sizes(width=self.width)


class VectorTokens(TokenSource):
    """A vector for every word of the vocabulary; zeros for those that the file does not have."""

    def __init__(self, vectors: Tensor, *, origin: str, tuned: bool, pad: int) -> None:
        super().__init__()
        self.width = int(vectors.shape[1])
        self.table = nn.Embedding.from_pretrained(vectors, freeze=not tuned, padding_idx=pad)
        self.origin, self.tuned = origin, tuned

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.table(ids)


def build_vectors(settings: VectorSettings, vocabulary: Vocabulary) -> VectorTokens:
    """The vectors of a vocabulary.

    Raises:
        ModelError: no file is given, it cannot be read, or has none of the words.
    """
    if not settings.vectors:
        raise ModelError(
            "this recipe needs word vectors: --set network.vectors=FILE, GloVe's .txt, word2vec's "
            '.bin, or an array .npy with its words beside it as .txt, or "random"'
        )
    if settings.vectors == RANDOM:
        table = torch.empty(len(vocabulary), settings.width).uniform_(-0.05, 0.05)  # Keras' own
        table[vocabulary.pad] = 0
        return VectorTokens(table, origin=TokenSource.origin, tuned=True, pad=vocabulary.pad)
    path = Path(settings.vectors)
    table_np, known = load_vectors(path, vocabulary.words)
    if not known:
        raise ModelError(f"{path} has none of the {len(vocabulary)} words of the texts")
    origin = f"{path.name}, {known} of {len(vocabulary)} words"
    return VectorTokens(
        torch.from_numpy(table_np), origin=origin, tuned=settings.tune, pad=vocabulary.pad
    )


def load_vectors(path: Path, words: tuple[str, ...]) -> tuple[Vectors, int]:
    """(n, d) float32 vectors of n words, zeros for unknown ones, and how many are known.

    Reads GloVe's text (``word 0.1 0.2 ...``), word2vec's text (the same after a line ``n d``),
    word2vec's binary form, ``.bin``, and an array (m, d) in NumPy's form, ``NAME.npy``, with its m
    words beside it, one a line, in ``NAME.txt``. Only the words asked for are kept in memory.

    Raises:
        ModelError: the file cannot be read, or is of another form (the line is named).
    """
    try:
        found = _read_vectors(path, words)
    except OSError as error:
        name = error.filename or path
        raise ModelError(f"cannot read word vectors {name}: {error.strerror}") from None
    except (ValueError, EOFError) as error:
        raise ModelError(
            f"{path} has no word vectors: {error}; needs lines of a word and its numbers, .bin as "
            "word2vec writes it, or .npy with its words in .txt beside it"
        ) from None
    if not found:
        return np.zeros((len(words), 1), dtype=np.float32), 0
    width = len(next(iter(found.values())))
    table = np.zeros((len(words), width), dtype=np.float32)
    for i, word in enumerate(words):
        if word in found:
            table[i] = found[word]
    return table, len(found)


def _read_vectors(path: Path, words: tuple[str, ...]) -> dict[str, Vectors]:
    if path.suffix == ".npy":
        return _read_array(path, words)
    with path.open("rb") as file:
        return _read_binary(file, words) if path.suffix == ".bin" else _read_text(file, words)


def _read_array(path: Path, words: tuple[str, ...]) -> dict[str, Vectors]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    listed = path.with_suffix(".txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) != len(listed):
        raise ValueError(
            f"{array.dtype} of shape {array.shape} for {len(listed)} words, not a row for each"
        )
    row = {word: i for i, word in enumerate(listed)}
    return {word: np.array(array[row[word]], dtype=np.float32) for word in words if word in row}


def _read_text(file: BinaryIO, words: tuple[str, ...]) -> dict[str, Vectors]:
    wanted, found, width = set(words), {}, 0
    for number, line in enumerate(file, start=1):
        parts = line.decode("utf-8", errors="replace").rstrip().split(" ")
        if number == 1 and len(parts) == 2:
            continue  # word2vec's n and d
        width = width or len(parts) - 1
        if len(parts) - 1 != width or width < 2:
            raise ValueError(f"line {number} has {len(parts) - 1} numbers, not {width or 'any'}")
        if parts[0] in wanted:
            found[parts[0]] = np.array(parts[1:], dtype=np.float32)
    return found


def _read_binary(file: BinaryIO, words: tuple[str, ...]) -> dict[str, Vectors]:
    """word2vec's form: a line ``n d``, then n times a word, a space and d float32."""
    head = file.readline().split()
    if len(head) != 2:
        raise ValueError("the first line is not a count and a width")
    n, width = int(head[0]), int(head[1])
    wanted, found = set(words), {}
    for i in range(n):
        word = bytearray()
        while (letter := file.read(1)) not in (b" ", b""):
            word += letter
        numbers = file.read(4 * width)
        if len(numbers) < 4 * width:
            raise ValueError(f"it ends after {i} of {n} words")
        name = word.decode("utf-8", errors="replace").strip()
        if name in wanted:
            found[name] = np.frombuffer(numbers, dtype="<f4").copy()
    return found
