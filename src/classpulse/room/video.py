"""The annotated video: boxes over blurred faces, at the analyzed frames' own times.

What was read of a face stands beside it in the session of one consented person only: of a group
nothing is told of anybody alone, not even that a face could not be read.
"""

from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import numpy as np

from classpulse.core.errors import OutputError
from classpulse.core.records import Reading
from classpulse.room.files import partial_path, replace_with, writing
from classpulse.room.pipeline import Observation
from classpulse.vision.draw import draw_blur, draw_face

TICKS = 90_000  # per second, the usual clock of MPEG
CRF = "26"


class VideoSink:
    """Writes an H.264 MP4; the first frame fixes the size.

    Args:
        path: of the finished file; it stands in `<name>.partial` until then.
        show_faces: leave the faces of subjects as they are instead of blurring every detected one.
        single: the session is one consented person's: what was read may stand beside the face.
        head: whose label that is, None for none.
    """

    def __init__(self, path: Path, *, show_faces: bool, single: bool, head: str | None) -> None:
        self.path = path
        self.show_faces = show_faces
        self.single = single
        self.head = head
        self._stream: av.VideoStream | None = None
        self._last = -1

    def __enter__(self) -> Self:
        with writing(self.path):
            self._container = av.open(str(partial_path(self.path)), "w", format="mp4")
        return self

    def write(self, seen: Observation) -> None:
        """Draw one observation and encode it.

        Raises:
            OutputError: the disk is full or the encoder fails.
        """
        image = seen.frame.image.copy()
        track = seen.faces.track
        confirmed = seen.faces[track >= 0] if track is not None else ()
        hidden = seen.faces if track is None or not self.show_faces else seen.faces[track < 0]
        for box in hidden.box:
            draw_blur(image, box)
        for box, reading in zip(confirmed.box if confirmed else (), seen.readings, strict=True):
            sure = reading.abstained is None or not self.single
            draw_face(image, box, self._label(reading), sure=sure)
        self._encode(image, seen.frame.t)

    def _label(self, reading: Reading) -> str:
        if not self.single:
            return reading.subject
        word = None if self.head is None else reading.label(self.head)
        return f"{reading.subject} {word or reading.abstained or ''}"

    def _encode(self, image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], t: float) -> None:
        h, w = (side - side % 2 for side in image.shape[:2])  # yuv420p needs even sides
        if min(h, w) < 2:
            raise OutputError(f"cannot annotate pictures of {w}x{h} pixels: use larger ones")
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30)
            self._stream.width, self._stream.height = w, h
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = Fraction(1, TICKS)
            self._stream.options = {"crf": CRF, "preset": "veryfast"}
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:h, :w]), format="rgb24")
        if (w, h) != (self._stream.width, self._stream.height):
            picture = picture.reformat(self._stream.width, self._stream.height)
        self._last = max(round(t * TICKS), self._last + 1)
        picture.pts, picture.time_base = self._last, Fraction(1, TICKS)
        with writing(self.path):
            self._container.mux(self._stream.encode(picture))

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            with writing(self.path):
                if self._stream is not None:
                    self._container.mux(self._stream.encode(None))
                self._container.close()
        except OutputError:
            if kind is None:
                raise
        if kind is None:
            replace_with(partial_path(self.path), self.path)
