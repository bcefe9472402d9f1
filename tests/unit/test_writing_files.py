"""Posts and chats from files: who, when, what; private things left out; hostile files refused."""

import contextlib
import json
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.room.writing.message import plain_text
from classpulse.room.writing.posts import Posts, Writing, is_writing, load_posts
from classpulse.room.writing.times import Moment, parse_time

ZOOM = """\
14:05:33 From Ada Byron to Everyone:
\tI don't get step 3 at all
14:05:50\t From  Ben : me neither
14:06:02 From Cem to Ada Byron(Direct Message):
\tthis is boring
14:06:10 From Ada Byron to Everyone:
\tReplying to "me neither"

oh wait, now it works
two lines
14:06:30 From Dia to Everyone:
\tReacted to "oh wait, now it works" with \U0001f44d
14:07:00 From Ms Hopper to Everyone : any questions: page 3?
"""
ZOOM_TABS = "00:00:12\tAda Byron:\thello all\n00:01:00\tBen:\tthanks: great\n"
TEAMS = """\
[11/22/2026 2:05 PM] Ada Byron
I am lost
[Yesterday 2:06 PM] Ben: me too
"""
VTT = """\
\ufeffWEBVTT

1
00:00:01.500 --> 00:00:03.000
<v Ada Byron>I think it is wrong.</v>

00:04.000 --> 00:06.000
Ben: what a
surprise

00:07.000 --> 00:08.000
<v Cem></v>
"""
MOODLE = (
    "id,discussion,userfullname,created,subject,message\n"
    '1,7,Ada Byron,1763820000,Re: task,"<p>I am <b>so</b> lost<br>really</p>"\n'
    "2,7,Ben,1763820060,Re: task,<p>me&nbsp;too &amp; more</p>\n"
    "3,7,Cem,1763820120,Re: task,<p></p>\n"
)
GRAPH = {
    "value": [
        {"messageType": "message", "createdDateTime": "2026-11-22T14:05:00Z",
         "from": {"user": {"displayName": "Ada"}},
         "body": {"contentType": "html", "content": "<div>this is hard</div>"}},
        {"messageType": "systemEventMessage", "createdDateTime": "2026-11-22T14:05:01Z",
         "from": None, "body": {"content": "<systemEventMessage/>"}},
        {"createdDateTime": "2026-11-22T14:06:00Z", "from": None, "body": {"content": "a < b"}},
    ]
}  # fmt: skip


def load(folder: Path, name: str, content: str, **options: object) -> Posts:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    recorded = options.pop("recorded", None)
    return load_posts(Writing(path, **options), recorded=recorded)  # type: ignore[arg-type]


def texts(posts: Posts) -> list[tuple[float, str, str]]:
    return [(one.t0, one.speaker, one.text) for one in posts.utterances]


def test_a_zoom_chat_gives_public_texts_with_pseudonyms(tmp_path: Path) -> None:
    posts = load(tmp_path, "chat.txt", ZOOM)
    assert texts(posts) == [
        (0, "W01", "I don't get step 3 at all"),
        (17, "W02", "me neither"),
        (37, "W01", "oh wait, now it works\ntwo lines"),
        (87, "W03", "any questions: page 3?"),
    ]
    assert posts.lines == (1, 3, 6, 13) and posts.timed and posts.named
    assert posts.left_out == {"private message": 1, "reaction": 1}


def test_other_forms_of_chats(tmp_path: Path) -> None:
    assert texts(load(tmp_path, "a.txt", ZOOM_TABS)) == [
        (0, "W01", "hello all"),
        (48, "W02", "thanks: great"),
    ]
    assert texts(load(tmp_path, "c.vtt", VTT)) == [
        (0, "W01", "I think it is wrong."),
        (2.5, "W02", "what a surprise"),
    ]
    graph = load(tmp_path, "d.json", json.dumps(GRAPH))
    assert texts(graph) == [(0, "W01", "this is hard"), (60, "W02", "a < b")]
    assert graph.named is False


SPAN = "00:0{0}:00.000 --> 00:0{0}:09.000\n"
GUID = "51f2d3c4-5d6e-4f6a-b7f0-3f5a1c2b6d8e/2{0}-0\n"


@pytest.mark.parametrize("before", ["", "{0}\n", GUID], ids=["no", "Zoom's", "Teams'"])
@pytest.mark.parametrize("between", ["", "\n"], ids=["close", "apart"])
def test_a_transcript_without_empty_lines(tmp_path: Path, before: str, between: str) -> None:
    says = ("Ada: one", "Ben: two\nand more", "42", "Ada: four")
    cues = [f"{before}{SPAN}".format(i) + f"{said}\n" for i, said in enumerate(says, start=1)]
    posts = load(tmp_path, "c.vtt", "WEBVTT\n" + between + between.join(cues))
    said = [(60.0 * i, text) for i, text in enumerate(("one", "two and more", "42", "four"))]
    assert [(t, text) for t, _, text in texts(posts)] == said
    assert [who for _, who, _ in texts(posts)] == ["W01", "W02", "W03", "W01"]
    assert posts.unnamed == {"W03"} and not posts.named


