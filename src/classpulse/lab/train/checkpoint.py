"""The state of a run on disk: written whole or not at all; a damaged or foreign one is refused."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Generator, nn

from classpulse.core.errors import InputError, OutputError
from classpulse.core.files import make_folder, new_file
from classpulse.lab.train.epoch import Numbers

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, EOFError, UnpicklingError)

Take = Callable[[dict[str, Any]], dict[str, Any]]


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """`torch.save` in one step: at every moment there is the old file or the new one.

    Raises:
        OutputError: it cannot be written, for example because the disk is full.
    """
    make_folder(path.parent)
    with new_file(path) as aside:
        try:
            torch.save(state, aside)
        except RuntimeError as error:  # what torch makes of a full disk or a folder of others
            first = (str(error).splitlines() or [repr(error)])[0][:80]
            raise OutputError(
                f"cannot write {path} ({first}): check that there is room and that the folder may "
                "be written to, then go on with --resume"
            ) from None


def save_checkpoint(
    path: Path,
    parts: Mapping[str, Any],
    *,
    epoch: int,
    history: Sequence[Numbers],
    kept: Mapping[str, Any],
    generator: Generator,
) -> None:
    """Everything that a run needs to go on as if it had not been interrupted.

    Args:
        parts: name -> what has a `state_dict`.
        epoch: the last that is finished.
        history: finished epochs, so that no log can know more or less than the weights.
        kept: by the workers of the last, as in `Trained`.
        generator: of order and augmentation; torch's own state, of dropout, is taken besides.

    Raises:
        OutputError: as `save_state`.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"epoch": epoch, "history": list(history), "kept": dict(kept)}
    state |= {"augment": generator.get_state(), "dropout": torch.get_rng_state()}
    save_state(state, path)


def load_checkpoint(
    path: Path, parts: Mapping[str, Any], *, generator: Generator
) -> tuple[int, list[Numbers], dict[str, Any]]:
    """Put a checkpoint into `parts` and both random states; its epoch, history, and what was kept.

    The epoch is 0 when there is no file. History and what was kept are empty where the version
    that wrote the file knew of none.

    Raises:
        InputError: it is damaged, or of another recipe or version.
    """
    if not path.exists():
        return 0, [], {}
    try:
        state = torch.load(path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        generator.set_state(state["augment"])
        torch.set_rng_state(state["dropout"])
        return int(state["epoch"]), list(state.get("history", ())), dict(state.get("kept", {}))
    except UNREADABLE as error:
        first = (str(error).splitlines() or [repr(error)])[0][:80]
        raise InputError(
            f"cannot go on from {path} ({type(error).__name__}: {first}): it is damaged, or of "
            "another recipe; give another --run, or delete the folder and begin anew"
        ) from None


def load_weights(network: nn.Module, path: Path, *, take: Take = dict) -> None:
    """Put weights that `save_state` wrote into a network.

    Args:
        take: which of them the network gets; all unless given.

    Raises:
        InputError: there is no such file, it is damaged, or of another network.
    """
    state = take(load_state(path))
    try:
        network.load_state_dict(state)
    except UNREADABLE as error:
        raise _no_weights(path, error) from None


def load_state(path: Path) -> dict[str, Any]:
    """Weights by name, as `save_state` wrote them.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: train first, or give a file of saved weights")
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except UNREADABLE as error:
        raise _no_weights(path, error) from None
    return state


def _no_weights(path: Path, error: Exception) -> InputError:
    first = (str(error).splitlines() or [repr(error)])[0][:80]
    return InputError(
        f"{path} is damaged or of another recipe: it has no weights of this network "
        f"({type(error).__name__}: {first}): give a file of the same recipe"
    )
