"""Label spaces, relabellings and the FER+ rules."""

import csv
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from builders import votes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from classpulse.core.errors import LabelError, ShapeError
from classpulse.core.labels import (
    CKPLUS_7,
    FER2013_7,
    FERPLUS_8,
    FERPLUS_VOTES,
    GOEMOTIONS_28,
    LEARNING_STATE_4,
    LEARNING_STATE_RULE,
    RELABELS,
    SPACES,
    TEXT_7,
    UNLABELED,
    LabelSpace,
    Relabel,
    ferplus_distribution,
    ferplus_draw,
    ferplus_majority,
    get_space,
    relabel_by_name,
)

DATA = Path(__file__).parents[3] / "shared/data/fer2013/fer2013new.csv"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="FER+ votes are not here")
relabels = pytest.mark.parametrize("name", sorted(RELABELS))


# --- label spaces --------------------------------------------------------------------------------


def test_a_label_space_has_the_length_of_its_names() -> None:
    assert len(LabelSpace("two", ("a", "b"))) == 2


def test_index_is_the_column() -> None:
    assert FER2013_7.index("neutral") == 6


def test_index_of_an_unknown_label_lists_the_known_ones() -> None:
    with pytest.raises(LabelError, match="'joy' is not in fer2013-7; it has: angry, disgust"):
        FER2013_7.index("joy")


@pytest.mark.parametrize(
    ("name", "names", "message"),
    [
        ("", ("a", "b"), "needs a name"),
        ("x", (), "two labels"),
        ("x", ("a",), "two labels"),
        ("x", ("a", " "), "empty label"),
        ("x", ("a", ""), "empty label"),
        ("x", ("a", None), "empty label"),
        ("x", ("a", "b", "a"), "repeats"),
    ],
)
def test_a_bad_label_space_is_refused(name: str, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelSpace(name, names)


def test_label_spaces_are_equal_by_value() -> None:
    assert LabelSpace("x", ("a", "b")) == LabelSpace("x", ("a", "b"))


def test_another_order_is_another_space() -> None:
    assert LabelSpace("x", ("a", "b")) != LabelSpace("x", ("b", "a"))


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (FER2013_7, "angry disgust fear happy sad surprise neutral"),
        (FERPLUS_8, "neutral happiness surprise sadness anger disgust fear contempt"),
        (CKPLUS_7, "anger contempt disgust fear happy sadness surprise"),
        (LEARNING_STATE_4, "angry bored focused neutral"),
        (TEXT_7, "angry disgust fear happy neutral sad surprise"),
    ],
)
def test_the_label_orders_are_the_published_ones(space: LabelSpace, names: str) -> None:
    assert space.names == tuple(names.split())


def test_goemotions_is_in_its_published_order() -> None:
    names = GOEMOTIONS_28.names
    assert len(names) == 28 and names[:27] == tuple(sorted(names[:27])) and names[27] == "neutral"


def test_get_space_finds_every_space_by_its_name() -> None:
    assert all(get_space(name) is space and space.name == name for name, space in SPACES.items())


def test_get_space_lists_the_known_ones() -> None:
    with pytest.raises(LabelError, match="unknown label space 'fer'; known: fer2013-7, ferplus-8"):
        get_space("fer")


# --- relabellings --------------------------------------------------------------------------------


def moves(name: str) -> dict[str, str | None]:
    """Where a relabelling by name puts every label."""
    rule = RELABELS[name]
    found: dict[str, str | None] = {}
    for row, label in enumerate(rule.source.names):
        targets = np.flatnonzero(rule.matrix[row])
        found[label] = rule.target.names[targets[0]] if len(targets) else None
    return found


def test_ferplus_to_fer2013() -> None:
    assert moves("ferplus-to-fer2013") == {
        "neutral": "neutral", "happiness": "happy", "surprise": "surprise", "sadness": "sad",
        "anger": "angry", "disgust": "disgust", "fear": "fear", "contempt": None,
    }  # fmt: skip


def test_ckplus_to_fer2013() -> None:
    assert moves("ckplus-to-fer2013") == {
        "anger": "angry", "contempt": None, "disgust": "disgust", "fear": "fear",
        "happy": "happy", "sadness": "sad", "surprise": "surprise",
    }  # fmt: skip


