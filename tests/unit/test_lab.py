"""The lab on tiny data: targets, losses, augmentation, training, recipes, export."""

import errno
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import SPEC, SPEC_TOML, build_card, votes
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from classpulse.core.card import save_card  # noqa: E402
from classpulse.core.errors import InputError, ModelError, OutputError  # noqa: E402
from classpulse.core.labels import FER2013_7, LEARNING_STATE_4  # noqa: E402
from classpulse.lab import commit, export  # noqa: E402
from classpulse.lab.data.faces import FaceSet, repeated_in, without_blank  # noqa: E402
from classpulse.lab.evaluate.calibration import (  # noqa: E402
    PLAIN,
    Calibration,
    calibration_of,
)
from classpulse.lab.export import (  # noqa: E402
    Calibrated,
    build_heads,
    export_onnx,
    save_artefact,
)
from classpulse.lab.models.repvgg import RepVggSettings  # noqa: E402
from classpulse.lab.models.residual import ResidualFace, ResidualSettings  # noqa: E402
from classpulse.lab.recipe import (  # noqa: E402
    Recipe,
    Schedule,
    changed_keys,
    load_recipe,
    recipe_table,
)
from classpulse.lab.train.augment import Augment, augment_batch, draw_mixup, shrink  # noqa: E402
from classpulse.lab.train.average import Averaging  # noqa: E402
from classpulse.lab.train.checkpoint import save_state  # noqa: E402
from classpulse.lab.train.kinds import Choice  # noqa: E402
from classpulse.lab.train.loop import Epoch, Training, fit  # noqa: E402
from classpulse.lab.train.losses import multi_head_loss  # noqa: E402
from classpulse.lab.train.rate import Plateau  # noqa: E402
from classpulse.lab.train.run import (  # noqa: E402
    build_network,
    build_training,
    build_validation,
    predict_logits,
)
from classpulse.lab.train.schedule import OneCycle  # noqa: E402
from classpulse.lab.train.stopping import Stopping  # noqa: E402
from classpulse.lab.train.targets import HEAD_SPACES, hard_labels, soft_targets  # noqa: E402
from classpulse.runtime.model import OnnxModel  # noqa: E402

torch.set_num_threads(1)  # tiny tensors: threads only wait for each other on a busy machine

# --- face sets and targets -----------------------------------------------------------------------


