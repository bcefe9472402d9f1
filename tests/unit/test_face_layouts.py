"""Face data sets as pictures, on small generated trees of their publishers' shape."""

import re
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classpulse.core.errors import InputError
from classpulse.core.labels import (
    AFFECTNET_8,
    CKPLUS_7,
    FER2013_7,
    FERPLUS_8,
    LEARNING_STATE_4,
    RAFDB_7,
    UNLABELED,
    LabelSpace,
)
from classpulse.lab.data import pictures
from classpulse.lab.data.ckplus import load_ckplus, parse_name
from classpulse.lab.data.class_names import match_label
from classpulse.lab.data.face_folders import load_class_folders
from classpulse.lab.data.faces import FaceSet, concat_faces, truth_in
from classpulse.lab.data.layouts import LAYOUTS, find_layout, hash_faces, load_faces

CK = Path(__file__).parents[3] / "shared/data/ck48/CK+48.zip"
needs_ck = pytest.mark.skipif(not CK.exists(), reason="CK+48 is not here")


def encode(side: int = 48, *, seed: int = 0, color: bool = False, suffix: str = ".png") -> bytes:
    """A picture of noise as a file; ``.png`` keeps every pixel."""
    shape = (side, side, 3) if color else (side, side)
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return bytes(cv2.imencode(suffix, noise)[1])


def pixels(seed: int = 0, side: int = 48) -> NDArray[np.uint8]:
    """What `encode` has put into a grey picture."""
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)


def write_tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


FER = {
    "train/angry/b.png": encode(seed=1),
    "train/angry/a.png": encode(seed=2),
    "train/happy/c.jpg": encode(seed=3, suffix=".jpg"),
    "test/neutral/d.png": encode(seed=4),
    "validation/surprise/e.png": encode(seed=5),
}
CKPLUS = {
    "CK+48/CK+48/anger/S010_004_00000017.png": encode(seed=1),
    "CK+48/CK+48/anger/S010_004_00000018.png": encode(seed=2),
    "CK+48/CK+48/contempt/S138_008_00000009.png": encode(seed=3),
    "CK+48/CK+48/surprise/S010_002_00000014.png": encode(seed=4),
}
RAF = {
    "EmoLabel/list_patition_label.txt": b"train_00002.jpg 4\ntrain_00001.jpg 1\ntest_0001.jpg 7\n",
    **{
        f"Image/aligned/{name}_aligned.jpg": encode(100, seed=i, color=True, suffix=".jpg")
        for i, name in enumerate(("train_00001", "train_00002", "test_0001"))
    },
}


def note(value: object) -> bytes:
    """An annotation file of AffectNet: one number as text."""
    stream = BytesIO()
    np.save(stream, np.array(str(value)))
    return stream.getvalue()


def affect(part: str, name: str, exp: object, val: object = 0.5, aro: object = -0.25) -> Any:
    folder = f"{part}/annotations/{name}"
    return {
        f"{part}/images/{name}.jpg": encode(224, seed=len(name), color=True, suffix=".jpg"),
        f"{folder}_exp.npy": note(exp),
        f"{folder}_val.npy": note(val),
        f"{folder}_aro.npy": note(aro),
        f"{folder}_lnd.npy": note(0),
    }


AFFECT = {
    **affect("train_set", "0", 1),
    **affect("train_set", "10", 7),
    **affect("val_set", "3", 0),
}
FOLDERS = {"happy/a.png": encode(64, seed=1), "sadness/b.bmp": encode(30, seed=2, suffix=".bmp")}
FLAT = {"b.png": encode(60, seed=1), "a.png": encode(40, seed=2)}
TREES: dict[str, dict[str, bytes]] = {
    "fer2013-folders": FER,
    "ckplus": CKPLUS,
    "rafdb": RAF,
    "affectnet": AFFECT,
    "face-folders": FOLDERS,
    "face-pictures": FLAT,
}
layouts = pytest.mark.parametrize("layout", list(TREES))


