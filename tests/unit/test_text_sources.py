"""Training texts: what is held out, what is added, and how variants are made."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.labels import GOEMOTIONS_28, ISEAR_7, MELD_7, TEXT_5, TEXT_7  # noqa: E402
from classpulse.lab.data.texts import MultiTextSet, TextSet, concat_texts  # noqa: E402
from classpulse.lab.text import compose, sources  # noqa: E402
from classpulse.lab.text.augment import (  # noqa: E402
    WORDNET_FILES,
    TextAugment,
    augment_texts,
    load_synonyms,
)
from classpulse.lab.text.baseline_run import METRICS, run_baseline  # noqa: E402
from classpulse.lab.text.multi import (  # noqa: E402
    PLAIN_THRESHOLD,
    cross_fitted_f1,
    fit_thresholds,
    macro_f1,
)
from classpulse.lab.text.recipe import TextData, TextRecipe, load_text_recipe  # noqa: E402
from classpulse.lab.train.teach import Teaching  # noqa: E402

SYNSETS = """  1 This software and database is being provided to you
00001740 03 s 02 happy 0 glad 0 001 @ 00001930 n 0000 | feeling well
00001930 03 s 03 car 0 motor_car 0 auto(p) 0 000 | a vehicle
"""


def texts_of(name: str, space: object, rows: list[tuple[str, str]]) -> TextSet:
    labels = np.array([space.index(label) for _, label in rows], dtype=np.int64)  # type: ignore[attr-defined]
    return TextSet(
        tuple(text for text, _ in rows),
        labels,
        space,  # type: ignore[arg-type]
        (name,) * len(rows),
        np.arange(len(rows), dtype=np.int64),
        name,
    )


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    for name in WORDNET_FILES:
        (tmp_path / name).write_text(SYNSETS)
    return tmp_path


def test_a_row_held_out_for_one_head_is_a_training_row_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    isear = texts_of("isear", ISEAR_7, [(f"text {i}", "joy") for i in range(6)])
    five = compose.to_space(isear, TEXT_5)
    seven = compose.to_space(isear, TEXT_7)
    parts = {
        "text-5": {"train": five.take(np.array([0, 1, 2, 3]), name="a"), "valid": five.take(
            np.array([4]), name="b"), "test": five.take(np.array([5]), name="c")},
        "text-7": {"train": seven.take(np.array([1, 2, 4, 5]), name="a"), "valid": seven.take(
            np.array([0]), name="b"), "test": seven.take(np.array([3]), name="c")},
    }  # fmt: skip
    data = TextData(("isear", "meld"), {"text-5": "five", "text-7": "seven"})
    recipe = TextRecipe("x", "x.", {"text-5": 1.0, "text-7": 1.0}, data=data)
    held = sources._held_out(parts.values(), [parts["text-5"]["valid"], parts["text-7"]["valid"]])
    rows = sources._train_rows(recipe, {"isear": isear}, parts, held)
    assert rows.texts == ("text 1", "text 2") and rows.own.all()
    assert (rows.targets["text-5"].sum(axis=1) > 0.99).all()
    assert (rows.targets["text-7"].argmax(axis=1) == TEXT_7.index("happy")).all()


def test_five_of_seven_are_the_rows_of_seven_that_have_one_of_the_five(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [(f"text {i}", name) for i, name in enumerate(("joy", "surprise", "anger", "neutral"))]
    seven = compose.to_space(texts_of("meld", MELD_7, rows), TEXT_7)
    rows_of = {"train": [0, 1], "valid": [3, 2], "test": []}
    parts = {
        role: seven.take(np.array(some, dtype=np.int64), name=role)
        for role, some in rows_of.items()
    }
    monkeypatch.setattr(compose, "_seven", lambda corpora, space, seed: parts)
    five = compose.COMPOSITIONS.get("five-of-seven").split({}, TEXT_5, 0)
    assert {role: texts.texts for role, texts in five.items()} == {
        "train": ("text 0",),
        "valid": ("text 2",),
        "test": (),
    }
    assert five["valid"].row.tolist() == [2] and five["valid"].space == TEXT_5
    assert (
        TEXT_5.names[five["valid"].labels[0]] == "angry" and "parts of the 7" in five["valid"].name
    )


def test_isear_of_seven_holds_out_what_seven_does(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ("joy", "shame", "anger", "guilt", "fear")
    isear = texts_of("isear", ISEAR_7, [(f"text {i}", name) for i, name in enumerate(said)])
    seven = compose.to_space(isear, TEXT_7)  # rows 0, 2 and 4
    lines = compose.to_space(texts_of("meld", MELD_7, [("a line", "neutral")] * 4), TEXT_7)
    parts = {
        "train": seven.take(np.array([0]), name="train"),
        "valid": concat_texts([seven.take(np.array([1]), name="v"), lines], name="valid"),
        "test": seven.take(np.array([2]), name="test"),
    }
    monkeypatch.setattr(compose, "_seven", lambda corpora, space, seed: parts)
    found = compose.COMPOSITIONS.get("isear-of-seven").split({"isear": isear}, ISEAR_7, 0)
    assert {role: texts.row.tolist() for role, texts in found.items()} == {
        "train": [0, 1, 3],  # row 1 of MELD, which is held out, is not row 1 of ISEAR
        "valid": [2],
        "test": [4],
    }
    assert all(texts.space == ISEAR_7 for texts in found.values())


def test_texts_without_a_label_stand_in_every_epoch() -> None:
    isear = texts_of("isear", ISEAR_7, [("a", "joy"), ("b", "shame"), ("c", "guilt")])
    five = compose.to_space(isear, TEXT_5)
    parts = {"text-5": {role: five.take(np.arange(1), name=role) for role in ("train",)}}
    parts["text-5"] |= {role: five.take(np.arange(0), name=role) for role in ("valid", "test")}
    teach = Teaching(("text-emotion",))
    data = TextData(("isear",), {"text-5": "five"}, unlabelled=("isear",))
    recipe = TextRecipe("x", "x.", {"text-5": 1.0}, data=data, teach=teach, teach_unlabelled=0.5)
    held = sources.HeldOut(frozenset({("isear", 2)}), frozenset())
    rows = sources._train_rows(recipe, {"isear": isear}, parts, held)
    assert rows.texts == ("a", "b") and rows.own.all()
    assert rows.targets["text-5"].sum(axis=1) == pytest.approx([1, 0])
    with pytest.raises(InputError, match="unlabelled: needs teachers"):
        TextRecipe("x", "x.", {"text-5": 1.0}, data=data)


def test_further_texts_stand_in_the_order_of_the_heads() -> None:
    """Not in that of a set, which is another in every process: a run could not go on."""
    said = ("neutral", "anger", "surprise", "joy")
    meld = texts_of("meld", MELD_7, [(f"line {i}", name) for i, name in enumerate(said)])
    none = {
        head: compose.to_space(meld, space).take(np.arange(0), name=head)
        for head, space in (("text-5", TEXT_5), ("text-7", TEXT_7))
    }
    parts = {head: dict.fromkeys(("train", "valid", "test"), one) for head, one in none.items()}
    data = TextData(("isear", "meld"), {"text-5": "five", "text-7": "seven"}, {"meld": 0.5})
    recipe = TextRecipe("x", "x.", {"text-5": 1.0, "text-7": 1.0}, data=data)
    held = sources.HeldOut(frozenset(), frozenset())
    rows = sources._train_rows(recipe, {"meld": meld}, parts, held)
    assert rows.texts == ("line 1", "line 3", "line 0", "line 2")


def test_labels_lead_from_every_corpus_to_both_heads() -> None:
    rows = [("what", "surprise"), ("no", "anger"), ("hi", "neutral")]
    meld = texts_of("meld", MELD_7, rows)
    assert compose.to_space(meld, TEXT_7).counts()["surprise"] == 1
    assert compose.to_space(meld, TEXT_5).texts == ("no",)
    targets = np.zeros((3, 28), dtype=np.uint8)
    targets[0, [2, 3]] = targets[1, 17] = targets[2, 27] = 1
    go = MultiTextSet(("a", "b", "c"), targets, GOEMOTIONS_28, np.arange(3), "goemotions")
    assert compose.to_space(compose.single({"goemotions": go}, "goemotions"), TEXT_7).texts == (
        "b",
        "c",
    )


def test_synonyms_are_read_from_the_database(wordnet: Path, tmp_path: Path) -> None:
    found = load_synonyms(wordnet)
    assert found == {
        "happy": ["glad"],
        "glad": ["happy"],
        "car": ["motor car", "auto"],
        "motor car": ["car", "auto"],
        "auto": ["car", "motor car"],
    }
    with pytest.raises(InputError, match=r"install Debian's\s+wordnet-base"):
        load_synonyms(tmp_path / "nowhere")


def test_every_operation_gives_one_variant_that_keeps_grammar(wordnet: Path) -> None:
    how = TextAugment(("synonym", "insert", "swap", "delete"), wordnet=str(wordnet))
    made, places = augment_texts(["i am happy", "so"], how, seed=1)
    assert made[:2] == ["i am happy", "i am glad"] and places == [0] * (len(made) - 1) + [1]
    assert sorted(made[2].split()) == ["am", "glad", "happy", "i"]
    assert sorted(made[3].split()) == ["am", "happy", "i"] and made[4:] == ["i am", "so"]
    assert augment_texts(["i am happy", "so"], how, seed=1) == (made, places)


def test_without_the_text_itself_only_variants_are_left(wordnet: Path) -> None:
    how = TextAugment(("delete",), keep=False)
    assert augment_texts(["my happy dog", "dog"], how, seed=0)[1] == [0, 1]
    with pytest.raises(InputError, match="leaves no text"):
        TextAugment(keep=False)


def test_thresholds_find_labels_that_are_rare() -> None:
    draw = np.random.default_rng(0)
    truth = (draw.random((400, 3)) < [0.5, 0.1, 0.0]).astype(np.uint8)
    probs = (0.2 * truth + 0.1 * draw.random((400, 3))).astype(np.float32)
    found = fit_thresholds(probs, truth)
    assert found[2] == PLAIN_THRESHOLD and max(found[:2]) < 0.25
    assert macro_f1(probs, truth, found) == pytest.approx(2 / 3)
    crossed = cross_fitted_f1(probs, truth)
    assert crossed.low <= crossed.value <= 2 / 3 + 1e-9 and crossed.value > 0.6


def test_a_baseline_is_fitted_judged_and_kept_as_numbers(tmp_path: Path) -> None:
    said = {"angry": "mad at you", "disgust": "yuck that", "fear": "afraid of it",
            "happy": "glad about it", "sad": "crying alone"}  # fmt: skip
    lines = [f"{words} w{i},{label}" for i in range(20) for label, words in said.items()]
    (tmp_path / "own.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\nsummary = "x."\nheads = { text-5 = 1.0 }\n[encode]\n[data]\n'
        'sets = ["texts"]\ncompose = { text-5 = "own" }\n[network]\nkind = "tfidf"\n'
    )
    for classifier in ("logistic", "svm"):
        recipe = load_text_recipe(
            str(tmp_path / "tiny.toml"), changes=[f"network.classifier={classifier}"]
        )
        out = tmp_path / classifier
        found = run_baseline(recipe, paths={"texts": tmp_path / "own.csv"}, out=out)
        assert {(m.name, m.value, m.n) for m in found} >= {("accuracy", 1.0, 10)}
        assert (out / METRICS).exists()


def test_missing_paths_are_asked_for(tmp_path: Path) -> None:
    recipe = load_text_recipe("text-minilm")
    with pytest.raises(InputError, match="needs --data isear=PATH --data meld=PATH"):
        sources.load_text_parts(recipe, {"isear": tmp_path})
