"""Peers from npm, `@vladmandic/human` and `@vladmandic/face-api`: in a process of node.

The user installs the packages into a folder and names it in ``CLASSPULSE_NPM``. `npm_peer.mjs`
opens the expression network alone, by tfjs' WASM backend, and answers one batch at a time; what
is said over the two pipes is written there. tfjs allows no threads in node, so a peer computes in
one. A label order is only known for the version that was read, so any other is refused.
"""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from classpulse.core.errors import InputError, ModelError
from classpulse.core.records import Scores
from classpulse.lab.evaluate.peers.base import (
    PEERS,
    check_answer,
    check_images,
    chunks,
    match_columns,
    no_argument,
    scores_by_name,
)
from classpulse.vision.image import to_rgb

ENVIRONMENT = "CLASSPULSE_NPM"
FOLDER = "~/npm-peers"  # in the line that installs, where none is named
RUNTIME = {"@tensorflow/tfjs": "4.22.0", "@tensorflow/tfjs-backend-wasm": "4.22.0"}
PROGRAM = Path(__file__).with_name("npm_peer.mjs")
PATIENCE = 120.0  # seconds for the start and for each answer: both take 1 to 5 on busy cores
FAREWELL = 5.0  # seconds for a process to end by itself
LAST_WORDS = 300  # characters of what a process wrote before it died


@dataclass(frozen=True, slots=True)
class NpmNetwork:
    """A network inside an npm package.

    Args:
        package, version: on npm.
        labels: of the output columns, in their order.
    """

    package: str
    version: str
    labels: tuple[str, ...]

    @property
    def needs(self) -> dict[str, str]:
        """Package -> version that must be installed."""
        return {self.package: self.version} | RUNTIME

    def install(self, folder: str | None) -> str:
        """The line that installs all this needs, into `folder` if one is named already."""
        line = f"npm install --prefix {folder or FOLDER}"
        line += "".join(f" {package}@{version}" for package, version in self.needs.items())
        return line if folder else f"{line} && export {ENVIRONMENT}={FOLDER}"


