"""What holds for everything that is registered, shipped or listed."""

import hashlib
import json
from functools import cache

import numpy as np
import pytest
from builders import build_frame, load_portrait, noise, sure
from numpy.typing import NDArray

from classpulse.core.card import Card, Head, is_of_text, read_card
from classpulse.core.defaults import MODEL, TEXT_MODEL
from classpulse.core.labels import FER2013_7, LEARNING_STATE_4, RELABELS, SPACES
from classpulse.core.records import Detector, Faces, Scores
from classpulse.core.text_card import load_any_card
from classpulse.engage.score import PRESETS
from classpulse.lab.recipe_file import read_table
from classpulse.lab.recipe_file import recipe_names as shipped_recipes
from classpulse.room.privacy import PROFILES, Privacy
from classpulse.runtime.model import OnnxModel, shipped_models
from classpulse.runtime.text import OnnxTextModel
from classpulse.text.gate import OTHER_LANGUAGE, TOO_SHORT
from classpulse.vision.detect import DETECTORS, build_detector
from classpulse.vision.image import FRAMINGS, crop_face, prepare

PICTURES = {
    "noise": noise(120, 160),
    "black": np.zeros((90, 120, 3), np.uint8),
    "white": np.full((90, 120, 3), 255, np.uint8),
    "1x1": noise(1, 1),
    "33x7": noise(7, 33),
    "7x33": noise(33, 7),
    "1x200": noise(200, 1),
    "odd": noise(101, 77),
    "stripes": np.tile(np.array([0, 255], np.uint8)[:, None, None], (60, 91, 3)),
    "portrait": load_portrait("astronaut", scale=0.4),
}
detectors = pytest.mark.parametrize("detector", list(DETECTORS))
SHIPPED = shipped_models()
TEXT = [name for name, at in SHIPPED.items() if is_of_text(read_card(at / "card.json"))]
every_model = pytest.mark.parametrize("model", list(SHIPPED))
models = pytest.mark.parametrize("model", [name for name in SHIPPED if name not in TEXT])
text_models = pytest.mark.parametrize("model", TEXT)


@cache
def opened(detector: str) -> Detector:
    return build_detector(detector)


@cache
def loaded(model: str) -> OnnxModel:
    return OnnxModel(model)


def batch(model: str, n: int) -> NDArray[np.float32]:
    """Faces for a model: a portrait, then noise."""
    spec = loaded(model).card.input
    portrait = load_portrait("astronaut")[54:178, 165:289]
    faces = [portrait, *(noise(60, 60, seed=seed) for seed in range(n - 1))]
    return np.stack([prepare(face, spec) for face in faces[:n]])


def same(one: Faces, two: Faces) -> bool:
    if (one.landmarks is None) != (two.landmarks is None):
        return False
    marks = one.landmarks is None or np.array_equal(one.landmarks, two.landmarks)
    return marks and np.array_equal(one.box, two.box) and np.array_equal(one.score, two.score)


# --- detectors -----------------------------------------------------------------------------------


@detectors
@pytest.mark.parametrize("picture", list(PICTURES))
def test_a_detector_gives_faces_of_any_picture(detector: str, picture: str) -> None:
    faces = opened(detector)(build_frame(image=PICTURES[picture]))
    assert isinstance(faces, Faces) and faces.track is None
    assert len(faces) == (picture == "portrait")


@detectors
@pytest.mark.parametrize("picture", ["noise", "portrait"])
def test_a_detector_always_gives_the_same(detector: str, picture: str) -> None:
    frame = build_frame(image=PICTURES[picture])
    one, two = (opened(detector)(frame) for _ in range(2))
    assert same(one, two)


@detectors
def test_a_detector_keeps_no_memory_of_other_frames(detector: str) -> None:
    frame = build_frame(image=PICTURES["portrait"])
    one = opened(detector)(frame)
    opened(detector)(build_frame(image=PICTURES["odd"]))
    assert same(one, opened(detector)(frame))


@detectors
def test_the_faces_of_a_detector_can_be_cut_out(detector: str) -> None:
    frame = build_frame(image=PICTURES["portrait"])
    faces = opened(detector)(frame)
    marks = None if faces.landmarks is None else faces.landmarks[0]
    crop = crop_face(frame.image, faces.box[0], marks, loaded(MODEL).card.input)
    assert crop.ndim == 3 and crop.std() > 10


# --- label spaces and relabellings ---------------------------------------------------------------