def counts(faces: FaceSet) -> dict[str, int]:
    found = np.bincount(faces.labels, minlength=len(faces.space)).tolist()
    return dict(zip(faces.space.names, found, strict=True))


# --- every layout --------------------------------------------------------------------------------


@layouts
def test_a_layout_is_found(tmp_path: Path, layout: str) -> None:
    assert find_layout(write_tree(tmp_path, TREES[layout])) == layout


@layouts
def test_only_one_layout_fits(tmp_path: Path, layout: str) -> None:
    write_tree(tmp_path, TREES[layout])
    assert [name for name in LAYOUTS if LAYOUTS.get(name).matches(tmp_path)] == [layout]


@layouts
def test_the_second_read_is_the_same_and_parses_nothing(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    path = write_tree(tmp_path / "data", TREES[layout])
    calls: list[tuple[int, int]] = []
    one = load_faces(path, on_progress=lambda *step: calls.append(step))
    assert calls == [(i + 1, len(one)) for i in range(len(one))]
    two = load_faces(path, on_progress=lambda *step: pytest.fail("read again"))
    assert isinstance(two.images, np.memmap) and np.array_equal(one.images, two.images)
    assert one.sha256 == two.sha256 == hash_faces(path) and len(one.sha256) == 64
    for column in ("labels", "row", "part", "subject", "file"):
        assert np.array_equal(getattr(one, column), getattr(two, column)), column


@layouts
def test_a_changed_picture_is_another_set(tmp_path: Path, layout: str) -> None:
    one = load_faces(write_tree(tmp_path, TREES[layout]))
    assert one.file is not None
    name = str(one.file[0])
    first = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
    assert first is not None
    cv2.imwrite(str(tmp_path / name), 255 - first)
    two = load_faces(tmp_path)
    assert one.sha256 != two.sha256 and not np.array_equal(one.images[0], two.images[0])


@layouts
@pytest.mark.parametrize("data", [b"", b"not a picture", encode()[:60]], ids=["0", "text", "cut"])
def test_an_unreadable_picture_is_named(tmp_path: Path, layout: str, data: bytes) -> None:
    write_tree(tmp_path, TREES[layout])
    name = str(load_faces(tmp_path).file[-1])  # type: ignore[index]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=re.escape(name)):
        load_faces(tmp_path)


@layouts
def test_leftovers_of_systems_do_not_count(tmp_path: Path, layout: str) -> None:
    n = len(load_faces(write_tree(tmp_path, TREES[layout])))
    first = next(name for name in TREES[layout] if name.endswith((".png", ".jpg", ".bmp")))
    folder = (tmp_path / first).parent
    write_tree(folder, {"._x.png": b"junk", "Thumbs.db": b"junk", ".DS_Store": b"junk"})
    write_tree(tmp_path, {"__MACOSX/happy/._a.png": b"junk"})
    assert len(load_faces(tmp_path)) == n


@layouts
def test_fer_votes_need_the_rows_of_the_csv_file(tmp_path: Path, layout: str) -> None:
    with pytest.raises(InputError, match=r"FER\+ votes go with the rows of fer2013\.csv"):
        load_faces(write_tree(tmp_path, TREES[layout]), votes=tmp_path / "v.csv")


@layouts
def test_a_side_is_for_pictures_of_any_size(tmp_path: Path, layout: str) -> None:
    write_tree(tmp_path, TREES[layout])
    if LAYOUTS.get(layout).scaled:
        assert load_faces(tmp_path, side=24).images.shape[1:3] == (24, 24)
        with pytest.raises(InputError, match="give a side of 8 to 512"):
            load_faces(tmp_path, side=4)
    else:
        with pytest.raises(InputError, match="have one size; leave out side = 24"):
            load_faces(tmp_path, side=24)


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="unknown face data layout 'x'; known: fer2013-csv, ckplus"
    ):
        load_faces(tmp_path, layout="x")


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone does not exist"):
        load_faces(tmp_path / "gone")


