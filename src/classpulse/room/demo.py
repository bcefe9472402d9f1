"""The demo lesson: two public-domain portraits in six seats, assembled when it is asked for.

The portraits come with the packages of the extra `demo`, so nothing is downloaded and nobody is
shown who should not be: NASA's portrait of Eileen Collins (scikit-image) and the US Navy's of
Grace Hopper (matplotlib). Two people shown three times each are no class, and a photograph that
moves does not change its expression, so the numbers are for show; video and report say so.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import MissingExtraError
from classpulse.room.analyze import Session, analyze
from classpulse.room.files import make_folder, partial_path, replace_with, write_text, writing
from classpulse.vision.stills import read_still

FOLDER, VIDEO = Path("classpulse-demo"), "demo.mp4"
SECONDS, RATE = 20, 8  # of the video; frames per second
EVERY, WINDOW = 0.5, 2.0  # seconds between analyzed frames; seconds per class number
CAPTION = "Two public-domain portraits, three times each: the numbers of this demo are for show."
NOTICE = (
    "This is the demo: photographs of two people, Eileen Collins and Grace Hopper, are shown three "
    "times each. Its numbers and intervals show what a report looks like and describe nobody."
)

# pixels; a column of seats is 426 wide, a row is a view of 282 and a desk of 56 high
WIDTH, HEIGHT, COLUMN, VIEW, DESK = 1280, 720, 426, 282, 56
CARD = (240, 300)  # width, height of a portrait at zoom 1
FACE = (120, 112)  # where the face is in a card
PLACE = (COLUMN // 2, 130)  # where the face is in a view
WALL, WOOD, EDGE, FLOOR, INK = (
    (224, 221, 214), (190, 164, 132), (160, 134, 104), (244, 242, 238), (64, 62, 58),
)  # fmt: skip

Image = NDArray[np.uint8]
Span = tuple[float, float]  # start and end, seconds
NEVER = (-1.0, -1.0)


@dataclass(frozen=True, slots=True)
class _Portrait:
    """A photograph inside a package, and the part of it (x, y, width, height) that is shown."""

    package: str
    file: str
    part: tuple[int, int, int, int]


PORTRAITS = (
    _Portrait("skimage", "data/astronaut.png", (100, 0, 250, 312)),
    _Portrait("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (24, 0, 480, 600)),
)


@dataclass(frozen=True, slots=True)
class _Seat:
    """How one seat differs from the others.

    Args:
        portrait: index in `PORTRAITS`; light: factor on the pixels; zoom: of the card.
        sway: seconds of one movement to and fro.
        away, far, soft: when the seat is empty, seen from afar, out of focus.
    """

    portrait: int
    mirrored: bool
    light: float
    zoom: float
    sway: float
    away: Span = NEVER
    far: Span = NEVER
    soft: Span = NEVER


# While two are away at once, four are left: a window inside has no class number (k = 5).
SEATS = (
    _Seat(0, False, 1.00, 0.88, 5.0),
    _Seat(1, False, 0.94, 0.84, 6.5, soft=(14.4, 18.6)),
    _Seat(0, True, 0.86, 0.86, 7.5, away=(9.6, 11.9)),
    _Seat(1, True, 1.06, 1.00, 5.5),
    _Seat(0, False, 0.92, 1.06, 8.0, away=(9.6, 11.9)),
    _Seat(1, False, 0.84, 1.02, 7.0, far=(7.5, 14.5)),
)


def run_demo(out: Path) -> Session:
    """Build the demo video as `out`/demo.mp4 and analyze it into the same folder.

    Raises:
        MissingExtraError: a portrait is not there: the extra `demo` is not installed.
        OutputError: the folder cannot be written to.
    """
    video = out / VIDEO
    make_demo_video(video)
    session = analyze(video, out=out, every=EVERY, window=WINDOW)
    return _with_notice(session, video)


def make_demo_video(path: Path) -> None:
    """Write the demo lesson: `SECONDS` of 1280x720 H.264 at `RATE` frames a second.

    The six seats sway a little; two are left for two seconds, one is far away and one out of
    focus for a while. An existing file is replaced; missing folders are made.

    Raises:
        MissingExtraError, OutputError: as `run_demo`.
    """
    cards = [_load_card(portrait) for portrait in PORTRAITS]
    make_folder(path.parent)
    _encode(_frames(cards), path)


def demo_video(folder: Path = FOLDER) -> Path:
    """The demo lesson in `folder`, made first if it is not there yet; for examples and tests.

    Raises:
        MissingExtraError, OutputError: as `run_demo`.
    """
    video = folder / VIDEO
    if not video.exists():
        make_demo_video(video)
    return video


def portrait_paths() -> list[Path]:
    """The two photographs where their packages keep them.

    Raises:
        MissingExtraError: as `run_demo`.
    """
    return [_portrait_path(portrait) for portrait in PORTRAITS]


def _with_notice(session: Session, video: Path) -> Session:
    """The session with the demo's own notice, in memory and in the two files that show it."""
    from classpulse.room.report.render import render_report

    summary = {**session.summary, "notice": NOTICE}
    write_text(json.dumps(summary, indent=2) + "\n", session.files["summary.json"])
    write_text(render_report(summary), session.files["report.html"])
    return Session(session.readings, summary, {video.name: video, **session.files})


