"""Pointwise convolutions through a bottleneck, made from full ones by what they answer.

Of W x over real pictures the first r principal components are kept (Zhang et al. 2016,
"Accelerating Very Deep Convolutional Networks", section 3.1, without its nonlinear part): with P
(d, r) their directions and m their mean, W x becomes P (P^T W) x + (I - P P^T) m: what is left out
has the least variance of all that r channels can leave out.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from classpulse.core.errors import InputError
from classpulse.lab.models.base import FaceModel

BATCH = 64


class LowRankConv(nn.Module):
    """1x1 convolution of rank r: (b, c, h, w) -> (b, r, h, w) -> (b, d, h, w).

    Only the second part has a bias: the mean of what r channels leave out.
    """

    def __init__(self, c: int, d: int, *, rank: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(c, rank, 1, bias=False)
        self.up = nn.Conv2d(rank, d, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


def pointwise(c: int, d: int, *, rank: int) -> nn.Module:
    """1x1 convolution without bias; through a bottleneck of `rank` channels unless that is 0."""
    return LowRankConv(c, d, rank=rank) if rank else nn.Conv2d(c, d, 1, bias=False)


def check_ranks(ranks: Sequence[int], outputs: Sequence[int]) -> None:
    """One rank for each convolution, or none at all.

    Raises:
        InputError: there are others, or one is negative or not below the channels.
    """
    if ranks and len(ranks) != len(outputs):
        raise InputError(f"{len(ranks)} ranks and {len(outputs)} blocks: one each, or no ranks")
    for rank, channels in zip(ranks, outputs, strict=False):
        if not 0 <= rank < channels:
            raise InputError(
                f"ranks = {list(ranks)}: needs 0, which is a full convolution, or fewer than the "
                f"{channels} channels of its block"
            )


@torch.no_grad()
def factorized(model: FaceModel, full: FaceModel, faces: Tensor) -> dict[str, Tensor]:
    """Weights of `model` that do what `full` does, as far as its ranks allow.

    Args:
        model: has a `LowRankConv` where `full` has a convolution; otherwise the same network.
        full: not changed.
        faces: (n, c, h, w) prepared training pictures, some hundred.

    Returns:
        Parameter name -> values.
    """
    ranks = {
        name: one.down.out_channels
        for name, one in model.named_modules()
        if isinstance(one, LowRankConv)
    }
    state = dict(full.state_dict())
    for name, (mean, spread) in _moments(full, list(ranks), faces).items():
        _, directions = torch.linalg.eigh(spread)  # of rising variance
        kept = directions[:, -ranks[name] :].float()  # (d, r)
        weight = state.pop(f"{name}.weight")  # (d, c, 1, 1)
        state[f"{name}.down.weight"] = (kept.T @ weight.flatten(1))[:, :, None, None]
        state[f"{name}.up.weight"] = kept[:, :, None, None].clone()
        state[f"{name}.up.bias"] = mean - kept @ (kept.T @ mean)
    return state


def _moments(
    full: FaceModel, names: Sequence[str], faces: Tensor
) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Name of a convolution -> mean (d,) float32 and covariance (d, d) float64 of its answers over
    all places."""
    sums: dict[str, list[Tensor]] = {}

    def note(name: str, answer: Tensor) -> None:
        rows = answer.movedim(1, -1).flatten(0, -2).double()  # (b h w, d)
        found = [rows.T @ rows, rows.sum(dim=0), torch.tensor(float(len(rows)))]
        before = sums.get(name)
        sums[name] = (
            found if before is None else [a + b for a, b in zip(before, found, strict=True)]
        )

    hooks = [
        full.get_submodule(name).register_forward_hook(
            lambda module, given, answer, name=name: note(name, answer)
        )
        for name in names
    ]
    training = full.training
    try:
        full.eval()
        for batch in faces.split(BATCH):
            full(batch)
    finally:
        full.train(training)
        for hook in hooks:
            hook.remove()
    return {
        name: ((total / n).float(), squares / n - torch.outer(total / n, total / n))
        for name, (squares, total, n) in sums.items()
    }