def test_an_empty_folder_is_in_no_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known layout of labelled faces: fer2013-csv, ckplus"):
        load_faces(tmp_path)


# --- FER2013 in folders --------------------------------------------------------------------------


def test_fer2013_folders_are_sorted_by_path(tmp_path: Path) -> None:
    faces = load_faces(write_tree(tmp_path, FER))
    assert faces.file is not None and faces.file.tolist() == sorted(FER)
    assert faces.part is not None and faces.part.tolist() == ["test", *["train"] * 3, "validation"]
    names = [FER2013_7.names[label] for label in faces.labels]
    assert names == ["neutral", "angry", "angry", "happy", "surprise"]
    assert faces.row.tolist() == [0, 1, 2, 3, 4] and faces.images.shape == (5, 48, 48)
    assert np.array_equal(faces.images[1], pixels(2)) and np.array_equal(faces.images[2], pixels(1))


def test_a_part_of_fer2013_folders(tmp_path: Path) -> None:
    faces = load_faces(write_tree(tmp_path, FER), part="train")
    assert faces.row.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "label"),
    [("anger", "angry"), ("Happiness", "happy"), ("SAD", "sad"), ("fearful", "fear")],
)
def test_class_folders_have_synonyms(tmp_path: Path, name: str, label: str) -> None:
    faces = load_faces(write_tree(tmp_path, {f"train/{name}/a.png": encode()}))
    assert faces.labels.tolist() == [FER2013_7.index(label)]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("train/bored/x.png", r"no class of fer2013-7 is called 'bored'; it has angry, disgust"),
        ("train/contempt/x.png", "no class of fer2013-7 is called 'contempt'"),
        ("train/x.png", "lie in train|test|validation/<class>/a picture below"),
        ("train/happy/deep/x.png", "lie in train|test|validation/<class>/a picture below"),
        ("more/happy/x.png", "has pictures in 'more', needs train, test, validation"),
    ],
)
def test_a_picture_out_of_place_is_refused(tmp_path: Path, file: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_faces(write_tree(tmp_path, {**FER, file: encode()}))


def test_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.png has 50 x 50 pixels, this set has 48 x 48"):
        load_faces(write_tree(tmp_path, {**FER, "train/happy/x.png": encode(50)}))


def test_grey_pictures_saved_with_three_channels_stay_the_same(tmp_path: Path) -> None:
    data = bytes(cv2.imencode(".png", cv2.cvtColor(pixels(7), cv2.COLOR_GRAY2BGR))[1])
    faces = load_faces(write_tree(tmp_path, {"train/happy/x.png": data}))
    assert np.array_equal(faces.images[0], pixels(7))


# --- CK+48 ---------------------------------------------------------------------------------------


@pytest.fixture(params=["zip", "folder", "inner folder"])
def ckplus(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "zip":
        return write_zip(tmp_path / "CK+48.zip", CKPLUS)
    inner = "CK+48/CK+48" if request.param == "inner folder" else ""
    return write_tree(tmp_path / "ck", CKPLUS) / inner


def test_ckplus_is_read_with_subjects_and_sequences(ckplus: Path) -> None:
    assert find_layout(ckplus) == "ckplus"
    faces = load_faces(ckplus)
    assert faces.subject is not None and faces.subject.tolist() == ["S010", "S010", "S138", "S010"]
    assert faces.groups["sequence"].tolist() == ["004", "004", "008", "002"]
    names = [CKPLUS_7.names[label] for label in faces.labels]
    assert names == ["anger", "anger", "contempt", "surprise"]
    assert all(np.array_equal(image, pixels(i + 1)) for i, image in enumerate(faces.images))
    assert faces.part is None


def test_contempt_is_optional(ckplus: Path) -> None:
    faces = load_ckplus(ckplus, contempt=False)
    assert counts(faces)["contempt"] == 0 and faces.row.tolist() == [0, 1, 3]


def test_contempt_has_no_label_in_fer2013(ckplus: Path) -> None:
    faces = load_faces(ckplus)
    assert truth_in(faces, FER2013_7).tolist() == [0, 0, UNLABELED, FER2013_7.index("surprise")]
    joined = concat_faces([faces], space=FER2013_7, name="merged")
    assert joined.labels.tolist() == [0, 0, FER2013_7.index("surprise")]
    assert joined.file is not None and len(joined.file) == 3


BAD_NAMES = ["S10_004_00000017.png", "x.png", "S010-004-00000017.png", "S010_004_00000017.jpg"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_malformed_name_in_ckplus_is_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "c.zip", {**CKPLUS, f"CK+48/CK+48/fear/{name}": encode()})
    with pytest.raises(InputError, match=rf"fear/{re.escape(name)}.*is not a picture of CK\+"):
        load_faces(path)


def test_an_unknown_class_in_ckplus_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "c.zip", {**CKPLUS, "CK+48/bored/S010_004_00000017.png": encode()})
    with pytest.raises(InputError, match="no class of ckplus-7 is called 'bored'; it has anger"):
        load_faces(path)


def test_a_picture_of_another_size_in_ckplus_is_refused(tmp_path: Path) -> None:
    name = "CK+48/CK+48/fear/S010_001_00000001.png"
    with pytest.raises(InputError, match="640 x 640 pixels, this set has 48 x 48"):
        load_faces(write_zip(tmp_path / "c.zip", {**CKPLUS, name: encode(640)}))


def test_a_damaged_member_of_a_zip_file_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "c.zip", CKPLUS)
    data = path.read_bytes()
    at = data.index(encode(seed=4)) + 100
    path.write_bytes(data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    with pytest.raises(InputError, match=r"S010_002_00000014\.png is damaged \(Bad CRC"):
        load_faces(path)


@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 99_999_999))
def test_names_of_ckplus_are_parsed_back(subject: int, sequence: int, frame: int) -> None:
    found = parse_name(f"S{subject:03d}_{sequence:03d}_{frame:08d}.png")
    assert found == (f"S{subject:03d}", f"{sequence:03d}", frame)


