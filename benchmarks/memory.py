"""Does memory grow with the length of a lesson? A long video, analyzed under watch.

A clip is looped to `--minutes` at its own size (every loop is the same encoded packets with later
times, so building it takes seconds), `classpulse analyze` runs on it in a process of its own, and
that process's memory is read from /proc every half second.

    nice -n 10 .venv/bin/python benchmarks/memory.py --minutes 30
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

CLIP = Path(__file__).parents[2] / "shared" / "data" / "video" / "classroom.gif"
RESULTS = Path(__file__).parent / "results" / "memory.json"
GOAL_MB = 600
SAMPLES = 5


@dataclass(frozen=True)
class Memory:
    """What was measured: seconds and MB (2**20 bytes); `rss` are (wall seconds, MB) pairs.

    `speed` is seconds of video per second of wall time, `idle_speed` per second of processor time:
    what one core does when nobody else computes.
    """

    clip: str
    width: int
    height: int
    video_seconds: float
    every: float
    frames: int
    readings: int
    wall_seconds: float
    processor_seconds: float
    speed: float
    idle_speed: float
    peak_mb: float
    rss: list[tuple[float, float]]
    goal_mb: int


def read_clip(path: Path) -> tuple[list[NDArray[np.uint8]], Fraction]:
    """All frames of a clip, with even sides, and frames per second; the demo if there is none."""
    if not path.is_file():
        from classpulse.room.demo import make_demo_video

        path = Path(tempfile.gettempdir()) / "classpulse-demo.mp4"
        make_demo_video(path)
    with av.open(str(path)) as container:
        rate = Fraction(container.streams.video[0].average_rate or 25)
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    height, width = (side - side % 2 for side in frames[0].shape[:2])
    return [np.ascontiguousarray(frame[:height, :width]) for frame in frames], rate


def write_loop(
    frames: list[NDArray[np.uint8]], path: Path, *, rate: Fraction, seconds: float
) -> None:
    """Encode the frames once, then repeat the packets with later times up to `seconds`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.time_base = "yuv420p", 1 / rate
        stream.options = {"preset": "ultrafast", "crf": "20", "bf": "0"}
        stream.codec_context.gop_size = len(frames)
        packets = []
        for index, image in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(image, "rgb24")
            picture.pts, picture.time_base = index, 1 / rate
            packets += stream.encode(picture)
        packets += stream.encode(None)
        content = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for index in range(round(seconds * rate)):
            data, key = content[index % len(content)]
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, 1 / rate
            packet.pts = packet.dts = index
            packet.duration, packet.is_keyframe = 1, key
            container.mux(packet)


def watch_memory(command: list[str]) -> tuple[list[tuple[float, float]], float, float]:
    """Run a command: (wall seconds, RSS MB) pairs, the peak in MB, and wall seconds in all."""
    seen, peak, start = [], 0.0, time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            if "VmRSS" in fields:
                rss, high = (int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
                peak = max(peak, rss, high)
                seen.append((round(time.monotonic() - start, 1), round(rss, 1)))
            time.sleep(0.5)
        if process.returncode:
            sys.exit(f"classpulse analyze ended with {process.returncode}")
    return seen, peak, time.monotonic() - start


def measure(clip: Path, *, minutes: float, every: float) -> Memory:
    """Build the video in a temporary folder, analyze it, and collect the numbers."""
    frames, rate = read_clip(clip)
    with tempfile.TemporaryDirectory(prefix="classpulse-") as name:
        video, out = Path(name) / "lesson.mp4", Path(name) / "out"
        write_loop(frames, video, rate=rate, seconds=60 * minutes)
        command = [sys.executable, "-m", "classpulse.cli", "analyze", str(video)]
        seen, peak, wall = watch_memory([*command, "--out", str(out), "--every", str(every)])
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = used.ru_utime + used.ru_stime
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    height, width = frames[0].shape[:2]
    duration, counts = summary["session"]["duration"], summary["counts"]
    steps = [len(seen) * (i + 1) // (SAMPLES + 1) for i in range(SAMPLES)]  # neither end
    return Memory(
        clip=clip.name if clip.is_file() else "demo",
        width=width,
        height=height,
        video_seconds=duration,
        every=every,
        frames=counts["frames"],
        readings=counts["readings"],
        wall_seconds=round(wall, 1),
        processor_seconds=round(spent, 1),
        speed=round(duration / wall, 2),
        idle_speed=round(duration / spent, 1),
        peak_mb=round(peak, 1),
        rss=[seen[step] for step in steps],
        goal_mb=GOAL_MB,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between analyzed frames")
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    found = measure(given.clip, minutes=given.minutes, every=given.every)
    given.results.parent.mkdir(exist_ok=True)
    given.results.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    print(f"{found.clip}, {found.width} x {found.height}: {found.video_seconds:.0f} s of video, "
          f"{found.frames} frames analyzed, {found.readings} readings\n"
          f"{found.wall_seconds:.0f} s wall ({found.speed:.1f} s of video per second), "
          f"{found.processor_seconds:.0f} s of processor time ({found.idle_speed:.1f})\n"
          f"peak {found.peak_mb:.0f} MB (goal: below {GOAL_MB}); over time: "
          + ", ".join(f"{mb:.0f} MB at {t:.0f} s" for t, mb in found.rss))  # fmt: skip
    if found.peak_mb >= GOAL_MB:
        sys.exit(1)


if __name__ == "__main__":
    main()