def test_fer2013_to_text_only_changes_the_order() -> None:
    assert moves("fer2013-to-text-7") == {name: name for name in FER2013_7.names}


def test_goemotions_to_text_is_the_ekman_grouping() -> None:
    groups = {
        "angry": "anger annoyance disapproval",
        "disgust": "disgust",
        "fear": "fear nervousness",
        "happy": "joy amusement approval excitement gratitude love optimism relief pride "
        "admiration desire caring",
        "sad": "sadness disappointment embarrassment grief remorse",
        "surprise": "surprise realization confusion curiosity",
        "neutral": "neutral",
    }
    expected = {word: group for group, words in groups.items() for word in words.split()}
    assert moves("goemotions-to-text-7") == expected


def test_a_shared_out_label_splits_its_probability() -> None:
    source, target = LabelSpace("s", ("a", "b")), LabelSpace("t", ("x", "y"))
    rule = Relabel("r", source, target, np.array([[0.25, 0.75], [1, 0]], np.float32), "test")
    assert rule.apply([[0.4, 0.6]])[0] == pytest.approx([0.7, 0.3])


def test_a_row_of_which_nothing_is_kept_is_nan() -> None:
    contempt = np.eye(8)[[7]]
    assert np.isnan(RELABELS["ferplus-to-fer2013"].apply(contempt)).all()


def test_the_rest_is_renormalized_over_what_is_kept() -> None:
    probs = np.zeros((1, 8))
    probs[0, [1, 7]] = 0.2, 0.8  # happiness, contempt
    mapped = RELABELS["ferplus-to-fer2013"].apply(probs)
    assert mapped[0, FER2013_7.index("happy")] == pytest.approx(1.0)


def test_one_row_may_come_without_its_dimension() -> None:
    assert RELABELS["fer2013-to-text-7"].apply(np.full(7, 1 / 7)).shape == (1, 7)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), "needs"),
        (np.array([[2.0, -1.0], [0, 1]]), "rows must be"),
        (np.array([[0.5, 0.0], [0, 1]]), "rows must be"),
        (np.array([[np.nan, 0.0], [0, 1]]), "rows must be"),
    ],
)
def test_a_bad_matrix_is_refused(matrix: NDArray[np.float64], message: str) -> None:
    space = LabelSpace("s", ("a", "b"))
    with pytest.raises(ShapeError, match=message):
        Relabel("r", space, space, matrix.astype(np.float32), "test")


def test_a_matrix_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="read-only"):
        RELABELS["fer2013-to-text-7"].matrix[0, 0] = 0.5


def test_a_rename_to_a_label_that_is_not_there_is_refused() -> None:
    source, target = LabelSpace("s", ("a", "b")), LabelSpace("t", ("a", "c"))
    with pytest.raises(LabelError, match="'b' is not in t"):
        relabel_by_name("r", source, target, {}, "test")


@relabels
@given(data=st.data())
def test_apply_gives_distributions_or_nan(name: str, data: st.DataObject) -> None:
    rule = RELABELS[name]
    shape = st.tuples(st.integers(1, 5), st.just(len(rule.source)))
    counts = data.draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 10)))
    mapped = rule.apply(counts)
    kept = (counts @ rule.matrix).sum(axis=1) > 0
    assert np.isnan(mapped[~kept]).all()
    assert np.allclose(mapped[kept].sum(axis=1), 1, atol=1e-5) and (mapped[kept] >= 0).all()


@relabels
@given(data=st.data())
def test_apply_does_not_depend_on_the_scale(name: str, data: st.DataObject) -> None:
    rule = RELABELS[name]
    counts = data.draw(hnp.arrays(np.int64, (3, len(rule.source)), elements=st.integers(0, 10)))
    factor = data.draw(st.floats(0.1, 100.0))
    scaled = rule.apply(counts * factor)
    assert np.allclose(scaled, rule.apply(counts), atol=1e-5, equal_nan=True)


