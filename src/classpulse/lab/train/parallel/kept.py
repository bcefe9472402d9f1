"""What the workers of "ddp" keep from step to step, brought together for the checkpoint.

The errors of a compressed gradient are each worker's own, so the first one, which writes the
checkpoint, has to ask the others for theirs after every epoch, and to hand them out again.
"""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import distributed

from classpulse.lab.train.parallel.compress import Exchange, Keeping
from classpulse.lab.train.parallel.settings import Parallel

logger = logging.getLogger(__name__)

State = dict[str, Any]
"""What one worker keeps, `Keeping.state_dict`."""


def gather_kept(exchange: Exchange, how: Parallel, rank: int) -> dict[str, Any]:
    """What all workers keep, at the first of them; empty at the others, and where nothing is.

    To be called by all at once.
    """
    if not isinstance(exchange, Keeping):
        return {}
    states: list[Any] | None = [None] * how.workers if rank == 0 else None
    distributed.gather_object(exchange.state_dict(), states)
    return {} if states is None else _made_by(how) | {"workers": states}


def hand_out_kept(
    kept: Mapping[str, Any] | None, how: Parallel, rank: int, *, number: int
) -> State | None:
    """This worker's part of what `gather_kept` found; None if it is to begin anew.

    To be called by all at once, with what the checkpoint has at the first and None at the others.

    Args:
        number: of the epoch that begins.
    """
    parts = None if kept is None else _split(kept, how, number)
    own: list[State | None] = [None]
    distributed.scatter_object_list(own, parts)
    return own[0]


def _split(kept: Mapping[str, Any], how: Parallel, number: int) -> list[State | None]:
    workers: list[State | None] = kept.get("workers", [])
    asked = _made_by(how)
    if len(workers) == how.workers and {name: kept[name] for name in asked} == asked:
        return workers
    if number > 1:
        logger.warning(
            "the checkpoint has no errors that %d workers kept with '%s' and torch %s: they begin "
            "at zero",
            how.workers,
            how.compress,
            asked["torch"],
        )
    return [None] * how.workers


def _made_by(how: Parallel) -> dict[str, str]:
    """torch may cut the gradients into other buckets in another version."""
    return {"compress": how.compress, "torch": str(torch.__version__)}
