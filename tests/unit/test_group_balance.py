"""Balancing of groups: what counts the same afterwards, what stays as it was, and refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import SPEC, tiny_recipe
from data_files import pictures
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.core.labels import FER2013_7  # noqa: E402
from classpulse.lab.data.balance import BALANCINGS, draw_balanced  # noqa: E402
from classpulse.lab.data.faces import FaceSet  # noqa: E402
from classpulse.lab.data.group_balance import (  # noqa: E402
    GROUP_BALANCINGS,
    SMALLEST,
    GroupBalanced,
    GroupInsert,
    GroupSampler,
    GroupWeights,
    balance_groups,
)
from classpulse.lab.data.rows import apportion  # noqa: E402
from classpulse.lab.recipe import Recipe, changed_keys, load_recipe, recipe_table  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.losses import CrossEntropy, label_mass  # noqa: E402
from classpulse.lab.train.mixing import mixup  # noqa: E402
from classpulse.lab.train.run import build_training  # noqa: E402
from classpulse.lab.train.sources import load_parts  # noqa: E402

torch.set_num_threads(1)

Cells = dict[tuple[str, int], int]
PLAIN: Cells = {("adult", 0): 8, ("adult", 1): 4, ("child", 0): 2, ("child", 1): 4, ("", 0): 3}


def build(cells: Cells = PLAIN, *, seed: int = 0) -> FaceSet:
    """A set with so many rows of each group and class, in random order."""
    rows = [cell for cell, n in cells.items() for _ in range(n)]
    order = np.random.default_rng(seed).permutation(len(rows))
    images = np.random.default_rng(seed).integers(40, 200, (len(rows), 6, 6), dtype=np.uint8)
    groups = np.array([rows[i][0] for i in order] or [""])[: len(rows)]
    labels = np.array([rows[i][1] for i in order], dtype=np.int64)
    return FaceSet(images, labels, FER2013_7, "small", groups={"age": groups})


def apply(faces: FaceSet, how: Any, *, balance: str = "none", seed: int = 3) -> GroupBalanced:
    return balance_groups(BALANCINGS.get(balance)(faces, seed=seed), how, seed=seed)


def age(faces: FaceSet) -> NDArray[np.str_]:
    return faces.groups["age"]


def mass_of(grouped: GroupBalanced) -> dict[str, float]:
    """Group -> what its rows count in the loss, all together, at a first class weight of 1."""
    first = float(grouped.balanced.class_weights[0])
    mass = grouped.weights * grouped.balanced.row_weights / first
    groups = age(grouped.balanced.faces)
    return {str(g): float(mass[groups == g].sum()) for g in np.unique(groups)}


# two to four groups, each with some class that has enough rows, and rows of no group or class
sizes = st.integers(0, 12)
some_cells = st.lists(
    st.tuples(st.integers(SMALLEST, 20), sizes, sizes), min_size=2, max_size=4
).flatmap(
    lambda groups: st.tuples(sizes, sizes).map(
        lambda rest: {
            **{
                (name, label): n
                for name, counts in zip("abcd", groups, strict=False)
                for label, n in enumerate(counts)
            },
            ("", 0): rest[0],
            ("a", -1): rest[1],
        }
    )
)
balances = st.sampled_from(["none", "class-weights", "insert", "insert-corrected", "sampler"])


@given(some_cells, balances)
def test_with_weights_every_group_counts_the_same(cells: Cells, balance: str) -> None:
    faces = build(cells)
    grouped = apply(faces, GroupWeights("age"), balance=balance)
    mass, before = mass_of(grouped), mass_of(apply(faces, None, balance=balance))
    known = [group for group in mass if group]
    share = sum(before[group] for group in known) / len(known)
    assert [mass[group] for group in known] == pytest.approx([share] * len(known), rel=1e-4)
    unknown = age(grouped.balanced.faces) == ""
    assert (grouped.weights[unknown] == 1).all()
    prices = grouped.balanced.row_weights  # 1 for every price: the loss is 1
    counted = grouped.weights[grouped.balanced.faces.labels >= 0].sum()
    assert float((grouped.weights * prices).sum() / counted) == pytest.approx(1, rel=1e-4)


@given(some_cells, balances, st.floats(0.01, 50).filter(lambda f: f != 1))
def test_a_factor_is_that_of_one_group_and_keeps_the_sum(
    cells: Cells, balance: str, factor: float
) -> None:
    faces = build(cells)
    grouped = apply(faces, GroupWeights("age", "b", factor), balance=balance)
    groups = age(grouped.balanced.faces)
    weak, other = grouped.weights[groups == "b"], grouped.weights[groups == "a"]
    assert weak[0] == pytest.approx(factor * other[0], rel=1e-4)
    before, after = mass_of(apply(faces, None, balance=balance)), mass_of(grouped)
    assert sum(after.values()) == pytest.approx(sum(before.values()), rel=1e-4)
    assert (grouped.weights[groups == ""] == 1).all()


@given(some_cells, st.sampled_from(["none", "class-weights", "insert-corrected"]))
def test_insertion_makes_all_groups_as_large_with_their_class_mix(
    cells: Cells, balance: str
) -> None:
    faces = build(cells)
    classes = apply(faces, None, balance=balance).balanced
    grouped = apply(faces, GroupInsert("age"), balance=balance)
    whole, n = grouped.balanced.faces, len(classes.faces)
    labeled = {
        g: int(((age(whole) == g) & (whole.labels >= 0)).sum()) for g in np.unique(age(whole))
    }
    assert len({count for group, count in labeled.items() if group}) == 1
    assert np.array_equal(whole.images[:n], classes.faces.images)  # what was there stays
    assert "" not in age(whole)[n:] and (whole.labels[n:] >= 0).all()
    for group in (g for g in labeled if g):
        old, new = (
            np.bincount(f.labels[(age(f) == group) & (f.labels >= 0)], minlength=7)
            for f in (classes.faces, whole)
        )
        assert (np.abs(new - old * new.sum() / old.sum()) < 1).all()
    source = grouped.balanced.source
    assert source.max(initial=0) < len(faces)
    assert np.array_equal(age(whole), age(faces)[source])
    assert np.array_equal(whole.labels, faces.labels[source])
    assert (grouped.weights == 1).all() and len(grouped.balanced.inserted) == len(whole)
    if balance == "class-weights":
        total = float(grouped.balanced.row_weights.sum())
        assert total == pytest.approx((whole.labels >= 0).sum(), rel=1e-4)


@given(some_cells, st.floats(0.01, 0.95))
def test_insertion_gives_a_group_its_share_and_no_row_more(cells: Cells, share: float) -> None:
    faces = build(cells)
    counts = {g: sum(n for (name, c), n in cells.items() if name == g and c >= 0) for g in "abcd"}
    if counts["b"] / sum(counts.values()) >= share:
        with pytest.raises(InputError, match="nothing to insert"):
            apply(faces, GroupInsert("age", "b", share))
        return
    whole = apply(faces, GroupInsert("age", "b", share)).balanced.faces
    known = (whole.labels >= 0) & (age(whole) != "")
    n, total = int((known & (age(whole) == "b")).sum()), int(known.sum())
    assert (n - 1) / (total - 1) < share + 1e-9 and n / total >= share - 1e-9
    assert set(age(whole)[len(faces) :]) == {"b"}


@given(some_cells, st.sampled_from(["none", "sampler"]), st.integers(0, 5))
def test_epochs_draw_groups_equally_often_and_the_rest_as_before(
    cells: Cells, balance: str, seed: int
) -> None:
    faces = build(cells)
    grouped = apply(faces, GroupSampler("age"), balance=balance)
    assert grouped.sampled is not None
    generator = torch.Generator().manual_seed(seed)
    drawn = np.concatenate([draw_balanced(line, generator).numpy() for line in grouped.sampled])
    groups, labels = age(faces), faces.labels
    counts = {g: int((groups[drawn] == g).sum()) for g in np.unique(groups)}
    unknown = groups == ""
    if balance == "none":
        assert np.ptp([count for group, count in counts.items() if group]) <= 1
        assert sorted(drawn[unknown[drawn]]) == np.flatnonzero(unknown).tolist()  # each once
        assert len(drawn) == len(faces)
    else:
        there = {(g, c) for g, c in zip(groups, labels, strict=True) if g and c >= 0}
        cells_drawn = [int(((groups == g) & (labels == c))[drawn].sum()) for g, c in there]
        assert np.ptp(cells_drawn) <= 1
        assert counts.get("", 0) == int((unknown & (labels >= 0)).sum())


@given(st.integers(0, 500), st.lists(st.integers(0, 50), min_size=1, max_size=7))
def test_parts_in_proportion(n: int, counts: list[int]) -> None:
    if not sum(counts):
        return
    parts = apportion(n, np.array(counts))
    assert sum(parts) == n
    assert all(abs(p - n * c / sum(counts)) < 1 for p, c in zip(parts, counts, strict=True))


def test_copies_are_small_changes_without_stretch_from_every_source_in_turn() -> None:
    faces = replace(build(), images=pictures(21, seed=4) // 2 + 40)
    grouped = apply(faces, GroupInsert("age", "child"))
    copies = grouped.balanced.faces.images[len(faces) :]
    sources = grouped.balanced.source[len(faces) :]
    assert len(copies) == 6 and copies.min() >= faces.images.min()
    assert np.bincount(faces.labels[sources]).tolist() == [2, 4]  # the class mix of the group
    assert len(set(sources.tolist())) == 6  # all rows before any again
    for image, source in zip(copies, sources, strict=True):
        seen, expected = (a.astype(float).ravel() for a in (image, faces.images[source]))
        assert np.corrcoef(seen, expected)[0, 1] > 0.9 and not np.array_equal(seen, expected)
    again = apply(faces, GroupInsert("age", "child")).balanced.faces.images
    assert np.array_equal(again, grouped.balanced.faces.images)
    assert grouped.balanced.faces.name == "small balanced by insert of age"


def test_a_weight_is_that_many_copies_in_the_loss() -> None:
    logits, targets = torch.randn(4, 7), torch.eye(7)[[0, 1, 2, 3]]
    weights = torch.tensor([2.0, 1.0, 1.0, 1.0])[:, None]
    twice = torch.tensor([0, 0, 1, 2, 3])
    loss = CrossEntropy()
    assert loss(logits, targets * weights) == pytest.approx(
        loss(logits[twice], targets[twice]).item()
    )
    mixed = mixup(logits, {"a": targets * weights}, 0.25, torch.tensor([1, 0, 2, 3]))[1]["a"]
    assert label_mass(mixed) == pytest.approx(5)  # weights travel with their labels
    assert mixed[0].tolist()[:2] == [0.5, 0.75]


def test_weights_leave_the_size_of_the_loss_and_favor_the_weak_group() -> None:
    """Over many batches; the loss of the weak group is 3, of the other 1."""
    faces = build({("adult", 0): 900, ("child", 0): 100})
    grouped = apply(faces, GroupWeights("age"))
    random = np.random.default_rng(0)
    price = np.where(age(faces) == "child", 3.0, 1.0)
    batches = [random.permutation(1000)[:64] for _ in range(400)]
    means = [float(np.average(price[b], weights=grouped.weights[b])) for b in batches]
    assert np.mean(means) == pytest.approx(2.0, rel=0.05)  # each group half
    same = [float(np.average(np.ones(64), weights=grouped.weights[b])) for b in batches]
    assert same == pytest.approx([1.0] * 400)


RECIPE = Recipe("tiny", "A recipe for tests.", {"emotion": 1.0}, SPEC)


def test_training_gets_weighted_targets_and_two_lines_to_draw() -> None:
    faces = build(seed=1)
    plain = build_training(faces, RECIPE)
    weighted = replace(RECIPE, groups=Choice("weights", GroupWeights("age")))
    data = build_training(faces, weighted)
    sums = data.targets["emotion"].sum(dim=1).numpy()
    assert sums == pytest.approx(apply(faces, GroupWeights("age")).weights, rel=1e-5)
    assert sums.sum() == pytest.approx(len(faces)) and data.sampled is None
    assert plain.targets["emotion"].sum(dim=1).numpy() == pytest.approx(1)
    drawn = build_training(faces, replace(RECIPE, groups=Choice("sampler", GroupSampler("age"))))
    assert drawn.sampled is not None and drawn.sampled.shape == (2, len(faces))


@pytest.mark.parametrize("kind", list(GROUP_BALANCINGS))
def test_a_recipe_with_groups_is_read_back(kind: str, tmp_path: Path) -> None:
    changes = [f"groups.kind={kind}", "groups.column=age"]
    recipe = load_recipe("face-base", changes=changes)
    assert recipe.groups == Choice(kind, GROUP_BALANCINGS.get(kind)("age"))
    (tmp_path / "recipe.json").write_text(json.dumps(recipe_table(recipe)))
    assert load_recipe(str(tmp_path / "recipe.json")) == recipe


def test_a_recipe_without_groups_is_read_back_also_from_before_there_were_any(
    tmp_path: Path,
) -> None:
    recipe = load_recipe("face-base")
    table = recipe_table(recipe)
    assert table["groups"] is None
    before = {key: value for key, value in table.items() if key != "groups"}
    for kept in (table, before):
        (tmp_path / "recipe.json").write_text(json.dumps(kept))
        assert load_recipe(str(tmp_path / "recipe.json")) == recipe
    assert changed_keys(before, table) == []  # a run from before goes on


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["groups.kind=smote", "groups.column=age"], "known: weights, insert, sampler"),
        (["groups.kind=insert"], "groups: missing \\['column'\\]"),
        (["groups.column=age", "groups.factor=2.0"], "give a group and its factor"),
        (["groups.column=age", "groups.group=child"], "give a group and its factor"),
        (["groups.column=age", "groups.group=c", "groups.factor=inf"], "from 0.001 to 1000"),
        (["groups.column=age", "groups.group=c", "groups.factor=nan"], "from 0.001 to 1000"),
        (["groups.column=age", "groups.group=c", "groups.factor=0.0"], "from 0.001 to 1000"),
        (["groups.kind=insert", "groups.column=age", "groups.share=0.3"], "of which group"),
        (
            ["groups.kind=insert", "groups.column=a", "groups.group=c", "groups.share=1.0"],
            "from 0 to below 1",
        ),
    ],
)
def test_wrong_settings_are_refused(changes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("face-base", changes=changes)


@pytest.mark.parametrize("how", [GroupWeights("age"), GroupInsert("age"), GroupSampler("age")])
@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({("adult", 0): 9, ("", 0): 4}, "has adult 9: balancing needs two groups"),
        ({("", 0): 9}, "has no group: balancing needs two groups"),
        ({("adult", 0): 9, ("chlid", 0): 1}, "group 'chlid' of column 'age' of small has 1 rows"),
        ({("adult", 0): 9, ("child", -1): 9}, "group 'child' of .* has 0 rows with a label"),
    ],
)
def test_groups_that_cannot_be_balanced(how: Any, cells: Cells, message: str) -> None:
    with pytest.raises(InputError, match=message):
        apply(build(cells), how)


def test_unknown_columns_and_groups_list_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no column 'sex'; it has age \(adult 12, child 6\)"):
        apply(build(), GroupWeights("sex"))
    with pytest.raises(InputError, match="has no group 'kid'; it has adult 12, child 6"):
        apply(build(), GroupWeights("age", "kid", 2.0))
    with pytest.raises(InputError, match="no annotations: give a CSV file of them with --groups"):
        apply(replace(build(), groups={}), GroupWeights("age"))
    with pytest.raises(InputError, match=r"'adult' has 12 of 18 rows .* share above 0\.667"):
        apply(build(), GroupInsert("age", "adult"))


TOML = tiny_recipe(1)


def annotate(path: Path) -> Path:
    """Ages of the pictures of `write_fer`: a third children, some unknown."""
    lines = [f"{row},{('child', 'adult', 'adult', '?')[row % 4]}" for row in range(30)]
    path.write_text("\n".join(["row,age", *lines]))
    return path


def test_groups_of_the_csv_reach_the_training_part(fer: Path, tmp_path: Path) -> None:
    csv = annotate(tmp_path / "ages.csv")
    recipe = replace(RECIPE, groups=Choice("weights", GroupWeights("age")))
    parts = load_parts(recipe, {"fer2013": fer}, groups=csv)
    assert set(age(parts.train)) == {"child", "adult", "?"}
    weights = balance_groups(
        BALANCINGS.get("none")(parts.train), GroupWeights("age"), seed=0
    ).weights
    assert (weights[age(parts.train) == "?"] == 1).all()


@pytest.mark.parametrize("kind", list(GROUP_BALANCINGS))
def test_a_recipe_with_groups_trains_and_goes_on(
    command: Any, fer: Path, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "tiny.toml").write_text(f'{TOML}[groups]\nkind = "{kind}"\ncolumn = "age"\n')
    words = ["train", tmp_path / "tiny.toml", "--data", f"fer2013={fer}", "--run", tmp_path / "run"]
    words += ["--groups", annotate(tmp_path / "ages.csv")]
    done = command(*words)
    assert done.code == 0 and done.out.count("\n") == 1, done.err
    again = command(*words, "--resume")
    assert again.code == 0 and not again.out


@pytest.mark.parametrize(
    ("table", "csv", "message"),
    [
        ('[groups]\ncolumn = "age"\n', False, "no annotations: give a CSV file of them with --gro"),
        ('[groups]\ncolumn = "sex"\n', True, "no column 'sex'; it has age (adult 1"),
        ("", True, "would change nothing: recipe tiny has no table [groups]; give --set groups."),
    ],
)
def test_a_wrong_use_of_groups_is_one_line(
    command: Any, fer: Path, tmp_path: Path, table: str, csv: bool, message: str
) -> None:
    (tmp_path / "tiny.toml").write_text(TOML + table)
    words = ["train", tmp_path / "tiny.toml", "--data", f"fer2013={fer}", "--run", tmp_path / "run"]
    result = command(*words, *(["--groups", annotate(tmp_path / "a.csv")] if csv else []))
    assert result.code == 3 and message in result.err and result.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
