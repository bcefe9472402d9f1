"""Posts from tables: CSV, TSV, Excel and JSON lines, as Moodle and spreadsheets give them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.room.writing.message import EMPTY, Message, Messages, plain_text
from classpulse.room.writing.moodle import find_answers, read_answers
from classpulse.room.writing.times import Moment, parse_time_at
from classpulse.text.heads import DELIMITERS, head_text, header_fields, read_head
from classpulse.text.tables import Table, load_excel_header, load_json_lines, load_table, load_text

NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "message", "post", "comment", "feedback", "answer", "response", "content",
             "body", "utterance", "chat message"),
    "author": ("author", "userfullname", "user full name", "full name", "speaker", "user",
               "username", "sender", "from", "student", "name", "userid", "author_id"),
    "time": ("time", "created", "timestamp", "t", "date", "start", "t0", "created_at", "sent",
             "timecreated"),
}  # fmt: skip
"""What a column is for -> header names that are taken for it, in this order, any capitals."""


def read_table(path: Path, columns: Mapping[str, str]) -> Messages:
    """Messages of a table with a header; of JSON lines, one object a line.

    Args:
        columns: ``text``, ``author`` or ``time`` -> the header of that column, where it is none of
            `NAMES`.

    Raises:
        InputError: as `text.tables.load_table`; no column has texts, a chosen one is not there, or
            a time is none (the line is named); as `moodle.find_answers`.
        MissingExtraError: Excel files need the extra `lab`.
    """
    header, delimiter = _header(path)
    _check_columns(path, header, columns)
    answers = find_answers(path, header, columns)
    if answers is not None:
        return read_answers(_load(path, answers.columns, delimiter), answers)
    chosen = _choose(path, header, columns)
    return _messages(_load(path, tuple(dict.fromkeys(chosen.values())), delimiter), chosen)


def _load(path: Path, columns: Sequence[str], delimiter: str) -> Table:
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return load_json_lines(path, columns=columns)
    return load_table(path, columns=columns, delimiter=delimiter)


def _header(path: Path) -> tuple[list[str], str]:
    if path.suffix.lower() == ".xlsx":
        return load_excel_header(path), ","
    head = head_text(read_head(path))
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _keys(head if "\n" in head else load_text(path), path), ","
    found = [header_fields(head, delimiter) for delimiter in DELIMITERS]
    most = max(range(len(DELIMITERS)), key=lambda i: len(found[i]))
    if any("\ufffd" in name for name in found[most]):
        load_text(path)  # says which byte is no UTF-8
    return found[most], DELIMITERS[most]


def _keys(head: str, path: Path) -> list[str]:
    import json

    first = next((line for line in head.splitlines() if line.strip()), "")
    try:
        item = json.loads(first)
    except ValueError as error:
        raise InputError(f"{path}, line 1: not JSON ({error}); give one object a line") from None
    if not isinstance(item, dict):
        raise InputError(f"{path}, line 1: needs a JSON object with a key 'text'")
    return list(item)


def _check_columns(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> None:
    unknown = [use for use in columns if use not in NAMES]
    if unknown:
        raise InputError(f"a column is for {', '.join(NAMES)}, not for {', '.join(unknown)}")
    absent = [name for name in columns.values() if name not in header]
    if absent:
        raise InputError(
            f"{path} has no column {', '.join(absent)}; its columns are: {', '.join(header)}"
        )


def _choose(path: Path, header: Sequence[str], columns: Mapping[str, str]) -> dict[str, str]:
    plain = {name.casefold(): name for name in reversed(header)}
    chosen = {
        use: columns.get(use) or next((plain[n] for n in names if n in plain), "")
        for use, names in NAMES.items()
    }
    if not chosen["text"]:
        raise InputError(
            f"{path}: which column has the texts? Its columns are: {', '.join(header)}; name it "
            f"with --columns text=NAME, or call it {', '.join(NAMES['text'][:4])}"
        )
    return {use: name for use, name in chosen.items() if name}


def _messages(table: Table, chosen: Mapping[str, str]) -> Messages:
    found: list[Message] = []
    left_out: Counter[str] = Counter()
    for i, line in enumerate(table.line):
        cells = {use: table.columns[name][i] for use, name in chosen.items()}
        text = plain_text(cells["text"])
        if not text:
            left_out[EMPTY] += 1
            continue
        author = cells.get("author", "").strip() or None
        found.append(Message(line, text, author, _moment(cells.get("time"), table.path, line)))
    return Messages(tuple(found), left_out)


def _moment(text: str | None, path: Path, line: int) -> Moment | None:
    if text is None:
        return None
    if not text.strip():
        raise InputError(f"{path}, line {line}: the time is empty; fill it in or remove the row")
    return parse_time_at(text, path, line)
