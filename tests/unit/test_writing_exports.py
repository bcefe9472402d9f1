"""Exports of Moodle's quizzes and feedbacks, and Word transcripts of Teams: who, when, what."""

import contextlib
import csv
import io
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.room.writing import word
from classpulse.room.writing.posts import Posts, Writing, load_posts

QUIZ = (
    "Last name,First name,Email address,State,Started on,Completed,Time taken,Grade/10.00,"
    'Feedback,"Response 1","Question 2","Response 2","Right answer 2","Response 3a"\n'
    "Byron,Ada,ada@example.org,Finished,2 June 2021  9:05 AM,2 June 2021  9:20 AM,15 mins,8.00,"
    'well done,"I was lost, really",Pi?,3.14,3.14,B\n'
    "Ng,Ben,ben@example.org,In progress,2 June 2021  9:06 AM,-,-,-,-,"
    '"<p>no idea &amp; no time</p>",Pi?,-,3.14,"what does ""slope"" mean?"\n'
    "Oz,Cem,cem@example.org,-,-,-,-,-,-,-,Pi?,-,3.14,-\n"
)
NEWER = (
    "Last name,First name,Status,Started,Completed,Duration,Response 1\n"
    "Byron,Ada,Finished,2 June 2021  9:05:10 AM,2 June 2021  9:20:30 AM,15 mins,so hard\n"
)
FEEDBACK = (
    "User full name,Groups,Email address,Date,How was it?,Anything else?\n"
    'Ada Byron,,ada@example.org,"Wednesday, 2 June 2021, 9:20 AM",I &lt;3 it &amp; you,5\n'
    'Ben Ng,A,ben@example.org,"Wednesday, 2 June 2021, 9:21 AM",too fast for me,\n'
)
ANONYMOUS = "Response number,How was it?,(why) And why?\n1,boring,nothing new\n2,great,-\n"
EVENTS = (
    ("Physics-20261122_140500-Meeting Recording",),
    ("November 22, 2026, 2:05PM", "2h 1m 28s"),
    ("", "Ms Hopper started transcription"),
)


def load(folder: Path, name: str, content: str, **options: object) -> Posts:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return load_posts(Writing(path, **options))  # type: ignore[arg-type]


def told(posts: Posts) -> list[tuple[float, str, str]]:
    return [(one.t0, one.speaker, one.text) for one in posts.utterances]


def document(paragraphs: Sequence[Sequence[str]], *, before: str = "") -> bytes:
    """XML of a Word text: lines of a paragraph are parted by ``w:br``, each begins a run."""
    runs = "<w:r><w:br/></w:r>".join
    body = "".join(
        "<w:p><w:r><w:drawing><a:t>picture</a:t></w:drawing></w:r>"
        + runs(f'<w:r><w:t xml:space="preserve">{escape(line)}</w:t></w:r>' for line in lines)
        + "</w:p>"
        for lines in paragraphs
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}<w:document xmlns:a="urn:drawing" '
        f'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{body}</w:body></w:document>"
    ).encode()


