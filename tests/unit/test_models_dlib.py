"""dlib's network: its file, and that it computes what the file says."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from classpulse.core.errors import ModelError  # noqa: E402
from classpulse.lab.models.adopted import AdoptedNorm  # noqa: E402
from classpulse.lab.models.dlib_file import PACKAGE, find_weights, read_dlib  # noqa: E402
from classpulse.lab.models.dlib_resnet import (  # noqa: E402
    DlibFace,
    DlibSettings,
    build_dlib,
)

torch.set_num_threads(1)

SMALL = DlibSettings((4, 8), (1, 2), dropout=0.0)
HEADS = {"emotion": 7}


def integer(value: int) -> bytes:
    """As dlib packs integers: a byte with sign and length, then the value, little endian."""
    data = abs(value).to_bytes(max(1, (abs(value).bit_length() + 7) // 8), "little")
    return bytes([len(data) | (0x80 if value < 0 else 0)]) + data


def layer(name: bytes, values: Sequence[float]) -> bytes:
    sizes = b"".join(integer(size) for size in (2, len(values), 1, 1, 1))
    return name + sizes + np.asarray(values, "<f4").tobytes()


def layers_of(model: DlibFace, rng: np.random.Generator) -> list[tuple[bytes, np.ndarray]]:
    """Random weights for each layer as dlib stores it, the first convolution in three colors."""
    found = []
    for part in model.layers():
        norm = isinstance(part, AdoptedNorm)
        colors = 3 if not norm and part is model.conv else 1
        size = colors * part.weight.numel() + len(part.weight)
        found.append((b"affine_" if norm else b"con_4", rng.normal(0.5, 0.3, size)))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.dat"
    stored = layers_of(build_dlib(SMALL, HEADS, 1, 24), np.random.default_rng(0))
    path.write_bytes(b"\x01\x01head" + b"".join(layer(*one) for one in stored) + b"\x01\x02tail")
    return path


def test_the_layers_come_out_in_order(file: Path) -> None:
    stored = layers_of(build_dlib(SMALL, HEADS, 1, 24), np.random.default_rng(0))
    found = read_dlib(file)
    assert len(found) == len(stored)
    for flat, (_, values) in zip(found, stored, strict=True):
        np.testing.assert_array_equal(flat.numpy(), values.astype(np.float32))


class Affine(nn.Module):
    """What dlib computes where we normalize."""

    def __init__(self, flat: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = flat.chunk(2)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale[:, None, None] + self.shift[:, None, None]


def test_the_first_batch_passes_as_dlib_would_have_it(file: Path) -> None:
    settings = replace(SMALL, weights=str(file))
    model, plain = build_dlib(settings, HEADS, 1, 24), build_dlib(settings, HEADS, 1, 24)
    for part, flat in zip(plain.layers(), read_dlib(file), strict=True):
        if isinstance(part, AdoptedNorm):
            owner, name = next(
                (m, n) for m in plain.modules() for n, child in m.named_children() if child is part
            )
            setattr(owner, name, Affine(flat))
    x = torch.rand(16, 1, 24, 24)
    with torch.no_grad():
        wanted = plain.eval().embed(x)
        first = model.train().embed(x)
    torch.testing.assert_close(first, wanted, rtol=1e-3, atol=1e-3)
    assert all(part.adopted for part in model.layers() if isinstance(part, AdoptedNorm))
    assert "small.dat (sha256" in model.origin


def test_grey_is_the_sum_of_three_colors(file: Path) -> None:
    model = build_dlib(replace(SMALL, weights=str(file)), HEADS, 1, 24)
    flat = read_dlib(file)[0]
    colors, bias = flat[:-4].reshape(4, 3, 7, 7), flat[-4:]
    x = torch.rand(2, 1, 24, 24)
    # dlib divides pixels by 256, ours by the deviation 0.255 of the range
    wanted = functional.conv2d(0.255 * x.expand(-1, 3, -1, -1), colors, bias, 2, 3)
    torch.testing.assert_close(model.conv(x), wanted, rtol=1e-4, atol=1e-4)


def test_a_random_network_is_an_ordinary_one() -> None:
    model = build_dlib(SMALL, HEADS, 1, 24).train()
    before = model.norm.weight.clone()
    model(torch.rand(4, 1, 24, 24))
    assert torch.equal(model.norm.weight, before)
    assert model.origin == "random"


def test_weights_of_another_network_are_refused(file: Path) -> None:
    with pytest.raises(ModelError, match=r"small\.dat do not fit: 14 layers of .* needs 18"):
        build_dlib(replace(SMALL, blocks=(1, 3), weights=str(file)), HEADS, 1, 24)


def test_a_missing_file_and_one_without_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read weights .*No such file"):
        read_dlib(tmp_path / "none.dat")
    (tmp_path / "other.dat").write_bytes(b"a picture, perhaps")
    with pytest.raises(ModelError, match=r"no layers of a dlib network, needs a \.dat file"):
        read_dlib(tmp_path / "other.dat")


def test_the_file_of_an_installed_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_weights("own.dat") == Path("own.dat")
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(ModelError, match=r"not installed: pip install face-recognition-models"):
        find_weights(PACKAGE)
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert find_weights(PACKAGE).parent == tmp_path / PACKAGE / "models"


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 3000), at=st.integers(0, 3000), byte=st.integers(0, 255))
def test_a_damaged_file_gives_values_or_one_clear_error(
    cut: int, at: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = layer(b"con_4", np.arange(20.0)) + layer(b"affine_", np.arange(8.0))
    data = bytearray(whole)
    data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("dlib") / "damaged.dat"
    path.write_bytes(data[:cut])
    try:
        found = read_dlib(path)
    except ModelError as error:
        said = str(error)
    else:
        assert all(len(flat) for flat in found)
        return
    assert "damaged.dat" in said
