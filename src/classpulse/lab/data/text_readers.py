"""Readers of the text corpora in the form in which their authors publish them.

All give the texts as they stand in the file; the steps of the thesis are `clean_texts`'.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import GOEMOTIONS_28, ISEAR_7, MELD_7, TEXT_7, LabelSpace
from classpulse.lab.data.texts import MultiTextSet, TextSet
from classpulse.text.tables import Table, load_json_lines, load_table

_ISEAR_TYPOS = {"guit": "guilt"}  # stands in the original file (seed-thesis D.1)
_NUMBERS = frozenset(map(str, range(len(GOEMOTIONS_28))))


def load_isear(path: Path, *, delimiter: str = ",", encoding: str | None = None) -> TextSet:
    """ISEAR self-reports (Scherer & Wallbott 1994), Excel or CSV: columns SIT and Field1.

    Raises:
        InputError: as `load_table`; an empty text or an unknown emotion (the line is named).
    """
    table = load_table(path, columns=("SIT", "Field1"), delimiter=delimiter, encoding=encoding)
    return _labelled(table, ISEAR_7, "isear", also=_ISEAR_TYPOS)


def load_meld(path: Path, *, encoding: str | None = None) -> TextSet:
    """MELD dialogue lines (Poria et al. 2019), CSV: columns Utterance and Emotion.

    Raises:
        InputError: as `load_isear`.
    """
    table = load_table(path, columns=("Utterance", "Emotion"), encoding=encoding)
    return _labelled(table, MELD_7, "meld")


def load_iemocap(path: Path, *, encoding: str | None = None) -> TextSet:
    """IEMOCAP lines as the thesis filtered them, CSV: columns Texto and Emoción.

    Raises:
        InputError: as `load_isear`.
    """
    table = load_table(path, columns=("Texto", "Emoción"), encoding=encoding)
    return _labelled(table, TEXT_7, "iemocap")


def load_goemotions(path: Path) -> MultiTextSet:
    """GoEmotions (Demszky et al. 2020), TSV without a header: text, comma-joined label numbers, id.

    Returns:
        Every text with its (n, 28) targets; `.single()` keeps those with one label.

    Raises:
        InputError: as `load_table`; an empty text, no label, one that is not 0..27 or is repeated.
    """
    table = load_table(
        path, columns=("text", "labels", "id"), delimiter="\t", quoted=False, header=False
    )
    targets = np.zeros((len(table), len(GOEMOTIONS_28)), dtype=np.uint8)
    for i, numbers in enumerate(table.columns["labels"]):
        targets[i, _label_numbers(numbers, table, i)] = 1
    rows = np.arange(len(table), dtype=np.int64)
    return MultiTextSet(_texts(table, "text"), targets, GOEMOTIONS_28, rows, "goemotions")


def load_labelled_texts(
    path: Path,
    *,
    space: LabelSpace | None = None,
    columns: tuple[str, str] = ("text", "label"),
    delimiter: str = ",",
    encoding: str | None = None,
    also: Mapping[str, str] | None = None,
    empty: bool = False,
) -> TextSet:
    """Any table of texts and labels: CSV, Excel, or JSON lines (``.jsonl``, ``.ndjson``).

    Args:
        space: what the labels must be, by name or by number; None takes the names there are, in
            alphabetical order.
        columns: the names of the text column and the label column.
        also: other words for labels of the space -> these.
        empty: take rows without a text too, instead of refusing the file.

    Raises:
        InputError: as `load_table` and `load_json_lines`; an empty text, an empty or unknown label.
        LabelError: no space was given and all labels are the same.
    """
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if suffixes & {".jsonl", ".ndjson"}:
        table = load_json_lines(path, columns=columns, encoding=encoding)
    else:
        table = load_table(path, columns=columns, delimiter=delimiter, encoding=encoding)
    source = path.name.split(".")[0]
    if space is None:
        space = _found_space(table, columns[1], source)
    words = {str(i): label for i, label in enumerate(space.names)} | dict(also or {})
    return _labelled(table, space, source, columns=columns, also=words, empty=empty)


def _found_space(table: Table, column: str, source: str) -> LabelSpace:
    values = table.columns[column]
    for i, value in enumerate(values):
        if not value.strip():
            raise InputError(f"{table.path}, line {table.line[i]}: the label is empty")
    return LabelSpace(source, tuple(sorted({value.strip() for value in values})))


def _labelled(
    table: Table,
    space: LabelSpace,
    source: str,
    *,
    columns: tuple[str, str] | None = None,
    also: Mapping[str, str] | None = None,
    empty: bool = False,
) -> TextSet:
    """Texts and labels of two columns; `also` maps other spellings to names of the space."""
    text, label = columns or tuple(table.columns)
    index = {name: i for i, name in enumerate(space.names)}
    index |= {other: index[name] for other, name in (also or {}).items() if other not in index}
    return TextSet(
        texts=table.columns[text] if empty else _texts(table, text),
        labels=np.array(
            [_index(v, index, space, table, i) for i, v in enumerate(table.columns[label])],
            dtype=np.int64,
        ),
        space=space,
        source=(source,) * len(table),
        row=np.arange(len(table), dtype=np.int64),
        name=source,
    )


def _index(value: str, index: Mapping[str, int], space: LabelSpace, table: Table, row: int) -> int:
    plain = value.strip()
    found = index.get(plain, index.get(plain.lower()))
    if found is None:
        raise InputError(
            f"{table.path}, line {table.line[row]}: label '{value}', {space.name} has: "
            f"{', '.join(space.names)}"
        )
    return found


def _texts(table: Table, column: str) -> tuple[str, ...]:
    texts = table.columns[column]
    for i, text in enumerate(texts):
        if not text.strip():
            raise InputError(
                f"{table.path}, line {table.line[i]}: {column} is empty; fill it or remove the row"
            )
    return texts


def _label_numbers(text: str, table: Table, row: int) -> list[int]:
    parts = text.split(",")
    good = all(part in _NUMBERS for part in parts)
    if not good or len(set(parts)) < len(parts):
        raise InputError(
            f"{table.path}, line {table.line[row]}: labels '{text}', needs different numbers in "
            f"0..{len(GOEMOTIONS_28) - 1}, joined by commas"
        )
    return [int(part) for part in parts]
