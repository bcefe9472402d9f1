"""Ensembles: rules on synthetic answers, one graph equal to its members, refused mixtures."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import HEADS, build_card, write_artefact, write_onnx
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from classpulse.core.card import Head, InputSpec, Metric, load_card, save_card  # noqa: E402
from classpulse.core.errors import InputError, ModelError, ShapeError  # noqa: E402
from classpulse.lab.ensemble import export  # noqa: E402
from classpulse.lab.ensemble.combination import (  # noqa: E402
    Combination,
    Labels,
    Probs,
    calibrate,
)
from classpulse.lab.ensemble.export import About, export_ensemble  # noqa: E402
from classpulse.lab.ensemble.members import Member, open_members, predict_members  # noqa: E402
from classpulse.lab.ensemble.recipe import load_ensemble_recipe  # noqa: E402
from classpulse.lab.ensemble.rules import (  # noqa: E402
    RULES,
    Greedy,
    accuracy_weights,
    stack_out_of_fold,
)
from classpulse.lab.ensemble.stack import StackPlan, fit_stack  # noqa: E402
from classpulse.lab.evaluate.calibration import (  # noqa: E402
    PLAIN,
    Calibration,
    calibration_of,
    fit_calibration,
)
from classpulse.lab.evaluate.metrics import fit_temperature  # noqa: E402
from classpulse.runtime.model import OnnxModel  # noqa: E402

torch.set_num_threads(1)

ABOUT = About("pair", "Two tiny networks.", "pair-recipe", "abc1234", "a few rows")
QUICK = StackPlan(lr=0.01, epochs=20)


def softmax(logits: NDArray[Any]) -> Probs:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32)


def answers(
    n: int = 300, *, noise: tuple[float, ...] = (1.5, 2.0, 4.0), k: int = 7, seed: int = 0
) -> tuple[Probs, Labels]:
    """Members (m, n, k) that know the truth, each under its own noise."""
    random = np.random.default_rng(seed)
    truth = (np.arange(n) % k).astype(np.int64)
    evidence = 2.0 * np.eye(k)[truth]
    return softmax(np.stack([evidence + random.normal(0, s, (n, k)) for s in noise])), truth


def accuracy(probs: Probs, truth: Labels) -> float:
    return float((probs.argmax(axis=1) == truth).mean())


# --- the rules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_gives_distributions_and_the_same_ones_again(rule: str) -> None:
    probs, truth = answers(140)
    truth[:5] = -1
    first, again = (RULES.get(rule)()(probs, truth, seed=3) for _ in range(2))
    found = first.apply(probs)
    assert first.rule == rule and found.shape == (140, 7) and found.dtype == np.float32
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(found, again.apply(probs))


def test_mean_and_weighted_mean() -> None:
    probs, truth = answers()
    assert np.allclose(
        RULES.get("mean")()(probs, truth).apply(probs), probs.mean(axis=0), atol=1e-6
    )
    right = np.array([accuracy(p, truth) for p in probs])
    weights = accuracy_weights(probs, truth)
    assert np.allclose(weights, right / right.sum()) and weights[0] > weights[2]
    expected = np.tensordot(weights, probs, 1)
    assert np.allclose(RULES.get("weighted")()(probs, truth).apply(probs), expected, atol=1e-6)


def test_accuracy_weights_are_those_of_the_thesis() -> None:
    right = (6721, 6735, 6620, 6759, 6630)  # of 10,000: validation accuracies, seed-thesis C.1
    truth = np.zeros(10_000, dtype=np.int64)
    sure = [np.where(np.arange(10_000) < r, 0.9, 0.1) for r in right]
    probs = np.stack([np.stack([p, 1 - p], axis=1) for p in sure]).astype(np.float32)
    found = accuracy_weights(probs, truth)
    assert np.round(found, 4).tolist() == [0.2008, 0.2013, 0.1978, 0.2020, 0.1981]


@pytest.mark.parametrize("seed", range(6))
def test_greedy_is_never_worse_than_the_best_member_on_its_rows(seed: int) -> None:
    noise = tuple(np.random.default_rng(seed).uniform(0.5, 6, 5))
    probs, truth = answers(120, noise=noise, seed=seed)
    chosen = Greedy()(probs, truth)
    assert accuracy(chosen.apply(probs), truth) >= max(accuracy(p, truth) for p in probs)


def test_greedy_repeats_a_good_member_and_leaves_a_useless_one_aside() -> None:
    probs, truth = answers(600, noise=(1.0, 1.6, 40.0))
    chosen = Greedy(steps=20)(probs, truth)
    assert chosen.weights is not None
    assert chosen.weights[0] > chosen.weights[1] > 2 * chosen.weights[2]
    alone = Greedy(steps=1)(probs, truth)
    assert alone.weights is not None and alone.weights.tolist() == [1, 0, 0]


def test_the_stack_has_the_thesis_56_parameters_and_learns() -> None:
    probs, truth = answers(700)
    rows = np.arange(700) < 500
    valid = probs[:, ~rows], truth[~rows]
    found = fit_stack(probs[:, rows], truth[rows], valid=valid, plan=QUICK, seed=1)
    assert found.parameters == 56 and found.rule == "stack"
    assert accuracy(found.apply(valid[0]), valid[1]) > 0.9 * accuracy(
        valid[0].mean(axis=0), valid[1]
    )
    weighted = fit_stack(*valid, valid=valid, weights=accuracy_weights(*valid), plan=QUICK)
    assert weighted.parameters == 56 and weighted.rule == "weighted-stack"


def test_the_stack_restores_its_best_epoch_and_stops() -> None:
    probs, truth = answers(140)
    # labels that contradict the training rows: validation only gets worse, the start is best
    valid = probs, (truth + 1) % 7
    short = StackPlan(lr=0.5, patience=1, epochs=300, dropout=0.0)
    found, longer = (
        fit_stack(probs, truth, valid=valid, plan=plan, seed=0).apply(probs)
        for plan in (short, dataclasses.replace(short, patience=9))
    )
    assert np.array_equal(found, longer)


def test_out_of_fold_answers_come_from_other_rows() -> None:
    probs, truth = answers(350)
    found = stack_out_of_fold(probs, truth, folds=5, strength=1.0)
    assert found.rows.tolist() == list(range(350)) and found.combination.parameters == 21 * 7 + 7
    inside = found.combination.apply(probs)
    assert not np.allclose(found.probs, inside)  # the whole fit has seen the rows
    assert accuracy(found.probs, truth) > max(accuracy(p, truth) for p in probs)
    # members that know nothing: honest answers stay at chance, those of the whole fit do not
    noise = softmax(np.random.default_rng(0).normal(0, 2, (12, 140, 7)))
    chance = stack_out_of_fold(noise, truth[:140], folds=5, strength=10.0)
    assert accuracy(chance.probs, truth[:140]) < 0.3
    assert accuracy(chance.combination.apply(noise), truth[:140]) > 0.6


def test_out_of_fold_with_two_labels_and_with_one_that_never_occurs() -> None:
    probs, truth = answers(80, k=2)
    two = stack_out_of_fold(probs, truth, folds=4)
    assert accuracy(two.probs, truth) > 0.6
    probs, truth = answers(140)
    truth[truth == 6] = -1
    found = stack_out_of_fold(probs, truth, folds=4).combination.apply(probs)
    assert not (found.argmax(axis=1) == 6).any()


def test_calibration_puts_the_likeliest_inside() -> None:
    probs, truth = answers(1400)
    mean = RULES.get("mean")()(probs, truth)
    found, fitted = calibrate(mean, probs, truth)
    best = fit_calibration(mean.apply(probs), truth)
    assert found.calibration == fitted.calibration == best.calibration != PLAIN
    assert np.array_equal(fitted.unseen, best.unseen)
    assert fit_temperature(found.apply(probs), truth) == pytest.approx(1, abs=0.01)


def test_the_head_of_the_thesis_recipes_is_trained_to_the_end() -> None:
    draw = np.random.default_rng(7)
    truth = draw.integers(0, 7, 1400)
    unsure = softmax(1.2 * np.eye(7)[truth] + draw.normal(0, 1.1, (3, 1400, 7)))
    rule = load_ensemble_recipe("thesis-ensemble-nb-1").rule.settings
    mean, head = (one(unsure, truth, seed=42).apply(unsure) for one in (RULES.get("mean")(), rule))
    assert accuracy(head, truth) > accuracy(mean, truth) - 0.01


# --- one graph ---------------------------------------------------------------------------------


def artefacts(tmp_path: Path, m: int = 3, **changes: Any) -> list[str]:
    """Folders of tiny networks with random weights."""
    return [
        str(write_artefact(tmp_path / f"net{i}", seed=i, name=f"net{i}", **changes))
        for i in range(m)
    ]


def faces(n: int = 70) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (n, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize("rule", list(RULES))
def test_one_graph_answers_as_its_members_combined(rule: str, tmp_path: Path) -> None:
    members = open_members(artefacts(tmp_path))
    probs = predict_members(members, faces())
    assert set(probs) == {"emotion", "state"} and probs["emotion"].shape == (3, 70, 7)
    rules = {}
    for head, k in (("emotion", 7), ("state", 4)):
        truth = (np.arange(70) % k).astype(np.int64)
        rules[head], _ = calibrate(RULES.get(rule)()(probs[head], truth), probs[head], truth)
    card = export_ensemble(members, rules, tmp_path / "pair", about=ABOUT)
    batch = np.random.default_rng(1).normal(0, 1, (20, 1, 48, 48)).astype(np.float32)
    opened = OnnxModel(str(tmp_path / "pair"))
    found = opened.predict(batch)
    assert opened.card == card and [h.name for h in card.heads] == ["emotion", "state"]
    for head, combination in rules.items():
        alone = np.stack([m.model.predict(batch)[head].probs for m in members])
        assert np.abs(found[head].probs - combination.apply(alone)).max() < 1e-5
        assert calibration_of(card.head(head)) == combination.calibration


@pytest.mark.parametrize("form", ["weights", "matrix"])
def test_a_graph_scales_each_label(form: str, tmp_path: Path) -> None:
    bent = Calibration(1.3, tuple(np.linspace(0.7, 1.3, 7)), tuple(np.linspace(1, -1, 7)), -0.4)
    scaled = [Head("emotion", "emotion_probs", "fer2013-7", 1.0, scale=(2.0,) * 7, bias=(1.0,) * 7)]
    members = open_members(artefacts(tmp_path, m=2, heads=(*scaled, *HEADS[1:])))
    end = (np.eye(7), np.zeros(7)) if form == "matrix" else (None, None)
    rule = Combination("stack", 2, 7, np.full(2, 0.5), *end, calibration=bent)
    plain = Combination("stack", 2, 7, np.full(2, 0.5), *end)
    card = export_ensemble(members, {"emotion": rule}, tmp_path / "bent", about=ABOUT)
    assert calibration_of(card.heads[0]) == bent
    bare = export_ensemble(members, {"emotion": plain}, tmp_path / "bare", about=ABOUT)
    assert calibration_of(bare.heads[0]) == PLAIN  # not that of the first member
    batch = np.random.default_rng(1).normal(0, 1, (20, 1, 48, 48)).astype(np.float32)
    found, raw = (
        OnnxModel(str(tmp_path / name)).predict(batch)["emotion"].probs for name in ("bent", "bare")
    )
    assert found == pytest.approx(bent.apply(raw), abs=1e-5)


def test_the_card_names_members_with_their_hashes(tmp_path: Path) -> None:
    members = open_members(artefacts(tmp_path, licence="MIT", limits=("small faces",)))
    rule = Combination("stack", 3, 7, np.full(3, 1 / 3), np.eye(7), np.zeros(7))
    metric = Metric("accuracy", "emotion", 0.5, 0.4, 0.6, 70, "noise")
    card = export_ensemble(
        members, {"emotion": rule}, tmp_path / "out", about=ABOUT, metrics=[metric]
    )
    for member in members:
        assert f"{member.card.name} (sha256 {member.card.sha256[:12]})" in card.trained_on
    assert "emotion: stack with weights 0.3333" in card.trained_on
    assert "56 parameters; fitted on a few rows. Members: nothing" in card.trained_on
    assert card.licence == "MIT" and card.limits[0] == "small faces" and len(card.limits) == 2
    assert "3 networks" in card.limits[1] and card.metrics == (metric,)
    assert card.parameters == 3 * 10 + 56
    assert (card.recipe, card.commit) == ("pair-recipe", "abc1234")
    assert load_card(tmp_path / "out" / "card.json") == card
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["card.json", "model.onnx"]


def test_members_without_weight_are_not_in_the_graph(tmp_path: Path) -> None:
    members = open_members(artefacts(tmp_path))
    rule = Combination("greedy", 3, 7, np.array([0.25, 0.0, 0.75]))
    card = export_ensemble(members, {"emotion": rule}, tmp_path / "out", about=ABOUT)
    assert "net1" not in card.trained_on and card.parameters == 20
    graph = onnx.load(str(tmp_path / "out" / "model.onnx")).graph
    assert len(graph.input) == 1 and [o.name for o in graph.output] == ["emotion_probs"]
    assert not any(node.name.startswith("member2_") for node in graph.node)
    wanted = rule.apply(predict_members(members, faces())["emotion"])
    opened = Member(tmp_path / "out", OnnxModel(str(tmp_path / "out")))
    assert np.abs(predict_members([opened], faces())["emotion"][0] - wanted).max() < 1e-5


def test_an_ensemble_can_be_a_member(tmp_path: Path) -> None:
    folders = artefacts(tmp_path)
    pair = Combination("mean", 2, 7, np.full(2, 0.5))
    export_ensemble(open_members(folders[:2]), {"emotion": pair}, tmp_path / "two", about=ABOUT)
    both = open_members([str(tmp_path / "two"), folders[2]])
    third = Combination("weighted", 2, 7, np.array([2 / 3, 1 / 3]))
    export_ensemble(both, {"emotion": third}, tmp_path / "all", about=ABOUT)
    found = Member(tmp_path / "all", OnnxModel(str(tmp_path / "all")))
    mean = predict_members(open_members(folders), faces())["emotion"].mean(axis=0)
    assert np.abs(predict_members([found], faces())["emotion"][0] - mean).max() < 1e-5


def test_a_graph_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = open_members(artefacts(tmp_path, 2))
    rule = Combination("mean", 2, 7, np.full(2, 0.5))
    export_ensemble(members, {"emotion": rule}, tmp_path / "out", about=ABOUT)
    before = (tmp_path / "out" / "card.json").read_bytes()
    monkeypatch.setattr(export, "PARITY", 0.0)
    with pytest.raises(ModelError, match=r"differs from its members by .* nothing was written"):
        export_ensemble(members, {"emotion": rule}, tmp_path / "out", about=ABOUT)
    assert (tmp_path / "out" / "card.json").read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["card.json", "model.onnx"]


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (InputSpec(48, 48, 1, (0.4,), (0.25,), "fer2013"), r"mean \(0\.5,\) and \(0\.4,\)"),
        (InputSpec(40, 40, 1, (0.5,), (0.25,), "fer2013"), "width 48 and 40; height 48 and 40"),
        (InputSpec(48, 48, 1, (0.5,), (0.25,), "loose"), "framing fer2013 and loose"),
    ],
)
def test_members_with_other_inputs_are_refused(spec: InputSpec, said: str, tmp_path: Path) -> None:
    first, second = artefacts(tmp_path, 2)
    outputs = {h.output: [0.0] * len(h.label_space) for h in HEADS}
    found = write_onnx(Path(second) / "model.onnx", outputs, spec=spec, seed=1)
    save_card(build_card(name="net1", input=spec, sha256=found), Path(second) / "card.json")
    with pytest.raises(InputError, match=rf"net0 .* and net1 .* eat different inputs \(.*{said}"):
        open_members([first, second])


def test_one_member_and_the_same_member_twice_are_refused(tmp_path: Path) -> None:
    folders = artefacts(tmp_path, 1)
    with pytest.raises(InputError, match="two members or more, not 1"):
        open_members(folders)
    with pytest.raises(InputError, match="same network: name it once and give it a larger weight"):
        open_members(folders * 2)


def test_heads_that_differ_are_refused(tmp_path: Path) -> None:
    first = write_artefact(tmp_path / "a", seed=1, name="a")
    heads = (HEADS[0], dataclasses.replace(HEADS[1], given=("emotion:sad",)))
    second = write_artefact(tmp_path / "b", seed=2, name="b", heads=heads)
    members = open_members([str(first), str(second)])
    with pytest.raises(InputError, match=r"'state' is learning-state-4 in a .* given emotion:sad"):
        predict_members(members, faces(2))
    other = (Head("mood", "emotion_probs", "fer2013-7", 1.0),)
    third = write_artefact(tmp_path / "c", seed=3, name="c", heads=other)
    mixed = open_members([str(first), str(third)])
    with pytest.raises(InputError, match=r"no head is common to a .* c "):
        predict_members(mixed, faces(2))
    rule = Combination("mean", 2, 7, np.full(2, 0.5))
    with pytest.raises(InputError, match=r"c .* has no head 'emotion'; all members have: none"):
        export_ensemble(mixed, {"emotion": rule}, tmp_path / "out", about=ABOUT)


def test_combinations_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    members = open_members(artefacts(tmp_path, 2))
    out = tmp_path / "out"
    with pytest.raises(InputError, match="at least one head"):
        export_ensemble(members, {}, out, about=ABOUT)
    three = Combination("mean", 3, 7, np.full(3, 1 / 3))
    with pytest.raises(ShapeError, match="'emotion': a combination of 3 members for 2"):
        export_ensemble(members, {"emotion": three}, out, about=ABOUT)
    narrow = Combination("mean", 2, 4, np.full(2, 0.5))
    with pytest.raises(ShapeError, match="4 labels for fer2013-7, which has 7"):
        export_ensemble(members, {"emotion": narrow}, out, about=ABOUT)
    assert not out.exists()


def test_members_of_other_operator_versions_are_refused(tmp_path: Path) -> None:
    folders = artefacts(tmp_path, 2)
    members = open_members(folders)
    path = Path(folders[1]) / "model.onnx"
    model = onnx.load(str(path))
    model.opset_import[0].version = 17
    path.write_bytes(model.SerializeToString())
    rule = Combination("mean", 2, 7, np.full(2, 0.5))
    with pytest.raises(InputError, match=r"versions 18 and 17 of the operators 'ai\.onnx'"):
        export_ensemble(members, {"emotion": rule}, tmp_path / "out", about=ABOUT)


def test_impossible_combinations_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"needs weights \(2,\), matrix \(14, 7\)"):
        Combination("mean", 2, 7, np.full(3, 1 / 3))
    with pytest.raises(ShapeError, match="a bias"):
        Combination("stack", 2, 7, np.full(2, 0.5), np.eye(7))
    with pytest.raises(InputError, match="0 or more and sum to 1"):
        Combination("mean", 2, 7, np.array([1.5, -0.5]))
    with pytest.raises(InputError, match="not finite"):
        Combination("mean", 2, 7, np.array([np.nan, 1.0]))
    with pytest.raises(InputError, match="temperature"):
        Combination("mean", 2, 7, np.full(2, 0.5), calibration=Calibration(0.0))
    with pytest.raises(InputError, match="needs members"):
        Combination("mean", 2, 7, np.full(2, 0.5)).take(np.array([True, False]))
    with pytest.raises(ShapeError, match=r"takes \(2, n, 7\), not \(3, 4, 7\)"):
        Combination("mean", 2, 7, np.full(2, 0.5)).apply(np.ones((3, 4, 7), dtype=np.float32))


def test_answers_that_do_not_fit_are_refused() -> None:
    probs, truth = answers(70)
    fit = RULES.get("mean")()
    with pytest.raises(ShapeError, match=r"two members or more, not \(1, 70, 7\)"):
        fit(probs[:1], truth)
    with pytest.raises(ShapeError, match="members answer for 70 rows"):
        fit(probs, truth[:9])
    with pytest.raises(ShapeError, match="give no logits"):
        fit(np.log(probs), truth)
    with pytest.raises(ShapeError, match="no row has a label"):
        fit(probs, np.full(70, -1))
    with pytest.raises(ShapeError, match="label 7 with 7 columns"):
        fit(probs, truth + 1)
    with pytest.raises(InputError, match="steps = 0"):
        Greedy(steps=0)
    with pytest.raises(InputError, match="10 folds: needs two labels or more of 10 rows"):
        stack_out_of_fold(probs[:, :35], truth[:35])
    with pytest.raises(InputError, match="no member is right on any row"):
        accuracy_weights(np.repeat(np.eye(7, dtype=np.float32)[None], 2, 0), (np.arange(7) + 1) % 7)
    with pytest.raises(InputError, match="dropout = 1"):
        StackPlan(dropout=1.0)
    with pytest.raises(InputError, match="must be 1 or more"):
        StackPlan(patience=0)
    with pytest.raises(ShapeError, match=r"training answers are \(3, 70, 7\), validation \(2"):
        fit_stack(probs, truth, valid=(probs[:2], truth))
    with pytest.raises(InputError, match="known: mean, weighted, stack, weighted-stack, greedy"):
        RULES.get("vote")
