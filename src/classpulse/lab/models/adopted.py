"""Normalization for networks that come from elsewhere with theirs folded away."""

import torch
from torch import Tensor, nn


class AdoptedNorm(nn.BatchNorm2d):
    """Batch normalization that takes over a fixed scale and shift.

    Trained networks for inference have y = scale * x + shift in place of each normalization. The
    first training batch, of mean m and deviation s, makes that the same function of a normalized x:
    weight = scale * s, bias = shift + scale * m; from then on it is an ordinary batch norm.
    """

    adopted: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_buffer("adopted", torch.tensor(True))

    def adopt(self) -> None:
        """Call after `weight` and `bias` were filled with a scale and a shift."""
        self.adopted.fill_(False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and not self.adopted:
            with torch.no_grad():
                var, mean = torch.var_mean(x, dim=(0, 2, 3))
                self.bias.add_(self.weight * mean)
                self.weight.mul_((var + self.eps).sqrt())
                self.running_mean.copy_(mean)  # type: ignore[union-attr]
                self.running_var.copy_(var)  # type: ignore[union-attr]
                self.adopted.fill_(True)
        return super().forward(x)
