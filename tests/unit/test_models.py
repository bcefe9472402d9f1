"""The facial networks one by one: parameter counts, names, weights from files, fusing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_settings import HEADS, SMALL, VIT  # noqa: E402
from torch import nn  # noqa: E402

from classpulse.core.errors import ClassPulseError, InputError, ModelError  # noqa: E402
from classpulse.lab.models.aieducation import (  # noqa: E402
    AieducationSettings,
    PlainBlock,
    format_name,
    parse_name,
)
from classpulse.lab.models.base import (  # noqa: E402
    FaceModel,
    count_parameters,
    l2_groups,
    l2_penalty,
)
from classpulse.lab.models.convnext import ConvNextSettings  # noqa: E402
from classpulse.lab.models.dlib_resnet import DlibSettings  # noqa: E402
from classpulse.lab.models.files import keras_name, read_arrays  # noqa: E402
from classpulse.lab.models.registry import MODELS, build_model  # noqa: E402
from classpulse.lab.models.repvgg import RepBlock, RepVggSettings, fuse  # noqa: E402
from classpulse.lab.models.residual import ResidualFace, ResidualSettings  # noqa: E402
from classpulse.lab.models.stack import Block, Conv, Dense, Stack, init_keras  # noqa: E402
from classpulse.lab.models.thesis import KT_1, tuned_stack  # noqa: E402
from classpulse.lab.models.transfer import ResNetSettings, VggSettings  # noqa: E402
from classpulse.lab.models.vit import EncoderLayer, VitEncoder, VitSettings  # noqa: E402

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other on a busy machine


def outline(name: str, settings: object | None = None, **heads: int) -> FaceModel:
    """The full-size network without memory for its weights."""
    with torch.device("meta"):
        return build_model(name, heads or {"emotion": 7}, seed=0, settings=settings)


def small(name: str, **changes: Any) -> FaceModel:
    settings: Any = SMALL[name]
    return build_model(name, HEADS, seed=0, settings=replace(settings, **changes), side=24)


def move_norms(model: nn.Module) -> None:
    """Statistics and factors that no normalization starts with."""
    generator = torch.Generator().manual_seed(3)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_var, part.running_mean, part.weight.data, part.bias.data):
                assert tensor is not None
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))


# --- parameter counts ----------------------------------------------------------------------------

KERAS_COUNTS = {
    "cnn-1": (3_842_119, 3_838_151),
    "cnn-2": (5_183_431, 5_182_279),
    "cnn-3": (32_117_319, 32_116_679),
    "vgg19": (20_191_559, 20_190_535),
    "resnet50v2": (27_763_207, 20_550_663),
    "cnn-6": (9_419_847, 9_416_007),
    "cnn-7": (11_476_935, 11_475_783),
    "kt-1": (4_339_847, 4_337_543),
    "kt-2": (5_299_687, 5_296_231),
    "kt-w": (4_383_559, 4_381_703),
    "vit-1": (86_394_631, 5_383),
    "vit-2": (86_786_567, 397_319),
}


@pytest.mark.parametrize("name", list(KERAS_COUNTS))
def test_the_networks_of_the_thesis_have_its_parameter_counts(name: str) -> None:
    model = outline(name)
    found = count_parameters(model), count_parameters(model, trainable_only=True)
    assert found == KERAS_COUNTS[name]


OUR_COUNTS = {
    "residual-se": 6_396_163,
    "vgg-bn": 1_764_775,
    "repvgg": 1_842_599,
    "convnext": 4_833_367,
    "dlib-resnet": 5_580_487,
}


@pytest.mark.parametrize("name", list(OUR_COUNTS))
def test_our_networks_keep_their_size(name: str) -> None:
    assert count_parameters(outline(name), as_keras=False) == OUR_COUNTS[name]


def family_count(channels: int, blocks: int, fc: int, kernel: int, k: int = 4) -> int:
    """Parameters by hand: biases everywhere, two normalizations a block, channels * 400 wide."""
    convs = channels * kernel**2 * (1 + channels * (2 * blocks - 1)) + 2 * blocks * channels
    flat = channels * 400
    return convs + 2 * blocks * 2 * channels + fc * (flat * flat + flat) + flat * k + k


@pytest.mark.parametrize("channels", [16, 32])
@pytest.mark.parametrize("blocks", [4, 8, 12])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_the_family_has_the_size_of_its_description(
    channels: int, blocks: int, kernel: int
) -> None:
    fc = blocks // 3
    settings = parse_name(f"B{channels}_N{blocks}_FC{fc}_K{kernel}_AP20")
    model = outline("aieducation", settings, state=4)
    expected = family_count(channels, blocks, fc, kernel)
    assert count_parameters(model, as_keras=False) == expected
    script = outline("aieducation", replace(settings, kernel_passed=False), state=4)
    assert count_parameters(script, as_keras=False) == family_count(channels, blocks, fc, 3)


def test_moving_statistics_count_only_for_keras() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    counted = count_parameters(model), count_parameters(model, as_keras=False)
    assert counted == (9 + 12, 9 + 6)


# --- the family of A.I.ducation ------------------------------------------------------------------


def test_a_name_of_the_family_is_read_and_written() -> None:
    name = "B32_N12_FC4_K7_AP20"
    assert parse_name(name) == AieducationSettings(32, 12, 4, 7, 20)
    assert format_name(parse_name(name, kernel_passed=False)) == name
    assert format_name(AieducationSettings()) == "B16_N8_FC2_K5_AP20"


@pytest.mark.parametrize(
    "name", ["", "B16", "B16_N8_FC2_K5", "b16_n8_fc2_k5_ap20", "B16_N8_FC2_K4_AP20"]
)
def test_a_wrong_name_of_the_family_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"B16_N8_FC2_K5_AP20|odd kernel"):
        parse_name(name)


def test_the_first_block_adds_its_input_to_every_map() -> None:
    block = PlainBlock(1, 4, kernel=3).eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.rand(2, 1, 6, 6)
    assert torch.equal(block(x), x.expand(-1, 4, -1, -1))


# --- stacks --------------------------------------------------------------------------------------


def test_a_stack_comes_from_a_table_as_toml_gives_it() -> None:
    kind = MODELS.get("kt-1")
    blocks = [
        {"convs": [{"width": 448, "l2": 0.01}, {"width": 224, "l2": 0.01, "norm": True}]},
        {"convs": [{"width": 32}], "dropout": 0.5},
    ]
    found = kind.parse({"blocks": blocks})
    assert found.dense == KT_1.dense
    assert found.blocks[1] == Block((Conv(32),), dropout=0.5)
    with pytest.raises(InputError, match=r"recipe x: blocks: expected a list"):
        kind.parse({"blocks": 3}, where="recipe x")


def test_the_second_convolution_of_a_block_reads_the_relu_of_the_first() -> None:
    names = [name for name, _ in small("cnn-1").get_submodule("body").named_children()]
    assert names[:6] == [
        *("block1_conv1", "block1_relu1", "block1_conv2", "block1_relu2"),
        *("block1_norm2", "block1_pool"),
    ]
    assert names[-5:] == ["dense1_norm", "dense1_dropout", "dense2", "dense2_relu", "dense2_norm"]


def test_a_map_of_one_pixel_is_not_pooled() -> None:
    body = outline("kt-2").get_submodule("body")
    names = [name for name, _ in body.named_children()]
    assert "block5_pool" in names and "block6_pool" not in names


def test_the_penalties_are_those_of_keras() -> None:
    model = small("cnn-1")
    body = model.get_submodule("body")
    assert model.l2 == {
        "body.block3_conv1.weight": 0.01,
        "body.block4_conv1.weight": 0.01,
        "body.dense1.weight": 0.001,
    }
    wanted = sum(
        factor * body.get_parameter(f"{name}.weight").detach().square().sum().item()
        for name, factor in (("block3_conv1", 0.01), ("block4_conv1", 0.01), ("dense1", 0.001))
    )
    penalty = l2_penalty(model)
    assert penalty.item() == pytest.approx(wanted)
    penalty.backward()
    for weight, factor in l2_groups(model):
        assert torch.allclose(weight.grad, 2 * factor * weight.detach())


def test_networks_without_a_penalty_have_none() -> None:
    assert l2_groups(small("repvgg")) == [] and l2_groups(nn.Linear(2, 2)) == []
    assert l2_penalty(small("repvgg")).item() == 0


def test_a_norm_behaves_as_keras_has_it() -> None:
    norm = small("cnn-2").get_submodule("body.block1_norm2")
    assert norm.eps == 1e-3
    norm.train()(torch.full((4, 8, 5, 5), 3.0))
    assert torch.allclose(norm.running_mean, torch.tensor(0.03))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", ["glorot_uniform", "he_normal"])
def test_initial_kernels_spread_as_keras_draws_them(kernel: Any) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 64, 3)
    init_keras(layer, kernel=kernel)
    fan_in, fan_out = 32 * 9, 64 * 9
    variance = 2 / fan_in if kernel == "he_normal" else 2 / (fan_in + fan_out)
    assert layer.weight.var().item() == pytest.approx(variance, rel=0.03)
    assert layer.bias is not None and not layer.bias.any()


def test_the_search_space_builds_two_to_six_blocks() -> None:
    for n in (2, 6):
        stack = tuned_stack(*((32, 64, 0.2),) * n, l2=0.01)
        assert len(stack.blocks) == n
        assert outline("kt-1", stack)


# --- transfer ------------------------------------------------------------------------------------


def keras_arrays(model: FaceModel) -> dict[str, Any]:
    """What Keras would write for the backbone of `model`, with other numbers."""
    backbone = model.get_submodule("body.backbone")
    rng = np.random.default_rng(5)
    arrays = {}
    for name, tensor in backbone.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            shape = tuple(tensor.permute(2, 3, 1, 0).shape if tensor.ndim == 4 else tensor.shape)
            arrays[keras_name(backbone, name)] = rng.random(shape, dtype=np.float32)
    return arrays


def test_the_backbones_have_keras_names() -> None:
    resnet, vgg = outline("resnet50v2"), outline("vgg19")
    names = {
        keras_name(model.get_submodule("body.backbone"), name)
        for model in (resnet, vgg)
        for name in model.get_submodule("body.backbone").state_dict()
    }
    assert names >= {
        *("conv1_conv/kernel", "conv2_block1_preact_bn/gamma", "conv2_block1_0_conv/bias"),
        *("conv4_block6_2_conv/kernel", "conv5_block3_3_conv/bias", "post_bn/moving_variance"),
        *("block1_conv1/kernel", "block3_conv4/kernel", "block5_conv4/bias"),
    }
    assert "conv2_block1_1_conv/bias" not in names


def test_the_last_fifty_layers_of_the_resnet_are_trained() -> None:
    learned = {
        name.removeprefix("body.backbone.").rpartition(".")[0]
        for name, p in outline("resnet50v2").named_parameters()
        if p.requires_grad and "backbone" in name
    }
    early = {name for name in learned if not name.startswith(("conv5", "conv4_block6", "post"))}
    assert early == {"conv4_block5.3_conv"} and "conv4_block6.preact_bn" in learned


@pytest.mark.parametrize("name", ["vgg19", "resnet50v2"])
def test_a_backbone_is_filled_from_a_file(name: str, tmp_path: Path) -> None:
    fresh = small(name)
    arrays = keras_arrays(fresh)
    np.savez(tmp_path / "weights.npz", **arrays, **{"predictions/kernel": np.zeros(3)})
    model = small(name, weights=str(tmp_path / "weights.npz"))
    backbone = model.get_submodule("body.backbone")
    first = next(n for n in backbone.state_dict() if n.endswith("conv1.weight") or "_conv." in n)
    kernel = arrays[keras_name(backbone, first)]
    assert torch.equal(backbone.state_dict()[first][1, 0], torch.from_numpy(kernel[:, :, 0, 1]))
    assert fresh.origin == "random"
    assert model.origin.startswith("weights.npz (sha256 ")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    arrays = keras_arrays(small("vgg19"))
    arrays["block2_conv1/kernel"] = np.zeros((3, 3, 4, 8), np.float32)
    del arrays["block1_conv1/bias"]
    np.savez(tmp_path / "weights.npz", **arrays)
    with pytest.raises(ModelError) as caught:
        small("vgg19", weights=str(tmp_path / "weights.npz"))
    assert "block1_conv1.bias is missing" in str(caught.value)
    assert "block2_conv1.weight is (8, 4, 3, 3), needs (8, 8, 3, 3)" in str(caught.value)


def test_grey_faces_are_repeated_for_a_backbone() -> None:
    model = small("vgg19").eval()
    grey = torch.rand(2, 1, 24, 24)
    assert torch.equal(model.embed(grey), model.embed(grey.repeat(1, 3, 1, 1)))


def test_frozen_statistics_do_not_move_in_training() -> None:
    model = small("resnet50v2").train()
    before = {key: value.clone() for key, value in model.named_buffers()}
    model(torch.rand(4, 3, 24, 24))
    moved = {key for key, value in model.named_buffers() if not torch.equal(before[key], value)}
    assert moved and not any(key.startswith(model.frozen) for key in moved)
    assert any("backbone" in key for key in moved) and any(before.keys() - moved)


# --- files ---------------------------------------------------------------------------------------

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(2.5, dtype=torch.bfloat16)}


def save_safetensors(path: Path, tensors: dict[str, Any]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    kinds = {torch.float32: "F32", torch.bfloat16: "BF16"}
    for name, tensor in tensors.items():
        data = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        span = [len(body), len(body) + len(data)]
        header[name] = {
            "dtype": kinds[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": span,
        }
        body += data
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_safetensors_and_torch_files_are_read(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "x.safetensors", TENSORS)
    torch.save(TENSORS, tmp_path / "x.bin")
    for name in ("x.safetensors", "x.bin"):
        found = read_arrays(tmp_path / name)
        assert found.keys() == TENSORS.keys()
        assert all(torch.equal(found[key], TENSORS[key]) for key in TENSORS)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return print, ("this must not run",)


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def write_short(path: Path) -> None:
    save_safetensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-4])


def write_evil(path: Path) -> None:
    torch.save({"a": Evil()}, path)


def write_list(path: Path) -> None:
    torch.save([1, 2], path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.h5", write_nothing),
        ("x.npz", write_nothing),
        ("x.npz", write_noise),
        ("x.safetensors", write_nothing),
        ("x.safetensors", write_noise),
        ("x.safetensors", write_short),
        ("x.bin", write_nothing),
        ("x.bin", write_noise),
        ("x.bin", write_evil),
        ("x.pt", write_list),
        ("missing.npz", lambda path: None),
    ],
)
def test_a_bad_file_is_refused_by_name(
    name: str, write: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / name)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        read_arrays(tmp_path / name)
    assert "must not run" not in capsys.readouterr().out


# --- ViT -----------------------------------------------------------------------------------------


def hugging_face(encoder: VitEncoder, *, prefix: str) -> dict[str, Any]:
    """The encoder's state under the names that the transformers package writes."""
    layer = {
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "query": "attention.attention.query",
        "key": "attention.attention.key",
        "value": "attention.attention.value",
        "out": "attention.output.dense",
        "up": "intermediate.dense",
        "down": "output.dense",
    }
    top = {
        "cls_token": "embeddings.cls_token",
        "positions": "embeddings.position_embeddings",
        "patches": "embeddings.patch_embeddings.projection",
        "norm": "layernorm",
        "pooler": "pooler.dense",
    }
    renamed = {}
    for name, tensor in encoder.state_dict().items():
        first, *rest = name.split(".")
        if first == "layers":
            theirs = ["encoder.layer", rest[0], layer[rest[1]], *rest[2:]]
        else:
            theirs = [top[first], *rest]
        renamed[prefix + ".".join(theirs)] = tensor
    return renamed


