"""Text artefacts at run time: what they answer, and what they refuse."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from builders import build_card
from text_artefacts import build_text_card, write_network, write_text_artefact

from classpulse.core.card import load_card, save_card
from classpulse.core.errors import InputError, ModelError
from classpulse.core.text_card import TextHead, TextSpec, load_any_card, load_text_card
from classpulse.runtime.text import OnnxTextModel
from classpulse.text.gate import OTHER_LANGUAGE, TOO_SHORT, UNSURE

TEXTS = ["I am so happy", "sad", "i am so angry angry", "so so so", "afraid i am"]


def test_answers_stand_in_the_order_of_the_texts(tmp_path: Path) -> None:
    model = OnnxTextModel(str(write_text_artefact(tmp_path)))
    scores = model.predict(TEXTS)["text-5"]
    labels = [scores.space.names[i] for i in scores.top]
    assert [labels[i] for i in (0, 1, 2, 4)] == ["happy", "sad", "angry", "fear"]


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_an_answer_does_not_depend_on_the_texts_beside_it(tmp_path: Path, batch: int) -> None:
    model = OnnxTextModel(str(write_text_artefact(tmp_path)))
    together = model.predict(TEXTS, batch=batch)
    for i, text in enumerate(TEXTS):
        alone = model.predict([text])
        for head in together:
            np.testing.assert_allclose(together[head].probs[i], alone[head].probs[0], atol=1e-6)


def test_labels_that_do_not_exclude_each_other_need_not_sum_to_one(tmp_path: Path) -> None:
    scores = OnnxTextModel(str(write_text_artefact(tmp_path))).predict(TEXTS)["goemotions"]
    assert not scores.exclusive and scores.probs.sum(axis=1).max() > 1


def test_no_texts_give_no_scores_and_one_text_is_no_list(tmp_path: Path) -> None:
    model = OnnxTextModel(str(write_text_artefact(tmp_path)))
    assert {head: scores.probs.shape for head, scores in model.predict([]).items()} == {
        "text-5": (0, 5),
        "goemotions": (0, 28),
    }
    with pytest.raises(InputError, match="give \\[text\\] for one"):
        model.predict("I am so happy")
    with pytest.raises(InputError, match="takes texts, not NoneType, int"):
        model.predict(["I am so happy", None, 3])  # type: ignore[list-item]


def test_it_says_why_it_keeps_silent(tmp_path: Path) -> None:
    model = OnnxTextModel(str(write_text_artefact(tmp_path)))
    texts = ["i am so happy", "sad", "estoy muy contento", "i am so so"]
    found = model.abstentions(texts, model.predict(texts))
    assert found == (None, TOO_SHORT, OTHER_LANGUAGE, UNSURE)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "words.txt"])
def test_a_file_that_was_altered_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_text_artefact(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(ModelError, match=f"{name} is not the file that card 'tiny' describes"):
        OnnxTextModel(str(folder))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "words.txt"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    folder = write_text_artefact(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"cannot read .*{name}"):
        OnnxTextModel(str(folder))


def test_an_impossible_answer_is_refused(tmp_path: Path) -> None:
    folder, network = write_text_artefact(tmp_path), write_network(scale=2.0)
    (folder / "model.onnx").write_bytes(network)
    card = build_text_card(sha256=hashlib.sha256(network).hexdigest())
    save_card(card, folder / "card.json")
    with pytest.raises(ModelError, match="'text-5' gave an impossible answer"):
        OnnxTextModel(str(folder)).predict(TEXTS)


def test_a_network_without_an_output_of_its_card_is_refused(tmp_path: Path) -> None:
    heads = (TextHead("text-7", "text-7_probs", "text-7", 1.0),)
    with pytest.raises(ModelError, match=r"lacks the outputs \['text-7_probs'\]"):
        OnnxTextModel(str(write_text_artefact(tmp_path, heads=heads)))


def test_models_of_faces_and_of_texts_are_told_apart(tmp_path: Path) -> None:
    folder = write_text_artefact(tmp_path)
    with pytest.raises(ModelError, match="is of a model for texts"):
        load_card(folder / "card.json")
    assert load_any_card(folder / "card.json") == build_text_card()
    save_card(build_card(), folder / "card.json")
    with pytest.raises(ModelError, match="not of a model for texts"):
        OnnxTextModel(str(folder))
    assert load_any_card(folder / "card.json") == build_card()


def test_a_card_survives_the_disk_and_names_a_malformed_field(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    save_card(build_text_card(), path)
    assert load_text_card(path) == build_text_card()
    raw = json.loads(path.read_text())
    raw["gate"]["min_words"] = "two"
    path.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match="gate: min_words: expected int"):
        load_text_card(path)


@pytest.mark.parametrize("thresholds", [(0.5,), (0.5,) * 4 + (1.5,)])
def test_thresholds_are_one_for_each_label(thresholds: tuple[float, ...]) -> None:
    head = TextHead("text-5", "text-5_probs", "text-5", 1.0, (), thresholds)
    with pytest.raises(ModelError, match="thresholds must be none or 5"):
        build_text_card(heads=(head,))


@pytest.mark.parametrize("name", ["../tokenizer.json", "", "a/b.json"])
def test_a_card_names_files_of_its_own_folder_only(name: str) -> None:
    with pytest.raises(ModelError, match="a file in the artefact's folder"):
        dataclasses.replace(build_text_card().input, tokenizer=name)


def test_a_text_spec_has_room_for_a_token() -> None:
    with pytest.raises(ModelError, match="2 tokens"):
        TextSpec("plain", 2, 0, "tokenizer.json", "0" * 64)