def packed(xml: bytes, *, name: str = word.MAIN, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        archive.writestr(name, xml)
    return stream.getvalue()


def load_word(folder: Path, content: bytes) -> Posts:
    path = folder / "talk.docx"
    path.write_bytes(content)
    return load_posts(Writing(path))


# --- Moodle ------------------------------------------------------------------------------------


def test_answers_of_a_quiz_are_texts_of_their_students(tmp_path: Path) -> None:
    posts = load(tmp_path, "quiz.csv", QUIZ)
    assert told(posts) == [
        (0, "W01", "no idea & no time"),
        (0, "W01", 'what does "slope" mean?'),
        (840, "W02", "I was lost, really"),
    ]
    assert posts.lines == (3, 3, 2) and posts.named and posts.timed
    assert posts.left_out == {"empty": 4, "number or letter": 2}
    assert load(tmp_path, "quiz.csv", QUIZ, without=("Ada Byron",)).left_out["author left out"] == 1


def test_one_question_of_a_quiz_can_be_chosen(tmp_path: Path) -> None:
    chosen = {"text": "Response 1"}
    assert [text for *_, text in told(load(tmp_path, "q.csv", QUIZ, columns=chosen))] == [
        "no idea & no time", "I was lost, really",
    ]  # fmt: skip
    with pytest.raises(InputError, match="no column Response 9"):
        load(tmp_path, "q.csv", QUIZ, columns={"text": "Response 9"})
    other = {"text": "Response 1", "author": "Email address", "time": "Started on"}
    assert len(load(tmp_path, "q.csv", NEWER.replace("Duration", "Email address"),
                    columns=other | {"time": "Started"}).utterances) == 1  # fmt: skip


def test_newer_words_for_the_same_columns(tmp_path: Path) -> None:
    posts = load(tmp_path, "quiz.csv", NEWER, start="2021-06-02T09:20:00")
    assert told(posts) == [(30, "W01", "so hard")]


def test_a_quiz_as_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in csv.reader(io.StringIO(QUIZ)):
        book.active.append(row)
    book.save(tmp_path / "quiz.xlsx")
    posts = load_posts(Writing(tmp_path / "quiz.xlsx"))
    assert told(posts) == told(load(tmp_path, "quiz.csv", QUIZ))


def test_a_feedback_with_names_and_without(tmp_path: Path) -> None:
    posts = load(tmp_path, "feedback.csv", FEEDBACK)
    assert told(posts) == [(0, "W01", "I <3 it & you"), (60, "W02", "too fast for me")]
    assert posts.left_out == {"number or letter": 1, "empty": 1}
    posts = load(tmp_path, "feedback.csv", ANONYMOUS)
    assert [text for *_, text in told(posts)] == ["boring", "nothing new", "great"]
    assert not posts.timed and posts.left_out == {"empty": 1}
    # two people, however much they wrote: five are needed for a number
    assert [who for _, who, _ in told(posts)] == ["W01", "W01", "W02"]


@pytest.mark.parametrize("course", ["Course", "course"])
def test_the_course_of_a_feedback_of_the_site_is_neither_text_nor_person(
    tmp_path: Path, course: str
) -> None:
    head, one, two = ANONYMOUS.splitlines()
    head = head.replace("number,", f"number,{course},")
    rows = [row.replace(",", ",Physics for all,", 1) for row in (one, two)]
    posts = load(tmp_path, "feedback.csv", "\n".join([head, *rows]))
    assert told(posts) == told(load(tmp_path, "other.csv", ANONYMOUS))
    assert posts.left_out == {"empty": 1}
    named = FEEDBACK.replace(",Date,", f",{course},Date,").replace(".org,", ".org,Physics for all,")
    assert told(load(tmp_path, "n.csv", named)) == told(load(tmp_path, "f.csv", FEEDBACK))
    with pytest.raises(InputError, match="feedback without a question"):
        load(tmp_path, "none.csv", f"Response number,{course}\n1,Physics\n")
    # a question that is called so, further on
    asked = "Response number,Course,Which?,COURSE\n1,Physics,this one,the best course\n"
    assert [one[2] for one in told(load(tmp_path, "a.csv", asked))] == [
        "this one", "the best course",
    ]  # fmt: skip


def test_a_row_without_a_name_is_one_person(tmp_path: Path) -> None:
    table = "State,Started,Completed,Response 1,Response 2\nFinished,0:00:01,0:00:02,so so,no no\n"
    assert {who for _, who, _ in told(load(tmp_path, "quiz.csv", table))} == {"W01"}


def test_only_questions_of_a_feedback_are_texts(tmp_path: Path) -> None:
    added = ANONYMOUS.replace("\n", ",,\n")  # by Excel
    assert len(load(tmp_path, "f.csv", added).utterances) == 3
    other = 'Date,Full name,Groups,Message\n"2 June 2021, 9:20 AM",Ada,A,I am lost\n'
    assert [text for *_, text in told(load(tmp_path, "f.csv", other))] == ["I am lost"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (NEWER.replace("Response 1", "Q. 1 /10.00"), "without a column 'Response 1'.*not its grad"),
        (FEEDBACK.split(",How")[0] + "\n", "feedback without a question"),
        ("Response number\n1\n", "feedback without a question"),
        (NEWER.replace("2 June 2021  9:20:30 AM", "later"), "line 2: 'later' is not a time"),
        (QUIZ.replace("2 June 2021  9:06 AM", "-"), "line 3: an answer without a time"),
        (QUIZ[:-30], r"line 4: \d+ fields, needs 14"),
        (QUIZ[: QUIZ.index("slope")], "line 3: .*quotation mark"),
        (QUIZ.splitlines()[0], "a header but no rows"),
        (FEEDBACK.replace("Anything else?", "How was it?"), "How was it\\? is there more than"),
        (ANONYMOUS.replace("boring", "1").replace("great", "a").replace("nothing new", ""),
         r"no text to read \(2 number or letter, 2 empty\)"),
    ],
)  # fmt: skip
def test_bad_tables_of_moodle_are_refused(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, "quiz.csv", content)


