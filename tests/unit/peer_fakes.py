"""Helpers for the tests of foreign models: pictures that say their answer, injected modules."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def pictures(*values: int, side: int = 8) -> Any:
    """(n, side, side) grey pictures, each of one value: a fake network reads the value."""
    return np.stack([np.full((side, side), v, dtype=np.uint8) for v in values])


def tops(peer: Any, images: Any) -> list[str]:
    """Most probable label of each picture."""
    scores = peer.predict(images)
    return [scores.space.names[i] for i in scores.top]


def inject(monkeypatch: pytest.MonkeyPatch, module: str, **content: Any) -> None:
    """Put a fake module, and the package around it, where `import` finds it."""
    parts = module.split(".")
    for depth in range(1, len(parts)):
        name = ".".join(parts[:depth])
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    fake = ModuleType(module)
    fake.__dict__.update(content)
    monkeypatch.setitem(sys.modules, module, fake)
