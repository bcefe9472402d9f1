"""The thesis' eight networks of its own (seed-thesis.md B.1; F1:n is cell n of its notebook F1).

All read (b, 3, 48, 48), grey repeated three times, pixels divided by 255. With one head of seven
labels they have as many parameters as the thesis prints; `tests/unit/test_models.py` counts them.
"""

from classpulse.lab.models.stack import Block, Conv, Dense, Stack

L2 = 0.01  # on every kernel the thesis penalizes, but for one dense layer of CNN-1


def _head(*widths: int, l2: float = L2) -> tuple[Dense, ...]:
    return tuple(Dense(width, l2=l2, dropout=0.5) for width in widths)


def _pair(wide: int, narrow: int, *, valid: bool, l2: float, dropout: float) -> Block:
    """Two 3x3 convolutions, the second one normalized, pooling, dropout."""
    convs = Conv(wide, l2=l2), Conv(narrow, valid=valid, l2=l2, norm=True)
    return Block(convs, dropout=dropout)


def tuned_stack(*blocks: tuple[int, int, float], l2: float) -> Stack:
    """A network of the thesis' Keras Tuner search space (F1:86).

    Args:
        blocks: 2 to 6 of (filters, filters, dropout); the search steps by 32 from 32 to 512 and
            by 0.1 from 0.1 to 0.5.
        l2: on the hidden layer of 1024; the convolutions always have 0.01.
    """
    pairs = tuple(_pair(a, b, valid=False, l2=L2, dropout=p) for a, b, p in blocks)
    return Stack(pairs, _head(1024, l2=l2))


CNN_1 = Stack(
    (
        Block((Conv(32, valid=True), Conv(64, norm=True)), dropout=0.25),
        Block((Conv(128, kernel=5, norm=True),), dropout=0.25),
        Block((Conv(512, l2=L2, norm=True),), dropout=0.25),
        Block((Conv(512, l2=L2, norm=True),), dropout=0.25),
    ),
    (Dense(256, l2=0.001, norm=True, dropout=0.25), Dense(512, norm=True, dropout=0.25)),
)

_FIRST = _pair(32, 64, valid=False, l2=0.0, dropout=0.3)
_LATER = _pair(128, 256, valid=True, l2=L2, dropout=0.3)

CNN_2 = Stack((_FIRST, _LATER, _LATER), _head(1024))
CNN_3 = Stack((_FIRST, _LATER), _head(1024))
CNN_6 = Stack(
    tuple(
        Block((Conv(width, norm=True), Conv(width, norm=True)), dropout=0.3)
        for width in (64, 128, 256, 512)
    ),
    _head(1024),
)
CNN_7 = Stack((_FIRST, _LATER, _LATER), _head(2048, 1024))

_KT = (448, 224, 0.4), (128, 288, 0.1), (32, 416, 0.4), (96, 224, 0.3)

KT_1 = tuned_stack(*_KT, l2=0.0)
# Blocks 5 and 6 are values that the tuner's best trial left unused (seed-thesis.md B.1).
KT_2 = tuned_stack(*_KT, (64, 416, 0.1), (480, 160, 0.4), l2=0.0)
KT_W = tuned_stack((64, 288, 0.2), (160, 160, 0.4), (288, 256, 0.2), (96, 224, 0.4), l2=L2)