def test_a_number_that_was_said_is_no_identifier(tmp_path: Path) -> None:
    content = "WEBVTT\n" + SPAN.format(1) + "Ada: it is\n42\n" + SPAN.format(2) + "Ben: no\n"
    assert [text for *_, text in texts(load(tmp_path, "c.vtt", content))] == ["it is 42", "no"]


def test_a_long_transcript_without_empty_lines_is_read_once(tmp_path: Path) -> None:
    cues = "".join(f"{SPAN.format(1)}Ada: word {i}\n" for i in range(20_000))
    posts = load(tmp_path, "c.vtt", "WEBVTT\n" + cues)
    assert len(posts.utterances) == 20_000
    assert posts.utterances[-1].text == "word 19999"


def test_hostile_tags_of_a_transcript_cost_nothing(tmp_path: Path) -> None:
    for tag in ("<v ", "<v.<v."):
        content = f"WEBVTT\n\n{SPAN.format(1)}a {tag * 60_000}\n"
        assert len(load(tmp_path, "c.vtt", content).utterances) == 1


def test_how_many_people_texts_are_from(tmp_path: Path) -> None:
    table = "author,text\nAda,a\n,b\n,c\nBen,d\nAda,e\n"
    posts = load(tmp_path, "p.csv", table)
    everybody = {one.speaker for one in posts.utterances}
    assert everybody == {"W01", "W02", "W03", "W04"} and posts.unnamed == {"W02", "W03"}
    assert posts.people_among(everybody) == 2 and posts.most_writers == 4
    assert posts.people_among({"W02", "W03"}) == 1 and posts.people_among(()) == 0
    stated = load(tmp_path, "p.csv", table, writers=3)
    assert stated.people_among(everybody) == 3 and stated.people_among({"W02"}) == 1
    assert stated.people_among(everybody - {"W02"}) == 2  # the third may have written W02
    assert load(tmp_path, "p.csv", table, writers=1).most_writers == 2  # two are named
    with pytest.raises(InputError, match="writers = 0 is not possible"):
        Writing(tmp_path / "p.csv", writers=0)


def test_of_stated_writers_only_those_count_who_cannot_be_elsewhere(tmp_path: Path) -> None:
    rows = "".join(f"0:{i:02d}:00,I am lost {i}\n" for i in range(60))
    posts = load(tmp_path, "p.csv", "time,text\n" + rows, writers=24)
    wrote = [one.speaker for one in posts.utterances]
    assert posts.people_among(wrote) == 24
    assert posts.people_among(wrote[:5]) == 1  # one person's, and the others wrote the 55
    assert posts.people_among(wrote[:41]) == 5 and posts.people_among(()) == 0
    cut = load(tmp_path, "p.csv", "time,text\n" + rows, writers=24, start="0:20:00")
    assert cut.people_among([one.speaker for one in cut.utterances]) == 4  # 20 texts are before


def test_stated_writers_change_nothing_about_names(tmp_path: Path) -> None:
    posts = load(tmp_path, "p.csv", "author,text\nAda,a\nBen,b\nCem,c\n", writers=2)
    assert posts.people_among({"W01", "W02", "W03"}) == 3


def test_one_person_spelled_several_ways_is_one(tmp_path: Path) -> None:
    names = ("Ada", "ada", "ADA", "Ada Byron", "ada  byron", "\uff21da", "Jose\u0301", "Jos\u00e9")
    rows = "".join(f"{name},hello\n" for name in names)
    posts = load(tmp_path, "p.csv", "author,text\n" + rows)
    assert [one.speaker for one in posts.utterances] == [
        "W01", "W01", "W01", "W02", "W02", "W01", "W03", "W03"
    ]  # fmt: skip
    assert posts.people_among({one.speaker for one in posts.utterances}) == 3
    without = load(tmp_path, "p.csv", "author,text\n" + rows, without=("jos\u00c9",))
    assert without.left_out == {"author left out": 2}


def test_a_chat_copied_from_teams(tmp_path: Path) -> None:
    today = TEAMS.replace("Yesterday", "11/22/2026")
    assert texts(load(tmp_path, "b.txt", today)) == [
        (0, "W01", "I am lost"),
        (60, "W02", "me too"),
    ]
    with pytest.raises(InputError, match="some times have a date"):
        load(tmp_path, "b.txt", TEAMS)


