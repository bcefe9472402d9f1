"""Builders for tests: cards, readings, frames, fake sources, detectors and networks."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from classpulse.core.card import Head, InputSpec, ModelCard, QualityGate, save_card
from classpulse.core.labels import FER2013_7, FERPLUS_VOTES, LEARNING_STATE_4, LabelSpace
from classpulse.core.records import Faces, Frame, Interval, Reading, Scores

SPEC = InputSpec(48, 48, 1, (0.5,), (0.25,), "fer2013")
SPEC_TOML = """
[input]
width = 48
height = 48
channels = 1
mean = [0.5]
std = [0.25]
framing = "fer2013"
"""
"""`SPEC` as the table of a recipe."""


def tiny_recipe(epochs: int) -> str:
    """A recipe of a residual network that trains in no time."""
    return f"""
name = "tiny"
summary = "A recipe for tests."
heads = {{ emotion = 1.0 }}
{SPEC_TOML}[network]
widths = [8, 8, 16, 16]
blocks = 1
stem = 4
[schedule]
sides = [[{epochs}, 48]]
batch = 8
"""


HEADS = (
    Head("emotion", "emotion_probs", "fer2013-7", 1.0),
    Head("state", "state_probs", "learning-state-4", 1.0),
)
GATE = QualityGate(min_face_px=24.0, min_sharpness=0.02, max_turn=0.75, min_confidence=0.3)


def build_card(**changes: Any) -> ModelCard:
    """A valid card, with some fields changed."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "summary": "A network for tests.",
        "input": SPEC,
        "heads": HEADS,
        "gate": GATE,
        "metrics": (),
        "trained_on": "nothing",
        "licence": "Apache-2.0",
        "limits": ("tests only",),
        "recipe": "tiny",
        "commit": "0000000",
        "created": "2026-01-01",
        "sha256": "0" * 64,
        "parameters": 10,
    }
    return ModelCard(**(fields | changes))


def votes(**counts: int) -> list[int]:
    """One row of FER+ votes by column name; the others are 0."""
    assert set(counts) <= set(FERPLUS_VOTES)
    return [counts.get(name, 0) for name in FERPLUS_VOTES]


def sure(space: LabelSpace, label: str, p: float = 1.0) -> Scores:
    """One row with probability `p` for `label`, the rest shared out evenly."""
    probs = np.full((1, len(space)), (1 - p) / (len(space) - 1), dtype=np.float32)
    probs[0, space.index(label)] = p
    return Scores(probs, space)


def build_reading(
    subject: str = "S01", t: float = 0.0, *, value: float = 0.5, state: str = "focused"
) -> Reading:
    """A reading with statements: happy, `state`, and engagement `value` +- 0.1."""
    scores = {
        "emotion": sure(FER2013_7, "happy", 0.8),
        "state": sure(LEARNING_STATE_4, state, 0.7),
    }
    gauge = Interval(value, max(value - 0.1, 0.0), min(value + 0.1, 1.0))
    quality = {"face_px": 61.0, "sharpness": 0.5, "turn": 0.125, "confidence": 0.8}
    return Reading(t, subject, "face", scores, gauge, quality)


def build_abstained(
    subject: str = "S01", t: float = 0.0, *, why: str = "face too small"
) -> Reading:
    """A reading without statements."""
    return Reading(t, subject, "face", quality={"face_px": 12.0}, abstained=why)


def noise(h: int = 240, w: int = 320, *, seed: int = 0) -> NDArray[np.uint8]:
    """A picture of random pixels: sharp everywhere."""
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


def build_frame(t: float = 0.0, image: NDArray[np.uint8] | None = None) -> Frame:
    """A frame of noise, or of `image`."""
    return Frame(noise() if image is None else image, t, round(t * 25), "test")


TEMPLATE = np.array([[15.1, 18.6], [32.9, 18.6], [24.0, 28.6], [17.1, 36.5], [30.9, 36.5]]) / 48
"""A copy of the framing `fer2013`: if it changes in the source, tests must notice."""


def build_faces(*corners: tuple[float, float], side: float = 60.0, score: float = 0.99) -> Faces:
    """Square frontal faces with landmarks, by their upper left corners."""
    low = np.array(corners, dtype=np.float32).reshape(-1, 2)
    box = np.concatenate([low, low + side], axis=1)
    marks = low[:, None, :] + TEMPLATE * side
    return Faces(box, np.full(len(low), score), marks)


