"""What the end-to-end tests feed to the command: pictures, clips, artefacts, made on the spot."""

import dataclasses
import hashlib
import json
import os
import signal
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from commands import descendants, when_rows
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from builders import tiny_recipe
from data_files import write_fer
from media import write_video

from classpulse.core.card import Head, InputSpec, ModelCard, QualityGate, save_card
from classpulse.engage.score import LinearEngagement, preset_text

HEADS = (
    Head("emotion", "emotion_probs", "fer2013-7", 1.0),
    Head("state", "state_probs", "learning-state-4", 1.0),
)


def portrait() -> NDArray[np.uint8]:
    """(320, 256, 3) uint8 RGB: NASA's public-domain portrait of Eileen Collins."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:320, 90:346])


def write_picture(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write RGB (or grey, or 16-bit) by the suffix of `path`."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    path.write_bytes(cv2.imencode(path.suffix, stored)[1].tobytes())
    return path


def write_clip(path: Path, *, seconds: float, rate: int = 25) -> Path:
    """A small clip of one person, who does not move."""
    images = [np.ascontiguousarray(portrait()[::2, ::2])] * round(seconds * rate)
    return write_video(path, images=images, rate=rate)


def write_png_header(path: Path, *, width: int, height: int) -> Path:
    """A small PNG that announces a huge picture."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        checked = kind + data
        parts += [struct.pack(">I", len(data)), checked, struct.pack(">I", zlib.crc32(checked))]
    path.write_bytes(b"".join(parts))
    return path


def write_artefact(folder: Path, *, value: float = 1.0, channels: int = 1) -> ModelCard:
    """A network of a few bytes, with its card, that answers with `value` / k for every label.

    Args:
        value: NaN makes the answer impossible, 1.0 possible.
        channels: that the network takes; its card says 1.
    """
    from onnx import TensorProto, helper

    size = {"emotion_probs": 7, "state_probs": 4}
    nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0),
             helper.make_node("Mul", ["m", "zero"], ["z"]),
             helper.make_node("Unsqueeze", ["z", "one"], ["column"])]  # fmt: skip
    stored = [helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
              helper.make_tensor("one", TensorProto.INT64, [1], [1])]  # fmt: skip
    for name, k in size.items():
        stored.append(helper.make_tensor(f"{name}_row", TensorProto.FLOAT, [1, k], [value / k] * k))
        nodes.append(helper.make_node("Add", ["column", f"{name}_row"], [name]))
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", channels, 48, 48])
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", k]) for n, k in size.items()]
    graph = helper.make_graph(nodes, "tiny", [taken], given, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    card = _card(folder)
    save_card(card, folder / "card.json")
    return card


def _card(folder: Path) -> ModelCard:
    return ModelCard(
        name="tiny",
        summary="A network of constants for tests.",
        input=InputSpec(48, 48, 1, (0.5,), (0.25,), "fer2013"),
        heads=HEADS,
        gate=QualityGate(min_face_px=8, min_sharpness=0.0, max_turn=1.0, min_confidence=0.0),
        metrics=(),
        trained_on="nothing",
        licence="Apache-2.0",
        limits=("It knows nothing.",),
        recipe="none",
        commit="none",
        created="2026-11-22",
        sha256=hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        parameters=11,
    )


def change_card(folder: Path, **changes: object) -> None:
    """Write the card again with other values: ``input`` and ``heads`` take what goes inside."""
    path = folder / "card.json"
    card = json.loads(path.read_text())
    for name, value in changes.items():
        if isinstance(card.get(name), dict):
            card[name] |= value
        else:
            card[name] = value
    path.write_text(json.dumps(card, default=dataclasses.asdict))


# What follows fills the folder of one bad input.


def raw(name: str | bytes, content: bytes) -> Callable[[Path], object]:
    return lambda folder: Path(folder, os.fsdecode(name)).write_bytes(content)


def picture(name: str, image: NDArray[np.uint8] | None = None) -> Callable[[Path], object]:
    return lambda folder: write_picture(folder / name, portrait() if image is None else image)


def clip(name: str, *, keep: float = 1.0, seconds: float = 4.0) -> Callable[[Path], object]:
    """A clip of which the first part `keep` of its bytes is left."""

    def build(folder: Path) -> None:
        path = write_clip(folder / name, seconds=seconds)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])

    return build


def gaze_preset(folder: Path) -> None:
    """A picture, and a preset for a head that no model has."""
    write_picture(folder / "one.jpg", portrait())
    preset = LinearEngagement("gaze", 0.1, {"gaze": {"away": -0.5}}, clip=True, origin="a test")
    (folder / "gaze.json").write_text(preset_text(preset))


