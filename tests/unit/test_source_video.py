"""Video files and GIF: time, sampling, rotation, damage. Clips are made on the spot."""

import logging
import os
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media import (
    BLUE,
    CODECS,
    GREEN,
    RED,
    YELLOW,
    corners,
    quarters,
    shade,
    write_audio,
    write_video,
)

from classpulse.core.errors import InputError
from classpulse.vision.clock import Clock, Sampler
from classpulse.vision.source import open_source

DATA = Path(__file__).parents[2].parent / "shared/data/video"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"real clips are absent: {DATA}")


def read(spec, **options):
    with open_source(spec, **options) as source:
        return list(source)


def noise(count):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(count)]


def open_files():
    return len(os.listdir("/proc/self/fd"))


class TestReading:
    @pytest.mark.parametrize("suffix", sorted(CODECS))
    def test_containers(self, tmp_path, suffix):
        path = write_video(tmp_path / f"a{suffix}", frames=25)
        with open_source(path) as source:
            frames = list(source)
            if suffix != ".mpg":  # MPEG-PS has no length; FFmpeg's guess fails on one second
                assert source.duration == pytest.approx(1.0, abs=0.1)
            assert not source.live
        assert [f.index for f in frames] == list(range(25))
        assert [f.t for f in frames] == pytest.approx([i / 25 for i in range(25)], abs=0.002)
        means = [f.image.mean() for f in frames]
        assert means == pytest.approx([shade(i) for i in range(25)], abs=4)

    def test_colors_are_rgb(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", images=[quarters(48, 64)] * 3)
        assert corners(read(path)[0].image) == [RED, GREEN, BLUE, YELLOW]

    def test_ntsc_rate_does_not_drift(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", frames=90, rate=Fraction(30000, 1001))
        frames = read(path)
        assert frames[-1].t == pytest.approx(89 * 1001 / 30000, abs=1e-4)
        assert [f.index for f in read(path, every=1.0)] == [0, 30, 60]

    def test_variable_frame_rate(self, tmp_path):
        ticks = [0, 40, 80, 1000, 1010, 1500, 4000, 4040]
        path = write_video(tmp_path / "a.mkv", frames=8, ticks=ticks)
        assert [f.t for f in read(path)] == pytest.approx([t / 1000 for t in ticks])
        kept = read(path, every=0.5)  # one after the gap, not one for each multiple missed
        assert [f.t for f in kept] == pytest.approx([0, 1.0, 1.5, 4.0])
        assert [f.index for f in kept] == [0, 3, 5, 6]

    def test_time_starts_at_the_start_of_the_stream(self, tmp_path):
        path = write_video(tmp_path / "a.mkv", frames=4, ticks=[5000, 5040, 5080, 5120])
        assert [f.t for f in read(path)] == pytest.approx([0, 0.04, 0.08, 0.12])

    def test_sampling(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", frames=50)
        assert [f.index for f in read(path, every=0.5)] == [0, 13, 25, 38]
        assert [f.index for f in read(path, every=0.04)] == list(range(50))
        assert [f.index for f in read(path, every=100)] == [0]

    def test_only_kept_frames_are_converted(self, tmp_path, monkeypatch):
        from classpulse.vision import video

        calls = []
        real = video.read_rgb
        monkeypatch.setattr(video, "read_rgb", lambda *a: calls.append(1) or real(*a))
        read(write_video(tmp_path / "a.mp4", frames=50), every=1.0)
        assert len(calls) == 2

    @pytest.mark.parametrize("degrees", [0, 90, 180, 270])
    @pytest.mark.parametrize("mirror", [(False, False), (True, False), (False, True)])
    def test_display_matrix(self, tmp_path, degrees, mirror):
        image = quarters(48, 64)
        path = write_video(tmp_path / "a.mp4", images=[image] * 2, rotation=(degrees, *mirror))
        wanted = np.rot90(image, degrees // 90)  # PyAV counts counterclockwise
        wanted = wanted[:: -1 if mirror[1] else 1, :: -1 if mirror[0] else 1]
        shown = read(path)[0].image
        assert shown.shape == wanted.shape
        assert corners(shown) == corners(wanted)

    def test_sound_beside_the_pictures(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", frames=5, audio=True)
        assert len(read(path)) == 5

    def test_colon_in_a_name(self, tmp_path):
        path = write_video(tmp_path / "a.mkv", frames=2).rename(tmp_path / "part: 1.mkv")
        assert len(read(path)) == 2


class TestGif:
    def test_animated_and_still(self, tmp_path):
        Image = pytest.importorskip("PIL.Image", reason="Pillow (extra 'test') makes the GIF")
        pages = [Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)) for i in range(4)]
        path = tmp_path / "a.gif"
        pages[0].save(path, save_all=True, append_images=pages[1:], duration=[100, 300, 50, 70])
        with open_source(path) as source:
            frames = list(source)
            assert source.duration == pytest.approx(0.52)
        assert [f.t for f in frames] == pytest.approx([0, 0.1, 0.4, 0.45])
        assert [f.image[0, 0, 0] for f in frames] == [0, 40, 80, 120]
        pages[2].save(path)
        (frame,) = read(path)
        assert frame.image[0, 0, 0] == 80 and frame.t == 0

    def test_transparent_parts_show_white(self, tmp_path):
        Image = pytest.importorskip("PIL.Image", reason="Pillow (extra 'test') makes the GIF")
        page = Image.fromarray(np.repeat([[0], [1]], 8, axis=1).astype(np.uint8), "P")
        page.putpalette([9, 9, 9, *RED])
        page.save(tmp_path / "a.gif", transparency=0)
        (frame,) = read(tmp_path / "a.gif")
        assert frame.image[:, 0].tolist() == [[255, 255, 255], list(RED)]


class TestDamage:
    def test_index_missing(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", images=noise(50))
        path.write_bytes(path.read_bytes()[:-4000])
        with pytest.raises(InputError, match=r"not a readable video.*cut off"):
            open_source(path).__enter__()

    @pytest.mark.parametrize(
        ("suffix", "options", "message"),
        [
            (".mp4", {"movflags": "faststart"}, "damaged parts were left out"),
            (".mkv", {}, "pictures end at 2.* of the 4.0 s announced"),
            (".webm", {}, "pictures end at 2.* of the 4.0 s announced"),
            (".avi", {}, "damaged parts were left out"),
        ],
    )
    def test_cut_in_the_middle(self, tmp_path, caplog, capfd, suffix, options, message):
        path = write_video(tmp_path / f"a{suffix}", images=noise(100), options=options)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 6 // 10])
        frames = read(path)
        assert 45 <= len(frames) <= 65
        (record,) = [r for r in caplog.records if r.name.startswith("classpulse")][:1]
        assert record.levelno == logging.WARNING
        assert re.search(message, caplog.text)
        assert capfd.readouterr() == ("", "")

    def test_damaged_in_the_middle(self, tmp_path, caplog):
        path = write_video(tmp_path / "a.mp4", images=noise(100))
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
        path.write_bytes(data)
        frames = read(path)
        assert 80 <= len(frames) < 100
        assert frames[-1].t == pytest.approx(99 / 25, abs=0.01)
        assert "damaged parts were left out" in caplog.text

    def test_nothing_decodes(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", images=noise(10), options={"movflags": "faststart"})
        data = path.read_bytes()
        start = data.index(b"mdat") + 4
        path.write_bytes(data[:start] + bytes(len(data) - start))
        with pytest.raises(InputError, match="no frame of it can be decoded"):
            read(path)

    def test_intact_file_gives_no_warning(self, tmp_path, caplog):
        read(write_video(tmp_path / "a.mp4", frames=60, audio=True))
        assert not caplog.records

    def test_sound_only(self, tmp_path):
        with pytest.raises(InputError, match="no pictures, its streams are: audio"):
            read(write_audio(tmp_path / "a.mp4"))


class TestLifetime:
    def test_abandoned_or_failed_reading_closes_the_file(self, tmp_path):
        path = write_video(tmp_path / "a.mkv", frames=50)
        before = open_files()
        with open_source(path) as source:
            for frame in source:
                assert frame.index == 0
                break
        with pytest.raises(KeyError), open_source(path) as source:
            for _ in source:
                raise KeyError("mine")
        with open_source(path):
            pass
        with pytest.raises(InputError):
            open_source(write_audio(tmp_path / "b.mp4")).__enter__()
        assert open_files() == before

    def test_an_iterator_that_outlives_the_source_just_ends(self, tmp_path, caplog):
        with open_source(write_video(tmp_path / "a.mkv", frames=50)) as source:
            frames = iter(source)
            next(frames), next(frames)
        assert next(frames, None) is None and not caplog.records  # it once crashed the process

    def test_read_once_and_only_inside(self, tmp_path):
        path = write_video(tmp_path / "a.mkv", frames=3)
        with pytest.raises(InputError, match="inside 'with'"):
            list(open_source(path))
        with open_source(path) as source:
            assert len(list(source)) == 3
            with pytest.raises(InputError, match="read once"):
                list(source)


@needs_data
class TestRealClips:
    @pytest.mark.parametrize(
        ("name", "frames", "seconds"),
        [("classroom.gif", 45, 2.99), ("learn.mkv", 61, 2.033), ("student.mkv", 52, 1.733)],
    )
    def test_counts_and_times(self, name, frames, seconds):
        with open_source(DATA / name) as source:
            got = [(f.t, f.image.shape, float(f.image.std())) for f in source]
            assert source.duration == pytest.approx(seconds)
        times = [t for t, _, _ in got]
        assert len(got) == frames and times[0] == 0 and times == sorted(times)
        assert times[-1] < seconds and len(set(times)) == frames
        assert {s for _, s, _ in got} == {(270, 480, 3) if name.endswith("gif") else (480, 640, 3)}
        assert min(spread for _, _, spread in got) > 20


class TestClock:
    def test_missing_times_continue_by_the_average(self):
        clock = Clock(start=None, step=0.04)
        times = [clock.tick(t) for t in (None, None, 7.0, None)]
        assert times == pytest.approx([0, 0.04, 0.08, 0.12])
        clock = Clock(start=10.0, step=0.04)
        times = [clock.tick(t) for t in (10.0, 10.1, None, 10.12, 10.3)]
        assert times == pytest.approx([0, 0.1, 0.14, 0.14, 0.3])

    def test_restarted_clock_carries_on(self):
        clock = Clock(start=100.0, step=0.5)
        times = [clock.tick(t) for t in (100, 100.5, 101, 101.5, 102, 0.0, 0.5, 1.0)]
        assert times == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5])

    @given(
        st.lists(st.none() | st.floats(-1e6, 1e6), max_size=40),
        st.none() | st.floats(-1e6, 1e6),
        st.floats(0.001, 1),
    )
    def test_never_runs_backward(self, times, start, step):
        clock = Clock(start=start, step=step)
        out = [clock.tick(t) for t in times]
        assert out == sorted(out) and all(t >= 0 for t in out)

    @given(st.lists(st.floats(0, 1e4), max_size=60), st.floats(0.01, 100))
    def test_at_most_one_frame_for_each_multiple(self, times, every):
        sampler = Sampler(every)
        kept = [t for t in sorted(times) if sampler.keeps(t)]
        assert kept[:1] == sorted(times)[:1]
        slots = [int((t + 1e-6) // every) for t in kept]
        assert len(slots) == len(set(slots))
