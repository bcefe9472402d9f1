"""FER2013 and FER+ files: what is read, and one clear error for everything that is wrong."""

import csv
import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import votes
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.core.labels import FER2013_7, FERPLUS_VOTES
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.data.fer2013 import USAGES, load_fer2013, load_votes, matches_fer2013
from classpulse.lab.data.layouts import find_layout, load_faces

DATA = Path(__file__).parents[3] / "shared/data/fer2013"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="FER2013 is not here")
PIXELS = " ".join(["128"] * 2304)


def write_fer(path: Path, *rows: tuple[object, object, object]) -> Path:
    """A FER2013 file of (emotion, pixels, Usage)."""
    lines = ["emotion,pixels,Usage", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_votes(path: Path, *rows: tuple[str, list[Any]]) -> Path:
    """A FER+ file of (Usage, ten votes)."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["Usage", "Image name", *FERPLUS_VOTES])
        writer.writerows([usage, "", *row] for usage, row in rows)
    return path


def write_zip(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


ONE = f"emotion,pixels,Usage\n3,{PIXELS},Training\n"


# --- what is read --------------------------------------------------------------------------------


def test_a_part_is_read(tmp_path: Path) -> None:
    rows = [(3, PIXELS, "Training"), (6, PIXELS, "PublicTest"), (0, PIXELS, "Training")]
    faces = load_fer2013(write_fer(tmp_path / "f.csv", *rows), part="Training")
    assert faces.labels.tolist() == [3, 0] and faces.images.shape == (2, 48, 48)
    assert faces.row.tolist() == [0, 2] and faces.space == FER2013_7


def test_all_parts_are_read(tmp_path: Path) -> None:
    path = write_fer(tmp_path / "f.csv", *((0, PIXELS, usage) for usage in USAGES))
    faces = load_fer2013(path)
    assert faces.part is not None and tuple(faces.part) == USAGES


def test_pixels_are_read_row_by_row(tmp_path: Path) -> None:
    values = np.arange(2304) % 256
    path = write_fer(tmp_path / "f.csv", (0, " ".join(map(str, values)), "Training"))
    faces = load_fer2013(path, part="Training")
    assert np.array_equal(faces.images[0], values.reshape(48, 48))


@pytest.mark.parametrize(
    "pack",
    [
        lambda text: gzip.compress(text.encode()),
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("emotion,pixels,Usage", "emotion, pixels , Usage").encode(),
        lambda text: text.replace("\n", "\n\n").encode(),
        lambda text: text.rstrip("\n").encode(),
        lambda text: text.replace(PIXELS, f'"{PIXELS}"').encode(),
    ],
    ids=["gzip", "bom", "crlf", "spaces", "blank lines", "no end", "quoted"],
)
def test_the_same_rows_in_another_form(tmp_path: Path, pack: Callable[[str], bytes]) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(pack(ONE + f"6,{PIXELS},PrivateTest\n"))
    faces = load_faces(path)
    assert faces.part is not None
    assert faces.labels.tolist() == [3, 6] and faces.part.tolist() == ["Training", "PrivateTest"]


def test_columns_may_stand_in_another_order(tmp_path: Path) -> None:
    path = tmp_path / "icml_face_data.csv"
    path.write_text(f"emotion, Usage, pixels\n3,Training,{PIXELS}\n")
    assert load_faces(path).labels.tolist() == [3]


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013/fer2013.csv", "any.csv"])
def test_one_table_in_a_zip_file_is_read(tmp_path: Path, name: str) -> None:
    files = {name: ONE, "README.md": "hello", "__MACOSX/._fer2013.csv": "junk"}
    assert load_faces(write_zip(tmp_path / "f.zip", **files)).labels.tolist() == [3]


def test_the_known_name_wins_in_a_zip_file(tmp_path: Path) -> None:
    files = {"fer2013/fer2013.csv": ONE, "fer2013/fer2013new.csv": "Usage\n"}
    assert len(load_faces(write_zip(tmp_path / "f.zip", **files))) == 1


def test_progress_reaches_the_end_on_the_first_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    path = write_fer(tmp_path / "f.csv", *[(0, PIXELS, "Training")] * 5)
    first: list[tuple[int, int]] = []
    second: list[tuple[int, int]] = []
    for calls in (first, second):
        load_fer2013(path, on_progress=lambda done, whole, to=calls: to.append((done, whole)))  # type: ignore[misc]
    size = path.stat().st_size
    assert first[-1] == (size, size) and first == sorted(first) and second == []


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = write_fer(tmp_path / "f.csv", (0, PIXELS, "Training"))
    first = load_fer2013(path)
    write_fer(path, (1, PIXELS, "Training"))
    second = load_fer2013(path)
    assert (first.labels[0], second.labels[0]) == (0, 1) and first.sha256 != second.sha256


def test_a_damaged_cache_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    path = write_fer(tmp_path / "f.csv", (5, PIXELS, "Training"))
    load_fer2013(path)
    for file in (tmp_path / "cache").rglob("*.npy"):
        file.write_bytes(file.read_bytes()[:20])
    assert load_fer2013(path).labels.tolist() == [5]


# --- malformed files -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((3, "1 2 3", "Training"), "line 3: 3 pixel values, needs 2304"),
        ((3, PIXELS + " 1", "Training"), "line 3: 2305 pixel values, needs 2304"),
        ((3, "", "Training"), "line 3: 0 pixel values"),
        ((3, PIXELS.replace("128", "256", 1), "Training"), "line 3: 2304 pixel values"),
        ((3, PIXELS.replace("128", "-1", 1), "Training"), "line 3: 2304 pixel values"),
        ((3, PIXELS.replace("128", "x", 1), "Training"), "line 3: pixels must be whole numbers"),
        ((3, PIXELS.replace("128", "1.5", 1), "Training"), "line 3: pixels must be whole"),
        ((3, PIXELS.replace("128", "9" * 30, 1), "Training"), "line 3: "),
        ((3, PIXELS.replace(" ", ";"), "Training"), "line 3: pixels must be whole numbers"),
        ((7, PIXELS, "Training"), "line 3: emotion '7', needs 0..6"),
        ((-1, PIXELS, "Training"), "line 3: emotion '-1'"),
        (("happy", PIXELS, "Training"), "line 3: emotion 'happy'"),
        (("", PIXELS, "Training"), "line 3: emotion ''"),
        (("²", PIXELS, "Training"), "line 3: emotion '²'"),
        (("emotion", "pixels", "Usage"), "line 3: emotion 'emotion', needs 0..6"),
        ((3, PIXELS, "Test"), "line 3: Usage 'Test', needs one of Training"),
        ((3, PIXELS, "Training,extra"), "line 3: 4 fields, needs 3"),
    ],
    ids=lambda row: str(row)[:30],
)
def test_a_malformed_row_is_named_by_its_line(
    tmp_path: Path, row: tuple[object, object, object], message: str
) -> None:
    path = write_fer(tmp_path / "f.csv", (3, PIXELS, "Training"), row)
    with pytest.raises(InputError, match=message):
        load_faces(path)


@pytest.mark.parametrize("byte", [b"\xe9", b"\xff", b"\x80"])
@pytest.mark.parametrize("place", ["3,", "Training\n"])
def test_a_line_in_another_encoding_is_named(tmp_path: Path, place: str, byte: bytes) -> None:
    good = f"3,{PIXELS},Training\n".encode()
    bad = good.replace(place.encode(), byte + place.encode())
    path = tmp_path / "f.csv"
    path.write_bytes(b"emotion,pixels,Usage\n" + good * 4 + bad + good)
    with pytest.raises(InputError, match="line 6: "):
        load_faces(path)


def test_utf_16_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(ONE.encode("utf-16"))
    with pytest.raises(InputError, match="not UTF-8 text"):
        load_fer2013(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("emotion,pixels", "has the column 'Usage' 0 times"),
        ("emotion,Usage", "has the column 'pixels' 0 times"),
        ("pixels,Usage,label", "has the column 'emotion' 0 times"),
        ("emotion,pixels,Usage,emotion", "has the column 'emotion' 2 times"),
        ("emotion,pixels,Usage,pixels", "has the column 'pixels' 2 times"),
    ],
)
def test_a_header_without_a_column_is_refused(tmp_path: Path, header: str, message: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"{header}\n3,{PIXELS},Training\n")
    with pytest.raises(InputError, match=message):
        load_faces(path)


def test_a_table_without_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(f"3,{PIXELS},Training\n")
    with pytest.raises(InputError, match="needs it once"):
        load_fer2013(path)


@pytest.mark.parametrize("text", ["emotion,pixels,Usage\n", "emotion,pixels,Usage\n\n\n"])
def test_a_table_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="no rows below its header"):
        load_faces(path)


@pytest.mark.parametrize("keep", [5, 20, 60, -9])
def test_a_gzip_file_cut_short_is_one_clear_error(tmp_path: Path, keep: int) -> None:
    packed = tmp_path / "f.csv.gz"
    packed.write_bytes(gzip.compress(ONE.encode())[:keep])
    with pytest.raises(InputError, match="damaged or not a CSV"):
        load_faces(packed)


def test_a_plain_file_cut_short_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text((ONE * 2)[: len(ONE) + 100].replace("\nemotion", "\n3"))
    with pytest.raises(InputError, match="line 3: "):
        load_faces(path)


def test_a_zip_file_with_two_tables_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "f.zip", **{"a.csv": ONE, "b.csv": ONE})
    with pytest.raises(InputError, match=r"holds 2 CSV files, needs one: a\.csv, b\.csv"):
        load_faces(path)


def test_a_zip_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "f.zip", **{"a.csv": ONE})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="damaged or not a CSV"):
        load_faces(path)


def test_the_line_counts_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("emotion,pixels,Usage\n\n\n9,1 2,Training\n")
    with pytest.raises(InputError, match="line 4"):
        load_fer2013(path, part="Training")


def test_a_malformed_file_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError):
        load_fer2013(write_fer(tmp_path / "f.csv", (9, PIXELS, "Training")))
    assert not list(tmp_path.glob("cache/**/*.npy"))


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "f.csv"
    path.write_bytes(b"emotion,pixels,Usage\n" + data)
    with pytest.raises(InputError, match=r"f\.csv"):
        load_faces(path)  # 300 bytes are never 2304 pixels


# --- which file it is ----------------------------------------------------------------------------


def test_an_unknown_part_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Training, PublicTest, PrivateTest, not 'Test'"):
        load_fer2013(tmp_path / "f.csv", part="Test")


def test_a_part_without_rows_is_named(tmp_path: Path) -> None:
    path = write_fer(tmp_path / "f.csv", (3, PIXELS, "Training"))
    with pytest.raises(InputError, match="no rows with Usage = PublicTest"):
        load_fer2013(path, part="PublicTest")


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"cannot read .*{name}"):
        load_fer2013(tmp_path / name, part="Training")


@pytest.mark.parametrize(
    "text", ["text,label\nhello,joy\n", "Usage,Image name,neutral\n", "Emotion,Utterance\n", ""]
)
def test_another_table_is_not_taken_for_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert not matches_fer2013(path)
    with pytest.raises(InputError, match="no known layout of labelled faces"):
        find_layout(path)


def test_a_workbook_is_not_taken_for_it(tmp_path: Path) -> None:
    assert not matches_fer2013(write_zip(tmp_path / "t.zip", **{"xl/workbook.xml": "<a/>"}))


# --- votes ---------------------------------------------------------------------------------------


def with_votes(tmp_path: Path, *rows: tuple[str, list[Any]]) -> FaceSet:
    fer = write_fer(tmp_path / "f.csv", (3, PIXELS, "Training"), (0, PIXELS, "Training"))
    path = write_votes(tmp_path / "v.csv", *rows)
    return load_fer2013(fer, part="Training", votes_path=path)


def test_votes_are_joined_by_row(tmp_path: Path) -> None:
    happy, angry = votes(happiness=10), votes(anger=9, NF=1)
    faces = with_votes(tmp_path, ("Training", happy), ("PublicTest", happy), ("Training", angry))
    assert faces.votes is not None and faces.votes.tolist() == [happy, angry]


def test_votes_of_parts_without_pictures_do_not_matter(tmp_path: Path) -> None:
    happy, sad = votes(happiness=10), votes(sadness=10)
    fer = write_fer(tmp_path / "f.csv", (3, PIXELS, "PublicTest"), (4, PIXELS, "Training"))
    rows = [("Training", sad), ("PublicTest", happy), ("PrivateTest", sad)]
    faces = load_faces(fer, votes=write_votes(tmp_path / "v.csv", *rows))
    assert faces.votes is not None and faces.votes.tolist() == [happy, sad]


@pytest.mark.parametrize("n", [1, 3])
def test_another_number_of_votes_is_refused(tmp_path: Path, n: int) -> None:
    with pytest.raises(InputError, match=f"{n} rows of Training but the pictures have 2"):
        with_votes(tmp_path, *[("Training", votes(happiness=10))] * n)


@pytest.mark.parametrize("cell", ["", "x", "-1", "1.5", "²", "9" * 30])
def test_a_malformed_vote_is_named_by_its_line(tmp_path: Path, cell: str) -> None:
    bad: list[Any] = [*votes(happiness=10)[:-1], cell]
    with pytest.raises(InputError, match="line 3: votes must be whole numbers"):
        with_votes(tmp_path, ("Training", votes(happiness=10)), ("Training", bad))


def test_an_unknown_usage_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: Usage 'Test', needs one of Training"):
        with_votes(tmp_path, ("Test", votes(happiness=10)))


def test_a_missing_vote_column_is_named(tmp_path: Path) -> None:
    fer = write_fer(tmp_path / "f.csv", (3, PIXELS, "Training"))
    (tmp_path / "v.csv").write_text("Usage,neutral\nTraining,10\n")
    with pytest.raises(InputError, match="line 1: no column happiness"):
        load_fer2013(fer, part="Training", votes_path=tmp_path / "v.csv")


@needs_data
def test_the_votes_we_hold_have_the_published_counts() -> None:
    usage, table = load_votes(DATA / "fer2013new.csv")
    assert {u: int((usage == u).sum()) for u in USAGES} == {
        "Training": 28709,
        "PublicTest": 3589,
        "PrivateTest": 3589,
    }
    assert table.shape == (35887, 10)


@needs_data
def test_the_file_we_hold_is_found_by_its_header() -> None:
    assert find_layout(DATA / "fer2013.csv.gz") == "fer2013-csv"
    assert not matches_fer2013(DATA / "fer2013new.csv")