def huge(folder: Path) -> None:
    image = np.full((9000, 12000, 3), 200, np.uint8)
    image[1000:4000, 1000:3400] = cv2.resize(portrait(), (2400, 3000))
    write_picture(folder / "huge.jpg", image)


def cmyk(folder: Path) -> None:
    from PIL import Image

    Image.fromarray(portrait()).convert("CMYK").save(folder / "print.jpg")


def deep(folder: Path) -> None:
    cv2.imwrite(str(folder / "deep.png"), portrait()[..., ::-1].astype(np.uint16) * 257)


def transparent(folder: Path) -> None:
    alpha = np.full((*portrait().shape[:2], 1), 128, np.uint8)
    cv2.imwrite(str(folder / "cut.png"), np.concatenate([portrait()[..., ::-1], alpha], axis=2))


def one_broken(folder: Path) -> None:
    (folder / "class").mkdir()
    for name in ("img1.jpg", "img2.jpg", "img10.jpg"):
        write_picture(folder / "class" / name, portrait())
    (folder / "class" / "img2.jpg").write_bytes(b"\xff\xd8\xff and then nothing")


def notes(folder: Path) -> None:
    (folder / "class").mkdir()
    (folder / "class" / "notes.txt").write_text("no picture here")


def unreadable(folder: Path) -> None:
    write_picture(folder / "secret.jpg", portrait()).chmod(0)


def locked(folder: Path) -> None:
    write_picture(folder / "one.jpg", portrait())
    (folder / "locked").mkdir(mode=0o555)


def file_in_place(folder: Path) -> None:
    write_picture(folder / "one.jpg", portrait())
    (folder / "report").write_text("I was here first")


def disk_full(*, left: int) -> Callable[[Path], object]:
    """A clip, and a disk of 1 MB with `left` bytes free."""

    def build(folder: Path) -> None:
        write_clip(folder / "clip.mp4", seconds=1)
        free = os.statvfs(folder / "disk").f_bavail * os.statvfs(folder / "disk").f_frsize
        (folder / "disk" / "other").write_bytes(bytes(free - left))

    return build


def no_space(name: str) -> Callable[[Path], object]:
    """A clip, and an output folder where writing the file `name` meets a full device."""

    def build(folder: Path) -> None:
        write_clip(folder / "clip.mp4", seconds=1)
        (folder / "out").mkdir()
        (folder / "out" / f"{name}.partial").symlink_to("/dev/full")

    return build


def artefact(
    *, value: float = 1.0, channels: int = 1, after: Callable[[Path], object] = lambda folder: None
) -> Callable[[Path], object]:
    """A portrait and an artefact in the folder ``tiny``, changed by `after`."""

    def build(folder: Path) -> None:
        write_picture(folder / "one.jpg", portrait())
        write_artefact(folder / "tiny", value=value, channels=channels)
        after(folder / "tiny")

    return build


def no_onnx(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"no network")
    change_card(folder, sha256=hashlib.sha256(b"no network").hexdigest())


def clip_and_chat(folder: Path) -> None:
    write_clip(folder / "clip.mp4", seconds=2)
    (folder / "chat.txt").write_text("14:05:33 From Ada to Everyone: I am lost here\n")


def posts_and_faces(folder: Path) -> None:
    write_artefact(folder / "tiny")
    (folder / "posts.csv").write_text("text\nI am lost here\n")


def crowded_word(folder: Path) -> None:
    with zipfile.ZipFile(folder / "talk.docx", "w") as archive:
        for i in range(10_002):
            archive.writestr(f"word/media/{i}.png", b"")


def lost_worker(folder: Path) -> None:
    """A training without end, whose worker is killed after the first epoch."""
    write_fer(folder / "fer2013.csv.gz")
    (folder / "tiny.toml").write_text(tiny_recipe(100_000))
    own = os.getpid()

    def kill() -> None:
        servers = [child for child in descendants(own) if _is_fork_server(child)]
        os.kill(next(descendants(servers[0])), signal.SIGKILL)

    when_rows(folder / "run" / "log.jsonl", 1, kill)


def _is_fork_server(pid: int) -> bool:
    return b"multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()


def two_people(folder: Path) -> None:
    write_picture(folder / "two.jpg", np.hstack([portrait(), portrait()[:, ::-1]]))


def two_portraits(folder: Path) -> None:
    (folder / "class").mkdir()
    for name in ("img1.jpg", "img2.jpg"):
        write_picture(folder / "class" / name, portrait())


def scores(text: str | bytes) -> Callable[[Path], object]:
    return raw("scores.csv", text if isinstance(text, bytes) else text.encode())


def mars(folder: Path) -> None:
    change_card(folder, heads=[dataclasses.asdict(HEADS[0]) | {"space": "mars-3"}])