HUMAN = NpmNetwork(
    "@vladmandic/human",
    "3.3.6",
    # src/gear/emotion.ts
    ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
)
FACE_API = NpmNetwork(
    "@vladmandic/face-api",
    "1.7.15",
    # src/faceExpressionNet/FaceExpressions.ts
    ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that a process computed for an answer: by the clock, and of all its threads."""

    wall: float
    cpu: float


class NpmPeer:
    """A `Peer` in a process of its own, which ends with the peer; a context manager, too.

    Args:
        network: whose answers come.
        command: starts what speaks as `npm_peer.mjs` does.
        patience: seconds for the start and for each answer; who takes longer is ended.

    Attributes:
        spent: on the last `predict`, in the process: of the network and its own preprocessing,
            without the way through the pipes.
        pid: of the process.

    Raises:
        ModelError: the process cannot start, died, or took too long.
    """

    def __init__(
        self, network: NpmNetwork, command: Sequence[str], *, patience: float = PATIENCE
    ) -> None:
        self.name = network.package
        self._rule = match_columns(self.name, network.labels)
        self.space = self._rule.target
        self._patience = patience
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, closed by `_end`
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words
            )
        except OSError as error:
            self._words.close()
            raise ModelError(f"peer '{self.name}' cannot start {command[0]}: {error}") from None
        self.close = weakref.finalize(self, _end, self._process, self._words)
        self.pid = self._process.pid
        self.source: str = self._ask(b"")["source"]
        self.spent = Spent(0.0, 0.0)

    def predict(self, images: NDArray[np.uint8]) -> Scores:
        """See `Peer.predict`; a chunk is one batch of the network."""
        check_images(images)
        wall = cpu = 0.0
        parts = [np.zeros((0, len(self._rule.source)))]
        for chunk in chunks(images):
            answer = self._ask(_request(chunk))
            scores = np.array(answer["scores"], dtype=np.float64)
            parts.append(check_answer(self.name, scores, len(chunk), len(self._rule.source)))
            wall, cpu = wall + answer["wall"], cpu + answer["cpu"]
        self.spent = Spent(wall, cpu)
        return scores_by_name(np.concatenate(parts), self._rule, logits=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: bytes) -> dict[str, Any]:
        """What the process says next, after `request` was written."""
        if not self.close.alive:
            raise ModelError(f"peer '{self.name}' has ended: open it again")
        process, late, line = self._process, threading.Event(), b""

        def end() -> None:  # of the process alone: the peer may go before the timer's thread does
            late.set()
            process.kill()

        timer = threading.Timer(self._patience, end)
        timer.daemon = True
        timer.start()
        try:
            line = _exchange(process, request)
        except OSError:  # it died while it was written to
            pass
        finally:
            timer.cancel()
        if late.is_set():
            self._fail(f"did not answer within {self._patience:g} s, so its process was ended")
        if not line.endswith(b"\n"):
            self._fail("died")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self._fail(f"said what is no answer, {line[:LAST_WORDS]!r}")
        if "error" in answer:
            self._fail(f"failed inside its own package: {answer['error']}")
        return answer

    def _fail(self, what: str) -> NoReturn:
        """`ModelError` with what the process left behind; it has ended by then."""
        _stop(self._process)
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1][:LAST_WORDS]}" if lines else ""
        self.close()
        code = self._process.returncode
        raise ModelError(f"peer '{self.name}' {what} (exit code {code}){said}")


def _request(images: NDArray[np.uint8]) -> bytes:
    """(n, h, w) or (n, h, w, 3) uint8 as `npm_peer.mjs` reads it."""
    colored = np.stack([to_rgb(image) for image in images])
    return struct.pack("<3I", *colored.shape[:3]) + colored.tobytes()


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Write to a process and read a line; empty if it ends before it says one."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(request)
    process.stdin.flush()
    return process.stdout.readline()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: first by the end of what it reads."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(OSError):  # it died, and something was left to be written
        process.stdin.close()
    try:
        process.wait(FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def _end(process: subprocess.Popen[bytes], words: IO[bytes]) -> None:
    _stop(process)
    words.close()


# --- which there are ---------------------------------------------------------------------------


def open_npm(network: NpmNetwork) -> NpmPeer:
    """The network of a package that is installed in the folder ``CLASSPULSE_NPM``.

    Raises:
        InputError: the folder is not named, or a package in its version or node is missing; the
            message has the line that installs it.
        ModelError: see `NpmPeer`.
    """
    peer, folder = network.package, os.environ.get(ENVIRONMENT)
    line = network.install(folder)
    if not folder:
        raise InputError(f"peer '{peer}' is not installed: run  {line}")
    for package, version in network.needs.items():
        found = _find_version(Path(folder, "node_modules", package, "package.json"))
        if found != version:
            raise InputError(
                f"peer '{peer}' needs {package} {version}, and in {folder} is "
                f"{found or 'none'}: run  {line}"
            )
    node = shutil.which("node")
    if node is None:
        raise InputError(f"peer '{peer}' needs node: run  apt-get install nodejs npm")
    return NpmPeer(network, [node, str(PROGRAM), folder, peer])


def _find_version(path: Path) -> str | None:
    """Of an npm package by its package.json; None if there is none."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError):
        return None


@PEERS.register(HUMAN.package)
def open_human(argument: str | None = None) -> NpmPeer:
    """`@vladmandic/human`: 205 k parameters; its source names Arriaga et al. 2017."""
    no_argument(HUMAN.package, argument)
    return open_npm(HUMAN)


@PEERS.register(FACE_API.package)
def open_face_api(argument: str | None = None) -> NpmPeer:
    """`@vladmandic/face-api`: four dense blocks, 324 k parameters; its training data is unknown."""
    no_argument(FACE_API.package, argument)
    return open_npm(FACE_API)
