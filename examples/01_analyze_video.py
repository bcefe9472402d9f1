"""Analyze a lesson and print the engagement of the class, window by window.

    python examples/01_analyze_video.py [lesson.mp4]

You learn: `classpulse.analyze` takes a video, a picture or a folder and gives a `Session`. Its
summary holds numbers of the class only, and a window in which no picture shows five people who
could be read has none. With `out="folder"` the same call also writes the tables and the report.
"""

import sys
from pathlib import Path

import classpulse
from classpulse.room.demo import demo_video


def main(lesson: Path) -> None:
    session = classpulse.analyze(lesson, every=1.0, window=4.0)
    for window in session.summary["windows"]:
        gauge = window["engagement"]
        text = "not shown"
        if gauge is not None:
            text = f"{gauge['value']:.2f}  [{gauge['low']:.2f}, {gauge['high']:.2f}]"
        print(f"{window['t0']:5.0f} s  {window['people']} people  engagement {text}")
    counts = session.summary["counts"]
    print(f"{counts['abstained']} of {counts['readings']} looks at a face: no statement made")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo_video())
