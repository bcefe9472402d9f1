"""Files of texts as people make them: good ones in many dresses, and every kind of bad one."""

import contextlib
import csv
import gzip
import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from classpulse.core.errors import InputError, LabelError, MissingExtraError
from classpulse.core.labels import (
    GOEMOTIONS_28,
    ISEAR_7,
    MELD_7,
    RELABELS,
    TEXT_7,
    LabelSpace,
)
from classpulse.lab.data.text_readers import (
    load_goemotions,
    load_iemocap,
    load_isear,
    load_labelled_texts,
    load_meld,
)
from classpulse.lab.data.texts import clean_texts, relabel_texts
from classpulse.text import tables
from classpulse.text.tables import load_table, load_text

AB = LabelSpace("ab", ("a", "b"))
relaxed = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)  # shared machines stall; a slow moment is no failure

# --- files ---------------------------------------------------------------------------------------

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(content: str | bytes, name: str = "texts.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


GOOD = 'text,label\n"Well, ""no""",a\n"two\nlines",b\n'


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD + "\n\n",
        GOOD.encode("utf-16"),
        GOOD.replace("text,label", " text ,label "),
        GOOD.replace(",a\n", ",0\n").replace(",b\n", ",B\n"),
    ],
    ids=["plain", "crlf", "bom", "blank lines", "utf-16", "spaced header", "numbers and capitals"],
)
def test_good_files_read_the_same(write: Write, content: str | bytes) -> None:
    texts = load_labelled_texts(write(content), space=AB)
    assert [text.replace("\r", "") for text in texts.texts] == ['Well, "no"', "two\nlines"]
    assert texts.labels.tolist() == [0, 1] and texts.row.tolist() == [0, 1]
    assert texts.source == ("texts", "texts")


def test_gzip_other_delimiter_and_columns(write: Write) -> None:
    packed = gzip.compress("Etiqueta;Texto\nb;qué día\n".encode("cp1252"))
    texts = load_labelled_texts(
        write(packed, "escuela.csv.gz"),
        columns=("Texto", "Etiqueta"),
        delimiter=";",
        encoding="cp1252",
        space=AB,
    )
    assert texts.texts == ("qué día",) and texts.name == "escuela"


def test_without_a_space_the_labels_found_make_one(write: Write) -> None:
    texts = load_labelled_texts(write("text,label\nx,tired\ny, keen\n"))
    assert texts.space.names == ("keen", "tired") and texts.labels.tolist() == [1, 0]
    with pytest.raises(LabelError, match="needs two labels"):
        load_labelled_texts(write("text,label\nx,tired\n"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("text,label\n", "has a header but no rows"),
        ("text,mark\nx,a\n", r"line 1: no column label; its columns are: text, mark"),
        ("text;label\nx;a\n", "another delimiter"),
        ("text,label,text\nx,a,y\n", "line 1: column text is there more than once"),
        ("text,label\nx,a\ntext,label\ny,b\n", "line 3: the header again"),
        ('text,label\n"x\ny",a\nz,c\n', "line 4: label 'c', ab has: a, b"),
        ("text,label\nx,a\ny\n", "line 3: 1 fields, needs 2"),
        ("text,label\nx,a\ny,no,b\n", "line 3: 3 fields, needs 2"),
        ("text,label\nx,a\n\n ,b\n", "line 4: text is empty"),
        ("text,label\nx,a\n,\n", "line 3: text is empty"),
        ("text,label\nx,\n", "line 2: label '', ab has"),
        ("text,label\nx,2\n", "line 2: label '2', ab has"),
        ('text,label\nx,a\n"y,b\n', "line 3: .*not closed"),
        (b"text,label\nx,a\n\xe9t\xe9,a\n", "line 3: byte 0xe9 is not UTF-8; save the file as"),
        (b"text,label\n\xc3\xa9,a\n\xe9,a\n", "line 3: byte 0xe9 .* the file mixes encodings"),
    ],
)
def test_malformed_csv_names_the_line_and_what_to_do(
    write: Write, content: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_labelled_texts(write(content), space=AB)


def test_an_endless_field_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match=r"line 2: .*(larger than field limit|more than)"):
        load_labelled_texts(write("text,label\n" + "x" * (1 << 20) + "x,a\n"), space=AB)


