"""Any ONNX network as a peer: its spec is checked, its columns go by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peer_fakes import pictures, tops

pytest.importorskip("onnx", reason="the tests make small networks with the lab's packages")

from classpulse.core.errors import InputError, ModelError
from classpulse.lab.evaluate.peers import open_peer

LABELS = ["neutral", "happiness", "contempt", "anger"]
SPEC: dict[str, Any] = {
    "model": "net.onnx",
    "input": {
        "width": 2,
        "height": 2,
        "channels": 1,
        "scale": 1,
        "mean": [0],
        "std": [1],
        "layout": "nchw",
    },
    "labels": LABELS,
    "softmax": True,
    "renames": {"contempt": None},
}


def write_net(folder: Path, *, batch: int | str = "n", channels: int = 1) -> Path:
    """An ONNX file whose column i has the logit -10 |pixel - i|, read from the first channel."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    columns = np.arange(len(LABELS), dtype=np.float32)
    weights = np.zeros((channels * 4, len(LABELS)), dtype=np.float32)
    weights[0] = 1  # the first pixel of the first channel
    nodes = [
        helper.make_node("Flatten", ["faces"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["pixel"]),
        helper.make_node("Sub", ["pixel", "columns"], ["gap"]),
        helper.make_node("Abs", ["gap"], ["far"]),
        helper.make_node("Mul", ["far", "minus"], ["logits"]),
    ]
    known = {"weights": weights, "columns": columns, "minus": np.float32(-10)}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, [batch, channels, 2, 2])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, len(LABELS)])
            for name in ("logits", "far")
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in known.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, folder / "net.onnx")
    return folder / "net.onnx"


def write_spec(folder: Path, *, without: str = "", **changes: Any) -> str:
    """A spec next to `net.onnx`, changed; gives the name of the peer."""
    spec = {k: v for k, v in (SPEC | {"output": "logits"} | changes).items() if k != without}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    return f"onnx:{folder / 'spec.json'}"


@pytest.mark.parametrize("batch", ["n", 1])
def test_an_onnx_network_answers_by_name(batch: int | str, tmp_path: Path) -> None:
    write_net(tmp_path, batch=batch)
    peer = open_peer(write_spec(tmp_path))
    assert tops(peer, pictures(*[0, 1, 3] * 30)) == ["neutral", "happy", "angry"] * 30
    assert peer.name == "onnx:spec"
    assert "net.onnx, sha256 " in peer.source


def test_an_onnx_network_answers_in_the_space_of_its_spec(tmp_path: Path) -> None:
    write_net(tmp_path)
    peer = open_peer(write_spec(tmp_path, space="ferplus-8", renames={}))
    assert tops(peer, pictures(0, 1, 2, 3)) == ["neutral", "happiness", "contempt", "anger"]


def test_bgr_networks_see_blue_first(tmp_path: Path) -> None:
    write_net(tmp_path, channels=3)
    color = np.zeros((2, 2, 2, 3), dtype=np.uint8)
    color[:, :, :, 2] = np.array([1, 3])[:, None, None]  # blue
    shape = {"channels": 3, "mean": [0] * 3, "std": [1] * 3, "order": "bgr"}
    peer = open_peer(write_spec(tmp_path, input=SPEC["input"] | shape))
    assert tops(peer, color) == ["happy", "angry"]


def test_mean_std_and_scale_are_applied(tmp_path: Path) -> None:
    write_net(tmp_path)
    shape = {"scale": 1 / 255, "mean": [0.5], "std": [0.25]}  # 255 -> 2, 204 -> 1.2, 128 -> 0
    peer = open_peer(
        write_spec(tmp_path, input=SPEC["input"] | shape, space="ferplus-8", renames={})
    )
    assert tops(peer, pictures(255, 204, 128)) == ["contempt", "happiness", "neutral"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"without": "labels"}, r"missing \['labels'\]"),
        ({"colour": 1}, r"unknown \['colour'\]; allowed: model, input"),
        ({"softmax": 1}, "softmax is 1, needs bool"),
        ({"labels": ["happy", 3]}, "labels are texts"),
        ({"renames": {"contempt": 3}}, "map a label to a text or null"),
        ({"space": "ferplus"}, "unknown label space 'ferplus'; known: fer2013-7"),
        ({"input": 3}, "input is 3, needs dict"),
        ({"input": SPEC["input"] | {"layout": "chw"}}, "layout 'chw' must be one of nchw, nhwc"),
        ({"input": SPEC["input"] | {"std": [0]}}, "must be positive"),
        ({"input": SPEC["input"] | {"mean": [0, 0]}}, "mean needs 1 numbers"),
        ({"input": SPEC["input"] | {"channels": 2, "mean": [0, 0], "std": [1, 1]}}, "1 or 3"),
        ({"input": SPEC["input"] | {"width": 4}}, r"its spec says \(n, 1, 2, 4\).*mend the spec"),
        ({"input": SPEC["input"] | {"layout": "nhwc"}}, r"spec says \(n, 2, 2, 1\)"),
        ({"without": "output"}, "has the outputs logits, far.*name one of them"),
        ({"output": "probs"}, "\"output\" is 'probs'"),
    ],
)
def test_a_wrong_spec_names_its_field(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_net(tmp_path)
    with pytest.raises(InputError, match=message):
        open_peer(write_spec(tmp_path, **changes))


def test_labels_of_another_number_than_the_columns_are_refused(tmp_path: Path) -> None:
    write_net(tmp_path)
    peer = open_peer(write_spec(tmp_path, labels=["happy", "sad"], renames={}))
    with pytest.raises(ModelError, match="for 1 pictures and 2 labels: happy, sad"):
        peer.predict(pictures(0))


def test_logits_without_softmax_are_refused(tmp_path: Path) -> None:
    write_net(tmp_path)
    with pytest.raises(ModelError, match="if they are logits, ask for softmax"):
        open_peer(write_spec(tmp_path, softmax=False)).predict(pictures(0))


def test_a_network_with_another_fixed_number_of_pictures_is_refused(tmp_path: Path) -> None:
    write_net(tmp_path, batch=5)
    with pytest.raises(InputError, match="takes exactly 5 pictures"):
        open_peer(write_spec(tmp_path))


def test_an_altered_onnx_file_is_refused(tmp_path: Path) -> None:
    write_net(tmp_path)
    with pytest.raises(ModelError, match=r"has sha256 .*, its spec says 00"):
        open_peer(write_spec(tmp_path, sha256="00" * 32))


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'onnx' needs a spec"):
        open_peer("onnx")
    with pytest.raises(InputError, match=r"cannot read .*none\.json: No such file"):
        open_peer(f"onnx:{tmp_path / 'none.json'}")
    name = write_spec(tmp_path)
    with pytest.raises(ModelError, match=r"cannot read .*net\.onnx: No such file"):
        open_peer(name)
    (tmp_path / "net.onnx").write_bytes(b"not onnx")
    with pytest.raises(ModelError, match="'onnx:spec' failed inside its own package"):
        open_peer(name)
    (tmp_path / "spec.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is not valid JSON"):
        open_peer(name)