@pytest.mark.parametrize("space", list(SPACES))
def test_a_space_finds_each_of_its_labels(space: str) -> None:
    known = SPACES[space]
    assert [known.index(label) for label in known.names] == list(range(len(known)))


@pytest.mark.parametrize("space", list(SPACES))
def test_a_label_is_one_lower_case_word(space: str) -> None:
    assert all(label.islower() and label.isalpha() for label in SPACES[space].names)


@pytest.mark.parametrize("rule", list(RELABELS))
def test_rows_of_a_relabelling_sum_to_one_or_zero(rule: str) -> None:
    matrix = RELABELS[rule].matrix
    assert set(matrix.sum(axis=1).tolist()) <= {0.0, 1.0} and (matrix >= 0).all()


@pytest.mark.parametrize("rule", list(RELABELS))
def test_a_relabelling_joins_two_registered_spaces(rule: str) -> None:
    found = RELABELS[rule]
    assert SPACES[found.source.name] == found.source and SPACES[found.target.name] == found.target


@pytest.mark.parametrize("rule", list(RELABELS))
def test_a_relabelling_says_where_it_comes_from(rule: str) -> None:
    assert RELABELS[rule].name == rule and len(RELABELS[rule].origin) > 20


@pytest.mark.parametrize("rule", list(RELABELS))
def test_a_label_of_the_same_name_stays(rule: str) -> None:
    found = RELABELS[rule]
    for row, label in enumerate(found.source.names):
        if label in found.target.names:
            assert found.matrix[row, found.target.index(label)] == 1.0, label


# --- presets and profiles ------------------------------------------------------------------------


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_says_where_it_comes_from(preset: str) -> None:
    assert PRESETS[preset].name == preset and len(PRESETS[preset].origin) > 20


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_preset_scores_plain_columns(preset: str) -> None:
    columns = {label: [0.0, 1.0] for label in PRESETS[preset].labels}
    scores = PRESETS[preset].score_columns(columns)
    assert scores.shape == (2,) and scores[0] == pytest.approx(PRESETS[preset].intercept)


@pytest.mark.parametrize("preset", [name for name, p in PRESETS.items() if p.clip])
@pytest.mark.parametrize("emotion", FER2013_7.names)
@pytest.mark.parametrize("state", LEARNING_STATE_4.names)
def test_a_clipping_preset_stays_in_zero_to_one(preset: str, emotion: str, state: str) -> None:
    scores = {"emotion": sure(FER2013_7, emotion), "state": sure(LEARNING_STATE_4, state)}
    value, variance = PRESETS[preset].score(scores)
    assert 0 <= value.item() <= 1 and variance.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_profile_has_a_sentence_for_the_report(profile: str) -> None:
    assert PROFILES[profile].name == profile and PROFILES[profile].text.endswith(".")


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_profile_keeps_the_minimum_group(profile: str) -> None:
    assert Privacy(profile).group >= 5


# --- shipped models ------------------------------------------------------------------------------


def card_of(model: str) -> Card:
    return load_any_card(SHIPPED[model] / "card.json")


def test_the_default_models_are_shipped() -> None:
    assert MODEL in SHIPPED and TEXT_MODEL in TEXT


@every_model
def test_a_card_has_the_name_of_its_folder(model: str) -> None:
    assert card_of(model).name == model


@every_model
def test_a_card_describes_the_file_beside_it(model: str) -> None:
    folder = SHIPPED[model]
    found = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert card_of(model).sha256 == found


@models
def test_a_card_names_a_known_framing(model: str) -> None:
    assert loaded(model).card.input.framing in FRAMINGS


@every_model
def test_a_card_tells_its_limits_and_licence(model: str) -> None:
    card = card_of(model)
    assert card.limits and all(card.limits) and card.licence


@every_model
def test_the_numbers_of_a_card_lie_in_their_intervals(model: str) -> None:
    card = card_of(model)
    heads = {head.name for head in card.heads}
    assert all(m.low <= m.value <= m.high and m.n > 0 and m.head in heads for m in card.metrics)


@every_model
def test_a_card_is_valid_json(model: str) -> None:
    text = (SHIPPED[model] / "card.json").read_text(encoding="utf-8")
    assert isinstance(json.loads(text, parse_constant=lambda name: pytest.fail(name)), dict)


@models
@pytest.mark.parametrize("n", [0, 1, 4])
def test_a_model_answers_with_scores_of_its_heads(model: str, n: int) -> None:
    scores = loaded(model).predict(batch(model, 4)[:n])
    heads: tuple[Head, ...] = loaded(model).card.heads
    assert list(scores) == [head.name for head in heads]
    for head in heads:
        assert isinstance(scores[head.name], Scores) and len(scores[head.name]) == n
        assert scores[head.name].space == head.label_space