def test_an_empty_label_is_refused_without_a_space_too(write: Write) -> None:
    with pytest.raises(InputError, match="line 3: the label is empty"):
        load_labelled_texts(write("text,label\nx,a\ny, \n"))


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    packed = gzip.compress(GOOD.encode() * 50)
    for damaged in (packed[:-20], packed[:30], b"no gzip at all", packed[:40] + b"\0\0\0"):
        with pytest.raises(InputError, match="cut off or damaged"):
            load_text(write(damaged, "cut.csv.gz"))
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        load_text(tmp_path / "absent.csv")
    with pytest.raises(InputError, match=r"cannot read .*directory"):
        load_text(tmp_path)
    with pytest.raises(InputError, match="unknown encoding 'klingon'"):
        load_text(write(GOOD), encoding="klingon")
    with pytest.raises(InputError, match="line 1: byte 0xff is not ASCII"):
        load_text(write(b"\xff"), encoding="ascii")


@relaxed
@given(st.binary(max_size=60))
def test_any_bytes_give_a_table_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"text,label\n" + data)
    with contextlib.suppress(InputError):
        assert len(load_table(path, columns=("text", "label"))) > 0


printable = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@relaxed
@given(st.lists(st.tuples(printable, printable), min_size=1, max_size=5))
def test_what_csv_writes_we_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([("first column", "second column"), *rows])
    path = tmp_path_factory.getbasetemp() / "round.csv"
    path.write_bytes(stream.getvalue().encode())
    table = load_table(path, columns=("second column", "first column"))
    assert table.columns["first column"] == tuple(first for first, _ in rows)
    assert table.columns["second column"] == tuple(second for _, second in rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ('{"text": "x", "label": "a"}\n{"text": "y"\n', r"line 2: not JSON"),
        ('["x", "a"]\n', "line 1: a list, needs a JSON object"),
        ('\n{"text": "x"}\n', "line 2: no key 'label'; it has: text"),
        ('{"text": null, "label": "a"}\n', "line 1: 'text' is None, needs a string"),
        ('{"text": "x", "label": true}\n', "line 1: 'label' is True"),
        ('{"text": "x", "label": NaN}\n', "line 1: 'label' is nan, needs a finite number"),
        ('{"text": "x", "label": 1e400}\n', "line 1: 'label' is inf, needs a finite number"),
        ('{"text": "x", "label": [1]}\n', r"line 1: 'label' is \[1\], needs a string or a number"),
        ('{"text": "x", "label": "a", "text": "y"}\n', "line 1: not JSON .*more than once"),
        ('{"text": "x", "label": "c"}\n', "line 1: label 'c', ab has: a, b"),
        ("[" * 100_000, "line 1: not JSON"),
    ],
)
def test_malformed_json_lines_name_the_line(write: Write, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_labelled_texts(write(content, "texts.jsonl"), space=AB)


def test_json_lines(write: Write) -> None:
    lines = '\ufeff{"label": 1, "text": "a\u2028b", "id": 7}\r\n\r\n{"text": "x", "label": "a"}'
    packed = write(gzip.compress(lines.encode()), "texts.jsonl.gz")
    texts = load_labelled_texts(packed, space=AB)
    assert texts.texts == ("a\u2028b", "x") and texts.labels.tolist() == [1, 0]


def test_isear_from_excel_and_csv(tmp_path: Path, write: Write) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    rows = [("ID", "Field1", "SIT"), (1, "joy", "Passed á\n"), (None, None, None), (2, "guit", 12)]
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "isear.xlsx")
    texts = load_isear(tmp_path / "isear.xlsx")
    assert texts.texts == ("Passed á\n", "12") and texts.source[0] == "isear"
    assert [ISEAR_7.names[i] for i in texts.labels] == ["joy", "guilt"]
    same = load_isear(write("ID|Field1|SIT\n1|joy|Passed á\n2|guilt|12\n"), delimiter="|")
    assert same.labels.tolist() == texts.labels.tolist()


