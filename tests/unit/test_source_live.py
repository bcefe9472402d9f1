"""Live sources: the reading thread with invented feeds, RTSP against a small server, webcams."""

import gc
import threading
import time
import traceback
from typing import ClassVar

import numpy as np
import pytest
from media import BLUE, GREEN, RED, YELLOW, RtspCamera, corners, quarters

from classpulse.core.errors import InputError
from classpulse.vision import camera, live, rtsp
from classpulse.vision.live import LiveSource, LostError
from classpulse.vision.source import open_source

PASSWORD = "secret"  # tracebacks quote source lines, so tests name it indirectly


def picture(level=0):
    return np.full((2, 2, 3), level, np.uint8)


def endless(pause=0.005):
    count = 0
    while True:
        yield lambda level=count % 250: picture(level)
        count += 1
        time.sleep(pause)


def source(connect, **options):
    return LiveSource(connect, name="test", advice="check the cable", **options)


def readers():
    return [t for t in threading.enumerate() if t.name.startswith("read ")]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(live, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(live, "MAX_PAUSE_SECONDS", 0.05)
    yield
    assert not readers()  # no test may leave a thread behind


class TestWrapper:
    def test_slow_consumer_sees_fresh_frames_in_order(self):
        with source(endless) as reader:
            start, seen = time.monotonic(), []
            for frame in reader:
                seen.append((frame.index, frame.t, time.monotonic() - start))
                time.sleep(0.06)
                if len(seen) == 6:
                    break
            assert reader.dropped > 10
        indices = [i for i, _, _ in seen]
        assert indices == sorted(set(indices)) and indices[-1] > 20
        assert all(abs(now - t) < 0.05 for _, t, now in seen[1:])  # not from a growing queue

    def test_attributes_and_first_time(self):
        with source(endless) as reader:
            frame = next(iter(reader))
            assert frame.source == "test" and frame.image.shape == (2, 2, 3)
            assert reader.live and reader.duration is None

    def test_sampling_converts_only_kept_frames(self):
        made = []

        def feed():
            for _ in range(200):
                yield lambda: made.append(1) or picture()
                time.sleep(0.002)

        with source(feed, every=0.1) as reader:
            times = [f.t for f, _ in zip(reader, range(3), strict=False)]
        assert times == pytest.approx([0.0, 0.1, 0.2], abs=0.04)
        assert len(made) <= 4

    def test_failing_reader_reaches_the_consumer(self):
        def feed():
            yield picture
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"), source(feed) as reader:
            assert [f.index for f in reader] == [0]

    def test_failing_conversion_reaches_the_consumer(self):
        def feed():
            yield lambda: 1 / 0

        with pytest.raises(ZeroDivisionError), source(feed):
            pass

    def test_dead_reader_fails_at_once_on_entering(self):
        def feed():
            raise LostError("no route")
            yield

        start = time.monotonic()
        with pytest.raises(InputError, match=r"'test' cannot be opened: no route; check the cable"):
            source(feed, reconnect=60).__enter__()
        assert time.monotonic() - start < 1

    def test_reconnects_and_goes_on_counting(self, caplog):
        connections = []

        def feed():
            connections.append(1)
            for _ in range(3):
                yield picture
                time.sleep(0.03)
            if len(connections) < 3:
                raise LostError("cable out")
            yield from endless()

        with source(feed) as reader:
            frames = [f for f, _ in zip(reader, range(10), strict=False)]
        assert len(connections) == 3
        indices, times = [f.index for f in frames], [f.t for f in frames]
        assert indices == sorted(set(indices)) and indices[-1] >= 9 and times == sorted(times)
        assert "cable out; trying again" in caplog.text

    @pytest.mark.parametrize("patience", [0.0, 0.2])
    def test_gives_up_after_reconnect_seconds(self, patience):
        connections = []

        def feed():
            connections.append(time.monotonic())
            if len(connections) == 1:
                yield picture
            raise LostError("cable out")

        with (
            pytest.raises(InputError, match=r"no frame for .* s: cable out; check the cable"),
            source(feed, reconnect=patience) as reader,
        ):
            assert [f.index for f in reader] == [0]
        lasted = time.monotonic() - connections[0]
        assert patience <= lasted < patience + 0.5

    def test_pictures_that_never_decode_count_as_lost(self):
        connections = []

        def feed():
            connections.append(1)
            if len(connections) == 1:
                yield picture
            while True:
                time.sleep(0.01)
                yield broken

        def broken():
            raise LostError("bad data")

        with pytest.raises(InputError, match="bad data"), source(feed, reconnect=0.1) as reader:
            for _ in reader:
                pass

    def test_leaving_closes_the_feed(self):
        closed = []

        def feed():
            try:
                yield from endless()
            finally:
                closed.append(threading.current_thread().name)

        with pytest.raises(KeyError), source(feed) as reader:
            for _ in reader:
                raise KeyError("mine")
        assert closed == ["read test"]  # in the thread that opened it
        assert list(reader) == []

    def test_only_one_frame_is_held(self):
        arrays = 0
        with source(lambda: endless(0.0005)):
            time.sleep(0.2)
            gc.collect()
            arrays = sum(isinstance(o, live.Frame) for o in gc.get_objects())
        assert arrays <= 3

    def test_reconnect_out_of_range(self):
        with pytest.raises(InputError, match="reconnect = -1"):
            source(endless, reconnect=-1)


class TestRtsp:
    def test_reads_a_stream_and_reconnects(self, caplog):
        with RtspCamera(frames=60) as server:
            url = f"rtsp://user:secret@127.0.0.1:{server.port}/live?key=secret"
            with open_source(url, reconnect=10) as reader:
                assert reader.name == f"rtsp://127.0.0.1:{server.port}/live"
                for frame in reader:
                    assert frame.image.shape == (48, 64, 3)
                    assert np.ptp(frame.image) <= 4 and 15 < frame.image.mean() < 225
                    if server.connections == 2 and frame.t > 1.5:
                        break
        assert frame.index > 30
        assert "trying again" in caplog.text and "secret" not in caplog.text

    def test_silent_camera_times_out(self, monkeypatch):
        monkeypatch.setattr(rtsp, "READ_SECONDS", 0.4)
        with RtspCamera(frames=60, stall=True) as server:
            url = f"rtsp://127.0.0.1:{server.port}/live"
            with (
                pytest.raises(InputError, match="no answer in time"),
                open_source(url, reconnect=0) as reader,
            ):
                for _ in reader:
                    pass

    @pytest.mark.parametrize("refuse", [True, False])
    def test_no_connection_fails_soon_without_the_password(self, refuse, caplog, capfd):
        with RtspCamera(frames=0, refuse=True) as server:
            port = server.port if refuse else 9
            start = time.monotonic()
            with pytest.raises(InputError) as caught:
                open_source(f"rtsp://user:{PASSWORD}@127.0.0.1:{port}/live").__enter__()
        assert time.monotonic() - start < 5
        message = str(caught.value)
        assert f"'rtsp://127.0.0.1:{port}/live' cannot be opened" in message
        assert ("nauthorized" in message) if refuse else ("refused" in message)
        assert "user and password" in message
        error = caught.value
        while error is not None:  # a logged traceback shows the causes too
            assert PASSWORD not in "".join(traceback.format_exception(error))
            error = error.__cause__ or error.__context__
        assert PASSWORD not in caplog.text + "".join(capfd.readouterr())

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("rtsp://10.0.0.5/live", "rtsp://10.0.0.5/live"),
            ("rtsps://u:p@cam.school:322/a/b", "rtsps://cam.school:322/a/b"),
            ("rtsp://u:p@ss/w?rd@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"),
            ("rtsp://h/user=admin&password=secret", "rtsp://h/user"),
            ("rtsp://h:1/s?mail=a@b&password=secret", "rtsp://..."),
            ("rtsp://h:1/s?user=ada&password=sec@ret", "rtsp://..."),
            ("rtsp://10.0.0.5?user=admin&password=secret", "rtsp://10.0.0.5"),
            ("rtsp://10.0.0.5;pw=secret", "rtsp://10.0.0.5"),
            ("rtsp://10.0.0.5;pw=sec@ret", "rtsp://..."),
            ("rtsp://ada:c2VjcmV0Cg==@cam/live", "rtsp://cam/live"),
            ("rtsp://", "rtsp://..."),
        ],
    )
    def test_redact(self, url, shown):
        assert rtsp.redact(url) == shown


