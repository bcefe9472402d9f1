"""The paper's classical pipeline on FER2013: what features, reductions and kernels give.

    python benchmarks/classic.py
    python benchmarks/classic.py --data fer2013.csv.gz --folder runs/classic --rows 8000 --test 0
    python benchmarks/classic.py --page

With a folder every measurement is kept in it, with its date, machine and commit, and not made
again, so it may be interrupted; without one everything is measured anew. All times are processor
seconds of one thread. Writes results/classic.json, results/classic-embedding.svg and the tables of
docs/classic.md; `--page` writes only these tables, from the stored results.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from classic_page import write_tables
from measure import FER, describe_machine, origin_line, origin_of, sign_figure
from sklearn.decomposition import NMF, PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classpulse.core.files import save_text
from classpulse.core.labels import FER2013_7
from classpulse.lab.classic.fit import Fitted, draw_rows, fit_rows, make_features
from classpulse.lab.classic.kinds import (
    FEATURE_KINDS,
    LinearSvm,
    Nmf,
    NoReduction,
    NystroemSvm,
    Pca,
    Svm,
)
from classpulse.lab.classic.recipe import ClassicRecipe, Search
from classpulse.lab.evaluate.figures import save_figure
from classpulse.lab.evaluate.metrics import evaluate_scores
from classpulse.lab.evaluate.plots_training import draw_embedding, embed_tsne
from classpulse.lab.evaluate.predictors import predict_heads
from classpulse.lab.train.kinds import Choice
from classpulse.lab.train.sources import load_roles
from classpulse.runtime.model import OnnxModel

RESULTS = Path(__file__).parent / "results"
NETWORKS = {"embedding": "face-base", "embedding of face-flagship": "face-flagship"}
"""Kinds of features -> whose embedding."""
KINDS = list(dict.fromkeys([*FEATURE_KINDS, *NETWORKS]))
SPACE = FER2013_7
REDUCTIONS = {
    "none": Choice("none", NoReduction()),
    "pca 0.95": Choice("pca", Pca(0.95)),
    "pca 64": Choice("pca", Pca(64)),
}
PRICES = (1.0, 10.0)  # of which three folds choose one for each kind of features
SIZES = (8, 16, 32, 64, 128, 256)
NOISES = (0.0, 0.05, 0.1, 0.2)  # standard deviation of the noise, of pixels in [0, 1]
SIGMAS = (0.0, 0.5, 1.0)  # of the filter, pixels
NOISY = 800  # pictures of PublicTest that are spoilt
NOISY_EMBEDDED = 300  # the same for the network, which is slow
TIMED = 500  # pictures whose prediction is timed
TOLERANCE = 0.25  # of the proportion that equation 24 predicts
Rows = Any


class Study:
    """Data, and a folder of what is measured already."""

    def __init__(self, data: Path, folder: Path, rows: int, test_rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.origin = origin_of(describe_machine())
        self.origins: list[dict[str, str]] = []  # of all that was read, each once
        folder.mkdir(parents=True, exist_ok=True)
        recipe = self.recipe("pixels")
        parts = load_roles(
            recipe.data, {"fer2013": data}, None, head="emotion", seed=recipe.seed, name="study"
        )
        train, test = parts["train"], parts["valid"]
        chosen = draw_rows(recipe, train.labels, SPACE)
        test = test.take(np.arange(len(test))[: test_rows or None], name=test.name)
        self.images = {"train": train.images[chosen], "test": test.images}
        self.labels = {"train": train.labels[chosen], "test": test.labels}

    def recipe(self, kind: str, **changes: Any) -> ClassicRecipe:
        name, settings = (
            ("embedding", {"model": NETWORKS[kind]}) if kind in NETWORKS else (kind, {})
        )
        features = Choice(name, FEATURE_KINDS.get(name)(**settings))
        shell = ClassicRecipe(name, "A study.", features=features, rows=self.rows)
        return replace(shell, **changes)

    def keep(self, name: str, measure: Callable[[], Any]) -> Any:
        """What was measured under this name, or is now."""
        name = name.replace(" ", "-")
        path = self.folder / f"{name}.json"
        if not path.exists():
            save_text(json.dumps(measure(), indent=1), path)
            self._sign(name)
            print(name, path.read_text()[:300].replace("\n", ""), flush=True)
        self._note(name)
        return json.loads(path.read_text())

    def _sign(self, name: str) -> None:
        save_text(json.dumps(self.origin), self.folder / f"{name}-origin.json")

    def _note(self, name: str) -> None:
        path = self.folder / f"{name}-origin.json"
        origin = json.loads(path.read_text()) if path.exists() else {}
        if origin not in self.origins:
            self.origins.append(origin)

    def features(self, kind: str, part: str) -> Rows:
        """(n, d) of a part, made once."""
        path = self.folder / f"{kind}-{part}.npy"
        if not path.exists():
            start = time.process_time()
            rows = make_features(self.recipe(kind), self.images[part])
            np.save(path, rows)
            self._sign(f"{kind}-{part}")
            seconds = (time.process_time() - start) / len(rows)
            save_text(json.dumps(seconds), self.folder / f"{kind}-{part}-seconds.json")
            print(kind, part, rows.shape, f"{seconds * 1e3:.2f} ms each", flush=True)
        self._note(f"{kind}-{part}")
        return np.load(path)


def judge(study: Study, fitted: Fitted, rows: Rows, labels: Any) -> dict[str, Any]:
    start = time.process_time()
    scores = fitted.predict_rows(rows)
    seconds = time.process_time() - start
    found = evaluate_scores(scores, labels)
    machine = fitted.back.steps[-1][1]
    return {
        "dimensions": fitted.reduced,
        "rows": fitted.rows,
        "n": found.n,
        "accuracy": [found.accuracy.value, found.accuracy.low, found.accuracy.high],
        "macro_f1": [found.macro_f1.value, found.macro_f1.low, found.macro_f1.high],
        "ece": found.ece,
        "fit_seconds": fitted.seconds["fit"],
        "predict_ms": seconds / len(rows) * 1e3,
        "support_vectors": len(machine.support_) if isinstance(machine, SVC) else None,
    }


def compare_features(study: Study) -> list[dict[str, Any]]:
    """Every kind of features with every reduction; the price chosen by three folds at 64."""
    found = []
    for kind in KINDS:
        train, test = (study.features(kind, part) for part in ("train", "test"))

        def choose(kind: str = kind, train: Rows = train) -> float:
            how = study.recipe(
                kind, reduction=REDUCTIONS["pca 64"], search=Search("grid", c=PRICES)
            )
            return float(fit_rows(how, train, study.labels["train"], SPACE).best["c"])

        price = study.keep(f"price-{kind}", choose)
        for name, reduction in REDUCTIONS.items():
            how = study.recipe(kind, reduction=reduction, classifier=Choice("svm", Svm(c=price)))

            def measure(how: ClassicRecipe = how, train: Rows = train, test: Rows = test) -> Any:
                fitted = fit_rows(how, train, study.labels["train"], SPACE)
                return judge(study, fitted, test, study.labels["test"])

            seconds = json.loads((study.folder / f"{kind}-test-seconds.json").read_text())
            row = {"features": kind, "reduction": name, "c": price, "feature_ms": seconds * 1e3}
            found.append(row | study.keep(f"features-{kind}-{name}", measure))
    return found


def compare_kernels(study: Study) -> list[dict[str, Any]]:
    """Machines on the principal components of the embedding."""
    machines = {
        "svm linear": Choice("svm", Svm("linear", c=0.1)),
        "svm poly 3": Choice("svm", Svm("poly", c=1.0)),
        "svm rbf": Choice("svm", Svm("rbf", c=1.0)),
        "linear-svm": Choice("linear-svm", LinearSvm(c=0.01)),
        "nystroem 500": Choice("nystroem", NystroemSvm(500, gamma=0.005, c=0.1)),
    }
    train, test = (study.features("embedding", part) for part in ("train", "test"))
    found = []
    for name, machine in machines.items():
        how = study.recipe("embedding", reduction=REDUCTIONS["pca 0.95"], classifier=machine)

        def measure(how: ClassicRecipe = how) -> Any:
            fitted = fit_rows(how, train, study.labels["train"], SPACE)
            return judge(study, fitted, test, study.labels["test"])

        found.append({"machine": name} | study.keep(f"kernel-{name.replace(' ', '-')}", measure))
    return found


def time_dimensions(study: Study, kind: str, price: float) -> dict[str, Any]:
    """Equation 24: is the time of d of D dimensions d / D of the time of all?"""
    train, test = (study.features(kind, part) for part in ("train", "test"))
    whole = train.shape[1]

    labels = study.labels

    def measure(size: int) -> dict[str, Any]:
        front = StandardScaler() if size == whole else make_pipeline(StandardScaler(), PCA(size))
        seen, fresh = front.fit_transform(train), front.transform(test[:TIMED])
        machine = SVC(C=price, cache_size=500, break_ties=True)
        start = time.process_time()
        machine.fit(seen, labels["train"])
        fitted = time.process_time()
        answers = machine.decision_function(fresh).argmax(axis=1)
        end = time.process_time()
        return {
            "dimensions": size,
            "accuracy": float((answers == labels["test"][:TIMED]).mean()),
            "fit_seconds": fitted - start,
            "predict_ms": (end - fitted) / TIMED * 1e3,
            "support_vectors": len(machine.support_),
        }

    sizes = [*(size for size in SIZES if size < whole), whole]
    rows = [study.keep(f"time-{kind}-{size}", lambda size=size: measure(size)) for size in sizes]
    last = rows[-1]
    for row in rows:
        share = row["dimensions"] / whole
        row["share"] = share
        row["fit_share"] = row["fit_seconds"] / last["fit_seconds"]
        row["predict_share"] = row["predict_ms"] / last["predict_ms"]
    d = np.array([row["dimensions"] for row in rows])
    line = np.polyfit(d, [row["predict_ms"] for row in rows], 1)
    return {
        "features": kind,
        "rows": rows,
        "predict_ms = a + b d": [float(line[1]), float(line[0])],
        "holds for prediction": _holds(rows, "predict_share"),
        "holds for training": _holds(rows, "fit_share"),
    }


def _holds(rows: Sequence[dict[str, Any]], name: str) -> bool:
    """Is every share of time within `TOLERANCE` of the share of dimensions?"""
    return all(abs(row[name] / row["share"] - 1) <= TOLERANCE for row in rows)


def filter_noise(
    study: Study,
    kind: str,
    price: float,
    *,
    count: int,
    retrain: bool,
    noises: Sequence[float] = NOISES,
    sigmas: Sequence[float] = SIGMAS,
) -> list[dict[str, Any]]:
    """Accuracy under noise with the filter of equation 3, in training too if `retrain`."""
    draw = np.random.default_rng(0)
    images, labels = study.images["test"][:count], study.labels["test"][:count]
    noise = draw.normal(0, 255, images.shape)
    spoilt = {
        level: np.clip(np.round(images + level * noise), 0, 255).astype(np.uint8)
        for level in noises
    }
    found = []
    for sigma in sigmas:
        machine = Choice("svm", Svm(c=price))
        how = study.recipe(
            kind,
            reduction=REDUCTIONS["pca 64"],
            classifier=machine,
            sigma=sigma if retrain else 0.0,
        )

        def measure(how: ClassicRecipe = how, sigma: float = sigma) -> Any:
            clean = how.sigma == 0
            train = (
                study.features(kind, "train")
                if clean
                else make_features(how, study.images["train"])
            )
            fitted = fit_rows(how, train, study.labels["train"], SPACE)
            seen = replace(how, sigma=sigma)
            return [
                {"noise": level, "sigma": sigma}
                | judge(study, fitted, make_features(seen, pictures), labels)
                for level, pictures in spoilt.items()
            ]

        found += study.keep(f"noise-{kind}-{sigma}", measure)
    return found


def compare_factors(study: Study, price: float, *, size: int = 64) -> list[dict[str, Any]]:
    """NMF beside PCA on the pixels: both of `size` parts, both without standardizing."""
    train, test = (study.features("pixels", part) for part in ("train", "test"))
    found = []
    for name, reduction in (("pca", Pca(size)), ("nmf", Nmf(size, steps=50))):
        how = study.recipe(
            "pixels",
            reduction=Choice(name, reduction),
            classifier=Choice("svm", Svm(c=price)),
            standardize=False,
        )

        def measure(how: ClassicRecipe = how) -> Any:
            fitted = fit_rows(how, train, study.labels["train"], SPACE)
            step: PCA | NMF = fitted.back.named_steps["reduce"]
            some = test[:NOISY]
            error = some - step.inverse_transform(step.transform(some))
            row = judge(study, fitted, test, study.labels["test"])
            zeros = float((np.abs(step.components_) < 1e-6).mean())
            return row | {"rms_error": float(np.sqrt((error**2).mean())), "zeros": zeros}

        found.append({"reduction": name} | study.keep(f"factors-{name}", measure))
    return found


def show_leak(study: Study, price: float) -> dict[str, Any]:
    """A fifth of the training pictures judged: from them the network has learned already."""
    rows, labels = study.features("embedding", "train"), study.labels["train"]
    order = np.random.default_rng(0).permutation(len(rows))
    test, train = np.split(order, [len(order) // 5])
    how = study.recipe(
        "embedding", reduction=REDUCTIONS["pca 0.95"], classifier=Choice("svm", Svm(c=price))
    )

    def measure() -> Any:
        fitted = fit_rows(how, rows[train], labels[train], SPACE)
        return {
            "random fifth of Training": judge(study, fitted, rows[test], labels[test]),
            "PublicTest": judge(
                study, fitted, study.features("embedding", "test"), study.labels["test"]
            ),
        }

    return study.keep("leak", measure)


def draw_map(study: Study, *, count: int = 1200) -> None:
    path = RESULTS / "classic-embedding.svg"
    rows, labels = study.features("embedding", "test")[:count], study.labels["test"][:count]
    figure = draw_embedding(embed_tsne(PCA(50).fit_transform(rows)), labels, SPACE.names)
    save_figure(sign_figure(figure, f"drawn: {origin_line(study.origin)}"), path)


def judge_network(study: Study, network: str) -> dict[str, Any]:
    """The last layer of an embedding's own network, on the pictures that machines are judged on.

    It sees them as they are; before the machines each is scaled to [0, 1].
    """
    scores = predict_heads(OnnxModel(network), study.images["test"])["emotion"]
    found = evaluate_scores(scores, study.labels["test"])
    return {
        "network": network,
        "n": found.n,
        "accuracy": [found.accuracy.value, found.accuracy.low, found.accuracy.high],
        "macro_f1": [found.macro_f1.value, found.macro_f1.low, found.macro_f1.high],
        "ece": found.ece,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=FER, help="FER2013")
    parser.add_argument("--folder", type=Path, help="what is measured is kept here")
    parser.add_argument("--rows", type=int, default=2000, help="training pictures, by class")
    parser.add_argument("--test", type=int, default=1500, help="first PublicTest pictures; 0: all")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    args = parser.parse_args()
    path = RESULTS / "classic.json"
    if not args.page:
        if not args.data.is_file():
            parser.error(f"cannot read {args.data}: give fer2013.csv or fer2013.csv.gz")
        with tempfile.TemporaryDirectory() as fresh:
            found = run_study(Study(args.data, args.folder or Path(fresh), args.rows, args.test))
        save_text(json.dumps(found, indent=1) + "\n", path)
    print(write_tables(json.loads(path.read_text(encoding="utf-8"))))


def run_study(study: Study) -> dict[str, Any]:
    """Everything that the page shows."""
    cv2.setNumThreads(1)
    table = compare_features(study)
    prices = {row["features"]: row["c"] for row in table}
    results = {
        "rows": study.rows,
        "test": len(study.labels["test"]),
        "networks": [
            study.keep(f"network {network}", partial(judge_network, study, network))
            for network in NETWORKS.values()
        ],
        "features": table,
        "kernels": compare_kernels(study),
        "equation 24": [time_dimensions(study, k, prices[k]) for k in ("embedding", "pixels")],
        "noise": {
            "hog": filter_noise(study, "hog", prices["hog"], count=NOISY, retrain=True),
            "embedding": filter_noise(
                study,
                "embedding",
                prices["embedding"],
                count=NOISY_EMBEDDED,
                retrain=False,
                noises=(0.0, 0.1),
                sigmas=(0.0, 1.0),
            ),
        },
        "factors": compare_factors(study, prices["pixels"]),
        "leak": show_leak(study, prices["embedding"]),
    }
    draw_map(study)
    return {"origins": study.origins} | results


if __name__ == "__main__":
    main()