@given(st.text(max_size=30) | st.from_regex(r"S\d+_\d+_\d+\.png", fullmatch=True))
def test_any_other_name_is_one_clear_error(name: str) -> None:
    if re.fullmatch(r"S[0-9]{3}_[0-9]{3}_[0-9]{8}\.png", name):
        return
    with pytest.raises(InputError, match=r"as S010_004_00000017\.png"):
        parse_name(name)


@needs_ck
def test_the_ckplus_we_hold_has_its_counts() -> None:
    assert find_layout(CK) == "ckplus"
    faces = load_faces(CK)
    assert counts(faces) == {
        "anger": 135,
        "contempt": 54,
        "disgust": 177,
        "fear": 75,
        "happy": 207,
        "sadness": 84,
        "surprise": 249,
    }
    assert faces.subject is not None and len(set(faces.subject)) == 118
    sequences = set(zip(faces.subject, faces.groups["sequence"], strict=True))
    assert len(faces) == 3 * len(sequences) == 981
    assert (truth_in(faces, FER2013_7) == UNLABELED).sum() == 54


# --- RAF-DB --------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["", "basic"])
def test_rafdb_is_read_in_the_order_of_its_list(tmp_path: Path, inside: str) -> None:
    write_tree(tmp_path / inside, RAF)
    faces = load_faces(tmp_path)
    assert [RAFDB_7.names[label] for label in faces.labels] == ["happiness", "surprise", "neutral"]
    assert faces.part is not None and faces.part.tolist() == ["train", "train", "test"]
    assert faces.images.shape == (3, 100, 100, 3)
    blue = cv2.imdecode(np.frombuffer(RAF["Image/aligned/train_00002_aligned.jpg"], np.uint8), 1)
    assert blue is not None and np.array_equal(faces.images[0], blue[:, :, ::-1])
    expected = [FER2013_7.index(name) for name in ("happy", "surprise", "neutral")]
    assert truth_in(faces, FER2013_7).tolist() == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("test_0001.jpg 8", "line 2: 'test_0001.jpg 8', needs train_<number>.jpg or"),
        ("test_0001.jpg 0", "line 2: .* a label 1..7"),
        ("test_0001.jpg", "line 2: 'test_0001.jpg'"),
        ("valid_0001.jpg 3", "line 2: "),
        ("test_0001_aligned.jpg 3", "line 2: "),
        ("train_00001.jpg 3", "line 2: train_00001.jpg has a label already"),
        ("test_9999.jpg 3", "lacks 1 of the 2 pictures in EmoLabel.*test_9999_aligned.jpg"),
    ],
)
def test_a_malformed_label_of_rafdb_is_refused(tmp_path: Path, line: str, message: str) -> None:
    text = f"train_00001.jpg 1\n{line}\n".encode()
    write_tree(tmp_path, {**RAF, "EmoLabel/list_patition_label.txt": text})
    with pytest.raises(InputError, match=message):
        load_faces(tmp_path)


