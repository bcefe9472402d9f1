"""Views of a face: where they move it, and that the artefact answers with their mean."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from builders import build_card  # noqa: E402
from toy_training import PLAIN as RECIPE  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.evaluate.calibration import PLAIN  # noqa: E402
from classpulse.lab.export import build_heads, export_onnx, save_artefact  # noqa: E402
from classpulse.lab.models.views import mean_of_views, show_views  # noqa: E402
from classpulse.lab.train.run import build_network, predict_logits  # noqa: E402
from classpulse.runtime.model import OnnxModel  # noqa: E402

SHIFTS = ((0, -2), (0, 2), (-3, 1))


def test_a_face_moves_and_its_border_stays() -> None:
    x = torch.arange(2 * 5 * 6.0).reshape(2, 1, 5, 6)
    down, left = show_views(x, ((1, 0), (0, -2)), flip=False).split(2)
    assert torch.equal(down[:, :, 1:], x[:, :, :-1]) and torch.equal(down[:, :, 0], x[:, :, 0])
    assert torch.equal(left[..., :-2], x[..., 2:])
    assert torch.equal(left[..., -2:], x[..., -1:].expand(-1, -1, -1, 2))
    assert show_views(x, flip=False) is x
    assert torch.equal(show_views(x, flip=True), torch.cat([x, x.flip(3)]))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shifts", [(), ((0, 0),), SHIFTS])
def test_the_mean_is_of_each_face_alone(shifts: tuple[tuple[int, int], ...], flip: bool) -> None:
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    seen = show_views(x, shifts, flip=flip)
    views = seen.split(5)
    assert len(views) == max(len(shifts), 1) * (2 if flip else 1)
    found = mean_of_views({"a": seen.flatten(1)[:, :7]}, shifts, flip=flip)["a"]
    wanted = torch.stack([view.flatten(1)[:, :7] for view in views]).mean(dim=0)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("n", [1, 3])
def test_the_artefact_averages_its_views(n: int, tmp_path: Path) -> None:
    recipe = replace(RECIPE, shifts=SHIFTS, heads={"emotion": 1.0})
    network = build_network(recipe)
    sha256 = export_onnx(network, recipe, {"emotion": PLAIN}, tmp_path / "model.onnx")
    heads = build_heads({"emotion": PLAIN})
    save_artefact(tmp_path, build_card(sha256=sha256, heads=heads, input=recipe.input))
    spec = recipe.input
    shape = (n, spec.channels, spec.height, spec.width)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = OnnxModel(str(tmp_path)).predict(x)["emotion"].probs
    logits = predict_logits(network, torch.from_numpy(x), flip=recipe.flip, shifts=SHIFTS)
    wanted = torch.softmax(logits["emotion"], dim=1).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    plain = predict_logits(network, torch.from_numpy(x), flip=recipe.flip)["emotion"]
    assert not torch.allclose(logits["emotion"], plain)


def test_a_face_is_not_moved_out_of_its_picture() -> None:
    with pytest.raises(InputError, match="move a face out"):
        replace(RECIPE, shifts=((0, 999),))
