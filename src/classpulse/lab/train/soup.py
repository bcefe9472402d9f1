"""One network out of several runs: the mean of their weights.

Wortsman et al. 2022 ("Model soups"): runs that begin with the same trained weights end in one
basin, where the mean of their weights answers about as the mean of their answers does, at the price
of one network (LOG 2026-11-29). Batch-norm statistics belong to weights, so they are taken anew.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from classpulse.core.errors import InputError
from classpulse.core.files import make_folder, save_text
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.recipe import Recipe, changed_keys, recipe_table
from classpulse.lab.train.average import update_norms
from classpulse.lab.train.checkpoint import load_state, save_state
from classpulse.lab.train.folder import BEST, CHECKPOINT, RESOLVED, find_best
from classpulse.lab.train.logs import LOG, read_log
from classpulse.lab.train.run import build_network, prepare_images, self_contained

MEMBERS = "members.json"  # of the folder of a mean: whose it is
SEED = "schedule.seed"  # what runs of faces may differ in
PICTURES, BATCH = 4096, 64  # of Training without changes, for the statistics


def average_runs(recipe: Recipe, runs: Sequence[Path], train: FaceSet, *, out: Path) -> None:
    """Write a run's folder `out` with the mean of the best weights of `runs`, to be published.

    It holds the weights, the recipe, who its members are, and the log of the first.

    Args:
        recipe: of the runs, whatever their seeds.
        train: the pictures they learned from, for the batch-norm statistics.

    Raises:
        InputError: the recipe begins with random weights, or as `check_members`.
        OutputError: a file cannot be written.
    """
    table = recipe_table(recipe)
    seeds = check_members(table, runs, seed=SEED, out=out)
    if recipe.start is None:
        raise InputError(apart(recipe.name))
    network = build_network(self_contained(recipe))
    network.load_state_dict(mean_state(best_states(runs, recipe.name)))
    rows = np.random.default_rng(0).permutation(len(train))[:PICTURES]
    update_norms(network, prepare_images(train.images[rows], recipe.input).split(BATCH))
    save_mean(network.state_dict(), out, table=table, seeds=seeds, first=runs[0])


def check_members(
    table: Mapping[str, Any], runs: Sequence[Path], *, seed: str, out: Path, others: int = 0
) -> list[int]:
    """The seeds of runs that may be averaged.

    Args:
        table: their recipe as plain values.
        seed: the key, as ``schedule.seed``, of which each run has its own value.
        out: where the mean is to be written.
        others: runs of other recipes that are averaged with them.

    Raises:
        InputError: fewer than two runs, two with one seed, one of another recipe, or `out` is a run
            already.
    """
    name = table["name"]
    seeds = [_seed_of(run, table, seed) for run in runs]
    if len(runs) + others < 2 or not runs or len(set(seeds)) < len(seeds):
        raise InputError(
            f"a mean needs two or more runs of {name} with seeds of their own, not those of "
            f"{', '.join(map(str, seeds)) or 'none'}: classpulse train {name} --set "
            f"{seed}=N --run DIR"
        )
    if (out / CHECKPOINT).exists():
        raise InputError(f"{out} is a run itself: give another --out")
    return seeds


def apart(name: str) -> str:
    """Why runs that began with different weights are refused."""
    return (
        f"runs of {name} begin with random weights of their own, and the mean of such is no "
        "network: put their artefacts together with classpulse combine"
    )


def best_states(runs: Sequence[Path], name: str) -> list[Mapping[str, Tensor]]:
    """The best weights of each run of the recipe with this name.

    Raises:
        InputError: one has none.
    """
    return [load_state(find_best(run, name)) for run in runs]


def save_mean(
    state: Mapping[str, Any],
    out: Path,
    *,
    table: Mapping[str, Any],
    seeds: Sequence[int],
    first: Path,
    others: Sequence[str] = (),
) -> None:
    """Write the folder of a run with these weights, and with the log of its first member.

    Args:
        seeds: of the runs of the recipe.
        others: recipes of the other runs.

    Raises:
        OutputError: a file cannot be written.
    """
    make_folder(out)
    save_text(json.dumps(table, indent=2), out / RESOLVED)
    save_text("".join(json.dumps(row) + "\n" for row in read_log(first / LOG)), out / LOG)
    save_text(json.dumps({"seeds": list(seeds), "others": list(others)}), out / MEMBERS)
    save_state(state, out / BEST)


def mean_state(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of every floating-point entry; counters and flags are those of the first."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


def describe_members(run: Path) -> str:
    """For the card, what the weights of a run are the mean of; empty if they are its own."""
    path = run / MEMBERS
    if not path.exists():
        return ""
    members = json.loads(path.read_text(encoding="utf-8"))
    seeds, others = members["seeds"], members.get("others", ())
    n = len(seeds) + len(others)
    beside = "".join(f", and {one}" for one in others)
    return f"; mean of the weights of {n} runs, seeds {', '.join(map(str, seeds))}{beside}"


def _seed_of(run: Path, table: Mapping[str, Any], key: str) -> int:
    """Of a run, once it is known to be of the recipe."""
    part, _, last = key.partition(".")
    try:
        found: dict[str, Any] = json.loads((run / RESOLVED).read_text(encoding="utf-8"))
        given = found[part]
        seed = int(given["seed"] if given[last] is None else given[last])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{run / RESOLVED} cannot be read: {run} is no run of {table['name']}; give folders "
            "that classpulse train wrote"
        ) from None
    now = json.loads(json.dumps(table))
    changed = sorted({*changed_keys(found, now)} - {key})
    if changed:
        raise InputError(
            f"{run} is of another recipe than {table['name']} ({', '.join(changed)}): give the "
            "same --set as for its training"
        )
    return seed
