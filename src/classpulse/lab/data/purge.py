"""`classpulse data purge`: the cached pictures of a source, or all of them, are deleted."""

from pathlib import Path
from typing import Any

from classpulse.core.errors import InputError
from classpulse.lab.data.cache import cache_folder, clear_cache, hash_source, is_cached
from classpulse.lab.data.layouts import hash_faces


def purge(path: Path | None = None) -> dict[str, Any]:
    """Delete what the cache holds, of one source or of all; the source itself is left alone.

    Args:
        path: file or folder of faces; what was made of it goes also where it has changed since, or
            is not there any more. None deletes everything.

    Returns:
        The ``folder`` of the cache, the ``source`` if any, and how many ``entries`` and ``bytes``
        were deleted.

    Raises:
        InputError: nothing was made of this path, and it cannot be read or is a folder that holds
            no faces, so nobody knows what was made of its content at another path.
        OutputError: a file cannot be deleted.
    """
    entries, freed = clear_cache(path, source=None if path is None else _hash_of(path))
    return {
        "folder": str(cache_folder()),
        "source": None if path is None else str(path),
        "entries": entries,
        "bytes": freed,
    }


def _hash_of(path: Path) -> str | None:
    """As the entries of the cache note it; None where the path alone must tell which are meant."""
    try:
        return hash_faces(path) if path.is_dir() else hash_source(path)
    except InputError:
        if is_cached(path):
            return None
        raise
