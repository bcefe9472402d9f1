"""Reading what a command of `classpulse engage` fitted: JSON with a format and typed fields."""

import json
from pathlib import Path
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.errors import InputError


def read_fitted(path: Path, kind: type, *, what: str, version: int, again: str) -> Any:
    """The file as the dataclass `kind`, which has a field `format`.

    Args:
        what: it is, in the singular, to begin messages with.
        version: the format that this version reads.
        again: how to get a good one, to end messages with.

    Raises:
        InputError: the file is missing, is not JSON, has another format, or a field is missing,
            unknown or of the wrong type.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror}; {again}") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ones
        raise InputError(f"{what} {path} is not valid JSON: {error}; {again}") from None
    found = build_dataclass(kind, raw, where=f"{what} {path}", error=InputError)
    if found.format != version:
        raise InputError(
            f"{what} {path} has format {found.format}, this version reads {version}: {again}"
        )
    return found