def build_set(n: int, *, seed: int = 0, table: NDArray[np.int64] | None = None) -> FaceSet:
    """Random faces with random labels and votes."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, 48, 48), dtype=np.uint8)
    drawn = rng.multinomial(10, [0.1] * 10, size=n) if table is None else table
    return FaceSet(images, rng.integers(0, 7, n), FER2013_7, "random", votes=drawn)


def test_blank_pictures_are_dropped() -> None:
    faces = build_set(4)
    faces.images[1] = 77
    assert np.array_equal(without_blank(faces).images, faces.images[[0, 2, 3]])


def test_dropping_takes_labels_and_votes_along() -> None:
    faces = build_set(4)
    faces.images[1] = 0
    kept = without_blank(faces)
    assert kept.labels.tolist() == faces.labels[[0, 2, 3]].tolist()
    assert np.array_equal(kept.votes, faces.votes[[0, 2, 3]])  # type: ignore[index,arg-type]


def test_repeated_pictures_are_found() -> None:
    one, other = build_set(4, seed=1), build_set(4, seed=2)
    other.images[3] = one.images[2]
    assert repeated_in(one, other).tolist() == [False, False, True, False]


@pytest.mark.parametrize("head", sorted(HEAD_SPACES))
def test_soft_targets_sum_to_one_or_zero(head: str) -> None:
    targets = soft_targets(build_set(200), head, smoothing=0.1)
    sums = targets.sum(axis=1)
    assert targets.shape == (200, len(HEAD_SPACES[head])) and (targets >= 0).all()
    assert np.allclose(sums[sums > 0], 1, atol=1e-6)


@pytest.mark.parametrize("head", ["emotion", "state"])
def test_rows_without_a_label_have_no_target(head: str) -> None:
    faces = build_set(200)
    known = hard_labels(faces, head) >= 0
    assert np.array_equal(soft_targets(faces, head, smoothing=0.1).sum(axis=1) > 0, known)


def test_smoothing_by_hand() -> None:
    faces = build_set(1, table=np.array([votes(neutral=10)]))
    target = soft_targets(faces, "state", smoothing=0.2)[0]
    focused = LEARNING_STATE_4.index("focused")
    assert target[focused] == pytest.approx(0.85) and target[0] == pytest.approx(0.05)


def test_votes_stay_a_distribution() -> None:
    faces = build_set(1, table=np.array([votes(happiness=6, neutral=4)]))
    target = soft_targets(faces, "votes", smoothing=0.1)[0]
    assert target.tolist() == pytest.approx([0.4, 0.6, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("head", ["votes", "state"])
def test_a_head_without_its_votes_is_refused(head: str) -> None:
    faces = replace(build_set(2), votes=None)
    with pytest.raises(InputError, match=r"needs FER\+ votes"):
        soft_targets(faces, head, smoothing=0.1)


# --- the loss ------------------------------------------------------------------------------------


def test_the_loss_by_hand() -> None:
    logits = {"a": torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75]]))}
    targets = {"a": torch.tensor([[1.0, 0.0], [0.0, 1.0]])}
    expected = -(np.log(0.5) + np.log(0.75)) / 2
    assert multi_head_loss(logits, targets, {"a": 1.0}).item() == pytest.approx(expected)


def test_rows_without_a_label_do_not_count() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    target = torch.eye(3)[[0, 1, 2, 0]]
    target[2:] = 0
    whole = multi_head_loss({"a": logits}, {"a": target}, {"a": 1.0})
    part = multi_head_loss({"a": logits[:2]}, {"a": target[:2]}, {"a": 1.0})
    assert whole.item() == pytest.approx(part.item())


def test_rows_without_a_label_have_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    target = torch.tensor([[1.0, 0, 0], [0, 0, 0]])
    multi_head_loss({"a": logits}, {"a": target}, {"a": 1.0}).backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() > 0 and logits.grad[1].abs().sum() == 0


def test_a_batch_without_any_label_costs_nothing() -> None:
    loss = multi_head_loss({"a": torch.randn(2, 3)}, {"a": torch.zeros(2, 3)}, {"a": 1.0})
    assert loss.item() == 0.0


def test_heads_are_weighted() -> None:
    logits, target = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    loss = multi_head_loss(
        {"a": logits, "b": logits}, {"a": target, "b": target}, {"a": 1.0, "b": 0.5}
    )
    assert loss.item() == pytest.approx(1.5 * np.log(2))


# --- augmentation --------------------------------------------------------------------------------

NOTHING = Augment(
    rotation=0, shift=0, zoom=(1, 1), shear=0, flip=0, light=0, erase=0, mixup=0, mixup_share=0
)


def faces_of(n: int = 4, side: int = 16) -> Any:
    return torch.randn(n, 1, side, side, generator=torch.Generator().manual_seed(3))


def random(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("side", [8, 12, 16])
def test_augmented_faces_have_the_wanted_side(side: int) -> None:
    assert augment_batch(faces_of(), Augment(), side, random()).shape == (4, 1, side, side)


def test_augmentation_is_determined_by_the_generator() -> None:
    one, two = (augment_batch(faces_of(), Augment(), 16, random(5)) for _ in range(2))
    assert torch.equal(one, two)


def test_another_seed_gives_other_faces() -> None:
    one, two = (augment_batch(faces_of(), Augment(), 16, random(seed)) for seed in (5, 6))
    assert not torch.equal(one, two)


def test_no_strength_changes_nothing() -> None:
    x = faces_of()
    assert torch.allclose(augment_batch(x, NOTHING, 16, random()), x, atol=1e-4)


def test_flip_is_a_mirror_image() -> None:
    x = faces_of()
    flipped = augment_batch(x, replace(NOTHING, flip=1.0), 16, random())
    assert torch.allclose(flipped, x.flip(3), atol=1e-4)


def test_the_given_batch_is_not_changed() -> None:
    x = faces_of()
    before = x.clone()
    augment_batch(x, Augment(flip=1, erase=1), 16, random())
    assert torch.equal(x, before)


def test_erase_leaves_most_of_the_face() -> None:
    x = faces_of(64, 48)
    erased = augment_batch(x, replace(NOTHING, erase=1.0), 48, random())
    share = ((erased - x).abs() > 1e-3).float().mean(dim=(1, 2, 3))
    assert 0 < share.max() <= 0.25 and (share > 0).float().mean() > 0.9


def test_shrinking_averages() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert shrink(x, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_shrinking_to_the_same_side_is_nothing() -> None:
    x = faces_of()
    assert shrink(x, 16) is x


@given(st.integers(0, 1000))
def test_the_first_picture_of_a_mixed_pair_prevails(seed: int) -> None:
    assert 0.5 <= draw_mixup(Augment(mixup_share=1.0), random(seed)) <= 1.0


@pytest.mark.parametrize("how", [Augment(mixup=0.0), Augment(mixup_share=0.0)])
def test_mixup_can_be_turned_off(how: Augment) -> None:
    assert {draw_mixup(how, random(seed)) for seed in range(20)} == {1.0}


# --- training ------------------------------------------------------------------------------------


TINY = ResidualSettings((8, 8, 16, 16), blocks=1, stem=4, dropout=0.3)


def build_recipe(**schedule: Any) -> Recipe:
    """A recipe that trains in a blink, with all heads and all augmentation."""
    plan = {"sides": ((2, 16),), "batch": 8, "seed": 7} | schedule
    return Recipe(
        "tiny",
        "A recipe for tests.",
        {"emotion": 1.0, "votes": 0.7, "state": 0.3},
        SPEC,
        network=Choice("residual-se", TINY),
        schedule=Schedule(**plan),
    )


RECIPE = build_recipe()
HALF = replace(RECIPE, precision="float16")


def train(path: Path, *, epochs: int, recipe: Recipe = RECIPE) -> tuple[Any, list[Epoch]]:
    """A network after at most `epochs` more epochs, going on from the checkpoint at `path`."""
    faces = build_set(24)
    model, data = build_network(recipe), build_training(faces, recipe)
    records = []
    for epoch in fit(model, data, recipe, path, validate=build_validation(faces, recipe)):
        records.append(epoch)
        if len(records) == epochs:
            break
    return model, records


def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path: Path) -> None:
    straight, records = train(tmp_path / "a.pt", epochs=2)
    train(tmp_path / "b.pt", epochs=1)
    torch.rand(5)  # whatever happened in between
    resumed, later = train(tmp_path / "b.pt", epochs=1)
    assert [(r.number, r.loss, r.lr) for r in later] == [
        (r.number, r.loss, r.lr) for r in records[1:]
    ]
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_finished_run_has_nothing_left_to_do(tmp_path: Path) -> None:
    train(tmp_path / "a.pt", epochs=2)
    assert train(tmp_path / "a.pt", epochs=2)[1] == []


def test_a_run_is_determined_by_its_seed(tmp_path: Path) -> None:
    one, two = (train(tmp_path / f"{i}.pt", epochs=1)[1][0].loss for i in range(2))
    assert one == two


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    one = train(tmp_path / "a.pt", epochs=1)[1][0].loss
    two = train(tmp_path / "b.pt", epochs=1, recipe=build_recipe(seed=8))[1][0].loss
    assert one != two


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    recipe = replace(build_recipe(sides=((5, 16),)), rate=Choice("one-cycle", OneCycle(8e-3)))
    _, records = train(tmp_path / "a.pt", epochs=5, recipe=replace(recipe, augment=NOTHING))
    assert records[-1].loss < records[0].loss - 0.1


def test_a_checkpoint_leaves_no_partial(tmp_path: Path) -> None:
    train(tmp_path / "a.pt", epochs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_epochs_tell_their_number_and_side(tmp_path: Path) -> None:
    recipe = build_recipe(sides=((1, 16), (1, 24)))
    _, records = train(tmp_path / "a.pt", epochs=2, recipe=recipe)
    assert [(r.number, r.side) for r in records] == [(1, 16), (2, 24)]


def test_early_stopping_ends_a_run_and_stays_ended(tmp_path: Path) -> None:
    how = Stopping(monitor="emotion", mode="max", patience=1, min_delta=1.0)  # nothing is better
    recipe = replace(build_recipe(sides=((5, 16),)), stopping=how)
    _, records = train(tmp_path / "a.pt", epochs=5, recipe=recipe)
    assert [r.number for r in records] == [1, 2]
    assert train(tmp_path / "a.pt", epochs=5, recipe=recipe)[1] == []


def test_a_plateau_lowers_the_rate_and_remembers_it(tmp_path: Path) -> None:
    how = Plateau(lr=1e-3, monitor="emotion", mode="max", patience=1, min_delta=1.0, factor=0.5)
    recipe = replace(build_recipe(sides=((4, 16),)), rate=Choice("plateau", how))
    _, straight = train(tmp_path / "a.pt", epochs=4, recipe=recipe)
    train(tmp_path / "b.pt", epochs=2, recipe=recipe)
    _, rest = train(tmp_path / "b.pt", epochs=2, recipe=recipe)
    assert [r.lr for r in straight] == [1e-3, 1e-3, 5e-4, 2.5e-4]
    assert [(r.lr, r.loss) for r in rest] == [(r.lr, r.loss) for r in straight[2:]]


@pytest.mark.parametrize("each", ["step", "epoch"])
def test_the_average_of_the_weights_is_what_is_validated(tmp_path: Path, each: str) -> None:
    recipe = replace(build_recipe(sides=((3, 16),)), averaging=Averaging(1.0, each=each, last=2))
    model, [first, *later] = train(tmp_path / "a.pt", epochs=3, recipe=recipe)
    assert first.model is model
    for record in later:
        pairs = zip(weights_of(model), weights_of(record.model), strict=True)
        assert record.model is not model and not all(torch.equal(a, b) for a, b in pairs)


def weights_of(model: Any) -> list[Any]:
    """Every parameter, in order."""
    return [p.detach() for p in model.parameters()]


def test_class_weights_go_to_the_heads_of_that_label_space() -> None:
    faces = build_set(60)
    data = build_training(faces, replace(RECIPE, balance="class-weights"))
    counts = np.bincount(faces.labels, minlength=7)
    assert set(data.class_weights) == {"emotion"} and data.sampled is None
    assert data.class_weights["emotion"].numpy() == pytest.approx(60 / (7 * counts))


@pytest.mark.parametrize("balance", ["none", "class-weights", "sampler", "insert"])
def test_every_balancing_trains(tmp_path: Path, balance: str) -> None:
    recipe = replace(build_recipe(sides=((1, 16),)), balance=balance)
    assert np.isfinite(train(tmp_path / "a.pt", epochs=1, recipe=recipe)[1][0].loss)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "a.pt", epochs=1)
    other = replace(RECIPE, network=Choice("residual-se", replace(TINY, stem=8)))
    with pytest.raises(InputError, match=r"cannot go on from .*a\.pt.*another recipe"):
        train(tmp_path / "a.pt", epochs=1, recipe=other)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match="it is damaged"):
        train(tmp_path / "a.pt", epochs=1)


def test_the_schedule_of_sides() -> None:
    plan = Schedule(sides=((2, 32), (1, 40), (3, 48)))
    assert plan.epochs == 6
    assert [plan.side_at(e) for e in range(1, 7)] == [32, 32, 40, 48, 48, 48]


def test_a_run_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    first = build_network(RECIPE)
    with torch.no_grad():
        first.heads["emotion"].bias.fill_(3.0)
    save_state(first.state_dict(), tmp_path / "best.pt")
    later = replace(RECIPE, start=str(tmp_path))
    found = build_network(later)
    assert torch.equal(found.heads["emotion"].bias, torch.full((7,), 3.0))
    assert found.origin.startswith(f"run {tmp_path.name}, best.pt (sha256 ")
    assert "start" in changed_keys(recipe_table(RECIPE), recipe_table(later))
    with pytest.raises(InputError, match=r"none/best\.pt does not exist: train first"):
        build_network(replace(RECIPE, start=str(tmp_path / "none")))


def test_networks_of_one_seed_are_equal() -> None:
    one, two = (build_network(RECIPE).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_network_has_logits_for_every_head() -> None:
    logits = ResidualFace({"a": 3, "b": 5}, widths=(8, 8, 8, 8), blocks=1, stem=4)(faces_of(2, 48))
    assert {head: tuple(v.shape) for head, v in logits.items()} == {"a": (2, 3), "b": (2, 5)}


def test_averaging_over_flips_does_not_see_left_and_right() -> None:
    model, x = build_network(RECIPE), faces_of(3, 48)
    straight = predict_logits(model, x, flip=True)["emotion"]
    mirrored = predict_logits(model, x.flip(3), flip=True)["emotion"]
    assert torch.allclose(straight, mirrored, atol=1e-5)


def test_predictions_do_not_depend_on_the_batch() -> None:
    model, x = build_network(RECIPE), faces_of(5, 48)
    whole = predict_logits(model, x, flip=False)["emotion"]
    assert torch.allclose(
        whole, predict_logits(model, x, flip=False, batch=2)["emotion"], atol=1e-5
    )


# --- recipes -------------------------------------------------------------------------------------

TOML = f"""
name = "mine"
summary = "s"
heads = {{ emotion = 1 }}
{SPEC_TOML}"""


def load(tmp_path: Path, content: str) -> Recipe:
    (tmp_path / "mine.toml").write_text(content)
    return load_recipe(str(tmp_path / "mine.toml"))


def test_a_recipe_has_defaults(tmp_path: Path) -> None:
    recipe = load(tmp_path, TOML)
    assert (recipe.schedule, recipe.augment, recipe.balance) == (Schedule(), Augment(), "none")
    assert (recipe.network.kind, recipe.optimizer.kind) == ("residual-se", "adamw")
    assert (recipe.rate.kind, recipe.loss.kind) == ("one-cycle", "cross-entropy")


def test_whole_numbers_become_fractions_and_arrays_tuples(tmp_path: Path) -> None:
    recipe = load(tmp_path, TOML + "[rate]\npeak_lr = 1\n[schedule]\nsides = [[1, 16], [2, 24]]\n")
    assert recipe.heads == {"emotion": 1.0} and recipe.schedule.sides == ((1, 16), (2, 24))
    assert isinstance(recipe.rate.settings.peak_lr, float)


def test_a_network_is_named_by_its_kind_and_set_by_its_own_settings(tmp_path: Path) -> None:
    table = '[network]\nkind = "aieducation"\nchannels = 16\nblocks = 4\n'
    recipe = load(tmp_path, TOML + table)
    assert recipe.network.kind == "aieducation" and recipe.network.settings.blocks == 4


def test_a_network_of_one_side_refuses_other_sides(tmp_path: Path) -> None:
    plan = '[network]\nkind = "cnn-1"\n[schedule]\nsides = [[1, 32], [1, 48]]\n'
    with pytest.raises(InputError, match=r"'cnn-1' takes faces of one side, 48 px"):
        load(tmp_path, TOML + plan)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TOML + '[network]\nkind = "cnn-99"\n', "unknown model 'cnn-99'; known: cnn-1"),
        (TOML + "[network]\nkind = 3\n", "network: kind: expected str, found 3"),
        (TOML + "[network]\nwidth = 3\n", r"network: missing \[\], unknown \['width'\]"),
        ("network = 3\n" + TOML, "network: expected a table of fields, found int"),
        ("colour = 3\n" + TOML, "unknown .'colour'"),
        (
            TOML + "[schedule]\nbatchsize = 3\n",
            r"mine.toml: schedule: missing \[\], unknown \['batchsize'\]",
        ),
        (TOML.replace('name = "mine"', ""), "name"),
        (TOML.replace("width = 48\n", ""), "width"),
        (TOML.replace('"mine"', "3"), "name: expected str, found 3"),
        (TOML + '[schedule]\nbatch = "8"\n', "batch: expected int, found '8'"),
        (TOML + "[schedule]\nbatch = true\n", "batch: expected int, found True"),
        (TOML + "[rate]\npeak_lr = true\n", "rate: peak_lr: expected float, found True"),
        (TOML + "[schedule]\nsides = 3\n", "sides: expected a list, found int"),
        (TOML + "[schedule]\nsides = [[1, 16], [2]]\n", "sides: expected 2 values, found 1"),
        (TOML + '[network]\nwidths = ["a"]\n', "widths: expected int, found 'a'"),
        (TOML.replace("{ emotion = 1 }", "3"), "heads: expected a table, found 3"),
        (TOML.replace("emotion = 1", 'emotion = "x"'), "heads: emotion: expected float, found 'x'"),
        ("name = ", "not valid TOML"),
    ],
    ids=lambda text: text[-30:],
)
def test_a_bad_recipe_names_the_key(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, content)


def test_a_bad_input_of_a_recipe_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs 1 mean and std"):
        load(tmp_path, TOML.replace("[0.5]", "[0.5, 0.5]"))


def test_an_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(InputError, match=r"no recipe 'best'; shipped: .*face-base"):
        load_recipe("best")


def test_a_missing_recipe_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read recipe .*mine\.toml"):
        load_recipe(str(tmp_path / "mine.toml"))


def test_a_recipe_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_recipe(str(tmp_path / "mine.toml"))


# --- export --------------------------------------------------------------------------------------

CALIBRATIONS = {
    "emotion": Calibration(1.5),
    "votes": Calibration(0.8, tuple(np.linspace(0.7, 1.3, 8)), tuple(np.linspace(1, -1, 8)), 0.5),
    "state": Calibration(2.0),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A network with shaken weights, and the folder of its artefact."""
    settings = replace(TINY, widths=(8, 16, 16, 32))
    recipe = replace(HALF, network=Choice("residual-se", settings))
    network = build_network(recipe)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=random(1)))
    folder = tmp_path_factory.mktemp("artefact")
    found = export_onnx(network, recipe, CALIBRATIONS, folder / "model.onnx")
    save_artefact(folder, build_card(sha256=found, heads=build_heads(CALIBRATIONS)))
    return network, folder


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_artefact_answers_like_torch(exported: tuple[Any, Path], n: int) -> None:
    network, folder = exported
    x = faces_of(n, 48)
    with torch.inference_mode():
        expected = Calibrated(network, CALIBRATIONS, flip=True).eval()(x)
    scores = OnnxModel(str(folder)).predict(x.numpy())
    for head, probs in zip(CALIBRATIONS, expected, strict=True):
        assert np.allclose(scores[head].probs, probs.numpy(), atol=1e-3), head


