"""The card of a network for texts: what goes in, what comes out, when it says nothing."""

from dataclasses import dataclass
from pathlib import Path

from classpulse.core.card import (
    Card,
    Head,
    ModelCard,
    build_card,
    is_of_text,
    load_card,
    read_card,
)
from classpulse.core.errors import ModelError


@dataclass(frozen=True, slots=True)
class TextSpec:
    """What a text network eats: token numbers and a mask of them, both (n, t) int64.

    Args:
        clean: name in `text.clean.CLEANERS`, the rule every text goes through first.
        max_tokens: longer texts are cut; special tokens count.
        pad: number of the token that fills a batch.
        tokenizer: file in the artefact's folder, as the `tokenizers` library writes it.
        tokenizer_sha256: of that file.
    """

    clean: str
    max_tokens: int
    pad: int
    tokenizer: str
    tokenizer_sha256: str

    def __post_init__(self) -> None:
        if self.max_tokens < 3 or self.pad < 0:
            raise ModelError(
                f"text spec: {self.max_tokens} tokens with padding {self.pad}: needs 3 or more, "
                "and a padding of 0 or more"
            )
        _check_file_name("tokenizer", self.tokenizer)


@dataclass(frozen=True, slots=True)
class TextHead(Head):
    """A head of a text network.

    Args:
        thresholds: from which probability each label holds, for a head whose labels do not exclude
            each other; empty for one with exactly one label a text.
    """

    thresholds: tuple[float, ...] = ()

    @property
    def exclusive(self) -> bool:
        """Whether a text has exactly one of its labels."""
        return not self.thresholds


@dataclass(frozen=True, slots=True)
class TextGate:
    """Limits outside which a reading abstains; `text.gate` has the rule.

    Args:
        min_words: of a text.
        min_known: share of its words that are among the known ones, in [0, 1].
        min_confidence: calibrated top probability of the first head.
        words: file in the artefact's folder with the known words, one a line.
        words_sha256: of that file.
    """

    min_words: int
    min_known: float
    min_confidence: float
    words: str
    words_sha256: str

    def __post_init__(self) -> None:
        _check_file_name("words", self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCard(Card):
    """Everything a user must know about a network for texts before believing it.

    Args:
        input: `TextSpec`.
        gate: `TextGate`.
    """

    heads: tuple[TextHead, ...]
    input: TextSpec
    gate: TextGate

    def __post_init__(self) -> None:
        Card.__post_init__(self)
        for head in self.heads:
            k = len(head.label_space)
            fits = not head.thresholds or len(head.thresholds) == k
            if not fits or not all(0 < t < 1 for t in head.thresholds):
                raise ModelError(
                    f"card '{self.name}', head '{head.name}': thresholds must be none or {k} "
                    "numbers between 0 and 1"
                )

    def head(self, name: str) -> TextHead:
        """The head called `name`; `ModelError` lists the heads there are otherwise."""
        Card.head(self, name)
        return next(head for head in self.heads if head.name == name)


def load_text_card(path: Path) -> TextCard:
    """Read the `card.json` of a network for texts.

    Raises:
        ModelError: as `build_card`, or it is of a network for faces.
    """
    raw = read_card(path)
    if not is_of_text(raw):
        raise ModelError(f"{path} is not of a model for texts: give one that reads texts here")
    return build_card(TextCard, raw, path)


def load_any_card(path: Path) -> ModelCard | TextCard:
    """Read the `card.json` of a network of either kind.

    Raises:
        ModelError: as `build_card`.
    """
    return load_text_card(path) if is_of_text(read_card(path)) else load_card(path)


def _check_file_name(what: str, name: str) -> None:
    """A card may name files of its own folder only."""
    if not name or Path(name).name != name:
        raise ModelError(f"{what} '{name}': needs the name of a file in the artefact's folder")
