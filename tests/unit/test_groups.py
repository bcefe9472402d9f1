"""Annotations joined to faces: by row, by file, and refused where they do not fit."""

import contextlib
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7
from classpulse.lab.data.faces import FaceSet, concat_faces
from classpulse.lab.data.groups import join_groups


def build(n: int = 3, **columns: Any) -> FaceSet:
    labels = np.zeros(n, dtype=np.int64)
    return FaceSet(np.zeros((n, 4, 4), np.uint8), labels, FER2013_7, "mine", **columns)


NAMED = {"file": np.array(["happy/a.png", "happy/b.png", "sad/ü.png"])}


def join(tmp_path: Path, text: str | bytes, faces: FaceSet | None = None) -> dict[str, list[str]]:
    path = tmp_path / "groups.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = join_groups(build(**NAMED) if faces is None else faces, path).groups
    return {name: values.tolist() for name, values in found.items()}


def test_annotations_are_joined_by_row(tmp_path: Path) -> None:
    found = join(tmp_path, "row,age,glasses\n2,9,yes\n0,12,no\n")
    assert found == {"age": ["12", "", "9"], "glasses": ["no", "", "yes"]}


def test_annotations_are_joined_by_file(tmp_path: Path) -> None:
    found = join(tmp_path, "light,file\ndim,happy/b.png\n bright ,happy\\a.png\n,sad/u\u0308.png\n")
    assert found == {"light": ["bright", "dim", ""]}


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_marks_and_line_ends_do_not_matter(
    tmp_path: Path, mark: bytes, end: str
) -> None:
    text = mark + f"row,age{end}01,9{end}".encode()
    assert join(tmp_path, text) == {"age": ["", "9", ""]}


def test_the_row_is_that_of_the_source(tmp_path: Path) -> None:
    part = build().take(np.array([2, 1]), name="part")
    assert join(tmp_path, "row,age\n1,a\n2,b\n", part) == {"age": ["b", "a"]}


def test_columns_that_were_there_stay(tmp_path: Path) -> None:
    faces = build(groups={"sequence": np.array(["1", "1", "2"])})
    assert set(join(tmp_path, "row,age\n1,a\n", faces)) == {"sequence", "age"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs one column that says which picture"),
        ("age,gender\n1,2\n", "line 1: needs one column .* it has 0 of them: age, gender"),
        ("row,file,age\n0,a,1\n", "line 1: needs one column .* it has 2 of them"),
        ("row\n0\n", "line 1: annotations need a column of their own: there is no other"),
        ("row,age,age\n0,1,2\n", "column age, age is there more than once"),
        ("row,age,\n0,1,2\n", "'' is empty or there already"),
        ("row,sequence\n0,1\n", "'sequence' is empty or there already"),
        ("row,age\n", "has a header but no rows"),
        ("row,age\n0,1\n1\n", "line 3: 1 fields, needs 2"),
        ("row,age\n3,1\n", "line 2: row '3' is not in mine, which has '0' to '2'"),
        ("row,age\n-1,1\n", "line 2: row '-1' is not in mine"),
        ("row,age\n1.0,1\n", "line 2: row '1.0' is not in mine"),
        ("row,age\n0,1\n1,2\n00,3\n", "line 4: row '00' is on line 2 already"),
        ("row,age\n0,1\nrow,age\n", "line 3: the header again"),
        ("file,age\nhappy/c.png,1\n", "line 2: file 'happy/c.png' is not in mine"),
        (b"row,age\n0,\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    faces = build(**NAMED, groups={"sequence": np.array(["1", "1", "2"])})
    with pytest.raises(InputError, match=message):
        join(tmp_path, text, faces)


def test_a_set_without_file_names_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mine has no file names; annotate by 'row'"):
        join(tmp_path, "file,age\na,1\n", build())


def test_joined_sets_are_annotated_before(tmp_path: Path) -> None:
    both = concat_faces([build(), build()], space=FER2013_7, name="both")
    with pytest.raises(InputError, match="pictures with the same row: annotate each source"):
        join(tmp_path, "row,age\n0,1\n", both)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone\.csv"):
        join_groups(build(), tmp_path / "gone.csv")


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=12)


@given(st.dictionaries(st.integers(0, 9), CELL, min_size=1))
def test_any_annotation_comes_back(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[int, str]
) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerows([("row", "note"), *cells.items()])
    path = tmp_path_factory.mktemp("any") / "g.csv"
    path.write_bytes(stream.getvalue().encode())
    if any((str(row), cell) == ("row", "note") for row, cell in cells.items()):
        return
    found = join_groups(build(10), path).groups["note"]
    assert found.tolist() == [cells.get(row, "").strip() for row in range(10)]


@given(st.binary(max_size=80))
def test_any_bytes_are_annotations_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "g.csv"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        join_groups(build(), path)
