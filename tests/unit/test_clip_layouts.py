"""Video data sets on small generated trees: DAiSEE and EmoReact."""

from pathlib import Path

import numpy as np
import pytest

from classpulse.core.errors import InputError, ShapeError
from classpulse.core.labels import DAISEE_4, EMOREACT_8
from classpulse.lab.data.clip_layouts import CLIP_LAYOUTS, find_clip_layout, load_clips
from classpulse.lab.data.clips import ClipSet
from classpulse.lab.data.layouts import find_layout

HEADER = "ClipID,Boredom,Engagement,Confusion,Frustration "  # the space is in the published files
DAISEE = {
    "Labels/TrainLabels.csv": f"{HEADER}\n1100021003.avi,1,3,0,2\n1100011002.avi,0,2,0,0\n",
    "Labels/TestLabels.csv": f"{HEADER}\n5000441001.mp4,2,1,0,0\n",
    "DataSet/Train/110001/1100011002/1100011002.avi": "",
    "DataSet/Train/110002/1100021003/1100021003.avi": "",
    "DataSet/Test/500044/5000441001/5000441001.mp4": "",
}
EMOREACT = {
    "Labels/train_labels.text": "1,0,0,1,0,0,0,0,5.3333\n0,1,0,0,0,0,0,1,2\n",
    "Labels/Train_names.txt": "'Kids react_1.mp4'\n'It''s new_2.mp4'\n\n",
    "Labels/val_labels.text": "0,0,0,0,0,0,0,0,4\n",
    "Labels/Val_names.txt": "plain_3.mp4\n",
    "Data/Train/Kids react_1.mp4": "",
    "Data/Train/It's new_2.mp4": "",
    "Data/Validation/plain_3.mp4": "",
}
TREES = {"daisee": DAISEE, "emoreact": EMOREACT}
layouts = pytest.mark.parametrize("layout", list(TREES))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


# --- both ----------------------------------------------------------------------------------------


@layouts
def test_a_layout_is_found(tmp_path: Path, layout: str) -> None:
    write(tmp_path, TREES[layout])
    assert [n for n in CLIP_LAYOUTS if CLIP_LAYOUTS.get(n).matches(tmp_path)] == [layout]


@layouts
def test_clips_are_not_taken_for_faces(tmp_path: Path, layout: str) -> None:
    with pytest.raises(InputError, match=f"is '{layout}': video clips with several targets each"):
        find_layout(write(tmp_path, TREES[layout]))


@layouts
def test_another_folder_is_none(tmp_path: Path, layout: str) -> None:
    assert find_clip_layout(tmp_path) is None and find_clip_layout(tmp_path / "gone") is None
    with pytest.raises(InputError, match="no known layout of labelled clips: daisee, emoreact"):
        load_clips(tmp_path)


@layouts
def test_missing_clips_are_counted_and_named(tmp_path: Path, layout: str) -> None:
    write(tmp_path, TREES[layout])
    videos = [name for name in TREES[layout] if name.endswith((".avi", ".mp4"))]
    (tmp_path / videos[0]).unlink()
    (tmp_path / videos[2]).unlink()
    with pytest.raises(InputError, match=r"2 of 3 labelled clips are not there \(1 of Train, 1 of"):
        load_clips(tmp_path)
    clips = load_clips(tmp_path, missing_ok=True)
    assert len(clips) == 1 and len(clips.missing) == 2
    assert {Path(videos[0]).stem, Path(videos[2]).stem} == {
        Path(name).stem for name in clips.missing
    }


@layouts
def test_a_set_without_any_clip_is_refused(tmp_path: Path, layout: str) -> None:
    files = {n: t for n, t in TREES[layout].items() if not n.endswith((".avi", ".mp4"))}
    with pytest.raises(InputError, match="3 of 3 labelled clips are not there"):
        load_clips(write(tmp_path, files), missing_ok=True)


@layouts
def test_labels_are_needed(tmp_path: Path, layout: str) -> None:
    with pytest.raises(InputError, match="needs its label files, for example"):
        load_clips(tmp_path, layout=layout)


@layouts
def test_the_hash_follows_the_labels(tmp_path: Path, layout: str) -> None:
    one = load_clips(write(tmp_path, TREES[layout])).sha256
    label = next(iter(TREES[layout]))
    (tmp_path / label).write_text(TREES[layout][label].replace("1,0,0", "0,0,0").rstrip() + "\n\n")
    assert len(one) == 64 and load_clips(tmp_path).sha256 != one


# --- DAiSEE --------------------------------------------------------------------------------------