def test_malformed_excel(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(("SIT", "Field1"))
    book.active.append(("x", "boredom"))
    book.save(tmp_path / "bad.xlsx")
    with pytest.raises(InputError, match="line 2: label 'boredom', isear-7 has: joy, fear"):
        load_isear(tmp_path / "bad.xlsx")
    whole = (tmp_path / "bad.xlsx").read_bytes()
    for damaged in (b"no zip", whole[: len(whole) // 2], b""):
        with pytest.raises(InputError, match=r"not a whole \.xlsx workbook"):
            load_isear(write(damaged, "damaged.xlsx"))
    with pytest.raises(InputError, match="cannot read"):
        load_isear(tmp_path / "absent.xlsx")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"Excel files needs the extra 'lab'"):
        load_isear(tmp_path / "bad.xlsx")


def rewrite_sheet(folder: Path, sheet: str) -> Path:
    """A workbook whose first sheet has these rows as XML."""
    book = pytest.importorskip("openpyxl").Workbook()
    book.save(folder / "plain.xlsx")
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    with (
        zipfile.ZipFile(folder / "plain.xlsx") as plain,
        zipfile.ZipFile(folder / "made.xlsx", "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for part in plain.namelist():
            own = part == "xl/worksheets/sheet1.xml"
            content = f'<worksheet xmlns="{name}">{sheet}</worksheet>'.encode()
            made.writestr(part, content if own else plain.read(part))
    return folder / "made.xlsx"


def cells(line: int, **values: str) -> str:
    inside = "".join(
        f'<c r="{column}{line}" t="inlineStr"><is><t>{text}</t></is></c>'
        for column, text in values.items()
    )
    return f'<row r="{line}">{inside}</row>'


def test_excel_files_that_claim_more_than_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = cells(1, A="text", B="who") + cells(3, A="hi")
    claims = '<dimension ref="A1:XFD1048576"/>'
    far = cells(2_000_000_000, A="beyond")  # openpyxl makes the rows between
    for sheet in (f"{claims}<sheetData>{two}{far}", f'<dimension ref="A1"/><sheetData>{two}'):
        path = rewrite_sheet(tmp_path, f"{sheet}</sheetData>")
        table = load_table(path, columns=("text", "who"))
        assert table.columns == {"text": ("hi",), "who": ("",)} and table.line == (3,)
    monkeypatch.setattr(tables, "EXCEL_CELLS", 30_000)
    path = rewrite_sheet(tmp_path, f"<sheetData>{two}{cells(4, XFD='x')}</sheetData>")
    with pytest.raises(InputError, match="line 4: more than 30,000 cells; remove columns"):
        load_table(path, columns=("text",))
    monkeypatch.setattr(tables, "EXCEL_BYTES", 1 << 10)
    with pytest.raises(InputError, match="up to 0 MB are read: save it as CSV"):
        load_table(path, columns=("text",))


def test_meld_and_iemocap(write: Write) -> None:
    meld = load_meld(write("Sr No.,Utterance,Speaker,Emotion\n1,You\x92ll see.,Joe,anger\n"))
    assert meld.texts == ("You\x92ll see.",) and meld.space == MELD_7
    assert clean_texts(meld).texts == ("you'll see.",)
    lines = "Texto,Emoción\nYeah.,neutral\n"
    latin = load_iemocap(write(lines.encode("cp1252")), encoding="cp1252")
    apart = load_iemocap(write(lines.replace("ó", "o\u0301")))  # as macOS writes an accent
    assert latin.texts == apart.texts == ("Yeah.",) and latin.space == TEXT_7
    with pytest.raises(InputError, match="no column Emoción; its columns are: Texto, EmociÃ³n"):
        load_iemocap(write(lines), encoding="cp1252")


def test_goemotions_keeps_every_label(write: Write) -> None:
    content = 'He said "no\t2\ta1\nlove, it!\t18,17\ta2\nok\t27\ta3\n'
    texts = load_goemotions(write(content, "train.tsv"))
    assert texts.texts[0] == 'He said "no' and texts.targets.shape == (3, 28)
    assert np.flatnonzero(texts.targets[1]).tolist() == [17, 18]
    one = texts.single()
    assert [GOEMOTIONS_28.names[i] for i in one.labels] == ["anger", "neutral"]
    assert one.row.tolist() == [0, 2]
    assert relabel_texts(one, RELABELS["goemotions-to-text-7"]).labels.tolist() == [0, 4]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x\t28\tid", r"line 2: labels '28', needs different numbers in 0\.\.27"),
        ("x\t\tid", "labels ''"),
        ("x\t1,1\tid", "labels '1,1'"),
        ("x\t²\tid", "labels '²'"),
        ("x\t" + "9" * 5000 + "\tid", "labels '999"),
        ("x\tanger\tid", "labels 'anger'"),
        ("x\t1", "line 2: 2 fields, needs 3"),
        (" \t1\tid", "line 2: text is empty"),
    ],
)
def test_malformed_goemotions(write: Write, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_goemotions(write(f"good\t1\tid\n{line}\n", "train.tsv"))
