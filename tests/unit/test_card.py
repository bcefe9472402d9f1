"""Model cards: they survive the disk, and what is wrong with one is named."""

import copy
import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import HEADS, SPEC, build_card

from classpulse.core.card import Head, InputSpec, Metric, load_card, save_card
from classpulse.core.errors import ModelError

METRIC = Metric("accuracy", "emotion", 0.7, 0.69, 0.71, 3589, "FER2013 PrivateTest")


def saved(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A card on disk and its parsed JSON."""
    path = tmp_path / "card.json"
    save_card(build_card(metrics=(METRIC,)), path)
    return path, json.loads(path.read_text())


def test_a_card_survives_the_disk(tmp_path: Path) -> None:
    card = build_card(metrics=(METRIC, METRIC), limits=("a", "ü"))
    save_card(card, tmp_path / "card.json")
    assert load_card(tmp_path / "card.json") == card


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    path, _ = saved(tmp_path)
    again = tmp_path / "again.json"
    save_card(load_card(path), again)
    assert again.read_bytes() == path.read_bytes()


def test_a_whole_number_is_fine_where_a_fraction_may_stand(tmp_path: Path) -> None:
    path, raw = saved(tmp_path)
    raw["gate"]["min_face_px"] = 24
    path.write_text(json.dumps(raw))
    gate = load_card(path).gate
    assert gate.min_face_px == 24.0 and isinstance(gate.min_face_px, float)


def test_a_card_from_before_there_were_limits_of_light_has_none(tmp_path: Path) -> None:
    path, raw = saved(tmp_path)
    del raw["gate"]["min_light"], raw["gate"]["max_light"]
    path.write_text(json.dumps(raw))
    assert (load_card(path).gate.min_light, load_card(path).gate.max_light) == (0.0, 1.0)


@pytest.mark.parametrize("field", ["min_sharpness", "max_turn", "min_confidence"])
def test_the_other_limits_must_be_there(tmp_path: Path, field: str) -> None:
    path, raw = saved(tmp_path)
    del raw["gate"][field]
    path.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=rf"gate: missing \['{field}'\]"):
        load_card(path)


def test_no_file_tells_what_an_artefact_is(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model card at .*nothing: an artefact is model.onnx"):
        load_card(tmp_path / "nothing")


@pytest.mark.parametrize("content", [b"", b"{", b"not json", b"\xff\xfe\x00"])
def test_what_is_not_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match="not valid JSON"):
        load_card(tmp_path / "card.json")


@pytest.mark.parametrize("content", ["[]", "3", "null", '"card"'])
def test_what_is_not_an_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ModelError, match="expected a table"):
        load_card(tmp_path / "card.json")


def change(*keys: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """Set the field at `keys`."""

    def edit(raw: Any) -> None:
        for key in keys[:-1]:
            raw = raw[key]
        raw[keys[-1]] = to

    return edit


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (change("name", to=3), "name"),
        (change("summary", to=None), "summary"),
        (change("parameters", to="many"), "parameters"),
        (change("parameters", to=1.5), "parameters"),
        (change("parameters", to=True), "parameters"),
        (change("limits", to="none"), "limits"),
        (change("limits", to=[1]), "limits"),
        (change("heads", to={}), "heads"),
        (change("heads", 0, to="emotion"), "heads"),
        (change("heads", 0, "temperature", to="1"), "temperature"),
        (change("heads", 0, "temperature", to=False), "temperature"),
        (change("heads", 0, "colour", to="red"), "colour"),
        (change("input", to=48), "input"),
        (change("input", "width", to=48.0), "width"),
        (change("input", "mean", to=0.5), "mean"),
        (change("input", "std", to=["x"]), "std"),
        (change("gate", "max_turn", to=None), "max_turn"),
        (change("gate", "max_yaw", to=0.5), "max_yaw"),
        (change("metrics", to=[{}]), "metrics"),
        (change("metrics", 0, "n", to="all"), "metrics: n"),
        (change("format", to="1"), "format"),
        (change("extra", to=1), "extra"),
    ],
)
def test_a_malformed_field_is_named(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None], field: str
) -> None:
    path, raw = saved(tmp_path)
    edit(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(ModelError, match=field):
        load_card(path)


FIELDS = [field.name for field in dataclasses.fields(build_card())]


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    path, raw = saved(tmp_path)
    short = copy.deepcopy(raw)
    del short[field]
    path.write_text(json.dumps(short))
    with pytest.raises(ModelError, match=rf"missing \['{field}'\]"):
        load_card(path)


def test_another_format_asks_for_an_update(tmp_path: Path) -> None:
    path, raw = saved(tmp_path)
    path.write_text(json.dumps(raw | {"format": 2}))
    with pytest.raises(ModelError, match="format 2, this version reads 1"):
        load_card(path)


def test_a_card_without_heads_is_refused() -> None:
    with pytest.raises(ModelError, match="'tiny' has no heads"):
        build_card(heads=())


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(ModelError, match="temperature of 'emotion'"):
        build_card(heads=(Head("emotion", "e", "fer2013-7", temperature),))


def test_a_card_from_before_there_were_scales_has_none(tmp_path: Path) -> None:
    path, raw = saved(tmp_path)
    for head in raw["heads"]:
        del head["scale"], head["bias"], head["by_entropy"]
    path.write_text(json.dumps(raw))
    assert load_card(path) == build_card(metrics=(METRIC,))


def test_scales_survive_the_disk(tmp_path: Path) -> None:
    head = replace(HEADS[0], scale=(0.5,) * 7, bias=(-1.0,) * 7, by_entropy=0.25)
    save_card(build_card(heads=(head,)), tmp_path / "card.json")
    assert load_card(tmp_path / "card.json").heads == (head,)


@pytest.mark.parametrize(
    ("scale", "bias"),
    [
        ((1.0,) * 7, ()),
        ((), (0.0,) * 7),
        ((1.0,) * 6, (0.0,) * 6),
        ((0.0,) * 7, (0.0,) * 7),
        ((1.0,) * 7, (float("nan"),) * 7),
    ],
)
def test_scales_are_for_every_label(scale: tuple[float, ...], bias: tuple[float, ...]) -> None:
    with pytest.raises(ModelError, match="scale and bias must be empty or 7 finite numbers each"):
        build_card(heads=(replace(HEADS[0], scale=scale, bias=bias),))


def test_an_unknown_label_space_is_named() -> None:
    with pytest.raises(ModelError, match="head 'emotion': unknown label space 'moods'"):
        build_card(heads=(Head("emotion", "e", "moods", 1.0),))


def test_a_head_by_name() -> None:
    assert build_card().head("state") is HEADS[1]


def test_an_unknown_head_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no head 'votes'; it has: emotion, state"):
        build_card().head("votes")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "sizes must be positive"),
        ({"height": -1}, "sizes must be positive"),
        ({"channels": 2}, "channels 1 or 3"),
        ({"channels": 3}, "needs 3 mean and std"),
        ({"mean": ()}, "needs 1 mean and std"),
        ({"std": (0.5, 0.5)}, "needs 1 mean and std"),
        ({"std": (0.0,)}, "std must be positive"),
        ({"std": (-0.1,)}, "std must be positive"),
        ({"std": (float("nan"),)}, "std must be positive"),
    ],
)
def test_a_bad_input_spec_is_refused(changes: dict[str, Any], message: str) -> None:
    fields = {name: getattr(SPEC, name) for name in SPEC.__slots__}
    with pytest.raises(ModelError, match=message):
        InputSpec(**(fields | changes))


def test_a_folder_in_place_of_a_card_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(ModelError, match=r"cannot read .*card"):
        load_card(tmp_path / "card.json")


@pytest.mark.parametrize("given", ["emotion:joy", "votes:sadness", "emotion", ":", ""])
def test_a_head_depends_only_on_labels_that_are_there(given: str) -> None:
    heads = (HEADS[0], replace(HEADS[1], given=("emotion:neutral", given)))
    with pytest.raises(ModelError, match="head 'state': given"):
        build_card(heads=heads)


def test_what_a_head_depends_on_survives_the_disk(tmp_path: Path) -> None:
    heads = (HEADS[0], replace(HEADS[1], given=("emotion:neutral", "emotion:sad")))
    save_card(build_card(heads=heads), tmp_path / "card.json")
    assert load_card(tmp_path / "card.json").heads == heads
