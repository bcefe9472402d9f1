"""The model card: the only bridge between the lab and the room.

An artefact is a folder with `model.onnx` and `card.json`. The card says what goes in (`InputSpec`),
what comes out (`Head`), when to answer at all (`QualityGate`), how good it is (`Metric`, each with
n and an interval), and which bytes it describes (`sha256`). `ModelCard` is of a network for faces;
`core.text_card` has the one for texts.
"""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from classpulse.core.build import LATER, build_dataclass
from classpulse.core.errors import LabelError, ModelError
from classpulse.core.files import save_text
from classpulse.core.labels import LabelSpace, get_space

CARD_FORMAT = 1


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a face network eats.

    Args:
        width, height: pixels.
        channels: 1 (grey) or 3 (RGB).
        mean, std: of pixel values scaled to [0, 1], per channel.
        framing: which template of `vision.image.FRAMINGS` the crop is aligned to.
    """

    width: int
    height: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    framing: str

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or self.channels not in (1, 3):
            raise ModelError(
                f"input spec {self.width}x{self.height}x{self.channels}: sizes must be positive "
                "and channels 1 or 3"
            )
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ModelError(f"input spec needs {self.channels} mean and std values")
        if not all(std > 0 for std in self.std):
            raise ModelError(f"input spec: std must be positive, not {self.std}")


@dataclass(frozen=True, slots=True)
class Head:
    """One output of a network.

    Its probabilities are softmax(scale * log p * exp(by_entropy * H) / temperature + bias), p those
    that are not calibrated, H their entropy in [0, 1]; all of that is already inside the network.

    Args:
        name: what the head is called in readings.
        output: its ONNX output.
        space: name of its label space.
        temperature: of its calibration.
        given: ``"head:label"`` entries. The head was trained on faces of these labels only, so
            their summed probability is the chance that it has anything to say; empty: always.
        scale, bias, by_entropy: of its calibration, the first two one for each label; empty and 0
            where it is a temperature only.
    """

    name: str
    output: str
    space: str
    temperature: float
    given: tuple[str, ...] = ()
    scale: tuple[float, ...] = field(default=(), kw_only=True, metadata=LATER)
    bias: tuple[float, ...] = field(default=(), kw_only=True, metadata=LATER)
    by_entropy: float = field(default=0.0, kw_only=True, metadata=LATER)

    @property
    def label_space(self) -> LabelSpace:
        return get_space(self.space)

    @property
    def exclusive(self) -> bool:
        """Whether exactly one of its labels holds of each input."""
        return True


@dataclass(frozen=True, slots=True)
class QualityGate:
    """Limits outside which a reading abstains; fitted per network, see the card's `limits`.

    Args:
        min_face_px: shorter side of the face box, pixels.
        min_sharpness: see `vision.features.sharpness`.
        max_turn: see `vision.features.turn`, in [0, 1]. The fitted limit, or where no turn was read
            worse beyond chance the constant `lab.evaluate.gate.PROFILE`; the model's page says
            which.
        min_confidence: calibrated top probability of the first head.
        min_light, max_light: see `vision.features.light`; 0 and 1, as in cards from before there
            were any, limit nothing.
    """

    min_face_px: float
    min_sharpness: float
    max_turn: float
    min_confidence: float
    min_light: float = field(default=0.0, metadata=LATER)
    max_light: float = field(default=1.0, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number: value, 95 % interval (low, high), rows n, and the data it was taken on."""

    name: str
    head: str
    value: float
    low: float
    high: float
    n: int
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What every artefact says of itself, whatever its network eats.

    Args:
        name: artefact name, equal to its folder name.
        summary: one sentence.
        heads: at least one `Head`; the first is the primary one.
        metrics: measured numbers.
        trained_on: data sets and parts.
        licence: of the weights.
        limits: sentences on where it fails or must not be used.
        recipe: name of the recipe that made it.
        commit: source revision of the recipe run.
        created: ISO date.
        sha256: of `model.onnx`.
        parameters: number of trained parameters.
    """

    name: str
    summary: str
    heads: tuple[Head, ...]
    metrics: tuple[Metric, ...]
    trained_on: str
    licence: str
    limits: tuple[str, ...]
    recipe: str
    commit: str
    created: str
    sha256: str
    parameters: int
    format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        if self.format != CARD_FORMAT:
            raise ModelError(
                f"card '{self.name}' has format {self.format}, this version reads {CARD_FORMAT}: "
                "update classpulse or export the model again"
            )
        if not self.heads:
            raise ModelError(f"card '{self.name}' has no heads")
        for head in self.heads:
            if not head.temperature > 0:  # true for NaN too
                raise ModelError(f"card '{self.name}': temperature of '{head.name}' must be > 0")
            try:
                get_space(head.space)
            except LabelError as error:
                raise ModelError(f"card '{self.name}', head '{head.name}': {error}") from None
            self._check_scaling(head)
        known = {f"{h.name}:{label}" for h in self.heads for label in h.label_space.names}
        for head in self.heads:
            if not known.issuperset(head.given):
                raise ModelError(
                    f"card '{self.name}', head '{head.name}': given {sorted(head.given)} must be "
                    f"'head:label' of the heads {', '.join(h.name for h in self.heads)}"
                )

    def _check_scaling(self, head: Head) -> None:
        lengths, k = {len(head.scale), len(head.bias)}, len(head.label_space)
        finite = all(map(math.isfinite, (*head.scale, *head.bias, head.by_entropy)))
        if lengths not in ({0}, {k}) or not finite or not all(v > 0 for v in head.scale):
            raise ModelError(
                f"card '{self.name}', head '{head.name}': scale and bias must be empty or {k} "
                "finite numbers each, the scales above 0, and by_entropy a finite number"
            )

    def head(self, name: str) -> Head:
        """The head called `name`; `ModelError` lists the heads there are otherwise."""
        for head in self.heads:
            if head.name == name:
                return head
        known = ", ".join(h.name for h in self.heads)
        raise ModelError(f"model '{self.name}' has no head '{name}'; it has: {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard(Card):
    """Everything a user must know about a network for faces before believing it.

    Args:
        input: `InputSpec`.
        gate: `QualityGate`.
    """

    input: InputSpec
    gate: QualityGate


C = TypeVar("C", bound=Card)


def save_card(card: Card, path: Path) -> None:
    """Write the card in one step, as indented JSON with a stable key order.

    Raises:
        OutputError: it cannot be written.
    """
    save_text(json.dumps(dataclasses.asdict(card), indent=2) + "\n", path)


def load_card(path: Path) -> ModelCard:
    """Read the `card.json` of a network for faces.

    Raises:
        ModelError: as `build_card`, or it is of a network for texts.
    """
    raw = read_card(path)
    if is_of_text(raw):
        raise ModelError(f"{path} is of a model for texts: give a model for faces here")
    return build_card(ModelCard, raw, path)


def read_card(path: Path) -> Any:
    """The parsed JSON of a card.

    Raises:
        ModelError: the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"no model card at {path}: an artefact is model.onnx + card.json"
        ) from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; check its rights") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}): export the model again") from None


def is_of_text(raw: Any) -> bool:
    """Whether the JSON of a card is of a network for texts: only these name a tokenizer."""
    spec = raw.get("input") if isinstance(raw, dict) else None
    return isinstance(spec, dict) and "tokenizer" in spec


def build_card(kind: type[C], raw: Any, path: Path) -> C:
    """The card in the JSON of `path`.

    Raises:
        ModelError: a field is missing, unknown or of the wrong type; the message names the field.
    """
    card: C = build_dataclass(kind, raw, where=str(path), error=ModelError)
    return card
