"""`classpulse data`: what the commands count and write, on tiny and on real data."""

import csv
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from data_files import read
from media import quarters, write_video

pytest.importorskip("sklearn")

from classpulse.core.errors import InputError
from classpulse.core.labels import FERPLUS_VOTES
from classpulse.lab.data.cache import Arrays, is_cached, load_cached
from classpulse.lab.data.catalog import list_catalog
from classpulse.lab.data.contents import find_reader, reader_names
from classpulse.lab.data.layouts import load_faces
from classpulse.lab.data.splits import load_manifest, take_split
from classpulse.lab.data.wording import TITLES, align

DATA = Path(__file__).parents[3] / "shared/data"


# --- ls ------------------------------------------------------------------------------------------


def test_ls_names_everything_with_one_line(command: Any) -> None:
    catalog = read(command("data", "ls", "--json"))
    assert catalog == list_catalog() and set(catalog) == set(TITLES)
    assert {"official", "thesis-text"} <= set(catalog["protocols"])
    lines = [line for things in catalog.values() for line in things.values()]
    assert all(line and "\n" not in line for line in lines)
    shown = command("data", "ls").out
    assert all(name in shown for things in catalog.values() for name in things)


def test_numbers_stand_to_the_right() -> None:
    assert align([["a", 1], ["bcd", 1200], ["e", None]]) == [
        "  a        1",
        "  bcd  1,200",
        "  e        -",
    ]


# --- describe ------------------------------------------------------------------------------------


def test_faces_are_described(command: Any, fer: Path, ferplus: Path) -> None:
    found = read(command("data", "describe", fer, "--votes", ferplus, "--json"))
    assert (found["kind"], found["reader"], found["rows"]) == ("faces", "fer2013-csv", 36)
    assert found["picture"] == {"width": 48, "height": 48, "channels": 1}
    assert found["blank"] == 1 and found["parts"]["Training"]["blank"] == 1
    assert found["repeats"] == {"rows": 2, "pictures": 1, "several_labels": 1}
    assert sum(found["classes"].values()) == 36 and found["parts"]["PublicTest"]["rows"] == 6
    assert found["votes"]["cleaning"]["NF"] == {"10": 9} and len(found["sha256"]) == 64
    shown = command("data", "describe", fer).out
    assert "36" in shown and found["sha256"] in shown


def test_votes_are_described(command: Any, ferplus: Path) -> None:
    found = read(command("data", "describe", ferplus, "--json"))
    assert (found["kind"], found["rows"]) == ("votes", 36)
    assert found["learning_state"] == {"angry": 9, "bored": 9, "focused": 9, "neutral": 0}
    assert found["no_majority"] == 9 and found["votes_per_row"] == {"10": 36}
    assert "not a face   10: 9" in command("data", "describe", ferplus).out


def test_texts_are_described(command: Any, texts: Path) -> None:
    found = read(command("data", "describe", texts, "--json"))
    assert (found["kind"], found["reader"], found["rows"]) == ("texts", "texts", 43)
    assert found["classes"] == {"a": 22, "b": 21}
    assert found["repeats"] == {
        "rows": 2, "texts": 1, "several_labels": 1, "several_labels_rows": 2
    }  # fmt: skip
    assert found["odd"] == {"without_words": 1, "in_brackets": 1, "odd_characters": 0}
    assert found["length"]["words"]["max"] == 3
    assert command("data", "describe", texts).code == 0


def test_several_labels_and_parts_of_texts_are_counted(command: Any, tmp_path: Path) -> None:
    folder = tmp_path / "goemotions"
    folder.mkdir()
    (folder / "train.tsv").write_text("so happy\t17,13\tx1\nso sad\t25\tx2\n")
    (folder / "dev.tsv").write_text("so sad\t27\tx3\n")
    found = read(command("data", "describe", folder, "--json"))
    assert found["reader"] == "goemotions" and found["rows"] == 3
    assert {name: part["rows"] for name, part in found["parts"].items()} == {"train": 2, "dev": 1}
    assert found["labels_per_text"] == {"1": 2, "2": 1} and found["classes"]["joy"] == 1
    assert found["repeats"]["several_labels"] == 1
    assert "train" in command("data", "describe", folder).out


def test_a_clip_is_described(command: Any, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "lesson.mp4", images=[quarters(96, 128)] * 25)
    found = read(command("data", "describe", clip, "--json"))
    assert (found["kind"], found["frames"], found["seconds"]) == ("clip", 25, 1.0)
    assert (found["width"], found["height"]) == (128, 96)
    assert "128 x 96" in command("data", "describe", clip).out


