"""What holds for every facial network in the registry, at a small setting and at full size."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from model_settings import HEADS, SMALL  # noqa: E402
from torch.nn import functional  # noqa: E402

from classpulse.core.card import InputSpec  # noqa: E402
from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab import export  # noqa: E402
from classpulse.lab.evaluate.calibration import Calibration  # noqa: E402
from classpulse.lab.models.base import FaceModel  # noqa: E402
from classpulse.lab.models.registry import MODELS, build_model  # noqa: E402
from classpulse.lab.recipe import Recipe  # noqa: E402

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other on a busy machine
SIDE = 24
every = pytest.mark.parametrize("name", list(MODELS))


def small(name: str, *, seed: int = 0, side: int = SIDE) -> FaceModel:
    return build_model(name, HEADS, seed=seed, settings=SMALL[name], side=side)


def faces(name: str, n: int, side: int = SIDE) -> Any:
    """(n, c, side, side) from 0 to 1, coarse patterns that a resize does not average away."""
    coarse = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(1)).round()
    fine = functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return fine.repeat(1, MODELS.get(name).channels, 1, 1)


def loss_of(model: FaceModel, x: Any) -> Any:
    labels = torch.arange(len(x))
    return sum(functional.cross_entropy(y, labels % y.shape[1]) for y in model(x).values())


def overfit(model: FaceModel, x: Any, *, steps: int, lr: float) -> float:
    """Loss after training on eight faces without dropout."""
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout | torch.nn.Dropout2d):
            part.p = 0.0
    with torch.no_grad():
        for key, p in model.named_parameters():
            if key.startswith("body.1.") and not p.requires_grad and p.ndim in (2, 4):
                # A random ViT, least of all a narrow one, hardly passes the pixels on otherwise.
                p.mul_(50 / p[0].numel() ** 0.5)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learned, lr=lr)
    model.train()
    for _ in range(steps):
        loss = loss_of(model, x)
        if loss.item() < 0.1:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.item())


@every
def test_a_kind_says_what_it_is_and_reads_its_own_defaults(name: str) -> None:
    kind = MODELS.get(name)
    assert kind.name == name and kind.summary.endswith(".") and len(kind.summary) < 100
    assert kind.parse({}) == kind.defaults
    assert hash(kind.defaults) == hash(kind.parse({}))  # frozen all the way down
    with pytest.raises(InputError, match=r"unknown \['wings'\]"):
        kind.parse({"wings": 2})


@every
@pytest.mark.parametrize("heads", [{"emotion": 7}, {"emotion": 7, "votes": 8, "state": 4}])
def test_every_head_gets_logits_and_an_embedding_to_read(name: str, heads: dict[str, int]) -> None:
    model = build_model(name, heads, seed=0, settings=SMALL[name], side=SIDE).eval()
    x = faces(name, 3)
    with torch.no_grad():
        z, logits = model.embed(x), model(x)
    assert {head: tuple(y.shape) for head, y in logits.items()} == {
        head: (3, k) for head, k in heads.items()
    }
    assert z.ndim == 2 and {layer.in_features for layer in model.heads.values()} == {z.shape[1]}
    for head, layer in model.heads.items():
        assert torch.allclose(layer(z), logits[head], atol=1e-5)


@every
def test_it_takes_the_side_of_its_source_and_other_sides_if_it_says_so(name: str) -> None:
    kind = MODELS.get(name)
    model = small(name, side=kind.side).eval()
    with torch.no_grad():
        assert model(faces(name, 2, kind.side))["emotion"].shape == (2, 7)
        if kind.any_side:
            assert model(faces(name, 2, 40))["emotion"].shape == (2, 7)


@every
def test_gradients_reach_what_is_trained_and_nothing_else_moves(name: str) -> None:
    model = small(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    learned = {key for key, p in model.named_parameters() if p.requires_grad}
    still = [key for key, _ in model.named_buffers() if key.startswith(model.frozen or ("-",))]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_of(model, faces(name, 8)).backward()
    for key, p in model.named_parameters():
        assert (p.grad is not None) == (key in learned), key
        if p.ndim > 1 and key in learned:
            assert p.grad.abs().sum() > 0 and p.grad.isfinite().all(), key
    optimizer.step()
    after = model.state_dict()
    for key in {key for key, _ in model.named_parameters()} - learned | set(still):
        assert torch.equal(before[key], after[key]), key
    assert learned and all(key.startswith("heads.") for key in learned) == (name == "vit-1")


@every
def test_the_seed_decides_the_weights(name: str) -> None:
    one, two, other = (small(name, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@every
def test_it_learns_eight_faces_by_heart(name: str) -> None:
    lr = 0.1 if name == "vit-1" else 0.01  # only a linear layer learns in ViT-1
    assert overfit(small(name), faces(name, 8), steps=300, lr=lr) < 0.1


@pytest.mark.slow
@every
def test_at_full_size_it_learns_eight_faces_by_heart(name: str) -> None:
    model = build_model(name, HEADS, seed=0)
    lr = 0.05 if name == "vit-1" else 1e-3 if name == "vit-2" else 3e-4
    assert overfit(model, faces(name, 8, 48), steps=150, lr=lr) < 0.1


def exported_difference(model: FaceModel, name: str, side: int, path: Path) -> float:
    """Largest |ONNX - torch| of the probabilities, batch normalization having moved."""
    onnxruntime = pytest.importorskip("onnxruntime")
    x = faces(name, 5, side)
    with torch.no_grad():
        model.train()(x)
    channels = x.shape[1]
    spec = InputSpec(side, side, channels, (0.0,) * channels, (1.0,) * channels, "fer2013")
    recipe = Recipe(name=name, summary="a test", heads=dict.fromkeys(HEADS, 1.0), input=spec)
    calibrations = dict.fromkeys(HEADS, Calibration(1.5))
    export.export_onnx(model, recipe, calibrations, path)
    with torch.no_grad():
        expected = export.Calibrated(model, calibrations, flip=True).eval()(x)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {"faces": x.numpy()})
    return max(
        float((torch.from_numpy(a) - b).abs().max()) for a, b in zip(found, expected, strict=True)
    )


@every
def test_the_onnx_graph_answers_like_torch(name: str, tmp_path: Path) -> None:
    difference = exported_difference(small(name), name, SIDE, tmp_path / "model.onnx")
    assert difference < 1e-4


@pytest.mark.slow
@every
def test_the_full_onnx_graph_answers_like_torch(name: str, tmp_path: Path) -> None:
    model = build_model(name, HEADS, seed=0)
    assert exported_difference(model, name, 48, tmp_path / "model.onnx") < 1e-4
