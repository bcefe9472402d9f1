"""The revision of the source tree: every card, report and benchmark says which one made it."""

import subprocess
from pathlib import Path


def source_commit() -> str:
    """Revision of the source tree, "unknown" outside a checkout of it or without git."""
    here = Path(__file__).resolve()
    words = ["git", "rev-parse", "--show-toplevel", "--short", "HEAD"]
    try:
        done = subprocess.run(words, cwd=here.parent, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    top, _, commit = done.stdout.strip().partition("\n")
    # an installed package may lie in the environment of another repository
    own = done.returncode == 0 and Path(top).resolve() == here.parents[3]
    return commit if own else "unknown"
