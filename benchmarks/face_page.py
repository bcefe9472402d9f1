"""The tables of docs/performance.md, from results/face_latency.json; see `face_latency.py`."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from face_cases import BATCHES, PEER
from face_roofline import PEAKS
from measure import origin_line
from pages import DOCS, fill_page, table

PAGE = DOCS / "performance.md"
WIDTH = 140  # of the page
BUSY = 0.05  # of all cores, used by others
GOALS = {"face-flagship": 15.0, "face-lite": 30.0, "face-ensemble": 5.0}
"""Frames/s with everything on two idle cores that issue 5 asks of a model."""
TIMES_PEER = 5.0  # times fer's frames/s on the same clip
Found = Mapping[str, Any]
Rows = Iterator[tuple[Any, ...]]


def write_page(found: Found) -> Path:
    """The page with its tables anew."""
    return fill_page(PAGE, found, TABLES)


def describe_speed(found: Found) -> str:
    """Everything between the marks of the page."""
    parts = [_origin(found), _batches(found), _clip(found), _goals(found), _roofline(found)]
    return "\n\n".join(parts)


TABLES = {"faces": describe_speed}


def _fill(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _origin(found: Found) -> str:
    rows = [
        one for name in ("networks", "clip") for row in found[name].values() for one in row.values()
    ]
    most = max(one["others"] for one in rows)
    busy = "**The machine was busy: frames per second say little.** " if most > BUSY else ""
    pictures, side = found["pictures"]
    text = (
        f"{busy}`python benchmarks/face_latency.py`: {origin_line(found)}; medians of "
        f"{found['runs']} runs; others used {found['others']:.0%} of the processors, {most:.0%} "
        f"beside the worst case. All networks read the same {pictures} pictures of {side} x {side} "
        f"pixels, cut out of a clip of {found['clip_frames']} frames of 1280 x 720 with "
        f"{found['faces_in_clip']} moving faces, which is built from the real footage."
    )
    lines = [_fill(text), ""]
    for name, one in found["int8"].items():
        flatters = "" if one["calibrated"].startswith("FER2013") else ", which flatters"
        lines.append(
            f"- `{name}`: a copy of {one['of']} for this measurement, calibrated on {one['rows']} "
            f"pictures of {one['calibrated']}{flatters}; {one['agreement']:.1%} of the pictures "
            "above keep their first label."
        )
    lines += [f"- `peer:{name}`: {source}." for name, source in found["peers"].items()]
    lines += [f"- Not measured: {name}: {why}" for name, why in found["skipped"].items()]
    return "\n".join(lines)


# --- batches -------------------------------------------------------------------------------------


def _batches(found: Found) -> str:
    head = [
        "network", "arithmetic", "threads", *(f"batch {n}" for n in BATCHES),
        "CPU ms a face, batch 1", f"batch {BATCHES[-1]}", "peak MB",
    ]  # fmt: skip

    def rows() -> Rows:
        for name, by_threads in found["networks"].items():
            for threads, one in by_threads.items():
                sizes = one["batches"]
                speeds = (f"{sizes[str(n)]['faces_per_second']:.0f}" for n in BATCHES)
                spent = (_ms(sizes[str(n)]["cpu_ms"]) for n in (BATCHES[0], BATCHES[-1]))
                arithmetic = found["arithmetic"].get(name, "its own")
                memory = f"{one['peak_mb']:.0f}" if "peak_mb" in one else "not measured"
                yield f"`{name}`", arithmetic, threads, *speeds, *spent, memory

    text = (
        "Faces a second, from the pictures to the scores. `fer`, `facex` and `deepface` read one "
        "face after the other, other peers the batch at once; with two threads a peer is two "
        "copies that share out the batch. `@vladmandic/...` are packages of npm, run by tfjs' "
        "WASM in processes of node: their time is that of network and preparation there, without "
        "the way of the pictures. Our graphs read each face and its mirror image, the shipped "
        "`face-flagship` at three places, others of ours at one, peers only the face. *peak MB*: "
        "of the process, in which there are Python, OpenCV and the measuring, too; of npm that "
        "of node alone, both copies together."
    )
    return f"### Batches\n\n{_fill(text)}\n\n{table(' | '.join(head), rows())}"


def _ms(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


# --- a clip --------------------------------------------------------------------------------------


def _clip(found: Found) -> str:
    head = (
        "what reads | how | frames/s | least to most | CPU ms a frame | faces a frame | peak MB "
        "| times fer | by CPU time"
    )

    def rows() -> Rows:
        for name, modes in found["clip"].items():
            for mode, one in modes.items():
                yield (
                    f"`{name}`",
                    mode,
                    f"{one['frames_per_second']:.1f}",
                    "{:.1f} to {:.1f}".format(*one["reach"]),
                    f"{one['cpu_ms']:.0f}",
                    f"{one['faces']:.1f}",
                    f"{one['peak_mb']:.0f}",
                    *_beside(found, one, mode),
                )

    text = (
        "On two cores. *default*: everything from the file to the score as `classpulse analyze` "
        "runs it (decode, detect, track, predict overlapped; faces looked for every 0.2 s), but "
        "every frame analyzed; *serial*: the same without threads; *detect always*: a search in "
        "every frame; *faces given*: without detector. A face is read from the second time that it "
        "is found, so in the first 0.2 s there are none. `fer` is its own cascade, in every frame, "
        "with its own settings, and its network through LiteRT and not TensorFlow, so its memory "
        "is a lower bound. *times fer*: beside its *default*; *faces given* beside its *faces "
        "given*, where only its network of 56 thousand parameters is left."
    )
    return f"### A clip with ten faces\n\n{_fill(text)}\n\n{table(head, rows())}"


def _beside(found: Found, one: Mapping[str, Any], mode: str) -> tuple[str, str]:
    """Frames/s and processor time as multiples of the peer's."""
    if PEER not in found["clip"]:
        return "not installed", ""
    peer = found["clip"][PEER]["faces given" if mode == "faces given" else "default"]
    speed = one["frames_per_second"] / peer["frames_per_second"]
    return f"{speed:.1f}", f"{peer['cpu_ms'] / one['cpu_ms']:.1f}"