@pytest.mark.parametrize(
    "text", ["7", "-3,5 %", "1e5%", "12.5", "b", "c)", "(D)", "\u22121", "?a!"]
)
def test_numbers_and_letters_are_no_writing(tmp_path: Path, text: str) -> None:
    posts = load(tmp_path, "a.csv", f'Response number,Q\n1,"{text}"\n2,so so\n')
    assert len(posts.utterances) == 1 and posts.left_out == {"number or letter": 1}


@pytest.mark.parametrize(
    "text", ["no", "x = 5", "4 apples", "5 or 6", "!!", ":D", ";P", "\U0001f600"]
)
def test_anything_else_is(tmp_path: Path, text: str) -> None:
    assert told(load(tmp_path, "a.csv", f'Response number,Q\n1,"{text}"\n'))[0][2] == text


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=4))
def test_no_answer_of_any_quiz_is_lost(cells: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["First name", "State", "Started", "Completed", "Response 1", "Response 2"])
    for pair in cells:
        writer.writerow(["Ada", "Finished", "0:00:01", "0:00:02", *pair])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quiz.csv"
        path.write_bytes(stream.getvalue().encode("utf-8", "replace"))
        with contextlib.suppress(InputError):
            posts = load_posts(Writing(path))
            assert len(posts.utterances) + sum(posts.left_out.values()) == 2 * len(cells)
            assert all(one.text.strip() for one in posts.utterances)


# --- Word --------------------------------------------------------------------------------------


def test_a_teams_transcript_as_word(tmp_path: Path) -> None:
    turns = [
        *EVENTS,
        ("", "Ada Byron (Guest)   0:03", "I think it is < 5.", "We left it at 8:10", ""),
        ("", "Ben   12:25"),
        ("", "Ada Byron (Guest)   1:02:09", "  what a surprise "),
        ("", "Ms Hopper hat die Transkription beendet"),
    ]
    posts = load_word(tmp_path, packed(document(turns)))
    assert told(posts) == [
        (0, "W01", "I think it is < 5.\nWe left it at 8:10"),
        (3726, "W01", "what a surprise"),
    ]
    assert posts.lines == (5, 9) and posts.left_out == {"empty": 1}


def test_turns_whose_lines_are_paragraphs(tmp_path: Path) -> None:
    turns = [*EVENTS, ("Ada   0:03",), ("it is",), ("wrong",), ("Ben  0:09",), ("me too",),
             ("Ms Hopper stopped transcription",)]  # fmt: skip
    assert told(load_word(tmp_path, packed(document(turns)))) == [
        (0, "W01", "it is\nwrong"), (6, "W02", "me too"),
    ]  # fmt: skip


STARTED_STOPPED = [  # (who starts, who stops, in the words of a language)
    ("Ms Hopper hat die Transkription gestartet", "Ms Hopper hat die Transkription beendet"),
    ("Ms Hopper hat die Transkription gestartet", "Ms Hopper hat die Transkription beendet."),
    ("Ada Byron hat die Transkription gestartet", "Ben Ng hat die Transkription beendet"),
    ("Ada Byron inici\u00f3 la transcripci\u00f3n", "Ben Ng detuvo la transcripci\u00f3n"),
    ("Ada Byron a commenc\u00e9 la transcription", "Ben Ng a arr\u00eat\u00e9 la transcription"),
    ("Ada Byron iniciou a transcri\u00e7\u00e3o", "Ben Ng parou a transcri\u00e7\u00e3o"),
    ("Ada Byron ha avviato la trascrizione", "Ben Ng ha interrotto la trascrizione"),
    ("Ada Byron \u304c\u6587\u5b57\u8d77\u3053\u3057\u3092\u958b\u59cb\u3057\u307e\u3057\u305f",
     "Ben Ng \u304c\u6587\u5b57\u8d77\u3053\u3057\u3092\u505c\u6b62\u3057\u307e\u3057\u305f"),
]  # fmt: skip