def test_the_artefact_does_not_see_left_and_right(exported: tuple[Any, Path]) -> None:
    x = faces_of(2, 48).numpy()
    model = OnnxModel(str(exported[1]))
    mirrored = model.predict(np.ascontiguousarray(x[:, :, :, ::-1]))
    assert np.allclose(model.predict(x)["votes"].probs, mirrored["votes"].probs, atol=1e-4)


def test_large_weights_are_stored_in_half(exported: tuple[Any, Path]) -> None:
    onnx = pytest.importorskip("onnx")
    weights = onnx.load(str(exported[1] / "model.onnx")).graph.initializer
    halves = {bool(np.prod(w.dims) >= 1024) for w in weights if w.data_type == 10}
    large = {w.data_type for w in weights if np.prod(w.dims) >= 1024}
    assert halves == {True} and large == {10}  # 10 is float16


def test_weights_keep_their_32_bits_unless_the_recipe_says_so(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    network, path = build_network(RECIPE), tmp_path / "model.onnx"
    export_onnx(network, RECIPE, CALIBRATIONS, path)
    assert 10 not in {w.data_type for w in onnx.load(str(path)).graph.initializer}


def test_three_branches_are_exported_as_one_convolution(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    settings = RepVggSettings(8, (8, 16), (2, 1))
    recipe = replace(RECIPE, network=Choice("repvgg", settings))
    export_onnx(build_network(recipe), recipe, CALIBRATIONS, tmp_path / "model.onnx")
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "model.onnx")).graph.node]
    assert kinds.count("Conv") == 4 and "Add" not in kinds  # the stem and three blocks


