"""Sets of texts: their columns, the thesis' compositions and splits, held-back rows, repeats."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classpulse.core.errors import InputError, LabelError, ShapeError
from classpulse.core.labels import (
    GOEMOTIONS_28,
    ISEAR_7,
    MELD_7,
    RELABELS,
    TEXT_5,
    TEXT_7,
    LabelSpace,
    Relabel,
)
from classpulse.lab.data.splits import PROTOCOLS, Rows
from classpulse.lab.data.text_duplicates import compare_key, shared_texts, text_duplicates
from classpulse.lab.data.text_gaps import ISEAR_COUNTS, MELD_COUNTS, find_gaps, thesis_gaps
from classpulse.lab.data.text_readers import (
    load_goemotions,
    load_iemocap,
    load_isear,
    load_meld,
)
from classpulse.lab.data.text_sets import (
    Composition,
    compose_five,
    compose_seven,
    compose_seven_from_three,
    sample_rows,
    split_composed,
    thesis_parts,
)
from classpulse.lab.data.texts import (
    MultiTextSet,
    TextSet,
    clean_texts,
    concat_texts,
    relabel_texts,
)

DATA = Path(__file__).parents[3] / "shared/data/text"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the text corpora are not here")
AB = LabelSpace("ab", ("a", "b"))
relaxed = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)  # shared machines stall; a slow moment is no failure


def text_set(
    labels: list[int], *, space: LabelSpace = AB, texts: list[str] | None = None, name: str = "made"
) -> TextSet:
    n = len(labels)
    made = tuple(texts or (f"{name} {i}" for i in range(n)))
    return TextSet(made, np.array(labels, np.int64), space, (name,) * n, np.arange(n), name)


# --- text sets -----------------------------------------------------------------------------------


def test_take_by_mask_and_by_position() -> None:
    texts = text_set([0, 1, 1])
    by_mask = texts.take(texts.labels == 1, name="ones")
    by_place = texts.take(np.array([2, 1]), name="turned")
    assert by_mask.texts == ("made 1", "made 2") and by_mask.name == "ones"
    assert by_place.texts == ("made 2", "made 1") and by_place.row.tolist() == [2, 1]
    assert len(texts.take(np.array([], dtype=np.int64), name="none")) == 0


@pytest.mark.parametrize(
    "rows",
    [np.ones(2, bool), np.array([3]), np.array([-1]), np.array([0.5]), np.zeros((1, 1), int)],
)
def test_take_refuses_rows_that_are_not_there(rows: NDArray[np.int64]) -> None:
    with pytest.raises(ShapeError):
        text_set([0, 1, 1]).take(rows, name="x")


def test_a_text_set_checks_its_columns() -> None:
    with pytest.raises(ShapeError, match="1 texts need labels"):
        TextSet(("a",), np.zeros(2, np.int64), AB, ("x",), np.zeros(1, np.int64), "bad")
    with pytest.raises(ShapeError, match="int64, not float"):
        TextSet(("a",), np.zeros(1), AB, ("x",), np.zeros(1, np.int64), "bad")  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=r"labels 0\.\.2, ab has 0\.\.1"):
        text_set([0, 2])
    with pytest.raises(ShapeError, match="targets"):
        MultiTextSet(("a",), np.zeros((1, 3), np.uint8), AB, np.zeros(1, np.int64), "bad")


def test_counts_name_every_label() -> None:
    assert text_set([1, 1]).counts() == {"a": 0, "b": 2}


def test_relabel_drops_and_renames() -> None:
    isear = text_set([ISEAR_7.index(name) for name in ("guilt", "joy", "anger")], space=ISEAR_7)
    five = relabel_texts(isear, RELABELS["isear-to-text-5"])
    assert [TEXT_5.names[i] for i in five.labels] == ["happy", "angry"]
    assert five.texts == isear.texts[1:] and five.row.tolist() == [1, 2]


def test_relabel_refuses_another_space_and_shares() -> None:
    with pytest.raises(LabelError, match="relabels isear-7, 'made' has ab"):
        relabel_texts(text_set([0]), RELABELS["isear-to-text-5"])
    half = Relabel("half", AB, AB, np.full((2, 2), 0.5, np.float32), "test")
    with pytest.raises(LabelError, match="shares a label out"):
        relabel_texts(text_set([0]), half)


def test_concat_keeps_sources_and_refuses_a_mixture() -> None:
    both = concat_texts([text_set([0], name="x"), text_set([1], name="y")], name="xy")
    assert both.source == ("x", "y") and both.row.tolist() == [0, 0] and both.name == "xy"
    with pytest.raises(LabelError, match="would mix ab, text-5"):
        concat_texts([text_set([0]), text_set([0], space=TEXT_5)], name="xy")
    with pytest.raises(InputError, match="no text sets"):
        concat_texts([], name="xy")


def test_clean_texts_goes_by_corpus() -> None:
    isear = text_set([0], texts=["á\nNever"], name="isear")
    other = text_set([0], texts=["[] 1"], name="iemocap")
    cleaned = clean_texts(concat_texts([isear, other], name="both"))
    assert cleaned.texts == ("never", "' ")
    assert clean_texts(text_set([0]), clean=str.upper).texts == ("MADE 0",)


# --- the thesis' sets ----------------------------------------------------------------------------


def fill(counts: dict[str, int], space: LabelSpace, name: str) -> TextSet:
    """A corpus of the size of the complete one: labels in turn, as long as there are any."""
    left = dict(counts)
    labels: list[int] = []
    while any(left.values()):
        turn = [label for label in space.names if left[label]]
        labels += [space.index(label) for label in turn]
        left |= {label: left[label] - 1 for label in turn}
    return text_set(labels, space=space, name=name)


ISEAR, MELD = fill(ISEAR_COUNTS, ISEAR_7, "isear"), fill(MELD_COUNTS, MELD_7, "meld")
IEMOCAP_COUNTS = {
    "angry": 1103, "disgust": 2, "fear": 40, "happy": 595, "neutral": 1707, "sad": 1083,
    "surprise": 107,
}  # fmt: skip
IEMOCAP = fill(IEMOCAP_COUNTS, TEXT_7, "iemocap")
FIVE = compose_five(ISEAR)
SEVEN = compose_seven(ISEAR, MELD)
THREE = compose_seven_from_three(ISEAR, MELD, IEMOCAP)
Y_TRUE = [6, 5, 3, 4, 3, 1, 6, 3, 5, 1, 0, 6, 4, 4]  # printed in T:267


@relaxed
@given(st.integers(1, 300), st.floats(0, 1))
def test_sample_rows_is_pandas_sample(n: int, share: float) -> None:
    pandas = pytest.importorskip("pandas")
    size = int(n * share)
    drawn = pandas.DataFrame({"x": range(n)}).sample(size, random_state=42)
    assert drawn.x.tolist() == sample_rows(n, size).tolist()


def test_sample_rows_is_the_head_of_a_permutation() -> None:
    order = np.random.RandomState(42).permutation(4710)
    assert sample_rows(4710, 1096).tolist() == order[:1096].tolist()
    with pytest.raises(InputError, match="cannot draw 5 of 4 rows"):
        sample_rows(4, 5)


@pytest.mark.parametrize(
    ("composed", "sizes"),
    [
        (FIVE, [1096, 1096, 1095, 1094, 1096]),
        (SEVEN, [1096, 1096, 1095, 1094, 1096, 1096, 1096]),
        (THREE, [1312, 1312, 1311, 1310, 1310, 1312, 1311]),
    ],
    ids=["5", "7", "7 of 3 corpora"],
)
def test_full_sets_have_the_sizes_of_the_thesis(composed: Composition, sizes: list[int]) -> None:
    assert list(composed.texts.counts().values()) == composed.sizes.tolist() == sizes


def test_the_seven_set_is_what_pandas_concatenates() -> None:
    pandas = pytest.importorskip("pandas")
    isear = pandas.DataFrame(
        {"text": ISEAR.texts, "label": [ISEAR_7.names[i] for i in ISEAR.labels]}
    )
    meld = pandas.DataFrame({"text": MELD.texts, "label": [MELD_7.names[i] for i in MELD.labels]})
    frame = pandas.concat(
        [
            isear[~isear.label.isin(["shame", "guilt"])],
            meld[meld.label == "neutral"].sample(1096, random_state=42),
            meld[meld.label == "surprise"].sample(1096, random_state=42),
        ]
    )
    assert SEVEN.texts.texts == tuple(frame.text)


def test_the_three_corpora_set_goes_class_by_class() -> None:
    turns = np.flatnonzero(np.diff(THREE.texts.labels)) + 1
    order = [TEXT_7.names[i] for i in THREE.texts.labels[[0, *turns]]]
    assert order == ["neutral", "angry", "sad", "happy", "surprise", "fear", "disgust"]
    assert THREE.texts.source.count("iemocap") == 106
    assert THREE.texts.source.count("meld") == 1310 + 5 * 216 + 1205


@pytest.mark.parametrize(
    ("composed", "sizes", "per_class"),
    [
        (FIVE, (3833, 1096, 548), [110, 110, 109, 109, 110]),
        (SEVEN, (5368, 1534, 767), [110, 109, 109, 109, 110, 110, 110]),
        (THREE, (6424, 1836, 918), [132, 131, 131, 131, 131, 131, 131]),
    ],
    ids=["5", "7", "7 of 3 corpora"],
)
def test_parts_have_the_sizes_of_the_thesis(
    composed: Composition, sizes: tuple[int, ...], per_class: list[int]
) -> None:
    parts = split_composed(composed)
    assert tuple(map(len, parts.values())) == sizes
    assert sorted(np.bincount(composed.texts.labels[parts["test"]])) == sorted(per_class)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(composed)))


@pytest.mark.parametrize("composed", [FIVE, SEVEN, THREE], ids=["5", "7", "7 of 3 corpora"])
def test_lining_up_by_class_gives_the_parts_of_scikit_learn(composed: Composition) -> None:
    direct = PROTOCOLS.get("thesis-text")(Rows(composed.texts.labels))
    for name, part in split_composed(composed).items():
        assert part.tolist() == direct[name].tolist()


def test_check_values_that_do_not_depend_on_the_order_of_isear() -> None:
    parts = split_composed(SEVEN)
    assert parts["train"][[0, 2]].tolist() == [7073, 7398]
    assert parts["test"][[0, 3]].tolist() == [6575, 5615]
    assert SEVEN.texts.labels[parts["test"]][:14].tolist() == Y_TRUE


def test_a_class_too_small_to_split_is_named() -> None:
    with pytest.raises(InputError, match=r"cannot split classes of \[30, 1\] rows"):
        thesis_parts(np.array([0] * 30 + [1]))


def test_a_corpus_too_small_to_draw_from_is_named() -> None:
    few = MELD.take(np.arange(500), name="few lines")
    with pytest.raises(InputError, match="few lines, neutral: cannot draw 1096 of"):
        compose_seven(ISEAR, few)


# --- rows that are held back ---------------------------------------------------------------------


def without(corpus: TextSet, missing: dict[str, NDArray[np.int64]], rule: str) -> TextSet:
    """The corpus as published: less the rows at these places of their class."""
    keep = np.ones(len(corpus), dtype=bool)
    matrix = RELABELS[rule].matrix
    for label, places in missing.items():
        own = np.flatnonzero(matrix[:, TEXT_7.index(label)])[0]
        keep[np.flatnonzero(corpus.labels == own)[places]] = False
    return corpus.take(keep, name=corpus.name)


def test_a_set_with_gaps_has_the_parts_of_the_complete_one() -> None:
    gaps = thesis_gaps()
    isear = without(ISEAR, dict(gaps["isear"]), "isear-to-text-7")
    meld = without(MELD, dict(gaps["meld"]), "meld-to-text-7")
    assert find_gaps(isear, meld).keys() == {"isear", "meld"} and find_gaps(ISEAR, MELD) == {}
    pairs = [
        (FIVE, compose_five(isear, gaps=gaps)),
        (SEVEN, compose_seven(isear, meld, gaps=gaps)),
        (THREE, compose_seven_from_three(isear, meld, IEMOCAP, gaps=gaps)),
    ]
    here = {*isear.texts, *meld.texts, *IEMOCAP.texts}
    for full, lacking in pairs:
        assert lacking.texts.texts == tuple(text for text in full.texts.texts if text in here)
        theirs = split_composed(full)
        for name, part in split_composed(lacking).items():
            expected = [full.texts.texts[i] for i in theirs[name] if full.texts.texts[i] in here]
            assert [lacking.texts.texts[i] for i in part] == expected
    assert [len(split_composed(lacking)["test"]) for _, lacking in pairs[:2]] == [0, 0]


def test_other_counts_are_refused() -> None:
    with pytest.raises(InputError, match=r"isear has .*; the complete file has"):
        find_gaps(ISEAR.take(np.arange(50), name="isear"), MELD)


# --- repeats -------------------------------------------------------------------------------------


def test_text_duplicates_finds_repeats_and_contradictions() -> None:
    words = ["What?", "fine", "what", " WHAT!", "ok.", "Ok", "?!"]
    found = text_duplicates(text_set([0, 0, 1, 0, 1, 1, 0], texts=words))
    assert [(one.key, one.rows.tolist(), one.labels) for one in found.repeats] == [
        ("what", [0, 2, 3], ("a", "b")),
        ("ok", [4, 5], ("b",)),
    ]
    assert (found.n, found.repeated_rows, found.contradictory_rows) == (7, 5, 3)
    assert [one.key for one in found.contradictory] == ["what"]


def test_shared_texts_counts_by_label() -> None:
    texts = text_set([0, 1, 0, 0, 1, 0], texts=["x", "x", "y", "X!", "y", "z"])
    found = shared_texts(texts, train=np.arange(3), held_out=np.arange(6) > 2)
    assert (found.n, found.shared, found.same_label, found.only_that_label) == (3, 2, 1, 0)


@relaxed
@given(st.text())
def test_the_key_is_stable(text: str) -> None:
    assert compare_key(compare_key(text)) == compare_key(text)


# --- the real files ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> tuple[TextSet, TextSet, TextSet]:
    pytest.importorskip("openpyxl", reason="openpyxl reads ISEAR.xlsx")
    return (
        load_isear(DATA / "ISEAR.xlsx"),
        load_meld(DATA / "meld_train.csv"),
        load_iemocap(DATA / "IEMOCAP.csv"),
    )


Real = tuple[TextSet, TextSet, TextSet]


@needs_data
def test_real_counts_are_the_table_less_the_held_back_rows(real: Real) -> None:
    isear, meld, iemocap = real
    assert isear.counts() == ISEAR_COUNTS | {
        "anger": 1096 - 111, "disgust": 1096 - 110, "fear": 1095 - 109, "joy": 1094 - 109,
        "sadness": 1096 - 213,
    }  # fmt: skip
    assert meld.counts() == MELD_COUNTS | {"neutral": 4710 - 110, "surprise": 1205 - 110}
    assert iemocap.counts() == IEMOCAP_COUNTS
    assert {c: {k: len(v) for k, v in g.items()} for c, g in find_gaps(isear, meld).items()} == {
        "isear": {"angry": 111, "disgust": 110, "fear": 109, "happy": 109, "sad": 213},
        "meld": {"neutral": 110, "surprise": 110},
    }


@needs_data
def test_real_parts(real: Real) -> None:
    isear, meld, iemocap = real
    gaps = find_gaps(isear, meld)
    sets = (
        compose_five(isear, gaps=gaps),
        compose_seven(isear, meld, gaps=gaps),
        compose_seven_from_three(isear, meld, iemocap, gaps=gaps),
    )
    assert [tuple(len(part) for part in split_composed(one).values()) for one in sets] == [
        (3754, 1071, 0), (5282, 1515, 0), (5859, 1678, 769),
    ]  # fmt: skip


def original_order(isear: TextSet, gaps: dict[str, NDArray[np.int64]]) -> list[int]:
    """ISEAR's labels as in the complete file: the seven emotions take turns, so a missing row
    stands where its turn comes."""
    names = {"happy": "joy", "angry": "anger", "sad": "sadness"}
    absent = {ISEAR_7.index(names.get(k, k)): set(rows.tolist()) for k, rows in gaps.items()}
    seen = [0] * 7
    order: list[int] = []
    turn = -1
    for label in [*isear.labels.tolist(), *range(7)]:  # one more round for rows at the end
        while True:
            turn = (turn + 1) % 7
            if seen[turn] in absent.get(turn, ()):
                seen[turn] += 1
                order.append(turn)
            elif turn == label:
                seen[turn] += 1
                order.append(turn)
                break
    return order[:-7]


@needs_data
def test_real_label_order_gives_all_check_values(real: Real) -> None:
    order = original_order(real[0], dict(thesis_gaps()["isear"]))
    assert len(order) == 7666
    five = compose_five(text_set(order, space=ISEAR_7))
    parts = split_composed(five)
    assert parts["train"][:4].tolist() == [1457, 5309, 5155, 3460]
    assert parts["test"][:4].tolist() == [414, 4714, 1395, 4290]
    seven = compose_seven(text_set(order, space=ISEAR_7), MELD)
    parts = split_composed(seven)
    assert parts["train"][:4].tolist() == [7073, 4268, 7398, 2749]
    assert parts["test"][:4].tolist() == [6575, 28, 5029, 5615]
    assert seven.texts.labels[parts["test"]][:14].tolist() == Y_TRUE


@needs_data
def test_real_texts_are_as_long_as_the_thesis_says(real: Real) -> None:
    five = clean_texts(compose_five(real[0], gaps=find_gaps(*real[:2])).texts)
    words = [len(text.split()) for text in five.texts]
    assert np.mean(words) == pytest.approx(21.6, abs=0.2)
    assert np.percentile(words, 99) == 72 and max(words) == 178


@needs_data
def test_real_repeats(real: Real) -> None:
    isear, meld, _ = real
    seven = compose_seven(isear, meld, gaps=find_gaps(isear, meld))
    found = text_duplicates(seven.texts)
    assert (len(found.contradictory), found.contradictory_rows) == (28, 260)  # complete: 33, 330
    assert (found.contradictory[0].key, len(found.contradictory[0].rows)) == ("what", 69)  # 74
    parts = split_composed(seven)
    shared = shared_texts(seven.texts, train=parts["train"], held_out=parts["valid"])
    assert (shared.n, shared.shared) == (1515, 95)  # complete: 95 of 1,534


@needs_data
def test_real_goemotions() -> None:
    texts = load_goemotions(DATA / "goemotions/dev.tsv")
    assert texts.targets.shape == (5426, 28) and len(texts.single()) == 4548
    names = (DATA / "goemotions/labels.txt").read_text().split()
    assert tuple(names) == GOEMOTIONS_28.names