@pytest.mark.parametrize(("started", "stopped"), STARTED_STOPPED)
@pytest.mark.parametrize("spans", [False, True])
def test_events_in_other_languages_are_nobodys_words(
    tmp_path: Path, started: str, stopped: str, spans: bool
) -> None:
    """Also in the middle, where the transcription is stopped and started again."""
    if stopped.endswith("."):
        started += "."
    turns = [("Ada Byron", "0:03"), ("Ben Ng", "0:09"), ("Ada Byron", "0:12")]
    heads = [(f"0:{at}.0 --> 0:0:59.0",) if spans else (f"{who}   {at}",) for who, at in turns]
    ada, ben, again = ([head, (who,)] if spans else [head]
                       for head, (who, _) in zip(heads, turns, strict=True))  # fmt: skip
    posts = load_word(tmp_path, packed(document([
        ("A lesson",), (started,), *ada, ("it is",), ("wrong",), *ben, ("me too.",), (stopped,),
        (started,), *again, ("so so",), (stopped,),
    ])))  # fmt: skip
    assert told(posts) == [(0, "W01", "it is\nwrong"), (6, "W02", "me too."), (9, "W01", "so so")]


@pytest.mark.parametrize(
    "said",
    [
        "Ben Ng hat die Folien",  # a name alone makes no event
        "Ben",
        "Ben Ng",
        "hat die Transkription jemand beendet?",  # a question is said
        "Wer hat die Transkription gestartet.",
        "Transkription",
        "ja",
    ],
)
def test_what_is_said_is_no_event(tmp_path: Path, said: str) -> None:
    started = "Ada Byron hat die Transkription gestartet"
    turns = [(started,), ("Ada Byron   0:03",), ("gut",), (said,), ("Ben Ng   0:05",), ("so",)]
    assert [text for *_, text in told(load_word(tmp_path, packed(document(turns))))] == [
        f"gut\n{said}", "so",
    ]  # fmt: skip
    without = turns[1:4]  # no event to be like
    assert told(load_word(tmp_path, packed(document(without))))[0][2] == f"gut\n{said}"


@pytest.mark.parametrize("apart", [False, True])
def test_the_older_form_with_spans(tmp_path: Path, apart: bool) -> None:
    turns = [("0:0:5.100 --> 0:0:8.250", "Ada Byron", "good", "day"),
             ("0:1:05.1 --> 0:1:9.0", "Ben", "hi"), ("0:1:9.0 --> 0:1:10.0", "Ben")]  # fmt: skip
    lines = [[line] for turn in turns for line in turn] if apart else turns
    posts = load_word(tmp_path, packed(document(lines)))
    assert [one[1:] for one in told(posts)] == [("W01", "good\nday"), ("W02", "hi")]
    assert posts.end == pytest.approx(60) and posts.left_out == {"empty": 1}


BOMB = b"<w:p>" + b" " * (1 << 20) + b"</w:p>"
LAUGHS = '<!DOCTYPE w [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a whole Word file .*File is not a zip"),
        (b"PK\x03\x04 cut off", "not a whole Word file"),
        (packed(document([("Ada  0:03", "hi")]))[:-40], "not a whole Word file"),
        (packed(b"x", name="hello.txt"), "not a whole Word file .*no item named"),
        (packed(document([("Ada  0:03", "hi")]), how=zipfile.ZIP_BZIP2), "packed as Word does not"),
        (packed(b"<w:document"), "not a whole Word file .*unclosed token"),
        (packed(b'<?xml version="1.0" encoding="so"?><a/>'), "not a whole .*unknown encoding: so"),
        (packed(b""), "not a whole Word file .*no element found"),
        (packed(b"<a>&b;</a>"), "not a whole Word file .*undefined entity"),
        (packed(document([("Ada  0:03", "hi")], before=LAUGHS)), "it has a document type"),
        (packed(document([], before='<!DOCTYPE w SYSTEM "file:///etc/passwd">')), "document type"),
        (packed(b"<a>" * 1000), "elements too deep"),
        (packed(document([]).partition(b"</w:body>")[0] + BOMB * 33), "more than 32 MB of text"),
        (packed(document([("a letter",), ("we met at 14:30",)])), "no line such as 'Ada Byron"),
        (packed(document([*EVENTS, ("Ada   0:75", "hi")])), "line 5: '0:00:75.000' is not a time"),
        (packed(document([*EVENTS, ("Ada   0:05",)])), r"no text to read \(1 empty\)"),
    ],
)  # fmt: skip
def test_bad_word_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_word(tmp_path, content)
    with pytest.raises(InputError, match="cannot read"):
        load_posts(Writing(tmp_path / "absent.docx"))


