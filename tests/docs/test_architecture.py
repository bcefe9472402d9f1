"""docs/architecture.md names every module of the rooms: a new one has a place there too."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "classpulse"
TREE = re.search(
    r"```\nsrc/classpulse/\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.S
)
assert TREE is not None
ROOMS: dict[str, set[str]] = {}
for line in TREE[1].splitlines():
    if head := re.match(r"  (\w+)/", line):
        room = ROOMS.setdefault(head[1], set())
    room |= set(re.findall(r"\w+", line))


def test_every_room_has_its_line() -> None:
    folders = {one.name for one in SOURCE.iterdir() if one.is_dir() and one.name != "__pycache__"}
    assert ROOMS.keys() == folders


@pytest.mark.parametrize("room", [one for one in ROOMS if one not in ("page", "weights")])
def test_every_module_is_named_in_the_line_of_its_room(room: str) -> None:
    modules = {
        one.stem
        for one in (SOURCE / room).iterdir()
        if one.suffix == ".py" or (one / "__init__.py").is_file()
    } - {"__init__", "__main__"}
    assert modules - ROOMS[room] == set()