@pytest.mark.parametrize(
    ("content", "reader"),
    [
        ("text;label\na;b\n", "texts"),
        ("\ufefftext\tlabel\r\na\tb\r\n", "texts"),
        ('{"text": "a", "label": "b"}\n', "texts"),
        ("Sr No.,Utterance,Emotion\n1,a,joy\n", "meld"),
        ("Texto,Emoción\na,sad\n", "iemocap"),
        ("a text\t3,5\tid1\n", "goemotions"),
        ("Usage,Image name," + ",".join(FERPLUS_VOTES) + "\n", "ferplus-votes"),
    ],
    ids=["semicolons", "tabs", "json", "meld", "iemocap", "goemotions", "votes"],
)
def test_the_content_tells_the_reader(tmp_path: Path, content: str, reader: str) -> None:
    (tmp_path / "any.bin").write_text(content, encoding="utf-8", newline="")
    assert find_reader(tmp_path / "any.bin") == reader


def test_a_reader_can_be_forced(command: Any, tmp_path: Path, texts: Path) -> None:
    assert find_reader(texts, name="meld") == "meld"
    result = command("data", "describe", texts, "--as", "meld")
    assert result.code == 3 and "no column Utterance, Emotion" in result.err
    result = command("data", "describe", texts, "--as", "mld")
    assert result.code == 3 and all(name in result.err for name in reader_names())


# --- relabel -------------------------------------------------------------------------------------


def test_relabel_counts_rows_with_and_without_pictures(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path
) -> None:
    words = ("data", "relabel", "--votes", ferplus, "--rule", "learning-state")
    out = tmp_path / "labels.csv"
    found = read(command(*words, "--images", fer, "--out", out, "--json"))
    assert found["counts"] == {"angry": 9, "bored": 9, "focused": 9, "neutral": 0}
    assert found["parts"]["Training"] == {"angry": 6, "bored": 6, "focused": 6, "neutral": 0}
    assert (found["kept"], found["dropped"], found["rule"]) == (27, 9, "learning-state")
    assert found["pictures"]["labelled"] == 27 and found["pictures"]["blank"] == 1
    rows = list(csv.reader(out.open()))
    assert rows[:3] == [["row", "Usage", "label"], ["0", "Training", "angry"],
                        ["1", "Training", "focused"]]  # fmt: skip
    assert len(rows) == 28 and "27 of 36 rows have a label" in command(*words).out


def test_majority_and_its_renames(command: Any, ferplus: Path) -> None:
    words = ("data", "relabel", "--votes", ferplus, "--json", "--rule")
    assert read(command(*words, "ferplus-majority"))["counts"]["sadness"] == 9
    assert read(command(*words, "ferplus-to-fer2013"))["counts"]["sad"] == 9


# --- split ---------------------------------------------------------------------------------------


def test_a_split_is_written_and_taken(command: Any, fer: Path, tmp_path: Path) -> None:
    out = tmp_path / "split.json"
    found = read(command("data", "split", fer, "--protocol", "official", "--out", out, "--json"))
    assert {name: part["n"] for name, part in found["parts"].items()} == {
        "train": 24, "valid": 6, "test": 6
    }  # fmt: skip
    assert found["overlaps"] == [] and sum(found["parts"]["valid"]["classes"].values()) == 6
    faces = load_faces(fer)
    taken = take_split(faces, f"{out}:valid")
    assert taken.row.tolist() == load_manifest(out)["valid"].tolist() == list(range(24, 30))
    assert np.array_equal(taken.images, faces.take_part("PublicTest").images)


def test_labels_from_votes_are_split(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path
) -> None:
    words = ("--protocol", "aieducation", "--votes", ferplus, "--labels", "learning-state")
    result = command("data", "split", fer, *words, "--out", tmp_path / "s.json")
    assert result.code == 0 and "no row is in two parts" in result.out
    assert sum(len(rows) for rows in load_manifest(tmp_path / "s.json").values()) == 27


def test_texts_are_split_and_nobody_is_told_they_are_the_thesis_sets(
    command: Any, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.json"
    result = command("data", "split", texts, "--protocol", "thesis-text", "--out", out)
    assert result.code == 0 and "split_composed" in result.out
    parts = load_manifest(out)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(43))


