"""Bad inputs as data: how each is built, what is run, and what the command must answer.

`python tests/e2e/bad_inputs.py --markdown > docs/errors.md` runs them all and writes the page.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import materials as make
import numpy as np
from commands import POWERLESS, Outcome, run_inside, run_outside
from media import write_audio, write_video

from classpulse.core.labels import TEXT_7

FILES = ("readings.csv", "readings.parquet", "codebook.csv", "summary.json", "report.html")
PREFIX, WARNING = "classpulse: error: ", "classpulse: warning: "


@dataclass(frozen=True)
class Bad:
    """One bad input.

    Args:
        name: the input in words, for the documentation.
        arguments: of `classpulse`; `analyze` gets ``--out out`` where there is no --out.
        code: expected exit code; 0 means the input is odd but works, all five files are written.
        words: must be in the error line (in the report with code 0).
        build: makes the files in a temporary folder, where the command is run.
        warns: must be in a warning line; no warning is allowed when empty.
        keeps: `.partial` files that stay, as documented; no other may.
        how: "inside" this process, "outside", outside and "powerless" (root without its power
            over files), or inside with a "disk" of 1 MB mounted in the folder.
        stdin: of the command; None closes it.
        limit: largest resident size in MB.
    """

    name: str
    arguments: tuple[str, ...]
    code: int
    words: tuple[str, ...] = ()
    build: Callable[[Path], object] = lambda folder: None
    warns: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    how: str = "inside"
    stdin: bytes | None = b""
    limit: float | None = None

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")

    @property
    def command(self) -> tuple[str, ...]:
        given = self.arguments
        out = given[0] == "analyze" and "--out" not in given
        return (*given, "--out", "out") if out else given

    def why_not(self) -> str | None:
        """Why this case cannot be run here, or None."""
        if self.how == "powerless" and os.geteuid() == 0 and not shutil.which(POWERLESS[0]):
            return "root without setpriv may read and write everything"
        if self.how == "disk" and os.geteuid() != 0:
            return "only root can mount a disk"
        if self.how == "disk" and not _mounts():
            return "this machine does not let root mount a tmpfs"
        lab = self.arguments[0] in ("train", "classic") or self.arguments[:2] == LABELLED[:2]
        if lab and find_spec("torch") is None:
            return "training and fitting need the extra 'lab'"
        if "/dev/full" in self.name and not Path("/dev/full").exists():
            return "there is no /dev/full"
        return None

    def run(self, folder: Path) -> Outcome:
        """Build the input in `folder` and run the command there."""
        disk = _disk(folder / "disk") if self.how == "disk" else contextlib.nullcontext()
        with disk:
            self.build(folder)
            if self.how in ("inside", "disk"):
                return run_inside(self.command, folder=folder)
            powerless = self.how == "powerless" and os.geteuid() == 0
            return run_outside(self.command, folder=folder, stdin=self.stdin, powerless=powerless)


TINY = ("analyze", "one.jpg", "--model", "tiny")
ONE, CLIP = ("analyze", "one.jpg"), ("analyze", "clip.mp4")
APPLY = ("engage", "apply", "scores.csv")
HEADER = "happiness,sadness,anger\n"
LABELLED = ("engage", "fit", "scores.csv", "--out", "ours.json")
LABELS = HEADER.replace("\n", ",engagement\n") + "0.1,0.2,0.3,0.4\n"
CLASSIC = ("classic", "paper_cnn_pca_svm", "--data", "fer2013=fer2013.csv.gz")
PLAYLIST = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n"
WHITE = np.full((240, 320, 3), 255, np.uint8)

FILES_IN = (
    Bad("mp4 cut off before its index", ("analyze", "cut.mp4"), 3,
        ("'cut.mp4'", "not a readable video", "copy or export"),
        make.clip("cut.mp4", keep=0.7, seconds=1)),
    Bad("mkv cut off in the middle", ("analyze", "cut.mkv"), 0, (),
        make.clip("cut.mkv", keep=0.6), warns=("'cut.mkv'", "cut off")),
    Bad("empty file", ("analyze", "empty.mp4"), 3,
        ("'empty.mp4'", "empty (0 bytes)", "copy the file again"), make.raw("empty.mp4", b"")),
    Bad("text called .jpg", ("analyze", "text.jpg"), 3,
        ("'text.jpg'", "not an image", "allowed are JPEG", "give"), make.raw("text.jpg", b"Hello")),
    Bad("text called .mp4", ("analyze", "text.mp4"), 3,
        ("'text.mp4'", "not a readable video", "copy or export"),
        make.raw("text.mp4", b"Hello, this is text. " * 99)),
    Bad("playlist called .mp4, which would fetch an address", ("analyze", "list.mp4"), 3,
        ("'list.mp4'", "not a readable video"), make.raw("list.mp4", PLAYLIST)),
    Bad("file of an unknown type", ("analyze", "talk.pptx"), 3,
        ("'talk.pptx'", "unsupported type", ".jpg", ".mp4"),
        make.raw("talk.pptx", b"PK\3\4 slides")),
    Bad("HEIC picture of a phone", ("analyze", "phone.heic"), 3,
        ("HEIC", "save it as JPEG"), make.raw("phone.heic", b"\0\0\0\x18ftypheic" + bytes(99))),
    Bad("jpeg cut off in its header", ("analyze", "cut.jpg"), 3,
        ("'cut.jpg'", "damaged", "copy the file again"), make.raw("cut.jpg", b"\xff\xd8\xff\xe0")),
    Bad("gif cut off in its header", ("analyze", "cut.gif"), 3,
        ("'cut.gif'", "not a readable video"), make.raw("cut.gif", b"GIF89a\1\0")),
    Bad("png of 100,000 x 100,000 pixels", ("analyze", "bomb.png"), 3,
        ("100000 x 100000 pixels", "the limit is 400 megapixels", "save it smaller"),
        lambda folder: make.write_png_header(folder / "bomb.png", width=100_000, height=100_000)),
    Bad("video without pictures, only sound", ("analyze", "sound.mp4"), 3,
        ("'sound.mp4' has no pictures", "audio", "give a video"),
        lambda folder: write_audio(folder / "sound.mp4")),
    Bad("folder without images", ("analyze", "class"), 3,
        ("'class' has no images", "allowed are"), make.notes),
    Bad("folder with one broken image among good ones", ("analyze", "class"), 0, (),
        make.one_broken, warns=("skipped", "img2.jpg", "damaged")),
    Bad("file that may not be read", ("analyze", "secret.jpg"), 3,
        ("'secret.jpg'", "Permission denied", "rights"), make.unreadable, how="powerless"),
    Bad("path that does not exist", ("analyze", "nothing.mp4"), 3,
        ("'nothing.mp4' does not exist", "give an image")),
    Bad("pattern that matches nothing", ("analyze", "*.jpg"), 3,
        ("'*.jpg'", "matches 0 files", "allowed are")),
    Bad("named pipe nobody writes to", ("analyze", "pipe"), 3,
        ("'pipe' is a device or pipe", "give"), lambda folder: os.mkfifo(folder / "pipe")),
    Bad("file name with a line break", ("analyze", "a\nb.jpg"), 3,
        ("'a b.jpg'", "empty"), make.raw("a\nb.jpg", b"")),
)  # fmt: skip

ODD_BUT_FINE = (
    Bad("picture of 1 x 1 pixel", ("analyze", "dot.png"), 0, ("No faces were found",),
        make.picture("dot.png", np.zeros((1, 1, 3), np.uint8))),
    Bad("picture of 12,000 x 9,000 pixels", ("analyze", "huge.jpg"), 0, (), make.huge,
        how="outside", limit=700),
    Bad("picture of 1 x 6,000 pixels", ("analyze", "line.png"), 0, ("No faces were found",),
        make.picture("line.png", np.zeros((6000, 1, 3), np.uint8))),
    Bad("png of 16 bits", ("analyze", "deep.png"), 0, (), make.deep),
    Bad("png with transparency", ("analyze", "cut.png"), 0, (), make.transparent),
    Bad("jpeg in CMYK", ("analyze", "print.jpg"), 0, (), make.cmyk),
    Bad("blank picture", ("analyze", "blank.png"), 0, ("No faces were found",),
        make.picture("blank.png", WHITE)),
    Bad("blank picture, haar", ("analyze", "dot.png", "--detector", "haar"), 0,
        ("No faces were found",), make.picture("dot.png", WHITE[:2, :2])),
    Bad("video of one frame", ("analyze", "one.mp4"), 0, (), make.clip("one.mp4", seconds=0.04)),
    Bad("video that starts at 10 minutes", ("analyze", "late.mkv"), 0, ("No faces were found",),
        lambda folder: write_video(folder / "late.mkv", ticks=range(600_000, 601_000, 40))),
    Bad("file name that is no text", ("analyze", os.fsdecode(b"Sch\xfcler.jpg")), 0, (),
        make.picture(os.fsdecode(b"Sch\xfcler.jpg")), how="outside"),
)  # fmt: skip

LIVE_AND_PIPES = (
    Bad("camera that is not there", ("analyze", "camera:99"), 3,
        ("'camera:99'", "missing", "plug it in")),
    Bad("camera without a number", ("analyze", "camera:front"), 3,
        ("'camera:front'", "camera:N")),
    Bad("network camera that is off", ("analyze", "rtsp://me:secret@127.0.0.1:9/live"), 3,
        ("'rtsp://127.0.0.1:9/live'", "Connection refused", "check that the camera is on")),
    Bad("address of another kind", ("analyze", "https://me:secret@school.example/a.mp4"), 3,
        ("'https://school.example/a.mp4' is not supported", "give")),
    Bad("nothing on standard input", ("analyze", "-"), 3,
        ("standard input", "empty", "pipe a video"), how="outside"),
    Bad("garbage on standard input", ("analyze", "-"), 3,
        ("standard input", "not a readable video"), how="outside", stdin=b"\1\2\3garbage" * 999),
    Bad("closed standard input", ("analyze", "-"), 3,
        ("standard input is closed", "pipe a video"), how="outside", stdin=None),
)  # fmt: skip

OUTPUT = (
    Bad("file where the folder should be", (*ONE, "--out", "report"), 5,
        ("'report' is a file", "choose another --out"), make.file_in_place),
    Bad("folder below a file", (*ONE, "--out", "report/today"), 5,
        ("'report' is a file", "choose another --out"), make.file_in_place),
    Bad("folder without the right to write", (*ONE, "--out", "locked"), 5,
        ("locked", "Permission denied", "check the rights", "--out"), make.locked, how="powerless"),
    Bad("disk full at the readings",
        (*CLIP, "--every", "0.02", "--detect-every", "0", "--out", "disk/out"), 5,
        ("readings.", "No space left", "free some space", "kept"), make.disk_full(left=4096),
        how="disk", keeps=("readings.csv.partial",)),
    Bad("disk full at the annotated video", (*CLIP, "--annotate", "--out", "disk/out"), 5,
        ("annotated.mp4", "No space left", "free some space"), make.disk_full(left=4096),
        how="disk", keeps=("readings.csv.partial", "annotated.mp4.partial")),
    *(Bad(f"no space for {name} (/dev/full)", (*CLIP, *extra), 5,
          (name, "No space left", "free some space"), make.no_space(name), keeps=keeps)
      for name, extra, keeps in (
          ("readings.csv", (), ("readings.csv.partial",)),
          ("readings.parquet", (), ()),
          ("codebook.csv", (), ("codebook.csv.partial",)),
          ("summary.json", (), ("summary.json.partial",)),
          ("report.html", (), ("report.html.partial",)),
      )),
)  # fmt: skip

MODELS = (
    Bad("network that answers NaN", TINY, 4,
        ("'tiny'", "'emotion'", "NaN", "export it again"), make.artefact(value=float("nan")),
        keeps=("readings.csv.partial",)),
    Bad("network that answers no probabilities", TINY, 4,
        ("'tiny'", "sum to 1", "export it again"), make.artefact(value=3.0),
        keeps=("readings.csv.partial",)),
    Bad("network that takes other pictures than its card says", TINY, 4,
        ("'tiny' failed on (1, 1, 48, 48)", "export it again"), make.artefact(channels=3),
        keeps=("readings.csv.partial",)),
    Bad("network file of another hash", TINY, 4,
        ("not the file that card 'tiny' describes", "export the model again"),
        make.artefact(after=lambda tiny: (tiny / "model.onnx").write_bytes(b"other"))),
    Bad("network file that is no ONNX", TINY, 4, ("not a usable ONNX file", "export it again"),
        make.artefact(after=make.no_onnx)),
    Bad("network file missing", TINY, 4,
        ("cannot read tiny/model.onnx", "No such file", "+ card.json"),
        make.artefact(after=lambda tiny: (tiny / "model.onnx").unlink())),
    Bad("card missing", TINY, 4, ("no model 'tiny'", "card.json and model.onnx"),
        make.artefact(after=lambda tiny: (tiny / "card.json").unlink())),
    Bad("card that is no JSON", TINY, 4, ("tiny/card.json is not valid JSON", "export"),
        make.artefact(after=lambda tiny: (tiny / "card.json").write_text("{name: tiny"))),
    Bad("card that is a picture", TINY, 4, ("tiny/card.json is not valid JSON", "export"),
        make.artefact(after=lambda tiny: (tiny / "card.json").write_bytes(b"\x89PNG\r\n\xff"))),
    Bad("card with a missing field", TINY, 4,
        ("tiny/card.json: missing ['commit'", "'heads'", "known: name, summary"),
        make.artefact(after=lambda tiny: (tiny / "card.json").write_text('{"name": "tiny"}'))),
    Bad("card with an unknown label space", TINY, 4,
        ("card 'tiny', head 'emotion'", "unknown label space 'mars-3'", "known: "),
        make.artefact(after=make.mars)),
    Bad("card with an unknown framing", TINY, 4, ("framing 'portrait'", "known: fer2013"),
        make.artefact(after=lambda tiny: make.change_card(tiny, input={"framing": "portrait"}))),
    Bad("card of a later version", TINY, 4, ("format 9", "update classpulse"),
        make.artefact(after=lambda tiny: make.change_card(tiny, format=9))),
    Bad("unknown model", (*ONE, "--model", "face-huge"), 4,
        ("no model 'face-huge'", "one of: face-base"), make.picture("one.jpg")),
    Bad("unknown detector", (*ONE, "--detector", "yolo"), 3,
        ("unknown detector 'yolo'", "known: retinaface, haar"), make.picture("one.jpg")),
)  # fmt: skip

OPTIONS = (
    Bad("unknown preset", (*ONE, "--preset", "best"), 3,
        ("unknown preset 'best'", "known: default, paper"), make.picture("one.jpg")),
    Bad("unknown preset where no expression is read",
        (*ONE, "--preset", "best", "--profile", "eu-school"), 3,
        ("unknown preset 'best'", "known: default, paper"), make.picture("one.jpg")),
    Bad("preset whose head the model lacks", (*ONE, "--preset", "gaze.json"), 3,
        ("'gaze' needs the heads ['gaze']", "choose another preset or model"), make.gaze_preset),
    *(Bad(f"{option} = {value}", (*ONE, f"--{option}", value), 3, (option, value, "give seconds"),
          make.picture("one.jpg"))
      for option, value in (("every", "0"), ("every", "-1"), ("every", "nan"), ("every", "inf"),
                            ("window", "0"), ("window", "-5"), ("window", "nan"),
                            ("smooth", "-1"), ("smooth", "nan"))),
    Bad("detect-every = -1", (*ONE, "--detect-every", "-1"), 3,
        ("detect_every = -1", "give seconds >= 0"), make.picture("one.jpg")),
    Bad("min-confidence in percent", (*ONE, "--min-confidence", "80"), 3,
        ("min_confidence = 80.0", "give a probability from 0", "leave it out"),
        make.picture("one.jpg")),
    Bad("min-confidence where no expression is read",
        (*ONE, "--min-confidence", "0.8", "--profile", "eu-school"), 3,
        ("--min-confidence", "'eu-school' reads nothing", "leave it out"),
        make.picture("one.jpg")),
    Bad("every that is a word", (*ONE, "--every", "often"), 2, ("--every", "valid number"),
        make.picture("one.jpg")),
    Bad("command without what it needs", ("models", "show"), 2, ("Missing argument",)),
    Bad("command that does not exist", ("analyse", "one.jpg"), 2, ("No such command",)),
)  # fmt: skip

PRIVACY = (
    Bad("group of 3 without consent", (*ONE, "--k", "3"), 6,
        ("k = 3 is below 5", "Use k >= 5", "--single-subject with --consent"),
        make.picture("one.jpg")),
    Bad("group of 0", (*ONE, "--k", "0"), 6, ("k is at least 1", "give 5 or more"),
        make.picture("one.jpg")),
    Bad("unknown legal profile", (*ONE, "--profile", "mars"), 6,
        ("unknown profile 'mars'", "known: research"), make.picture("one.jpg")),
    Bad("single subject without consent", (*ONE, "--single-subject"), 6,
        ("--consent REFERENCE", "where the person's written consent is kept"),
        make.picture("one.jpg")),
    Bad("single subject with a folder of pictures",
        ("analyze", "class", "--single-subject", "--consent", "form 12"), 6,
        ("more than one picture shows a face", "analyze each picture alone"),
        make.two_portraits),
    Bad("own camera with two people in view", ("analyze", "two.jpg", "--profile", "own-camera"), 6,
        ("one's own face and writing, but 2 faces are in view at 0.0 s", "--profile own-camera"),
        make.two_people),
    Bad("faces shown without consent", (*ONE, "--annotate", "--show-faces"), 6,
        ("--show-faces needs --consent REFERENCE", "everybody in the picture"),
        make.picture("one.jpg")),
    Bad("faces shown under the profile of EU schools",
        (*ONE, "--annotate", "--show-faces", "--consent", "form 12", "--profile", "eu-school"), 6,
        ("--show-faces is not possible with --profile eu-school", "leave it out"),
        make.picture("one.jpg")),
    Bad("single subject with two people in view",
        ("analyze", "two.jpg", "--single-subject", "--consent", "form 12", "--annotate"), 6,
        ("2 faces are in view at 0.0 s", "film that person alone"), make.two_people),
)  # fmt: skip

TABLES = (
    Bad("scores without a column", APPLY, 3,
        ("needs the columns happiness, sadness, anger", "missing: anger", "preset"),
        make.scores("happiness,sadness\n0.1,0.2\n")),
    Bad("scores with NaN", APPLY, 3,
        ("scores.csv, line 3, column 'anger': 'nan'", "correct the cell"),
        make.scores(HEADER + "0.1,0.2,0.3\n0.1,0.2,nan\n")),
    Bad("scores with an empty cell", APPLY, 3,
        ("scores.csv, line 4, column 'sadness': ''", "correct the cell"),
        make.scores(HEADER + "0.1,0.2,0.3\n\n0.1,,0.2\n")),
    Bad("scores with text", APPLY, 3,
        ("scores.csv, line 2, column 'happiness': 'very'", "correct the cell"),
        make.scores(HEADER + "very,0.2,0.3\n")),
    Bad("scores with a short row", APPLY, 3, ("line 3: 2 cells, the header has 3", "correct"),
        make.scores(HEADER + "0.1,0.2,0.3\n0.1,0.2\n")),
    Bad("scores with a repeated column", APPLY, 3, ("repeats a column name", "give each"),
        make.scores("happiness,anger,anger\n0.1,0.2,0.3\n")),
    Bad("scores of an empty file", APPLY, 3, ("no data rows", "header line"), make.scores("")),
    Bad("scores of a header alone", APPLY, 3, ("no data rows", "header line"), make.scores(HEADER)),
    Bad("scores of a binary file", APPLY, 3, ("not a UTF-8 CSV file", "save the table as CSV"),
        make.scores(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff")),
    Bad("scores of a missing file", APPLY, 3, ("cannot read scores.csv", "give a CSV")),
    Bad("scores of a folder", APPLY, 3, ("cannot read scores.csv", "directory", "give a CSV"),
        lambda folder: (folder / "scores.csv").mkdir()),
)  # fmt: skip

FUSE = ("engage", "fuse", "windows.csv", "--out", "w.json")
FUSE_HEADER = ",".join(
    [*(f"{name}_{label}" for name in ("face", "text") for label in TEXT_7.names), "label"]
).encode()
POSTS, CHAT = ("analyze", "posts.csv"), ("analyze", "chat.txt")
TWO_WRITERS = b"time,author,text\n0:00:01,Ada,I am lost here\n0:00:02,Ben,so am I\n"
QUIZ, TALK = ("analyze", "quiz.csv"), ("analyze", "talk.docx")
QUIZ_HEADER = b"First name,State,Started on,Completed,Time taken,"
ANSWERED = b"Ada,Finished,2 June 2021  9:05 AM,2 June 2021  9:20 AM,15 mins,"
WORD = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
LETTER = b'<document xmlns="%s"><body><p><r><t>Dear Ada,</t></r></p></body></document>' % WORD


def word_file(start: bytes, *, spaces: int = 0) -> Callable[[Path], object]:
    """A Word file whose text is `start`, and so many spaces."""

    def build(folder: Path) -> None:
        with zipfile.ZipFile(folder / "talk.docx", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("word/document.xml", start + b" " * spaces)

    return build


WRITING = (
    Bad("posts without a column of texts", POSTS, 3,
        ("posts.csv: which column has the texts", "a, b", "--columns text=NAME"),
        make.raw("posts.csv", b"a,b\n1,2\n")),
    Bad("posts whose chosen column is not there", (*POSTS, "--columns", "text=answer"), 3,
        ("posts.csv has no column answer", "time, author, text"),
        make.raw("posts.csv", TWO_WRITERS)),
    Bad("posts of a header alone", POSTS, 3, ("posts.csv has a header but no rows",),
        make.raw("posts.csv", b"text\n")),
    Bad("posts with a time that is none", POSTS, 3,
        ("posts.csv, line 2: 'soon' is not a time", "0:01:15"),
        make.raw("posts.csv", b"text,time\nhello you,soon\n")),
    Bad("posts with a time that may be two", POSTS, 3,
        ("posts.csv, line 2: '12:05' may be", "write 12:05:00 or 0:12:05"),
        make.raw("posts.csv", b"text,time\nhello you,12:05\n")),
    Bad("picture called .csv", POSTS, 3, ("posts.csv", "save the file as UTF-8"),
        make.raw("posts.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff")),
    Bad("empty chat", CHAT, 3, ("chat.txt has no text to read",), make.raw("chat.txt", b"")),
    Bad("chat of private messages alone", CHAT, 3,
        ("chat.txt has no text to read (1 private message)",),
        make.raw("chat.txt", b"10:00:01 From Ada to Ben(Direct Message): psst\n")),
    Bad("transcript that is none", ("analyze", "talk.vtt"), 3,
        ("talk.vtt does not start with WEBVTT", "or a .txt"), make.raw("talk.vtt", b"hello")),
    Bad("JSON of another kind", ("analyze", "chat.json"), 3,
        ("chat.json: needs a list of messages", "Microsoft Graph"), make.raw("chat.json", b"{}")),
    Bad("quiz of Moodle without responses", QUIZ, 3,
        ("quiz.csv is a report of a Moodle quiz without a column 'Response 1'",
         "download the quiz's Responses report"),
        make.raw("quiz.csv", QUIZ_HEADER + b"Q. 1 /1.00\n" + ANSWERED + b"1.00\n")),
    Bad("quiz of Moodle with numbers and letters alone", QUIZ, 3,
        ("quiz.csv has no text to read (2 number or letter)",),
        make.raw("quiz.csv", QUIZ_HEADER + b"Response 1,Response 2\n" + ANSWERED + b"3.14,B\n")),
    Bad("quiz of Moodle with a time that is none", QUIZ, 3,
        ("quiz.csv, line 2: 'heute' is not a time", "22.11.2026 14:05"),
        make.raw("quiz.csv", QUIZ_HEADER + b"Response 1\nAda,Finished,heute,-,-,so hard\n")),
    Bad("quiz of Moodle that is cut off", QUIZ, 3,
        ("quiz.csv, line 2: ", "look for a quotation mark that is not closed"),
        make.raw("quiz.csv", QUIZ_HEADER + b"Response 1\n" + ANSWERED + b'"I do not')),
    Bad("feedback of Moodle without questions", ("analyze", "feedback.csv"), 3,
        ("feedback.csv is a Moodle feedback without a question", "once more"),
        make.raw("feedback.csv", b"Response number\n1\n")),
    Bad("empty Word file", TALK, 3,
        ("talk.docx is not a whole Word file (File is not a zip file)", "as .docx, or as .txt"),
        make.raw("talk.docx", b"")),
    Bad("Word file that is cut off inside", TALK, 3,
        ("talk.docx is not a whole Word file (unclosed token", "once more"),
        word_file(LETTER[:-20])),
    Bad("Word file that is no transcript", TALK, 3,
        ("talk.docx has no line such as 'Ada Byron   0:03'", ".docx or .vtt"), word_file(LETTER)),
    Bad("Word file with entities that multiply", TALK, 3,
        ("talk.docx is not a whole Word file (it has a document type", "once more"),
        word_file(b'<!DOCTYPE d [<!ENTITY a "haha"><!ENTITY b "&a;&a;">]><d>&b;</d>')),
    Bad("Word file of 100 KB that unpacks to 100 MB", TALK, 3,
        ("talk.docx unpacks to more than 32 MB", "split it"), word_file(b"<d>", spaces=100 << 20)),
    Bad("Word file of ten thousand files", TALK, 3,
        ("talk.docx lists 10002 files", "up to 10000", "as .txt"), make.crowded_word),
    Bad("chat saved as a web page", ("analyze", "chat.html"), 3,
        ("chat.html is a web page", "copy the texts into a .txt"),
        make.raw("chat.html", b"<html><script>alert(1)</script></html>")),
    Bad("chat that is not there", ("analyze", "chat.txt"), 3,
        ("cannot read chat.txt: No such file", "check path and rights")),
    Bad("author to leave out who is not there", (*POSTS, "--without", "Eve"), 3,
        ("posts.csv: nobody called Eve writes there", "it has Ada, Ben"),
        make.raw("posts.csv", TWO_WRITERS)),
    Bad("writers = 0", (*POSTS, "--writers", "0"), 3,
        ("writers = 0 is not possible", "give how many people wrote"),
        make.raw("posts.csv", TWO_WRITERS)),
    Bad("chat copied from the new Teams", CHAT, 3,
        ("chat.txt looks like a chat with names", "Forms that are read: ", "or give a table"),
        make.raw("chat.txt", b"Ada\n2:00 PM\nI am lost\n\nBen\n2:01 PM\nso am I\n")),
    Bad("writing in a file that is not read", ("analyze", "chat.rtf"), 3,
        ("'chat.rtf' is of an unsupported type", ".mp4", "for writing .csv", ".txt", ".docx"),
        make.raw("chat.rtf", b"{\\rtf1 Ada: hello}")),
    Bad("chat of another hour than the recording", (*CLIP, "--chat", "chat.txt"), 3,
        ("chat.txt: its texts run from 14:05:33", "--chat-start"), make.clip_and_chat),
    Bad("chat options without a chat", (*ONE, "--chat-start", "0:00:10"), 3,
        ("are for writing, but one.jpg is none", "add --chat FILE"), make.picture("one.jpg")),
    Bad("fusion weights without a chat", (*ONE, "--fusion", "w.json"), 3,
        ("--fusion weighs faces and writing", "add --chat FILE"), make.picture("one.jpg")),
    Bad("fusion weights that are none", (*CLIP, "--chat", "chat.txt", "--fusion", "w.json"), 3,
        ("fusion weights w.json: missing ['format'",), make.raw("w.json", b"{}")),
    Bad("labelled windows without a label", FUSE, 3,
        ("windows.csv lacks the columns label", "face_angry for example"),
        make.raw("windows.csv", FUSE_HEADER.rpartition(b",")[0] + b"\n" + b"0.2," * 13 + b"1\n")),
    Bad("labelled windows in percent", FUSE, 3, ("windows.csv, line 2: face_angry", "sum to 100"),
        make.raw("windows.csv", FUSE_HEADER + b"\n40,10,10,10,10,10,10,,,,,,,,sad")),
    Bad("unknown text model", (*POSTS, "--text-model", "text-huge"), 4, ("no model 'text-huge'",),
        make.raw("posts.csv", TWO_WRITERS)),
    Bad("model of faces for texts", (*POSTS, "--text-model", "tiny"), 4,
        ("tiny/card.json is not of a model for texts", "give one that reads texts"),
        make.posts_and_faces),
    Bad("neither source nor line", ("analyze",), 2, ("give a source and --out FOLDER",)),
)  # fmt: skip

PAPER = (
    Bad("classical features of cells without a size",
        (*CLASSIC, "--set", "features={kind='hog', cell=0}"), 3,
        ("cell = 0: needs a number from 2 to 512",)),
    Bad("local binary patterns on a circle wider than the picture",
        (*CLASSIC, "--set", "features={kind='lbp', radius=30.0}"), 3,
        ("radius = 30.0: needs a number from 0.5 to 24",)),
    Bad("labels for a head that no model has", (*LABELLED, "--head", "mood"), 3,
        ("no model of ours has a head 'mood'", "emotion, votes, state", "Leave --head out"),
        make.scores(LABELS)),
    Bad("labels with a column named twice", (*LABELLED, "--columns", "anger,anger"), 3,
        ("column 'anger' is named twice", "every column once"), make.scores(LABELS)),
)  # fmt: skip

WORKERS = (
    Bad("worker that is killed while it trains",
        ("train", "tiny.toml", "--data", "fer2013=fer2013.csv.gz", "--run", "run",
         "--parallel", "ddp", "--workers", "2"), 8,
        ("worker 2 of 2", "was killed by SIGKILL", "last finished epoch", "go on with --resume"),
        make.lost_worker),
)  # fmt: skip

BAD_INPUTS = (
    *FILES_IN, *ODD_BUT_FINE, *LIVE_AND_PIPES, *OUTPUT, *MODELS, *OPTIONS, *PRIVACY, *TABLES,
    *WRITING, *PAPER, *WORKERS,
)  # fmt: skip


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user of the machine may enter and write to."""
    with tempfile.TemporaryDirectory(prefix="classpulse-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@contextmanager
def _disk(place: Path) -> Iterator[None]:
    """A disk of 1 MB at `place`."""
    place.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", str(place))
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "-l", str(place)), check=True, capture_output=True)


