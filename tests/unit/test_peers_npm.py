"""Peers from npm: a process that may be missing, die or hang, and that ends with its peer."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import npm_fake
import numpy as np
import pytest
from peer_fakes import pictures, tops

from classpulse.core.errors import InputError, ModelError, ShapeError
from classpulse.core.labels import FER2013_7
from classpulse.lab.evaluate.peers import NpmPeer, npm, open_peer

HUMAN, FACE_API = npm.HUMAN.package, npm.FACE_API.package
TOOLS = "@tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0"


def fake(way: str = "answers", *further: str, **options: Any) -> NpmPeer:
    """`@vladmandic/human`, if it were `npm_fake.py`."""
    command = [sys.executable, npm_fake.__file__, way, *further]
    return NpmPeer(npm.HUMAN, command, **options)


def gone(peer: NpmPeer) -> bool:
    """Whether the process has ended and was waited for."""
    return not Path(f"/proc/{peer.pid}").exists()


@pytest.mark.parametrize(
    ("network", "order"),
    [
        (npm.HUMAN, ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]),
        (npm.FACE_API, ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"]),
    ],
)
def test_columns_have_the_order_of_their_package(network: npm.NpmNetwork, order: list[str]) -> None:
    with NpmPeer(network, [sys.executable, npm_fake.__file__, "answers"]) as peer:
        assert tops(peer, pictures(*range(7))) == order
        assert (peer.name, peer.space, peer.source) == (network.package, FER2013_7, "a fake 1.0")


def test_grey_color_mirrored_and_no_pictures() -> None:
    grey = pictures(3, 5)
    with fake() as peer:
        assert tops(peer, np.repeat(grey[..., None], 3, axis=3)) == tops(peer, grey)
        assert tops(peer, grey[:, :, ::-1]) == tops(peer, grey)
        assert tops(peer, grey[:0]) == []
        with pytest.raises(ShapeError, match="a peer takes"):
            peer.predict(grey[0])


def test_what_the_process_spent_is_told_for_the_last_call() -> None:
    with fake() as peer:
        peer.predict(pictures(*[1] * 65))  # a chunk of 64 and one of 1
        assert peer.spent == npm.Spent(2 * npm_fake.WALL, 2 * npm_fake.CPU)
        peer.predict(pictures(1))
        assert peer.spent == npm.Spent(npm_fake.WALL, npm_fake.CPU)


# --- ends of a process -------------------------------------------------------------------------


def test_it_ends_by_itself_with_its_peer(tmp_path: Path) -> None:
    with fake("answers", str(tmp_path / "closed")) as peer:
        pass
    other = fake("answers", str(tmp_path / "forgotten"))
    other.close()
    assert gone(peer) and gone(other)
    assert (tmp_path / "closed").is_file() and (tmp_path / "forgotten").is_file()
    with pytest.raises(ModelError, match=f"'{HUMAN}' has ended: open it again"):
        peer.predict(pictures(1))


def test_it_ends_when_nobody_holds_the_peer(tmp_path: Path) -> None:
    assert fake("answers", str(tmp_path / "ended")).source == "a fake 1.0"
    assert (tmp_path / "ended").is_file()


def test_a_process_that_dies_says_its_last_words_once() -> None:
    peer = fake("dies")
    with pytest.raises(ModelError, match=rf"^peer '{HUMAN}' died \(exit code 9\): out of memory$"):
        peer.predict(pictures(1))
    assert gone(peer)
    with pytest.raises(ModelError, match="open it again"):
        peer.predict(pictures(1))


def test_a_process_that_dies_as_it_starts_says_why() -> None:
    with pytest.raises(ModelError, match=r"died \(exit code 1\): no such network$"):
        fake("dies at once")


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"cannot start /no/node: .*No such file"):
        NpmPeer(npm.HUMAN, ["/no/node"])


@pytest.mark.parametrize("way", ["hangs", "never reads"])
def test_who_takes_too_long_is_ended(way: str) -> None:
    peer, begin = fake(way, patience=1.5), time.monotonic()
    many = np.zeros((64, 64, 64), np.uint8)  # more than a pipe holds
    with pytest.raises(ModelError, match=r"did not answer within 1.5 s, so its process was ended"):
        peer.predict(many)
    assert time.monotonic() - begin < 20 and gone(peer)


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("fails", r"failed inside its own package: Error: no kernel \(exit code 0\)$"),
        ("chats", r"said what is no answer, b'Hi, looks like"),
        ("forgets", r"answered \(1, 7\) for 2 pictures and 7 labels"),
    ],
)
def test_answers_that_are_none_name_the_peer(way: str, message: str) -> None:
    with fake(way) as peer, pytest.raises(ModelError, match=f"peer '{HUMAN}' {message}"):
        peer.predict(pictures(1, 2))


# --- what is installed -------------------------------------------------------------------------


def install(folder: Path, **versions: str) -> None:
    """Packages that have nothing but a version."""
    for package, version in (npm.HUMAN.needs | versions).items():
        path = folder / "node_modules" / package / "package.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": version}))


@pytest.mark.parametrize(("name", "version"), [(HUMAN, "3.3.6"), (FACE_API, "1.7.15")])
def test_without_a_folder_the_line_that_installs_is_named(
    name: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(npm.ENVIRONMENT, raising=False)
    with pytest.raises(InputError) as told:
        open_peer(name)
    assert str(told.value) == (
        f"peer '{name}' is not installed: run  npm install --prefix ~/npm-peers {name}@{version} "
        f"{TOOLS} && export CLASSPULSE_NPM=~/npm-peers"
    )


@pytest.mark.parametrize("package", [HUMAN, "@tensorflow/tfjs-backend-wasm"])
def test_another_version_than_was_read_is_refused(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(npm.ENVIRONMENT, str(tmp_path))
    line = f"run  npm install --prefix {tmp_path} {HUMAN}@3.3.6 {TOOLS}$"
    with pytest.raises(InputError, match=f"needs {HUMAN} 3.3.6, and in {tmp_path} is none: {line}"):
        open_peer(HUMAN)
    install(tmp_path, **{package: "9.0.0"})
    with pytest.raises(InputError, match=f"needs {package} .*, and in .* is 9.0.0: {line}"):
        open_peer(HUMAN)


def test_without_node_it_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path)
    monkeypatch.setenv(npm.ENVIRONMENT, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"needs node: run  apt-get install nodejs npm$"):
        open_peer(HUMAN)


def test_node_is_started_with_the_folder_and_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path)
    node = tmp_path / "node"
    node.write_text(
        f'#!/bin/sh\necho "{{\\"source\\": \\"$1 $2 $3\\"}}"\nexec {sys.executable} -c ""'
    )
    node.chmod(0o755)
    monkeypatch.setenv(npm.ENVIRONMENT, str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with open_peer(HUMAN) as peer:
        assert peer.source == f"{npm.PROGRAM} {tmp_path} {HUMAN}"
    assert npm.PROGRAM.is_file()