@pytest.mark.parametrize(
    ("file", "prefix"), [("model.safetensors", ""), ("pytorch_model.bin", "vit.")]
)
def test_an_encoder_comes_from_a_hugging_face_folder(
    file: str, prefix: str, tmp_path: Path
) -> None:
    torch.manual_seed(9)
    other = VitEncoder(VIT)
    arrays = hugging_face(other, prefix=prefix)
    save = save_safetensors if file.endswith("safetensors") else lambda p, t: torch.save(t, p)
    save(tmp_path / file, arrays)
    model = small("vit-2", encoder=str(tmp_path))
    found = model.get_submodule("body.1").state_dict()
    assert all(torch.equal(found[name], t) for name, t in other.state_dict().items())
    assert model.origin.startswith(file) and small("vit-2").origin == "random"
    assert not any(p.requires_grad for p in model.get_submodule("body.1").parameters())


def test_an_empty_folder_holds_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors or pytorch_model\.bin"):
        small("vit-1", encoder=str(tmp_path))


def test_an_encoder_layer_computes_what_torch_has_for_it() -> None:
    torch.manual_seed(0)
    ours = EncoderLayer(VIT).eval()
    theirs = nn.TransformerEncoderLayer(
        32,
        2,
        64,
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=1e-12,
        batch_first=True,
        norm_first=True,
    ).eval()
    parts = (ours.query, ours.key, ours.value)
    theirs.self_attn.in_proj_weight.data = torch.cat([part.weight for part in parts])
    theirs.self_attn.in_proj_bias.data = torch.cat([part.bias for part in parts])
    for ours_part, theirs_part in (
        (ours.out, theirs.self_attn.out_proj),
        (ours.up, theirs.linear1),
        (ours.down, theirs.linear2),
    ):
        theirs_part.load_state_dict(ours_part.state_dict())
    x = torch.rand(2, 5, 32)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-5)