def test_a_word_file_of_too_many_or_too_large_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO(packed(document([("Ada  0:03", "hi")])))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image1.png", bytes(3 << 20))
    assert load_word(tmp_path, stream.getvalue()).utterances  # pictures are not opened
    monkeypatch.setattr(word, "CLAIMED", 2 << 20)
    with pytest.raises(InputError, match=r"lists 2 files of 3 MB unpacked; up to 10000 of 2 MB"):
        load_word(tmp_path, stream.getvalue())
    monkeypatch.undo()
    monkeypatch.setattr(word, "ENTRIES", 1)
    with pytest.raises(InputError, match=r"talk.docx lists 2 files of .*; up to 1 of 1024 MB"):
        load_word(tmp_path, stream.getvalue())


def test_a_locked_word_file_is_refused(tmp_path: Path) -> None:
    locked = bytearray(packed(document([("Ada  0:03", "hi")])))
    locked[6] |= 1  # the flag of encryption, in both headers
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(InputError, match=r"not a whole Word file .*encrypted"):
        load_word(tmp_path, bytes(locked))


def test_hostile_lines_take_no_time(tmp_path: Path) -> None:
    start = time.process_time()
    with pytest.raises(InputError, match="no line such as"):
        load_word(tmp_path, packed(document([("a" + " " * 500_000 + "b",)])))
    talk = [("a" * 300,), *[("a" * 200 + "   0:03",), ("a" * 299,)] * 12_000]
    with pytest.raises(InputError, match="12000 empty"):
        load_word(tmp_path, packed(document(talk)))
    many = [("a" + " " * 290 + "b",)] * 25_000
    with pytest.raises(InputError, match="no line such as"):
        load_word(tmp_path, packed(document(many)))
    digits, spaces = "1" * 100_000, "2" + " " * 100_000 + "x"
    load(tmp_path, "a.csv", f'Response number,Q\n1,"{digits}!"\n2,"{spaces}"\n')
    assert time.process_time() - start < 30  # a quadratic pattern takes hours


@given(st.binary(max_size=200))
def test_any_xml_is_texts_or_one_error(xml: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for content in (xml, packed(xml), packed(document([("Ada  0:03", "hi")]) + xml)):
            with contextlib.suppress(InputError):
                assert load_word(Path(folder), content).utterances


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4))
def test_any_damage_is_texts_or_one_error(at: int, patch: bytes) -> None:
    good = packed(document([("Ada  0:03", "hi there")]))
    at %= len(good)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(InputError):
        damaged = good[:at] + patch + good[at + len(patch) :]
        assert load_word(Path(folder), damaged).utterances


SAID = st.text(st.characters(categories=("L", "P", "N")), min_size=1, max_size=30)


@given(st.lists(st.tuples(SAID, st.integers(0, 35_999), SAID), min_size=1, max_size=5))
def test_every_turn_is_read_as_it_was_said(turns: list[tuple[str, int, str]]) -> None:
    clocks = [f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}" for _, s, _ in turns]
    lines = [(f"{who}   {at}", what) for (who, _, what), at in zip(turns, clocks, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        posts = load_word(Path(folder), packed(document([*EVENTS, *lines])))
    assert sorted(one.text for one in posts.utterances) == sorted(what for *_, what in turns)
    assert len({one.speaker for one in posts.utterances}) == len({who for who, *_ in turns})
