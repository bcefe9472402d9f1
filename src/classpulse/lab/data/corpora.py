"""Every text corpus that can be read, behind one call: by name, or found by its header."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.data.cache import hash_source
from classpulse.lab.data.text_readers import (
    load_goemotions,
    load_iemocap,
    load_isear,
    load_labelled_texts,
    load_meld,
)
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.text.heads import DELIMITERS, head_text, header_fields, read_head

AnyTexts = TextSet | MultiTextSet
TextParts = dict[str, AnyTexts]
"""Part -> its texts; a corpus in one file is one part without a name."""

GOEMOTIONS_PARTS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Corpus:
    """One form in which labelled texts come.

    Args:
        summary: what it is and who published it, for `classpulse data ls`.
        columns: by which its header is known; none where there is no header.
        load: path -> its parts.
    """

    summary: str
    columns: tuple[str, ...]
    load: Callable[[Path], TextParts]


CORPORA: Registry[Corpus] = Registry("text corpus")


def load_parts(path: Path, corpus: str) -> TextParts:
    """The texts of a corpus in `CORPORA`, part by part.

    Raises:
        InputError: nothing there, an unknown corpus, or a malformed row (the line is named).
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: give a file with labelled texts")
    return CORPORA.get(corpus).load(path)


def load_texts(path: Path, corpus: str) -> AnyTexts:
    """The texts of one corpus file.

    Raises:
        InputError: as `load_parts`, or the path holds several parts.
    """
    parts = load_parts(path, corpus)
    if list(parts) != [""]:
        raise InputError(f"{path} has the parts {', '.join(parts)}: give the file of one")
    return parts[""]


def hash_texts(path: Path) -> str:
    """SHA-256 of a corpus, as `hash_source`; of a GoEmotions folder, of its parts alone."""
    return hash_source(path, files=goemotions_files(path) if path.is_dir() else None)


def goemotions_files(folder: Path) -> list[Path]:
    """The parts of GoEmotions that a folder holds, in the order train, dev, test."""
    files = [folder / f"{part}.tsv" for part in GOEMOTIONS_PARTS]
    return [file for file in files if file.is_file()]


def _goemotions(path: Path) -> TextParts:
    if not path.is_dir():
        return {"": load_goemotions(path)}
    found = {file.stem: load_goemotions(file) for file in goemotions_files(path)}
    if not found:
        raise InputError(f"{path} has none of {', '.join(GOEMOTIONS_PARTS)} as .tsv")
    return dict(found)


def find_corpus(columns: Sequence[str]) -> str | None:
    """The first corpus in `CORPORA` whose columns are all there."""
    for name in CORPORA:
        needs = CORPORA.get(name).columns
        if needs and set(needs) <= set(columns):
            return name
    return None


def _delimited(path: Path) -> TextParts:
    """With the delimiter by which the first line has a text and a label."""
    head = head_text(read_head(path))
    found = [d for d in DELIMITERS if find_corpus(header_fields(head, d))]
    return {"": load_labelled_texts(path, delimiter=[*found, DELIMITERS[0]][0])}


CORPORA.register("isear")(
    Corpus(
        "ISEAR self-reports (Scherer & Wallbott 1994), .xlsx or CSV: SIT and Field1",
        ("SIT", "Field1"),
        lambda path: {"": load_isear(path)},
    )
)
CORPORA.register("meld")(
    Corpus(
        "MELD dialogue lines (Poria et al. 2019), CSV: Utterance and Emotion",
        ("Utterance", "Emotion"),
        lambda path: {"": load_meld(path)},
    )
)
CORPORA.register("iemocap")(
    Corpus(
        "IEMOCAP lines as the thesis filtered them, CSV: Texto and Emoción",
        ("Texto", "Emoción"),
        lambda path: {"": load_iemocap(path)},
    )
)
CORPORA.register("goemotions")(
    Corpus(
        "GoEmotions (Demszky et al. 2020), .tsv without a header, or the folder of its parts",
        (),
        _goemotions,
    )
)
CORPORA.register("texts")(
    Corpus("any CSV, TSV, .xlsx or JSON lines with text and label", ("text", "label"), _delimited)
)
