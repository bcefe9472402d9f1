"""The report: complete, honest about small groups, accessible, and one file without a network."""

import copy
import json
import math
import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from classpulse.core.errors import InputError
from classpulse.room.privacy import PROFILES
from classpulse.room.report import charts, words
from classpulse.room.report.lesson import fill_gaps, is_empty
from classpulse.room.report.render import render_report
from classpulse.room.report.writing import writing_cards
from classpulse.room.summary import FORMAT

EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
STATES = ["angry", "bored", "focused", "neutral"]
VOTES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
EMOTION_MEANS = [0.04, 0.01, 0.03, 0.22, 0.12, 0.07, 0.51]
STATE_MEANS = [0.05, 0.22, 0.45, 0.28]
COUNTED = ("engagement", "emotion", "state")
VOID = {"meta", "link", "br", "hr", "img", "input"}
Summary = dict[str, Any]


# --- synthetic summaries -------------------------------------------------------------------------


def estimate(value: float, half: float) -> dict[str, float]:
    """An estimate with an interval of `half` on both sides, inside [0, 1]."""
    low, high = max(0.0, value - half), min(1.0, value + half)
    return {"value": round(value, 4), "low": round(low, 4), "high": round(high, 4)}


def shares(names: list[str], means: list[float], phase: float) -> dict[str, dict[str, float]]:
    raw = [m * (1 + 0.4 * math.sin(phase + 1.7 * i)) for i, m in enumerate(means)]
    pairs = zip(names, raw, strict=True)
    return {name: estimate(r / sum(raw), 0.02 + 0.1 * r / sum(raw)) for name, r in pairs}


def row(t0: float, t1: float, n: int, k: int = 5, *, model: bool = True) -> Summary:
    """A window (or `overall`) in which n people count."""
    phase = 9 * math.sin(t0 / 777)
    shown = model and n >= k
    readings = round(n * (t1 - t0) * 2)
    wave = 0.62 + 0.12 * math.sin(phase) - 0.05 * math.cos(t0 / 130)
    return {
        "t0": t0,
        "t1": t1,
        "n": n,
        "people": n,
        "counted": {name: {"n": n, "people": n} for name in COUNTED} if shown else {},
        "present": round(n * 0.9 + 0.4 * math.sin(phase), 2) if n else 0.0,
        "readings": readings if model else 0,
        "abstained": round(readings * (0.2 + 0.1 * math.sin(phase))) if model else 0,
        "engagement": estimate(wave, 0.035 + 0.6 / max(n, 1) ** 2) if shown else None,
        "emotion": shares(EMOTIONS, EMOTION_MEANS, phase) if shown else None,
        "state": shares(STATES, STATE_MEANS, phase) if shown else None,
    }


def whole(rows: list[Summary], duration: float, n: int, k: int, *, model: bool) -> Summary:
    """The row of the whole lesson: means and sums of its windows, with tighter intervals."""
    overall = row(0.0, duration, n, k, model=model)
    shown = [r for r in rows if r["engagement"]]
    if not shown:
        return overall
    for key in ("present", "readings", "abstained"):
        overall[key] = sum(r[key] for r in rows)
    overall["present"] = round(overall["present"] / len(rows), 2)

    def mean(pick: Callable[[Summary], float], half: float) -> dict[str, float]:
        return estimate(sum(map(pick, shown)) / len(shown), half)

    overall["counted"] = {name: {"n": n, "people": n} for name in COUNTED}
    overall["engagement"] = mean(lambda r: r["engagement"]["value"], 0.03)
    for head, names in (("emotion", EMOTIONS), ("state", STATES)):
        overall[head] = {
            name: mean(lambda r, h=head, n=name: r[h][n]["value"], 0.02)  # type: ignore[misc]
            for name in names
        }
    return overall


