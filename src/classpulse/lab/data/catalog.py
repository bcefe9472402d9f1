"""What `classpulse data ls` lists: names with one line each."""

from collections.abc import Callable
from typing import Any

from classpulse.core.labels import RELABELS, SPACES
from classpulse.lab.data import text_sets  # registers its protocol
from classpulse.lab.data.clip_layouts import CLIP_LAYOUTS
from classpulse.lab.data.contents import CLIP, VOTES
from classpulse.lab.data.corpora import CORPORA
from classpulse.lab.data.layouts import LAYOUTS
from classpulse.lab.data.relabel import vote_rules
from classpulse.lab.data.splits import PROTOCOLS

__all__ = ["list_catalog", "text_sets"]


def list_catalog() -> dict[str, dict[str, str]]:
    """Layouts, corpora, other readers, rules, protocols and label spaces: name -> one line."""
    votes = vote_rules()
    others = {name: rule for name, rule in RELABELS.items() if name not in votes}
    return {
        "layouts": {name: LAYOUTS.get(name).summary for name in LAYOUTS},
        "clip_layouts": {name: CLIP_LAYOUTS.get(name).summary for name in CLIP_LAYOUTS},
        "corpora": {name: CORPORA.get(name).summary for name in CORPORA},
        "other": {
            VOTES: "FER+ votes (Barsoum et al. 2016), fer2013new.csv",
            CLIP: "a video or animated GIF",
        },
        "vote_rules": {
            name: f"votes -> {rule.space.name}: {rule.origin}" for name, rule in votes.items()
        },
        "relabels": {
            name: f"{rule.source.name} -> {rule.target.name}: {rule.origin}"
            for name, rule in others.items()
        },
        "protocols": {name: _first_line(PROTOCOLS.get(name)) for name in PROTOCOLS},
        "spaces": {name: ", ".join(space.names) for name, space in SPACES.items()},
    }


def _first_line(protocol: Callable[..., Any]) -> str:
    return (protocol.__doc__ or "").strip().splitlines()[0].replace("`", "")
