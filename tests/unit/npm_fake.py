"""Speaks as `npm_peer.mjs` does, without node: python npm_fake.py WAY [FILE].

Each picture is of one value, which is the column of its answer. WAY says how it goes wrong.
"""

import json
import struct
import sys
import time
from pathlib import Path

WALL, CPU = 1.0, 2.0  # seconds that it claims for every answer


def main() -> None:
    way = sys.argv[1]
    if way == "dies at once":
        sys.exit("no such network\n")
    say({"source": "a fake 1.0"})
    while len(head := sys.stdin.buffer.read(12)) == 12:
        if way == "never reads":
            time.sleep(60)
        rows, height, width = struct.unpack("<3I", head)
        content = sys.stdin.buffer.read(rows * height * width * 3)
        if way == "dies":
            sys.stderr.write("a warning\nout of memory\n")
            sys.exit(9)
        if way == "hangs":
            time.sleep(60)
        if way == "chats":
            write("Hi, looks like you are running something")
            continue
        if way == "fails":
            say({"error": "Error: no kernel"})
            continue
        pictures = split(content, rows)
        if way == "forgets":
            pictures.pop()
        assert all(len(set(one)) == 1 for one in pictures)
        scores = [[float(column == one[0]) for column in range(7)] for one in pictures]
        say({"scores": scores, "wall": WALL, "cpu": CPU})
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text("ended by itself")


def split(content: bytes, rows: int) -> list[bytes]:
    size = len(content) // rows
    return [content[at * size : (at + 1) * size] for at in range(rows)]


def say(answer: object) -> None:
    write(json.dumps(answer))


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