def build(
    duration: float, people: list[int], *, window: float = 60.0, k: int = 5, model: bool = True
) -> Summary:
    """A summary with one window per entry of `people`."""
    edges = [(i * window, min((i + 1) * window, duration)) for i in range(len(people))]
    rows = [row(t0, t1, n, k, model=model) for (t0, t1), n in zip(edges, people, strict=True)]
    most = max(people, default=0)
    overall = whole(rows, duration, most, k, model=model)
    return {
        "format": FORMAT,
        "classpulse": "0.1.0",
        "session": {
            "id": "2026-11-22T031500-classroom",
            "source": "classroom.mp4",
            "created": "2026-11-22T03:15:00+00:00",
            "duration": duration,
            "every": 0.5,
            "window": window,
            "window_why": "length",
            "frames": round(duration * 2),
            "complete": True,
            "channels": ["face"],
            "profile": "research" if model else "eu-school",
            "profile_text": PROFILES["research" if model else "eu-school"].text,
            "k": k,
            "single_subject": False,
            "consent": "study 17, forms of November 3",
        },
        "model": card() if model else None,
        "detector": "retinaface",
        "spaces": {"emotion": EMOTIONS, "votes": VOTES, "state": STATES},
        "counts": {
            "frames": round(duration * 2),
            "sightings": round(sum(r["present"] for r in rows) * window * 2),
            "readings": overall["readings"],
            "abstained": overall["abstained"],
            "subjects": most,
            "reasons": reasons(overall["abstained"]) if model else {},
        },
        "overall": overall,
        "windows": rows,
        "writing": None,
        "together": None,
        "notice": None,
        "caveats": ["The camera saw two thirds of the room."],
    }


def reasons(abstained: int) -> dict[str, int]:
    turned, unsure = abstained // 5, abstained // 12
    return {
        "face too small": abstained - turned - unsure,
        "turned away": turned,
        "low confidence": unsure,
    }


def card() -> Summary:
    metrics = [
        ("accuracy", "emotion", 0.69, 0.67, 0.70, 3589, "FER2013 PublicTest"),
        ("macro_f1", "state", 0.58, 0.56, 0.60, 3573, "FER+ PublicTest"),
    ]
    keys = ("name", "head", "value", "low", "high", "n", "data")
    return {
        "name": "face-base",
        "sha256": "9f2c" * 16,
        "gate": {"min_face_px": 24.0},
        "summary": "A small residual network for gray 48 by 48 pixel faces.",
        "metrics": [dict(zip(keys, values, strict=True)) for values in metrics],
        "limits": ["Trained on acted and web faces, mostly of adults.", "Weak on fear."],
    }


def lesson() -> Summary:
    """45 minutes, 24 people, and some windows that must not be shown."""
    people = [24 if i % 7 else 22 for i in range(45)]
    people[14:17], people[30], people[43:] = [3, 4, 2], 4, [4, 0]
    return build(2700.0, people)


def long_lesson() -> Summary:
    return build(5400.0, [18 + i % 5 for i in range(90)])


def clip() -> Summary:
    """Three seconds with four people: nothing may be shown."""
    return build(3.0, [4])


def one_window() -> Summary:
    return build(60.0, [9])


def single_subject() -> Summary:
    summary = build(240.0, [1, 1, 0, 1], k=1)
    summary["session"] |= {"single_subject": True, "profile": "demo", "consent": None}
    return summary


def counting_only() -> Summary:
    return build(2700.0, [24 - i % 4 for i in range(45)], model=False)


def interrupted() -> Summary:
    summary = build(430.0, [23, 24, 24, 21, 22, 23, 20, 19])
    summary["session"]["complete"] = False
    return summary


def no_faces() -> Summary:
    summary = build(120.0, [0, 0])
    summary["counts"] |= {"readings": 0, "abstained": 0, "reasons": {}}
    return summary


def no_windows() -> Summary:
    summary = build(20.0, [])
    summary["counts"] |= {"readings": 0, "abstained": 0, "reasons": {}}
    return summary


BUILDERS = {
    builder.__name__: builder
    for builder in (
        lesson,
        long_lesson,
        clip,
        one_window,
        single_subject,
        counting_only,
        interrupted,
        no_faces,
        no_windows,
    )
}


@cache
def page(name: str) -> str:
    return render_report(BUILDERS[name]())


@pytest.fixture(params=BUILDERS)
def html(request: pytest.FixtureRequest) -> str:
    """The report of every synthetic summary in turn."""
    return page(request.param)


# --- reading HTML --------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Collects tags, attributes and text; fails on tags that do not balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, *tags: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in tags]


