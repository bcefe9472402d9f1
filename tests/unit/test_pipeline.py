"""The main path with fake parts: order, abstention, privacy, interrupts, and what is on disk."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import (
    GATE,
    HEADS,
    TEMPLATE,
    FakeModel,
    FakeSource,
    answer_with,
    build_faces,
    build_frame,
    noise,
    pick,
    sure,
    write_artefact,
)
from numpy.typing import NDArray
from stage import Find, Stage, always, frames

from classpulse.core.errors import InputError, ModelError, OutputError, PrivacyError, ShapeError
from classpulse.core.labels import FER2013_7, LEARNING_STATE_4
from classpulse.core.records import Faces, Frame, Reading, Scores
from classpulse.engage.score import LinearEngagement, preset_text
from classpulse.room import pipeline, video
from classpulse.room.analyze import Progress, analyze
from classpulse.room.pipeline import Observation, watch
from classpulse.room.privacy import Privacy
from classpulse.runtime.model import OnnxModel

ALONE = Privacy(single_subject=True, consent="form 12")


FRONT = always((20, 20))


def run(
    find: Find = FRONT,
    *,
    source: FakeSource | None = None,
    model: FakeModel | None = None,
    **options: Any,
) -> list[Observation]:
    """All observations of a fake session; four frames unless told otherwise."""
    given: Any = source or FakeSource(frames(4))
    network: Any = model or FakeModel()
    return list(watch(given, detector=find, model=network, **options))


def last(find: Find, **options: Any) -> Reading:
    """The only reading of the last frame."""
    (reading,) = run(find, **options)[-1].readings
    return reading


# --- order ---------------------------------------------------------------------------------------


def test_every_frame_is_observed_in_order() -> None:
    assert [seen.frame.t for seen in run()] == [0.0, 0.5, 1.0, 1.5]


def test_the_first_sight_of_a_face_is_no_reading_yet() -> None:
    assert [len(seen.readings) for seen in run()] == [0, 1, 1, 1]


def test_all_detections_are_observed_even_unconfirmed_ones() -> None:
    assert [len(seen.faces) for seen in run(always((20, 20), (200, 20)))] == [2, 2, 2, 2]


def test_readings_are_in_the_order_of_the_faces() -> None:
    seen = run(always((20, 20), (200, 20), (110, 130)))[-1]
    assert seen.faces.track is not None
    expected = [f"S{number:02d}" for number in seen.faces.track]
    assert [r.subject for r in seen.readings] == expected and len(expected) == 3


def test_a_reading_has_the_time_of_its_frame() -> None:
    assert [r.t for seen in run() for r in seen.readings] == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("kind", ["live", "stills", "serial"])
def test_frames_are_read_as_they_are_needed(kind: str) -> None:
    asked: list[float] = []

    def find(frame: Frame) -> Faces:
        asked.append(frame.t)
        return Faces.none()

    model: Any = FakeModel()
    source: Any = FakeSource(frames(10), sequence=kind != "stills")
    source.live = kind == "live"
    stream = watch(source, detector=find, model=model, overlap=kind != "serial")
    next(stream), next(stream)
    assert asked == [0.0, 0.5]


def test_all_faces_of_a_frame_go_through_the_network_at_once() -> None:
    model = FakeModel()
    run(always((20, 20), (200, 20)), model=model)
    assert [len(batch) for batch in model.batches] == [0, 2, 2, 2]


def test_the_network_gets_prepared_faces() -> None:
    model = FakeModel()
    run(model=model)
    assert model.batches[-1].shape == (1, 1, 48, 48) and model.batches[-1].dtype == np.float32


def test_answers_go_to_the_right_faces() -> None:
    """The middle of three faces is too small, so rows and faces do not have the same numbers."""

    def find(frame: Frame) -> Faces:
        return Faces(
            np.array([[0, 0, 60, 60], [100, 0, 110, 10], [200, 0, 260, 60]], np.float32), np.ones(3)
        )

    def by_place(batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        assert len(batch) in (0, 2)
        emotion, state = np.zeros((len(batch), 7)), np.zeros((len(batch), 4))
        for row in range(len(batch)):
            emotion[row, [3, 4][row]] = state[row, [2, 1][row]] = 1
        one = answer_with(emotion=("happy", 1.0), state=("focused", 1.0))(batch)
        return {
            "emotion": Scores(emotion, one["emotion"].space),
            "state": Scores(state, one["state"].space),
        }

    seen = run(find, model=FakeModel(by_place))[-1]
    assert [r.label("emotion") for r in seen.readings] == ["happy", None, "sad"]
    assert [r.abstained for r in seen.readings] == [None, "face too small", None]


def test_engagement_is_smoothed_per_subject() -> None:
    def find(frame: Frame) -> Faces:
        return build_faces((20, 20)) if frame.t < 4 else build_faces((20, 20), (200, 20))

    mood = iter([("bored", 1.0)] * 8 + [("focused", 1.0)] * 8)

    def moody(batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        return answer_with(emotion=("neutral", 1.0), state=next(mood))(batch)

    seen = run(find, source=FakeSource(frames(16)), model=FakeModel(moody))[-1]
    old, new = (r.engagement for r in seen.readings)
    assert old is not None and new is not None
    assert new.value == pytest.approx(0.8) and 0.05 < old.value < 0.8


def test_without_smoothing_engagement_is_that_of_the_frame() -> None:
    gauge = last(always((20, 20)), smooth=0.0).engagement
    assert gauge is not None and gauge.value == pytest.approx(1.0)


def test_stills_are_nobody_followed() -> None:
    seen = run(source=FakeSource(frames(3), sequence=False))
    assert [[r.subject for r in s.readings] for s in seen] == [["S01"], ["S02"], ["S03"]]


def test_an_opened_source_is_left_open() -> None:
    source = FakeSource(frames(2))
    run(source=source)
    assert not source.closed


def test_a_named_source_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeSource(frames(2))
    monkeypatch.setattr(pipeline, "open_source", lambda name, every: source)
    model: Any = FakeModel()
    list(watch("lesson.mp4", detector=always((20, 20)), model=model))
    assert source.closed


# --- abstention ----------------------------------------------------------------------------------


def test_a_good_face_gets_a_statement() -> None:
    reading = last(always((20, 20)))
    assert reading.abstained is None and reading.label("state") == "focused"


def test_a_small_face_abstains() -> None:
    assert last(always((20, 20), side=20)).abstained == "face too small"


def test_a_face_just_large_enough_does_not() -> None:
    assert last(always((20, 20), side=24)).abstained is None


def test_a_turned_face_abstains() -> None:
    def find(frame: Frame) -> Faces:
        faces = build_faces((20, 20))
        marks = faces.landmarks.copy()  # type: ignore[union-attr]
        marks[0, 2, 0] = marks[0, 1, 0]  # the nose under the left eye
        return pick(faces, landmarks=marks)

    assert last(find).abstained == "turned away"


def test_a_blurred_face_abstains() -> None:
    flat = np.tile(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], (240, 1, 3))
    source = FakeSource([build_frame(i * 0.5, flat) for i in range(3)])
    assert last(always((20, 20)), source=source).abstained == "blurred"


@pytest.mark.parametrize(
    ("gain", "why"), [(0.0, "too dark"), (0.15, "too dark"), (1.0, None), (9.0, "too bright")]
)
def test_a_badly_lit_face_abstains(gain: float, why: str | None) -> None:
    image = np.clip(noise() * gain, 0, 255).astype(np.uint8)
    source = FakeSource([build_frame(i * 0.5, image) for i in range(3)])
    model = FakeModel(gate=replace(GATE, min_light=0.2, max_light=0.8))
    reading = last(FRONT, source=source, model=model)
    assert reading.abstained == why and 0 <= reading.quality["light"] <= 1


@pytest.mark.parametrize("gain", [0.15, 9.0])
def test_without_limits_of_light_any_light_will_do(gain: float) -> None:
    image = np.clip(noise() * gain, 0, 255).astype(np.uint8)
    source = FakeSource([build_frame(i * 0.5, image) for i in range(3)])
    assert last(FRONT, source=source).abstained is None


def test_an_unsure_network_abstains() -> None:
    unsure = FakeModel(answer_with(emotion=("happy", 0.29), state=("focused", 1.0)))
    assert last(always((20, 20)), model=unsure).abstained == "low confidence"


def test_only_the_first_head_decides_about_confidence() -> None:
    unsure = FakeModel(answer_with(emotion=("happy", 1.0), state=("focused", 0.26)))
    assert last(always((20, 20)), model=unsure).abstained is None


@pytest.mark.parametrize(
    ("least", "why"),
    [(None, None), (0.0, None), (0.79, None), (0.81, "low confidence"), (1.0, "low confidence")],
)
def test_how_sure_is_sure_enough_can_be_said(least: float | None, why: str | None) -> None:
    model = FakeModel(answer_with(emotion=("happy", 0.8), state=("focused", 1.0)))
    assert last(FRONT, model=model, min_confidence=least).abstained == why
    assert model.card.gate == GATE


def test_what_the_card_keeps_silent_about_can_be_heard() -> None:
    unsure = FakeModel(answer_with(emotion=("happy", 0.29), state=("focused", 1.0)))
    assert last(FRONT, model=unsure, min_confidence=0.2).label("emotion") == "happy"


def test_the_other_limits_stay_when_a_confidence_is_given() -> None:
    assert last(always((20, 20), side=20), min_confidence=0.0).abstained == "face too small"


def test_a_face_without_landmarks_is_never_turned() -> None:
    reading = last(lambda frame: pick(build_faces((20, 20)), landmarks=None))
    assert reading.abstained is None and "turn" not in reading.quality


@pytest.mark.parametrize("side", [20.0, 60.0])
def test_quality_is_told_whether_a_statement_is_made_or_not(side: float) -> None:
    quality = last(always((20, 20), side=side)).quality
    assert quality["face_px"] == pytest.approx(side) and quality["sharpness"] > 0


def test_a_refused_face_never_reaches_the_network() -> None:
    model = FakeModel()
    run(always((20, 20), side=10), model=model)
    assert sum(len(batch) for batch in model.batches) == 0


def test_nan_from_the_network_is_an_error(tmp_path: Path) -> None:
    outputs = {"emotion_probs": [np.nan] * 7, "state_probs": [0.0] * 4}
    folder = write_artefact(tmp_path / "tiny", outputs)
    with pytest.raises(ModelError, match="impossible answer"):
        list(watch(FakeSource(frames(3)), detector=always((20, 20)), model=str(folder)))


# --- heads that do not always apply --------------------------------------------------------------

CALM = (HEADS[0], replace(HEADS[1], given=("emotion:neutral", "emotion:sad")))


def calm(emotion: str, p: float = 1.0) -> FakeModel:
    """A network whose state head knows neutral and sad faces only, and always says focused."""
    return FakeModel(answer_with(emotion=(emotion, p), state=("focused", 1.0)), heads=CALM)


@pytest.mark.parametrize(
    ("emotion", "state"), [("neutral", "focused"), ("sad", "focused"), ("happy", None)]
)
def test_a_head_is_heard_where_it_applies(emotion: str, state: str | None) -> None:
    reading = last(FRONT, model=calm(emotion))
    assert reading.label("state") == state and reading.label("emotion") == emotion


@pytest.mark.parametrize(("p", "heard"), [(0.55, True), (0.35, False)])
def test_a_head_is_heard_when_it_applies_more_likely_than_not(p: float, heard: bool) -> None:
    assert (last(FRONT, model=calm("neutral", p)).label("state") is not None) == heard


def test_a_smile_counts_although_it_has_no_state() -> None:
    reading = last(FRONT, model=calm("happy"), smooth=0.0)
    assert reading.abstained is None and reading.engagement is not None
    assert reading.engagement.value == pytest.approx(0.35 + 0.2)


# --- options -------------------------------------------------------------------------------------


def test_the_papers_weights_are_taken_for_any_expressions() -> None:
    reading = last(FRONT, model=calm("happy"), smooth=0.0, preset="paper")
    assert reading.engagement is not None
    assert reading.engagement.value == pytest.approx(1.0)  # 0.3 + 0.7, of a happy face


def test_an_unknown_detector_is_refused() -> None:
    source: Any = FakeSource(frames(1))
    with pytest.raises(InputError, match="unknown detector"):
        list(watch(source, detector="yolo"))


@pytest.mark.parametrize("smooth", [-1.0, float("nan"), float("inf")])
def test_impossible_smoothing_is_refused(smooth: float) -> None:
    with pytest.raises((InputError, ShapeError), match="smooth"):
        run(smooth=smooth)


@pytest.mark.parametrize("least", [-0.1, 1.01, 80.0, float("nan")])
def test_an_impossible_confidence_is_refused(least: float) -> None:
    message = r"min_confidence = .* from 0 \(always answer\) to 1, .* the model's own, 0.3"
    with pytest.raises(InputError, match=message):
        run(min_confidence=least)


@pytest.mark.parametrize("least", [0.0, 0.8])
def test_a_confidence_is_refused_where_nothing_is_read_from_faces(least: float) -> None:
    with pytest.raises(InputError, match="'eu-school' reads nothing from them: leave it out"):
        run(min_confidence=least, privacy=Privacy("eu-school"))


# --- privacy -------------------------------------------------------------------------------------


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(pipeline, "OnnxModel", refuse)


def test_in_eu_schools_no_network_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_networks(monkeypatch)
    source: Any = FakeSource(frames(3))
    seen = list(watch(source, detector=always((20, 20)), privacy=Privacy("eu-school")))
    assert len(seen[-1].readings) == 1


def test_in_eu_schools_faces_are_counted_and_nothing_else() -> None:
    reading = last(always((20, 20)), privacy=Privacy("eu-school"))
    assert reading.abstained == "not allowed by the profile" and not reading.scores
    assert reading.quality.keys() == {"face_px"}


def test_in_eu_schools_a_given_network_is_not_asked() -> None:
    model = FakeModel()
    run(model=model, privacy=Privacy("eu-school"))
    assert model.batches == []


def test_a_second_person_stops_a_single_subject_session() -> None:
    with pytest.raises(PrivacyError, match="one consented person"):
        run(always((20, 20), (200, 20)), privacy=ALONE)


def joined(*parts: Faces) -> Faces:
    marks = [part.landmarks for part in parts if part.landmarks is not None]
    return Faces(
        np.concatenate([part.box for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate(marks),
    )


def beside(*, score: float, at: Collection[float]) -> Find:
    """A detector that sees the same face always, and in some frames a second one."""

    def find(frame: Frame) -> Faces:
        first = build_faces((20, 20))
        second = build_faces((200, 20), score=score)
        return joined(first, second) if frame.t in at else first

    return find


@pytest.mark.parametrize("score", [0.81, 0.85, 0.99])
def test_a_second_face_that_is_no_subject_stops_such_a_session(score: float) -> None:
    """The tracker begins with a surer face, but nobody else may be in view."""
    source = FakeSource(frames(8))
    with pytest.raises(PrivacyError, match=r"2 faces are in view at 2\.0 s"):
        run(beside(score=score, at=(1.5, 2.0, 2.5, 3.0, 3.5)), source=source, privacy=ALONE)


@pytest.mark.parametrize(
    ("score", "at"), [(0.75, (0.0, 0.5, 1.0, 1.5)), (0.85, (0.5, 1.5, 2.5)), (0.95, (1.0,))]
)
def test_what_is_hardly_a_face_or_gone_again_stops_nothing(
    score: float, at: Collection[float]
) -> None:
    source = FakeSource(frames(8))
    seen = run(beside(score=score, at=at), source=source, privacy=ALONE)
    assert len(seen) == 8


def test_a_face_that_is_carried_along_is_one_look() -> None:
    find, source = beside(score=0.85, at=(1.0,)), FakeSource(frames(8))
    assert len(run(find, source=source, privacy=ALONE, detect_every=1.0)) == 8


def test_one_picture_of_one_person_is_fine_among_empty_ones() -> None:
    def find(frame: Frame) -> Faces:
        return build_faces((20, 20)) if frame.t == 0.5 else Faces.none()

    seen = run(find, source=FakeSource(frames(3), sequence=False), privacy=ALONE)
    assert [len(s.readings) for s in seen] == [0, 1, 0]


def test_pictures_of_one_consented_person_are_refused_from_the_second_on() -> None:
    """Nothing says that it is the same person in both."""
    stream = watch(
        FakeSource(frames(3), sequence=False), detector=FRONT, model=FakeModel(), privacy=ALONE
    )  # type: ignore[arg-type]
    assert len(next(stream).readings) == 1
    with pytest.raises(PrivacyError, match="more than one picture"):
        next(stream)


# --- analyze: from source to files ---------------------------------------------------------------


FILES = ["codebook.csv", "readings.csv", "readings.parquet", "report.html", "summary.json"]


def test_analyze_writes_five_files(stage: Stage) -> None:
    session = stage.run()
    assert stage.names() == FILES == sorted(session.files)


def test_the_summary_has_the_confidence_that_was_asked_for(stage: Stage) -> None:
    stage.model = FakeModel(answer_with(emotion=("happy", 0.8), state=("focused", 1.0)))
    assert stage.run(min_confidence=0.9).summary["counts"]["reasons"] == {"low confidence": 30}
    gate = stage.summary()["model"]["gate"]
    assert (gate["min_confidence"], gate["min_face_px"]) == (0.9, GATE.min_face_px)


def test_without_a_folder_nothing_is_written(stage: Stage) -> None:
    session = stage.run(out=None)
    assert session.files == {} and stage.names() == [] and len(session.readings) > 0


def test_the_table_and_the_csv_have_the_same_readings(stage: Stage) -> None:
    session = stage.run()
    assert [line["subject"] for line in stage.lines()] == session.readings["subject"].tolist()
    assert len(session.readings) == 30  # six people, the first frame confirms nobody


def test_the_stored_summary_is_the_returned_one(stage: Stage) -> None:
    session = stage.run()
    assert stage.summary() == json.loads(json.dumps(session.summary))


def test_the_summary_counts(stage: Stage) -> None:
    counts = stage.run().summary["counts"]
    assert counts == {
        "frames": 6, "sightings": 36, "readings": 30, "abstained": 0, "subjects": 6, "reasons": {}
    }  # fmt: skip


def test_a_class_of_six_has_a_value(stage: Stage) -> None:
    assert stage.run().summary["overall"]["engagement"]["value"] == pytest.approx(1.0)


def test_a_group_of_four_has_none(stage: Stage) -> None:
    stage.find = always(*[(10 + 75.0 * i, 20) for i in range(4)])
    overall = stage.run().summary["overall"]
    assert overall["n"] == 4
    assert overall["engagement"] is overall["state"] is overall["emotion"] is None


def test_copies_of_one_portrait_are_no_class(stage: Stage) -> None:
    stage.source = FakeSource(frames(5), sequence=False)
    stage.find = always((20, 20))
    summary = stage.run().summary
    for row in (summary["overall"], *summary["windows"]):
        assert row["engagement"] is row["state"] is row["emotion"] is None
        assert row["people"] == 1 and row["counted"] == {}
    assert summary["overall"]["n"] == 5
    assert "fewer than 5 people" in (stage.out / "report.html").read_text()


def test_one_person_who_leaves_and_returns_is_no_class(stage: Stage) -> None:
    step = 60.0  # long enough away for the track to end
    times = (step * i + t for i in range(6) for t in (0, 0.5, 1))
    stage.source = FakeSource([build_frame(t) for t in times])
    stage.find = lambda frame: Faces.none() if frame.t % step == 1 else build_faces((20, 20))
    summary = stage.run(window=600.0).summary
    overall = summary["overall"]
    assert overall["n"] == 6 and overall["people"] == 1 and overall["engagement"] is None
    assert summary["windows"][0]["emotion"] is None


def test_a_head_is_shown_only_where_five_people_have_it(stage: Stage) -> None:
    """Six faces, but the state of three: n of the picture is not n of the state."""

    def answer(batch: NDArray[np.float32]) -> Mapping[str, Scores]:
        emotion = np.zeros((len(batch), 7))
        emotion[:3, FER2013_7.index("neutral")] = emotion[3:, FER2013_7.index("happy")] = 1
        state = np.repeat(sure(LEARNING_STATE_4, "focused").probs, len(batch), axis=0)
        return {"emotion": Scores(emotion, FER2013_7), "state": Scores(state, LEARNING_STATE_4)}

    stage.model = FakeModel(answer, heads=CALM)
    overall = stage.run().summary["overall"]
    assert overall["state"] is None and overall["emotion"] is not None
    assert overall["counted"] == {k: {"n": 6, "people": 6} for k in ("emotion", "engagement")}


def test_a_model_of_emotions_alone_is_reported(stage: Stage, tmp_path: Path) -> None:
    smile = LinearEngagement("smile", 0.0, {"emotion": {"happy": 1.0, "sad": 0.0}}, True, "a test")
    preset = tmp_path / "smile.json"
    preset.write_text(preset_text(smile))
    stage.model = FakeModel(answer_with(emotion=("happy", 1.0)), heads=HEADS[:1])
    session = stage.run(preset=str(preset), annotate=True)
    overall = session.summary["overall"]
    assert overall["emotion"]["happy"]["value"] == 1.0 and "state" not in overall
    page = (stage.out / "report.html").read_text()
    assert "Facial expressions" in page and "Learning states" not in page


def test_a_head_of_another_name_is_reported(stage: Stage) -> None:
    seven = replace(HEADS[0], name="mood", output="mood_probs")
    stage.model = FakeModel(
        lambda batch: {
            "mood": Scores(np.repeat(sure(FER2013_7, "sad").probs, len(batch), axis=0), FER2013_7),
            **answer_with(emotion=("happy", 1.0), state=("focused", 1.0))(batch),
        },
        heads=(seven, *HEADS),
    )
    session = stage.run()
    assert session.summary["overall"]["mood"]["sad"]["value"] == 1.0
    assert set(session.readings["mood"]) == {"sad"}
    assert ">Mood</h3>" in (stage.out / "report.html").read_text()


def test_reasons_of_abstention_are_counted(stage: Stage) -> None:
    stage.find = always((20, 20), side=10)
    assert stage.run().summary["counts"]["reasons"] == {"face too small": 5}


def test_progress_is_told_after_every_frame(stage: Stage) -> None:
    told: list[Progress] = []
    stage.run(on_progress=told.append)
    assert [p.done for p in told] == [i * 0.5 for i in range(6)]


def test_a_window_can_be_chosen(stage: Stage) -> None:
    summary = stage.run(window=1.5).summary
    assert [(w["t0"], w["t1"]) for w in summary["windows"]] == [(0.0, 1.5), (1.5, 3.0)]


@pytest.mark.parametrize("window", [0.0, -1.0, float("nan")])
def test_an_impossible_window_is_refused(stage: Stage, window: float) -> None:
    with pytest.raises((InputError, ShapeError), match=r"window"):
        stage.run(window=window)


def test_the_source_is_closed_afterwards(stage: Stage) -> None:
    stage.run()
    assert stage.source.closed


def test_a_video_of_nobody_is_a_result(stage: Stage) -> None:
    stage.find = lambda frame: Faces.none()
    session = stage.run()
    assert stage.names() == FILES and session.summary["counts"]["readings"] == 0


def test_the_report_does_not_tell_where_the_file_was(stage: Stage) -> None:
    analyze("/home/ada/secret/lesson.mp4", out=stage.out, detector="fake")
    texts = [stage.out.joinpath(name).read_text() for name in ("summary.json", "report.html")]
    assert all("lesson.mp4" in text and "ada" not in text.split() for text in texts)
    assert not any("/home/ada" in text for text in texts)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("rtsp://ada:geheim@10.0.0.7/stream", "rtsp://10.0.0.7"),
        ("rtsp://10.0.0.7?user=ada&password=geheim", "rtsp://10.0.0.7"),
        ("rtsp://10.0.0.7;user=ada;pw=geheim", "rtsp://10.0.0.7"),
        ("rtsp://10.0.0.7:554/user=ada&password=geheim", "rtsp://10.0.0.7:554"),
        ("rtsps://ada:ge/h?geheim@[fe80::1]:322/a", "rtsps://[fe80::1]:322"),
        ("rtsp://10.0.0.7/s?user=ada&password=x@geheim", "rtsp://..."),
        ("rtsp://10.0.0.7#geheim", "rtsp://10.0.0.7"),
    ],
)
def test_the_password_of_a_camera_is_not_told(stage: Stage, url: str, told: str) -> None:
    session = analyze(url, out=stage.out, detector="fake")
    info = session.summary["session"]
    assert info["source"] == told and "geheim" not in info["id"]
    assert not any(b"geheim" in path.read_bytes() for path in session.files.values())


# interrupts and failures


def test_an_interrupt_gives_what_was_seen_so_far(stage: Stage) -> None:
    stage.source = FakeSource([*frames(4), KeyboardInterrupt()])
    session = stage.run()
    assert session.summary["session"]["complete"] is False and stage.names() == FILES
    assert len(stage.lines()) == len(session.readings) == 18


def test_an_interrupted_session_lasted_until_its_last_frame(stage: Stage) -> None:
    stage.source = FakeSource([*frames(4), KeyboardInterrupt()])
    stage.source.duration = 3600.0
    assert stage.run().summary["session"]["duration"] == 1.5


def test_an_undisturbed_session_is_complete(stage: Stage) -> None:
    assert stage.run().summary["session"]["complete"] is True


def test_a_broken_source_leaves_its_readings_as_partial(stage: Stage) -> None:
    stage.source = FakeSource([*frames(4), InputError("the file ends here")])
    with pytest.raises(InputError, match="ends here"):
        stage.run()
    assert stage.names() == ["readings.csv.partial"]


def test_an_output_folder_that_is_a_file_is_an_output_error(stage: Stage) -> None:
    stage.out.write_text("")
    with pytest.raises(OutputError):
        stage.run()


# privacy on disk


def test_a_second_person_removes_the_files(stage: Stage) -> None:
    def find(frame: Frame) -> Faces:  # the second person comes later
        return build_faces((20, 20)) if frame.t < 1.5 else build_faces((20, 20), (200, 20))

    stage.find = find
    with pytest.raises(PrivacyError):
        stage.run(privacy=ALONE, annotate=True)
    assert stage.names() == []


def test_an_earlier_session_survives_a_refused_one(stage: Stage) -> None:
    stage.run()
    before = (stage.out / "readings.csv").read_bytes()
    with pytest.raises(PrivacyError):
        stage.run(privacy=ALONE)
    assert stage.names() == FILES and (stage.out / "readings.csv").read_bytes() == before


def test_one_consented_person_has_a_value(stage: Stage) -> None:
    stage.find = always((20, 20))
    summary = stage.run(privacy=ALONE).summary
    assert summary["overall"]["engagement"]["value"] == pytest.approx(1.0)
    assert summary["session"]["consent"] == "form 12"
    assert any("stated by whoever ran it" in caveat for caveat in summary["caveats"])


def test_in_eu_schools_the_files_hold_presence_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_networks(monkeypatch)
    session = stage.run(privacy=Privacy("eu-school"))
    assert session.summary["model"] is None and session.summary["overall"]["engagement"] is None
    assert stage.names() == FILES
    assert {line["engagement"] for line in stage.lines()} == {""}


MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"ftyp", b"data:image", b"BM6")


def test_no_picture_reaches_the_disk(stage: Stage, tmp_path: Path) -> None:
    stage.run()
    rows = [row.tobytes() for frame in frames(1) for row in frame.image[:, :40]]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 5
    for path in written:
        content = path.read_bytes()
        assert not any(row in content for row in rows), path.name
        assert not content.startswith(MAGIC) and b"data:image" not in content, path.name


def test_no_video_is_written_unless_asked(stage: Stage) -> None:
    stage.run()
    assert not list(stage.out.glob("*.mp4*"))


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def detail(image: NDArray[np.uint8]) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def video_of_noise(
    stage: Stage, find: Find | None = None, **options: Any
) -> list[NDArray[np.uint8]]:
    """The annotated frames of faces in coarse noise, the first of them not confirmed yet."""
    image = np.kron(noise(60, 80), np.ones((4, 4, 1), np.uint8))
    stage.source = FakeSource([build_frame(i * 0.5, image) for i in range(3)])
    stage.find = find or always((100, 80), side=80)
    stage.run(annotate=True, **options)
    return decoded(stage.out / "annotated.mp4")


def test_faces_in_the_annotated_video_are_blurred(stage: Stage) -> None:
    first = video_of_noise(stage)[0]
    assert detail(first[90:150, 110:170]) < 0.2 * detail(first[:40, :60])


def test_faces_are_shown_only_when_asked(stage: Stage) -> None:
    shown = video_of_noise(stage, show_faces=True, privacy=Privacy(consent="forms 1 to 6"))
    assert detail(shown[1][90:150, 110:170]) > 0.5 * detail(shown[1][:40, :60])


def test_only_faces_of_subjects_are_shown(stage: Stage) -> None:
    """Who the consent is of is not known of a face that nobody follows."""

    def find(frame: Frame) -> Faces:
        return joined(build_faces((100, 80), side=80), build_faces((220, 150), side=80, score=0.85))

    rules = Privacy(consent="forms 1 to 6")
    shown = video_of_noise(stage, find, show_faces=True, privacy=rules)[1]
    assert detail(shown[90:150, 110:170]) > 0.5 * detail(shown[:40, :60])
    assert detail(shown[160:220, 230:290]) < 0.2 * detail(shown[:40, :60])


def test_faces_are_shown_in_the_annotated_video_only(stage: Stage) -> None:
    with pytest.raises(InputError, match=r"--show-faces is for .* video.*add --annotate"):
        stage.run(show_faces=True, privacy=Privacy(consent="forms 1 to 6"))
    assert stage.names() == []


@pytest.mark.parametrize(
    ("privacy", "told"),
    [
        (None, "--show-faces needs --consent REFERENCE"),
        (Privacy("eu-school", consent="form 12"), "--show-faces is not possible with .* eu-school"),
    ],
)
def test_faces_are_not_shown_without_consent(
    stage: Stage, privacy: Privacy | None, told: str
) -> None:
    with pytest.raises(PrivacyError, match=told):
        stage.run(annotate=True, show_faces=True, privacy=privacy)
    assert stage.names() == []


@pytest.mark.parametrize(("people", "privacy"), [(6, None), (1, ALONE)])
def test_a_state_stands_beside_a_single_subject_only(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, people: int, privacy: Privacy | None
) -> None:
    drawn: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        video, "draw_face", lambda image, box, label, sure: drawn.append((label, sure))
    )
    stage.find = always(*[(10 + 100.0 * (i % 3), 20 + 110.0 * (i // 3)) for i in range(people)])
    stage.run(annotate=True, privacy=privacy)
    states = {line["state"] for line in stage.lines()} - {""}
    labels = {label for label, _ in drawn}
    if people == 1:
        assert labels == {f"S01 {state}" for state in states} and states
    else:
        assert labels == {f"S{i:02d}" for i in range(1, 7)}
        assert all(sure for _, sure in drawn)


def test_a_second_face_ends_a_session_of_ones_own_camera(stage: Stage) -> None:
    with pytest.raises(PrivacyError, match=r"one's own face .* 6 faces .* without --profile own"):
        stage.run(privacy=Privacy("own-camera"))
    assert stage.names() == []


def test_unconfirmed_faces_are_blurred_too(stage: Stage) -> None:
    first = video_of_noise(stage, privacy=Privacy("eu-school"))[0]  # frame 0: nobody is confirmed
    assert detail(first[90:150, 110:170]) < 0.2 * detail(first[:40, :60])


def test_a_real_network_file_goes_through_the_whole_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stage = Stage(monkeypatch, tmp_path)
    monkeypatch.setattr(pipeline, "OnnxModel", OnnxModel)
    outputs = {"emotion_probs": [0, 0, 0, 5.0, 0, 0, 0], "state_probs": [0, 0, 5.0, 0]}
    stage.run(model=str(write_artefact(tmp_path / "tiny", outputs)))
    assert {(line["emotion"], line["state"]) for line in stage.lines()} == {("happy", "focused")}


def test_the_template_of_the_builders_is_the_shipped_framing() -> None:
    from classpulse.vision.image import FRAMINGS

    assert np.allclose(FRAMINGS["fer2013"], TEMPLATE)
