"""`classpulse data purge`: the cached pictures of a source, or all of them, are deleted."""

from pathlib import Path
from typing import Any

from classpulse.lab.data.cache import cache_folder, clear_cache, hash_source
from classpulse.lab.data.layouts import load_faces


def purge(path: Path | None = None) -> dict[str, Any]:
    """Delete what the cache holds, of one source or of all; the source itself is left alone.

    Args:
        path: file or folder of faces, as it was read; None deletes everything, also what was
            made of sources that are not there any more.

    Returns:
        The ``folder`` of the cache, the ``source`` if any, and how many ``entries`` and ``bytes``
        were deleted.

    Raises:
        InputError: the path cannot be read, or is a folder that holds no faces.
        OutputError: a file cannot be deleted.
    """
    entries, freed = clear_cache(None if path is None else _hash_of(path))
    return {
        "folder": str(cache_folder()),
        "source": None if path is None else str(path),
        "entries": entries,
        "bytes": freed,
    }


def _hash_of(path: Path) -> str:
    """As the entries of the cache note it: which files of a folder count only its layout knows."""
    return load_faces(path).sha256 if path.is_dir() else hash_source(path)
