"""Every network for texts by name: what it reads, and how.

settings = parse_choice(TEXT_MODELS, {"kind": "transformer-ngram", "encoder": "minilm"}, ...)
model = settings.build({"text-5": 5}, vocabulary)
model(ids, mask)["text-5"]  # (b, 5) logits
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from classpulse.core.registry import Registry
from classpulse.lab.models.base import RANDOM
from classpulse.lab.models.text_base import TextModel, TextModelSettings, Vocabulary
from classpulse.lab.models.text_encoders import EncoderSettings, build_encoder
from classpulse.lab.models.text_readers import (
    DuoReader,
    DuoSettings,
    LstmReader,
    LstmSettings,
    MeanReader,
    MeanSettings,
    NgramReader,
    NgramSettings,
)
from classpulse.lab.models.text_vectors import VectorSettings, build_vectors

TEXT_MODELS: Registry[type[TextModelSettings]] = Registry("text network")


@TEXT_MODELS.register("transformer-mean")
@dataclass(frozen=True, slots=True)
class TransformerMean(EncoderSettings):
    """A transformer, the mean of its tokens, linear heads (training-notes.md, text run)."""

    reader: MeanSettings = field(default_factory=MeanSettings)

    def build(self, heads: Mapping[str, int], vocabulary: Vocabulary) -> TextModel:
        tokens = build_encoder(self, vocabulary)
        return TextModel(tokens, MeanReader(self.reader, tokens.width), heads)


@TEXT_MODELS.register("transformer-ngram")
@dataclass(frozen=True, slots=True)
class TransformerNgram(EncoderSettings):
    """A transformer read by the n-gram CNN: the thesis' best networks (seed-thesis D.6)."""

    reader: NgramSettings = field(default_factory=NgramSettings)

    def build(self, heads: Mapping[str, int], vocabulary: Vocabulary) -> TextModel:
        tokens = build_encoder(self, vocabulary)
        return TextModel(tokens, NgramReader(self.reader, tokens.width), heads)


@TEXT_MODELS.register("transformer-duo")
@dataclass(frozen=True, slots=True)
class TransformerDuo(EncoderSettings):
    """A transformer read by the BiLSTM-CNN duo (thesis BERT 1 and 4)."""

    reader: DuoSettings = field(default_factory=DuoSettings)

    def build(self, heads: Mapping[str, int], vocabulary: Vocabulary) -> TextModel:
        tokens = build_encoder(self, vocabulary)
        return TextModel(tokens, DuoReader(self.reader, tokens.width), heads)


@TEXT_MODELS.register("vectors-ngram")
@dataclass(frozen=True, slots=True)
class VectorsNgram(VectorSettings):
    """Word vectors read by the n-gram CNN (thesis GloVe CNN and Word2Vec CNN)."""

    reader: NgramSettings = field(default_factory=NgramSettings)

    @property
    def encoder(self) -> str:
        return RANDOM

    def build(self, heads: Mapping[str, int], vocabulary: Vocabulary) -> TextModel:
        tokens = build_vectors(self, vocabulary)
        return TextModel(tokens, NgramReader(self.reader, tokens.width), heads)


@TEXT_MODELS.register("vectors-lstm")
@dataclass(frozen=True, slots=True)
class VectorsLstm(VectorSettings):
    """Word vectors read by a BiLSTM (thesis GloVe BiLSTM)."""

    reader: LstmSettings = field(default_factory=LstmSettings)

    @property
    def encoder(self) -> str:
        return RANDOM

    def build(self, heads: Mapping[str, int], vocabulary: Vocabulary) -> TextModel:
        tokens = build_vectors(self, vocabulary)
        return TextModel(tokens, LstmReader(self.reader, tokens.width), heads)
