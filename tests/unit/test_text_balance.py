"""Sets whose corpora say nothing of the class, and how much those of other sets say."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from text_artefacts import write_text_artefact  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.labels import GOEMOTIONS_28, TEXT_7, LabelSpace  # noqa: E402
from classpulse.lab.data.corpora import AnyTexts  # noqa: E402
from classpulse.lab.data.source_balance import (  # noqa: E402
    balance_sources,
    count_corpora,
    distinct_texts,
    draw_classes,
)
from classpulse.lab.data.text_duplicates import compare_key  # noqa: E402
from classpulse.lab.data.texts import MultiTextSet, TextSet  # noqa: E402
from classpulse.lab.recipe import changed_keys  # noqa: E402
from classpulse.lab.text.baseline import Tfidf  # noqa: E402
from classpulse.lab.text.compose import COMPOSITIONS, source_balanced  # noqa: E402
from classpulse.lab.text.judge import judge_labels, judge_set, judged_sets  # noqa: E402
from classpulse.lab.text.multi import cross_fitted_f1, macro_f1_interval  # noqa: E402
from classpulse.lab.text.recipe import TextData, load_text_recipe, text_recipe_table  # noqa: E402
from classpulse.lab.text.shortcut import measure_shortcut  # noqa: E402
from classpulse.lab.text.sources import TextParts, load_text_parts  # noqa: E402
from classpulse.runtime.text import OnnxTextModel  # noqa: E402
from classpulse.text.clean import clean_plain  # noqa: E402

DATA = Path(__file__).parents[3] / "shared/data/text"
FILES = {"isear": "ISEAR.xlsx", "meld": "meld_train.csv", "goemotions": "goemotions"}
ABC = LabelSpace("abc", ("a", "b", "c"))
MELD_NAMES = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
ONE_OF_28 = tuple(
    GOEMOTIONS_28.index(name)
    for name in ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
)  # of each of the seven classes, in their order


def made(rows: list[tuple[str, int]], *, texts: list[str] | None = None) -> TextSet:
    """Texts of three classes, from (corpus, label)."""
    return TextSet(
        tuple(texts or (f"by{corpus} text {i}" for i, (corpus, _) in enumerate(rows))),
        np.array([label for _, label in rows], dtype=np.int64),
        ABC,
        tuple(corpus for corpus, _ in rows),
        np.arange(len(rows), dtype=np.int64),
        "made",
    )


def seven(corpora: Mapping[str, Mapping[str, int]], *, name: str = "own") -> TextSet:
    """Texts of the seven classes, from corpus -> class -> how many."""
    rows = [
        (c, label) for c, sizes in corpora.items() for label, n in sizes.items() for _ in range(n)
    ]
    return TextSet(
        tuple(f"{c} says {label} number {i}" for i, (c, label) in enumerate(rows)),
        np.array([TEXT_7.index(label) for _, label in rows], dtype=np.int64),
        TEXT_7,
        tuple(c for c, _ in rows),
        np.arange(len(rows), dtype=np.int64),
        name,
    )


def comments(n: int, *, word: str = "comment") -> MultiTextSet:
    """`n` of GoEmotions in each of the seven classes."""
    labels = np.tile(ONE_OF_28, n)
    targets = np.zeros((7 * n, 28), dtype=np.uint8)
    targets[np.arange(7 * n), labels] = 1
    texts = tuple(f"{word} number {i}" for i in range(7 * n))
    return MultiTextSet(texts, targets, GOEMOTIONS_28, np.arange(7 * n), "goemotions")


# --- drawing and splitting -----------------------------------------------------------------------


def test_a_text_stands_once_and_never_with_two_labels() -> None:
    first = made([("x", 0), ("x", 0), ("x", 2)], texts=["What?", "Yes.", "alone"])
    second = made([("y", 0), ("y", 1), ("y", 2)], texts=["what", "yes!", "ALONE"])
    third = made([("z", 1)], texts=["other"])
    kept = [one.texts for one in distinct_texts([first, second, third])]
    assert kept == [("What?", "alone"), (), ("other",)]


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from(["x", "y", "y-dev", "z"]), st.integers(0, 2)), max_size=60)
)
def test_every_class_has_the_same_share_of_every_corpus(rows: list[tuple[str, int]]) -> None:
    texts = made(rows)
    least = {corpus: int(n.min()) for corpus, n in count_corpora(texts).items()}
    found = balance_sources(texts, name="balanced")
    assert {corpus: n.tolist() for corpus, n in count_corpora(found).items()} == {
        corpus: [n] * 3 for corpus, n in least.items() if n
    }
    assert len(set(found.row.tolist())) == len(found) and set(found.texts) <= set(texts.texts)


def test_what_is_drawn_depends_on_the_seed() -> None:
    texts = made([("x", label) for label in (0, 0, 0, 0, 0, 0, 1, 2)])
    drawn = [draw_classes(texts, seed=seed) for seed in (1, 1, 2, 3)]
    assert drawn[0].shape == (3, 1) and drawn[0].tolist() == drawn[1].tolist()
    assert len({int(rows[0, 0]) for rows in drawn}) > 1
    assert draw_classes(made([("x", 0)])).shape == (3, 0)


# --- the set -------------------------------------------------------------------------------------


def write_corpora(folder: Path) -> dict[str, Path]:
    """20 lines of MELD and 30 comments of either part in each class; some stand in two of them."""
    lines = [(i, label) for i in range(20) for label in range(7)]
    table = "".join(f'"text {i} of {label}",{MELD_NAMES[label]}\n' for i, label in lines)
    (folder / "meld.csv").write_text("Utterance,Emotion\n" + table)
    (folder / "goemotions").mkdir()
    for part, first in (("train", 15), ("dev", 40)):
        rows = [(i, label) for i in range(first, first + 30) for label in range(7)]
        (folder / "goemotions" / f"{part}.tsv").write_text(
            "".join(f"Text {i} of {label}!\t{ONE_OF_28[label]}\tid\n" for i, label in rows)
        )
    mine = "".join(f"{label} {i},{label}\n" for i in range(10) for label in ("neutral", "surprise"))
    (folder / "own.csv").write_text("text,label\n" + mine)
    return {
        "meld": folder / "meld.csv",
        "goemotions": folder / "goemotions",
        "texts": folder / "own.csv",
    }


RECIPE = """
name = "tiny"
summary = "x."
heads = { text-7 = 1.0, goemotions = 1.0 }
[encode]
[data]
sets = ["meld", "goemotions"]
compose = { text-7 = "seven-source-balanced" }
extra = { meld = 0.5, goemotions = 0.5 }
"""


def load(folder: Path, recipe: str) -> TextParts:
    (folder / "tiny.toml").write_text(recipe)
    plan, paths = load_text_recipe(str(folder / "tiny.toml")), write_corpora(folder)
    return load_text_parts(plan, {name: paths[name] for name in plan.data.sets})


def words_of(texts: Iterable[str]) -> set[str]:
    return {compare_key(text) for text in texts}


def test_a_recipe_with_the_set_holds_its_rows_out_for_all_heads(tmp_path: Path) -> None:
    parts = load(tmp_path, RECIPE)
    valid = parts.valid["text-7"]
    assert isinstance(valid, TextSet) and set(valid.source) == {"meld", "goemotions-dev"}
    counts = count_corpora(valid)
    assert {corpus: n.tolist() for corpus, n in counts.items()} == {
        "goemotions": [30] * 7,
        "meld": [6] * 7,  # 30 % of 20
    }
    held = [text for one in judged_sets(parts) for text in one.texts.texts]
    assert not words_of(parts.train.texts) & words_of(held)
    # its own set is balanced: nothing is measured beside it; and there is no test part
    assert [one.head for one in judged_sets(parts)] == ["text-7", "goemotions"]


def test_the_parts_of_the_set_share_no_words() -> None:
    corpora: dict[str, AnyTexts] = {
        "meld": seven({"meld": dict.fromkeys(TEXT_7.names, 10)}),
        "goemotions": comments(20),
        "goemotions-dev": replace(comments(5, word="other"), name="goemotions-dev"),
    }
    split = COMPOSITIONS.get("seven-source-balanced").split
    parts = split(corpora, TEXT_7, 1)
    assert [len(parts[role]) for role in ("train", "valid", "test")] == [7 * 27, 7 * 8, 0]
    assert not words_of(parts["train"].texts) & words_of(parts["valid"].texts)
    assert split(corpora, TEXT_7, 1)["valid"].texts == parts["valid"].texts
    assert split(corpora, TEXT_7, 2)["valid"].texts != parts["valid"].texts


def test_the_set_needs_the_part_that_goemotions_holds_out() -> None:
    corpora: dict[str, AnyTexts] = {
        "meld": seven({"meld": dict.fromkeys(TEXT_7.names, 10)}),
        "goemotions": comments(20),
    }
    with pytest.raises(InputError, match=r"give the folder of train\.tsv and dev\.tsv"):
        COMPOSITIONS.get("seven-source-balanced").split(corpora, TEXT_7, 1)


@pytest.mark.parametrize(
    ("hold", "corpora"), [("", ["goemotions"]), ("true", ["goemotions", "meld"])]
)
def test_a_head_is_judged_beside_on_what_no_head_has_learned(
    hold: str, corpora: list[str], tmp_path: Path
) -> None:
    recipe = RECIPE.replace("seven-source-balanced", "own").replace("sets = [", 'sets = ["texts", ')
    parts = load(tmp_path, recipe + (f"hold_beside = {hold}\n" if hold else ""))
    beside = parts.beside["text-7"]
    counts = count_corpora(beside)
    assert list(counts) == corpora and counts["goemotions"].tolist() == [30] * 7
    assert all(len(set(n.tolist())) == 1 for n in counts.values())
    assert not words_of(parts.train.texts) & words_of(beside.texts)
    named = " and ".join(corpora)
    assert beside.name == f"source-balanced text, 7 emotions, valid ({named})"
    assert [(one.head, one.fitted) for one in judged_sets(parts)] == [
        ("text-7", False),
        ("text-7", True),
        ("goemotions", True),
        ("text-7", False),
    ]


def test_what_training_repeats_is_judged_apart(tmp_path: Path) -> None:
    recipe = RECIPE.replace("seven-source-balanced", "own").replace("sets = [", 'sets = ["texts", ')
    parts = load(tmp_path, recipe)
    valid = parts.valid["text-7"]
    assert isinstance(valid, TextSet)
    repeated = valid.texts[0].upper() + "!"  # the same words
    rows = replace(parts.train, texts=(repeated, *parts.train.texts[1:]))
    sets = judged_sets(replace(parts, train=rows))
    rest = next(one for one in sets if one.texts.name == f"{valid.name}, without repeats")
    assert rest.head == "text-7" and not rest.fitted
    assert set(valid.texts) - set(rest.texts.texts) == {valid.texts[0]}
    assert len(sets) == len(judged_sets(parts)) + 1


def test_without_the_dev_part_nothing_is_judged_beside_unless_it_must_be(tmp_path: Path) -> None:
    recipe = RECIPE.replace("seven-source-balanced", "own").replace("sets = [", 'sets = ["texts", ')
    recipe = recipe.replace(", goemotions = 1.0 }", " }")
    (tmp_path / "tiny.toml").write_text(recipe)
    plan, paths = load_text_recipe(str(tmp_path / "tiny.toml")), write_corpora(tmp_path)
    paths["goemotions"] /= "train.tsv"
    assert not load_text_parts(plan, paths).beside
    with pytest.raises(InputError, match="give the folder"):
        load_text_parts(replace(plan, data=replace(plan.data, hold_beside=True)), paths)


def test_what_was_learned_is_left_out_and_the_rest_stays_balanced() -> None:
    texts = seven({"x": dict.fromkeys(TEXT_7.names, 3), "y": dict.fromkeys(TEXT_7.names, 1)})
    learned = ["X: says angry number 0!", texts.texts[-1]]
    found = source_balanced(texts, learned)
    assert {corpus: n.tolist() for corpus, n in count_corpora(found).items()} == {"x": [2] * 7}
    assert not words_of(learned) & words_of(found.texts) and found.name == "own (x)"
    assert len(source_balanced(texts, texts.texts)) == 0


def test_holding_out_needs_something_to_judge_beside() -> None:
    for compose in ({"text-5": "five"}, {"text-7": "seven"}):
        with pytest.raises(InputError, match="hold_beside: needs a head of text-7 and the sets"):
            TextData(("isear", "meld"), compose, hold_beside=True)


def test_a_run_from_before_there_was_a_choice_goes_on() -> None:
    now = text_recipe_table(load_text_recipe("text-minilm"))
    before = now | {"data": {k: v for k, v in now["data"].items() if k != "hold_beside"}}
    assert changed_keys(before, now) == []
    before = now | {"augment": {k: v for k, v in now["augment"].items() if k != "splices"}}
    assert now["augment"]["splices"] is None and changed_keys(before, now) == []
    more = now | {"augment": now["augment"] | {"splices": 2}}
    assert changed_keys(before, more) == changed_keys(now, more) == ["augment.splices"]


# --- measures ------------------------------------------------------------------------------------


def test_the_shortcut_of_a_set_whose_corpora_have_their_own_classes() -> None:
    train = made([("x", 0)] * 6 + [("x", 1)] * 3 + [("y", 2)] * 5)
    held = made([("x", 0)] * 4 + [("y", 2)] * 4)
    found = measure_shortcut(train, held, clean=clean_plain, how=Tfidf())
    assert found.n == 8 and found.corpus.value == 1.0
    assert found.largest.value == 0.5 and found.by_corpus.value == found.by_words.value == 1.0
    assert 0 < found.largest.low < 0.5 < found.largest.high < 1


def test_a_balanced_set_has_no_shortcut() -> None:
    rows = [(corpus, label) for corpus in "xxy" for label in range(3)] * 10
    found = measure_shortcut(made(rows), made(rows), clean=clean_plain, how=Tfidf())
    assert found.corpus.value > 0.9  # the corpora can be told, and it does not help
    assert found.by_corpus.value == found.by_words.value == found.largest.value == 1 / 3


def test_a_shortcut_needs_two_corpora() -> None:
    x, y = made([("x", 0), ("x", 1)]), made([("y", 0)])
    for train, held in ((x, x), (made([("x", 0), ("y", 1)]), made([("z", 0)]))):
        with pytest.raises(InputError, match="give texts of two corpora or more"):
            measure_shortcut(train, held, clean=clean_plain, how=Tfidf())
    assert measure_shortcut(made([("x", 0), ("y", 1)]), y, clean=clean_plain, how=Tfidf()).n == 1


def test_accuracy_on_each_corpus_stands_beside_that_on_all() -> None:
    texts = made([("x", 0), ("x", 1), ("x", 1), ("y", 2)])
    found = judge_labels("h", texts, np.array([0, 1, 0, 0]))
    assert [(m.name, m.value, m.n, m.data) for m in found if m.name == "accuracy"] == [
        ("accuracy", 0.5, 4, "made"),
        ("accuracy", 0.6667, 3, "made, x alone"),
        ("accuracy", 0.0, 1, "made, y alone"),
    ]
    assert len(judge_labels("h", made([("x", 0)]), np.array([0]))) == 2


def test_labels_are_taken_together_in_groups() -> None:
    truth = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.uint8)
    probs = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)  # 0 and 1 exchanged
    groups = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    cut = (0.5, 0.5, 0.5)
    assert macro_f1_interval(probs, truth, cut).value == pytest.approx(1 / 3)
    assert macro_f1_interval(probs, truth, cut, groups=groups).value == 1.0
    many = np.tile(truth, (40, 1))
    assert cross_fitted_f1(many.astype(np.float32), many, groups=groups).value == 1.0


def test_an_artefact_is_measured_on_28_labels_and_on_their_groups(
    tmp_path: Path, command: Any
) -> None:
    folder = write_text_artefact(tmp_path / "tiny")
    model = OnnxTextModel(str(folder))
    names = [m.name for m in judge_set(model, "goemotions", comments(3), fitted=True)]
    assert names == [
        "macro_f1, cross-fitted thresholds",
        "macro_f1, 7 groups, cross-fitted thresholds",
    ]
    path = tmp_path / "dev.tsv"
    path.write_text("i am so happy\t17\tid\ni am angry\t2\tid\n")
    result = command("evaluate", folder, path, "--labels", "goemotions")
    assert result.code == 0 and "; in 7 groups macro F1" in result.out, result.err


@pytest.mark.skipif(not DATA.exists(), reason="the text corpora are not here")
@pytest.mark.parametrize(
    ("recipe", "corpora", "n"),
    [
        ("text-minilm", "goemotions", 61),
        ("text-pupil-3", "goemotions and meld", 61 + 73),
        ("text-emotion", "goemotions and meld", 60 + 71),
    ],
)
def test_a_shipped_recipe_has_learned_from_nothing_that_it_is_judged_on(
    recipe: str, corpora: str, n: int
) -> None:
    pytest.importorskip("openpyxl", reason="openpyxl reads ISEAR.xlsx")
    paths = {name: DATA / file for name, file in FILES.items()}
    parts = load_text_parts(load_text_recipe(recipe), paths)
    sets = judged_sets(parts)
    names = {one.texts.name for one in sets}
    repeated = {name for name in names if name.endswith(", without repeats")}
    assert bool(repeated) is (recipe == "text-emotion")  # which may learn what is said again
    if not repeated:
        held = [text for one in sets for text in one.texts.texts]
        assert not words_of(parts.train.texts) & words_of(held)
    plain = {name.removesuffix(", without repeats") for name in repeated}
    for one in sets:
        taught = parts.train.targets[one.head].any(axis=1)
        learned = words_of([parts.train.texts[i] for i in np.flatnonzero(taught)])
        assert bool(learned & words_of(one.texts.texts)) is (one.texts.name in plain)
    assert sets[-1].texts.name == f"source-balanced text, 7 emotions, valid ({corpora})"
    assert len(sets[-1].texts) == 7 * n
