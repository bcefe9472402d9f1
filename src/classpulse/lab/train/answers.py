"""What teachers say of rows: asked once a row, kept on disk as they go.

Asking a large teacher about every variant of a corpus takes longer than many a training: a run that
was killed meanwhile goes on where it was, and one with more variants asks about the new ones only.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from classpulse.lab.train.checkpoint import UNREADABLE, save_state

Probs = NDArray[np.float32]

Ask = Callable[[list[int]], dict[str, Probs]]
"""From places of rows to what one teacher says of them, {head: (n, k)}."""

OnAsked = Callable[[int, int], None]
"""Called with the answers that are there, and all that are needed."""

AT_ONCE = 2048  # rows between two savings


def mean_answers(
    teachers: Mapping[str, Ask],
    rows: Sequence[bytes],
    *,
    kept: Path | None = None,
    on_asked: OnAsked | None = None,
) -> dict[str, Probs]:
    """The mean over teachers of what each says of every row, {head: (n, k)}.

    Args:
        teachers: by what tells them apart: the hash of the artefact, and the heads.
        rows: all that a teacher sees of each. Rows that are the same are asked about once.
        kept: file of the answers; None keeps nothing. Those of other teachers are dropped from it,
            and a damaged file is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    keys = [hashlib.blake2b(row, digest_size=16).hexdigest() for row in rows]
    needed: dict[str, int] = {}
    for place, key in enumerate(keys):
        needed.setdefault(key, place)
    store = {name: _Answers() for name in teachers}
    if kept is not None:
        _read(kept, store)
    whole = len(needed) * len(teachers)
    done = whole - sum(len(needed.keys() - store[name].places.keys()) for name in teachers)
    for name, ask in teachers.items():
        missing = [key for key in needed if key not in store[name].places]
        for start in range(0, len(missing), AT_ONCE):
            some = missing[start : start + AT_ONCE]
            store[name].add(some, ask([needed[key] for key in some]))
            if kept is not None:
                save_state({name: said.as_state() for name, said in store.items()}, kept)
            done += len(some)
            if on_asked is not None:
                on_asked(done, whole)
    answers = [said.of(keys) for said in store.values()]
    return {head: np.mean([one[head] for one in answers], axis=0) for head in answers[0]}


class _Answers:
    """What one teacher said."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}
        self._parts: dict[str, list[Probs]] = {}

    def add(self, keys: Sequence[str], said: Mapping[str, Probs]) -> None:
        begun = len(self.places)
        self.places |= {key: begun + i for i, key in enumerate(keys)}
        for head, probs in said.items():
            self._parts.setdefault(head, []).append(probs)

    def of(self, keys: Sequence[str]) -> dict[str, Probs]:
        order = [self.places[key] for key in keys]
        return {head: np.concatenate(parts)[order] for head, parts in self._parts.items()}

    def as_state(self) -> dict[str, object]:
        return {
            "keys": list(self.places),
            "answers": {
                head: torch.from_numpy(np.concatenate(parts)) for head, parts in self._parts.items()
            },
        }


def _read(kept: Path, store: Mapping[str, _Answers]) -> None:
    try:
        found = torch.load(kept, weights_only=True)
        for name in store.keys() & found.keys():
            keys, answers = found[name]["keys"], found[name]["answers"]
            said = {head: probs.numpy() for head, probs in answers.items()}
            if all(len(probs) == len(keys) for probs in said.values()):
                store[name].add(keys, said)
    except (*UNREADABLE, AttributeError):
        return  # asked anew