@cache
def _mounts() -> bool:
    with open_folder() as folder:
        try:
            with _disk(folder / "disk"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


INTRO = """# What can go wrong, and what the command says

ClassPulse ends with one line on standard error, `classpulse: error: ...`, that says what was wrong,
what is allowed and what to do, and with an exit code: 0 success, 2 a wrong command line (with the
usual lines about its usage), 3 an input that cannot be used, 4 a model that is missing, altered or
answers nonsense, 5 a result that cannot be written, 6 a request against a privacy rule, 7 an
optional package that is not installed, 8 a worker of a parallel computation that failed or was
killed, 130 an interrupt (Ctrl-C or SIGTERM). Odd inputs that work end with 0; what was
left out is told in lines that start with `classpulse: warning:`. This page is made by
`python tests/e2e/bad_inputs.py --markdown`, which builds each of these inputs, runs the real
command on it and prints its real answer; the test suite runs the same table.

| input | exit code | message |
|---|---|---|
"""


def render_markdown() -> Iterator[str]:
    """The page, line by line, from running every case."""
    yield INTRO
    for bad in BAD_INPUTS:
        if why := bad.why_not():
            yield f"| {bad.name} | {bad.code} | (not run on this machine: {why}) |\n"
            continue
        with open_folder() as folder:
            seen = bad.run(folder)
        told = [line for line in seen.err.splitlines() if line.startswith("classpulse: ")]
        usual = seen.err.splitlines()[-1:] or seen.out.splitlines()[:1]
        text = "<br>".join(told or usual).replace("|", "\\|")
        yield f"| {bad.name} | {seen.code} | {text} |\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["--markdown"]:
        sys.exit("usage: python tests/e2e/bad_inputs.py --markdown")
    sys.stdout.writelines(render_markdown())
