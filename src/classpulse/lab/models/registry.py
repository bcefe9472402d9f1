"""Every facial network by name, each with its source, settings, input and builder.

model = build_model("cnn-1", {"emotion": 7}, seed=42)
model(x)["emotion"]  # (b, 7) logits of x (b, 3, 48, 48)
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch

from classpulse.core.build import build_dataclass
from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.models import thesis
from classpulse.lab.models.aieducation import AieducationSettings, build_aieducation
from classpulse.lab.models.base import FaceModel
from classpulse.lab.models.convnext import ConvNextSettings, build_convnext
from classpulse.lab.models.dlib_resnet import DlibSettings, build_dlib
from classpulse.lab.models.mobilenet import MobileNetSettings, build_mobilenet
from classpulse.lab.models.repvgg import RepVggSettings, build_repvgg
from classpulse.lab.models.residual import ResidualSettings, build_residual
from classpulse.lab.models.residual_mask import ResidualMaskSettings, build_residual_mask
from classpulse.lab.models.stack import Stack, build_stack
from classpulse.lab.models.transfer import (
    ResNetSettings,
    VggSettings,
    build_resnet50v2,
    build_vgg19,
)
from classpulse.lab.models.vgg_bn import VggBnSettings, build_vgg_bn
from classpulse.lab.models.vit import VitSettings, build_vit

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class ModelKind(Generic[S]):
    """One kind of network.

    Args:
        name: in `MODELS` and in recipes.
        summary: one sentence with the source.
        defaults: settings with the source's values; their class says what can be set.
        builder: (settings, heads, channels, side) -> network; use `build`.
        channels, side: of the source's input; side in pixels.
        any_side: takes faces of other sides than the one it was built for (progressive resizing).
    """

    name: str
    summary: str
    defaults: S
    builder: Callable[[S, Mapping[str, int], int, int], FaceModel]
    channels: int = 3
    side: int = 48
    any_side: bool = False

    def parse(self, given: Mapping[str, Any], *, where: str = "settings") -> S:
        """Settings from a table as TOML gives it; what is not given has its default.

        Raises:
            InputError: a key is unknown or a value has the wrong type or range.
        """
        whole = json.loads(json.dumps(dataclasses.asdict(self.defaults)))  # type: ignore[call-overload]
        settings: S = build_dataclass(
            type(self.defaults), {**whole, **given}, where=where, error=InputError, partial=True
        )
        return settings

    def build(self, settings: S, heads: Mapping[str, int], channels: int, side: int) -> FaceModel:
        """The network (b, channels, side, side) -> {head: logits (b, k)}, weights from torch's
        global random state.

        Raises:
            InputError: no heads, impossible sizes, or settings of another kind.
            ModelError: a file with weights is missing or does not fit.
        """
        if not isinstance(settings, type(self.defaults)):
            wanted = type(self.defaults).__name__
            raise InputError(f"'{self.name}' takes {wanted}, not {type(settings).__name__}")
        if not heads or min(heads.values()) < 2:
            raise InputError(f"heads {dict(heads)}: needs one or more, each of two or more labels")
        if channels not in (1, 3) or side < 1:
            raise InputError(f"input {side}x{side}x{channels}: needs a side and 1 or 3 channels")
        return self.builder(settings, heads, channels, side)


MODELS: Registry[ModelKind[Any]] = Registry("model")


def build_model(
    name: str,
    heads: Mapping[str, int],
    *,
    seed: int,
    settings: object | None = None,
    channels: int | None = None,
    side: int | None = None,
) -> FaceModel:
    """The network called `name`; settings and input are the source's unless given.

    Args:
        heads: head name -> number of labels.
        seed: of the initial weights; torch's global random state is set to it.

    Raises:
        InputError: there is no such network (the known ones are listed), or see
            `ModelKind.build`.
    """
    kind = MODELS.get(name)
    torch.manual_seed(seed)
    return kind.build(
        kind.defaults if settings is None else settings,
        heads,
        kind.channels if channels is None else channels,
        kind.side if side is None else side,
    )


def _stack(name: str, summary: str, stack: Stack) -> ModelKind[Stack]:
    return ModelKind(name, summary, stack, build_stack)


_KINDS: tuple[ModelKind[Any], ...] = (
    _stack("cnn-1", "Four blocks up to 512 filters and two hidden layers (F1:28).", thesis.CNN_1),
    _stack("cnn-2", "Three pairs of convolutions, FC 1024; its 'test8' (F1:41).", thesis.CNN_2),
    _stack("cnn-3", "CNN-2 without its last block; its 'test6' (F1:50).", thesis.CNN_3),
    _stack("cnn-6", "Four normalized pairs, 64 to 512; its 'test5' (F1:72).", thesis.CNN_6),
    _stack("cnn-7", "CNN-2 with hidden layers of 2048 and 1024 (F1:79).", thesis.CNN_7),
    _stack("kt-1", "Best of the thesis' Bayesian search: four pairs (F1:92).", thesis.KT_1),
    _stack("kt-2", "KT-1 and two pairs that the search left unused (F1:97).", thesis.KT_2),
    _stack("kt-w", "Best of the search with class weights (F1:151).", thesis.KT_W),
    ModelKind(
        "vgg19",
        "VGG19, everything fine-tuned, FC 256 and 128 (thesis model 4, F1:58).",
        VggSettings(),
        build_vgg19,
    ),
    ModelKind(
        "resnet50v2",
        "ResNet50V2, its last 50 layers fine-tuned, FC 512 (thesis model 5, F1:66).",
        ResNetSettings(),
        build_resnet50v2,
    ),
    ModelKind(
        "vit-1",
        "Frozen ViT-B/16 on faces enlarged to 224 px, linear heads (thesis FV:17, FV:43).",
        VitSettings(),
        build_vit,
        any_side=True,
    ),
    ModelKind(
        "vit-2",
        "Frozen ViT-B/16 on faces enlarged to 224 px, FC 512 (thesis FV:26, FV:52).",
        VitSettings(hidden=(512,)),
        build_vit,
        any_side=True,
    ),
    ModelKind(
        "aieducation",
        "Residual blocks at full resolution, B{c}_N{n}_FC{n}_K{k}_AP20 (A.I.ducation Analytics).",
        AieducationSettings(),
        build_aieducation,
        channels=1,
        any_side=True,
    ),
    ModelKind(
        "residual-se",
        "Residual network with squeeze-and-excitation (He et al. 2016, Hu et al. 2018).",
        ResidualSettings(),
        build_residual,
        channels=1,
        any_side=True,
    ),
    ModelKind(
        "residual-mask",
        "Residual network with an encoder-decoder mask per stage (after Pham et al. 2020).",
        ResidualMaskSettings(),
        build_residual_mask,
        channels=1,
        any_side=True,
    ),
    ModelKind(
        "vgg-bn",
        "VGG with batch normalization (after Pramerdorfer and Kampel 2016).",
        VggBnSettings(),
        build_vgg_bn,
        channels=1,
    ),
    ModelKind(
        "repvgg",
        "Three branches that fuse into plain convolutions (after Ding et al. 2021).",
        RepVggSettings(),
        build_repvgg,
        channels=1,
        any_side=True,
    ),
    ModelKind(
        "convnext",
        "Depthwise 7x7 and pointwise MLPs with layer normalization (after Liu et al. 2022).",
        ConvNextSettings(),
        build_convnext,
        channels=1,
        any_side=True,
    ),
    ModelKind(
        "dlib-resnet",
        "dlib's face recognition network, weights from a local file (King 2017).",
        DlibSettings(),
        build_dlib,
        channels=1,
        any_side=True,
    ),
    ModelKind(
        "mobilenet-v1",
        "MobileNet that learned faces, weights from a local file (Howard et al. 2017; Savchenko).",
        MobileNetSettings(),
        build_mobilenet,
        channels=1,
        any_side=True,
    ),
)
for _kind in _KINDS:
    MODELS.register(_kind.name)(_kind)
