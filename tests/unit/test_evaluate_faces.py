"""Models side by side on the same faces: predictors, kinds of labels, results, report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import votes, write_artefact
from numpy.typing import NDArray

pytest.importorskip("sklearn")

from classpulse.core.errors import InputError, OutputError
from classpulse.core.labels import (
    CKPLUS_7,
    FER2013_7,
    FERPLUS_8,
    LEARNING_STATE_4,
    LabelSpace,
)
from classpulse.core.records import Scores
from classpulse.lab.data.faces import FaceSet
from classpulse.lab.evaluate import command, predictors
from classpulse.lab.evaluate.calibration import Calibration
from classpulse.lab.evaluate.faces import (
    choose_kinds,
    describe_evaluation,
    evaluation_json,
    measure,
    measure_robustness,
)
from classpulse.lab.evaluate.page import Extras, save_report
from classpulse.lab.evaluate.predictors import (
    VIEWS,
    Averaged,
    Ensemble,
    EnsembleSpec,
    Found,
    Member,
    load_ensemble,
    open_predictor,
    scores_in,
)

SIDE = 12


class Reader:
    """Answers the label that stands in the first pixel, in every given space."""

    def __init__(self, *spaces: LabelSpace, name: str = "reader", wrong: int = 0) -> None:
        self.name, self.source = name, "a fake"
        self.calibrations: dict[str, Calibration] = {}
        self._spaces, self._wrong = spaces, wrong
        self.passes = 0

    def predict(self, images: NDArray[np.uint8]) -> Found:
        self.passes += 1
        said = images[:, 0, 0].astype(int)
        if self._wrong:  # every so many-th picture
            said = np.where(np.arange(len(said)) % self._wrong == 0, said + 1, said)
        return tuple(self._scores(said, space) for space in self._spaces)

    @staticmethod
    def _scores(said: NDArray[np.int64], space: LabelSpace) -> Scores:
        probs = np.full((len(said), len(space)), 0.1 / (len(space) - 1), dtype=np.float32)
        probs[np.arange(len(said)), said % len(space)] = 0.9
        return Scores(probs, space)


def build_faces(labels: list[int], space: LabelSpace = FER2013_7, **more: Any) -> FaceSet:
    """Faces that show their label in every pixel."""
    images = np.stack([np.full((SIDE, SIDE), label, np.uint8) for label in labels])
    return FaceSet(images, np.array(labels, dtype=np.int64), space, "shown", **more)


FACES = build_faces([0, 1, 2, 3, 4, 5, 6] * 6)


def evaluate(*models: Any, faces: FaceSet = FACES, kinds: tuple[str, ...] = ()) -> dict[str, Any]:
    measured = measure(models, faces)
    return evaluation_json(measured, choose_kinds(measured, kinds))


# --- results -------------------------------------------------------------------------------------


def test_the_first_kind_stands_at_the_top() -> None:
    results = evaluate(Reader(FER2013_7, wrong=6))
    assert (results["kind"], results["n"], results["labels"][0]) == ("emotion", 42, "angry")
    assert results["accuracy"] == round(1 - 7 / 42, 4) == results["kinds"]["emotion"]["accuracy"]
    low, high = results["accuracy_interval"]
    assert low < results["accuracy"] < high


def test_every_kind_that_data_and_model_share_is_evaluated() -> None:
    rows = np.array([votes(anger=10), votes(neutral=10)])
    faces = build_faces([0, 6], votes=rows)
    both = Reader(FER2013_7, FERPLUS_8, LEARNING_STATE_4)
    results = evaluate(both, faces=faces)
    assert list(results["kinds"]) == ["emotion", "ferplus", "learning-state"]
    assert results["kinds"]["learning-state"]["labels"] == list(LEARNING_STATE_4.names)


def test_the_datas_own_labels_are_a_kind() -> None:
    faces = build_faces([0, CKPLUS_7.index("contempt"), 4], CKPLUS_7)
    kinds = evaluate(Reader(CKPLUS_7), faces=faces)["kinds"]
    assert list(kinds) == ["emotion", "ckplus-7"] and kinds["emotion"]["n"] == 2  # no contempt


def test_without_votes_nothing_is_said_about_ferplus() -> None:
    assert list(evaluate(Reader(FER2013_7, FERPLUS_8))["kinds"]) == ["emotion"]


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("mood",), r"unknown labels 'mood'; of shown: emotion, ferplus, learning-state"),
        (("ferplus",), r"needs FER\+ votes"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(kinds: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(Reader(FER2013_7), kinds=kinds)


def test_a_model_of_other_labels_says_what_it_answers() -> None:
    with pytest.raises(InputError, match="reader answers in learning-state-4; no rule leads"):
        evaluate(Reader(LEARNING_STATE_4), kinds=("emotion",))


def test_faces_without_labels_are_refused() -> None:
    nobody = build_faces([0, 1])
    with pytest.raises(InputError, match="share no kind of labels"):
        evaluate(Reader(FER2013_7), faces=replace(nobody, labels=np.array([-1, -1])))


def test_no_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="has no pictures"):
        measure([Reader(FER2013_7)], FACES.take(np.zeros(len(FACES), bool), name="none"))


def test_models_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="give each once: reader, reader"):
        measure([Reader(FER2013_7), Reader(FER2013_7)], FACES)


def test_progress_reaches_the_whole() -> None:
    seen: list[tuple[str, int, int]] = []
    measure([Reader(FER2013_7)], FACES, on_step=lambda *step: seen.append(step))
    assert seen[-1] == ("reader", len(FACES), len(FACES))


# --- side by side --------------------------------------------------------------------------------


def test_a_rival_is_compared_on_the_same_rows() -> None:
    results = evaluate(Reader(FER2013_7), Reader(FER2013_7, name="other", wrong=2))
    gap = results["comparisons"]["other"]["accuracy"]
    assert gap["first"] == 1.0 and gap["second"] == 0.5 and gap["p"] < 0.01
    assert results["comparisons"]["other"]["mcnemar"]["first_only"] == 21
    assert results["rivals"]["other"]["accuracy"] == 0.5


def test_a_rival_without_the_labels_is_named_as_such() -> None:
    results = evaluate(Reader(FER2013_7), Reader(LEARNING_STATE_4, name="states"))
    assert results["rivals"] == {} and "states" in results["models"]
    assert "states       -  answers in no label space" in describe_evaluation(results)


def test_the_text_has_a_row_for_every_model_and_a_test() -> None:
    text = describe_evaluation(evaluate(Reader(FER2013_7), Reader(FER2013_7, name="o", wrong=2)))
    lines = text.splitlines()
    assert lines[3].startswith("emotion        reader      42  1.0000 [1.0000, 1.0000]")
    assert lines[4].startswith("emotion        o           42  0.5000")
    assert "difference" in lines[5] and "McNemar" in lines[5] and "+0.5000" in lines[5]


# --- scores in another space ---------------------------------------------------------------------


def test_scores_are_renamed_by_a_rule() -> None:
    found = Reader(CKPLUS_7).predict(build_faces([0]).images)
    scores = scores_in(found, FER2013_7)
    assert scores is not None and scores.top.tolist() == [FER2013_7.index("angry")]


def test_a_row_of_which_nothing_is_kept_says_nothing() -> None:
    probs = np.eye(7, dtype=np.float32)[[CKPLUS_7.index("contempt")]]
    scores = scores_in((Scores(probs, CKPLUS_7),), FER2013_7)
    assert scores is not None and np.allclose(scores.probs, 1 / 7)


def test_no_rule_no_scores() -> None:
    assert scores_in(Reader(LEARNING_STATE_4).predict(FACES.images), FER2013_7) is None


# --- views ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("views", "passes"), [("none", 1), ("flip", 2), ("ten-crop", 10), ("shift", 9), ("scale", 3)]
)
def test_every_view_is_one_pass_of_the_same_size(views: str, passes: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 40), dtype=np.uint8)
    seen = [view(images) for view in VIEWS[views]]
    assert len(seen) == passes and {v.shape for v in seen} == {images.shape}
    assert len({v.tobytes() for v in seen}) == passes


def test_views_are_averaged() -> None:
    images = np.zeros((1, SIDE, SIDE), np.uint8)
    images[:, :, SIDE // 2 :] = 3
    scores = Averaged(Reader(FER2013_7), "flip").predict(images)[0]
    assert scores.probs[0, 0] == scores.probs[0, 3] == pytest.approx((0.9 + 0.1 / 6) / 2)


def test_flipping_twice_is_flipping_once() -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    _, mirror = VIEWS["flip"]
    assert np.array_equal(mirror(mirror(images)), images)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_shifts_move_a_picture_by_two_pixels_and_repeat_its_border(channels: tuple[int]) -> None:
    images = np.random.default_rng(2).integers(0, 256, (2, 48, 48, *channels), dtype=np.uint8)
    still, left, right, up, *_, down_right = (view(images) for view in VIEWS["shift"])
    assert np.array_equal(still, images)
    assert np.array_equal(left[:, :, :-2], images[:, :, 2:])
    assert np.array_equal(left[:, :, -1], images[:, :, -1])
    assert np.array_equal(right[:, :, 2:], images[:, :, :-2])
    assert np.array_equal(up[:, :-2], images[:, 2:])
    assert np.array_equal(down_right[:, 2:, 2:], images[:, :-2, :-2])
    assert np.array_equal(down_right[:, 0, 0], images[:, 0, 0])


def test_shifts_grow_with_the_picture() -> None:
    images = np.random.default_rng(3).integers(0, 256, (1, 96, 96), dtype=np.uint8)
    _, left, *_ = (view(images) for view in VIEWS["shift"])
    assert np.array_equal(left[:, :, :-4], images[:, :, 4:])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_scales_change_the_face_and_keep_its_middle(channels: tuple[int]) -> None:
    images = np.zeros((2, 49, 49, *channels), np.uint8)
    images[:, 12:37, 12:37] = 200  # 25 pixels wide, around the middle
    smaller, same, larger = (view(images) for view in VIEWS["scale"])
    assert np.array_equal(same, images)
    areas = [(view > 100).sum() / (images > 100).sum() for view in (smaller, larger)]
    assert areas == pytest.approx([0.92**2, 1.08**2], abs=0.08)
    for view in (smaller, larger):
        assert np.abs(view.astype(int) - view[:, ::-1, ::-1]).max() <= 1


def test_unknown_views_list_the_known() -> None:
    with pytest.raises(
        InputError, match="unknown views 'spin'; known: none, flip, ten-crop, shift"
    ):
        open_predictor("face-base", views="spin")


# --- artefacts and ensembles ---------------------------------------------------------------------


def test_an_artefact_answers_for_all_its_heads(tmp_path: Path) -> None:
    model = open_predictor(str(write_artefact(tmp_path / "tiny")))
    found = model.predict(np.zeros((70, 48, 48), np.uint8))  # more than one batch
    assert [s.space for s in found] == [FER2013_7, LEARNING_STATE_4]
    assert [len(s) for s in found] == [70, 70] and "sha256" in model.source


def test_an_ensemble_is_the_weighted_mean() -> None:
    spec = EnsembleSpec("both", (Member("a", 3.0), Member("b", 1.0)))
    both = Ensemble(spec, [Reader(FER2013_7), Reader(FER2013_7, LEARNING_STATE_4, wrong=1)])
    [scores] = both.predict(build_faces([2]).images)
    near = 0.1 / 6
    assert scores.probs[0, 2] == pytest.approx(0.75 * 0.9 + 0.25 * near)
    assert scores.probs[0, 3] == pytest.approx(0.25 * 0.9 + 0.75 * near)


def test_members_without_a_common_space_are_refused() -> None:
    spec = EnsembleSpec("odd", (Member("a"), Member("b")))
    with pytest.raises(InputError, match="'odd' share no label space"):
        Ensemble(spec, [Reader(FER2013_7), Reader(LEARNING_STATE_4)]).predict(FACES.images)


def write_ensemble(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_an_ensemble_is_read_from_its_file(tmp_path: Path) -> None:
    tiny = str(write_artefact(tmp_path / "tiny"))
    members = [{"model": tiny}, {"model": tiny, "weight": 2}]
    path = write_ensemble(tmp_path / "e.json", {"name": "twice", "members": members})
    model = open_predictor(str(path))
    assert model.name == "twice" and "tiny x 0.667" in model.source
    assert len(model.predict(np.zeros((2, 48, 48), np.uint8))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ({"name": "x", "members": []}, "two members or more"),
        ({"name": "x", "members": [{"model": "a"}]}, "two members or more"),
        ({"name": "x", "members": [{"model": "a", "weight": 0}] * 2}, "a weight above 0"),
        ({"name": "x", "members": [{"model": "a", "colour": 1}] * 2}, "unknown .'colour'"),
        ({"name": "x", "members": [{"model": "e.json"}] * 2}, "cannot be an ensemble"),
        ({"members": []}, "missing .'name'"),
    ],
)
def test_a_malformed_ensemble_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_ensemble(write_ensemble(tmp_path / "e.json", content))


def test_a_missing_ensemble_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none.json"):
        open_predictor(str(tmp_path / "none.json"))


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """`open_predictor` gives readers."""

    def fake(spec: str, *, views: str = "none", threads: int = 2) -> Any:
        return Reader(FER2013_7, name=spec, wrong=3 if spec == "worse" else 0)

    monkeypatch.setattr(command, "open_predictor", fake)
    monkeypatch.setattr(predictors, "open_predictor", fake)


def silent(what: str, done: int, whole: int) -> None:
    """An `OnStep` for tests."""


@pytest.mark.usefixtures("opened")
def test_a_report_is_a_folder_with_page_numbers_and_plots(tmp_path: Path) -> None:
    groups = {"age": np.array(["adult", "child"] * 21)}
    faces = replace(FACES, groups=groups)
    out = tmp_path / "out"
    results = command.run_evaluation(
        ["best", "worse"], faces, on_step=silent, report=out, extras=Extras(14, 12, 6)
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "worse" in page and "Robustness" in page and "By age" in page
    saved = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert saved["accuracy"] == results["accuracy"] and "threshold" not in saved["selective"]
    plots = {p.stem for p in out.glob("*.svg")}
    assert plots == {
        "confusion", "histogram", "reliability", "risk-coverage", "robustness", "groups",
        "embedding", "samples",
    }  # fmt: skip
    assert not list(out.glob("*.partial"))


@pytest.mark.usefixtures("opened")
def test_extras_need_a_report() -> None:
    with pytest.raises(InputError, match="give --report too"):
        command.run_evaluation(["best"], FACES, on_step=silent, extras=Extras(samples=10))


@pytest.mark.usefixtures("opened")
def test_no_pictures_are_shown_unless_asked_for(tmp_path: Path) -> None:
    command.run_evaluation(["best"], FACES, on_step=silent, report=tmp_path)
    assert not (tmp_path / "samples.svg").exists()
    assert "<image" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_negative_number_of_pictures_is_refused() -> None:
    with pytest.raises(InputError, match="--samples -1: pictures are 0 or more"):
        Extras(samples=-1)


def test_a_report_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    measured = measure([Reader(FER2013_7)], FACES)
    results = evaluation_json(measured, choose_kinds(measured))
    with pytest.raises(OutputError, match="is a file, not a folder: choose another place"):
        save_report(measured, results, FER2013_7, tmp_path / "file" / "out", extras=Extras())


def test_robustness_asks_about_a_sample_with_labels() -> None:
    model = Reader(FER2013_7)
    rows = measure_robustness(model, FACES, FER2013_7, sample=14)
    assert {row.n for row in rows} == {14} and rows[0].accuracy.value == 1.0
    assert model.passes == len(rows) - len({row.degradation for row in rows}) + 1


def test_the_held_out_part_is_evaluated_unless_told_otherwise() -> None:
    part = np.array(["Training", "PublicTest"] * 21)
    faces = replace(FACES, part=part)
    assert len(command.choose_faces(faces, None)) == 21
    assert command.choose_faces(faces, "Training").name == "shown Training"
    assert len(command.choose_faces(FACES, None)) == 42
    rafdb = replace(FACES, part=np.array(["train", "train", "test"] * 14))
    assert command.choose_faces(rafdb, None).name == "shown test"
    with pytest.raises(InputError, match="no part 'test': it has PublicTest, Training"):
        command.choose_faces(faces, "test")
