"""ViT-1 and ViT-2: a frozen ViT-B/16 under the thesis' heads (seed-thesis.md B.2, FV:17 to FV:52).

Dosovitskiy et al. 2021. The encoder's weights come from a local folder in Hugging Face's layout
(``model.safetensors`` or ``pytorch_model.bin``), read without that library. Shapes: b batch,
t tokens (one class token and the patches), d width.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError, ModelError
from classpulse.lab.models.base import BodyAndHeads, ToRgb, check_sizes, freeze
from classpulse.lab.models.files import describe_file, load_arrays, read_arrays
from classpulse.lab.models.stack import init_keras

FILES = ("model.safetensors", "pytorch_model.bin")
RENAMED = (  # Hugging Face's names -> ours, in order
    (r"^vit\.", ""),
    (r"^embeddings\.", ""),
    (r"^position_embeddings$", "positions"),
    (r"^patch_embeddings\.projection", "patches"),
    (r"^encoder\.layer\.(\d+)\.", r"layers.\1."),
    (r"\.attention\.attention\.", "."),
    (r"\.attention\.output\.dense", ".out"),
    (r"\.layernorm_before", ".norm1"),
    (r"\.layernorm_after", ".norm2"),
    (r"\.intermediate\.dense", ".up"),
    (r"\.output\.dense", ".down"),
    (r"^layernorm", "norm"),
    (r"^pooler\.dense", "pooler"),
)


@dataclass(frozen=True, slots=True)
class VitSettings:
    """A ViT encoder, frozen, and hidden layers.

    Args:
        layers, attention_heads, width, mlp: of the encoder; default ViT-B.
        patch, resolution: pixels; faces are resized to the resolution inside.
        hidden: widths of the layers with ReLU between class token and heads.
        encoder: folder with the encoder's weights; empty: random.
    """

    layers: int = 12
    attention_heads: int = 12
    width: int = 768
    mlp: int = 3072
    patch: int = 16
    resolution: int = 224
    hidden: tuple[int, ...] = ()
    encoder: str = ""

    def __post_init__(self) -> None:
        check_sizes(layers=self.layers, attention_heads=self.attention_heads, mlp=self.mlp)
        check_sizes(width=self.width, patch=self.patch, resolution=self.resolution)
        if self.width % self.attention_heads or self.resolution % self.patch:
            raise InputError(
                f"width {self.width} must be a multiple of {self.attention_heads} attention heads "
                f"and resolution {self.resolution} of the patch {self.patch}"
            )


class EncoderLayer(nn.Module):
    """Attention and MLP, normalized before: (b, t, d) -> (b, t, d); eq. 2 and 3 of the paper."""

    def __init__(self, settings: VitSettings) -> None:
        super().__init__()
        d = settings.width
        self.attention_heads = settings.attention_heads
        self.norm1, self.norm2 = _norm(d), _norm(d)
        self.query, self.key, self.value = (nn.Linear(d, d) for _ in range(3))
        self.out = nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, settings.mlp), nn.Linear(settings.mlp, d)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        q, k, v = (
            # (b, t, d) -> (b, heads, t, d / heads)
            part(y).unflatten(2, (self.attention_heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class VitEncoder(nn.Module):
    """(b, 3, s, s) -> class token (b, d), after a bilinear resize without antialiasing.

    The pooler is part of the source's model and of its parameter count; nothing reads it.
    """

    def __init__(self, settings: VitSettings) -> None:
        super().__init__()
        d, tokens = settings.width, 1 + (settings.resolution // settings.patch) ** 2
        self.resolution = settings.resolution
        self.cls_token = nn.Parameter(torch.empty(1, 1, d))
        self.positions = nn.Parameter(torch.empty(1, tokens, d))
        self.patches = nn.Conv2d(3, d, settings.patch, stride=settings.patch)
        self.layers = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.layers))
        self.norm = _norm(d)
        self.pooler = nn.Linear(d, d)
        for name, p in self.named_parameters():
            if p.ndim > 1:
                nn.init.trunc_normal_(p, std=0.02, a=-0.04, b=0.04)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, x: Tensor) -> Tensor:
        size = (self.resolution, self.resolution)
        x = functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
        patches = self.patches(x).flatten(2).transpose(1, 2)  # (b, d, h, w) -> (b, t - 1, d)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1)
        tokens = tokens + self.positions
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)[:, 0]


def build_vit(
    settings: VitSettings, heads: Mapping[str, int], channels: int, side: int
) -> BodyAndHeads:
    """Frozen encoder, hidden layers, heads: (b, 1 or 3, s, s) -> logits, for any side."""
    encoder = VitEncoder(settings)
    body = nn.Sequential(ToRgb(), encoder)
    width = settings.width
    for hidden in settings.hidden:
        body.extend([nn.Linear(width, hidden), nn.ReLU()])
        width = hidden
    model = BodyAndHeads(body, heads, width=width)
    body[2:].apply(init_keras)
    model.heads.apply(init_keras)
    if settings.encoder:
        model.origin = load_encoder(encoder, Path(settings.encoder))
    freeze(model, ["body.1"])
    return model


def load_encoder(encoder: VitEncoder, folder: Path) -> str:
    """Fill the encoder from a Hugging Face folder; returns name and hash of the file.

    A checkpoint without a pooler (such as ViTForImageClassification's) leaves ours random.

    Raises:
        ModelError: there is no such file, or an array is missing or has another shape.
    """
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if not found:
        raise ModelError(f"{folder} has no ViT encoder: put {' or '.join(FILES)} there")
    arrays = {_rename(name): array for name, array in read_arrays(found[0]).items()}
    ours = encoder.state_dict()
    arrays |= {n: t for n, t in ours.items() if n.startswith("pooler.") and n not in arrays}
    load_arrays(encoder, arrays, source=str(found[0]))
    return describe_file(found[0])


def _rename(name: str) -> str:
    for pattern, ours in RENAMED:
        name = re.sub(pattern, ours, name)
    return name


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-12)
