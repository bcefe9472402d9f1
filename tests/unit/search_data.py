"""A data set and a recipe that train in a second, for the tests of search and cross-validation."""

import csv
import gzip
from pathlib import Path

import numpy as np
from builders import SPEC_TOML
from data_files import pictures

PARTS = {"Training": 40, "PublicTest": 12, "PrivateTest": 8}

TOML = f"""
name = "tiny"
summary = "A recipe for tests."
heads = {{ emotion = 1.0 }}
flip = false
{SPEC_TOML}[network]
widths = [8, 8, 8, 8]
blocks = 1
stem = 4
[schedule]
sides = [[3, 48]]
batch = 8
[rate]
kind = "constant"
lr = 3e-3
"""


def write_stripes(folder: Path) -> Path:
    """60 rows of two classes that differ in their stripes, 30 of each, as FER2013's CSV."""
    usage = [part for part, n in PARTS.items() for _ in range(n)]
    labels = np.arange(len(usage)) % 2
    stripes = 255 * (np.arange(48) // 6 % 2)
    images = 0.5 * pictures(len(usage), seed=1) + 0.5 * stripes * labels[:, None, None]
    with gzip.open(folder / "stripes.csv.gz", "wt", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("emotion", "pixels", "Usage"))
        for label, image, part in zip(labels, images.astype(np.uint8), usage, strict=True):
            writer.writerow((label, " ".join(map(str, image.ravel())), part))
    return folder / "stripes.csv.gz"


def write_recipe(folder: Path, text: str = TOML) -> Path:
    """The tiny recipe as a file."""
    (folder / "tiny.toml").write_text(text)
    return folder / "tiny.toml"
