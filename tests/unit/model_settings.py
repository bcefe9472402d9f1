"""Small settings of every facial network, for tests that train or export."""

from dataclasses import replace

from classpulse.lab.models.aieducation import AieducationSettings
from classpulse.lab.models.convnext import ConvNextSettings
from classpulse.lab.models.dlib_resnet import DlibSettings
from classpulse.lab.models.mobilenet import MobileNetSettings
from classpulse.lab.models.registry import MODELS
from classpulse.lab.models.repvgg import RepVggSettings
from classpulse.lab.models.residual import ResidualSettings
from classpulse.lab.models.residual_mask import ResidualMaskSettings
from classpulse.lab.models.stack import Block, Dense, Stack
from classpulse.lab.models.transfer import ResNetSettings, VggSettings
from classpulse.lab.models.vgg_bn import VggBnSettings
from classpulse.lab.models.vit import VitSettings

HEADS = {"emotion": 7, "state": 4}


def shrink(stack: Stack) -> Stack:
    """The same plan with an eighth of the filters (16 at most) and of the hidden units."""
    blocks = tuple(
        Block(
            tuple(replace(conv, width=min(16, conv.width // 8)) for conv in block.convs),
            block.dropout,
        )
        for block in stack.blocks
    )
    dense = tuple(replace(layer, width=layer.width // 16) for layer in stack.dense)
    return Stack(blocks, dense)


VIT = VitSettings(layers=2, attention_heads=2, width=32, mlp=64, patch=8, resolution=32)
SMALL: dict[str, object] = {
    **{
        name: shrink(MODELS.get(name).defaults)
        for name in MODELS
        if isinstance(MODELS.get(name).defaults, Stack)
    },
    "vgg19": VggSettings(
        (8, 8, 16, 16, 32), (1, 1, 2, 2, 2), (Dense(16, l2=0.001, dropout=0.4), Dense(16))
    ),
    "resnet50v2": ResNetSettings((2, 2), width=8, trainable_layers=14, hidden=16),
    "vit-1": VIT,
    "vit-2": replace(VIT, hidden=(16,)),
    "aieducation": AieducationSettings(channels=4, blocks=3, fc=1, kernel=5, pool=5),
    "residual-se": ResidualSettings((16, 32), blocks=1, stem=8),
    "residual-mask": ResidualMaskSettings((16, 32), blocks=1, stem=8, masks=(2, 1)),
    "vgg-bn": VggBnSettings((8, 8, 16, 16), hidden=16),
    "repvgg": RepVggSettings(8, (8, 16), (2, 1)),
    "convnext": ConvNextSettings((8, 16), (1, 2)),
    "dlib-resnet": DlibSettings((8, 16), (1, 2)),
    "mobilenet-v1": MobileNetSettings((16, 32), (1, 2), stem=8, side=48),
}
