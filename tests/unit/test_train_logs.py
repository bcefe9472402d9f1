"""The logs of a run: rows, their table, TensorBoard's events, and what a kill can do to them."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import SPEC_TOML

torch = pytest.importorskip("torch")

from classpulse.core.errors import InputError, MissingExtraError, OutputError  # noqa: E402
from classpulse.core.files import new_file  # noqa: E402
from classpulse.lab.evaluate import plots_log  # noqa: E402
from classpulse.lab.evaluate.figures import render_svg  # noqa: E402
from classpulse.lab.terminal import epoch_bar  # noqa: E402
from classpulse.lab.train import checkpoint  # noqa: E402
from classpulse.lab.train.logs import (  # noqa: E402
    best_epoch,
    log_row,
    merge_rows,
    open_log,
    read_log,
    save_log,
)

torch.set_num_threads(1)

PLAIN = ["number", "side", "loss", "lr", "seconds", "val_loss"]
OLD = {"number": 1, "side": 32, "loss": 3.4, "lr": 0.1, "seconds": 9.0, "accuracy": {"a": 0.1}}
"""As the first versions wrote it."""


def row(number: int, *, accuracy: float = 0.5, side: int = 48) -> dict[str, Any]:
    numbers = {"number": number, "side": side, "loss": 1 / 3, "lr": 1e-3, "seconds": 2.5}
    metrics = {"val_loss": 0.7, "val_accuracy": accuracy}
    for head in ("a", "b"):
        metrics |= {head: accuracy, f"{head}_macro_f1": accuracy / 2}
    return log_row(numbers | {"metrics": metrics}, ["a", "b"])


def test_a_row_has_every_head() -> None:
    assert row(3, accuracy=0.25) == {
        "number": 3,
        "side": 48,
        "loss": 1 / 3,
        "lr": 1e-3,
        "seconds": 2.5,
        "accuracy": {"a": 0.25, "b": 0.25},
        "macro_f1": {"a": 0.125, "b": 0.125},
        "val_loss": 0.7,
    }


def test_a_log_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [row(1), row(2)]
    assert read_log(save_log(rows, tmp_path / "new" / "a.jsonl")) == rows


def test_the_table_has_a_column_for_each_head_and_metric(tmp_path: Path) -> None:
    text = save_log([OLD | {"accuracy": {"a": 0.1, "b": 0.2}}, row(2)], tmp_path / "a.csv")
    lines = list(csv.reader(text.open()))
    assert lines == [
        [*PLAIN, "a_accuracy", "a_macro_f1", "b_accuracy", "b_macro_f1"],
        ["1", "32", "3.4", "0.1", "9.0", "", "0.1", "", "0.2", ""],
        ["2", "48", "0.3333333333333333", "0.001", "2.5", "0.7", "0.5", "0.25", "0.5", "0.25"],
    ]


def test_an_empty_log_has_a_table_of_plain_columns(tmp_path: Path) -> None:
    assert save_log([], tmp_path / "a.csv").read_text().startswith("number,side,")


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = save_log([OLD, row(2)], tmp_path / "log.jsonl")
    path.write_text(path.read_text()[:-30])
    assert read_log(path) == [OLD]


@pytest.mark.parametrize("line", ["{", "3", '{"number": 1}', json.dumps(OLD | {"accuracy": 1})])
def test_a_line_that_is_no_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f"{json.dumps(OLD)}\n{line}\n")
    with pytest.raises(InputError, match=r"log\.jsonl, line 2: no row of a log, which has number"):
        read_log(path)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_log_that_is_none_is_said(tmp_path: Path, content: bytes | None) -> None:
    if content:
        (tmp_path / "log.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read the log .*after its first epoch"):
        read_log(tmp_path / "log.jsonl")


def test_a_log_of_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"as \.jsonl or \.csv, not 'log\.xlsx'"):
        save_log([], tmp_path / "log.xlsx")


def test_rows_agree_with_the_checkpoint() -> None:
    """The file is a row behind or ahead, has one twice, or another number than the checkpoint."""
    logged = [OLD, row(2), row(2), row(3, accuracy=0.9), row(5)]
    kept = [row(3), row(4)]
    assert merge_rows(logged, kept, until=4) == [OLD, row(2), row(3), row(4)]


def test_the_first_of_the_best_epochs_at_full_side_is_the_best() -> None:
    rows = [row(1, accuracy=0.9, side=32), row(2, accuracy=0.4), row(3), row(4), row(5, side=32)]
    assert best_epoch(rows, head="a", side=48) == 3
    assert best_epoch(rows[:1], head="a", side=48) == 0
    assert best_epoch([row(1, accuracy=0.0)], head="a", side=48) == 1


def read_events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in tags}


def test_events_have_every_epoch_once_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with open_log(tmp_path, tensorboard=True) as log:
        log.append(row(1))
        log.append(row(2, accuracy=0.75))  # the checkpoint of this one was lost, say
    with open_log(tmp_path, tensorboard=True) as log:
        log.begin([row(1)])
        log.append(row(2))
    found = read_events(tmp_path / "tensorboard")
    assert found["accuracy/a"] == [(1, 0.5), (2, 0.5)]
    assert found["macro_f1/b"] == [(1, 0.25), (2, 0.25)]
    assert set(found) == {
        *("loss/train", "loss/valid", "rate/lr", "epoch/seconds", "epoch/side"),
        *("accuracy/a", "accuracy/b", "macro_f1/a", "macro_f1/b"),
    }


def test_without_events_tensorboard_is_not_loaded(tmp_path: Path) -> None:
    before = "tensorboard" in sys.modules
    with open_log(tmp_path) as log:
        log.append(row(1))
    assert ("tensorboard" in sys.modules) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "log.jsonl"]


def test_a_missing_tensorboard_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"--tensorboard needs the extra 'lab'"):
        open_log(tmp_path, tensorboard=True).__enter__()


# --- state on disk -------------------------------------------------------------------------------


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    checkpoint.save_state({"w": torch.ones(2)}, path)

    def fail(state: Any, aside: Path) -> None:
        aside.write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc:778] . unexpected pos 64 vs 0")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", fail)
        with pytest.raises(OutputError, match=r"cannot write .*a\.pt \(.*enforce.*there is room"):
            checkpoint.save_state({}, path)
    assert torch.load(path, weights_only=True)["w"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_an_interrupt_between_the_log_and_its_table_leaves_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(rows: list[Any], path: Path) -> Path:
        if path.suffix == ".csv" and len(rows) == 2 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        return save_log(rows, path)

    interrupted: list[bool] = []
    monkeypatch.setattr("classpulse.lab.train.logs.save_log", interrupt)
    with pytest.raises(KeyboardInterrupt), open_log(tmp_path) as log:
        log.append(row(1))
        log.append(row(2))
    assert interrupted and [one["number"] for one in read_log(tmp_path / "log.jsonl")] == [1, 2]
    table = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [line["number"] for line in table] == ["1", "2"]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    checkpoint.save_state(torch.nn.Linear(2, 3).state_dict(), tmp_path / "a.pt")
    said = r"a\.pt is damaged or of another recipe: it has no weights of this network"
    with pytest.raises(InputError, match=said):
        checkpoint.load_weights(torch.nn.Linear(2, 4), tmp_path / "a.pt")


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "a") as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


# --- the bar -------------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_for_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for stream in (Screen(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with epoch_bar(2) as on_step:
            on_step(0, 1, 3)
            for epoch in (1, 2):
                for step in range(1, 101):
                    on_step(epoch, step, 100)
        drawn = stream.getvalue()
        assert ("epoch 2/2" in drawn and "whole run" in drawn) == isinstance(stream, Screen)
        assert ("asking teachers" in drawn) == isinstance(stream, Screen)
        assert drawn.count("whole run") <= 4  # not at every step


# --- plots ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [plots_log.draw_loss_curves, plots_log.draw_metric_curves])
def test_curves_of_old_and_new_rows(draw: Any) -> None:
    whole = render_svg(draw([OLD, row(2), row(3)]))
    assert whole == render_svg(draw([OLD, row(2), row(3)])) and "48 px" in whole
    assert "macro F1" not in render_svg(draw([OLD])) and "validation" not in render_svg(draw([OLD]))
    with pytest.raises(InputError, match="nothing to draw"):
        draw([])


# --- the command ---------------------------------------------------------------------------------

TOML = f"""
name = "tiny"
summary = "A recipe for tests."
heads = {{ emotion = 1.0, votes = 0.5 }}
{SPEC_TOML.replace("48", "24")}[network]
widths = [8, 8, 8, 8]
blocks = 1
stem = 4
[schedule]
sides = [[1, 16], [2, 24]]
batch = 8
"""


def train(command: Any, folder: Path, fer: Path, ferplus: Path, *words: str) -> Any:
    (folder / "tiny.toml").write_text(TOML)
    data = ("--data", f"fer2013={fer}", "--votes", ferplus, "--run", folder / "run")
    return command("train", folder / "tiny.toml", *data, *words)


def test_a_run_writes_all_its_logs(command: Any, fer: Path, ferplus: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    done = train(command, tmp_path, fer, ferplus, "--tensorboard")
    assert (done.code, done.err, done.out.count("\n")) == (0, "", 3)
    rows = read_log(tmp_path / "run" / "log.jsonl")
    assert [(r["number"], r["side"]) for r in rows] == [(1, 16), (2, 24), (3, 24)]
    assert all(0 <= r["macro_f1"]["votes"] <= 1 for r in rows)
    table = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [float(line["votes_accuracy"]) for line in table] == [
        r["accuracy"]["votes"] for r in rows
    ]
    losses = read_events(tmp_path / "run" / "tensorboard")["loss/valid"]
    assert [step for step, _ in losses] == [1, 2, 3]
    assert [value for _, value in losses] == pytest.approx([r["val_loss"] for r in rows])


def test_a_run_of_an_older_version_goes_on(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path
) -> None:
    """No history in the checkpoint, no macro F1, table and best weights; its log counts."""
    run = tmp_path / "run"
    assert train(command, tmp_path, fer, ferplus).code == 0
    rows = [{k: v for k, v in r.items() if k != "macro_f1"} for r in read_log(run / "log.jsonl")]
    weights = torch.load(run / "best.pt", weights_only=True)
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    del state["history"]
    torch.save(state, run / "checkpoint.pt")
    (run / "log.csv").unlink()
    save_log([*rows, rows[-1] | {"number": 4}], run / "log.jsonl")
    assert train(command, tmp_path, fer, ferplus, "--resume").code == 0
    assert read_log(run / "log.jsonl") == rows
    assert (run / "log.csv").read_text().count("\n") == 4
    again = torch.load(run / "best.pt", weights_only=True)
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_row_that_an_older_version_lost_is_told(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    assert train(command, tmp_path, fer, ferplus).code == 0
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    torch.save(state | {"history": []}, run / "checkpoint.pt")
    save_log(read_log(run / "log.jsonl")[:2], run / "log.jsonl")
    assert train(command, tmp_path, fer, ferplus, "--resume").code == 0
    assert "log.jsonl has no row for 1 of its 3 epochs" in caplog.text


def test_best_weights_are_not_overwritten_by_a_new_run(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path
) -> None:
    assert train(command, tmp_path, fer, ferplus).code == 0
    (tmp_path / "run" / "checkpoint.pt").unlink()
    again = train(command, tmp_path, fer, ferplus, "--resume")
    assert again.code == 3 and "trained weights, best.pt, but no checkpoint" in again.err
