"""Chats that name their writers: read where the form is known, else refused, never plain lines."""

from pathlib import Path

import pytest

from classpulse.core.errors import InputError
from classpulse.room.writing.chats import read_chat
from classpulse.room.writing.message import Message, Messages

DAY, CLOCK = 1_795_305_600.0, 14 * 3600.0  # November 22, 2026, UTC; 14:00
TALK = ("I am lost: really", "me too", "great, thanks", "why?")


def read(folder: Path, *lines: str) -> Messages:
    path = folder / "chat.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_chat(path)


def told(found: Messages) -> list[tuple[str | None, str]]:
    return [(one.author, one.text) for one in found.found]


def seconds(message: Message) -> float:
    assert message.at is not None
    return message.at.seconds


@pytest.mark.parametrize(
    "form",
    [
        "22/11/2026, 14:0{} - {}: {}",
        "22.11.26, 14:0{} - {}: {}",
        "22/11/2026, 2:0{} pm - {}: {}",
        "22/11/2026, 2:0{}\u202fp.m. - {}: {}",
        "11/22/26, 2:0{} PM - {}: {}",
        "11/22/26, 14:0{} - {}: {}",
        "2026-11-22, 14:0{}:00 - {}: {}",
        "\u200e22/11/2026 14:0{} \u2013 {}: {}",
    ],
)
def test_whatsapp_on_android(tmp_path: Path, form: str) -> None:
    lines = [form.format(i, "Ada" if i % 2 else "Ben B.", text) for i, text in enumerate(TALK)]
    found = read(tmp_path, *lines)
    assert told(found) == [("Ada" if i % 2 else "Ben B.", text) for i, text in enumerate(TALK)]
    assert [seconds(one) for one in found.found] == [DAY + CLOCK + 60 * i for i in range(4)]


def test_an_android_chat_has_notices_media_and_long_messages(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "22/11/2026, 14:00 - Messages and calls are end-to-end encrypted.",
        "22/11/2026, 14:01 - Ada: one",
        "two: three",
        "22/11/2026, 14:02 - Ben: <Media omitted>",
        "22/11/2026, 14:02 - Ben added Cem",
    )
    assert told(found) == [("Ada", "one\ntwo: three")]
    assert found.left_out == {"notice of the program": 2, "empty": 1}


def test_the_order_of_day_and_month_is_that_of_the_whole_file(tmp_path: Path) -> None:
    months = read(tmp_path, "01/02/26, 14:00 - Ada: a", "01/13/26, 14:00 - Ada: b")
    assert seconds(months.found[1]) - seconds(months.found[0]) == 11 * 86_400
    forward = read(tmp_path, "11/10/26, 2:00 pm - Ada: a", "01/11/26, 2:00 pm - Ada: b")
    assert seconds(forward.found[1]) - seconds(forward.found[0]) == 21 * 86_400
    with pytest.raises(InputError, match=r"line 2: .* is not a time"):
        read(
            tmp_path,
            "22/11/26, 14:00 - Ada: a",
            "11/22/26, 14:00 - Ada: b",
            "22/13/26, 1:00 - A: c",
        )


def test_zoom_with_am_and_pm(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "2:00:33 PM From Ada to Everyone : I am lost",
        "02:01:33 PM\t From  Ben : me too",
        "2:02:33 PM From Cem to Ada(direct message):",
        "\tpsst",
    )
    assert told(found) == [("Ada", "I am lost"), ("Ben", "me too")]
    assert [seconds(one) for one in found.found] == [CLOCK + 33, CLOCK + 93]
    assert found.left_out == {"private message": 1}


def test_lines_of_names_that_return(tmp_path: Path) -> None:
    found = read(tmp_path, "Ada: one", "ben_07: two", "Ada: three: four", "", "ben_07 : five")
    assert told(found) == [
        ("Ada", "one"),
        ("ben_07", "two"),
        ("Ada", "three: four"),
        ("ben_07", "five"),
    ]
    assert all(one.at is None for one in found.found)
    many = [f"{'Ada Byron' if i % 2 else 'Ludwig van Gogh'}: text {i}" for i in range(19)]
    assert told(read(tmp_path, *many, "goes on"))[-1] == ("Ludwig van Gogh", "text 18\ngoes on")


def test_names_in_capitals_or_not_return(tmp_path: Path) -> None:
    found = read(tmp_path, "Ada: one", "Ben: two", "ada: three", "BEN: four")
    assert [text for _, text in told(found)] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    "quoted", ['"Maths: 3b"', "\u201eMaths: 3b\u201c", "\u00abMaths: 3b\u00bb"]
)
def test_the_name_of_a_group_is_nobody(tmp_path: Path, quoted: str) -> None:
    notice = f"22/11/2026, 14:00 - Ada created group {quoted}"
    found = read(tmp_path, notice, "22/11/2026, 14:01 - Ada O'Neil: hi")
    assert told(found) == [("Ada O'Neil", "hi")]
    assert found.left_out == {"notice of the program": 1}


PASTED = "[14:05, 22/11/2026] Ada: hello copied"