def test_an_export_that_answers_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = build_network(RECIPE)
    path = tmp_path / "model.onnx"
    with torch.no_grad():
        network.heads["emotion"].weight.mul_(1e6)  # beyond what float16 holds
        monkeypatch.setattr(export, "HALF_FROM", 1)
        with pytest.raises(ModelError, match="weights in float16 change the answer by"):
            export_onnx(network, HALF, {"emotion": PLAIN}, path)
    monkeypatch.setattr(export, "PARITY", 0.0)
    with pytest.raises(ModelError, match="the exported graph differs from the network by"):
        export_onnx(network, RECIPE, {"emotion": PLAIN}, path)
    assert not list(tmp_path.iterdir())


def test_an_integer_network_answers_nearly_the_same(
    exported: tuple[Any, Path], tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    network, folder = exported
    x = faces_of(64, 48)
    recipe = replace(RECIPE, precision="int8")
    path = tmp_path / "model.onnx"
    found = export_onnx(network, recipe, CALIBRATIONS, path, pictures=x.numpy())
    save_artefact(tmp_path, build_card(sha256=found, heads=build_heads(CALIBRATIONS)))
    weights = {w.data_type for w in onnx.load(str(path)).graph.initializer if np.prod(w.dims) > 500}
    assert weights == {3}  # int8
    exact, rounded = (OnnxModel(str(f)).predict(x.numpy()) for f in (folder, tmp_path))
    for head in CALIBRATIONS:
        gaps = np.abs(exact[head].probs - rounded[head].probs)
        assert 0 < gaps.max() < 0.1 and gaps.mean() < 0.01


def test_an_integer_network_needs_pictures(tmp_path: Path) -> None:
    recipe = replace(RECIPE, precision="int8")
    with pytest.raises(
        InputError, match=r"int8 network is fitted on training pictures: use .*publish"
    ):
        export_onnx(build_network(recipe), recipe, {"emotion": PLAIN}, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="precision 'int4': needs float32"):
        replace(RECIPE, precision="int4")


def test_a_condition_needs_the_head_that_it_asks() -> None:
    alone, both = build_heads({"state": PLAIN}), build_heads({"votes": PLAIN, "state": PLAIN})
    assert alone[0].given == () and "votes:neutral" in both[1].given


def test_a_temperature_flattens() -> None:
    network, x = build_network(RECIPE).eval(), faces_of(4, 48)
    with torch.inference_mode():
        (sharp,) = Calibrated(network, {"emotion": Calibration(0.5)}, flip=True).eval()(x)
        (flat,) = Calibrated(network, {"emotion": Calibration(5.0)}, flip=True).eval()(x)
    assert (flat.max(dim=1).values < sharp.max(dim=1).values).all()


def test_the_graph_scales_each_label_as_the_card_says(
    exported: tuple[Any, Path], tmp_path: Path
) -> None:
    network, folder = exported
    x = faces_of(6, 48).numpy()
    recipe = replace(RECIPE, flip=HALF.flip)
    plain = dict.fromkeys(CALIBRATIONS, PLAIN)
    found = export_onnx(network, recipe, plain, tmp_path / "model.onnx")
    save_artefact(tmp_path, build_card(sha256=found, heads=build_heads(plain)))
    raw, scaled = OnnxModel(str(tmp_path)).predict(x), OnnxModel(str(folder))
    for head, how in CALIBRATIONS.items():
        assert calibration_of(scaled.card.head(head)) == how
        wanted = how.apply(raw[head].probs)
        assert scaled.predict(x)[head].probs == pytest.approx(wanted, abs=2e-3), head


def test_biases_are_not_rounded_to_integers(exported: tuple[Any, Path], tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    recipe, path = replace(RECIPE, precision="int8"), tmp_path / "model.onnx"
    pictures = faces_of(64, 48).numpy()
    export_onnx(exported[0], recipe, CALIBRATIONS, path, pictures=pictures)
    nodes = onnx.load(str(path)).graph.node
    after = {name for node in nodes if node.op_type == "LogSoftmax" for name in node.output}
    for node in nodes:  # in order
        if after & set(node.input):
            assert node.op_type in ("Exp", "ReduceSum", "Mul", "Sub", "Softmax")
            after |= set(node.output)
    assert "votes_probs" in after and "emotion_probs" not in after


def test_a_card_for_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="changed while it was measured"):
        save_artefact(tmp_path, build_card())
    assert not (tmp_path / "card.json").exists()


def test_a_saved_card_is_found_again(exported: tuple[Any, Path], tmp_path: Path) -> None:
    card = OnnxModel(str(exported[1])).card
    save_card(card, tmp_path / "card.json")
    assert (tmp_path / "card.json").read_bytes() == (exported[1] / "card.json").read_bytes()


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit.source_commit() == "unknown"


def test_the_commit_is_that_of_our_own_source_tree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), (*who, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(("git", *words), cwd=tmp_path, check=True, capture_output=True)
    for place, known in (("src", True), (".venv/lib/python3.13/site-packages", False)):
        module = tmp_path / place / "classpulse" / "lab" / "commit.py"
        module.parent.mkdir(parents=True)
        monkeypatch.setattr(commit, "__file__", str(module))
        assert (commit.source_commit() != "unknown") == known


def test_a_card_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_card(build_card(), tmp_path / "card.json")
    before = (tmp_path / "card.json").read_bytes()

    def full(old: Path, new: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"card\.json: No space left"):
        save_card(build_card(), tmp_path / "card.json")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_fewer_pictures_than_a_batch_are_refused(tmp_path: Path) -> None:
    recipe = load(tmp_path, TOML + "[schedule]\nbatch = 8\n")
    data = Training(torch.zeros(7, 1, 4, 4), {})
    steps = fit(torch.nn.Identity(), data, recipe, tmp_path / "c.pt", validate=lambda *_: {})
    with pytest.raises(InputError, match="7 pictures are fewer than one batch of 8"):
        next(steps)
