"""A tokenizer, a network and an artefact for texts, small enough to be written in a test."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from classpulse.core.card import save_card
from classpulse.core.text_card import TextCard, TextGate, TextHead, TextSpec
from classpulse.text.encode import INPUTS

VOCABULARY = ["[PAD]", "[UNK]", "angry", "disgust", "afraid", "happy", "sad", "i", "am", "so"]
KNOWN = ("i", "am", "so", "angry", "afraid", "happy", "sad")


def write_tokenizer() -> bytes:
    """Words of `VOCABULARY` in lower case, cut at white space."""
    words = {word: i for i, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(tokenizer.to_str()).encode()


def write_network(*, scale: float = 1.0) -> bytes:
    """Softmax over five labels of how often each of the tokens 2 to 6 occurs, twice as two heads.

    Args:
        scale: of the first head's probabilities; another than 1 makes them impossible.
    """
    table = np.zeros((len(VOCABULARY), 5), dtype=np.float32)
    table[np.arange(2, 7), np.arange(5)] = 3.0
    nodes = [
        helper.make_node("Gather", ["table", INPUTS[0]], ["vectors"]),
        helper.make_node("Cast", [INPUTS[1]], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "axis"], ["wide"]),
        helper.make_node("Mul", ["vectors", "wide"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["logits"], keepdims=0),
        helper.make_node("Softmax", ["logits"], ["plain"]),
        helper.make_node("Mul", ["plain", "scale"], ["text-5_probs"]),
        helper.make_node("Sigmoid", ["logits"], ["five"]),
        helper.make_node("Tile", ["five", "repeats"], ["thirty"]),
        helper.make_node("Slice", ["thirty", "zero", "end", "columns"], ["goemotions_probs"]),
    ]
    constants = {
        "table": table,
        "axis": np.array([2]),
        "middle": np.array([1]),
        "scale": np.array(scale, dtype=np.float32),
        "repeats": np.array([1, 6]),
        "zero": np.array([0]),
        "end": np.array([28]),
        "columns": np.array([1]),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["n", "t"]) for n in INPUTS],
        [
            helper.make_tensor_value_info("text-5_probs", TensorProto.FLOAT, ["n", 5]),
            helper.make_tensor_value_info("goemotions_probs", TensorProto.FLOAT, ["n", 28]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def build_text_card(**changes: Any) -> TextCard:
    """A valid card of `write_network`, with some fields changed."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "summary": "A network for tests.",
        "input": TextSpec(
            "plain", 16, 0, "tokenizer.json", hashlib.sha256(write_tokenizer()).hexdigest()
        ),
        "heads": (
            TextHead("text-5", "text-5_probs", "text-5", 1.0),
            TextHead("goemotions", "goemotions_probs", "goemotions-28", 1.0, (), (0.5,) * 28),
        ),
        "gate": TextGate(
            2, 0.5, 0.5, "words.txt", hashlib.sha256("\n".join(KNOWN).encode()).hexdigest()
        ),
        "metrics": (),
        "trained_on": "nothing",
        "licence": "Apache-2.0",
        "limits": ("tests only",),
        "recipe": "tiny",
        "commit": "0000000",
        "created": "2026-01-01",
        "sha256": hashlib.sha256(write_network()).hexdigest(),
        "parameters": 50,
    }
    return TextCard(**(fields | changes))


def write_text_artefact(folder: Path, **changes: Any) -> Path:
    """The folder of `build_text_card` with its files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(write_network())
    (folder / "tokenizer.json").write_bytes(write_tokenizer())
    (folder / "words.txt").write_text("\n".join(KNOWN))
    save_card(build_text_card(**changes), folder / "card.json")
    return folder
