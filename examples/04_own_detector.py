"""Use a face detector of your own: here one that ignores the upper half of the picture.

    python examples/04_own_detector.py [lesson.mp4]

You learn: a detector is any function from a `Frame` to `Faces`; `watch` does the rest. This one
gives the Viola-Jones detector the lower half only, because the wall above may show faces (posters,
a screen) that belong to nobody in the lesson, and shifts the boxes back into the whole picture.
"""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

import classpulse
from classpulse.core.records import Faces, Frame
from classpulse.room.demo import demo_video
from classpulse.vision.detect import Haar

find_faces = Haar(min_side=80)


def front_rows(frame: Frame) -> Faces:
    half = frame.image.shape[0] // 2
    faces = find_faces(replace(frame, image=frame.image[half:]))
    return replace(faces, box=faces.box + np.array([0, half, 0, half]))  # x0, y0, x1, y1 in pixels


def main(lesson: Path) -> None:
    stream = classpulse.watch(lesson, every=1.0, detector=front_rows)
    sightings = Counter(reading.subject for seen in stream for reading in seen.readings)
    print(f"{len(sightings)} subjects in the front rows, seen {sightings.total()} times")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo_video())