def test_a_moodle_forum(tmp_path: Path) -> None:
    posts = load(tmp_path, "forum.csv", MOODLE)
    assert texts(posts) == [(0, "W01", "I am so lost\nreally"), (60, "W02", "me\xa0too & more")]
    assert posts.left_out == {"empty": 1} and posts.lines == (2, 3)


def test_plain_lines_are_texts_of_nobody_known(tmp_path: Path) -> None:
    posts = load(tmp_path, "feedback.txt", "I liked it\n\ntoo fast for me: really\n")
    assert texts(posts) == [(0, "W01", "I liked it"), (0, "W02", "too fast for me: really")]
    assert not posts.timed and not posts.named


def test_a_german_table_and_chosen_columns(tmp_path: Path) -> None:
    table = "Zeit;Wer;Antwort\n22.11.2026 14:05;Ada;gut; so\n"
    with pytest.raises(InputError, match=r"which column has the texts.*Zeit, Wer, Antwort"):
        load(tmp_path, "a.csv", table.replace("; so", ""))
    chosen = {"text": "Antwort", "author": "Wer", "time": "Zeit"}
    posts = load(tmp_path, "a.csv", table.replace("; so", ""), columns=chosen)
    assert texts(posts) == [(0, "W01", "gut")] and posts.named
    with pytest.raises(InputError, match="no column Nix"):
        load(tmp_path, "a.csv", table, columns={"text": "Nix"})
    with pytest.raises(InputError, match="not for colour"):
        load(tmp_path, "a.csv", table, columns={"colour": "Wer"})


def test_json_lines(tmp_path: Path) -> None:
    lines = '{"text": "b", "t": 9, "author": "x"}\n{"text": "a", "t": 3, "author": "x"}\n'
    assert texts(load(tmp_path, "p.jsonl", lines)) == [(0, "W01", "a"), (6, "W01", "b")]


def test_json_lines_have_times_in_seconds(tmp_path: Path) -> None:
    lines = '{"text": "a", "t": 75.5}\n{"text": "b", "t": 77.25}\n'
    assert [t for t, _, _ in texts(load(tmp_path, "p.jsonl", lines))] == [0, 1.75]
    with pytest.raises(InputError, match="line 2: 't' is True"):
        load(tmp_path, "p.jsonl", lines.replace("77.25", "true"))


def test_a_first_line_may_be_long(tmp_path: Path) -> None:
    line = json.dumps({"text": "so " * 50_000})
    assert len(load(tmp_path, "p.jsonl", line).utterances) == 1


def test_a_name_is_left_out_in_capitals_or_not(tmp_path: Path) -> None:
    rows = "\n".join(f"Person {i:02d},text" for i in range(12))
    posts = load(
        tmp_path, "p.csv", f"author,text\nMs Hopper,hello\n{rows}\n", without=("ms  HOPPER",)
    )
    assert posts.left_out == {"author left out": 1} and len(posts.utterances) == 12
    with pytest.raises(InputError, match=r"nobody called Eve .* Person 09 and 2 more$"):
        load(tmp_path, "p.csv", f"author,text\n{rows}\n", without=("Eve",))
    with pytest.raises(InputError, match="nobody called Eve writes there; it names nobody"):
        load(tmp_path, "p.txt", "hello there\n", without=("Eve",))


def test_the_teacher_can_be_left_out(tmp_path: Path) -> None:
    posts = load(tmp_path, "chat.txt", ZOOM, without=("Ms Hopper",))
    assert len(posts.utterances) == 3 and posts.left_out["author left out"] == 1
    with pytest.raises(InputError, match="nobody called Ms Hoper"):
        load(tmp_path, "chat.txt", ZOOM, without=("Ms Hoper",))
    with pytest.raises(InputError, match=r"no text to read \(1 author left out\)"):
        load(tmp_path, "a.txt", "0:00:01\tAda:\thi\n", without=("Ada",))


