"""Fit and judge a baseline: one pass, no artefact, its numbers in the folder of the run."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from classpulse.core.card import Metric
from classpulse.core.errors import InputError
from classpulse.core.files import make_folder, save_text
from classpulse.lab.data.texts import MultiTextSet
from classpulse.lab.text.augment import augment_texts
from classpulse.lab.text.baseline import Tfidf, fit_tfidf
from classpulse.lab.text.judge import judge_labels, judged_sets
from classpulse.lab.text.network import lemmatized
from classpulse.lab.text.recipe import TextRecipe, text_recipe_table
from classpulse.lab.text.sources import load_text_parts
from classpulse.lab.train.folder import RESOLVED, check_table
from classpulse.text.encode import find_cleaner

METRICS = "metrics.json"


def run_baseline(recipe: TextRecipe, *, paths: Mapping[str, Path], out: Path) -> list[Metric]:
    """Fit the recipe's baseline for each of its heads and measure it on every held-out part.

    Writes `recipe.json` and `metrics.json` into `out`. Fitting again takes seconds, so no model is
    kept: scikit-learn's own form is a pickle, which this project does not load.

    Raises:
        InputError: a head with several labels a text, or as `load_text_parts`.
        OutputError: a file cannot be written.
    """
    check_table(out, text_recipe_table(recipe), resume=False)
    parts = load_text_parts(recipe, paths)
    judged = judged_sets(parts)
    clean, seed = find_cleaner(recipe.encode.clean), recipe.schedule.seed
    how: Tfidf = recipe.network.settings
    found: list[Metric] = []
    for head, targets in parts.train.targets.items():
        known = np.flatnonzero(targets.sum(axis=1) > 0)
        texts = [clean(one) for one in lemmatized(parts.train.texts, recipe)]
        made, places = augment_texts([texts[i] for i in known], recipe.augment, seed=seed)
        labels = targets[known].argmax(axis=1)[places].astype(np.int64)
        model = fit_tfidf(how, made, labels, seed=seed)
        for held in (one.texts for one in judged if one.head == head):
            if isinstance(held, MultiTextSet):
                raise InputError(f"a baseline gives one label a text: head '{head}' has several")
            texts = [clean(one) for one in lemmatized(held.texts, recipe)]
            found += judge_labels(head, held, model.predict(texts))
    make_folder(out)
    save_text(json.dumps(text_recipe_table(recipe), indent=2), out / RESOLVED)
    save_text(json.dumps([asdict(one) for one in found], indent=2), out / METRICS)
    return found
