"""Splits by protocol: counts of the sources, nothing shared, manifests that prove themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.lab.data.splits import (
    PROTOCOLS,
    Rows,
    build_manifest,
    load_manifest,
    overlaps,
)

TRAINING = (3995, 436, 4097, 7215, 4830, 3171, 4965)  # FER2013 Training by class, seed-thesis A.3


@pytest.fixture(scope="module")
def fer2013() -> Rows:
    """Labels and parts of the size of FER2013, in mixed order."""
    labels = np.repeat(np.arange(7), TRAINING)
    part = np.repeat(["Training"], len(labels))
    rest = np.random.default_rng(1).integers(0, 7, 7178)
    labels = np.concatenate([np.random.default_rng(0).permutation(labels), rest])
    part = np.concatenate([part, np.repeat(["PublicTest", "PrivateTest"], 3589)])
    return Rows(labels, part, np.array([f"S{i % 118:03d}" for i in range(len(labels))]))


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_parts_share_no_rows_and_repeat_none(fer2013: Rows, protocol: str) -> None:
    parts = PROTOCOLS.get(protocol)(fer2013)
    assert list(overlaps(parts)) == []
    assert all(len(np.unique(part)) == len(part) > 0 for part in parts.values())


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_the_same_seed_gives_the_same_split(fer2013: Rows, protocol: str) -> None:
    split = PROTOCOLS.get(protocol)
    first, second = split(fer2013, seed=7), split(fer2013, seed=7)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_official_is_the_usage_column(fer2013: Rows) -> None:
    parts = PROTOCOLS.get("official")(fer2013)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 28709,
        "valid": 3589,
        "test": 3589,
    }


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("train", "test"), ("train", "test")),  # RAF-DB, FER2013 in folders
        (("train_set", "val_set"), ("train", "valid")),  # AffectNet
    ],
)
def test_official_knows_the_parts_of_other_publishers(
    names: tuple[str, str], roles: tuple[str, str]
) -> None:
    rows = Rows(np.zeros(4, np.int64), np.array([names[1], *[names[0]] * 3]))
    parts = PROTOCOLS.get("official")(rows)
    assert tuple(parts) == roles and parts[roles[1]].tolist() == [0]


def test_official_refuses_a_part_without_a_role() -> None:
    with pytest.raises(InputError, match="does not know the part 'room-3'"):
        PROTOCOLS.get("official")(Rows(np.zeros(1, np.int64), np.array(["room-3"])))


def test_thesis_stratified_has_the_counts_of_the_thesis(fer2013: Rows) -> None:
    parts = PROTOCOLS.get("thesis-stratified")(fer2013)
    assert {n: len(p) for n, p in parts.items()} == {"train": 22967, "valid": 5742, "test": 7178}
    classes = np.bincount(fer2013.labels[parts["valid"]])
    assert classes.tolist() == [799, 87, 820, 1443, 966, 634, 993]


def test_thesis_class_weights_has_the_counts_of_the_thesis(fer2013: Rows) -> None:
    parts = PROTOCOLS.get("thesis-class-weights")(fer2013)
    assert (len(parts["train"]), len(parts["valid"])) == (22968, 5741)
    for label in range(7):
        mine = parts["valid"][fer2013.labels[parts["valid"]] == label]
        others = parts["train"][fer2013.labels[parts["train"]] == label]
        assert mine.max() < others.min()


def test_aieducation_is_70_15_15_of_what_has_a_label() -> None:
    labels = np.where(np.arange(14831 + 500) < 14831, 0, -1)
    parts = PROTOCOLS.get("aieducation")(Rows(labels))
    assert [len(parts[n]) for n in ("train", "valid", "test")] == [10382, 2225, 2224]


def test_nobody_is_in_two_parts_of_a_subject_split(fer2013: Rows) -> None:
    parts = PROTOCOLS.get("subject-disjoint")(fer2013)
    people = {name: set(fer2013.subject[part]) for name, part in parts.items()}
    assert not people["train"] & people["valid"]
    assert not people["train"] & people["test"]
    assert not people["valid"] & people["test"]


def test_folds_cover_every_labelled_row(fer2013: Rows) -> None:
    folds = PROTOCOLS.get("kfold-10")(fer2013)
    assert len(folds) == 10
    assert sum(map(len, folds.values())) == len(fer2013.labels)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match=r"official.*Usage"):
        PROTOCOLS.get("official")(Rows(np.zeros(4, np.int64)))
    with pytest.raises(InputError, match="subjects"):
        PROTOCOLS.get("subject-disjoint")(Rows(np.zeros(4, np.int64)))


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 400), st.integers(2, 5), st.integers(0, 2**31 - 1))
def test_paper_split_keeps_every_row_once(n: int, k: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, k, n)
    parts = PROTOCOLS.get("paper")(Rows(labels), seed=seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(n))


def test_a_manifest_comes_back_and_a_changed_one_does_not(fer2013: Rows, tmp_path: Path) -> None:
    parts = PROTOCOLS.get("official")(fer2013)
    manifest = build_manifest("official", parts, fer2013, data="abc", seed=42)
    path = tmp_path / "split.json"
    path.write_text(json.dumps(manifest))
    loaded = load_manifest(path)
    assert all(np.array_equal(loaded[name], parts[name]) for name in parts)
    manifest["parts"]["test"]["rows"][0] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="'test' do not match"):
        load_manifest(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"parts": {"train": {}}}', "\x00"])
def test_no_manifest_is_one_clear_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a split manifest"):
        load_manifest(path)