@relabels
@given(data=st.data())
def test_apply_treats_every_row_alone(name: str, data: st.DataObject) -> None:
    rule = RELABELS[name]
    counts = data.draw(hnp.arrays(np.int64, (4, len(rule.source)), elements=st.integers(0, 10)))
    alone = np.concatenate([rule.apply(row) for row in counts])
    assert np.allclose(rule.apply(counts), alone, atol=1e-6, equal_nan=True)


# --- learning states -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "state"),
    [
        # angry: anger above all others, or more than two votes
        (votes(anger=1), "angry"),
        (votes(anger=2, neutral=1), "angry"),
        (votes(anger=2, neutral=2, sadness=1), None),
        (votes(anger=3, neutral=7), "angry"),
        (votes(anger=2, neutral=8), "neutral"),
        (votes(anger=3, happiness=7), "angry"),
        (votes(anger=1, contempt=9), "angry"),  # contempt is not looked at
        (votes(anger=4, neutral=0, sadness=7), "angry"),  # before bored
        # focused: neutral above all others, no sadness, no anger
        (votes(neutral=1), "focused"),
        (votes(neutral=10), "focused"),
        (votes(neutral=5, happiness=4), "focused"),
        (votes(neutral=5, happiness=5), None),
        (votes(neutral=5, surprise=4, fear=1), "focused"),
        (votes(neutral=1, contempt=9), "focused"),
        # neutral: neutral above all others with more than six votes
        (votes(neutral=7, sadness=1), "neutral"),
        (votes(neutral=6, anger=1), None),
        (votes(neutral=7, anger=1), "neutral"),
        (votes(neutral=7, anger=1, sadness=2), "neutral"),
        # bored: sad and neutral, no happiness, no fear, sadness more than two above anger
        (votes(neutral=6, sadness=4), "bored"),
        (votes(neutral=6, sadness=3), "bored"),
        (votes(neutral=6, sadness=2), None),  # 0 + 2 < 2 does not hold
        (votes(neutral=1, sadness=4, anger=1), "bored"),
        (votes(neutral=1, sadness=3, anger=1), None),
        (votes(neutral=1, sadness=4, anger=2), None),
        (votes(neutral=0, sadness=9), None),
        (votes(neutral=1, sadness=8, happiness=1), None),
        (votes(neutral=1, sadness=8, fear=1), None),
        (votes(neutral=1, sadness=8, surprise=1), "bored"),
        (votes(neutral=1, sadness=4, disgust=5), "bored"),
        # kept at all: no vote for "not a face", fewer than five for "unknown"
        (votes(neutral=9, NF=1), None),
        (votes(neutral=5, unknown=4), "focused"),
        (votes(neutral=5, unknown=5), None),
        (votes(), None),
        (votes(happiness=10), None),
    ],
)
def test_learning_state_rule(row: list[int], state: str | None) -> None:
    expected = UNLABELED if state is None else LEARNING_STATE_4.index(state)
    assert LEARNING_STATE_RULE.apply([row]).tolist() == [expected]


def test_no_rows_give_no_labels() -> None:
    assert LEARNING_STATE_RULE.apply(np.zeros((0, 10))).shape == (0,)


@pytest.mark.parametrize("shape", [(10,), (2, 9), (2, 11), (1, 2, 10)])
def test_votes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"shape \(n, 10\)"):
        LEARNING_STATE_RULE.apply(np.zeros(shape))


def test_negative_votes_are_refused() -> None:
    row = votes(neutral=5)
    row[2] = -1
    with pytest.raises(ShapeError, match="negative"):
        ferplus_distribution([row])


@given(hnp.arrays(np.int64, (6, 10), elements=st.integers(0, 10)))
def test_contempt_never_changes_a_learning_state(table: NDArray[np.int64]) -> None:
    without = table.copy()
    without[:, FERPLUS_VOTES.index("contempt")] = 0
    assert (LEARNING_STATE_RULE.apply(table) == LEARNING_STATE_RULE.apply(without)).all()


@cache
def ferplus() -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """All FER+ votes (35887, 10) and the part of each row."""
    with DATA.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = np.array([[int(row[c]) for c in FERPLUS_VOTES] for row in rows])
    return table, np.array([row["Usage"] for row in rows])


