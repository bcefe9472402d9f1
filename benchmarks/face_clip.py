"""A 1280 x 720 clip with ten real faces that move, for the benchmarks; never committed.

Five people from the footage of `../shared/data/video` are cut out, enlarged and tiled; the second
row is mirrored and a moment later. Faces are 85 to 140 pixels wide.
"""

from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import InputSpec
from classpulse.core.records import Faces
from classpulse.vision.detect import build_detector
from classpulse.vision.image import crop_face, resize
from classpulse.vision.source import open_source

VIDEOS = Path(__file__).parents[2] / "shared" / "data" / "video"
TILE, COLUMNS, ROWS = (256, 360), 5, 2  # width, height; 5 x 256 = 1280, 2 x 360 = 720
FACES = COLUMNS * ROWS
SIDE = 128  # pixels, of the pictures that networks and peers are asked about
FRAMING = InputSpec(48, 48, 1, (0.5,), (0.25,), "fer2013")  # only its framing counts
LATER = 20  # frames between the two rows
PEOPLE = (  # file, x, y, width, height of the part with the face, pixels of the file
    ("head-pose-face-detection-female-and-male.gif", 260, 5, 140, 197),
    ("head-pose-face-detection-female-and-male.gif", 10, 30, 140, 197),
    ("learn.mkv", 228, 40, 160, 225),
    ("school.mkv", 226, 40, 160, 225),
    ("student.mkv", 228, 20, 160, 225),
)


def read_frames(path: Path, *, most: int | None = None) -> list[NDArray[np.uint8]]:
    """Frames of a video, (h, w, 3) uint8 RGB each."""
    with av.open(str(path)) as container:
        frames = islice(container.decode(video=0), most)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def write_clip(path: Path, *, frames: int, rate: int = 30) -> None:
    """Encode the clip as H.264."""
    people = [_person(*place) for place in PEOPLE]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height = TILE[0] * COLUMNS, TILE[1] * ROWS
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "veryfast", "crf": "20"}
        for index in range(frames):
            upper = np.hstack([_swing(person, index) for person in people])
            lower = np.hstack([_swing(person, index + LATER)[:, ::-1] for person in people])
            image = np.ascontiguousarray(np.vstack([upper, lower]))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


def _person(name: str, x: int, y: int, width: int, height: int) -> list[NDArray[np.uint8]]:
    """Tiles (360, 256, 3) of one person, one per frame of the file."""
    return [
        np.asarray(
            cv2.resize(image[y : y + height, x : x + width], TILE, interpolation=cv2.INTER_CUBIC),
            np.uint8,
        )
        for image in read_frames(VIDEOS / name)
    ]


def _swing(tiles: list[NDArray[np.uint8]], index: int) -> NDArray[np.uint8]:
    """The tile at `index`, to the end of the footage and back, so that nothing jumps."""
    place = index % (2 * len(tiles) - 2)
    return tiles[min(place, 2 * len(tiles) - 2 - place)]


def prepare_clip(folder: Path, *, frames: int) -> None:
    """The clip, the faces that our detector finds in it, and pictures of some of them."""
    write_clip(folder / "clip.mp4", frames=frames)
    find = build_detector("retinaface")
    with open_source(folder / "clip.mp4") as source:
        found = [find(frame) for frame in source]
    ends = np.cumsum([len(faces) for faces in found])
    np.savez(
        folder / "faces.npz",
        box=np.concatenate([faces.box for faces in found]),
        score=np.concatenate([faces.score for faces in found]),
        landmarks=np.concatenate([faces.landmarks for faces in found]),
        ends=ends,
    )
    np.save(folder / "pictures.npy", _cut_pictures(folder))


def load_faces(folder: Path) -> list[Faces]:
    """Faces of each frame of the clip."""
    with np.load(folder / "faces.npz") as stored:
        every = Faces(stored["box"], stored["score"], stored["landmarks"])
        ends = stored["ends"].tolist()
    return [every[a:b] for a, b in pairwise([0, *ends])]


def load_pictures(folder: Path) -> NDArray[np.uint8]:
    """(n, `SIDE`, `SIDE`, 3) uint8 RGB: faces of the clip cut out as the room does it."""
    return np.asarray(np.load(folder / "pictures.npy"), np.uint8)


def _cut_pictures(folder: Path) -> NDArray[np.uint8]:
    """Every eighth face, another one in each frame."""
    pictures, faces = [], load_faces(folder)
    with open_source(folder / "clip.mp4") as frames:
        for frame in frames:
            at = faces[frame.index]
            assert at.landmarks is not None
            for row in range(frame.index % 8, len(at), 8):
                crop = crop_face(frame.image, at.box[row], at.landmarks[row], FRAMING)
                pictures.append(resize(crop, width=SIDE, height=SIDE))
    return np.stack(pictures)
