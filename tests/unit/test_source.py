"""Opening sources: what a spec means, stills, pipes, and the errors. Video and live have their own
files."""

import io
import os
import struct
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from media import BLUE, GREEN, RED, YELLOW, corners, quarters, shade, write_video

from classpulse.core.errors import InputError
from classpulse.vision import stills
from classpulse.vision.header import read_size, sniff
from classpulse.vision.source import open_source

Image = pytest.importorskip("PIL.Image", reason="Pillow (extra 'test') makes the pictures")

UPRIGHT = [RED, GREEN, BLUE, YELLOW]


def encode(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


def read(spec, **options):
    with open_source(spec, **options) as source:
        return list(source)


def save(path, image=None, kind="PNG", **options):
    path.write_bytes(encode(quarters() if image is None else image, kind, **options))
    return path


def stored_for(upright, orientation):
    """The pixels a camera stores so that EXIF `orientation` shows `upright`."""
    turn = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),  # shown after a quarter turn clockwise
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    return np.ascontiguousarray(turn[orientation](upright))


def oriented(image, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "WEBP":
        options["lossless"] = True
    if kind == "TIFF":
        return encode(image, kind, tiffinfo={274: orientation})
    return encode(image, kind, exif=exif, **options)


class TestPictures:
    @pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".tif", ".tiff"])
    def test_every_format_gives_rgb(self, tmp_path, suffix):
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix[1:].lower(), suffix[1:].upper())
        path = save(tmp_path / f"a{suffix}", kind=kind)
        for spec in (path, str(path)):
            (frame,) = read(spec)
            assert corners(frame.image) == UPRIGHT
            assert (frame.t, frame.index, frame.source) == (0.0, 0, str(path))
            assert frame.image.dtype == np.uint8 and frame.image.flags.c_contiguous

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
    @pytest.mark.parametrize("reduced", [False, True])
    def test_exif_orientation(self, monkeypatch, kind, orientation, reduced):
        if reduced:
            monkeypatch.setattr(stills, "FULL_PIXELS", 1000)
            monkeypatch.setattr(stills, "REDUCED_PIXELS", 500)
        data = oriented(stored_for(quarters(), orientation), kind, orientation)
        image = stills.decode_still(data, name="x")
        assert image.shape == ((16, 24, 3) if reduced else (32, 48, 3))
        assert corners(image) == UPRIGHT

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_exif_orientation_with_alpha(self, kind, orientation):
        image = np.dstack([quarters(), np.full((32, 48), 255, np.uint8)])
        data = oriented(stored_for(image, orientation), kind, orientation)
        assert corners(stills.decode_still(data, name="x")) == UPRIGHT

    def test_transparent_parts_show_white(self):
        rgba = np.zeros((8, 8, 4), np.uint8)
        rgba[..., 0] = 200  # a color hidden under full transparency
        rgba[:, 4:, 3] = 255
        rgba[4:, 4:, 3] = 128
        palette = Image.fromarray(rgba[:4]).quantize(4)
        for data in (encode(rgba, "PNG"), encode(rgba, "WEBP", lossless=True, exact=True)):
            image = stills.decode_still(data, name="x")
            assert image[0, 0].tolist() == [255, 255, 255]
            assert image[0, 7].tolist() == [200, 0, 0]
            assert image[7, 7].tolist() == [227, 127, 127]
        assert stills.decode_still(encode(palette, "PNG"), name="x")[0, 0].min() >= 250

    def test_grey_alpha_16_bit_and_cmyk(self):
        grey = np.tile(np.arange(0, 250, 10, dtype=np.uint8), (4, 1))
        for kind in ("PNG", "TIFF"):
            deep = stills.decode_still(encode(grey.astype(np.uint16) * 257, kind), name="x")
            assert np.abs(deep[..., 1].astype(int) - grey).max() <= 1
        flat = stills.decode_still(encode(grey, "PNG"), name="x")
        assert flat.shape == (4, 25, 3) and np.array_equal(flat[..., 2], grey)
        pair = Image.fromarray(np.dstack([grey, np.full_like(grey, 255)]), "LA")
        assert np.array_equal(stills.decode_still(encode(pair, "PNG"), name="x")[..., 0], grey)
        wide = np.dstack([quarters(), np.full((32, 48), 255, np.uint8)]).astype(np.uint16) * 257
        data = cv2.imencode(".png", np.ascontiguousarray(wide[..., [2, 1, 0, 3]]))[1].tobytes()
        assert corners(stills.decode_still(data, name="x")) == UPRIGHT
        for kind in ("JPEG", "TIFF"):
            cmyk = encode(Image.fromarray(quarters()).convert("CMYK"), kind)
            assert corners(stills.decode_still(cmyk, name="x")) == UPRIGHT

    def test_one_pixel(self, tmp_path):
        path = save(tmp_path / "a.png", np.array([[RED]], np.uint8))
        (frame,) = read(path)
        assert frame.image.tolist() == [[list(RED)]]

    def test_a_gigapixel_is_refused_from_its_header(self, tmp_path):
        body = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body
        path = tmp_path / "a.png"
        path.write_bytes(data + struct.pack(">I", zlib.crc32(body)))
        with pytest.raises(InputError, match=r"30000 x 30000 pixels, the limit is 400 megapixels"):
            read(path)

    def test_file_size_limit(self, tmp_path, monkeypatch):
        monkeypatch.setattr(stills, "MAX_FILE_BYTES", 10)
        with pytest.raises(InputError, match="the limit for an image is 10"):
            read(save(tmp_path / "a.png"))

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
    def test_header_size_and_cut_files(self, kind):
        data = encode(np.random.default_rng(0).integers(0, 255, (33, 47, 3), np.uint8), kind)
        assert read_size(data, sniff(data)) == (47, 33)
        for cut in (10, 30, len(data) // 2):
            with pytest.raises(InputError):
                stills.decode_still(data[:cut], name="x")

    @pytest.mark.parametrize("lossless", [True, False])
    def test_header_size_of_extended_webp(self, lossless):
        data = encode(quarters(), "WEBP", lossless=lossless, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0")
        assert data[12:16] == b"VP8X" and read_size(data, "webp") == (48, 32)


class TestFolders:
    def test_natural_order_times_and_what_is_ignored(self, tmp_path):
        for name, level in (("img10.png", 30), ("img2.png", 20), ("IMG1.PNG", 10)):
            save(tmp_path / name, np.full((4, 4, 3), level, np.uint8))
        save(tmp_path / ".hidden.png")
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / "folder.png").mkdir()
        with open_source(tmp_path, still_seconds=2.5, every=100) as source:
            frames = list(source)
            assert (source.duration, source.live, source.skipped) == (7.5, False, 0)
        assert [f.image[0, 0, 0] for f in frames] == [10, 20, 30]
        assert [(f.t, f.index) for f in frames] == [(0.0, 0), (2.5, 1), (5.0, 2)]

    @pytest.mark.parametrize("broken", ["a1.png", "a2.png", "a3.png"])
    def test_a_broken_image_is_skipped_and_keeps_its_place(self, tmp_path, caplog, broken):
        for name in ("a1.png", "a2.png", "a3.png"):
            save(tmp_path / name)
        (tmp_path / broken).write_text("not a picture")
        with open_source(tmp_path) as source:
            kept = [f.t for f in source]
            assert source.skipped == 1 and source.duration == 3.0
        assert kept == [t for t in (0.0, 1.0, 2.0) if t != int(broken[1]) - 1]
        assert len(caplog.records) == 1 and broken in caplog.text

    def test_all_broken(self, tmp_path):
        for name in ("a.png", "b.jpg"):
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(InputError, match=r"none of the 2 images .*0 bytes"):
            read(tmp_path)

    def test_patterns(self, tmp_path):
        for name in ("x10.png", "x9.png", "y.png"):
            save(tmp_path / name)
        write_video(tmp_path / "v.mkv", frames=3)
        assert [Path(p).name for p in map(str, open_source(tmp_path / "x*.png")._stills)] == [
            "x9.png",
            "x10.png",
        ]
        assert len(read(str(tmp_path / "*"))) == 3  # the video among them is not a still
        assert len(read(str(tmp_path / "*.mkv"))) == 3  # one match is opened for what it is
        save(tmp_path / "odd[1].png")
        assert len(read(tmp_path / "odd[1].png")) == 1  # an existing name is not a pattern

    def test_leaving_early(self, tmp_path):
        for i in range(3):
            save(tmp_path / f"{i}.png")
        with pytest.raises(KeyError), open_source(tmp_path) as source:
            for _ in source:
                raise KeyError("mine")


class TestContentDecides:
    def test_extension_lies(self, tmp_path):
        picture = save(tmp_path / "p.mp4")
        video = write_video(tmp_path / "v.mkv", frames=4).rename(tmp_path / "v.jpg")
        gif = tmp_path / "g.png"
        gif.write_bytes(encode(quarters(), "GIF"))
        nameless = save(tmp_path / "download")
        assert [len(read(p)) for p in (picture, video, gif, nameless)] == [1, 4, 1, 1]
        assert corners(read(gif)[0].image) == UPRIGHT


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.jpg", b"", r"empty \(0 bytes\)"),
            ("a.mp4", b"", r"empty \(0 bytes\)"),
            ("a.jpg", b"hello\n" * 99, "not an image"),
            ("a.mp4", b"hello\n" * 99, "not a readable video"),
            ("a.mp4", b"#EXTM3U\n#EXTINF:1,\nb.ts\n", "not a readable video"),
            ("a.txt", b"hello\n" * 99, r"unsupported type: allowed are \.jpg"),
            ("a.docx", b"PK\x03\x04" + bytes(99), "unsupported type"),
            ("a.jpg", b"\0\0\0\x18ftypheic" + bytes(99), "HEIC .* save it as JPEG"),
            ("a.png", b"\x89PNG\r\n\x1a\n", "damaged"),
            ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "damaged"),
        ],
    )
    def test_unusable_files(self, tmp_path, name, content, message, capfd):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert capfd.readouterr() == ("", "")  # no chatter of OpenCV or FFmpeg

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("", "does not exist"),
            ("no/such.mp4", r"does not exist: give an image, a video, .* camera:N"),
            ("no/such*.jpg", "matches 0 files"),
            ("camera:front", "give camera:N"),
            ("camera:-1", "give camera:N"),
            ("http://user:secret@host/a.mp4", "'http://host/a.mp4' is not supported"),
            ("nul\0byte.jpg", "(does not exist|cannot be opened)"),
            ("/dev/null", "device or pipe"),
        ],
    )
    def test_unusable_specs(self, spec, message):
        with pytest.raises(InputError, match=message) as caught:
            open_source(spec)
        assert "secret" not in str(caught.value)

    def test_folder_and_pattern_without_images(self, tmp_path):
        (tmp_path / "a.txt").write_text("x")
        (tmp_path / "b.txt").write_text("x")
        with pytest.raises(InputError, match=r"has no images: allowed are \.jpg"):
            open_source(tmp_path)
        with pytest.raises(InputError, match="matches 2 files, none of them an image"):
            open_source(str(tmp_path / "*.txt"))

    def test_permission_denied(self, tmp_path, monkeypatch):
        path = save(tmp_path / "a.png")

        def deny(*args, **kwargs):  # root may read all files, so chmod would not do
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", deny)
        with pytest.raises(InputError, match="cannot be opened: Permission denied"):
            open_source(path)

    @pytest.mark.parametrize(
        "option",
        [
            {"every": 0},
            {"every": -1.0},
            {"every": float("nan")},
            {"reconnect": -1.0},
            {"still_seconds": 0.0},
            {"still_seconds": float("inf")},
        ],
    )
    def test_options_out_of_range(self, tmp_path, option):
        with pytest.raises(InputError, match=f"{next(iter(option))} = .* give seconds"):
            open_source(save(tmp_path / "a.png"), **option)


