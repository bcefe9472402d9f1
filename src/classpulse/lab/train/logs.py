"""The logs of a run: `log.jsonl`, the same as `log.csv`, and TensorBoard's events on request.

The truth is the history in the checkpoint. Both files are written whole from it after every epoch
and again when a run goes on, so a kill at any point leaves no row missing, doubled or ahead.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError, MissingExtraError
from classpulse.core.files import make_folder, save_text
from classpulse.lab.train.epoch import Numbers

LOG, TABLE, EVENTS = "log.jsonl", "log.csv", "tensorboard"
PLAIN = ("number", "side", "loss", "lr", "seconds", "val_loss")
BY_HEAD = ("accuracy", "macro_f1")
NEEDED = ("number", "side", "loss", "accuracy")

Row = dict[str, Any]
"""An epoch: number, side (pixels), loss, lr, seconds, val_loss; accuracy and macro_f1 by head;
of a parallel training, its costs as `parallel`."""


def log_row(numbers: Numbers, heads: Sequence[str]) -> Row:
    """The row of an epoch whose metrics come from `run.build_validation`."""
    metrics = numbers["metrics"]
    row = {name: numbers[name] for name in PLAIN[:-1]}
    costs = {"parallel": numbers["costs"]} if "costs" in numbers else {}
    return (
        row
        | costs
        | {
            "accuracy": {head: metrics[head] for head in heads},
            "macro_f1": {head: metrics[f"{head}_macro_f1"] for head in heads},
            "val_loss": metrics["val_loss"],
        }
    )


def read_log(path: Path) -> list[Row]:
    """The rows of a `log.jsonl`, in order; a last line cut off by a kill is left out.

    Rows that older versions wrote may have no `val_loss` or `macro_f1`.

    Raises:
        InputError: there is no such file, or a line of it is no row.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read the log {path} ({getattr(error, 'strerror', None) or 'not text'}): a run "
            f"writes it after its first epoch, as {LOG} in its folder"
        ) from None
    lines = text.splitlines()
    rows = []
    for i, line in enumerate(lines, start=1):
        row = _parse_row(line)
        if row is not None:
            rows.append(row)
        elif i < len(lines) or text.endswith("\n"):
            raise InputError(f"{path}, line {i}: no row of a log, which has {', '.join(NEEDED)}")
    return rows


def _parse_row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    fits = isinstance(row, dict) and all(name in row for name in NEEDED)
    return row if fits and isinstance(row["accuracy"], dict) else None


def save_log(rows: Sequence[Row], path: Path) -> Path:
    """Write rows as `.jsonl`, or as `.csv` with a column for each head and metric.

    Raises:
        InputError: another ending.
        OutputError: it cannot be written.
    """
    if path.suffix not in (".jsonl", ".csv"):
        raise InputError(f"a log is written as .jsonl or .csv, not '{path.name}'")
    make_folder(path.parent)
    save_text(_as_csv(rows) if path.suffix == ".csv" else _as_jsonl(rows), path)
    return path


def _as_jsonl(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _as_csv(rows: Sequence[Row]) -> str:
    """Numbers in full length; empty where an older version did not write one."""
    heads = list(rows[-1]["accuracy"]) if rows else []
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*PLAIN, *(f"{head}_{metric}" for head in heads for metric in BY_HEAD)])
    for row in rows:
        shares = (row.get(metric, {}).get(head) for head in heads for metric in BY_HEAD)
        writer.writerow([*(row.get(name) for name in PLAIN), *shares])
    return stream.getvalue()


def merge_rows(logged: Sequence[Row], kept: Sequence[Row], *, until: int) -> list[Row]:
    """One row for each epoch up to `until`, by number; the checkpoint's rows count more.

    Args:
        logged: of the log file, which may be behind or ahead of the checkpoint.
        kept: of the checkpoint; none of the epochs that an older version trained.
        until: epoch of the checkpoint.
    """
    rows = {row["number"]: row for row in (*logged, *kept)}
    return [rows[number] for number in sorted(rows) if number <= until]


def best_epoch(rows: Sequence[Row], *, head: str, side: int) -> int:
    """Number of the first epoch with the highest accuracy of `head` at full side; 0 if none."""
    full = [row for row in rows if row["side"] == side]
    return max(full, key=lambda row: row["accuracy"][head])["number"] if full else 0


class RunLog:
    """The logs in the folder of a run; use `open_log`.

    Attributes:
        rows: of all finished epochs.
    """

    def __init__(self, out: Path, events: Any) -> None:
        self.rows: list[Row] = []
        self._out, self._events = out, events
        self._saved = 0  # rows that are in both files

    def begin(self, rows: Sequence[Row]) -> None:
        """Start with the rows of a run that goes on."""
        self.rows = list(rows)
        self._save()
        for row in rows:
            self._add_events(row)

    def append(self, row: Row) -> None:
        """One more epoch."""
        self.rows.append(row)
        self._save()
        self._add_events(row)

    def finish(self) -> None:
        """Write what an interrupt kept from one of the two files."""
        if self._saved != len(self.rows):
            self._save()

    def _save(self) -> None:
        for name in (LOG, TABLE):
            save_log(self.rows, self._out / name)
        self._saved = len(self.rows)

    def _add_events(self, row: Row) -> None:
        if self._events is None:
            return
        for tag, value in _scalars(row).items():
            self._events.add_scalar(tag, value, row["number"])
        self._events.flush()


@contextmanager
def open_log(out: Path, *, tensorboard: bool = False) -> Iterator[RunLog]:
    """The logs of the run in `out`.

    Args:
        tensorboard: also write events to `out/tensorboard`. Those of an interrupted run are
            replaced by one file with all epochs: a reader would show lost epochs twice.

    Raises:
        MissingExtraError: there is no tensorboard.
    """
    if not tensorboard:
        with _finished(RunLog(out, None)) as log:
            yield log
        return
    try:  # seconds of import, so only when asked
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("--tensorboard", "lab") from None
    for old in (out / EVENTS).glob("events.out.tfevents.*"):
        old.unlink()
    events = SummaryWriter(str(out / EVENTS), purge_step=0)
    try:
        with _finished(RunLog(out, events)) as log:
            yield log
    finally:
        events.close()


@contextmanager
def _finished(log: RunLog) -> Iterator[RunLog]:
    try:
        yield log
    finally:
        log.finish()


def _scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """TensorBoard's tag -> value."""
    plain = {"loss/train": "loss", "loss/valid": "val_loss", "rate/lr": "lr"}
    plain |= {"epoch/seconds": "seconds", "epoch/side": "side"}
    found = {tag: row[name] for tag, name in plain.items() if name in row}
    return found | {
        f"{metric}/{head}": value
        for metric in BY_HEAD
        for head, value in row.get(metric, {}).items()
    }