def test_a_part_without_rows_is_left_out(command: Any, fer: Path, tmp_path: Path) -> None:
    lines = gzip.decompress(fer.read_bytes()).splitlines(keepends=True)
    fer.write_bytes(gzip.compress(b"".join(lines[:31])))
    words = ("--protocol", "official", "--out", tmp_path / "s.json")
    assert list(read(command("data", "split", fer, *words, "--json"))["parts"]) == [
        "train",
        "valid",
    ]


def test_a_manifest_of_other_data_is_refused(command: Any, fer: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.json"
    command("data", "split", fer, "--protocol", "official", "--out", out)
    faces = load_faces(fer)
    with pytest.raises(InputError, match="load the whole data set"):
        take_split(faces.take_part("Training"), f"{out}:valid")
    with pytest.raises(InputError, match="no part 'dev'; it has train, valid, test"):
        take_split(faces, f"{out}:dev")
    for spec in ("s.json", ":train", "s.json:"):
        with pytest.raises(InputError, match=r"manifest\.json:part"):
            take_split(faces, spec)
    fer.write_bytes(gzip.compress(gzip.decompress(fer.read_bytes()) + b"\n"))
    with pytest.raises(InputError, match="made from data with SHA-256"):
        take_split(load_faces(fer), f"{out}:train")


# --- dedup ---------------------------------------------------------------------------------------


def test_repeats_are_reported_and_left_out(command: Any, fer: Path, tmp_path: Path) -> None:
    out, clean = tmp_path / "report.json", tmp_path / "clean.json"
    words = ("data", "dedup", fer, "--train", "Training", "--held-out", "PublicTest")
    found = read(command(*words, "--out", out, "--manifest", clean, "--json"))
    assert {kind: of["pairs"] for kind, of in found["kinds"].items()} == {
        "identical": 1, "similar": 0, "mirrored": 1
    }  # fmt: skip
    assert found["all"]["train_pictures"] == 2 and found["kinds"]["identical"]["other_label"] == 1
    assert [(e["train_row"], e["held_out_row"]) for e in found["examples"]] == [(0, 24), (1, 25)]
    assert len(json.loads(out.read_text())["pairs"]) == 2
    assert found["clean"] == {"train": 22, "held-out": 6}
    kept = take_split(load_faces(fer), f"{clean}:train").row.tolist()
    assert kept == list(range(2, 24))
    assert "angry / neutral" in command("data", "dedup", fer).out


def test_repeats_between_two_data_sets(command: Any, fer: Path, tmp_path: Path) -> None:
    folder = tmp_path / "crops" / "angry"
    folder.mkdir(parents=True)
    for i, image in enumerate(load_faces(fer).images[[5, 9]]):
        cv2.imwrite(str(folder / f"{i}.png"), image)
    found = read(command("data", "dedup", fer, "--against", folder.parent, "--json"))
    assert [e["train_row"] for e in found["examples"]] == [5, 9]


# --- export --------------------------------------------------------------------------------------


def test_faces_come_back_from_csv(command: Any, fer: Path, tmp_path: Path) -> None:
    found = read(
        command("data", "export", fer, "--format", "csv", "--out", tmp_path / "o", "--json")
    )
    faces, back = load_faces(fer), load_faces(tmp_path / "o" / "faces.csv")
    assert np.array_equal(faces.images, back.images) and np.array_equal(faces.labels, back.labels)
    assert found["rows"] == 36 and any("people" in note for note in found["notes"])
    assert json.loads((tmp_path / "o/export.json").read_text())["data_sha256"] == faces.sha256


def test_other_labels_are_written_by_name(
    command: Any, fer: Path, ferplus: Path, tmp_path: Path
) -> None:
    words = ("--format", "csv", "--votes", ferplus, "--labels", "learning-state")
    found = read(command("data", "export", fer, *words, "--out", tmp_path / "o", "--json"))
    with (tmp_path / "o/faces.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["label", "pixels", "Usage", "row"]
    assert [row["label"] for row in rows[:3]] == ["angry", "focused", "bored"]
    assert found["rows"] == 27 and found["left_out"] == 9


def test_faces_become_folders_and_npz(command: Any, fer: Path, tmp_path: Path) -> None:
    split = tmp_path / "s.json"
    command("data", "split", fer, "--protocol", "official", "--out", split)
    words = ("data", "export", fer, "--split", f"{split}:valid", "--format")
    result = command(*words, "folders", "--out", tmp_path / "o")
    assert result.code == 0 and "pictures of people were written" in result.out
    files = sorted((tmp_path / "o").rglob("*.png"))
    assert len(files) == 6 and files[-1].parent.parent.name == "PublicTest"
    image = cv2.imread(str(tmp_path / "o/PublicTest/neutral/0000024.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, load_faces(fer).images[24])
    assert command(*words, "npz", "--out", tmp_path / "n").code == 0
    with np.load(tmp_path / "n/faces.npz") as stored:
        assert stored["row"].tolist() == list(range(24, 30)) and len(stored["names"]) == 7


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_texts_come_back(command: Any, texts: Path, tmp_path: Path, form: str) -> None:
    command("data", "export", texts, "--format", form, "--out", tmp_path / "o")
    before = read(command("data", "describe", texts, "--json"))
    after = read(command("data", "describe", tmp_path / f"o/texts.{form}", "--json"))
    same = ("rows", "classes", "length", "repeats")
    assert [after[key] for key in same] == [before[key] for key in same]


def test_nothing_is_overwritten(command: Any, texts: Path, tmp_path: Path) -> None:
    words = ("data", "export", texts, "--format", "csv", "--out")
    (tmp_path / "o").mkdir()
    assert command(*words, tmp_path / "o").code == 0  # empty
    before = sorted(path.name for path in tmp_path.iterdir())
    result = command(*words, tmp_path / "o")
    assert result.code == 5 and "not empty" in result.err
    assert command(*words, texts).code == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == before


# --- the real data -------------------------------------------------------------------------------


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def test_learning_states_of_all_rows_are_those_of_the_source(command: Any) -> None:
    path = real("fer2013/fer2013new.csv")
    words = ("data", "relabel", "--votes", path, "--rule", "learning-state", "--json")
    found = read(command(*words))
    names = ("angry", "focused", "neutral", "bored")
    assert [found["counts"][name] for name in names] == [3954, 4553, 3789, 3960]
    assert {part: [of[name] for name in names] for part, of in found["parts"].items()} == {
        "Training": [3150, 3501, 3032, 3240],
        "PublicTest": [397, 586, 384, 323],
        "PrivateTest": [407, 466, 373, 397],
    }
    assert (found["kept"], found["dropped"]) == (16256, 19631)
    cleaning = found["cleaning"]
    assert cleaning["NF"] == {"10": 176, "4": 2, "2": 4, "1": 167}
    assert cleaning["left_without_nf"] == 35538 and cleaning["unknown_5_or_more"] == 79
    assert cleaning["unknown"] == {
        "8": 3, "7": 3, "6": 18, "5": 55, "4": 224, "3": 751, "2": 2526, "1": 8220
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reader", "rows"),
    [
        ("text/meld_train.csv", "meld", 9769),
        ("text/IEMOCAP.csv", "iemocap", 4637),
        ("text/goemotions/dev.tsv", "goemotions", 5426),
        ("ck48/CK+48.zip", "ckplus", 981),
    ],
)
def test_the_shared_files_are_known(command: Any, name: str, reader: str, rows: int) -> None:
    found = read(command("data", "describe", real(name), "--json"))
    assert (found["reader"], found["rows"]) == (reader, rows)


@pytest.mark.slow
def test_the_repeats_of_fer2013_are_those_of_the_log(command: Any) -> None:
    words = ("--train", "Training", "--held-out", "PublicTest", "--json")
    found = read(command("data", "dedup", real("fer2013/fer2013.csv.gz"), *words))
    kinds = found["kinds"]
    assert [kinds[k]["pairs"] for k in ("identical", "similar", "mirrored")] == [511, 204, 2]
    identical = kinds["identical"]
    assert (identical["held_out_pictures"], identical["other_label"]) == (280, 140)
    assert identical["blank"] == 151 and found["all"]["held_out_pictures"] == 374


# --- purge ---------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Parsed pictures, beside a folder that is somebody's own."""
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "data" / "own").mkdir(parents=True)
    return tmp_path / "cache" / "data"


def cached(cache: Path) -> int:
    assert (cache / "own").is_dir()
    return sum(1 for entry in cache.iterdir() if entry.name != "own")


def test_cached_pictures_of_one_source_are_deleted(
    command: Any, fer: Path, tmp_path: Path, cache: Path
) -> None:
    out = tmp_path / "folders"
    read(command("data", "export", fer, "--out", out, "--format", "folders", "--json"))
    read(command("data", "describe", out / "Training", "--json"))
    (entry,) = cache.glob("fer2013-*")
    assert entry.stat().st_mode & 0o777 == 0o700 and cached(cache) == 2
    found = read(command("data", "purge", out / "Training", "--json"))
    assert (found["entries"], cached(cache)) == (1, 1) and found["bytes"] > 24 * 48 * 48
    (entry / "source.txt").unlink()  # as older versions left it: nobody knows whose it is
    assert read(command("data", "purge", fer, "--json"))["entries"] == 1 and fer.exists()


@pytest.fixture
def crops(command: Any, tmp_path: Path, cache: Path) -> Path:
    """A folder of face crops that has been read once."""
    for i, label in enumerate(("happy", "sad")):
        folder = tmp_path / "set" / "crops" / label
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "a.png"), np.full((48, 48), 40 + 50 * i, dtype=np.uint8))
    read(command("data", "describe", tmp_path / "set" / "crops", "--json"))
    assert cached(cache) == 1
    return tmp_path / "set" / "crops"


def change(crops: Path) -> None:
    (crops / "sad" / "a.png").unlink()


def spoil(crops: Path) -> None:
    (crops / "sad" / "a.png").write_bytes(b"no picture")
    (crops / "stray.png").write_bytes(b"neither")


@pytest.mark.parametrize("happen", [change, spoil, shutil.rmtree])
def test_what_was_made_of_a_folder_is_deleted_also_when_that_changed(
    command: Any, crops: Path, cache: Path, happen: Any
) -> None:
    happen(crops)
    assert read(command("data", "purge", crops, "--json"))["entries"] == 1
    assert cached(cache) == 0


def test_what_was_made_of_a_copy_is_deleted_by_its_content_and_by_its_old_path(
    command: Any, crops: Path, cache: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "line\nbreak"
    crops.rename(moved)
    assert read(command("data", "purge", moved, "--json"))["entries"] == 1  # as it holds the same
    read(command("data", "describe", moved, "--json"))
    shutil.copytree(moved, crops)
    read(command("data", "describe", crops, "--json"))  # the same entry
    assert cached(cache) == 1
    change(moved)
    change(crops)
    assert read(command("data", "purge", crops.parent, "--json"))["entries"] == 1
    assert cached(cache) == 0


def test_an_entry_without_a_path_goes_with_any_and_another_source_stays(
    command: Any, crops: Path, fer: Path, cache: Path
) -> None:
    read(command("data", "describe", fer, "--json"))
    (entry,) = cache.glob("fer2013-*")
    note = entry / "source.txt"
    assert note.read_text().splitlines()[1:] == [json.dumps(str(fer.resolve()))]
    note.write_text(note.read_text().splitlines()[0])  # as older versions wrote it
    read(command("data", "describe", fer, "--json"))
    change(crops)
    assert read(command("data", "purge", crops, "--json"))["entries"] == 2
    read(command("data", "describe", fer, "--json"))
    assert read(command("data", "purge", crops, "--json"))["entries"] == 0 and cached(cache) == 1


def test_of_two_that_parse_a_copy_at_once_both_are_noted(cache: Path, tmp_path: Path) -> None:
    def build() -> Arrays:  # meanwhile another process is faster
        return load_cached("hash", "pictures", lambda: {"a": np.ones(2)}, path=tmp_path / "one")

    load_cached("hash", "pictures", build, path=tmp_path / "other")
    assert cached(cache) == 1 and is_cached(tmp_path / "one") and is_cached(tmp_path / "other")
    assert not is_cached(tmp_path / "on")


def test_a_folder_that_was_never_read_is_not_parsed_to_be_deleted(
    command: Any, crops: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_before = sorted(cache.iterdir())
    other = crops.parent / "other"
    shutil.copytree(crops, other)
    change(other)
    monkeypatch.setattr("classpulse.lab.data.pictures.decode_still", None)
    assert read(command("data", "purge", other, "--json"))["entries"] == 0
    assert sorted(cache.iterdir()) == cache_before


def test_all_cached_pictures_are_deleted_and_nothing_else(
    command: Any, fer: Path, cache: Path
) -> None:
    read(command("data", "describe", fer, "--json"))
    result = command("data", "purge")
    assert result.code == 0 and "deleted 1 cached data sets of all sources" in result.out
    assert cached(cache) == 0 and read(command("data", "purge", "--json"))["entries"] == 0


def test_the_cache_is_for_its_owner_alone(
    command: Any, fer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "new"))
    read(command("data", "describe", fer, "--json"))
    assert (tmp_path / "new" / "data").stat().st_mode & 0o777 == 0o700


def test_a_source_that_is_not_there_is_one_line(command: Any, tmp_path: Path) -> None:
    result = command("data", "purge", tmp_path / "none.csv")
    assert result.code == 3 and "cannot read" in result.err and result.err.count("\n") == 1
