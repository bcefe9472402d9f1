"""Every shipped recipe still builds what it built, and learns in two steps what it learned.

A change of network, optimizer, loss or first learning rate moves these numbers. If it was meant,
`python tests/recipes/pin_losses.py` writes them anew.
"""

import json

import pytest

torch = pytest.importorskip("torch")

from pin_losses import FILE, check  # noqa: E402

from classpulse.lab.recipe_file import recipe_names  # noqa: E402

torch.set_num_threads(1)
PINNED = json.loads(FILE.read_text())
LIGHT = {  # a few seconds together; one of every family
    "face-base",
    "aied-b16-n4-fc1-k3",
    "thesis-cnn-1-insert",
    "thesis-cnn-2-weights",
    "thesis-kt-2-insert",
    "thesis-ensemble-nb-1",
    "text-minilm",
    "text-thesis-5-bert-1",
}


def test_every_recipe_is_pinned() -> None:
    assert list(PINNED) == recipe_names()


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in LIGHT else [pytest.mark.slow]) for n in recipe_names()],
)
def test_two_steps_give_the_pinned_losses(name: str) -> None:
    found, pinned = check(name), PINNED[name]
    assert found.parameters == pinned["parameters"]
    # other processors add up in another order
    assert list(found.losses) == pytest.approx(pinned["losses"], rel=2e-3)