def test_an_empty_label_list_of_rafdb_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {**RAF, "EmoLabel/list_patition_label.txt": b"\n"})
    with pytest.raises(InputError, match="is empty: it needs a picture and its label"):
        load_faces(tmp_path)


# --- AffectNet -----------------------------------------------------------------------------------


def test_affectnet_is_read_with_valence_and_arousal(tmp_path: Path) -> None:
    faces = load_faces(write_tree(tmp_path, AFFECT))
    assert [AFFECTNET_8.names[label] for label in faces.labels] == [
        "happiness",
        "contempt",
        "neutral",
    ]
    assert faces.part is not None and faces.part.tolist() == ["train_set", "train_set", "val_set"]
    assert faces.groups["valence"].tolist() == ["0.5"] * 3
    assert faces.groups["arousal"].tolist() == ["-0.25"] * 3
    assert faces.images.shape == (3, 96, 96, 3)
    assert truth_in(faces, FER2013_7).tolist()[1] == UNLABELED


def test_numbers_of_affectnet_may_be_numbers(tmp_path: Path) -> None:
    write_tree(tmp_path, AFFECT)
    np.save(tmp_path / "val_set/annotations/3_exp.npy", np.array([6]))
    assert load_faces(tmp_path, part="val_set").labels.tolist() == [6]


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("exp", note(8), "3_exp.npy holds the label 8, needs 0..7"),
        ("exp", note(-1), "3_exp.npy holds the label -1"),
        ("exp", note(1.5), "3_exp.npy holds the label 1.5"),
        ("exp", note("sad"), "3_exp.npy does not hold one number"),
        ("exp", note("nan"), "3_exp.npy holds the label nan"),
        ("exp", b"", "3_exp.npy"),
        ("exp", b"junk", "3_exp.npy does not hold one number"),
        ("val", note(1.1), "3_val.npy holds 1.1, needs -1..1, or -2"),
        ("aro", note("inf"), "3_aro.npy holds inf"),
    ],
)
def test_a_malformed_annotation_is_named(
    tmp_path: Path, kind: str, data: bytes, message: str
) -> None:
    write_tree(tmp_path, {**AFFECT, f"val_set/annotations/3_{kind}.npy": data})
    with pytest.raises(InputError, match=message):
        load_faces(tmp_path)


def test_uncertain_valence_is_kept(tmp_path: Path) -> None:
    write_tree(tmp_path, {**AFFECT, "val_set/annotations/3_val.npy": note(-2)})
    assert load_faces(tmp_path, part="val_set").groups["valence"].tolist() == ["-2.0"]


def test_missing_annotations_are_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, AFFECT)
    for file in ("0_aro.npy", "10_exp.npy"):
        (tmp_path / "train_set/annotations" / file).unlink()
    with pytest.raises(InputError, match="2 annotations of 3 pictures are missing, the first is"):
        load_faces(tmp_path)


def test_a_part_of_affectnet_without_pictures_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path, affect("train_set", "1", 1))
    (tmp_path / "val_set/images").mkdir(parents=True)
    with pytest.raises(InputError, match="val_set/images holds no pictures"):
        load_faces(tmp_path)