# --- the page as a document ----------------------------------------------------------------------


def test_tags_balance_and_ids_are_unique(html: str) -> None:
    reader = Reader(html)
    ids = [attrs["id"] for _, attrs in reader.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in reader.tags:
        for ref in (attrs.get("aria-labelledby") or "").split():
            assert ref in ids
        if (attrs.get("href") or "").startswith("#"):
            assert str(attrs["href"])[1:] in ids


def test_loads_nothing_and_runs_nothing(html: str) -> None:
    reader = Reader(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", html)
    assert not reader.named("script", "iframe", "object", "embed", "img")
    assert all(str(a.get("href")).startswith(("#", "data:")) for a in reader.named("a", "link"))
    assert not [a for _, attrs in reader.tags for a in attrs if a.startswith("on")]
    policy = next(a for a in reader.named("meta") if "http-equiv" in a)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_headings_descend_by_one_and_landmarks_exist(html: str) -> None:
    reader = Reader(html)
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert all(len(reader.named(tag)) == 1 for tag in ("header", "nav", "main", "footer"))
    assert reader.named("html")[0]["lang"] == "en"
    first_link = reader.named("a")[0]
    assert first_link["class"] == "skip" and first_link["href"] == "#main"


def test_every_chart_has_a_title_a_description_and_a_table(html: str) -> None:
    drawings = re.findall(r'<svg class="plot".*?</article>', html, re.S)
    for start in (m.start() for m in re.finditer(r'<svg class="plot"', html)):
        opening = re.match(
            r'<svg class="plot" role="img" aria-labelledby="(\S+) (\S+)">'
            r'<title id="\1">([^<]+)</title><desc id="\2">([^<]+)</desc>',
            html[start:],
        )
        assert opening
        assert len(opening[4]) > 40, "a description says the message, not only the kind of chart"
    reader = Reader(html)
    assert len(reader.named("details")) == len(reader.named("article"))
    assert len(drawings) == len(reader.named("article"))
    assert len(reader.named("caption")) == len(reader.named("table"))
    assert all(a.get("scope") in ("col", "row") for a in reader.named("th"))


def test_says_what_the_law_says_and_what_expressions_are_not(html: str) -> None:
    text = Reader(html).text
    assert "Article 5(1)(f) of the AI Act" in text
    assert "Expressions are not feelings." in text
    assert "Not for grading" in text
    assert "The camera saw two thirds of the room." in text
    assert "nan" not in text.lower().split() and "None" not in text and "undefined" not in text


def test_same_summary_same_bytes() -> None:
    assert render_report(lesson()) == page("lesson")
    assert render_report(json.loads(json.dumps(lesson()))) == page("lesson")


def test_strings_from_outside_are_escaped() -> None:
    summary = lesson()
    evil = '<script>alert("x")</script>'
    summary["session"] |= {"source": evil, "consent": evil, "profile_text": evil, "id": evil}
    summary["caveats"] = [evil]
    summary["detector"] = evil
    summary["model"]["limits"] = [evil]
    summary["counts"]["reasons"] = {evil: 4}
    html = render_report(summary)
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") >= 8
    Reader(html)


def test_labels_from_outside_are_escaped_in_charts() -> None:
    text = json.dumps(lesson()).replace('"focused"', '"<b>&focused"')
    html = render_report(json.loads(text))
    assert "<b>&focused" not in html and "&lt;b&gt;&amp;focused" in html
    Reader(html)


@pytest.mark.parametrize("change", [{"format": 2}, {"format": None}])
def test_other_formats_are_refused(change: Summary) -> None:
    with pytest.raises(InputError, match="format"):
        render_report(lesson() | change)


def test_missing_parts_are_named() -> None:
    summary = lesson()
    del summary["counts"], summary["windows"]
    with pytest.raises(InputError, match="counts, windows"):
        render_report(summary)


# --- groups below k ------------------------------------------------------------------------------


def test_windows_below_k_leak_nothing_even_if_the_summary_does() -> None:
    """Only the hidden windows differ between the two summaries; the page must not."""
    honest, leaky = lesson(), lesson()
    hidden = [w for w in leaky["windows"] if w["n"] < 5]
    assert len(hidden) == 6
    for window in hidden:
        full = row(window["t0"], window["t1"], 24)
        counted = {name: {"n": 24, "people": window["people"]} for name in COUNTED}
        window |= {"n": 24, "counted": counted, **{head: full[head] for head in COUNTED}}
    assert render_report(leaky) == render_report(honest)


def test_the_size_of_a_small_group_is_not_told() -> None:
    honest, other = lesson(), lesson()
    for window in other["windows"]:
        if window["n"] < 5:
            window |= {"n": 1, "people": 1}
    assert render_report(other) == render_report(honest)


def test_windows_below_k_are_hatched_and_say_so() -> None:
    html = page("lesson")
    engagement = html[html.index('id="engagement-h"') : html.index('id="state-h"')]
    assert engagement.count('class="hidden"') == 3  # three runs of hidden windows
    assert engagement.count("<td>not shown</td><td>fewer than 5 people</td>") == 5
    assert engagement.count('class="nobody"') == 1  # the last: nothing is withheld there
    assert engagement.count("<td>\u2013</td><td>nobody seen</td>") == 1
    assert 'class="swatch nobody"' in engagement
    assert "not shown: fewer than 5 people" in engagement
    rows = re.findall(r'<th scope="row">(14:00.15:00)</th>(.*?)</tr>', engagement)
    assert rows and not re.search(r"\d\.\d|%", rows[0][1])


def test_a_clip_with_four_people_shows_no_estimate_at_all() -> None:
    html = page("clip")
    for key in ("engagement", "state", "emotion"):
        part = html[html.index(f'id="{key}-h"') :]
        part = part[: part.index("</article>")]
        assert "Not shown in any time window: fewer than 5 people." in part
        assert not re.search(r'class="(line|band|dot|whisker|mean)"', part)
        assert part.count("<figure") == 1
    assert ">not shown</span>" in html


def test_leaky_overall_below_k_is_not_shown() -> None:
    summary = clip()
    summary["overall"] |= {k: row(0.0, 3.0, 24)[k] for k in COUNTED}
    assert render_report(summary) == page("clip")


def test_the_people_of_a_head_stand_beside_its_shares() -> None:
    """The state was read of 7 people in one picture, whoever else was there."""
    summary = one_window()
    for part in (summary["overall"], *summary["windows"]):
        part["counted"]["state"] = {"n": 8, "people": 7}
        part["counted"]["engagement"] = {"n": 11, "people": 9}
    html = render_report(summary)
    state = html[html.index('id="state-h"') : html.index('id="emotion-h"')]
    assert '<th scope="col">People, at least</th>' in state and "<td>7</td>" in state
    assert "<td>9</td>" in html[html.index('id="emotion-h"') :]
    assert "at least 9\u00a0people, 11\u00a0faces followed" in html


@pytest.mark.parametrize("counted", [None, {"n": 9, "people": 4}])
def test_a_head_of_too_few_people_is_not_shown(counted: dict[str, int] | None) -> None:
    summary = one_window()
    for part in (summary["overall"], *summary["windows"]):
        del part["counted"]["state"]
        if counted is not None:
            part["counted"]["state"] = counted
    html = render_report(summary)
    state = html[html.index('id="state-h"') : html.index('id="emotion-h"')]
    assert "Not shown in any time window: too few clear readings." in state
    assert not re.search(r'class="(line|band|dot|whisker|mean)"', state)


@pytest.mark.parametrize(
    "heads", [["emotion"], ["state"], ["mood"], ["votes"], ["votes", "emotion"]]
)
def test_the_heads_that_are_there_are_shown(heads: list[str]) -> None:
    summary = one_window()
    summary["spaces"] = dict.fromkeys(heads, EMOTIONS)
    for part in (summary["overall"], *summary["windows"]):
        full = {"n": 9, "people": 9}
        one = part["emotion"]
        for head in ("emotion", "state"):
            del part[head], part["counted"][head]
        part |= dict.fromkeys(heads, one)
        part["counted"] |= dict.fromkeys(heads, full)
    keys = [a["aria-labelledby"] for a in Reader(render_report(summary)).named("article")]
    told = [head for head in heads if head != "votes" or len(heads) == 1]
    assert keys == ["engagement-h", *(f"{h}-h" for h in told), "presence-h", "abstentions-h"]


def test_a_window_that_begins_on_the_end_is_drawn() -> None:
    summary = build(120.0, [9, 9])
    late = row(120.0, 180.0, 9)
    summary["windows"].append(late)
    assert "2:00\u20133:00" in render_report(summary)


def test_a_profile_that_forbids_estimates_shows_presence_only() -> None:
    html = page("counting_only")
    text = Reader(html).text
    assert "Facial expressions were not estimated" in text
    assert [a["aria-labelledby"] for a in Reader(html).named("article")] == ["presence-h"]
    assert "0.62" not in text and "Engagement" not in text


# --- the edges -----------------------------------------------------------------------------------


def test_one_window_is_a_dot_with_its_interval() -> None:
    html = page("one_window")
    engagement = html[html.index('id="engagement-h"') : html.index('id="state-h"')]
    assert engagement.count('class="whisker"') == 1 and engagement.count('class="dot"') == 1
    assert 'class="line"' not in engagement
    assert "in the only window shown" in engagement


@pytest.mark.parametrize("name", ["no_faces", "no_windows"])
def test_nothing_to_show_is_a_friendly_sentence(name: str) -> None:
    html = page(name)
    assert "No faces were found in this recording" in html
    assert "<svg" not in html and 'class="card"' not in html


def test_faces_without_a_window_say_so() -> None:
    summary = build(20.0, [])
    summary["counts"] |= {"sightings": 30, "subjects": 6}
    assert "too short for a single time window" in render_report(summary)


def test_interruption_and_demonstration_have_a_banner() -> None:
    assert "Stopped early." in page("interrupted")
    assert "only the first 7\u00a0min 10\u00a0s" in page("interrupted")
    assert "Demonstration with one person." in page("single_subject")
    assert "Groups only." not in page("single_subject")
    assert 'class="banner"' not in page("lesson")
    shown = lesson() | {"notice": "Photographs, not people."}
    html = render_report(shown)
    assert html.index("Photographs, not people.") < html.index('id="first"')


def test_the_law_comes_first_in_whole_sentences() -> None:
    text = Reader(page("lesson")).text
    box = text[text.index("Read this first The law") :].removeprefix("Read this first ")
    assert box.startswith("The law sets limits. In schools and at work")
    assert 'profile "research": whoever ran it states that it is research' in box


def test_the_mean_is_drawn_where_something_is_shown_only() -> None:
    html = page("lesson")
    engagement = html[html.index('id="engagement-h"') : html.index('id="state-h"')]
    assert engagement.count('<line class="mean"') == 3  # between three regions that show nothing


def test_a_report_that_counts_faces_speaks_of_nothing_else() -> None:
    text = Reader(page("counting_only")).text
    assert "Engagement" not in text and "shaded bands" not in text and "Groups only." not in text
    assert "Not who was there." in text


def test_how_often_the_model_is_right_is_said_in_words_first() -> None:
    text = Reader(page("lesson")).text
    assert "How often the model is right, on test pictures Of 100 test pictures" in text
    assert "about 69 as people named them and about 31 otherwise" in text
    assert "never seen" not in text


def test_gaps_between_windows_are_windows_without_anybody() -> None:
    rows = [row(60.0, 120.0, 6), row(180.0, 200.0, 6)]
    filled = fill_gaps(rows, 300.0)
    assert [(one["t0"], one["t1"]) for one in filled] == [
        (0, 60), (60, 120), (120, 180), (180, 200), (200, 300)
    ]  # fmt: skip
    assert [is_empty(one) for one in filled] == [True, False, True, False, True]
    assert fill_gaps(rows[:1], 120.0)[1:] == rows[:1] and fill_gaps([], 0.0) == []


@pytest.mark.parametrize(("low", "big"), [(0.3, "happy"), (0.02, "no emotion stood out")])
def test_an_emotion_near_nothing_gets_no_headline(low: float, big: str) -> None:
    whole = row(0.0, 60.0, 6)
    whole["counted"]["text-7"] = {"n": 6, "people": 6}
    whole["text-7"] = {
        "happy": {"value": 0.36, "low": low, "high": 0.73},
        "sad": estimate(0.1, 0.1),
    }
    counts = {"texts": 9, "abstained": 0, "writers": 6}
    writing = {"counts": counts, "overall": whole, "named": True, "spaces": {"text-7": ["happy"]}}
    found = writing_cards(writing, 5)[-1]
    assert found.big == big and "36\u00a0%" in found.text and "counts equally" in found.text
    assert found.quiet == (big != "happy")


def test_headline_numbers_are_spelled_for_people() -> None:
    text = Reader(page("lesson")).text
    assert "39 of 45" in text
    assert "on a scale from 0 to 1; 95 % interval 0." in text
    assert "right for about 69 of 100 faces" in text
    assert "0.67 to 0.70" in text and "3,589" in text
    assert "November 22, 2026, 03:15 UTC" in text


def test_vote_labels_stay_out() -> None:
    assert "contempt" not in page("lesson").lower()


def luminance(color: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colors_have_enough_contrast(scheme: int) -> None:
    start = (r"(?:^|\}):root \{", r"color-scheme: dark\) \{\s*:root \{")[scheme]
    blocks = re.findall(rf"{start}(.*?)\}}", page("lesson"), re.S | re.M)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", "".join(blocks)))
    for ground in ("paper", "card", "law", "warn"):
        assert contrast(colors["ink"], colors[ground]) >= 7
    for ground in ("paper", "card"):
        assert contrast(colors["muted"], colors[ground]) >= 4.5
        assert contrast(colors["accent"], colors[ground]) >= 4.5
    for mark, band in (("accent", "band"), ("state", "state-band"), ("emotion", "emotion-band")):
        assert contrast(colors[mark], colors["card"]) >= 3
        assert contrast(colors[mark], colors[band]) >= 3
    for mark in ("presence", "abstain"):
        assert contrast(colors[mark], colors["card"]) >= 3


def test_rendering_does_not_change_the_summary() -> None:
    summary = lesson()
    before = copy.deepcopy(summary)
    render_report(summary)
    assert summary == before


# --- drawing and words ---------------------------------------------------------------------------


def axes(end: float, most: int = 7) -> charts.Axes:
    def clock(t: float) -> str:
        return words.clock(t, hours=end >= words.HOUR)

    return charts.build_axes(0.0, end, 1.0, clock=clock, scale=words.score, most=most)


@pytest.mark.parametrize("end", [0.4, 3.0, 59.0, 60.0, 2700.0, 5400.0, 30000.0])
def test_time_ticks_are_few_and_distinct(end: float) -> None:
    labels = [text for _, text in axes(end).times]
    assert 1 <= len(labels) <= 7 and len(set(labels)) == len(labels)
    assert all(0 <= t <= end + 1e-6 for t, _ in axes(end).times)


def test_runs_break_at_hidden_windows_and_at_gaps() -> None:
    spans = [
        charts.Span(0, 1, 0.5),
        charts.Span(1, 2, 0.5),
        charts.Span(2, 3, None),
        charts.Span(3, 4, 0.0),
        charts.Span(9, 10, 0.5),
    ]
    assert [len(run) for run in charts.split_runs(spans)] == [2, 1, 1, 1]


def test_a_value_outside_the_axis_stays_in_the_plot() -> None:
    assert axes(10.0).y(1.7) == 0.0 and axes(10.0).y(-0.2) == 100.0


@pytest.mark.parametrize(("value", "top"), [(0, 4), (4, 4), (5, 8), (21.3, 40), (90, 200)])
def test_round_top(value: float, top: float) -> None:
    assert charts.round_top(value) == top


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.003, "<1 %"), (0.62, "62 %"), (0.998, ">99 %"), (1, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert words.percent(share).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (3, "3 s"), (125, "2 min 5 s"), (2700, "45 min"), (5400, "1 h 30 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds).replace("\u00a0", " ") == text


def test_clock() -> None:
    assert words.clock(725, hours=False) == "12:05"
    assert words.clock(3900, hours=True) == "1:05"
    assert words.clock(3930, hours=True) == "1:05:30"