# --- RepVGG --------------------------------------------------------------------------------------


def test_a_fused_network_answers_the_same_with_plain_convolutions() -> None:
    model = small("repvgg").eval()
    move_norms(model)
    x = torch.rand(3, 1, 24, 24)
    fused = fuse(model)
    with torch.no_grad():
        before, after = model(x), fused(x)
    for head in HEADS:
        assert torch.allclose(before[head], after[head], rtol=1e-4, atol=1e-4)
    assert any(isinstance(part, RepBlock) for part in model.modules())
    kinds = {type(part).__name__ for part in fused.get_submodule("body").modules()}
    assert not kinds & {"RepBlock", "BatchNorm2d"}
    assert count_parameters(fused) < count_parameters(model)


def test_a_network_without_such_blocks_is_fused_to_a_copy_of_itself() -> None:
    model = small("convnext").eval()
    before, after = model.state_dict(), fuse(model).state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)


# --- the residual network of the running recipes -------------------------------------------------


def test_residual_se_is_the_network_of_before() -> None:
    torch.manual_seed(4)
    before = ResidualFace(HEADS, widths=(16, 32), blocks=1, stem=8, dropout=0.3).state_dict()
    after = build_model("residual-se", HEADS, seed=4, settings=SMALL["residual-se"]).state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert {key.split(".")[0] for key in after} == {"stem", "stages", "heads"}


