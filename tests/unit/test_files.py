"""Files and folders are written whole or not at all, and what does not work is one error."""

import errno
import os
from pathlib import Path

import pytest

from classpulse.core.errors import OutputError
from classpulse.core.files import (
    make_folder,
    new_file,
    new_files,
    new_folder,
    partial_path,
    save_text,
    save_texts,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    save_text("old", tmp_path / "a")
    with pytest.raises(RuntimeError), new_file(tmp_path / "a") as aside:
        aside.write_text("half")
        raise RuntimeError
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_what_was_written_can_be_kept(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"No space left.*free some space.*so far is kept"),
        new_file(tmp_path / "a", keep=True, other="--out") as aside,
    ):
        aside.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert partial_path(tmp_path / "a").read_text() == "half"


def test_an_error_in_reading_is_none_in_writing(tmp_path: Path) -> None:
    gone = tmp_path / "source" / "picture.png"
    for new in (new_file(tmp_path / "a"), new_folder(tmp_path / "a")):
        with pytest.raises(FileNotFoundError, match=r"picture\.png"), new:
            gone.read_bytes()
        assert names(tmp_path) == []
    with pytest.raises(OutputError, match="cannot write"), new_folder(tmp_path / "a") as aside:
        (aside / "below" / "b").write_text("")
    assert names(tmp_path) == []


def test_an_error_about_a_relative_name_is_one_in_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="cannot write none/a: "), new_file(Path("none/a")) as a:
        a.write_bytes(b"")


def test_a_text_keeps_its_line_ends(tmp_path: Path) -> None:
    save_text("ä\r\nb\n", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == "ä\r\nb\n".encode()


def test_a_folder_is_no_name_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder: give the name of a file"):
        save_text("", tmp_path)


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_made_is_one_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"choose another (place|--out)"):
        make_folder(tmp_path / name)
    with pytest.raises(OutputError):
        save_texts({"a": ""}, tmp_path / name)
    with pytest.raises(OutputError), new_folder(tmp_path / name / "new"):
        pass
    assert names(tmp_path) == ["file"]


def test_files_replace_those_of_a_folder_together_and_last_the_one_that_vouches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_texts({"card.json": "old", "z": "old", "kept": "old"}, tmp_path / "out")
    moved: list[str] = []
    replace = os.replace

    def noted(old: Path, new: Path) -> None:
        moved.append(Path(new).name)
        replace(old, new)

    with new_files(tmp_path / "out", last="card.json") as aside:
        for name in ("card.json", "z"):
            (aside / name).write_text("new")
        assert (tmp_path / "out" / "z").read_text() == "old"
        monkeypatch.setattr(os, "replace", noted)
    assert moved == ["z", "card.json"] and names(tmp_path / "out") == ["card.json", "kept", "z"]
    texts = [(tmp_path / "out" / name).read_text() for name in ("card.json", "z", "kept")]
    assert texts == ["new", "new", "old"]


@pytest.mark.parametrize("held", [None, [], ["a"]])
def test_an_interrupt_leaves_a_folder_as_it_was(held: list[str] | None, tmp_path: Path) -> None:
    if held is not None:
        save_texts(dict.fromkeys(held, "old"), tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), new_files(tmp_path / "out", last="a") as aside:
        (aside / "a").write_text("new")
        raise KeyboardInterrupt
    assert names(tmp_path) == ([] if held is None else ["out"])
    for name in held or ():
        assert (tmp_path / "out" / name).read_text() == "old"
    if held is not None:
        assert names(tmp_path / "out") == held


def test_a_new_folder_is_there_when_it_is_full(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as aside:
        (aside / "a").write_text("")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["a"]
    with pytest.raises(OutputError, match="is not empty"), new_folder(tmp_path / "out"):
        pass


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o077, 0o700), (0o002, 0o775)])
def test_a_new_folder_has_the_rights_that_the_umask_leaves(
    umask: int, mode: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        with new_folder(tmp_path / "out"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == mode
