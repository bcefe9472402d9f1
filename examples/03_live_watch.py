"""Watch a camera and print one line a second.

    python examples/03_live_watch.py camera:0 --seconds 60

You learn: `classpulse.watch` is a generator and everything else in ClassPulse is built on it. It
reads a camera, an rtsp:// address or a file (without one: the demo lesson) and yields each analyzed
frame at once; nothing is stored. `closing` frees the camera when you stop early.
"""

import argparse
from contextlib import closing

import classpulse
from classpulse.room.demo import demo_video
from classpulse.room.privacy import Privacy


def main(source: str, seconds: float) -> None:
    rules = Privacy()
    second = -1
    with closing(classpulse.watch(source, every=0.5, privacy=rules)) as stream:
        for seen in stream:
            if seen.frame.t > seconds:
                break
            if int(seen.frame.t) == second:
                continue
            second = int(seen.frame.t)
            read = [r.engagement.value for r in seen.readings if r.engagement is not None]
            enough = len(read) >= rules.group
            text = f"{sum(read) / len(read):.2f}" if enough else f"not shown (k = {rules.group})"
            print(f"{second:4d} s  {len(seen.faces)} faces  {len(read)} read  engagement {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Watch a camera, one line a second.")
    parser.add_argument("source", nargs="?", help="camera:N, rtsp://... or a file")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    main(given.source or str(demo_video()), given.seconds)