# --- what is refused -----------------------------------------------------------------------------


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown model 'cnn-4'; known: cnn-1, cnn-2, cnn-3"):
        build_model("cnn-4", HEADS, seed=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv(0),
        lambda: Conv(8, kernel=4),
        lambda: Conv(8, l2=-1.0),
        lambda: Block(()),
        lambda: Block((Conv(8),), dropout=1.0),
        lambda: Dense(8, dropout=-0.1),
        lambda: Stack((), (Dense(8),)),
        lambda: Stack((Block((Conv(8),)),), ()),
        lambda: VggSettings(widths=(8, 8)),
        lambda: ResNetSettings(blocks=(3, 1)),
        lambda: ResNetSettings(trainable_layers=-1),
        lambda: VitSettings(attention_heads=7),
        lambda: VitSettings(patch=15),
        lambda: AieducationSettings(kernel=4),
        lambda: AieducationSettings(fc=-1),
        lambda: AieducationSettings(pool=0),
        lambda: ResidualSettings(widths=(4, 8)),
        lambda: RepVggSettings(blocks=(1,)),
        lambda: ConvNextSettings(kernel=6),
        lambda: ConvNextSettings(drop_path=1.0),
        lambda: DlibSettings(widths=(32, 64), blocks=(1,)),
        lambda: DlibSettings(widths=(64, 32), blocks=(1, 1)),
        lambda: DlibSettings(enlarge=0),
    ],
)
def test_impossible_settings_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=r"\d|needs"):
        make()


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("cnn-1", {"settings": SMALL["vit-1"]}, "takes Stack"),
        ("cnn-2", {"side": 4}, "too small"),
        ("cnn-1", {"channels": 2}, "1 or 3 channels"),
        ("cnn-1", {"side": 0}, "needs a side"),
        ("aieducation", {"channels": 3}, "channels must be 1"),
        ("residual-se", {"channels": 3}, "channels must be 1"),
        ("vgg-bn", {"side": 12}, "side_after_the_blocks = 0"),
        ("convnext", {"side": 12}, "side_after_the_stages = 0"),
        ("dlib-resnet", {"channels": 3}, "channels must be 1"),
    ],
)
def test_an_impossible_network_is_refused(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_model(name, HEADS, seed=0, **given)


@pytest.mark.parametrize("heads", [{}, {"emotion": 1}])
def test_a_network_needs_heads(heads: dict[str, int]) -> None:
    with pytest.raises(ClassPulseError, match="needs one or more, each of two or more labels"):
        build_model("cnn-1", heads, seed=0)