class FakeCapture:
    """Stands for cv2.VideoCapture: `good` pictures, then none."""

    good = 3
    opened: ClassVar[list["FakeCapture"]] = []

    def __init__(self, number):
        self.number, self.left, self.released = number, self.good, False
        self.opened.append(self)

    def isOpened(self):
        return len(self.opened) < 3

    def set(self, *args):
        return True

    def grab(self):
        time.sleep(0.01)
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, quarters()[..., ::-1].copy()

    def release(self):
        self.released = True


class TestCamera:
    def test_missing_camera_names_the_devices(self, capfd, monkeypatch):
        monkeypatch.setattr(camera, "_advice", lambda: "devices found: none")
        with pytest.raises(InputError, match=r"'camera:97' cannot be opened.*devices found: none"):
            open_source("camera:97").__enter__()
        assert capfd.readouterr() == ("", "")

    def test_advice(self):
        assert "devices found: " in camera._advice() and "/dev/videoN" in camera._advice()

    def test_rgb_reconnect_and_end(self, monkeypatch):
        monkeypatch.setattr(camera.cv2, "VideoCapture", FakeCapture)
        monkeypatch.setattr(FakeCapture, "opened", [])
        frames = []
        with (
            pytest.raises(InputError, match=r"'camera:1' was lost .* missing, busy"),
            open_source("camera:1", reconnect=0.3) as reader,
        ):
            frames.extend(reader)
        assert frames and corners(frames[0].image) == [RED, GREEN, BLUE, YELLOW]
        assert FakeCapture.opened[0].number == 1 and len(FakeCapture.opened) >= 3
        assert all(c.released for c in FakeCapture.opened)
