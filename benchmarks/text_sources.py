"""Write docs/text-sources.md: what the corpus of a text gives away of its emotion.

python benchmarks/text_sources.py ../shared/data/text

The folder has ISEAR.xlsx, meld_train.csv, IEMOCAP.csv and goemotions/. Takes a minute on one core.
"""

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from sklearn.pipeline import Pipeline

from classpulse.core.card import Metric
from classpulse.core.files import save_text
from classpulse.core.labels import TEXT_7
from classpulse.core.records import Interval
from classpulse.lab.commit import source_commit
from classpulse.lab.data.corpora import load_parts
from classpulse.lab.data.source_balance import count_corpora
from classpulse.lab.data.splits import SEED
from classpulse.lab.data.texts import TextSet
from classpulse.lab.text.baseline import Tfidf, fit_tfidf
from classpulse.lab.text.compose import COMPOSITIONS, Parts, source_balanced
from classpulse.lab.text.judge import judge_labels
from classpulse.lab.text.shortcut import Shortcut, measure_shortcut
from classpulse.lab.text.sources import name_corpora
from classpulse.text.encode import find_cleaner

PAGE = Path(__file__).parents[1] / "docs" / "text-sources.md"
FILES = {
    "isear": "ISEAR.xlsx",
    "meld": "meld_train.csv",
    "iemocap": "IEMOCAP.csv",
    "goemotions": "goemotions",
}
SETS = ("seven", "seven-from-three", "seven-source-balanced")
CLEAN = find_cleaner("clean-1")
HEAD = "text-7"
BALANCED = "seven-source-balanced"
CROSSED = ("seven", BALANCED)

INTRO = """# What the corpus of a text gives away

Written by `python benchmarks/text_sources.py FOLDER`; do not edit. {made}.

In the thesis' seven emotions (`seven`) neutral and surprise are lines of MELD, the other five are
reports of ISEAR, so a model can tell the corpora apart instead of the emotions. In
`seven-source-balanced` every class has the same shares of MELD and of GoEmotions (Ekman's grouping,
texts with one label), every text stands once, and texts with several labels are left out: the
corpus says nothing there. ISEAR has no neutral and no surprise and cannot be part of it.
`seven-from-three` is the thesis' set with 216 lines of MELD in each of the five as well.

Everything is learned from the training part and measured on the validation part: accuracy with 95 %
intervals (bootstrap over texts). The model is TF-IDF of words and pairs of words with logistic
regression.

## The corpus alone

*corpus told*: how often the words tell the corpus. Then the accuracy of three guesses at the class
that know nothing of emotions: always the most frequent class; the most frequent of the text's
corpus; the most frequent of the corpus that the words tell.

| set | n | corpora | corpus told | one class | from the corpus | from the corpus told |
|---|---:|---|---|---|---|---|
"""
CLASSES = """
## The class

The same model, asked for the class. The last rows are measured on the texts of the balanced
validation part that neither model has learned from, equally many of each class of each corpus.

| trained on -> measured on | n | accuracy | macro F1 |
|---|---:|---|---|
"""
OUTRO = """
Not all of the difference between the sets is the shortcut: lines of MELD and comments of GoEmotions
are shorter than the reports of ISEAR, have been labelled by others than those who felt something,
and the balanced set has {train:,} training texts where `seven` has {thesis:,}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    loaded = {name: load_parts(folder / file, name) for name, file in FILES.items()}
    whole = name_corpora(loaded)
    sets = {name: COMPOSITIONS.get(name).split(whole, TEXT_7, SEED) for name in SETS}
    shortcuts = {
        name: measure_shortcut(parts["train"], parts["valid"], clean=CLEAN, how=Tfidf())
        for name, parts in sets.items()
    }
    save_text(page(sets, shortcuts, measure_classes(sets)), PAGE)
    print(PAGE)


def measure_classes(sets: Mapping[str, Parts]) -> dict[str, list[Metric]]:
    """Training set and judged set -> accuracy, macro F1, and the accuracy on each corpus."""
    models = {name: fit(parts["train"]) for name, parts in sets.items()}
    found = {f"`{name}` -> its own": judge(models[name], sets[name]["valid"]) for name in sets}
    # what neither has learned from: of MELD the thesis' set has learned neutral and surprise
    learned = [text for name in CROSSED for text in sets[name]["train"].texts]
    beside = source_balanced(sets[BALANCED]["valid"], learned)
    crossed = {f"`{name}` -> `{BALANCED}`": judge(models[name], beside) for name in CROSSED}
    return found | crossed


def fit(train: TextSet) -> Pipeline:
    """The baseline, asked for the class."""
    return fit_tfidf(Tfidf(), [CLEAN(text) for text in train.texts], train.labels, seed=SEED)


def judge(model: Pipeline, texts: TextSet) -> list[Metric]:
    """Its numbers on a set, and the accuracy on each of several corpora."""
    return judge_labels(HEAD, texts, model.predict([CLEAN(text) for text in texts.texts]))


def page(
    sets: Mapping[str, Parts],
    shortcuts: Mapping[str, Shortcut],
    classes: Mapping[str, list[Metric]],
) -> str:
    """The whole page."""
    made = f"{datetime.now(UTC):%Y-%m-%d}, commit {source_commit()}"
    sizes = {name: len(parts["train"]) for name, parts in sets.items()}
    return "".join(
        [
            INTRO.format(made=made),
            *(shortcut_row(name, sets[name]["valid"], one) for name, one in shortcuts.items()),
            CLASSES,
            *(row for name, metrics in classes.items() for row in class_rows(name, metrics)),
            OUTRO.format(train=sizes[BALANCED], thesis=sizes["seven"]),
        ]
    )


def shortcut_row(name: str, texts: TextSet, one: Shortcut) -> str:
    """A set: its corpora with their rows, and what they give away."""
    corpora = ", ".join(f"{k} {n.sum():,}" for k, n in count_corpora(texts).items())
    shown = (show(v) for v in (one.corpus, one.largest, one.by_corpus, one.by_words))
    return f"| `{name}` | {one.n:,} | {corpora} | " + " | ".join(shown) + " |\n"


def class_rows(name: str, metrics: list[Metric]) -> list[str]:
    """The whole set, then each of its corpora."""
    accuracy, macro_f1, *apart = metrics
    rows = [f"| {name} | {accuracy.n:,} | {show(accuracy)} | {show(macro_f1)} |\n"]
    return rows + [
        f"| {name}, {one.data.rpartition(', ')[2]} | {one.n:,} | {show(one)} | |\n" for one in apart
    ]


def show(found: Interval | Metric) -> str:
    """``.698 [.683, .713]``."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


if __name__ == "__main__":
    main()