def pick(faces: Faces, **changes: Any) -> Faces:
    """The same faces with some arrays replaced."""
    fields = {name: getattr(faces, name) for name in ("box", "score", "landmarks", "track")}
    return Faces(**(fields | changes))


class FakeSource:
    """Yields given frames; an exception in the list is raised in its place."""

    live = False

    def __init__(self, frames: Sequence[Frame | BaseException], *, sequence: bool = True) -> None:
        self.name = "fake"
        self.sequence = sequence
        times = [frame.t for frame in frames if isinstance(frame, Frame)]
        self.duration: float | None = max(times, default=0.0) + 0.5
        self.closed = False
        self._frames = frames

    def __enter__(self) -> "FakeSource":
        return self

    def __exit__(self, *exc: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            if isinstance(frame, BaseException):
                raise frame
            yield frame


class FakeModel:
    """A network that answers `answer(batch)`; one-hot happy and focused unless told otherwise."""

    def __init__(
        self,
        answer: Callable[[NDArray[np.float32]], Mapping[str, Scores]] | None = None,
        **changes: Any,
    ) -> None:
        self.card = build_card(**changes)
        self.batches: list[NDArray[np.float32]] = []
        self._answer = answer

    def predict(self, batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        self.batches.append(batch)
        if self._answer is not None:
            return self._answer(batch)
        return answer_with(emotion=("happy", 1.0), state=("focused", 1.0))(batch)


def answer_with(
    **labels: tuple[str, float],
) -> Callable[[NDArray[np.float32]], Mapping[str, Scores]]:
    """An answer of `FakeModel`: head=(label, probability) for every face."""
    spaces = {head.name: head.label_space for head in HEADS}

    def answer(batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        rows = {head: sure(spaces[head], *label).probs for head, label in labels.items()}
        return {h: Scores(np.repeat(row, len(batch), axis=0), spaces[h]) for h, row in rows.items()}

    return answer


def write_onnx(
    path: Path,
    outputs: Mapping[str, Sequence[float]],
    *,
    spec: InputSpec = SPEC,
    softmax: bool = True,
    seed: int | None = None,
) -> str:
    """A linear network with one output per head; returns the file's SHA-256.

    Args:
        outputs: output name -> bias (k,); the weights are 0, or random with a `seed`.
    """
    import hashlib

    import onnx
    from onnx import TensorProto, helper, numpy_helper

    size = spec.channels * spec.height * spec.width
    rng = np.random.default_rng(seed)
    nodes, values, ends = [helper.make_node("Flatten", ["faces"], ["flat"])], [], []
    for name, bias in outputs.items():
        k = len(bias)
        weight = np.zeros((size, k)) if seed is None else rng.normal(0, 0.05, (size, k))
        values += [
            numpy_helper.from_array(weight.astype(np.float32), f"{name}_w"),
            numpy_helper.from_array(np.asarray(bias, np.float32), f"{name}_b"),
        ]
        end = f"{name}_logits" if softmax else name
        nodes += [
            helper.make_node("MatMul", ["flat", f"{name}_w"], [f"{name}_m"]),
            helper.make_node("Add", [f"{name}_m", f"{name}_b"], [end]),
        ]
        if softmax:
            nodes.append(helper.make_node("Softmax", [end], [name], axis=1))
        ends.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", k]))
    shape = ["n", spec.channels, spec.height, spec.width]
    start = helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "tiny", [start], ends, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def write_artefact(
    folder: Path,
    outputs: Mapping[str, Sequence[float]] | None = None,
    *,
    softmax: bool = True,
    seed: int | None = None,
    **changes: Any,
) -> Path:
    """An artefact folder whose card matches a tiny network."""
    folder.mkdir(exist_ok=True)
    wanted = outputs or {h.output: [0.0] * len(h.label_space) for h in HEADS}
    found = write_onnx(folder / "model.onnx", wanted, softmax=softmax, seed=seed)
    save_card(build_card(**({"sha256": found} | changes)), folder / "card.json")
    return folder


PORTRAITS = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}


def load_portrait(name: str, *, scale: float = 1.0) -> NDArray[np.uint8]:
    """A public-domain portrait (h, w, 3) RGB, without importing the package that carries it."""
    package, inside = PORTRAITS[name]
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    image = cv2.imread(str(Path(spec.origin).parent / inside), cv2.IMREAD_COLOR)
    assert image is not None
    if scale != 1.0:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=how)
    return np.ascontiguousarray(image[:, :, ::-1])
