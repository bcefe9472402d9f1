"""Bias by group: numbers that can be checked by hand, what is left out, the command, the page."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builders import write_artefact
from data_files import pictures
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("torch")

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.labels import FER2013_7
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate.bias import ALL, BiasReport, caveats, compare_groups
from classpulse.lab.evaluate.bias_command import describe_bias
from classpulse.lab.evaluate.bias_report import render_bias, save_bias_report
from classpulse.lab.evaluate.compare import score_mcnemar
from classpulse.lab.evaluate.groups import FEWEST

Labels = NDArray[np.int64]


def build(*groups: tuple[str, int], unlabeled: int = 0) -> FaceSet:
    """Faces of groups in order, labels 0 and 1 in turn, then some without a label."""
    names = np.array([name for name, n in groups for _ in range(n)] + ["adult"] * unlabeled)
    n = len(names)
    labels = np.arange(n) % 2
    labels[n - unlabeled :] = -1
    images = np.zeros((n, 4, 4), np.uint8)
    return FaceSet(images, labels.astype(np.int64), FER2013_7, "mine", groups={"age": names})


def answers(faces: FaceSet, **right: int) -> Labels:
    """The first so many rows of each group right, all others with label 2."""
    found = np.full(len(faces), 2, dtype=np.int64)
    for group, n in right.items():
        rows = np.flatnonzero(faces.groups["age"] == group)[:n]
        found[rows] = faces.labels[rows]
    return found


FACES = build(("adult", 100), ("child", 60), ("infant", FEWEST - 1), ("", 7), unlabeled=9)
BEFORE = answers(FACES, adult=80, child=30, infant=5)
AFTER = answers(FACES, adult=78, child=42, infant=9)


def compare(
    after: Labels | None = AFTER, faces: FaceSet = FACES, column: str = "age"
) -> BiasReport:
    return compare_groups(BEFORE, after, faces, column=column, space=FER2013_7)


def results(after: Labels | None = AFTER) -> dict[str, Any]:
    """Plain values as `run_bias` gives them."""
    report = compare(after)
    return {
        "model": "old",
        "against": None if after is None else "new <b>",
        "models": {"before": "old (sha256 1)", "after": "new (sha256 2)"},
        "data": "mine",
        "data_sha256": "",
        "kind": "emotion",
        "labels": list(FER2013_7.names),
        **asdict(report),
        "caveats": list(caveats(report)),
    }


def test_groups_before_and_after() -> None:
    report = compare()
    assert report.after is not None and report.gap_change is not None
    shares = [
        {row.group: (row.n, row.accuracy.value) for row in side.groups}
        for side in (report.before, report.after)
    ]
    assert shares == [
        {"adult": (100, 0.8), "child": (60, 0.5)},
        {"adult": (100, 0.78), "child": (60, 0.7)},
    ]
    assert report.before.missing == 7 and report.left_out == ("infant",)
    assert report.overall.n == 196 and report.overall.group == ALL
    assert report.overall.accuracy.value == pytest.approx(115 / 196)
    gap = report.gap_change
    assert (gap.best, gap.worst) == ("adult", "child")
    assert (gap.gap.second, gap.gap.first) == pytest.approx((0.3, 0.08))
    assert gap.gap.difference.value == pytest.approx(-0.22)
    assert gap.gap.difference.high < 0 and gap.gap.p < 0.01


def test_changes_are_paired_and_after_minus_before() -> None:
    changes = {change.group: change.comparison for change in compare().changes}
    assert list(changes) == [ALL, "adult", "child"]
    child = changes["child"]
    assert child.accuracy.difference.value == pytest.approx(0.2) and child.n == 60
    assert (child.accuracy.first, child.accuracy.second) == (0.7, 0.5)
    rows = (FACES.groups["age"] == "child") & (FACES.labels >= 0)
    right = [(p == FACES.labels)[rows] for p in (AFTER, BEFORE)]
    assert child.mcnemar == score_mcnemar(*right) and child.mcnemar.first_only == 12


def test_one_model_has_no_after() -> None:
    report = compare(None)
    assert report.after is None and report.gap_change is None and report.changes == ()
    assert all(row.after is None for row in report.recalls)


def test_recalls_are_by_label_inside_the_group_and_need_enough_rows() -> None:
    cells = {(row.group, row.label): row for row in compare().recalls}
    angry, disgust = FER2013_7.names[:2]
    assert set(cells) == {(g, c) for g in ("adult", "child") for c in (angry, disgust)}
    one = cells["child", angry]
    assert one.n == 30 and one.before.value == 0.5 and one.after is not None
    assert one.after.value == pytest.approx(0.7)
    fewer = build(("adult", 100), ("child", 2 * FEWEST - 1))
    report = compare_groups(BEFORE[:159], None, fewer, column="age", space=FER2013_7)
    assert [(row.group, row.label) for row in report.recalls if row.group == "child"] == [
        ("child", angry)  # 30 of 59 rows; the other label has 29
    ]


@given(st.permutations(range(len(FACES))))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = np.array(order)
    mixed = FACES.take(rows, name="mine")
    report = compare_groups(BEFORE[rows], AFTER[rows], mixed, column="age", space=FER2013_7)
    assert report == compare()


def test_the_same_model_twice_changes_nothing() -> None:
    report = compare(BEFORE)
    assert all(change.comparison.mcnemar.p == 1 for change in report.changes)
    assert report.gap_change is not None
    difference = report.gap_change.gap.difference
    assert (difference.low, difference.value, difference.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("faces", "column", "message"),
    [
        (replace(FACES, groups={}), "age", "no annotations: give a CSV file of them with --groups"),
        (FACES, "sex", r"no column 'sex'; it has age \(adult 109, child 60, infant 29\)"),
        (build(("adult", 90)), "age", "has adult 90 among .* needs two groups of 30 rows"),
        (build(("adult", 90), ("child", 29)), "age", "has adult 90, child 29 among the labeled"),
        (build(("na", 90)), "age", "has no group among"),
    ],
)
def test_what_cannot_be_compared(faces: FaceSet, column: str, message: str) -> None:
    predicted = np.zeros(len(faces), dtype=np.int64)
    with pytest.raises(InputError, match=message):
        compare_groups(predicted, None, faces, column=column, space=FER2013_7)


def test_answers_of_other_rows_are_refused() -> None:
    with pytest.raises(ShapeError):
        compare(AFTER[:-1])
    with pytest.raises(ShapeError):
        compare(AFTER + 9)


def test_the_text_says_what_it_does_not_say() -> None:
    text = describe_bias(results())
    assert text.startswith("old and, after, new <b> on mine: emotion by age")
    child = next(line for line in text.splitlines() if line.startswith("child "))
    assert "0.5000 [" in child and "0.7000 [" in child and "+0.2000 [" in child
    assert "adult over child: 0.3000 before, 0.0800 after, change -0.2200" in text
    assert "7 labeled rows have no annotation" in text
    assert "someone's judgment" in text and "several seeds" in text
    assert "Left out, with fewer than 30 labeled rows: infant." in text
    alone = describe_bias(results(None))
    assert alone.startswith("old on mine") and "several seeds" not in alone
    assert "largest gap: accuracy of adult over child 0.3000" in alone


def test_the_page_has_plot_tables_and_limits(tmp_path: Path) -> None:
    files = save_bias_report(results(), tmp_path / "out")
    page = files["report.html"].read_text(encoding="utf-8")
    assert page.count("<svg") == 1 and "<script" not in page and "http-equiv" in page
    assert "new &lt;b&gt; has a gap of 8.0 there, a change of -22.0" in page
    assert "0.500 \u2192 0.700, n = 30" in page and "infant." in page
    assert json.loads(files["results.json"].read_text())["column"] == "age"
    alone = render_bias(results(None), files["groups.svg"].read_text())
    assert "After" not in alone and "Largest gap" in alone


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """80 face crops of two labels."""
    for i, image in enumerate(pictures(80, seed=1)):
        place = tmp_path / "faces" / ("happy", "sad")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place / f"{i:03d}.png"), image)
    return tmp_path / "faces"


@pytest.fixture
def ages(tmp_path: Path) -> Path:
    """40 adults and 40 children, by file."""
    lines = [
        f"{('happy', 'sad')[i % 2]}/{i:03d}.png,{('adult', 'child')[i // 40]},same"
        for i in range(80)
    ]
    path = tmp_path / "ages.csv"
    path.write_text("\n".join(["file,age,place", *lines]))
    return path


def test_the_command_compares_models_of_one_name_and_writes_a_report(
    command: Any, folder: Path, ages: Path, tmp_path: Path
) -> None:
    old, new = (write_artefact(tmp_path / name, seed=i) for i, name in enumerate(("old", "new")))
    words = ("bias", old, folder, "--groups", ages, "--column", "age", "--against", new)
    done = command(*words, "--report", tmp_path / "out", "--labels", "emotion")
    assert done.code == 0, done.err
    assert "emotion by age" in done.out and "* Annotations are someone's judgment" in done.out
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "report.html", "results.json", "groups.svg",
    }  # fmt: skip
    plain = json.loads(command(*words, "--json").out)
    assert [change["group"] for change in plain["changes"]] == [ALL, "adult", "child"]
    assert plain["overall"]["n"] == 80 and set(plain["models"]) == {"before", "after"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--column", "sex"), "no column 'sex'; it has age (adult 40, child 40), place (same 80)"),
        (("--column", "place"), "column 'place' has same 80 among the labeled rows"),
        (("--column", "age", "--labels", "ferplus"), "ferplus"),
        (("--column", "age", "--against", "nowhere"), "nowhere"),
    ],
)
def test_a_wrong_word_is_one_line(
    command: Any, folder: Path, ages: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    model = write_artefact(tmp_path / "old", seed=0)
    result = command("bias", model, folder, "--groups", ages, *words)
    assert result.code in (3, 4) and message in result.err and result.err.count("\n") == 1


def test_the_csv_must_be_there(command: Any, folder: Path, tmp_path: Path) -> None:
    words = ("bias", "face-base", folder, "--column", "age")
    assert command(*words).code == 2  # --groups is not given
    result = command(*words, "--groups", tmp_path / "none.csv")
    assert result.code == 3 and "none.csv" in result.err and result.err.count("\n") == 1