@needs_data
@pytest.mark.parametrize(
    ("part", "counts"),
    [
        (None, (3954, 4553, 3789, 3960)),
        ("Training", (3150, 3501, 3032, 3240)),
        ("PublicTest", (397, 586, 384, 323)),
        ("PrivateTest", (407, 466, 373, 397)),
    ],
)
def test_learning_states_of_all_of_ferplus(part: str | None, counts: tuple[int, ...]) -> None:
    table, usage = ferplus()
    labels = LEARNING_STATE_RULE.apply(table if part is None else table[usage == part])
    found = Counter(LEARNING_STATE_4.names[label] for label in labels if label != UNLABELED)
    assert found == dict(zip(("angry", "focused", "neutral", "bored"), counts, strict=True))


@needs_data
def test_ferplus_has_its_rows() -> None:
    assert len(ferplus()[0]) == 35_887


@needs_data
def test_the_common_classes_of_private_test() -> None:
    table, usage = ferplus()
    majority = ferplus_majority(table[usage == "PrivateTest"])
    common = (majority >= 0) & (majority != FERPLUS_8.index("contempt"))
    assert int(common.sum()) == 3350


# --- FER+ distributions and majorities -----------------------------------------------------------


def test_single_votes_are_dropped_as_outliers() -> None:
    shares = ferplus_distribution([votes(happiness=6, neutral=2, fear=1)])
    assert shares[0].tolist() == pytest.approx([0.25, 0.75, 0, 0, 0, 0, 0, 0])


def test_unknown_and_not_a_face_are_no_emotions() -> None:
    shares = ferplus_distribution([votes(sadness=2, unknown=6, NF=2)])
    assert shares[0, FERPLUS_8.index("sadness")] == 1.0


def test_only_single_votes_leave_nothing() -> None:
    assert not ferplus_distribution([votes(sadness=1, anger=1, fear=1)]).any()


@given(hnp.arrays(np.int64, st.tuples(st.integers(0, 6), st.just(10)), elements=st.integers(0, 10)))
def test_ferplus_distribution_sums_to_one_or_zero(table: NDArray[np.int64]) -> None:
    sums = ferplus_distribution(table).sum(axis=1)
    some = (table[:, :8] >= 2).any(axis=1)
    assert np.allclose(sums, some.astype(float), atol=1e-6)


@given(hnp.arrays(np.int64, (4, 10), elements=st.integers(0, 10)))
def test_ferplus_distribution_keeps_the_order_of_the_votes(table: NDArray[np.int64]) -> None:
    shares = ferplus_distribution(table)
    for row, share in zip(table[:, :8], shares, strict=True):
        strong = row >= 2
        assert (share[~strong] == 0).all()
        assert np.array_equal(np.argsort(row[strong]), np.argsort(share[strong]))


def test_drawn_labels_follow_the_votes() -> None:
    table = np.array([votes(happiness=6, neutral=3, fear=1)] * 3000)
    drawn = ferplus_draw(table, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=8)
    happy, neutral = (FERPLUS_8.index(name) for name in ("happiness", "neutral"))
    assert counts[happy] / 3000 == pytest.approx(2 / 3, abs=0.03)  # the single vote is left out
    assert counts[happy] + counts[neutral] == 3000


@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=30))
def test_a_drawn_label_has_votes_or_there_is_none(table: list[list[int]]) -> None:
    shares = ferplus_distribution(table)
    drawn = ferplus_draw(table, np.random.default_rng(1))
    for row, label in zip(shares, drawn.tolist(), strict=True):
        assert (label == UNLABELED) == (row.sum() == 0) and (label < 0 or row[label] > 0)


@pytest.mark.parametrize(
    ("row", "label"),
    [
        (votes(happiness=5, neutral=4), "happiness"),
        (votes(happiness=5, neutral=5), None),
        (votes(contempt=4, neutral=3), "contempt"),
        (votes(happiness=4, unknown=4), None),
        (votes(happiness=4, unknown=5), None),
        (votes(happiness=4, NF=6), None),
        (votes(happiness=2, neutral=1, sadness=1), "happiness"),
        (votes(), None),
    ],
)
def test_ferplus_majority(row: list[int], label: str | None) -> None:
    expected = UNLABELED if label is None else FERPLUS_8.index(label)
    assert ferplus_majority([row]).tolist() == [expected]
