"""Networks that weigh what they see: the mask of a stage, CBAM, and how many weights they have."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_settings import HEADS, SMALL  # noqa: E402
from torch import nn  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.models.base import count_parameters  # noqa: E402
from classpulse.lab.models.registry import MODELS, build_model  # noqa: E402
from classpulse.lab.models.residual import Block, Cbam, ResidualSettings, SqueezeExcite  # noqa: E402
from classpulse.lab.models.residual_mask import Mask, ResidualMaskSettings  # noqa: E402
from classpulse.lab.recipe import load_recipe  # noqa: E402

torch.set_num_threads(1)


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# --- masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "depth"), [(12, 2), (9, 3), (3, 1), (1, 1), (5, 0)])
def test_a_mask_amplifies_by_one_to_two_at_any_side(side: int, depth: int) -> None:
    x = picture(4, 8, side, side)
    with torch.no_grad():
        y = Mask(8, depth=depth, reduction=2)(x)
    factor = y / x
    assert y.shape == x.shape and ((factor >= 1) & (factor <= 2)).all()


def test_a_mask_without_evidence_is_a_half() -> None:
    mask = Mask(8, depth=2, reduction=2).eval()
    nn.init.zeros_(mask.leave.weight)
    nn.init.zeros_(mask.leave.bias)
    x = picture(2, 8, 6, 6)
    with torch.no_grad():
        assert torch.allclose(mask(x), 1.5 * x)


def test_a_mask_sees_farther_than_its_convolutions() -> None:
    mask = Mask(8, depth=3, reduction=2).eval()
    x = picture(1, 8, 24, 24)
    other = x.clone()
    other[..., -1, -1] += 5
    with torch.no_grad():
        moved = (mask(x) - mask(other)).abs().sum(dim=(0, 1))
    assert moved[8:12, 8:12].sum() > 0  # three convolutions of 3x3 reach 3 pixels


def test_a_stage_may_have_no_mask() -> None:
    settings = ResidualMaskSettings((8, 16), blocks=1, stem=4, masks=(1, 0))
    model = build_model("residual-mask", HEADS, seed=0, settings=settings)
    assert sum(isinstance(part, Mask) for part in model.modules()) == 1


def test_masks_are_a_small_part_of_the_network() -> None:
    with torch.device("meta"):
        defaults = MODELS.get("residual-mask").defaults
        model = MODELS.get("residual-mask").build(defaults, {"emotion": 7}, 1, 48)
    masks = [part for part in model.modules() if isinstance(part, Mask)]
    assert len(masks) == 4
    share = sum(count_parameters(one) for one in masks) / count_parameters(model)
    assert 0.02 < share < 0.2


@pytest.mark.parametrize(
    "given", [{"masks": (1, 1)}, {"masks": (3, 2, 1, -1)}, {"reduction": 0}, {"dropout": 1.0}]
)
def test_impossible_masks_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(InputError, match="needs"):
        ResidualMaskSettings(**given)  # type: ignore[arg-type]


# --- gates of residual blocks --------------------------------------------------------------------


def test_cbam_by_hand() -> None:
    gate = Cbam(8).eval()
    x = picture(2, 8, 5, 5)
    with torch.no_grad():
        mlp = nn.Sequential(gate.down, nn.ReLU(), gate.up)
        mean, top = x.mean((2, 3), keepdim=True), x.flatten(2).max(dim=2).values[..., None, None]
        y = x * torch.sigmoid(mlp(mean) + mlp(top))
        where = torch.stack([y.mean(1), y.max(1).values], dim=1)
        expected = y * torch.sigmoid(gate.where(where))
        assert torch.allclose(gate(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("gate", "kind"), [("", SqueezeExcite), ("cbam", Cbam), ("none", nn.Identity)]
)
def test_a_recipe_chooses_the_gate_of_every_block(gate: str, kind: type[nn.Module]) -> None:
    changes = [f'network.gate="{gate}"'] if gate else []
    settings = load_recipe("face-base", changes=changes).network.settings
    assert settings.gate == gate
    small = ResidualSettings((16, 32), blocks=1, stem=8, gate=gate)
    model = build_model("residual-se", HEADS, seed=0, settings=small)
    blocks = [part for part in model.modules() if isinstance(part, Block)]
    assert blocks and all(type(block.gate) is kind for block in blocks)
    assert model(picture(2, 1, 24, 24))["emotion"].shape == (2, 7)


def test_another_gate_is_refused() -> None:
    with pytest.raises(InputError, match=r"gate = 'door': needs one of '', 'cbam', 'none'"):
        ResidualSettings(gate="door")


@pytest.mark.filterwarnings("ignore")  # the exporter's own deprecations
def test_cbam_answers_the_same_as_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    settings = ResidualSettings((16, 32), blocks=1, stem=8, gate="cbam")
    model = build_model("residual-se", {"emotion": 7}, seed=0, settings=settings).eval()
    x, path = picture(3, 1, 24, 24), tmp_path / "model.onnx"
    shapes = ({0: torch.export.Dim("n")},)
    torch.onnx.export(model, (x[:2],), path, dynamic_shapes=shapes, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [found] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        assert np.allclose(found, model(x)["emotion"].numpy(), atol=1e-4)


def test_the_small_setting_of_the_contract_has_masks() -> None:
    model = build_model("residual-mask", HEADS, seed=0, settings=SMALL["residual-mask"])
    assert sum(isinstance(part, Mask) for part in model.modules()) == 2
