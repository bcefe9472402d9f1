"""What holds for every layout of faces and of clips."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from classpulse.core.errors import InputError
from classpulse.lab.data.clip_layouts import CLIP_LAYOUTS
from classpulse.lab.data.layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
PNG = bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1])
UNRELATED: dict[str, dict[str, bytes]] = {
    "nothing": {},
    "text": {"note.txt": b"hello"},
    "texts": {"data.csv": b"text,label\nhello,joy\n"},
    "votes": {"fer2013new.csv": b"Usage,Image name,neutral\n"},
    "code": {"src/main.py": b"", "train/loop.py": b"", "test/test_loop.py": b""},
    "pictures deep down": {"album/2024/may/a.png": PNG},
    "folders that are no labels": {"holiday/a.png": PNG, "lesson/b.png": PNG},
    "workbook": {"data.xlsx": b"PK\x03\x04"},
    "broken zip": {"data.zip.part": b"PK\x03\x04"},
}
every = [(LAYOUTS, name) for name in LAYOUTS] + [(CLIP_LAYOUTS, name) for name in CLIP_LAYOUTS]
layouts = pytest.mark.parametrize(("registry", "name"), every, ids=[name for _, name in every])


@layouts
def test_a_layout_says_what_it_is(registry: object, name: str) -> None:
    summary = registry.get(name).summary  # type: ignore[attr-defined]
    assert len(summary) > 40 and "\n" not in summary
    assert "your own" in summary or "FER2013" in summary or ("20" in summary and "use" in summary)


@layouts
def test_a_layout_is_in_the_data_cards(registry: object, name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")


@layouts
@pytest.mark.parametrize("kind", list(UNRELATED))
def test_a_layout_does_not_take_what_is_not_its_own(
    registry: object, name: str, kind: str, tmp_path: Path
) -> None:
    for file, data in UNRELATED[kind].items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(data)
    for path in (tmp_path, *tmp_path.rglob("*"), tmp_path / "gone"):
        if not list(path.glob("*.png")):  # pictures in one folder are a layout
            assert registry.get(name).matches(path) is False, path  # type: ignore[attr-defined]


@layouts
def test_a_layout_refuses_what_is_not_its_own(registry: object, name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "gone"):
        with pytest.raises(InputError):
            registry.get(name).load(path)  # type: ignore[attr-defined]
