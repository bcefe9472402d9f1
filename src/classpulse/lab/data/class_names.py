"""Names of class folders: publishers write one emotion as anger, angry or Angry."""

from collections.abc import Iterable
from pathlib import Path

from classpulse.core.errors import InputError
from classpulse.core.labels import LabelSpace

_WRITTEN = {
    "anger": "anger angry",
    "contempt": "contempt contemptuous",
    "disgust": "disgust disgusted",
    "fear": "fear fearful afraid scared",
    "happiness": "happiness happy joy",
    "sadness": "sadness sad",
    "surprise": "surprise surprised",
}
_MEANING = {word: meaning for meaning, words in _WRITTEN.items() for word in words.split()}


def match_label(name: str, space: LabelSpace) -> int | None:
    """Label in `space` that a folder's name stands for, None if it is none; case is ignored."""
    wanted = _meaning(name)
    return next((i for i, label in enumerate(space.names) if _meaning(label) == wanted), None)


def match_labels(names: Iterable[str], space: LabelSpace, path: Path) -> dict[str, int]:
    """Folder name -> label in `space`.

    Raises:
        InputError: a name is no label; the path and all labels are named.
    """
    found = {name: match_label(name, space) for name in sorted(set(names))}
    strange = [name for name, label in found.items() if label is None]
    if strange:
        raise InputError(
            f"{path}: no class of {space.name} is called {_listed(strange)}; it has "
            f"{', '.join(space.names)} (and the usual other forms, as anger for angry)"
        )
    return {name: label for name, label in found.items() if label is not None}


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _meaning(name: str) -> str:
    word = name.strip().lower()
    return _MEANING.get(word, word)
