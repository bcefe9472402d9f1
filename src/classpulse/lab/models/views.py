"""Several views of a face whose answers an artefact averages: moved by pixels, and mirrored.

Test-time augmentation inside the graph. A network that was trained on moved pictures still answers
a little otherwise for each; the mean is right more often (LOG 2026-11-30).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Shift = tuple[int, int]  # pixels down and to the right


def show_views(x: Tensor, shifts: Sequence[Shift] = (), *, flip: bool) -> Tensor:
    """(n, c, h, w) -> (v * n, c, h, w): all faces in one view, then all in the next.

    Args:
        shifts: where a face is moved to, the border repeated behind it; none: it stays in place.
        flip: each view and its mirror image.
    """
    seen = [_moved(x, *shift) for shift in shifts] or [x]
    if flip:
        seen += [view.flip(3) for view in seen]
    return torch.cat(seen) if len(seen) > 1 else x


def count_views(shifts: Sequence[Shift] = (), *, flip: bool) -> int:
    """How many `show_views` makes of a face."""
    return max(len(shifts), 1) * (2 if flip else 1)


def mean_of_views(
    logits: Mapping[str, Tensor], shifts: Sequence[Shift] = (), *, flip: bool
) -> dict[str, Tensor]:
    """{head: (v * n, k)} of `show_views` -> {head: (n, k)}."""
    views = count_views(shifts, flip=flip)
    if views == 1:
        return dict(logits)
    return {head: z.reshape(views, -1, z.shape[1]).mean(dim=0) for head, z in logits.items()}


def _moved(x: Tensor, down: int, right: int) -> Tensor:
    if not (down or right):
        return x
    h, w = x.shape[2:]
    up, left = max(-down, 0), max(-right, 0)
    x = functional.pad(x, (max(right, 0), left, max(down, 0), up), mode="replicate")
    return x[:, :, up : up + h, left : left + w]