# --- your own crops ------------------------------------------------------------------------------


def test_crops_of_any_size_are_scaled(tmp_path: Path) -> None:
    faces = load_faces(write_tree(tmp_path / "mine", FOLDERS))
    assert faces.images.shape == (2, 48, 48) and faces.name == "mine"
    assert [faces.space.names[label] for label in faces.labels] == ["happy", "sad"]


def test_one_colored_picture_makes_the_set_colored(tmp_path: Path) -> None:
    faces = load_faces(write_tree(tmp_path, {**FOLDERS, "happy/z.png": encode(48, color=True)}))
    assert faces.images.shape == (3, 48, 48, 3)
    grey = faces.images[faces.file != "happy/z.png"]
    assert (grey == grey[..., :1]).all() and (faces.images[1] != faces.images[1, :, :, :1]).any()


@pytest.mark.parametrize(
    ("classes", "space"),
    [
        (("happy", "neutral"), FER2013_7),
        (("happy", "Contempt"), FERPLUS_8),
        (("focused", "bored", "angry"), LEARNING_STATE_4),
    ],
)
def test_the_space_follows_from_the_folders(
    tmp_path: Path, classes: tuple[str, ...], space: LabelSpace
) -> None:
    write_tree(tmp_path, {f"{name}/x.png": encode() for name in classes})
    assert load_faces(tmp_path).space == space


def test_the_space_can_be_given(tmp_path: Path) -> None:
    write_tree(tmp_path, {"happy/x.png": encode()})
    faces = load_class_folders(tmp_path, space=CKPLUS_7)
    assert faces.labels.tolist() == [CKPLUS_7.index("happy")]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("boredom/x.png", "no class of fer2013-7 is called 'boredom'"),
        ("x.png", r"x\.png: pictures of this layout lie in <class>/a picture below"),
        ("happy/more/x.png", "lie in <class>/a picture below"),
    ],
)
def test_a_crop_out_of_place_is_refused(tmp_path: Path, file: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_faces(write_tree(tmp_path, {**FOLDERS, file: encode()}))


def test_pictures_without_folders_have_no_label(tmp_path: Path) -> None:
    faces = load_faces(write_tree(tmp_path, FLAT))
    assert faces.labels.tolist() == [UNLABELED] * 2
    assert faces.file is not None and faces.file.tolist() == ["a.png", "b.png"]
    assert faces.images.shape == (2, 48, 48)


def test_large_sets_are_built_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = load_faces(write_tree(tmp_path / "a", FOLDERS)).images
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pictures, "IN_MEMORY", 100)
    assert np.array_equal(load_faces(tmp_path / "a").images, small)
    assert {p.name for p in (tmp_path / "cache").iterdir()} == {"data"}


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 50)
    monkeypatch.setenv("CLASSPULSE_CACHE", str(tmp_path / "cache"))
    for path in (write_tree(tmp_path / "a", FOLDERS), write_zip(tmp_path / "c.zip", CKPLUS)):
        with pytest.raises(InputError, match="bytes, a face crop has at most 50"):
            load_faces(path)


@given(st.text(max_size=20))
def test_any_folder_name_is_a_label_or_none(name: str) -> None:
    for space in (FER2013_7, FERPLUS_8, CKPLUS_7):
        label = match_label(name, space)
        assert label is None or 0 <= label < len(space)


def spaces() -> Iterator[LabelSpace]:
    yield from (FER2013_7, FERPLUS_8, CKPLUS_7, RAFDB_7, AFFECTNET_8, LEARNING_STATE_4)


@pytest.mark.parametrize("space", spaces(), ids=lambda space: space.name)
@pytest.mark.parametrize("form", [str, str.upper, str.title, lambda name: f" {name}"])
def test_every_label_names_its_own_folder(space: LabelSpace, form: Callable[[str], str]) -> None:
    assert [match_label(form(n), space) for n in space.names] == list(range(len(space)))