def test_daisee_is_read(tmp_path: Path) -> None:
    clips = load_clips(write(tmp_path, DAISEE))
    assert clips.names == DAISEE_4.names and clips.targets.dtype == np.float64
    assert clips.targets.tolist() == [[1, 3, 0, 2], [0, 2, 0, 0], [2, 1, 0, 0]]
    assert clips.part.tolist() == ["Train", "Train", "Test"] and clips.row.tolist() == [0, 1, 0]
    assert clips.subject is not None and clips.subject.tolist() == ["110002", "110001", "500044"]
    assert [path.stem for path in clips.paths] == ["1100021003", "1100011002", "5000441001"]
    assert clips.column("engagement").tolist() == [3, 2, 1]


@pytest.mark.parametrize("cells", ["4,0,0,0", "0,-1,0,0", "0,0,x,0", "0,0,0,", "0,1.5,0,0"])
def test_a_level_out_of_range_is_named(tmp_path: Path, cells: str) -> None:
    text = f"{HEADER}\n1100011002.avi,0,2,0,0\n1100021003.avi,{cells}\n"
    write(tmp_path, {**DAISEE, "Labels/TrainLabels.csv": text})
    with pytest.raises(InputError, match=r"TrainLabels\.csv, line 3: .* needs 0\.\.3 for each of"):
        load_clips(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ClipID,Boredom\n1,2\n", "line 1: no column Engagement"),
        (f"{HEADER}\n", "has a header but no rows"),
        (f"{HEADER}\n1,2,3\n", "line 2: 3 fields, needs 5"),
    ],
)
def test_a_malformed_label_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_clips(write(tmp_path, {**DAISEE, "Labels/TrainLabels.csv": text}))


# --- EmoReact ------------------------------------------------------------------------------------


@pytest.mark.parametrize("names_beside", [False, True])
@pytest.mark.parametrize("data", ["Data/", ""])
def test_emoreact_is_read(tmp_path: Path, data: str, names_beside: bool) -> None:
    files = {name.replace("Data/", data): text for name, text in EMOREACT.items()}
    if names_beside:
        files = {n.replace("Labels/", "") if "_names" in n else n: t for n, t in files.items()}
    clips = load_clips(write(tmp_path, files))
    assert clips.names == (*EMOREACT_8.names, "valence") and clips.subject is None
    assert clips.column("valence").tolist() == [5.3333, 2, 4]
    assert clips.column("frustration").tolist() == [0, 1, 0]
    assert [path.name for path in clips.paths][:2] == ["Kids react_1.mp4", "It's new_2.mp4"]
    assert clips.part.tolist() == ["Train", "Train", "Validation"]


@pytest.mark.parametrize(
    "line",
    ["1,0,0,1,0,0,0,0", "2,0,0,0,0,0,0,0,4", "1,0,0,1,0,0,0,0,8", "x", "0,0,0,0,0,0,0,0,nan"],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path, {**EMOREACT, "Labels/train_labels.text": f"0,0,0,0,0,0,0,0,4\n{line}\n"})
    with pytest.raises(InputError, match=r"train_labels\.text, line 2: .* needs 8 times 0 or 1"):
        load_clips(tmp_path)


def test_names_and_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {**EMOREACT, "Labels/Train_names.txt": "a.mp4\n"})
    with pytest.raises(InputError, match=r"has 1 names but .*train_labels\.text has 2 lines"):
        load_clips(tmp_path)


def test_labels_without_names_are_refused(tmp_path: Path) -> None:
    files = {name: text for name, text in EMOREACT.items() if "Val_names" not in name}
    with pytest.raises(InputError, match=r"val_labels\.text has no Val_names\.txt"):
        load_clips(write(tmp_path, files))


# --- the set -------------------------------------------------------------------------------------


def test_a_part_is_taken(tmp_path: Path) -> None:
    clips = load_clips(write(tmp_path, DAISEE), part="Test")
    assert len(clips) == 1 and clips.name == "DAiSEE Test"
    with pytest.raises(InputError, match="no part 'Train': it has Test"):
        clips.take_part("Train")


def test_an_unknown_target_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no target 'joy': boredom, engagement"):
        load_clips(write(tmp_path, DAISEE)).column("joy")


@pytest.mark.parametrize(
    ("targets", "row", "message"),
    [
        (np.zeros((2, 2)), np.zeros(2, np.int64), r"targets \(2, 1\)"),
        (np.zeros((2, 1)), np.zeros(3, np.int64), r"row has shape \(3,\)"),
        (np.array([[0.0], [4.0]]), np.zeros(2, np.int64), "a of y.mp4 is 4.0, needs 0..3"),
        (np.array([[0.0], [np.nan]]), np.zeros(2, np.int64), "a of y.mp4 is nan"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    targets: np.ndarray, row: np.ndarray, message: str
) -> None:
    paths, limits = (Path("x.mp4"), Path("y.mp4")), np.array([[0.0, 3.0]])
    with pytest.raises(ShapeError, match=message):
        ClipSet(paths, targets, ("a",), limits, "set", row, np.array(["Train"] * 2))