def _portrait_path(portrait: _Portrait) -> Path:
    spec = find_spec(portrait.package)  # located, not imported: importing takes a second
    path = Path(spec.origin).parent / portrait.file if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingExtraError("classpulse demo", "demo")
    return path


def _load_card(portrait: _Portrait) -> Image:
    """The shown part of a portrait at zoom 1, (300, 240, 3) uint8 RGB."""
    x, y, width, height = portrait.part
    part = read_still(_portrait_path(portrait))[y : y + height, x : x + width]
    return np.asarray(cv2.resize(part, CARD, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _frames(cards: list[Image]) -> Iterator[Image]:
    """The pictures of the video, (720, 1280, 3) uint8 RGB, one every 1 / `RATE` seconds."""
    room = _empty_room()
    looks = [_look(cards[seat.portrait], seat) for seat in SEATS]
    for index in range(SECONDS * RATE):
        picture = room.copy()
        for number, (seat, look) in enumerate(zip(SEATS, looks, strict=True)):
            row, column = divmod(number, 3)
            top, left = row * (VIEW + DESK), column * COLUMN
            _draw_seat(picture[top : top + VIEW, left : left + COLUMN], look, seat, index / RATE)
        yield picture


def _empty_room() -> Image:
    """Wall, two rows of desks and the caption."""
    room = np.full((HEIGHT, WIDTH, 3), WALL, dtype=np.uint8)
    for row in (1, 2):
        top, bottom = row * (VIEW + DESK) - DESK, row * (VIEW + DESK)
        room[top:bottom] = FLOOR
        for left in range(24, 3 * COLUMN, COLUMN):
            room[top : top + 30, left : left + COLUMN - 48] = WOOD
            room[top + 30 : top + 38, left : left + COLUMN - 48] = EDGE
    room[2 * (VIEW + DESK) :] = INK
    corner = (24, HEIGHT - 15)
    cv2.putText(room, CAPTION, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.7, FLOOR, 1, cv2.LINE_AA)
    return room


def _look(card: Image, seat: _Seat) -> Image:
    """The card as this seat shows it: mirrored or not, lighter or darker."""
    lit = cv2.convertScaleAbs(card[:, ::-1] if seat.mirrored else card, alpha=seat.light)
    return np.asarray(lit, dtype=np.uint8)


def _draw_seat(view: Image, card: Image, seat: _Seat, t: float) -> None:
    """Draw a card into the (282, 426, 3) view of its seat at `t` seconds, in place."""
    distance, gone = _ramp(seat.far, t, 2.0), _ramp(seat.away, t, 0.4)
    zoom = seat.zoom * (1.0 - 0.765 * distance)
    sigma = 0.5 * (1.0 / zoom - 1.0) + 9.0 * _ramp(seat.soft, t, 1.0)  # far: against aliasing
    if sigma > 0.3:
        card = np.asarray(cv2.GaussianBlur(card, (0, 0), sigma), dtype=np.uint8)
    swing = math.sin(2.0 * math.pi * t / seat.sway)
    move = cv2.getRotationMatrix2D(FACE, 2.5 * swing, zoom * (1.0 + 0.02 * swing))
    move[0, 2] += PLACE[0] - FACE[0] + 6.0 * swing
    move[1, 2] += PLACE[1] - FACE[1] + VIEW * gone  # whoever leaves sinks behind the desk
    size = (view.shape[1], view.shape[0])
    cv2.warpAffine(card, move, size, dst=view, borderMode=cv2.BORDER_TRANSPARENT)


def _ramp(span: Span, t: float, seconds: float) -> float:
    """0 outside `span`, 1 inside, linear over `seconds` at both ends."""
    return min(max(min(t - span[0], span[1] - t) / seconds, 0.0), 1.0)


def _encode(pictures: Iterable[Image], path: Path) -> None:
    """Write the pictures as an H.264 MP4; the file gets its name when it is whole."""
    partial = partial_path(path)
    with writing(path), av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "22", "preset": "veryfast"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    replace_with(partial, path)
