"""ClassPulse: a lesson's faces and writing become emotions, learning states and engagement.

    import classpulse

    session = classpulse.analyze("lesson.mp4")  # or "posts.csv", or chat="chat.txt" beside it
    session.readings            # struct of arrays; .to_pandas(), .to_arrow()

Expressions are not feelings, and the law limits this use in schools: read the README first.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Privacy", "Session", "Writing", "__version__", "analyze", "watch"]

if TYPE_CHECKING:
    from classpulse.room.analyze import Session, analyze
    from classpulse.room.pipeline import watch
    from classpulse.room.privacy import Privacy
    from classpulse.room.writing.posts import Writing

_HOMES = {
    "analyze": "classpulse.room.analyze",
    "Session": "classpulse.room.analyze",
    "Privacy": "classpulse.room.privacy",
    "watch": "classpulse.room.pipeline",
    "Writing": "classpulse.room.writing.posts",
}


def __getattr__(name: str) -> Any:
    """Load the public names on first use: `import classpulse` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'classpulse' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, loaded or not: what an editor completes."""
    return __all__