@pytest.mark.parametrize(
    "form", ["22/11/2026, 14:0{} - {}: {}", "14:05:0{} From {} to Everyone: {}"]
)
def test_a_pasted_message_is_part_of_its_text(tmp_path: Path, form: str) -> None:
    lines = [form.format(i, "Ben", text) for i, text in enumerate(TALK)]
    found = read(tmp_path, *lines[:2], PASTED, *lines[2:])
    assert [author for author, _ in told(found)] == ["Ben"] * 4
    assert found.found[1].text == f"{TALK[1]}\n{PASTED}" and not found.left_out


def test_the_first_line_says_the_form(tmp_path: Path) -> None:
    pasted = ["22/11/2026, 14:01 - Ben: a", "22/11/2026, 14:02 - Ben: b"]
    found = read(tmp_path, "", PASTED, *pasted)
    assert told(found) == [("Ada", "\n".join(["hello copied", *pasted]))]


def test_lines_before_a_chat_are_counted(tmp_path: Path) -> None:
    lines = [f"22/11/2026, 14:0{i} - Ben: {text}" for i, text in enumerate(TALK)]
    found = read(tmp_path, "Meeting of Monday", "", *lines, PASTED)
    assert len(found.found) == 4 and found.left_out == {"line before the first message": 1}


def test_one_pasted_message_makes_no_chat(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 3: a message of a chat begins here, but 2 lines"):
        read(tmp_path, "I am lost", "me too", PASTED, "why?")


@pytest.mark.parametrize(
    "lines",
    [
        ("Ada", "2:00 PM", "I am lost", "", "Ben", "2:01 PM", "me neither", "so am I"),
        ("Ada Byron 14:05", "I am lost", "Ben 14:06", "me neither"),
        ("Ada  11/22/2026 2:05 PM", "I am lost", "Ben  11/22/2026 2:06 PM", "me neither"),
        ("00:00:33.123,00:00:38.123", "Ada: I am lost", "", "00:01:33.123,00:01:38.123", "Ben: me"),
        ("14:05 Ada: I am lost", "14:06 Ben: me neither"),
        ("Ada: I am lost", "Ben: me neither", "Cem: great", "Dia: why?"),
        ("Ada: I am lost", "and more", "Ben: me neither", "and more", "Ada: great"),
        ("Ada: hello", "Grace: hi"),
        ("Ada Byron", "hello", "Ben", "hi", "ada byron", "I am lost", "Ben", "me too"),
        ("Ada Byron:", "hello", "Ben:", "hi", "Ada Byron:", "I am lost", "Ben:", "me too"),
        ("Ada Byron\thello", "Ben\thi", "Cem\tI am lost"),
        (
            "Ada Byron - hello",
            "Ben - hi",
            "Ada Byron - I am lost",
            "Ben \u2013 me",
            "Ada Byron - x",
        ),
        ("<Ada> hello", "<Ben> hi", "<Cem K> I am lost"),
    ],
    ids=[
        "teams",
        "name-clock",
        "name-date",
        "meet",
        "clock-name",
        "once-each",
        "long-messages",
        "two",
        "name-above",
        "name-colon-above",
        "tab",
        "dash",
        "angles",
    ],
)
def test_chats_in_other_forms_are_refused(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"looks like a chat with names.*\(Zoom\).*a table"):
        read(tmp_path, *lines)


@pytest.mark.parametrize(
    "lines",
    [
        ("I was lost at 10:30", "the video at 12:05 was great", "see you at 14:00", "why?"),
        ("10:30", "10:45", "I do not know", "around 11:00"),
        ("3:10", "1:2", "2:30", "no idea"),
        ("What I liked: the video", "what I did not like: the noise", "my question: why minus?"),
        ("Good: the video", "Bad: the noise", "Good: the game", "Bad: the end"),
        ("step 3: unclear", "step 4: fine", "step 3: why?", "step 5: hard"),
        ("I think: yes", "I think: no", "I think: maybe", "We think: yes"),
        ("Fractions: I did not get them", "it was ok", "I liked it", "more games please"),
        ("see https://example.org: nice", "note: 14:05 was too late", "1) first: lost", "10: 4"),
        ("Thanks! See: page 3", "Yes: because it falls", "No, never: it rises", "So: 42"),
        ("Ada",),
        ("Fractions", "Fractions", "I do not know", "Minus", "Fractions", "the end"),
        ("Fractions", "I do not know", "Minus", "the end", "Games", "more games"),
        ("Video - great", "Game - fun", "Minus - why?", "so fast - too fast"),
        ("Good:", "the video", "Bad:", "the noise", "Good:", "the game", "Bad:", "the end"),
        ("a < b", "<b> is bold", "x\ty", "1\t2"),
    ],
)  # fmt: skip
def test_plain_lines_stay_plain(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert told(read(tmp_path, *lines)) == [(None, line) for line in lines]


def test_hostile_lines_cost_nothing(tmp_path: Path) -> None:
    for line in ("a " * 100_000, "A" * 200_000 + ":", "1/1/26, 1:00 - " + "a" * 200_000, ":" * 99):
        assert len(read(tmp_path, line, "Ada: x").found) <= 2
