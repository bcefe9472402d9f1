"""What every network for texts is: token vectors, a reader of them, and one linear layer per head.

Shapes: b batch, t tokens, d width of a token's vector, w width of a whole text, k labels of a head.
A text's answer depends on its own tokens only: readers look at the mask, so neither the batch nor
its padding matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from classpulse.lab.models.base import RANDOM


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens a network is built for.

    Args:
        words: every token, in the order of their numbers.
        pad: number of the filling token.
    """

    words: tuple[str, ...]
    pad: int

    def __len__(self) -> int:
        return len(self.words)


class TokenSource(nn.Module):
    """(b, t) token numbers and mask -> (b, t, width) vectors.

    Attributes:
        width: d.
        origin: where its weights came from when it was built, for the card.
        tuned: whether any of its weights learn.
    """

    width: int
    origin: str = RANDOM
    tuned: bool = True

    def remember(self) -> None:
        """Keep what it says of every text, which never changes where nothing of it learns.

        For a run that shows the same texts in every epoch; 3 kB a token of width 768, as far as
        6 GiB reach.
        """


class TextReader(nn.Module):
    """(b, t, d) vectors and mask (b, t) -> (b, width), dropout included.

    Attributes:
        width: w.
    """

    width: int


class TextModel(nn.Module):
    """A network (b, t) int64 numbers and mask -> {head: logits (b, k)}.

    Attributes:
        hint: maps its vector of a text to that of another network while it learns from hints.
    """

    hint: nn.Linear | None

    def __init__(self, tokens: TokenSource, reader: TextReader, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.tokens = tokens
        self.reader = reader
        self.heads = nn.ModuleDict({name: nn.Linear(reader.width, k) for name, k in heads.items()})
        self.hint = None

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return self.answer(self.read(ids, mask))

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(b, w) vectors of the texts."""
        read: Tensor = self.reader(self.tokens(ids, mask), mask)
        return read

    def answer(self, z: Tensor) -> dict[str, Tensor]:
        """{head: logits (b, k)} of the vectors (b, w)."""
        return {name: head(z) for name, head in self.heads.items()}

    def learn_hint(self, width: int) -> None:
        """Get a map to vectors of another network, (b, width)."""
        self.hint = nn.Linear(self.reader.width, width)

    def train(self, mode: bool = True) -> "TextModel":
        """A source that does not learn stays in evaluation mode: its vectors are fixed.

        The thesis left its frozen encoders' own dropout on (seed-thesis E.2, 5); here it is off.
        """
        super().train(mode)
        if not self.tokens.tuned:
            self.tokens.eval()
        return self


class TextModelSettings(Protocol):
    """What every settings class of `lab.models.text_registry.TEXT_MODELS` has."""

    @property
    def encoder(self) -> str:
        """Where an encoder with its tokenizer is; "random" for a vocabulary from the texts."""

    def build(self, heads: Mapping[str, int], vocabulary: Vocabulary) -> TextModel:
        """The network, weights from torch's global random state.

        Args:
            heads: head name -> number of labels.

        Raises:
            InputError: an impossible setting.
            ModelError: a file with weights is missing or does not fit.
        """
