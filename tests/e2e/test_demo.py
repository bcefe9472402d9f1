"""`classpulse demo`: what a newcomer runs first must work and must not pretend."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from classpulse.cli import app
from classpulse.core.errors import MissingExtraError, OutputError
from classpulse.room import demo
from classpulse.room.analyze import Session

RESULTS = {"readings.csv", "readings.parquet", "codebook.csv", "summary.json", "report.html"}


class Links(HTMLParser):
    """Collects what a page would load or lead to, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        loads = ("src", "href", "srcset", "data", "action", "poster")
        self.targets += [value or "" for name, value in attrs if name in loads]


def probe(path: Path) -> tuple[str, int, int, float, int]:
    """Codec, width, height, seconds and number of frames of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        assert container.duration is not None
        seconds = container.duration / 1e6
        return stream.codec_context.name, stream.width, stream.height, seconds, frames


class TestSession:
    def test_six_seats_are_followed_as_six_subjects(self, demo_session: Session) -> None:
        counts = demo_session.summary["counts"]
        assert 6 <= counts["subjects"] <= 7  # two leave and come back
        assert counts["frames"] == demo.SECONDS / demo.EVERY

    def test_class_engagement_is_shown_in_most_windows(self, demo_session: Session) -> None:
        windows = demo_session.summary["windows"]
        assert len(windows) == demo.SECONDS / demo.WINDOW
        shown = [w for w in windows if w["engagement"] is not None]
        assert len(shown) > len(windows) / 2
        for window in shown:
            gauge = window["engagement"]
            assert window["n"] >= 5
            assert 0 <= gauge["low"] <= gauge["value"] <= gauge["high"] <= 1

    def test_window_with_four_people_is_not_shown(self, demo_session: Session) -> None:
        (window,) = [w for w in demo_session.summary["windows"] if w["t0"] == 10.0]
        assert window["n"] <= 4
        assert window["engagement"] is window["emotion"] is window["state"] is None

    def test_abstentions_are_counted_with_their_reasons(self, demo_session: Session) -> None:
        counts = demo_session.summary["counts"]
        assert {"face too small", "blurred"} & counts["reasons"].keys()
        assert sum(counts["reasons"].values()) == counts["abstained"] < counts["readings"]

    def test_abstained_rows_state_nothing(self, demo_session: Session) -> None:
        table = demo_session.readings
        silent = table["abstained"] != ""
        assert silent.sum() == demo_session.summary["counts"]["abstained"] > 0
        assert np.isnan(table["engagement"][silent]).all()
        assert not np.isnan(table["engagement"][~silent]).any()
        assert set(table["emotion"][silent]) == {""}

    def test_says_first_that_two_people_are_shown(self, demo_session: Session) -> None:
        assert demo_session.summary["notice"] == demo.NOTICE
        assert demo.NOTICE not in demo_session.summary["caveats"]


class TestFiles:
    def test_folder_holds_the_results_the_video_and_what_was_there(
        self, demo_session: Session, demo_folder: Path
    ) -> None:
        names = {path.name for path in demo_folder.iterdir()}
        assert names == RESULTS | {"demo.mp4", "notes.txt"}
        assert (demo_folder / "notes.txt").read_text() == "mine"
        assert demo_session.files.keys() == RESULTS | {"demo.mp4"}
        assert all(path.stat().st_size > 0 for path in demo_session.files.values())

    def test_video_is_h264_of_the_promised_length(self, demo_folder: Path) -> None:
        codec, width, height, seconds, frames = probe(demo_folder / "demo.mp4")
        assert (codec, width, height) == ("h264", demo.WIDTH, demo.HEIGHT)
        assert seconds == pytest.approx(demo.SECONDS, abs=0.2)
        assert frames == demo.SECONDS * demo.RATE

    def test_summary_file_is_the_summary(self, demo_session: Session, demo_folder: Path) -> None:
        text = (demo_folder / "summary.json").read_text(encoding="utf-8")
        assert json.loads(text) == json.loads(json.dumps(demo_session.summary))

    def test_report_shows_engagement_and_the_caveat(
        self, demo_session: Session, demo_folder: Path
    ) -> None:
        page = (demo_folder / "report.html").read_text(encoding="utf-8")
        gauge = demo_session.summary["overall"]["engagement"]
        assert page.index(demo.NOTICE) < page.index("Read this first</h2>")
        assert "Engagement" in page and f"{gauge['value']:.2f}" in page

    def test_report_is_self_contained(self, demo_folder: Path) -> None:
        page = (demo_folder / "report.html").read_text(encoding="utf-8")
        links = Links()
        links.feed(page)
        assert links.targets and all(t.startswith(("#", "data:")) for t in links.targets)
        assert not links.tags & {"script", "iframe", "object", "embed"}
        assert not re.search(r"@import|url\((?!#)", page)


class TestCommand:
    def test_prints_the_class_number_and_where_the_report_is(
        self, demo_session: Session, demo_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[Path] = []
        monkeypatch.setattr(demo, "run_demo", lambda out: asked.append(out) or demo_session)
        result = CliRunner().invoke(app, ["demo", "--out", "somewhere"])
        assert result.exit_code == 0, result.output
        assert asked == [Path("somewhere")]
        assert "Class engagement 0." in result.output
        assert (demo_folder / "report.html").as_uri() in result.output


@pytest.mark.usefixtures("portraits")
class TestMakeDemoVideo:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(demo, "SECONDS", 1)

    def test_makes_folders_and_replaces_an_older_file(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "lesson.mp4"
        demo.make_demo_video(path)
        path.write_text("not a video any more")
        demo.make_demo_video(path)
        assert probe(path)[-1] == demo.RATE
        assert [p.name for p in path.parent.iterdir()] == ["lesson.mp4"]

    def test_demo_video_builds_once(self, tmp_path: Path) -> None:
        path = demo.demo_video(tmp_path)
        made = path.stat().st_mtime_ns
        assert demo.demo_video(tmp_path) == path
        assert path.stat().st_mtime_ns == made

    def test_every_seat_moves(self) -> None:
        cards = [demo._load_card(portrait) for portrait in demo.PORTRAITS]
        first, *_, last = demo._frames(cards)
        changed = np.abs(first.astype(int) - last).max(axis=2) > 20
        for number in range(len(demo.SEATS)):
            row, column = divmod(number, 3)
            top, left = row * (demo.VIEW + demo.DESK), column * demo.COLUMN
            assert changed[top : top + demo.VIEW, left : left + demo.COLUMN].any(), number

    def test_a_file_where_the_folder_should_be(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        with pytest.raises(OutputError, match="taken"):
            demo.run_demo(tmp_path / "taken")


class TestWithoutTheExtra:
    @pytest.mark.parametrize("missing", ["package", "file"])
    def test_one_error_with_the_install_line_and_nothing_written(
        self, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        part = {"package": "no_such_package_here"} if missing == "package" else {"file": "no.png"}
        broken = tuple(replace(portrait, **part) for portrait in demo.PORTRAITS)
        monkeypatch.setattr(demo, "PORTRAITS", broken)
        with pytest.raises(MissingExtraError, match=r"pip install 'classpulse\[demo\]'"):
            demo.run_demo(tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("portraits")
def test_the_packages_of_the_portraits_are_not_imported() -> None:
    code = (
        "import sys; from classpulse.room.demo import portrait_paths; portrait_paths(); "
        "assert not {'skimage', 'matplotlib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