def _goals(found: Found) -> str:
    head = "what reads | goal | measured | verdict"

    def rows() -> Rows:
        peer = found["clip"].get(PEER)
        for name, modes in found["clip"].items():
            if name == PEER:
                continue
            speed = modes["default"]["frames_per_second"]
            goal = found["goals"].get(found["int8"].get(name, {"of": name})["of"])
            if goal is not None:
                wanted = f"{goal:g} frames/s"
                yield f"`{name}`", wanted, f"{speed:.1f} frames/s", _verdict(speed >= goal)
            if peer is not None:
                times, wanted = speed / peer["default"]["frames_per_second"], found["times_peer"]
                met = _verdict(times >= wanted)
                yield f"`{name}`", f"{wanted:g} times fer", f"{times:.1f} times", met

    text = "Of *default*, everything included."
    return f"### Goals\n\n{text}\n\n{table(head, rows())}"


def _verdict(met: bool) -> str:
    return "met" if met else "**not met**"


# --- roofline ------------------------------------------------------------------------------------


def _roofline(found: Found) -> str:
    head = [
        "network", "arithmetic", "threads", "MFLOP a face", *(f"batch {n}" for n in BATCHES),
        "best, GFLOP/s", "peak, GFLOP/s", "best : peak",
    ]  # fmt: skip

    def rows() -> Rows:
        for name, arithmetic in found["arithmetic"].items():
            for threads, one in found["networks"][name].items():
                peak = max(found["peaks"][threads][arithmetic].values())
                rates = [
                    one["flops"] * one["batches"][str(n)]["network_per_second"] for n in BATCHES
                ]
                yield (
                    f"`{name}`",
                    arithmetic,
                    threads,
                    f"{one['flops'] / 1e6:.0f}",
                    *(f"{rate / peak:.0%}" for rate in rates),
                    f"{max(rates) / 1e9:.0f}",
                    f"{peak / 1e9:.0f}",
                    f"{max(rates) / peak:.0%}",
                )

    peaks = "; ".join(
        f"{threads} thread{'s' * (threads != '1')}: " + ", ".join(
            f"{PEAKS[kind]} by {max(ways, key=ways.__getitem__)} {max(ways.values()) / 1e9:.0f}"
            for kind, ways in by_kind.items() if kind in PEAKS
        )
        for threads, by_kind in found["peaks"].items()
    )  # fmt: skip
    text = (
        "Operations a second by the clock (a product and a sum are two, of integers too) that the "
        "network alone achieves, beside the most that this machine gives to a large matrix product "
        "with as many threads and in the same arithmetic; shares of that peak by batch. Only "
        "convolutions and matrix products are counted: norms, activations and copies take their "
        f"time and count nothing. Peaks in GFLOP/s, {peaks}."
    )
    return f"### Beside the machine's peak\n\n{_fill(text)}\n\n{table(' | '.join(head), rows())}"