@models
def test_a_batch_is_its_faces_one_by_one(model: str) -> None:
    faces = batch(model, 4)
    whole = loaded(model).predict(faces)
    for row in range(4):
        alone = loaded(model).predict(faces[row : row + 1])
        for head, scores in whole.items():
            assert np.allclose(scores.probs[row], alone[head].probs[0], atol=1e-4)


@models
def test_a_model_always_answers_the_same(model: str) -> None:
    faces = batch(model, 2)
    one, two = (loaded(model).predict(faces) for _ in range(2))
    assert all(np.array_equal(one[head].probs, two[head].probs) for head in one)


@models
def test_a_model_does_not_see_left_and_right(model: str) -> None:
    faces = batch(model, 3)
    one = loaded(model).predict(faces)
    two = loaded(model).predict(np.ascontiguousarray(faces[:, :, :, ::-1]))
    assert all(np.allclose(one[head].probs, two[head].probs, atol=1e-3) for head in one)


@models
def test_a_model_tells_faces_apart_from_noise(model: str) -> None:
    probs = next(iter(loaded(model).predict(batch(model, 2)).values())).probs
    assert np.abs(probs[0] - probs[1]).max() > 1e-3


@models
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_model_answers_even_for_flat_pictures(model: str, value: int) -> None:
    face = prepare(np.full((48, 48), value, np.uint8), loaded(model).card.input)
    scores = loaded(model).predict(face[None])
    assert all(np.isfinite(s.probs).all() for s in scores.values())


@models
def test_some_preset_can_use_the_model(model: str) -> None:
    heads = {head.name for head in loaded(model).card.heads}
    assert any(set(preset.weights) <= heads for preset in PRESETS.values())


# --- recipes -------------------------------------------------------------------------------------


def recipe_names() -> list[str]:
    """Shipped recipes of one network for faces; others are in tests/unit."""
    other = {"members", "features", "encode"}
    return [name for name in shipped_recipes() if not other & read_table(name).keys()]


recipes = pytest.mark.parametrize("recipe", recipe_names())


def test_the_default_model_has_a_recipe() -> None:
    assert MODEL in recipe_names()


@recipes
def test_a_recipe_loads_under_its_own_name(recipe: str) -> None:
    pytest.importorskip("torch")
    from classpulse.lab.recipe import load_recipe

    assert load_recipe(recipe).name == recipe


@recipes
def test_a_recipe_trains_known_heads_on_a_known_framing(recipe: str) -> None:
    pytest.importorskip("torch")
    from classpulse.lab.recipe import load_recipe
    from classpulse.lab.train.targets import HEAD_SPACES

    found = load_recipe(recipe)
    assert found.heads.keys() <= HEAD_SPACES.keys() and found.input.framing in FRAMINGS


@recipes
def test_a_recipe_ends_at_the_size_of_its_input(recipe: str) -> None:
    pytest.importorskip("torch")
    from classpulse.lab.recipe import load_recipe

    found = load_recipe(recipe)
    assert found.schedule.sides[-1][1] == found.input.width == found.input.height


SENTENCES = (
    "I am so happy that it works now",
    "I hate this stupid exercise",
    "I am really afraid of the exam tomorrow",
    "No entiendo nada de esto",
    "",
    "so " * 10_000,
)


@text_models
def test_a_text_model_reads_what_is_plain(model: str) -> None:
    reader = OnnxTextModel(model)
    scores = reader.predict(SENTENCES)
    assert list(scores) == [head.name for head in reader.card.heads]
    assert all(len(one) == len(SENTENCES) for one in scores.values())
    five = [scores["text-5"].space.names[i] for i in scores["text-5"].top[:3]]
    assert five == ["happy", "angry", "fear"]
    silent = reader.abstentions(SENTENCES, scores)
    assert silent[:3] == (None,) * 3 and silent[3] == OTHER_LANGUAGE and silent[4] == TOO_SHORT


@text_models
def test_a_text_model_answers_alike_alone_and_in_a_batch(model: str) -> None:
    reader = OnnxTextModel(model)
    whole = reader.predict(SENTENCES[:3])["text-5"].probs
    alone = np.concatenate([reader.predict([one])["text-5"].probs for one in SENTENCES[:3]])
    assert np.abs(whole - alone).max() < 0.1  # integers are scaled by the batch
