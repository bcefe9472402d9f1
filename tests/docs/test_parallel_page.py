"""The Python example on the page of the parallel schemes runs and gives what serial calls give."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "parallel.md"


def test_the_example_runs_as_a_script(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    assert len(blocks) == 1
    names = ("conv2d", "detect_tiles", "extract_windows")
    assert all(f"import {name}\n" in blocks[0] and f"{name}(" in blocks[0] for name in names)
    script = tmp_path / "example.py"
    script.write_text(blocks[0], encoding="utf-8")
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=alone, check=False
    )
    assert done.returncode == 0, done.stderr
    maps, boxes, windows = done.stdout.splitlines()
    assert maps.startswith("(1, 8, 240, 320) ") and "halo" in maps
    assert re.match(r"\(\d+, 4\) \d+ tiles of the pyramid, balance [01]\.\d\d$", boxes)
    assert windows.startswith("(9, 12, ")
