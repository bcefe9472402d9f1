"""Co-teaching: which rows are chosen, who learns from them, and that a run goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from toy_training import EPOCHS, EVERYTHING, LONGER, PLAIN, build_data, train  # noqa: E402

from classpulse.core.errors import InputError  # noqa: E402
from classpulse.lab.recipe import changed_keys, load_recipe, recipe_table  # noqa: E402
from classpulse.lab.train.checkpoint import load_weights, save_state  # noqa: E402
from classpulse.lab.train.coteach import (  # noqa: E402
    CoTeaching,
    Pair,
    choose_easy,
    exchange,
    first_of,
)
from classpulse.lab.train.loop import first_losses, fit, loss_of  # noqa: E402
from classpulse.lab.train.losses import multi_head_loss  # noqa: E402
from classpulse.lab.train.parallel.settings import Parallel  # noqa: E402
from classpulse.lab.train.run import build_learner, build_network  # noqa: E402
from classpulse.lab.train.sharpness import Sharpness  # noqa: E402

HOW = CoTeaching(forget=0.25, ramp=1)
PAIRED = replace(PLAIN, coteach=HOW)
ONE = {"emotion": 1.0}


def logits_for(*chances: float) -> Any:
    """Rows of two labels, whose first has these probabilities."""
    p = torch.tensor(chances)
    return torch.log(torch.stack([p, 1 - p], dim=1))


# --- which rows ----------------------------------------------------------------------------------


def test_the_share_grows_to_its_end() -> None:
    how = CoTeaching(forget=0.5, ramp=4)
    assert [how.kept(number, 64) for number in (1, 2, 3, 5, 9)] == [64, 56, 48, 32, 32]
    assert CoTeaching(0.5, ramp=0).kept(1, 64) == 32 and CoTeaching(0.9, ramp=0).kept(1, 1) == 1


def test_rows_that_are_predicted_well_are_chosen_best_first() -> None:
    logits = {"a": logits_for(0.2, 0.9, 0.6, 0.99)}
    targets = {"a": torch.tensor([[1.0, 0.0]]).expand(4, 2)}
    assert choose_easy(logits, targets, {"a": 1.0}, keep=3).tolist() == [3, 1, 2]


def test_a_row_is_not_wrong_because_people_were_divided() -> None:
    logits = {"a": logits_for(0.5, 0.6)}
    targets = {"a": torch.tensor([[0.5, 0.5], [1.0, 0.0]])}  # a cross-entropy of 0.69 and 0.51
    assert choose_easy(logits, targets, {"a": 1.0}, keep=1).tolist() == [0]


def test_the_heads_that_label_a_row_count_whatever_it_weighs() -> None:
    logits = {"a": logits_for(0.6, 0.7, 0.5, 0.5), "b": logits_for(0.9, 0.1, 0.1, 0.5)}
    first, none = [1.0, 0.0], [0.0, 0.0]
    targets = {
        "a": torch.tensor([first, [0.1, 0.0], none, none]),
        "b": torch.tensor([first, none, first, none]),
    }
    order = choose_easy(logits, targets, {"a": 1.0, "b": 1.0}, keep=4)
    assert order.tolist() == [0, 1, 2, 3]  # -log: 0.31, 0.36, 2.3; the last has no label


def test_each_network_learns_from_what_the_other_chose() -> None:
    pair, data = build_learner(PAIRED), build_data()
    assert isinstance(pair, Pair)
    x, targets = data.x[:8], {"emotion": data.targets["emotion"][:8]}
    lessons = exchange(pair, x, targets, ONE, keep=5)
    chosen = [choose_easy(net(x), targets, ONE, keep=5) for net in (pair.first, pair.second)]
    assert not torch.equal(*chosen)
    for lesson, rows, net in zip(lessons, chosen[::-1], (pair.first, pair.second), strict=True):
        assert lesson.network is net
        assert torch.equal(lesson.targets["emotion"], targets["emotion"][rows])
        assert torch.allclose(lesson.logits["emotion"], net(x)["emotion"][rows], atol=1e-6)


def test_the_loss_is_that_of_both_and_reaches_both() -> None:
    pair, data = build_learner(PAIRED), build_data()
    x, targets = data.x[:8], {"emotion": data.targets["emotion"][:8]}
    whole = loss_of(pair, x, targets, data, PAIRED, number=1)  # nothing is left out yet
    apart = [multi_head_loss(net(x), targets, ONE).item() for net in pair.children()]
    assert whole.item() == pytest.approx(sum(apart), rel=1e-2)  # rounded by bfloat16
    loss_of(pair, x, targets, data, PAIRED, number=9).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pair.parameters())


def test_false_labels_are_left_out_after_a_while() -> None:
    data = build_data()
    wrong = torch.arange(0, len(data.x), 8)
    data.targets["emotion"][wrong] = data.targets["emotion"][wrong].roll(3, dims=1)
    recipe = replace(PAIRED, rate=replace(PAIRED.rate, settings=type(PAIRED.rate.settings)(0.05)))
    pair = build_learner(recipe)
    for _ in range(12):
        first_losses(pair, data, recipe, steps=8)
    pair.eval()
    with torch.no_grad():
        easy = choose_easy(pair(data.x), data.targets, ONE, keep=len(data.x) * 3 // 4)
    assert len(set(easy.tolist()) & set(wrong.tolist())) <= 1


# --- a run ---------------------------------------------------------------------------------------


def test_the_networks_begin_apart_and_the_first_is_the_recipes_own() -> None:
    pair = build_learner(PAIRED)
    assert isinstance(pair, Pair) and first_of(pair) is pair.first
    own = build_network(PLAIN).state_dict()
    assert all(torch.equal(own[key], value) for key, value in pair.first.state_dict().items())
    assert any(not torch.equal(own[key], value) for key, value in pair.second.state_dict().items())
    assert type(build_learner(PLAIN)) is type(build_network(PLAIN))


def test_a_run_goes_on_to_the_bit_and_gives_one_network(tmp_path: Path) -> None:
    recipe = replace(EVERYTHING, coteach=HOW)
    whole = learn(recipe, tmp_path / "whole.pt")
    learn(recipe, tmp_path / "cut.pt", epochs=1)
    rest = learn(recipe, tmp_path / "cut.pt")
    assert [one.number for one in rest] == list(range(2, EPOCHS + 1))
    one, two = (run[-1].model.state_dict() for run in (whole, rest))
    assert one.keys() == build_network(recipe).state_dict().keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    save_state(one, tmp_path / "best.pt")
    load_weights(build_network(recipe), tmp_path / "best.pt")  # as publish does


def learn(recipe: Any, checkpoint: Path, *, epochs: int = EPOCHS) -> Any:
    done = []
    for one in fit(build_learner(recipe), build_data(), recipe, checkpoint, validate=lambda *_: {}):
        done.append(one)
        if len(done) == epochs:
            break
    return done


def test_sharpness_climbs_in_both(tmp_path: Path) -> None:
    recipe = replace(LONGER, coteach=HOW, sharpness=Sharpness(rho=0.05))
    assert len(learn(recipe, tmp_path / "run.pt", epochs=1)) == 1


def test_workers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[coteach\] chooses among the rows of a whole batch"):
        train(PAIRED, Parallel("ddp", 2), tmp_path / "run.pt")


# --- the recipe ----------------------------------------------------------------------------------


def test_a_recipe_says_how_much_is_left_out() -> None:
    recipe = load_recipe("face-base", changes=["coteach.forget=0.1", "coteach.ramp=5"])
    assert recipe.coteach == CoTeaching(0.1, 5)
    assert recipe_table(recipe)["coteach"] == {"forget": 0.1, "ramp": 5}


def test_runs_from_before_go_on() -> None:
    new = recipe_table(load_recipe("face-base"))
    old = {key: value for key, value in new.items() if key != "coteach"}
    assert changed_keys(old, new) == []


@pytest.mark.parametrize("change", ["coteach.forget=0.95", "coteach.ramp=-1"])
def test_impossible_shares_are_refused(change: str) -> None:
    with pytest.raises(InputError, match="needs a number from 0 to"):
        load_recipe("face-base", changes=[change])
