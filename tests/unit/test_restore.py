"""A network whose run is gone is trained further from its artefact."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from builders import SPEC, build_card

torch = pytest.importorskip("torch")

from classpulse.core.card import save_card  # noqa: E402
from classpulse.core.errors import InputError, ModelError  # noqa: E402
from classpulse.lab.evaluate.calibration import Calibration, calibration_of  # noqa: E402
from classpulse.lab.export import build_heads, export_onnx, noise_faces  # noqa: E402
from classpulse.lab.models.adopted import AdoptedNorm  # noqa: E402
from classpulse.lab.models.mobilenet import MobileNetSettings  # noqa: E402
from classpulse.lab.models.residual import ResidualSettings  # noqa: E402
from classpulse.lab.models.restore import load_artefact  # noqa: E402
from classpulse.lab.recipe import DataSpec, Recipe, load_recipe  # noqa: E402
from classpulse.lab.train.checkpoint import save_state  # noqa: E402
from classpulse.lab.train.folder import check_start  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.run import build_network, predict_logits, train_parts  # noqa: E402
from classpulse.lab.train.sources import FaceParts  # noqa: E402
from classpulse.runtime.model import OnnxModel, find_model  # noqa: E402

ARTEFACT = ""  # folder of a network with folded normalizations, large weights in float16


@pytest.fixture(scope="module", autouse=True)
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A network of the flagship's kind with shaken normalizations, exported; the flagship itself
    is in integers, which cannot be trained further."""
    folder = tmp_path_factory.mktemp("export") / "face-mobilenet-2"
    recipe = replace(flagship(), start=None, precision="float16", shifts=())
    network, drawn = build_network(recipe), torch.Generator().manual_seed(1)
    for norm in (m for m in network.modules() if isinstance(m, AdoptedNorm)):
        assert norm.running_mean is not None and norm.running_var is not None
        for values in (norm.running_mean, norm.bias.data):
            values.add_(0.1 * torch.randn(values.shape, generator=drawn))
        norm.running_var.mul_(0.5 + torch.rand(norm.running_var.shape, generator=drawn))
    calibrations = dict.fromkeys(recipe.heads, Calibration(1.2))
    sha256 = export_onnx(network, recipe, calibrations, folder / "model.onnx")
    card = build_card(sha256=sha256, heads=build_heads(calibrations), input=recipe.input)
    save_card(replace(card, recipe="face-mobilenet-2"), folder / "card.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "ARTEFACT", str(folder))
        yield


def flagship(**changes: object) -> Recipe:
    """The recipe as it would go on from an artefact."""
    recipe = replace(load_recipe("face-flagship"), start=ARTEFACT or None, teach=None, shifts=())
    settings = replace(recipe.network.settings, weights="")
    return replace(recipe, network=Choice("mobilenet-v1", settings), **changes)


def test_a_network_in_integers_is_trained_no_further() -> None:
    with pytest.raises(ModelError, match=r"give the artefact .* in float32 or float16"):
        build_network(flagship(start="face-flagship"))


def test_the_network_answers_as_its_artefact() -> None:
    recipe = flagship()
    network, model = build_network(recipe), OnnxModel(ARTEFACT)
    faces = noise_faces(recipe.input)
    logits = predict_logits(network, torch.from_numpy(faces), flip=True)
    answers = model.predict(faces)
    for head in model.card.heads:
        probs = calibration_of(head).apply(torch.softmax(logits[head.name], dim=1).numpy())
        assert np.allclose(probs, answers[head.name].probs, atol=1e-4)
    assert network.origin.startswith("artefact face-mobilenet-2, model.onnx (sha256 ")


def test_its_norms_take_over_in_the_first_training_batch() -> None:
    network = build_network(flagship())
    faces = torch.from_numpy(noise_faces(SPEC)).repeat(4, 1, 1, 1)
    before = predict_logits(network, faces, flip=False)["emotion"]
    norms = [m for m in network.modules() if isinstance(m, AdoptedNorm)]
    assert norms and not any(bool(norm.adopted) for norm in norms)
    with torch.no_grad():
        network.train()(faces)
    assert all(bool(norm.adopted) for norm in norms)
    after = predict_logits(network, faces, flip=False)["emotion"]
    assert torch.allclose(before, after, atol=1e-2)


def test_another_network_is_refused() -> None:
    small = MobileNetSettings(outputs=(8, 16), strides=(1, 2), stem=4)
    recipe = replace(flagship(), network=Choice("mobilenet-v1", small))
    with pytest.raises(ModelError, match=r"\d+ of \d+ weights are missing or of another shape"):
        build_network(recipe)
    plain = Recipe(
        "r", "r", {"emotion": 1.0}, SPEC, network=Choice("residual-se", ResidualSettings())
    )
    with pytest.raises(ModelError, match="cannot be trained further as this network"):
        load_artefact(build_network(plain), find_model(ARTEFACT))


def test_a_shorter_network_begins_with_the_trunk(tmp_path: Path) -> None:
    settings = flagship().network.settings
    ten = replace(settings, outputs=settings.outputs[:10], strides=settings.strides[:10])
    short = replace(flagship(), network=Choice("mobilenet-v1", ten))
    whole, cut = build_network(flagship()).state_dict(), build_network(short).state_dict()
    assert torch.equal(cut["blocks.9.point.weight"], whole["blocks.9.point.weight"])
    assert cut["heads.emotion.weight"].shape == (7, 512)
    save_state(whole, tmp_path / "best.pt")
    again = build_network(replace(short, start=str(tmp_path))).state_dict()
    assert torch.equal(again["blocks.9.point.weight"], cut["blocks.9.point.weight"])
    assert torch.equal(again["heads.emotion.weight"], cut["heads.emotion.weight"])  # as drawn


def test_a_further_head_is_drawn_and_the_others_begin_as_they_were(tmp_path: Path) -> None:
    small = MobileNetSettings((8, 16), (1, 2), stem=4)
    recipe = replace(flagship(), start=None, network=Choice("mobilenet-v1", small))
    more = replace(recipe, heads={**recipe.heads, "valence": 0.3})
    seed = replace(recipe.schedule, seed=7)
    before = build_network(replace(recipe, schedule=seed)).state_dict()
    save_state(before, tmp_path / "best.pt")
    found = build_network(replace(more, start=str(tmp_path))).state_dict()
    assert all(torch.equal(found[name], values) for name, values in before.items())
    drawn = build_network(more).state_dict()
    assert torch.equal(found["heads.valence.weight"], drawn["heads.valence.weight"])


@pytest.mark.parametrize("damage", [b"no graph", None], ids=["damaged", "missing"])
def test_a_damaged_artefact_is_one_error(damage: bytes | None, tmp_path: Path) -> None:
    shipped = find_model(ARTEFACT)
    (tmp_path / "card.json").write_bytes((shipped / "card.json").read_bytes())
    if damage is not None:
        (tmp_path / "model.onnx").write_bytes(damage)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        build_network(replace(flagship(), start=str(tmp_path)))


def test_what_an_artefact_learned_from_must_be_known(tmp_path: Path) -> None:
    recipe = flagship()
    check_start(ARTEFACT, {"data": {"split": "official"}}, held=["data.split"])
    other = replace(recipe, data=DataSpec(split="aieducation"))
    with pytest.raises(InputError, match=r"held out of other rows \(data\.split"):
        next(train_parts(other, cast(FaceParts, None), out=tmp_path / "run", resume=False))
    save_card(replace(build_card(), recipe="own"), tmp_path / "card.json")
    with pytest.raises(InputError, match="trained by 'own', which is not shipped"):
        check_start(str(tmp_path), {}, held=["data.split"])
    with pytest.raises(InputError, match="reads texts"):
        check_start("text-emotion", {}, held=["data.split"])