class TestStandardInput:
    @pytest.fixture
    def feed(self, monkeypatch):
        def put(stream):
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))

        return put

    @staticmethod
    def pipe(data):
        """A buffered reader that cannot seek, like a shell pipe."""

        class Raw(io.RawIOBase):
            source = io.BytesIO(data)

            def readable(self):
                return True

            def readinto(self, buffer):
                return self.source.readinto(memoryview(buffer)[:1000])

        return io.BufferedReader(Raw())

    def test_picture_and_gif(self, feed):
        for kind in ("JPEG", "PNG", "GIF"):
            feed(self.pipe(encode(quarters(), kind)))
            (frame,) = read("-")
            assert corners(frame.image) == UPRIGHT and frame.source == "standard input"

    @pytest.mark.parametrize("suffix", [".mkv", ".webm", ".ts", ".avi"])
    def test_video_in_a_pipe(self, feed, tmp_path, suffix):
        feed(self.pipe(write_video(tmp_path / f"a{suffix}", frames=20).read_bytes()))
        frames = read("-", every=0.4)
        assert [f.index for f in frames] == [0, 10]
        assert abs(int(frames[1].image.mean()) - shade(10)) < 4

    def test_real_pipe(self, feed, tmp_path):
        data = write_video(tmp_path / "a.mkv", frames=5).read_bytes()
        ends = os.pipe()
        os.write(ends[1], data)  # a few kB: fits the buffer of the pipe
        os.close(ends[1])
        with os.fdopen(ends[0], "rb") as stream:
            feed(stream)
            assert len(read("-")) == 5
            assert not stream.closed  # standard input belongs to the program

    def test_mp4_needs_its_index_in_front(self, feed, tmp_path):
        rng = np.random.default_rng(0)
        large = [rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(5)]
        late = write_video(tmp_path / "late.mp4", images=large).read_bytes()
        assert len(late) > 100_000  # more than the buffer, inside which FFmpeg can go back
        options = {"movflags": "faststart"}
        early = write_video(tmp_path / "early.mp4", frames=5, options=options).read_bytes()
        feed(self.pipe(early))
        assert len(read("-")) == 5
        feed(self.pipe(late))
        with pytest.raises(InputError, match=r"standard input.*faststart"):
            read("-")
        feed(io.BytesIO(late))  # redirected from a file
        assert len(read("-")) == 5

    def test_empty_and_text(self, feed):
        feed(self.pipe(b""))
        with pytest.raises(InputError, match=r"standard input.*empty"):
            read("-")
        feed(self.pipe(b"hello\n" * 200))
        with pytest.raises(InputError, match="not a readable video"):
            read("-")