def test_a_chat_lies_beside_its_recording(tmp_path: Path) -> None:
    posts = load(tmp_path, "chat.txt", ZOOM, start="14:05:40", recorded=30.0)
    assert [t for t, *_ in texts(posts)] == [10, 30, 80]
    assert posts.left_out["before the recording"] == 1
    assert "after the recording" not in posts.left_out
    short = load(tmp_path, "chat.txt", ZOOM, start="14:05:33", recorded=1.0)
    assert short.left_out["after the recording"] == 1
    with pytest.raises(InputError, match=r"14:05:33 to 14:07:00.*0:00:00 to 0:00:30.*--chat-start"):
        load(tmp_path, "chat.txt", ZOOM, recorded=30.0)
    with pytest.raises(InputError, match=r"dates.*--chat-start"):
        load(tmp_path, "forum.csv", MOODLE, recorded=30.0)
    dated = load(tmp_path, "forum.csv", MOODLE, recorded=90.0, start="2025-11-22T14:00:00Z")
    assert [t for t, *_ in texts(dated)] == [0, 60]
    by_clock = load(tmp_path, "forum.csv", MOODLE, recorded=90.0, start="14:00:00")
    assert by_clock == dated
    with pytest.raises(InputError, match="does not say when"):
        load(tmp_path, "f.txt", "hello there\n", recorded=30.0)
    for length in (None, float("inf")):  # alone, and beside a live source
        with pytest.raises(InputError, match=r"from -0:54:27 to -0:53:00 of the session: say"):
            load(tmp_path, "chat.txt", ZOOM, start="15:00:00", recorded=length)
    with pytest.raises(InputError, match="without a date"):
        load(tmp_path, "chat.txt", ZOOM, start="2026-11-22T14:05:00", recorded=30.0)


def test_a_chat_goes_past_midnight(tmp_path: Path) -> None:
    lines = "23:59:58\tA:\tlate\n00:00:03\tB:\tlater\n"
    assert [t for t, *_ in texts(load(tmp_path, "n.txt", lines))] == [0, 5]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", "columns are"),
        ("a.csv", "text\n", "no rows"),
        ("a.csv", "text,time\nhi,soon\n", "line 2: 'soon' is not a time"),
        ("a.csv", "text,time\nhi,12:05\n", "line 2: '12:05' may be hours"),
        ("a.csv", "text,time\nhi,\n", "line 2: the time is empty"),
        ("a.csv", "text,time\nhi,nan\n", "line 2: 'nan' is not a time"),
        ("a.csv", 'text,author\n"hi,Ada\n', "quotation mark"),
        ("a.txt", "\n \n", "no text to read"),
        ("a.vtt", "hello", "WEBVTT"),
        ("a.json", "{}", "list of messages"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.jsonl", "[1]\n", "needs a JSON object"),
        ("a.jsonl", "nothing\n", "line 1: not JSON"),
        ("a.md", "hello", "no file of writing"),
        ("a.html", "<script>alert(1)</script>", "is a web page"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_with_one_sentence(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        load(tmp_path, name, content)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    with pytest.raises(InputError, match="not UTF-8"):
        load_posts(Writing(path))
    with pytest.raises(InputError, match="cannot read"):
        load_posts(Writing(tmp_path / "absent.csv"))


def test_hostile_lines_take_no_time(tmp_path: Path) -> None:
    evil = "00:00:01 From " + "a to " * 200_000
    marks = "[10:00:00] " + "a" * 1_000_000 + "\n" + "<v" + ".a" * 500_000
    start = time.process_time()
    load(tmp_path, "evil.txt", f"{evil}\n{marks}\n")
    plain_text("<p" + " <" * 500_000 + ">")
    load(tmp_path, "evil.vtt", f"WEBVTT\n\n00:01.000 --> 00:02.000\n{marks}\n")
    assert time.process_time() - start < 30  # a quadratic pattern takes hours


def test_what_is_a_file_of_writing() -> None:
    assert is_writing("posts.CSV") and is_writing(Path("a/chat.txt"))
    assert not is_writing("lesson.mp4") and not is_writing("rtsp://camera/a.txt")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("75.5", Moment(75.5)),
        ("0:01:15", Moment(75)),
        ("2:05 PM", Moment(50_700)),
        ("12:05:01 am", Moment(301)),
        ("1763820000", Moment(1763820000, True)),
        ("1763820000123", Moment(1763820000.123, True)),
        ("2025-11-22T14:00:00Z", Moment(1763820000, True)),
        ("2025-11-22 15:00:00+01:00", Moment(1763820000, True)),
        ("22.11.2025 14:00", Moment(1763820000, True)),
        ("Saturday, 22 November 2025, 2:00 PM", Moment(1763820000, True)),
        ("11/22/2025 2:00 PM", Moment(1763820000, True)),
        ("22/11/2025 14:00", Moment(1763820000, True)),
    ],
)
def test_times_as_programs_write_them(text: str, moment: Moment) -> None:
    assert parse_time(text) == moment


@pytest.mark.parametrize("text", ["", "-1", "inf", "25 o'clock", "13:05 PM", "0:61:00", "1e300"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_time(text)


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_one_error(text: str) -> None:
    with contextlib.suppress(InputError):
        assert parse_time(text).seconds >= 0


@given(st.text(max_size=200))
def test_any_chat_is_texts_or_one_error(content: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chat.txt"
        path.write_bytes(content.encode("utf-8", "replace"))
        with contextlib.suppress(InputError):
            assert load_posts(Writing(path)).utterances
