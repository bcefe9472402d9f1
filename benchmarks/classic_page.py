"""The tables of docs/classic.md, from results/classic.json; `python benchmarks/classic.py`."""

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import origin_line
from pages import DOCS, fill_page, table

WIDTH = 150  # of the page
Row = dict[str, Any]


def write_tables(found: Row) -> Path:
    """The page with its tables anew."""
    return fill_page(DOCS / "classic.md", found, TABLES)


def _interval(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _origin(found: Row) -> str:
    text = (
        f"`make bench` measures it (`benchmarks/classic.py`): {found['rows']:,} training pictures "
        "of FER2013 drawn by class (a tenth of them for the temperature), the first "
        f"{found['test']:,} pictures of PublicTest, processor time of one thread. Brackets are "
        "95 % intervals. C is the better of 1 and 10 in three folds. Where: "
        f"{origin_line(*found.get('origins', [{}]))}."
    )
    return textwrap.fill(text, WIDTH)


def _features(found: Row) -> str:
    head = "features | reduction | dimensions | C | accuracy | macro F1 | features ms | fit s"
    rows = [
        (
            row["features"],
            row["reduction"],
            f"{row['dimensions']:,}",
            f"{row['c']:g}",
            _interval(row["accuracy"]),
            f"{row['macro_f1'][0]:.3f}",
            f"{row['feature_ms']:.2f}",
            f"{row['fit_seconds']:.1f}",
            f"{row['predict_ms']:.2f}",
        )
        for row in found["features"]
    ]
    return table(f"{head} | predict ms", rows)


def _network(found: Row) -> str:
    own = [
        f"`{one['network']}` {_interval(one['accuracy'])} and macro F1 {one['macro_f1'][0]:.3f}"
        for one in found["networks"]
    ]
    n = found["networks"][0]["n"]
    text = f"The networks by themselves, their own softmax on the same {n:,} pictures: "
    return textwrap.fill(text + "; ".join(own) + ".", WIDTH)


def _kernels(found: Row) -> str:
    rows = [
        (
            row["machine"],
            _interval(row["accuracy"]),
            f"{row['macro_f1'][0]:.3f}",
            f"{row['ece']:.3f}",
            f"{row['fit_seconds']:.2f}",
            f"{row['predict_ms']:.3f}",
            "" if row["support_vectors"] is None else f"{row['support_vectors']:,}",
        )
        for row in found["kernels"]
    ]
    return table("machine | accuracy | macro F1 | ECE | fit s | predict ms | support vectors", rows)


def _dimensions(found: Row) -> str:
    rows = [
        (
            kind["features"],
            f"{row['dimensions']:,}",
            f"{row['share']:.3f}",
            f"{row['predict_share']:.3f}",
            f"{row['fit_share']:.3f}",
            f"{row['predict_ms']:.3f}",
            f"{row['fit_seconds']:.2f}",
            f"{row['support_vectors']:,}",
            f"{row['accuracy']:.3f}",
        )
        for kind in found["equation 24"]
        for row in kind["rows"]
    ]
    head = "features | d | d / D | predict time share | fit time share | predict ms | fit s"
    return table(f"{head} | support vectors | accuracy", rows)


def _noise(found: Row) -> str:
    rows = []
    for kind, measured in found["noise"].items():
        by_place = {(row["noise"], row["sigma"]): row["accuracy"][0] for row in measured}
        for noise in dict.fromkeys(row["noise"] for row in measured):
            cells = [by_place.get((noise, sigma)) for sigma in (0.0, 0.5, 1.0)]
            said = ["not measured" if cell is None else f"{cell:.3f}" for cell in cells]
            rows.append((kind, f"{noise:g}", *said))
    return table("features | noise | no filter | sigma 0.5 | sigma 1", rows)


def _factors(found: Row) -> str:
    rows = [
        (
            row["reduction"],
            _interval(row["accuracy"]),
            f"{row['rms_error']:.4f}",
            f"{row['zeros']:.2f}",
            f"{row['fit_seconds']:.1f}",
            f"{row['predict_ms']:.2f}",
        )
        for row in found["factors"]
    ]
    head = "reduction | accuracy | root mean square error of the picture | zeros in the parts"
    return table(f"{head} | fit s | predict ms", rows)


TABLES: dict[str, Callable[[Row], str]] = {
    "origin": _origin,
    "features": _features,
    "network": _network,
    "kernels": _kernels,
    "equation 24": _dimensions,
    "noise": _noise,
    "factors": _factors,
}
